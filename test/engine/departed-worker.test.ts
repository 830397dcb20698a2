import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import type { Store } from '../../src/store/store.ts';
import { type CommitFate, failingStore } from '../support/faulty-store.ts';
import { TestWorker, oneStep, openEngine } from './engine-setup.ts';

test('a worker that leaves while nobody knows whether its start was stored is sent nothing, and another one runs the step', async () => {
  const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
  // Two failures first: so the third is followed by a wait, in which the worker leaves.
  const fates: CommitFate[] = [];
  let leave = (): void => {};
  const store = failingStore(inner, () => {
    const fate = fates.shift() ?? 'ok';
    if (fate === 'applied') queueMicrotask(leave);
    return fate;
  });
  const e = await openEngine({ slots: 1 }, store as Store as SqliteStore);
  const again = { retryable: true, maxAttempts: 2, backoff: 'none' as const, baseMs: 0, maxMs: 0, jitter: 0 };
  await e.engine.register(oneStep('a', { retry: again }));
  e.worker.handle('a', async () => '1');
  fates.push('busy', 'busy', 'applied');
  leave = () => e.worker.session.close();
  const { id } = await e.engine.submit({ namespace: 't', name: 'a', input: {} });
  const other = new TestWorker();
  other.connect(e.engine, 1);
  other.handle('a', async () => '2');
  assert.equal((await e.engine.done(id)).state, 'complete');
  assert.equal(e.worker.assigned.length, 0);
  assert.deepEqual(
    other.assigned.map((a) => a.attempt),
    [2],
    'the lost start was counted (I6)',
  );
  await e.close();
});
