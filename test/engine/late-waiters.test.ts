/** Who asks when a task ends hears of it, however long the store takes to say that it has not yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import type { Store, StoredTask } from '../../src/store/store.ts';
import { oneStep } from './engine-setup.ts';
import { SimulatedEngine } from './simulated-engine.ts';

test('a row that was read before the end and arrives after it', async () => {
  const s = await SimulatedEngine.open({ cache: { maxSteps: 0, payloadBytes: 1000 } });
  await s.complete(s.engine.register(oneStep('a', { retry: { ...DEFAULT_RETRY, baseMs: 5000, jitter: 0 } })), 'register');
  s.worker.handle('a', async (a) => (a.attempt === 1 ? Promise.reject(new Error('scripted')) : '7'));
  const { id } = await s.complete(s.engine.submit({ namespace: 't', name: 'a', input: {} }), 'submit');
  await s.machine.advanceBy(1000);
  const store = s.inner as Store;
  const load = store.loadTask.bind(store);
  const slow = Promise.withResolvers<void>();
  store.loadTask = async (task): Promise<StoredTask | null> => {
    const row = await load(task);
    await slow.promise;
    return row;
  };
  const results = Promise.all([s.engine.done(id), s.engine.result(id)]);
  await s.machine.settle();
  store.loadTask = load;
  await s.machine.advanceBy(10_000);
  assert.equal(s.engine.metrics().finished.complete, 1);
  slow.resolve();
  const [outcome, result] = await s.complete(results, 'to be told');
  assert.deepEqual([outcome.state, result], ['complete', { a: 7 }]);
  // Of a task that there is not, nobody waits.
  await assert.rejects(s.complete(s.engine.done(`${id.slice(0, 8)}-0000${id.slice(13)}`), 'nobody'), { code: 'NOT_FOUND' });
  await s.close();
});
