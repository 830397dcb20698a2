/** How attempts run: leases, fences, time limits, stops, recovery (design.md §2, §3). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import { DEFAULT_ENGINE_CONFIG } from '../../src/engine/host.ts';
import { graph, oneStep, openEngine, step } from './engine-setup.ts';

const never = (): Promise<string> => new Promise(() => {});
const now = (o = {}) => ({ ...DEFAULT_RETRY, backoff: 'none' as const, baseMs: 0, maxMs: 0, jitter: 0, ...o });
const submit = { namespace: 't', input: {} };

test('a step that overruns its timeout fails with step_timeout, is told to stop, and is retried only when it has returned', async () => {
  const e = await openEngine();
  await e.engine.register(oneStep('slow', { timeoutMs: 20, retry: now({ maxAttempts: 2 }) }));
  let release: (v: string) => void = () => {};
  const told = Promise.withResolvers<void>();
  e.worker.handle('slow', (a) => (a.attempt === 2 ? Promise.resolve('"second"') : new Promise((resolve) => (release = resolve))));
  const { id } = await e.engine.submit({ ...submit, name: 'slow' });
  const events = e.engine.events(id);
  for await (const ev of events) if (ev.type === 'step.state' && ev.data.state === 'waiting_for_retry') break;
  told.resolve();
  let s = await e.engine.step(id, 'slow');
  assert.equal(s.error?.code, 'step_timeout');
  assert.equal(s.stopping, true);
  assert.equal(e.worker.stops[0].reason, 'timeout');
  assert.equal(e.worker.assigned.length, 1, 'no attempt begins beside a live one');
  assert.equal((await e.engine.explain(id, 'slow'))[0].gates[0].kind, 'stopping');
  release('"late"');
  assert.equal((await e.engine.done(id)).state, 'complete');
  s = await e.engine.step(id, 'slow');
  assert.deepEqual([s.result, s.attempts], ['second', 2]);
  assert.deepEqual(
    (await e.engine.audit(id)).map((a) => a.outcome),
    ['completed', 'returned', 'timeout'],
  );
  await e.close();
});

test('a handler that gives no sign of life within its heartbeat is timed out; one that does is not', async () => {
  const e = await openEngine();
  await e.engine.register(oneStep('quiet', { heartbeatMs: 30, retry: now({ maxAttempts: 1 }) }));
  await e.engine.register(oneStep('alive', { heartbeatMs: 60, retry: now({ maxAttempts: 1 }) }));
  e.worker.handle('quiet', never);
  e.worker.handle(
    'alive',
    (a, w) =>
      new Promise((resolve) => {
        let beats = 0;
        const beat = setInterval(() => {
          w.session.heartbeat(a);
          if (++beats === 12) {
            clearInterval(beat);
            resolve('1');
          }
        }, 15);
      }),
  );
  const quiet = await e.engine.submit({ ...submit, name: 'quiet' });
  const alive = await e.engine.submit({ ...submit, name: 'alive' });
  assert.equal((await e.engine.done(quiet.id)).error?.code, 'heartbeat_lost');
  assert.equal((await e.engine.done(alive.id)).state, 'complete');
  await e.close();
});

test('cancel ends the task in its commit; the handler keeps its slot until it returns or its grace has passed', async () => {
  const e = await openEngine({ slots: 1, config: { graceMs: 40 } });
  await e.engine.register(graph('two', [step('first'), step('second', ['first'])]));
  await e.engine.register(oneStep('next'));
  e.worker.handle('first', never);
  e.worker.handle('second', never);
  e.worker.handle('next', async () => '1');
  const t = await e.engine.submit({ ...submit, name: 'two' });
  await e.worker.arrived(1);
  const other = await e.engine.submit({ ...submit, name: 'next' });
  const view = await e.engine.cancel(t.id, { errorMessage: 'changed my mind' });
  assert.deepEqual([view.state, view.error?.message, view.stopping], ['cancelled', 'changed my mind', 1]);
  const steps = await e.engine.steps(t.id);
  assert.deepEqual(
    steps.map((s) => [s.name, s.state, s.reason, s.error?.message]),
    [
      ['first', 'cancelled', 'task_ended', 'changed my mind'],
      ['second', 'cancelled', 'task_ended', 'changed my mind'],
    ],
  );
  assert.deepEqual(
    e.worker.stops.map((s) => s.reason),
    ['cancelled'],
  );
  assert.equal((await e.engine.step(other.id, 'next')).state, 'pending', 'the slot is still held');
  assert.equal((await e.engine.explain(other.id, 'next'))[0].gates[0].kind, 'slots');
  assert.equal((await e.engine.done(other.id)).state, 'complete', 'after the grace the slot is free');
  assert.equal((await e.engine.task(t.id)).stopping, 0);
  await assert.rejects(e.engine.cancel(t.id), { code: 'ILLEGAL_STATE' });
  await e.close();
});

test('what a cancelled attempt returns is kept on the attempt and never on the step', async () => {
  const e = await openEngine();
  await e.engine.register(oneStep('slow'));
  let release: (v: string) => void = () => {};
  e.worker.handle('slow', () => new Promise((resolve) => (release = resolve)));
  const t = await e.engine.submit({ ...submit, name: 'slow' });
  await e.worker.arrived(1);
  await e.engine.cancel(t.id);
  release('"too late"');
  await e.engine.submit({ ...submit, name: 'slow' });
  await e.worker.arrived(2);
  const s = await e.engine.step(t.id, 'slow');
  assert.deepEqual([s.state, s.result, s.stopping], ['cancelled', undefined, false]);
  assert.ok((await e.engine.audit(t.id, 'slow')).some((a) => a.outcome === 'returned'));
  const a = e.worker.assigned[0];
  assert.equal(e.store.payloads([{ task: a.task, no: a.no, token: a.token }])[0], '"too late"');
  await e.close();
});

test('a second result of one attempt, and one with an old token, change nothing (I4)', async () => {
  const e = await openEngine();
  await e.engine.register(graph('two', [step('first'), step('second', ['first'])]));
  e.worker.handle('first', async () => '1');
  let go: (v: string) => void = () => {};
  e.worker.handle('second', () => new Promise((resolve) => (go = resolve)));
  const t = await e.engine.submit({ ...submit, name: 'two' });
  await e.worker.arrived(2);
  const first = e.worker.assigned[0];
  e.worker.session.result({ task: first.task, no: first.no, token: first.token, outcome: { ok: true, body: '"again"' } });
  e.worker.session.result({ task: first.task, no: 1, token: 99, outcome: { ok: true, body: '"forged"' } });
  go('2');
  assert.equal((await e.engine.done(t.id)).state, 'complete');
  assert.deepEqual(
    (await e.engine.steps(t.id)).map((s) => [s.result, s.attempts]),
    [
      [1, 1],
      [2, 1],
    ],
  );
  assert.equal(e.engine.metrics().attempts.late, 2);
  await e.close();
});

test('a task older than its deadline ends in error with everything that lives', async () => {
  const e = await openEngine();
  await e.engine.register(graph('late', [step('first'), step('second', ['first'])], { deadlineMs: 30 }));
  e.worker.handle('first', never);
  e.worker.handle('second', never);
  const t = await e.engine.submit({ ...submit, name: 'late' });
  const o = await e.engine.done(t.id);
  assert.deepEqual([o.state, o.error?.code], ['error', 'task_deadline']);
  assert.deepEqual(
    (await e.engine.steps(t.id)).map((s) => [s.state, s.reason]),
    [
      ['cancelled', 'expired'],
      ['cancelled', 'expired'],
    ],
  );
  await e.close();
});

test('a checkpoint survives the attempt that wrote it', async () => {
  const e = await openEngine();
  await e.engine.register(oneStep('work', { retry: now({ maxAttempts: 2 }) }));
  e.worker.handle('work', async (a, w) => {
    if (a.attempt === 2) return a.checkpoint!;
    await w.session.checkpoint({ task: a.task, no: a.no, token: a.token, body: '{"row":50}' });
    throw new Error('half way');
  });
  const t = await e.engine.submit({ ...submit, name: 'work' });
  assert.equal((await e.engine.done(t.id)).state, 'complete');
  const s = await e.engine.step(t.id, 'work');
  assert.deepEqual([s.result, s.checkpoint], [{ row: 50 }, { row: 50 }]);
  await e.close();
});

test('after a crash: begun steps are tried again, a crash counts as a try, tasks that never began begin', async () => {
  const e = await openEngine({ slots: 2 });
  await e.engine.register(graph('two', [step('first', [], { retry: now({ maxAttempts: 2 }) }), step('second', ['first'])]));
  await e.engine.register(oneStep('once', { retry: now({ maxAttempts: 1 }) }));
  for (const h of ['first', 'second', 'once']) e.worker.handle(h, never);
  const begun = await e.engine.submit({ ...submit, name: 'two' });
  const once = await e.engine.submit({ ...submit, name: 'once' });
  await e.worker.arrived(2);
  const cold = await e.engine.submitMany(Array.from({ length: 30 }, () => ({ ...submit, name: 'two' })));
  const again = await e.reopen({ slots: 2 });
  assert.equal(again.engine.resumed, 32);
  for (const h of ['first', 'second', 'once']) again.worker.handle(h, async () => '1');
  assert.equal((await again.engine.done(begun.id)).state, 'complete');
  assert.equal((await again.engine.step(begun.id, 'first')).attempts, 2);
  const o = await again.engine.done(once.id);
  assert.deepEqual([o.state, o.failedSteps[0].error?.code], ['error', 'attempt_lost']);
  for (const id of cold) assert.equal((await again.engine.done(id)).state, 'complete');
  assert.equal(again.engine.metrics().reconcilerRepairs, 0);
  await again.close();
});

test('dispatch order: priority 0 first, then by time within a class, dependencies always first', async () => {
  const e = await openEngine({ slots: 1 });
  await e.engine.register(oneStep('gate'));
  await e.engine.register(oneStep('job'));
  let open: (v: string) => void = () => {};
  e.worker.handle('gate', () => new Promise((resolve) => (open = resolve)));
  const order: string[] = [];
  e.worker.handle('job', async (a) => (order.push((JSON.parse(a.input) as { n: string }).n), '1'));
  await e.engine.submit({ ...submit, name: 'gate' });
  await e.worker.arrived(1);
  const ids: string[] = [];
  for (const [n, priority] of [
    ['c', 3],
    ['b1', 2],
    ['b2', 2],
    ['a', 1],
    ['urgent', 0],
    ['b3', undefined],
  ] as const) {
    ids.push((await e.engine.submit({ namespace: 't', name: 'job', input: { n }, priority })).id);
  }
  await e.engine.patch(ids[2], { priority: 0 });
  open('1');
  for (const id of ids) await e.engine.done(id);
  assert.deepEqual(order, ['b2', 'urgent', 'a', 'b1', 'b3', 'c'], 'b2 became ready before urgent');
  await e.close();
});

test('a graph above the cache limit leaves memory and comes back in its order', async () => {
  const e = await openEngine({ slots: 2, config: { cache: { maxSteps: 20, payloadBytes: 1000 } } });
  await e.engine.register(graph('three', [step('x'), step('y', ['x']), step('z', ['y'])]));
  for (const h of ['x', 'y', 'z']) e.worker.handle(h, async (a) => JSON.stringify(`${a.stepName} of ${a.attempt}`));
  const ids = await e.engine.submitMany(Array.from({ length: 200 }, () => ({ ...submit, name: 'three' })));
  let most = 0;
  for (const id of ids) {
    assert.equal((await e.engine.done(id)).state, 'complete');
    most = Math.max(most, e.engine.metrics().cachedSteps);
  }
  assert.ok(most < 200 * 3, `${most} steps were cached`);
  assert.equal(e.worker.assigned.length, 600);
  await e.close();
});

test('a large submission arrives in chunks, is acknowledged after the last, and ends in chunks', async () => {
  const e = await openEngine({ slots: 4, config: { turn: { ...DEFAULT_ENGINE_CONFIG.turn } } });
  const steps = [step('root'), ...Array.from({ length: 3000 }, (_, i) => step(`s${i}`, ['root'], { handler: 'leaf' }))];
  await e.engine.register(graph('wide', steps));
  e.worker.handle('root', never);
  e.worker.handle('leaf', async () => '1');
  const t = await e.engine.submit({ ...submit, name: 'wide' });
  assert.equal((await e.engine.task(t.id)).totalSteps, 3001);
  await e.worker.arrived(1);
  await e.engine.cancel(t.id);
  const states = (await e.engine.steps(t.id, { results: false })).map((s) => `${s.state}/${s.reason}`);
  assert.deepEqual([...new Set(states)], ['cancelled/task_ended']);
  const last = [];
  for await (const ev of e.engine.events(t.id)) last.push(ev);
  assert.deepEqual([last.at(-1)?.data.state, last.at(-1)?.last], ['cancelled', true]);
  assert.ok(last.some((ev) => ev.type === 'steps.ended' && (ev.data.count as number) > 2000));
  await e.close();
});
