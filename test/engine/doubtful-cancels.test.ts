import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { type FaultPlan, failingStore } from '../support/faulty-store.ts';
import { oneStep, openEngine } from './engine-setup.ts';

for (const fate of ['applied', 'lost'] as const) {
  test(`a cancel that a last result came before is refused, also when nobody knows at first whether their commit was done (${fate}) (I1)`, async () => {
    const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
    let faults = 0;
    const plan: FaultPlan = (_n, changes) => (changes.steps.some((s) => s.state === 6) && ++faults === 1 ? fate : 'ok');
    const store = failingStore(inner, plan);
    const e = await openEngine({ slots: 1 }, store as unknown as SqliteStore);
    await e.engine.register(oneStep('a'));
    let finish = (_: string): void => {};
    e.worker.handle('a', () => new Promise((go) => (finish = go)));
    const { id } = await e.engine.submit({ namespace: 't', name: 'a', input: {} });
    await e.worker.arrived(1);
    finish('1');
    const answers = await Promise.allSettled([e.engine.cancelStep(id, 'a'), e.engine.cancel(id)]);
    assert.deepEqual(
      answers.map((a) => (a.status === 'rejected' ? (a.reason as { code: string }).code : a.status)),
      ['ILLEGAL_STATE', 'ILLEGAL_STATE'],
    );
    assert.equal((await e.engine.done(id)).state, 'complete');
    assert.equal(faults > 0, true);
    assert.equal(e.engine.metrics().cachedSteps, 0);
    await e.close();
  });
}

test('a cancel whose commit was done and reported failed is acknowledged, and its task leaves memory', async () => {
  const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
  let faults = 0;
  const plan: FaultPlan = (_n, changes) => (changes.steps.some((s) => s.state === 8) && ++faults === 1 ? 'applied' : 'ok');
  const store = failingStore(inner, plan);
  const e = await openEngine({ slots: 1 }, store as unknown as SqliteStore);
  await e.engine.register(oneStep('a'));
  let finish = (_: string): void => {};
  e.worker.handle('a', () => new Promise((go) => (finish = go)));
  const first = await e.engine.submit({ namespace: 't', name: 'a', input: {} });
  const { id } = await e.engine.submit({ namespace: 't', name: 'a', input: {} });
  await e.engine.cancel(id);
  assert.equal((await e.engine.task(id)).state, 'cancelled');
  finish('1');
  await e.engine.done(first.id);
  assert.deepEqual([faults, e.engine.metrics().cachedSteps], [1, 0]);
  await e.close();
});
