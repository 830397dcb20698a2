/** /v1/trees over the real engine. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { HttpClient } from '../../src/sdk/client/http-client.ts';
import type { Answer } from '../support/http-client.ts';
import { realServer, type RealServer } from './real-server.ts';

const post = (body: unknown) => ({ method: 'POST', body: body as Record<string, unknown> });

async function treeServer(): Promise<RealServer> {
  const server = await realServer();
  server.tutti.handler('noop', () => 1);
  server.tutti.handler('gated', async ({ signal }) => {
    await Promise.race([server.gate.opened, new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('told to stop'))))]);
    return 2;
  });
  return server;
}

const noop = (name: string, more: Record<string, unknown> = {}) => ({ name, params: { executor_id: 'noop' }, ...more });

async function sendLines(url: string, lines: Iterable<string>): Promise<Pick<Answer, 'status' | 'json'>> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: Readable.toWeb(Readable.from(lines, { objectMode: false })) as unknown as ReadableStream,
    duplex: 'half',
  } as RequestInit);
  return { status: response.status, json: (await response.json()) as Answer['json'] };
}

test('an array of elements is a task: 201, its address, roots and ids', async () => {
  await using s = await treeServer();
  const { status, headers, json } = await s.ask('/v1/trees', post([noop('a', { id: 'A' }), noop('b', { parent_id: 'A', dependencies: [{ id: 'A' }] })]));
  assert.equal(status, 201);
  assert.equal(headers.location, `/v1/trees/${json.task_uuid}`);
  assert.equal(json.total_steps, 2);
  assert.deepEqual(Object.keys(json.elements), ['A', 'b']);
  assert.deepEqual(json.roots, [json.elements.A]);
  await s.ended(json.task_uuid);
  const { json: tree } = await s.ask(`/v1/trees/${json.task_uuid}`);
  assert.deepEqual([tree.tree_status, tree.tree_progress, tree.child_count, tree.next_cursor], ['completed', 1, 1, null]);
  const [a] = tree.children;
  assert.deepEqual([a.id, a.name, a.status, a.children[0].name, a.children[0].parent_id], ['A', 'a', 'completed', 'b', a.step_uuid]);
  const { json: steps } = await s.ask(`/v1/tasks/${json.task_uuid}/workflow_steps?inputs=true`);
  assert.deepEqual(steps[0].inputs, {});
  assert.deepEqual(steps[0].params, { executor_id: 'noop' });
});

test('a dependency is shown by the id of its step, with its type (rows 2 and 14)', async () => {
  await using s = await treeServer();
  const sent = [noop('a', { id: 'A' }), noop('b'), noop('c', { dependencies: ['a', { name: 'b', required: false, type: 'order' }] })];
  const { json } = await s.ask('/v1/trees', post(sent));
  await s.ended(json.task_uuid);
  const shown = [
    { id: 'A', name: 'a', required: true, type: 'result' },
    { id: json.elements.b, name: 'b', required: false, type: 'order' },
  ];
  assert.deepEqual((await s.ask(`/v1/tasks/${json.task_uuid}/workflow_steps/c`)).json.dependencies, shown);
  assert.deepEqual((await s.ask(`/v1/tasks/${json.task_uuid}`)).json.steps[2].dependencies, shown);
  const { json: copy } = await s.ask(`/v1/tasks/${json.task_uuid}/copy`, post({}));
  const copied = (await s.ask(`/v1/tasks/${copy.task_uuid}/workflow_steps`)).json as { id: string; dependencies: object[] }[];
  assert.deepEqual(copied[2].dependencies, [
    { ...shown[0], id: copied[0].id },
    { ...shown[1], id: copied[1].id },
  ]);
  const order = await s.create({ name: 'order_fulfillment', namespace: 'orders' });
  const [first, second] = (await s.ask(`/v1/tasks/${order}/workflow_steps`)).json as { id: string; name: string; dependencies: object[] }[];
  assert.deepEqual(second.dependencies, [{ id: first.id, name: first.name, required: true, type: 'result' }]);
});

test('what address and body say differently is 400, and what they say alike is taken', async () => {
  await using s = await treeServer();
  for (const [query, said] of [
    ['key=k', { key: 'other' }],
    ['priority=1', { priority: 2 }],
    ['execute=false', { execute: true }],
    ['tag=a,b', { tags: ['a'] }],
  ] as const) {
    const { status, json } = await s.ask(`/v1/trees?${query}`, post({ tasks: [noop('a')], ...said }));
    const [field] = Object.keys(said);
    assert.deepEqual([status, json.error.code, json.error.field], [400, 'INVALID_INPUT', field]);
    assert.match(json.error.message, /in the address and .* in the body differ$/);
  }
  const { status, json } = await s.ask('/v1/trees?key=k&tag=a,b&priority=1', post({ tasks: [noop('a')], key: 'k', tags: ['a', 'b'] }));
  assert.deepEqual([status, json.key, json.tags, json.priority], [201, 'k', ['a', 'b'], 1]);
});

test('every step route takes a supplied id; /v1/steps finds it without its task', async () => {
  await using s = await treeServer();
  const id = 'my / odd % id';
  const { json } = await s.ask('/v1/trees', post({ tasks: [noop('a', { id })], key: 'k1', tags: ['x'] }));
  assert.equal(json.key, 'k1');
  await s.ended(json.task_uuid);
  const step = encodeURIComponent(id);
  for (const path of ['', '/audit', '/log']) assert.equal((await s.ask(`/v1/tasks/${json.task_uuid}/workflow_steps/${step}${path}`)).status, 200);
  assert.equal((await s.ask(`/v1/tasks/${json.task_uuid}/explain?step=${step}`)).status, 200);
  assert.equal((await s.ask(`/v1/steps/${step}`)).json.task_uuid, json.task_uuid);
  assert.equal((await s.ask('/v1/steps/nobody')).status, 404);
  assert.equal((await s.ask('/v1/tasks?key=k1')).json.tasks.length, 1);
  assert.equal((await s.ask('/v1/trees', post([noop('a', { id })]))).status, 409);
});

test('refusals name the element and store nothing', async () => {
  await using s = await treeServer();
  for (const [body, status, code, field] of [
    [[], 400, 'INVALID_INPUT', 'tasks'],
    [[noop('a', { dependencies: ['zz'] })], 400, 'INVALID_INPUT', '[0].dependencies[0]'],
    [[{ name: 'a', params: { executor_id: 'nobody' } }], 422, 'UNKNOWN_HANDLER', '[0].params.executor_id'],
    [{ tasks: [noop('a')], excute: true }, 400, 'INVALID_INPUT', 'excute'],
    [{ tasks: 7 }, 400, 'INVALID_INPUT', 'tasks'],
    [{}, 400, 'INVALID_INPUT', 'tasks'],
  ] as [unknown, number, string, string][]) {
    const answer = await s.ask('/v1/trees', post(body));
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.json.error.code, code);
    assert.equal(answer.json.error.field, field);
  }
  assert.deepEqual((await s.ask('/v1/tasks')).json.tasks, []);
});

test('execute: false stores it; execute lets it run; steps are added meanwhile; one is cancelled', async () => {
  await using s = await treeServer();
  const { json } = await s.ask('/v1/trees', post({ tasks: [noop('a'), { name: 'g', handler: 'gated', parent_id: 'a' }], execute: false }));
  assert.equal(json.status, 'pending');
  assert.equal(json.simple_status, 'pending');
  const at = `/v1/trees/${json.task_uuid}`;
  assert.equal((await s.ask(`${at}/execute`, { method: 'POST' })).status, 200);
  const again = await s.ask(`${at}/execute`, { method: 'POST' });
  assert.equal(again.status, 409);
  const added = await s.ask(`${at}/steps`, post([noop('c', { id: 'C', parent_id: 'g', dependencies: ['g'] })]));
  assert.equal(added.status, 201);
  assert.deepEqual([added.json[0].id, added.json[0].name], ['C', 'c']);
  const cancelled = await s.ask(`/v1/tasks/${json.task_uuid}/workflow_steps/g/cancel`, post({ error_message: 'not needed' }));
  assert.deepEqual([cancelled.status, cancelled.json.current_state, cancelled.json.error.message], [200, 'cancelled', 'not needed']);
  await s.ended(json.task_uuid);
  const late = await s.ask(`${at}/steps`, post([noop('d')]));
  assert.deepEqual([late.status, late.json.error.code], [409, 'ILLEGAL_STATE']);
  const twice = await s.ask(`/v1/tasks/${json.task_uuid}/workflow_steps/C/cancel`, { method: 'POST' });
  assert.deepEqual([twice.status, twice.json.error.details.current_status], [409, 'cancelled']);
});

test('lines: one element each, as the address says; a broken one is named and stores nothing', async () => {
  await using s = await treeServer();
  const line = (e: unknown): string => `${JSON.stringify(e)}\n`;
  const { status, json } = await sendLines(`${s.url}/v1/trees?execute=false&key=k&tag=x,y&priority=1`, [
    line(noop('a')),
    '\n',
    line(noop('b', { parent_id: 'a' })).trim(),
  ]);
  assert.equal(status, 201);
  assert.deepEqual([json.status, json.key, json.tags, json.priority, json.total_steps], ['pending', 'k', ['x', 'y'], 1, 2]);
  const broken = await sendLines(`${s.url}/v1/trees`, [line(noop('a')), '{"name":\n']);
  assert.deepEqual([broken.status, broken.json.error.code, broken.json.error.field], [400, 'INVALID_JSON', 'line 2']);
  const elsewhere = await sendLines(`${s.url}/v1/tasks`, [line({ name: 'a' })]);
  assert.deepEqual([elsewhere.status, elsewhere.json.error.code], [415, 'UNSUPPORTED_MEDIA_TYPE']);
  assert.equal((await s.ask('/v1/tasks')).json.tasks.length, 1);
});

test('100,000 elements come as lines, far beyond what a JSON body may be, and are read in parts', { timeout: 120_000 }, async () => {
  await using s = await treeServer();
  const N = 100_000;
  const client = new HttpClient({ url: s.url, wait: async () => {} });
  function* elements(): Generator<unknown> {
    yield { name: 'root' };
    for (let i = 1; i < N; i++) yield noop(`n${i}`, { id: `id-${i}`, parent_id: i <= 100 ? 'root' : `n${i % 100 || 100}`, inputs: { text: 'x'.repeat(60) } });
  }
  const created = await client.createTree(elements(), { execute: false });
  assert.equal(created.total_steps, N);
  assert.equal(created.elements, null);
  const whole = await client.tree(created.task_uuid);
  assert.equal(whole.child_count, 1);
  const [root] = whole.children;
  assert.equal(root.child_count, 100);
  assert.equal(root.children.length, 100);
  const shown = 1 + 100 + root.children.reduce((sum, c) => sum + c.children.length, 0);
  assert.equal(shown, 1000);
  const last = await client.findStep(`id-${N - 1}`);
  assert.equal(last.name, `n${N - 1}`);
  assert.equal((await client.cancelStep(created.task_uuid, `id-${N - 1}`)).current_state, 'cancelled');
});
