import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import * as wire from '../../src/contract/wire.ts';
import { GATED, ORDER, realServer, type RealServer } from './real-server.ts';

const post = (body: unknown) => ({ method: 'POST', body });
const total = async (s: RealServer): Promise<number> => (await s.ask('/v1/tasks?page=1')).json.pagination.total_count;

test('row 26: order fulfilment runs, 4 steps complete with results, ship_order last', async () => {
  await using s = await realServer();
  const id = await s.create({ ...ORDER, context: { order_id: 'B7', amount: 30 } });
  await s.ended(id);
  const { json: task } = await s.ask(`/v1/tasks/${id}`);
  assert.equal(task.status, 'complete');
  assert.deepEqual([task.total_steps, task.completed_steps, task.completion_percentage, task.execution_status], [4, 4, 100, 'all_complete']);
  assert.notEqual(task.completed_at, null);
  const { json: steps } = await s.ask(`/v1/tasks/${id}/workflow_steps`);
  assert.deepEqual(
    steps.map((x: { results: unknown }) => x.results),
    [{ ok: true }, { held: 1 }, { paid: 30 }, { shipped: 'B7' }],
  );
  const last = steps.toSorted((a: { started_at: string }, b: { started_at: string }) => (a.started_at < b.started_at ? -1 : 1)).at(-1);
  assert.equal(last.name, 'ship_order');
});

test('the call of the readme, as curl makes it, with a key configured and an empty context', async (t) => {
  const run = promisify(execFile);
  try {
    await run('curl', ['--version']);
  } catch {
    return t.skip('there is no curl on this machine');
  }
  await using s = await realServer({ apiKeys: ['your-api-key'] });
  const { stdout } = await run('curl', [
    '-s',
    '-X',
    'POST',
    `${s.url}/v1/tasks`,
    '-H',
    'Content-Type: application/json',
    '-H',
    'X-API-Key: your-api-key',
    '-d',
    '{"name": "order_fulfillment", "namespace": "orders", "version": "1.0.0"}',
  ]);
  const task = JSON.parse(stdout) as { status: string; task_uuid: string; context: unknown };
  assert.ok(task.task_uuid, stdout);
  const outcome = await s.tutti.engine.done(task.task_uuid);
  assert.equal(outcome.state, 'complete');
});

test('POST answers with the context as it was stored, and with the steps where they are asked for, as GET does', async () => {
  await using s = await realServer();
  const bare = await s.ask('/v1/tasks', post(ORDER));
  assert.deepEqual(bare.json.context, { order_id: 'A1', amount: 12 }, 'with what the schema adds');
  assert.equal('steps' in bare.json, false);
  const { status, json } = await s.ask('/v1/tasks?steps=true', post(GATED));
  assert.equal(status, 201);
  const { json: read } = await s.ask(`/v1/tasks/${json.task_uuid}`);
  assert.deepEqual(Object.keys(json), Object.keys(read));
  assert.deepEqual(
    json.steps.map((x: { name: string; step_uuid: string }) => [x.name, x.step_uuid]),
    read.steps.map((x: { name: string; step_uuid: string }) => [x.name, x.step_uuid]),
  );
  const refused = await s.ask('/v1/tasks?steps=yes', post(ORDER));
  assert.deepEqual([refused.status, refused.json.error.field], [400, 'steps']);
  assert.equal(await total(s), 2, 'and nothing was stored for it');
});

test('a version that is none is 400, not a template that is missing', async () => {
  await using s = await realServer();
  for (const version of ['banana', '1', '1.0', 'v1.0.0', '01.0.0']) {
    const { status, json } = await s.ask('/v1/tasks', post({ ...ORDER, version }));
    assert.deepEqual([status, json.error.code, json.error.field], [400, 'INVALID_INPUT', 'version'], version);
    assert.match(json.error.message, /^version must be a semantic version such as 1\.0\.0$/);
  }
  assert.equal(await total(s), 0);
});

test('row 119: right after POST the task is past pending', async () => {
  await using s = await realServer();
  const id = await s.create(GATED);
  assert.notEqual((await s.ask(`/v1/tasks/${id}`)).json.status, 'pending');
});

test('row 73: an unknown template or version is 404 and leaves nothing', async () => {
  await using s = await realServer();
  for (const body of [
    { ...ORDER, name: 'nope' },
    { ...ORDER, version: '9.9.9' },
    { ...ORDER, namespace: 'nope' },
  ]) {
    const { status, json } = await s.ask('/v1/tasks', post(body));
    assert.equal(status, 404);
    assert.equal(json.error.code, 'TEMPLATE_NOT_FOUND');
  }
  assert.equal(await total(s), 0);
});

const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });

test('row 74: a context that breaks a limit is 400 with the field, and leaves nothing', async () => {
  await using s = await realServer();
  for (const [what, context, field] of [
    ['array', [], 'context'],
    ['text', 'x', 'context'],
    ['above 1 MiB', Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, 'x'.repeat(6000)])), 'context'],
    ['11 deep', nested(11), 'context.'],
    ['a long string', { note: 'x'.repeat(10_001) }, 'context.note'],
    ['1001 keys', Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`k${i}`, i])), 'context'],
    ['1001 items', { list: new Array(1001).fill(0) }, 'context.list'],
    ['NUL', { a: '\u0000' }, 'context.a'],
    ['against the schema', { amount: 'many' }, 'context.amount'],
    ['below a minimum', { amount: -1 }, 'context.amount'],
    ['an integer above 2^53', { amount: 2 ** 60 }, 'context.amount'],
  ] as const) {
    const { status, json } = await s.ask('/v1/tasks', post({ ...ORDER, context }));
    assert.equal(status, 400, `${what}: ${JSON.stringify(json)}`);
    assert.ok(json.error.field.startsWith(field), `${what}: ${json.error.field}`);
  }
  assert.equal(await total(s), 0);
  await s.create({ ...ORDER, context: { deep: nested(9) } });
});

test('a body so deep that it could exhaust the stack is refused', async () => {
  await using s = await realServer();
  const { status } = await s.ask(
    '/v1/tasks',
    post(`{"name":"order_fulfillment","namespace":"orders","context":{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`),
  );
  assert.equal(status, 400);
  assert.equal((await s.ask('/health/ready')).status, 200);
});

test('bulk stores all or none', async () => {
  await using s = await realServer();
  const bad = await s.ask('/v1/tasks/bulk', post({ tasks: [ORDER, { ...ORDER, context: { amount: 'x' } }, ORDER] }));
  assert.equal(bad.status, 400);
  assert.equal(bad.json.error.field, 'tasks[1].context.amount');
  assert.equal(await total(s), 0);
  const good = await s.ask('/v1/tasks/bulk', post({ tasks: new Array(200).fill(ORDER) }));
  assert.equal(good.status, 201);
  assert.equal(new Set(good.json.task_uuids).size, 200);
  assert.equal(await total(s), 200);
});

test('rows 85 and 86, and cursors: every task once, newest first', async () => {
  await using s = await realServer();
  const ids: string[] = [];
  for (let i = 0; i < 30; i++) ids.push(await s.create({ ...ORDER, tags: [i % 2 ? 'odd' : 'even'], initiator: i < 10 ? 'ann' : 'bob', source_system: 'shop' }));
  const { json } = await s.ask('/v1/tasks?page=2&per_page=10');
  assert.equal(json.tasks.length, 10);
  assert.deepEqual([json.pagination.total_count, json.pagination.has_next, json.pagination.has_previous, json.pagination.total_pages], [30, true, true, 3]);
  for (const q of ['per_page=0', 'per_page=101', 'page=0']) assert.equal((await s.ask(`/v1/tasks?${q}`)).status, 400);

  const seen: string[] = [];
  for (let path: string | null = '/v1/tasks?limit=7'; path !== null; ) {
    const { json: page, headers } = await s.ask(path);
    seen.push(...page.tasks.map((t: { task_uuid: string }) => t.task_uuid));
    path = /^<(.*)>; rel="next"$/.exec((headers.link as string | undefined) ?? '')?.[1] ?? null;
    assert.equal(path === null, page.next_cursor === null);
  }
  assert.deepEqual(seen, ids.toReversed());
  assert.equal((await s.ask('/v1/tasks?cursor=bm9wZQ')).json.error.code, 'INVALID_CURSOR');

  const count = async (q: string): Promise<number> => (await s.ask(`/v1/tasks?page=1&${q}`)).json.pagination.total_count;
  assert.equal(await count('tag=odd'), 15);
  assert.equal(await count('initiator=ann'), 10);
  assert.equal(await count('source_system=shop&namespace=orders&name=order_fulfillment&version=1.0.0'), 30);
  assert.equal(await count('name=gated'), 0);
});

test('status filters by any of the twelve', async () => {
  await using s = await realServer();
  const done = await s.create(ORDER);
  const live = await s.create(GATED);
  const gone = await s.create(GATED);
  await s.ended(done);
  await s.ask(`/v1/tasks/${gone}`, { method: 'DELETE' });
  const ids = async (q: string): Promise<string[]> => (await s.ask(`/v1/tasks?status=${q}`)).json.tasks.map((t: { task_uuid: string }) => t.task_uuid);
  assert.deepEqual(await ids('complete'), [done]);
  assert.deepEqual(await ids('cancelled,complete'), [gone, done]);
  assert.deepEqual(await ids('steps_in_process'), [live]);
  assert.deepEqual(await ids('error'), []);
});

test('row 82 with our correction: steps of an unknown task are 404; ids of steps are no tasks', async () => {
  await using s = await realServer();
  assert.equal((await s.ask('/v1/tasks/01900000-0000-7000-8000-000000000001/workflow_steps')).status, 404);
  const id = await s.create(GATED);
  const { json } = await s.ask(`/v1/tasks/${id}/workflow_steps`);
  assert.equal((await s.ask(`/v1/tasks/${json[0].step_uuid}`)).status, 404);
  const other = await s.create(GATED);
  assert.equal((await s.ask(`/v1/tasks/${other}/workflow_steps/${json[0].step_uuid}`)).status, 404, 'a step of another task');
  assert.equal((await s.ask(`/v1/tasks/${id}/workflow_steps/${json[0].step_uuid}`)).json.name, 'first');
});

test('row 83 with our correction: a running task is cancelled at once with its reason; one that has ended is 409', async () => {
  await using s = await realServer();
  const id = await s.create(GATED);
  const { status, json } = await s.ask(`/v1/tasks/${id}`, { method: 'DELETE', body: { error_message: 'wrong order' } });
  assert.equal(status, 200);
  assert.equal(json.status, 'cancelled');
  assert.match(json.error.message, /wrong order/);
  const { json: steps } = await s.ask(`/v1/tasks/${id}/workflow_steps`);
  for (const step of steps.slice(1)) {
    assert.equal(step.current_state, 'cancelled');
    assert.match(step.error.message, /wrong order/);
  }
  const again = await s.ask(`/v1/tasks/${id}`, { method: 'DELETE' });
  assert.deepEqual([again.status, again.json.error.details], [409, { state: 'cancelled', legal: ['purge', 'copy', 'archive'] }]);
  const done = await s.create(ORDER);
  await s.ended(done);
  const late = await s.ask(`/v1/tasks/${done}`, { method: 'DELETE' });
  assert.deepEqual([late.status, late.json.error.details], [409, { state: 'complete', legal: ['purge', 'copy', 'link', 'archive'] }]);
  const raced = await s.create(GATED);
  const both = await Promise.all([1, 2].map(() => s.ask(`/v1/tasks/${raced}`, { method: 'DELETE' })));
  const lost = both.find((a) => a.status === 409);
  assert.deepEqual(lost?.json.error.details, { state: 'cancelled', legal: ['purge', 'copy', 'archive'] }, 'and where both came at once');
  const silent = await s.create(GATED);
  assert.equal((await s.ask(`/v1/tasks/${silent}`, { method: 'DELETE' })).json.error.message, 'Cancelled by user');
});

test('PATCH and purge, and 409 where the state does not allow them', async () => {
  await using s = await realServer();
  const id = await s.create(GATED);
  const { json } = await s.ask(`/v1/tasks/${id}`, { method: 'PATCH', body: { priority: 0, tags: ['now'] } });
  assert.deepEqual([json.priority, json.tags], [0, ['now']]);
  assert.deepEqual((await s.ask('/v1/tasks?tag=now')).json.tasks[0].priority, 0);
  assert.equal((await s.ask(`/v1/tasks/${id}?purge=true`, { method: 'DELETE' })).status, 409);
  s.gate.open();
  await s.ended(id);
  assert.equal((await s.ask(`/v1/tasks/${id}`, { method: 'PATCH', body: { priority: 1 } })).status, 409);
  assert.equal((await s.ask(`/v1/tasks/${id}?purge=true`, { method: 'DELETE' })).status, 204);
  for (const path of ['', '/workflow_steps', '/audit', '/events']) assert.equal((await s.ask(`/v1/tasks/${id}${path}`)).status, 404, path);
});

test('audit, explain and log of a step', async () => {
  await using s = await realServer();
  const id = await s.create(GATED);
  const { json: explained } = await s.ask(`/v1/tasks/${id}/explain`);
  assert.deepEqual(
    explained.map((e: { name: string }) => e.name),
    ['first', 'held', 'last'],
  );
  assert.ok(explained[2].gates.some((g: { kind: string }) => g.kind === 'dependency'));
  assert.equal((await s.ask(`/v1/tasks/${id}/explain?step=last`)).json.length, 1);
  s.gate.open();
  await s.ended(id);
  const { json: audit } = await s.ask(`/v1/tasks/${id}/workflow_steps/held/audit`);
  assert.equal(audit.length, 1);
  assert.deepEqual([audit[0].success, audit[0].step_name, audit[0].to_state, audit[0].task_uuid], [true, 'held', 'enqueued_for_orchestration', id]);
  assert.equal((await s.ask(`/v1/tasks/${id}/audit`)).json.length, 3);
  assert.deepEqual(
    (await s.ask(`/v1/tasks/${id}/workflow_steps/held/log`)).json.map((l: { message: string }) => l.message),
    ['waiting'],
  );
});

test('the version may be left out; priority and attribution are kept', async () => {
  await using s = await realServer();
  const correlation = '0192aaaa-0000-7000-8000-00000000000a';
  const id = await s.create({
    namespace: 'orders',
    name: 'order_fulfillment',
    priority: 1,
    tags: ['a', 'b'],
    initiator: 'ann',
    source_system: 'shop',
    reason: 'why',
    correlation_id: correlation,
    parent_correlation_id: correlation,
    options: { x: 1 },
  });
  const { json } = await s.ask(`/v1/tasks/${id}`);
  assert.deepEqual(
    [json.version, json.priority, json.tags, json.initiator, json.source_system, json.reason, json.correlation_id, json.parent_correlation_id],
    ['1.0.0', 1, ['a', 'b'], 'ann', 'shop', 'why', correlation, correlation],
  );
});

test('what the real engine answers is what the document promises', async () => {
  await using s = await realServer();
  const id = await s.create(ORDER);
  await s.ended(id);
  for (const [path, schema] of [
    [`/v1/tasks/${id}`, wire.task.strict()],
    ['/v1/tasks', wire.taskList.strict()],
    [`/v1/tasks/${id}/workflow_steps`, wire.step.strict().array()],
    [`/v1/tasks/${id}/audit`, wire.auditRow.strict().array()],
    [`/v1/tasks/${id}/explain`, wire.stepExplanation.strict().array()],
    ['/v1/templates', wire.templateList.strict()],
    ['/v1/templates/orders/order_fulfillment/1.0.0', wire.templateDetail.strict()],
    ['/health/detailed', wire.healthDetail.strict()],
  ] as const) {
    const { json } = await s.ask(path);
    const checked = schema.safeParse(json);
    assert.ok(checked.success, `${path}: ${checked.success ? '' : JSON.stringify(checked.error.issues)}`);
  }
  const { json } = await s.ask('/v1/templates/orders/order_fulfillment/1.0.0');
  assert.equal(json.input_schema.properties.amount.type, 'number');
});

test('the metrics of the real engine move with its work', async () => {
  await using s = await realServer();
  await s.ended(await s.create(ORDER));
  const { text } = await s.ask('/metrics');
  const value = (sample: string): number =>
    Number(
      text
        .split('\n')
        .find((l) => l.startsWith(`${sample} `))
        ?.slice(sample.length + 1),
    );
  assert.equal(value('tutti_tasks_submitted_total'), 1);
  assert.equal(value('tutti_tasks_finished_total{state="complete"}'), 1);
  assert.equal(value('tutti_attempts_total{event="completed"}'), 4);
  assert.equal(value('tutti_slots'), 50);
  assert.equal(value('tutti_reconciler_repairs_total'), 0);
  for (const sample of ['tutti_turns_total', 'tutti_commit_seconds_count', 'tutti_turn_rows_sum', 'tutti_actor_handled_total{actor="result_processor"}']) {
    assert.ok(value(sample) > 0, sample);
  }
});
