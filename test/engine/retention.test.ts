import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import { oneStep, openEngine } from './engine-setup.ts';

test('retention removes finished tasks by count, never a live one or one with an open dead letter', async () => {
  const e = await openEngine({ config: { retention: { enabled: true, maxAgeMs: 86_400_000, maxCount: 5, intervalMs: 3_600_000 } } });
  await e.engine.register(oneStep('ok'));
  await e.engine.register(oneStep('bad', { retry: { ...DEFAULT_RETRY, maxAttempts: 1 } }));
  await e.engine.register(oneStep('held'));
  e.worker.handle('ok', async () => '1');
  e.worker.handle('bad', async () => Promise.reject(new Error('no')));
  e.worker.handle('held', () => new Promise(() => {}));
  const failed = await e.engine.submit({ namespace: 't', name: 'bad', input: {} });
  assert.equal((await e.engine.done(failed.id)).state, 'error');
  const held = await e.engine.submit({ namespace: 't', name: 'held', input: {} });
  const ids = await e.engine.submitMany(Array.from({ length: 20 }, () => ({ namespace: 't', name: 'ok', input: {} })));
  for (const id of ids) await e.engine.done(id);
  const removed = await e.engine.maintenance.sweep();
  assert.ok(removed >= 14 && removed <= 16, `${removed} were removed`);
  assert.equal((await e.engine.task(failed.id)).state, 'error');
  assert.equal((await e.engine.task(held.id)).state, 'steps_in_process');
  await assert.rejects(e.engine.task(ids[0]), { code: 'NOT_FOUND' });
  assert.equal((await e.engine.task(ids[19])).state, 'complete');
  assert.equal(await e.engine.maintenance.sweep(), 0);
  await e.close();
});

test('retention removes by age', async () => {
  const e = await openEngine({ config: { retention: { enabled: true, maxAgeMs: -1000, maxCount: 1000, intervalMs: 3_600_000 } } });
  await e.engine.register(oneStep('ok'));
  e.worker.handle('ok', async () => '1');
  const t = await e.engine.submit({ namespace: 't', name: 'ok', input: {} });
  await e.engine.done(t.id);
  assert.equal(await e.engine.maintenance.sweep(), 1);
  await assert.rejects(e.engine.task(t.id), { code: 'NOT_FOUND' });
  await e.close();
});

test('purge removes a terminal task only', async () => {
  const e = await openEngine();
  await e.engine.register(oneStep('ok'));
  let open: (v: string) => void = () => {};
  e.worker.handle('ok', () => new Promise((resolve) => (open = resolve)));
  const t = await e.engine.submit({ namespace: 't', name: 'ok', input: {} });
  await e.worker.arrived(1);
  await assert.rejects(e.engine.purge(t.id), { code: 'ILLEGAL_STATE' });
  open('1');
  await e.engine.done(t.id);
  await e.engine.purge(t.id);
  await assert.rejects(e.engine.task(t.id), { code: 'NOT_FOUND' });
  assert.deepEqual(e.store.log({ task: e.worker.assigned[0].task, after: 0, limit: 10 }), []);
  await e.close();
});
