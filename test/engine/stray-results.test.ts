import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { type FaultPlan, failingStore } from '../support/faulty-store.ts';
import { oneStep, openEngine } from './engine-setup.ts';

test('a result that came before its attempt was begun does not count when it is decided again beside it (I4)', async () => {
  const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
  let faults = 0;
  // The commit that ends the first attempt and begins the second is done, and reported failed.
  const plan: FaultPlan = (_n, changes) => (changes.steps.some((s) => s.token === 2 && s.fromToken === 1) && ++faults === 1 ? 'applied' : 'ok');
  const store = failingStore(inner, plan);
  const e = await openEngine({ slots: 1 }, store as unknown as SqliteStore);
  const retry = { retryable: true, maxAttempts: 3, backoff: 'none', baseMs: 0, maxMs: 0, jitter: 0 } as const;
  await e.engine.register(oneStep('a', { retry, timeoutMs: 20 }));
  const stopped = new Promise<void>((go) => {
    e.worker.stops.push = () => (go(), 1);
  });
  e.worker.handle('a', async (a, w) => {
    if (a.token > 1) return '"its own"';
    await stopped;
    w.session.result({ task: a.task, no: a.no, token: 2, outcome: { ok: true, body: '"stray"' } });
    throw new Error('stopped');
  });
  const { id } = await e.engine.submit({ namespace: 't', name: 'a', input: {} });
  assert.deepEqual(await e.engine.result(id), { a: 'its own' });
  assert.equal(faults, 1);
  await e.close();
});
