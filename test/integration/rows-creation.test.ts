/** Rows of the behaviour list about creation, listing and cancellation, through the real server or the real engine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GATED, ORDER, realServer } from '../api/real-server.ts';
import { staged } from '../support/staged-task.ts';
import { diamond, graph, linear } from '../support/template-fixtures.ts';

test('row 73: an unknown template is 404 and stores nothing', async () => {
  await using s = await realServer();
  const { status, json } = await s.ask('/v1/tasks', { method: 'POST', body: { ...ORDER, name: 'nobody_knows' } });
  assert.equal(status, 404);
  assert.equal(json.error.code, 'TEMPLATE_NOT_FOUND');
  assert.deepEqual((await s.ask('/v1/tasks')).json.tasks, []);
});

const deep = (n: number): unknown => (n === 0 ? 1 : { a: deep(n - 1) });
const BAD: [string, unknown][] = [
  ['an empty name', { ...ORDER, name: '' }],
  ['a context that is an array', { ...ORDER, context: [1] }],
  ['a context that is a text', { ...ORDER, context: 'x' }],
  ['a context above 1 MiB', { ...ORDER, context: Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`k${i}`, 'x'.repeat(9_900)])) }],
  ['a context 11 deep', { ...ORDER, context: deep(11) }],
  ['a text above 10,000 characters', { ...ORDER, context: { a: 'x'.repeat(10_001) } }],
];

test('row 74: what cannot be a request is refused, and stores nothing', async () => {
  await using s = await realServer();
  for (const [what, body] of BAD) {
    const { status, json } = await s.ask('/v1/tasks', { method: 'POST', body });
    assert.ok(status === 400 || (status === 413 && what.includes('1 MiB')), `${what}: ${status}`);
    assert.ok(typeof json.error.code === 'string' && json.error.message.length > 0, what);
  }
  assert.deepEqual((await s.ask('/v1/tasks')).json.tasks, []);
});

test('row 74b: a permanent failure of the first step at its first try blocks the task, the decision never runs', async () => {
  const routing = graph('approval_routing', [{ name: 'validate_request' }, { name: 'routing_decision', after: ['validate_request'] }], { policy: 'block' });
  const s = await staged(routing, { attempts: { validate_request: ['permanent'] }, input: { amount: -1 } });
  try {
    assert.equal(s.steps.validate_request.state, 'error');
    assert.equal(s.steps.validate_request.attempts, 1);
    assert.deepEqual(
      s.world.dispatches.map((a) => a.stepName),
      ['validate_request'],
    );
    assert.equal(s.task.state, 'blocked_by_failures');
  } finally {
    s.close();
  }
});

test('row 76: a diamond is accepted', async () => {
  const s = await staged(diamond(), {});
  try {
    assert.equal(s.world.engine.templates().length, 1);
    assert.equal(s.task.state, 'complete');
  } finally {
    s.close();
  }
});

test('row 85: page 2 of 30 tasks by tens', async () => {
  await using s = await realServer();
  for (let i = 0; i < 30; i++) await s.create({ ...ORDER, context: { order_id: `o${i}` } });
  const { status, json } = await s.ask('/v1/tasks?page=2&per_page=10');
  assert.equal(status, 200);
  assert.equal(json.tasks.length, 10);
  assert.equal(json.pagination.total_count, 30);
  assert.equal(json.pagination.has_next, true);
  assert.equal(json.pagination.has_previous, true);
});

test('row 86: per_page 0 or 101 and page 0 are refused', async () => {
  await using s = await realServer();
  for (const q of ['page=1&per_page=0', 'page=1&per_page=101', 'page=0&per_page=10']) assert.equal((await s.ask(`/v1/tasks?${q}`)).status, 400, q);
});

test('row 83: a cancel ends a running task in its commit; one that has ended is refused and stays as it was', async () => {
  await using s = await realServer();
  const id = await s.create(GATED);
  const cancelled = await s.ask(`/v1/tasks/${id}`, { method: 'DELETE', body: { error_message: 'not wanted' } });
  assert.equal(cancelled.status, 200);
  assert.equal(cancelled.json.status, 'cancelled');
  const again = await s.ask(`/v1/tasks/${id}`, { method: 'DELETE' });
  assert.ok(again.status === 400 || again.status === 409, `${again.status}`);
  const { json } = await s.ask(`/v1/tasks/${id}`);
  assert.equal(json.status, 'cancelled');
  assert.match(json.error.message, /not wanted/);
});

test('row 119: right after its creation a task is past pending', async () => {
  const s = await staged(linear(), { delayMs: 1_000, watchMs: 0 });
  try {
    assert.equal(s.task.state, 'steps_in_process');
    assert.equal(s.steps.step_1.state, 'in_progress');
  } finally {
    s.close();
  }
});
