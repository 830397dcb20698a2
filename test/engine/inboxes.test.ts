/** Every actor's inbox is driven to its bound: nothing above it is held, nothing accepted is lost (I11). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_ENGINE_CONFIG } from '../../src/engine/host.ts';
import type { ActorMetrics } from '../../src/engine/facade.ts';
import { Tutti, isTuttiError, template } from '../../src/main.ts';
import { openEngine, oneStep } from './engine-setup.ts';

const channels = (o: Partial<typeof DEFAULT_ENGINE_CONFIG.channels>) => ({ channels: { ...DEFAULT_ENGINE_CONFIG.channels, ...o } });
const actor = (all: ActorMetrics[], name: ActorMetrics['name']): ActorMetrics => all.find((a) => a.name === name)!;

test('task_request: above its bound a submission is refused with BACKPRESSURE, and those accepted are stored', async () => {
  const e = await openEngine({ config: channels({ taskRequest: 3 }) });
  await e.engine.register(oneStep('one'));
  e.worker.handle('one', async () => '1');
  const all = await Promise.allSettled(Array.from({ length: 10 }, () => e.engine.trySubmit({ namespace: 't', name: 'one', input: {} })));
  const refused = all.flatMap((r) => (r.status === 'rejected' ? [r.reason as unknown] : []));
  assert.equal(refused.length, 7);
  for (const r of refused) assert.ok(isTuttiError(r) && r.code === 'BACKPRESSURE' && r.retryAfter === 1);
  assert.deepEqual([actor(e.engine.metrics().actors, 'task_request').refused, actor(e.engine.metrics().actors, 'task_request').accepted], [7, 3]);
  for (const r of all) if (r.status === 'fulfilled') assert.equal((await e.engine.done(r.value.id)).state, 'complete');
  const waited = await Promise.all(Array.from({ length: 50 }, () => e.engine.submit({ namespace: 't', name: 'one', input: {} })));
  assert.equal(new Set(waited.map((t) => t.id)).size, 50, 'submit waits for room instead');
  await e.close();
});

test('an inbox for one says that one is waiting', async () => {
  const e = await openEngine({ config: channels({ taskRequest: 1 }) });
  await e.engine.register(oneStep('one'));
  e.worker.handle('one', async () => '1');
  const all = await Promise.allSettled([1, 2].map(() => e.engine.trySubmit({ namespace: 't', name: 'one', input: {} })));
  const refused = all.find((r) => r.status === 'rejected');
  assert.match(String(refused?.reason), /1 submission is waiting already\./);
  await e.close();
});

test('result_processor: a full inbox slows the worker and loses no result', async () => {
  const e = await openEngine({ slots: 40, config: channels({ resultProcessor: 2 }) });
  await e.engine.register(oneStep('one'));
  let deepest = 0;
  let running = 0;
  const all: (() => void)[] = [];
  e.worker.handle('one', () => {
    deepest = Math.max(deepest, actor(e.engine.metrics().actors, 'result_processor').depth);
    return new Promise((resolve) => {
      all.push(() => resolve('1'));
      if (++running === 40) for (const go of all) go();
    });
  });
  const ids = await e.engine.submitMany(Array.from({ length: 40 }, () => ({ namespace: 't', name: 'one', input: {} })));
  for (const id of ids) assert.equal((await e.engine.done(id)).state, 'complete');
  const m = actor(e.engine.metrics().actors, 'result_processor');
  assert.ok(m.refused > 0, 'the bound was met');
  assert.ok(deepest <= 2);
  assert.equal(e.engine.metrics().attempts.completed, 40);
  await e.close();
});

test('step_enqueuer: more timers due at once than it holds', async () => {
  const e = await openEngine({ slots: 30, config: channels({ stepEnqueuer: 2 }) });
  await e.engine.register(oneStep('flaky', { retry: { retryable: true, maxAttempts: 2, backoff: 'linear', baseMs: 100, maxMs: 1000, jitter: 0 } }));
  let tries = 0;
  e.worker.handle('flaky', async (a) => {
    tries++;
    if (a.attempt === 1) throw new Error('first');
    return '1';
  });
  const ids = await e.engine.submitMany(Array.from({ length: 30 }, () => ({ namespace: 't', name: 'flaky', input: {} })));
  for (const id of ids) assert.equal((await e.engine.done(id)).state, 'complete');
  assert.equal(tries, 60);
  const m = actor(e.engine.metrics().actors, 'step_enqueuer');
  assert.equal(m.handled, 30);
  assert.equal(m.depth, 0);
  await e.close();
});

test('task_finalizer: recovery of more tasks than it holds waits for room', async () => {
  const e = await openEngine({ slots: 12 });
  await e.engine.register(oneStep('held', { retry: { retryable: true, maxAttempts: 2, backoff: 'none', baseMs: 0, maxMs: 0, jitter: 0 } }));
  let begun = 0;
  const started = Promise.withResolvers<void>();
  e.worker.handle('held', () => {
    if (++begun === 12) started.resolve();
    return new Promise(() => {});
  });
  const ids = await e.engine.submitMany(Array.from({ length: 12 }, () => ({ namespace: 't', name: 'held', input: {} })));
  await started.promise;
  const again = await e.reopen({ slots: 12, config: channels({ taskFinalizer: 2 }) });
  again.worker.handle('held', async () => '1');
  for (const id of ids) assert.equal((await again.engine.done(id)).state, 'complete');
  assert.equal(again.engine.metrics().attempts.lost, 12);
  assert.equal(actor(again.engine.metrics().actors, 'task_finalizer').capacity, 2);
  await again.close();
});

test('10,000 progress reports of one handler cost no commit of their own', async () => {
  const chatty = template('t/chatty@1.0.0', {}).step('talk', async (ctx) => {
    for (let i = 0; i < 10_000; i++) ctx.progress(i / 10_000, `row ${i}`);
    return 'done';
  });
  const tutti = await Tutti.open({ store: ':memory:', templates: [chatty] });
  const before = tutti.storeFacts().flushes;
  const begun = performance.now();
  await (await tutti.submit(chatty, {})).result();
  const seconds = (performance.now() - begun) / 1000;
  const commits = tutti.storeFacts().flushes - before;
  assert.ok(commits <= 3 + 2 * Math.ceil(seconds), `${commits} commits in ${seconds} s`);
  await tutti.close();
});
