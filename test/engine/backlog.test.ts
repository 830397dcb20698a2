import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readLog } from '../../src/core/log.ts';
import { Step } from '../../src/core/step-states.ts';
import { graph, openEngine, step } from './engine-setup.ts';

test('thousands of steps made ready at once are taken up over several turns, in order, and none is left behind', async () => {
  const e = await openEngine({ slots: 20 });
  const leaves = Array.from({ length: 3500 }, (_, i) => step(`s${i}`, ['root'], { handler: 'leaf' }));
  await e.engine.register(graph('wide', [step('root'), ...leaves]));
  await e.engine.register(
    graph(
      'flat',
      leaves.map((s) => ({ ...s, dependencies: [] })),
    ),
  );
  e.worker.handle('root', async () => '1');
  const order: number[] = [];
  e.worker.handle('leaf', async (a) => (order.push(a.no), '1'));
  const wide = await e.engine.submit({ namespace: 't', name: 'wide', input: {} });
  assert.equal((await e.engine.done(wide.id)).state, 'complete');
  assert.deepEqual(
    order,
    Array.from({ length: 3500 }, (_, i) => i + 1),
  );
  order.length = 0;
  const flat = await e.engine.submit({ namespace: 't', name: 'flat', input: {} });
  e.engine.maintenance.reconcile();
  assert.equal((await e.engine.done(flat.id)).state, 'complete');
  assert.equal(order.length, 3500);
  assert.equal(new Set(order).size, 3500);
  assert.equal(e.engine.metrics().reconcilerRepairs, 0);
  await e.close();
});

test('a crash while a backlog is taken up loses no step', async () => {
  const e = await openEngine({ slots: 5 });
  await e.engine.register(graph('wide', [step('root'), ...Array.from({ length: 2500 }, (_, i) => step(`s${i}`, ['root'], { handler: 'leaf' }))]));
  e.worker.handle('root', async () => '1');
  e.worker.handle('leaf', () => new Promise(() => {}));
  const wide = await e.engine.submit({ namespace: 't', name: 'wide', input: {} });
  await e.worker.arrived(2);
  const again = await e.reopen({ slots: 50 });
  again.worker.handle('root', async () => '1');
  again.worker.handle('leaf', async () => '1');
  assert.equal((await again.engine.done(wide.id)).state, 'complete');
  assert.equal((await again.engine.task(wide.id)).completedSteps, 2501);
  await again.close();
});

/** `many` folders that wait for `root`, each with one step below it that waits for the folder. */
function* folders(many: number): Generator<unknown> {
  yield { name: 'root', id: 'root', handler: 'root' };
  for (let i = 0; i < many; i++) {
    yield { name: `f${i}`, id: `f${i}`, dependencies: [{ id: 'root' }] };
    yield { name: `c${i}`, id: `c${i}`, parent_id: `f${i}`, handler: 'leaf', dependencies: [{ id: `f${i}` }] };
  }
}

test('folders that become ready at once complete over several turns, and what waits for each starts', async () => {
  const e = await openEngine({ slots: 20 });
  e.worker.handle('root', async () => '1');
  e.worker.handle('leaf', async () => '1');
  const { task } = await e.engine.submitTree({ elements: folders(1200) });
  assert.equal((await e.engine.done(task.id)).state, 'complete');
  // A row of the log is a turn; folders have the odd numbers.
  const rows = e.store.log({ task: e.worker.assigned[0].task, after: 0, limit: 100_000 });
  const ended = rows.map((row) => readLog(row).filter((ev) => ev.kind === 'step' && ev.state === Step.complete && ev.no % 2 === 1).length);
  assert.equal(
    ended.reduce((a, b) => a + b),
    1200,
  );
  assert.ok(Math.max(...ended) < 400, `${Math.max(...ended)} in one turn`);
  assert.equal(e.engine.metrics().reconcilerRepairs, 0);
  await e.close();
});

test('a crash while folders complete leaves none behind (I10)', async () => {
  const e = await openEngine({ slots: 5 });
  e.worker.handle('root', async () => '1');
  e.worker.handle('leaf', () => new Promise(() => {}));
  const { task } = await e.engine.submitTree({ elements: folders(1200) });
  await e.worker.arrived(2);
  const half = await e.engine.task(task.id);
  assert.ok(half.completedSteps < 1201, 'some are still to come');
  const again = await e.reopen({ slots: 50 });
  again.worker.handle('root', async () => '1');
  again.worker.handle('leaf', async () => '1');
  assert.equal((await again.engine.done(task.id)).state, 'complete');
  assert.equal((await again.engine.task(task.id)).completedSteps, 2401);
  assert.equal(again.engine.metrics().reconcilerRepairs, 0);
  await again.close();
});

for (const execute of [true, false]) {
  test(`a tree of which nothing has begun but its folders is found after a crash (I10)${execute ? '' : ', when it was let run later'}`, async () => {
    const e = await openEngine({ slots: 1 });
    e.worker.handle('leaf', () => new Promise(() => {}));
    await e.engine.submitTree({ elements: [{ name: 'holds the slot', handler: 'leaf' }] });
    const { task } = await e.engine.submitTree({
      execute,
      elements: [
        { name: 'f', id: 'f' },
        { name: 'c', id: 'c', parent_id: 'f', handler: 'leaf', dependencies: [{ id: 'f' }] },
      ],
    });
    if (!execute) await e.engine.executeTree(task.id);
    assert.equal((await e.engine.task(task.id)).state, 'enqueuing_steps');
    const again = await e.reopen({ slots: 1 });
    again.worker.handle('leaf', async () => '1');
    assert.equal((await again.engine.done(task.id)).state, 'complete');
    await again.close();
  });
}

test('folders alone are found after a crash and completed, though nothing of their task is ready or runs (I10)', async () => {
  const e = await openEngine({ slots: 1 });
  e.worker.handle('leaf', async () => '1');
  const elements = Array.from({ length: 1200 }, (_, i) => [
    { name: `f${i}`, id: `f${i}` },
    { name: `c${i}`, parent_id: `f${i}`, handler: 'leaf', dependencies: [{ id: 'f1199' }] },
  ]).flat();
  const { task } = await e.engine.submitTree({ elements });
  assert.ok((await e.engine.task(task.id)).completedSteps < 1200, 'most are still to come');
  const again = await e.reopen({ slots: 1 });
  again.worker.handle('leaf', async () => '1');
  assert.equal((await again.engine.done(task.id)).state, 'complete');
  await again.close();
});
