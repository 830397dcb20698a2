/** Ad hoc trees over a real engine: rows of spec/apflow.md §8.1 to §8.3, by number, and what is added to a tree later. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TreeElement } from '../../src/core/tree-element.ts';
import { Tutti, type TaskHandle, type UntypedStepContext } from '../../src/main.ts';
import { Gate } from '../api/real-server.ts';

interface Bench extends AsyncDisposable {
  tutti: Tutti;
  ran: string[];
  gate: Gate;
  /** Opens when `held` has begun. */
  begun: Gate;
}

/** Handlers: work gives {by: name}, nothing gives null, boom throws, held waits for the gate. */
async function bench(slots?: number): Promise<Bench> {
  const ran: string[] = [];
  const gate = new Gate();
  const begun = new Gate();
  const name = (ctx: UntypedStepContext): string => (ctx.inputs as { who?: string }).who ?? '';
  const tutti = await Tutti.open({
    store: ':memory:',
    slots,
    retention: false,
    grace: 1000,
    logger: () => {},
    handlers: {
      work: (ctx: UntypedStepContext) => {
        ran.push(name(ctx));
        return { by: name(ctx) };
      },
      nothing: () => null,
      boom: () => {
        throw new Error('boom');
      },
      held: async (ctx: UntypedStepContext) => {
        ran.push(name(ctx));
        begun.open();
        await Promise.race([gate.opened, new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(new Error('told to stop'))))]);
        return { by: name(ctx) };
      },
    },
  });
  return {
    tutti,
    ran,
    gate,
    begun,
    async [Symbol.asyncDispose]() {
      gate.open();
      await tutti.close({ drain: 5000 });
    },
  };
}

const work = (name: string, more: Partial<TreeElement> = {}): TreeElement => ({ name, handler: 'work', inputs: { who: name }, ...more });
const once = { retry: { max_attempts: 1 } };
const refused = (message: RegExp, code = 'INVALID_INPUT') => ({ code, message });
const states = async (t: TaskHandle): Promise<Record<string, string>> => Object.fromEntries((await t.steps()).map((s) => [s.name, s.state]));

test('8.1 row 1: elements keep their ids and parents, in one task', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([work('a', { id: 'A' }), work('b', { id: 'B', parent_id: 'A' })]);
  await t.done();
  const [a, c] = await t.steps();
  assert.deepEqual([a.elementId, c.elementId, a.parentId, c.parentId], ['A', 'B', null, a.id]);
  assert.equal((await b.tutti.engine.findElement('B')).taskId, t.id);
  assert.equal((await t.step('B')).name, 'b');
  assert.equal((await t.step(c.id)).name, 'b');
});

test('8.1 rows 2, 13: references by name, a chain', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([work('a'), work('b', { dependencies: [{ name: 'a' }] }), work('c', { dependencies: ['b'] })]);
  assert.deepEqual(await t.result(), { c: { by: 'c' } });
  assert.deepEqual(b.ran, ['a', 'b', 'c']);
  assert.deepEqual((await t.step('b')).dependencies, [{ id: (await t.step('a')).id, name: 'a', required: true, type: 'result' }]);
});

test('8.1 row 4: no user_id is nobody; one is kept on task and step', async () => {
  await using b = await bench();
  assert.equal((await (await b.tutti.submitTree([work('a')])).view()).userId, null);
  const t = await b.tutti.submitTree([work('a', { user_id: 'u1' })]);
  assert.equal((await t.view()).userId, 'u1');
  assert.equal((await t.step('a')).userId, 'u1');
});

test('8.1 rows 5, 7, 10, 11, 17: what is refused stores nothing', async () => {
  await using b = await bench();
  const cases: [TreeElement[], RegExp][] = [
    [[], /Tasks array cannot be empty/],
    [[work('a', { id: 'x' }), work('b', { id: 'x' })], /Duplicate task id/],
    [[work('a'), work('a')], /Duplicate task name/],
    [[work('a', { dependencies: ['zz'] })], /not a valid id or name in the task array/],
    [[work('a', { dependencies: [{ required: true }] })], /not a valid id or name in the task array/],
    [[work('a'), work('b')], /Multiple root tasks found/],
    [[work('root'), work('p', { parent_id: 'q' }), work('q', { parent_id: 'p' })], /Circular parent/],
    [[work('a', { dependencies: ['b'] }), work('b', { dependencies: ['a'] })], /Circular dependency detected/],
  ];
  for (const [elements, message] of cases) await assert.rejects(b.tutti.submitTree(elements), refused(message));
  await assert.rejects(b.tutti.submitTree([{ name: 'a', params: { executor_id: 'wrok' } }]), refused(/did you mean "work"/, 'UNKNOWN_HANDLER'));
  assert.deepEqual((await b.tutti.list()).tasks, []);
});

test('8.1 row 8: an id that is stored, or on its way, is taken', async () => {
  await using b = await bench();
  await b.tutti.submitTree([work('a', { id: 'mine' })]);
  await assert.rejects(b.tutti.submitTree([work('a', { id: 'mine' })]), refused(/already exists in database/, 'ALREADY_EXISTS'));
  const both = await Promise.allSettled([b.tutti.submitTree([work('a', { id: 'twin' })]), b.tutti.submitTree([work('a', { id: 'twin' })])]);
  assert.deepEqual(both.map((r) => r.status).sort(), ['fulfilled', 'rejected']);
  // What was refused holds nothing.
  await b.tutti.submitTree([work('c', { id: 'other' })]);
});

test('8.1 rows 14, 16: required, type and children are kept', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([
    { name: 'root' },
    work('a', { parent_id: 'root' }),
    work('b', { parent_id: 'root', dependencies: [{ name: 'a', required: false, type: 'x' }] }),
  ]);
  await t.done();
  const a = await t.step('a');
  assert.deepEqual((await t.step('b')).dependencies, [{ id: a.id, name: 'a', required: false, type: 'x' }]);
  assert.equal((await t.step('root')).hasChildren, true);
  const tree = await t.tree();
  assert.deepEqual(
    tree.children[0].children.map((c) => c.step.name),
    ['a', 'b'],
  );
  assert.equal(tree.children[0].childCount, 2);
});

test('8.2 rows 19, 20: without dependencies ready, behind one not', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([work('a', { handler: 'held' }), work('b', { dependencies: ['a'] })]);
  await b.begun.opened;
  assert.equal((await t.step('b')).dependenciesSatisfied, false);
  b.gate.open();
  assert.deepEqual(await t.result(), { b: { by: 'b' } });
});

test('8.2 rows 22, 23: an optional dependency is awaited until it ends; a failed one gives nothing', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([
    { name: 'a', handler: 'boom', ...once },
    work('slow', { handler: 'held' }),
    work('b', {
      dependencies: [
        { name: 'a', required: false },
        { name: 'slow', required: false },
      ],
    }),
  ]);
  await b.begun.opened;
  assert.equal((await t.step('b')).state, 'pending');
  b.gate.open();
  assert.equal((await t.done()).state, 'complete');
  assert.deepEqual(await states(t), { a: 'error', slow: 'complete', b: 'complete' });
});

test('completed with null satisfies', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([{ name: 'a', handler: 'nothing' }, work('b', { dependencies: ['a'] })]);
  assert.deepEqual(await t.result(), { b: { by: 'b' } });
});

test('8.2 rows 25, 26: dependencies before priorities; among the ready 0, 1, 2, 3', async () => {
  await using b = await bench(1);
  const first = await b.tutti.submitTree([work('a', { priority: 2 }), work('b', { priority: 0, dependencies: ['a'] })]);
  await first.done();
  assert.deepEqual(b.ran, ['a', 'b']);
  const t = await b.tutti.submitTree([{ name: 'root' }, ...[3, 1, 0, 2].map((p) => work(`p${p}`, { parent_id: 'root', priority: p }))]);
  await t.done();
  assert.deepEqual(b.ran.slice(2), ['p0', 'p1', 'p2', 'p3']);
});

test('8.2 rows 28, 29: the join of a diamond runs once, after all; the root of a pipeline first', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([
    work('root'),
    work('left', { parent_id: 'root', dependencies: ['root'] }),
    work('right', { parent_id: 'root', dependencies: ['root'] }),
    work('join', { parent_id: 'root', dependencies: ['left', 'right'] }),
  ]);
  await t.done();
  assert.equal(b.ran.length, 4);
  assert.equal(b.ran[0], 'root');
  assert.equal(b.ran[3], 'join');
});

test('8.2 row 32: an aggregate has results by name and by id', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([
    ...['x', 'y', 'z'].map((n) => work(n, { id: `id-${n}` })),
    { name: 'all', params: { executor_id: 'aggregate_results_executor' }, dependencies: ['x', 'y', 'z'] },
  ]);
  const { all } = (await t.result()) as { all: { results: object; results_by_id: object; result_count: number } };
  assert.equal(all.result_count, 3);
  assert.deepEqual(all.results, { x: { by: 'x' }, y: { by: 'y' }, z: { by: 'z' } });
  assert.deepEqual(Object.keys(all.results_by_id).sort(), ['id-x', 'id-y', 'id-z']);
});

test('8.2 row 34: status and progress of a tree are those of what stands in it', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([{ name: 'root' }, work('a', { parent_id: 'root' }), { name: 'b', handler: 'boom', parent_id: 'root', ...once }]);
  await t.done();
  const [root] = (await t.tree()).children;
  assert.equal(root.step.simpleStatus, 'completed');
  assert.equal(root.status, 'failed');
  assert.equal(root.progress, 0.5);
});

test('a parent that failed shows so in the tree, although its children are complete', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([{ name: 'top' }, { name: 'root', handler: 'boom', parent_id: 'top', ...once }, work('a', { parent_id: 'root' })]);
  await t.done();
  const tree = await t.tree();
  const [top] = tree.children;
  const [root] = top.children;
  assert.deepEqual([root.step.simpleStatus, root.status, root.children[0].status, root.progress], ['failed', 'failed', 'completed', 1]);
  assert.deepEqual([top.step.simpleStatus, top.status, tree.status], ['completed', 'failed', 'failed']);
});

test('8.3 row 35: everything completed, results stored, progress 1', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([work('root'), work('a', { parent_id: 'root' })]);
  await t.done();
  const view = await t.view();
  assert.deepEqual([view.simpleStatus, view.progress, view.totalSteps], ['completed', 1, 2]);
  assert.deepEqual(
    (await t.steps()).map((s) => s.result),
    [{ by: 'root' }, { by: 'a' }],
  );
});

test('8.3 rows 41 and 46: a running task is not begun again; nobody is refused', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([work('a', { handler: 'held' })], { execute: false });
  assert.equal((await t.view()).state, 'pending');
  assert.deepEqual(b.ran, []);
  await t.execute();
  await b.begun.opened;
  await assert.rejects(t.execute(), refused(/running already/, 'ILLEGAL_STATE'));
  b.gate.open();
  await t.done();
  assert.deepEqual(b.ran, ['a']);
  await assert.rejects(t.execute(), refused(/has ended/, 'ILLEGAL_STATE'));
  await assert.rejects(b.tutti.engine.executeTree('01900000-0000-7000-8000-000000000000'), { code: 'NOT_FOUND' });
});

test('8.3 rows 47, 50: cancel of one step: its own error, its dependants with it, the rest goes on; then it is refused', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([
    { name: 'root' },
    { name: 'pre', handler: 'nothing' },
    work('a', { parent_id: 'root', handler: 'held', id: 'A', dependencies: ['pre'] }),
    work('b', { dependencies: ['a'] }),
    work('c', { parent_id: 'root' }),
  ]);
  await b.begun.opened;
  await assert.rejects(
    t.cancelStep('pre'),
    (e: { code: string; details?: Record<string, unknown> }) => e.code === 'ILLEGAL_STATE' && e.details?.current_status === 'completed',
  );
  const step = await t.cancelStep('A', { reason: 'no longer wanted' });
  assert.deepEqual([step.state, step.error?.message, step.simpleStatus], ['cancelled', 'no longer wanted', 'cancelled']);
  await t.done();
  assert.deepEqual(await states(t), { root: 'complete', pre: 'complete', a: 'cancelled', b: 'cancelled', c: 'complete' });
  assert.equal((await t.step('b')).reason, 'dependency_failed');
  await assert.rejects(t.cancelStep('A'), { code: 'ILLEGAL_STATE' });
});

test('a key is unique among live tasks, of trees as of a template, and finds them', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([work('a', { handler: 'held' })], { key: 's3://bucket/file' });
  await assert.rejects(b.tutti.submitTree([work('a')], { key: 's3://bucket/file' }), refused(/has the key/, 'ALREADY_EXISTS'));
  b.gate.open();
  await t.done();
  const again = await b.tutti.submitTree([work('a')], { key: 's3://bucket/file' });
  await again.done();
  assert.deepEqual(
    (await b.tutti.list({ key: 's3://bucket/file' })).tasks.map((x) => x.id),
    [again.id, t.id],
  );
  const both = await Promise.allSettled(['x', 'y'].map((n) => b.tutti.submitTree([work(n)], { key: 'twin' })));
  assert.deepEqual(both.map((r) => r.status).sort(), ['fulfilled', 'rejected']);
  await assert.rejects(b.tutti.submitTree([work('a')], { key: '' }), refused(/1 to 255/));
});

test('steps are added until the task has ended; on what has ended they are decided at once', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([work('a'), work('hold', { handler: 'held', dependencies: ['a'] })]);
  await b.begun.opened;
  const [c, d] = await t.addSteps([work('c', { id: 'C', parent_id: 'hold', dependencies: ['a'] }), work('d', { dependencies: ['C', 'hold'] })]);
  assert.deepEqual([c.elementId, c.parentId, c.inputs], ['C', (await t.step('hold')).id, { who: 'c' }]);
  assert.deepEqual(
    d.dependencies.map((x) => x.name),
    ['c', 'hold'],
  );
  await assert.rejects(t.addSteps([work('a')]), refused(/Duplicate task name/));
  await assert.rejects(t.addSteps([work('n', { id: 'C' })]), refused(/already exists/, 'ALREADY_EXISTS'));
  await assert.rejects(t.addSteps([work('n', { dependencies: ['nobody'] })]), refused(/not a valid id or name/));
  await assert.rejects(t.addSteps([work('n', { parent_id: 'a', tied: true })]), refused(/takes no more tied children/, 'ILLEGAL_STATE'));
  b.gate.open();
  assert.equal((await t.done()).state, 'complete');
  assert.deepEqual(await states(t), { a: 'complete', hold: 'complete', c: 'complete', d: 'complete' });
  assert.equal((await t.view()).totalSteps, 4);
  await assert.rejects(t.addSteps([work('late')]), refused(/has ended/, 'ILLEGAL_STATE'));
});

test('a tied child that would wait for its own parent is refused, however long the way', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree([work('p', { handler: 'held' }), work('q', { dependencies: ['p'] }), work('r', { dependencies: ['q'] })]);
  await b.begun.opened;
  await assert.rejects(t.addSteps([work('child', { parent_id: 'p', tied: true, dependencies: ['r'] })]), refused(/Circular dependency/));
  await assert.rejects(
    t.addSteps([work('box', { parent_id: 'p', tied: true }), work('child', { parent_id: 'box', tied: true, dependencies: ['q'] })]),
    refused(/Circular dependency/),
  );
  await t.addSteps([work('child', { parent_id: 'p', tied: true })]);
  b.gate.open();
  assert.equal((await t.done()).state, 'complete');
});

test('what is held runs nothing, whatever is done to it; let go, everything that may run does', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree(
    [work('a'), work('b', { dependencies: [{ name: 'a', required: false }] }), { name: 'f', children: [work('g')] }, work('c', { dependencies: ['f', 'b'] })],
    { execute: false },
  );
  await t.addSteps([work('late', { dependencies: ['a'] }), work('free', { parent_id: 'f' })]);
  await t.cancelStep('a');
  assert.deepEqual(b.ran, []);
  assert.equal((await t.view()).state, 'pending');
  assert.deepEqual((await t.step('b')).state, 'pending');
  await t.execute();
  assert.equal((await t.done()).state, 'complete');
  assert.deepEqual(new Set(b.ran), new Set(['b', 'c', 'free', 'g']));
  assert.deepEqual((await states(t)).late, 'cancelled');
});

test('a large tree is shown in parts, each with the way to the next', async () => {
  await using b = await bench();
  const t = await b.tutti.submitTree(
    [{ name: 'root' }, ...Array.from({ length: 2500 }, (_, i): TreeElement => ({ name: `n${i}`, handler: 'nothing', parent_id: 'root' }))],
    { execute: false },
  );
  const names: string[] = [];
  const top = await t.tree({ depth: 1 });
  assert.deepEqual([top.childCount, top.children.length, top.children[0].childCount, top.children[0].children.length], [1, 1, 2500, 0]);
  for (let cursor: string | undefined; ; ) {
    const page = await t.tree({ parent: 'root', limit: 1000, cursor });
    assert.ok(page.children.length <= 1000);
    names.push(...page.children.map((c) => c.step.name));
    if (page.nextCursor === null) break;
    cursor = page.nextCursor;
  }
  assert.deepEqual(
    names,
    Array.from({ length: 2500 }, (_, i) => `n${i}`),
  );
  await assert.rejects(t.tree({ cursor: 'zz' }), { code: 'INVALID_CURSOR' });
  await assert.rejects(t.tree({ parent: 'n3', cursor: top.children[0].nextCursor! }), { code: 'INVALID_CURSOR' });
  await assert.rejects(t.tree({ limit: 0 }), { code: 'INVALID_INPUT' });
  // All of it may run, and is counted.
  await t.execute();
  assert.equal((await t.done()).state, 'complete');
  assert.equal((await t.view()).completedSteps, 2501);
});
