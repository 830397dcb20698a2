import assert from 'node:assert/strict';
import { test } from 'node:test';
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
