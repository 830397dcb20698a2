import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TuttiError } from '../../src/core/errors.ts';
import { fakeUuid } from '../support/fake-engine.ts';
import { fakeServer, ORDER } from './fake-server.ts';

const post = (body: unknown) => ({ method: 'POST', body });

test('a task is created with 201, its address and every field given', async () => {
  await using s = await fakeServer();
  const correlation = fakeUuid(77);
  const { status, headers, json } = await s.ask(
    '/v1/tasks',
    post({
      ...ORDER,
      context: { orderId: 'A1', 'odd key': [1, { a: null }] },
      priority: 0,
      tags: ['x'],
      key: 'order A1',
      initiator: 'me',
      source_system: 'shop',
      reason: 'why',
      correlation_id: correlation,
      parent_correlation_id: correlation,
      options: { a: 1 },
      requested_at: '2020-01-01T00:00:00Z',
    }),
  );
  assert.equal(status, 201);
  assert.equal(headers.location, `/v1/tasks/${json.task_uuid}`);
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(json.status, 'pending');
  assert.deepEqual(json.context, { orderId: 'A1', 'odd key': [1, { a: null }] });
  assert.equal(json.priority, 0);
  assert.match(json.created_at, /^2026-.*Z$/);
  assert.equal(json.completed_at, null);
  const given = s.engine.calls.find((c) => c.verb === 'trySubmit')!.args as Record<string, unknown>;
  assert.deepEqual(given, {
    namespace: 'orders',
    name: 'order_fulfillment',
    version: '1.0.0',
    input: { orderId: 'A1', 'odd key': [1, { a: null }] },
    priority: 0,
    tags: ['x'],
    key: 'order A1',
    initiator: 'me',
    sourceSystem: 'shop',
    reason: 'why',
    correlationId: correlation,
    parentCorrelationId: correlation,
    expectedBytes: undefined,
    expectedItems: undefined,
    options: { a: 1 },
  });
});

test('the context is an empty object when none is given', async () => {
  await using s = await fakeServer();
  const { json } = await s.ask('/v1/tasks', post(ORDER));
  assert.deepEqual(json.context, {});
});

for (const [what, body, field, message] of [
  ['priority 7', { ...ORDER, priority: 7 }, 'priority', /priority must be an integer from 0 \(urgent\) to 3/],
  ['priority 1.5', { ...ORDER, priority: 1.5 }, 'priority', /0 \(urgent\) to 3/],
  ['a priority in quotes', { ...ORDER, priority: '1' }, 'priority', /0 \(urgent\) to 3/],
  ['an empty name (row 74)', { ...ORDER, name: '' }, 'name', /name must not be empty/],
  ['no name', { namespace: 'orders' }, 'name', /name is required/],
  ['an unknown key', { ...ORDER, contxt: {} }, 'contxt', /contxt is not a known field/],
  ['a context that is an array (row 74)', { ...ORDER, context: [] }, 'context', /context must be a JSON object/],
  ['a context that is null', { ...ORDER, context: null }, 'context', /context must be a JSON object/],
  ['a context that is text', { ...ORDER, context: 'x' }, 'context', /context must be a JSON object/],
  ['a correlation id that is none', { ...ORDER, correlation_id: 'x' }, 'correlation_id', /must be a UUID/],
  ['tags that are no array', { ...ORDER, tags: 'x' }, 'tags', /tags/],
  ['a tag that is a number', { ...ORDER, tags: ['a', 5] }, 'tags[1]', /tags\[1\]/],
  ['a body that is an array', [ORDER], 'body', /the body must be a JSON object/],
  ['a body that is null', 'null', 'body', /the body must be a JSON object/],
  ['no body', undefined, 'body', /the body must be a JSON object/],
] as const) {
  test(`400 with the field: ${what}`, async () => {
    await using s = await fakeServer();
    const { status, json } = await s.ask('/v1/tasks', { method: 'POST', body });
    assert.equal(status, 400);
    assert.equal(json.error.code, 'INVALID_INPUT');
    assert.equal(json.error.field, field);
    assert.match(json.error.message, message);
    assert.ok(json.error.request_id);
    assert.equal(s.engine.calls.length, 0);
  });
}

test('every problem is listed when there are several', async () => {
  await using s = await fakeServer();
  const { json } = await s.ask('/v1/tasks', post({ name: '', namespace: 'n', priority: 9, nope: 1 }));
  assert.deepEqual(
    json.error.details.issues.map((i: { field: string }) => i.field),
    ['name', 'priority', 'nope'],
  );
});

test('an unknown template is 404 and nothing is stored (row 73)', async () => {
  await using s = await fakeServer();
  const { status, json } = await s.ask('/v1/tasks', post({ ...ORDER, name: 'nope' }));
  assert.equal(status, 404);
  assert.equal(json.error.code, 'TEMPLATE_NOT_FOUND');
  assert.equal(s.engine.tasks.size, 0);
});

test('backpressure is 503 with Retry-After, in whole seconds, rounded up (row 104)', async () => {
  await using s = await fakeServer();
  s.engine.failures.set('trySubmit', new TuttiError('BACKPRESSURE', 'the inbox of task_request is full', { retryAfter: 1.2 }));
  const refused = await s.ask('/v1/tasks', post(ORDER));
  assert.equal(refused.status, 503);
  assert.equal(refused.headers['retry-after'], '2');
  assert.equal(refused.json.error.code, 'BACKPRESSURE');
  assert.equal(refused.json.error.retry_after_seconds, 2);
  assert.equal((await s.ask('/v1/tasks')).status, 200, 'reads are still served');
});

test('bulk creates all of them, in order', async () => {
  await using s = await fakeServer();
  const { status, json } = await s.ask('/v1/tasks/bulk', post({ tasks: [ORDER, { ...ORDER, priority: 1 }] }));
  assert.equal(status, 201);
  assert.deepEqual(json, { task_uuids: [fakeUuid(1), fakeUuid(2)], count: 2 });
});

test('bulk names the task that is wrong and stores none', async () => {
  await using s = await fakeServer();
  const shape = await s.ask('/v1/tasks/bulk', post({ tasks: [ORDER, { ...ORDER, priority: 7 }, { ...ORDER, contxt: 1 }] }));
  assert.equal(shape.status, 400);
  assert.equal(shape.json.error.field, 'tasks[1].priority');
  assert.equal(shape.json.error.details.issues[1].field, 'tasks[2].contxt');
  const template = await s.ask('/v1/tasks/bulk', post({ tasks: [ORDER, ORDER, { ...ORDER, name: 'nope' }, ORDER] }));
  assert.equal(template.status, 404);
  assert.equal(template.json.error.field, 'tasks[2].name');
  assert.equal(template.json.error.details.index, 2);
  assert.equal(s.engine.tasks.size, 0);
});

test('bulk takes 1 to 1000 tasks', async () => {
  await using s = await fakeServer();
  const many = await s.ask('/v1/tasks/bulk', post({ tasks: new Array(1001).fill(ORDER) }));
  assert.equal(many.status, 400);
  assert.match(many.json.error.message, /tasks must hold at most 1000 tasks/);
  assert.equal((await s.ask('/v1/tasks/bulk', post({ tasks: [] }))).status, 400);
  assert.equal((await s.ask('/v1/tasks/bulk', post({ tasks: new Array(1000).fill(ORDER) }))).json.count, 1000);
});
