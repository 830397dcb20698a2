/** What holds plans up and lets them go on: stopped queues, full disks, the kill switch; and processes that die. Numbers are rows of spec/startree.md §14. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { isTuttiError } from '../../src/core/errors.ts';
import type { PlanConfig } from '../../src/engine/plan-port.ts';
import type { PlanView } from '../../src/engine/plan-views.ts';
import type { AnyTaskType } from '../../src/sdk/plans/task-type.ts';
import { PlanWorld } from '../support/plan-world.ts';
import { batches, counting } from '../support/scripted-type.ts';

const POLL = { pollMs: 1000 };
const FLAG = { enableTaskOrchestration: 'true' };
/** Whenever its process dies, a subtask is tried again: without this three times in all. */
const AGAIN = { retry: { maxAttempts: 9, backoff: 'none' } } as const;
const PURGE = [{ ...counting('Purge', 25, 10), ...AGAIN }];

async function world(t: TestContext, o: { types?: AnyTaskType[]; plans?: Partial<PlanConfig> } = {}): Promise<PlanWorld> {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.ends = () => null;
  await w.boot(o.types ?? PURGE, { plans: { ...POLL, ...o.plans } });
  return w;
}

const view = (w: PlanWorld, id: string): Promise<PlanView> => w.engine.plans.plan(id);
const blocked = (w: PlanWorld): number | undefined => w.engine.plans.metrics().pairs[0].taskPlanProgressionBlocked;

test('a stopped queue: the batch that runs is STOPPED and ends, no other begins, the metric is set; resumed, it goes on at once', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge');
  assert.equal(blocked(w), 0);
  await w.wait(w.engine.plans.stopQueue('Purge'));
  assert.deepEqual(await w.engine.plans.queue('Purge'), { state: 'STOPPED' });
  assert.deepEqual([(await view(w, id)).batches[0].taskState, w.running.length], ['STOPPED', 10]);
  await w.finish();
  await w.machine.advanceBy(60_000);
  let p = await view(w, id);
  assert.deepEqual(
    [p.status, p.batches.length, p.batches[0].taskState, p.blocked, blocked(w)],
    ['ACTIVE', 1, 'COMPLETED', 'The queue of Purge is stopped.', 1],
  );
  // Nothing is begun, and nobody has erred.
  const other = await w.wait(w.engine.plans.trigger({ resource: 'u_OFFLINE', taskType: 'Purge', settings: FLAG, via: 'execute' }));
  assert.deepEqual(other, { runs: [], skipped: [], blocked: 'The queue of Purge is stopped.' });
  await w.wait(w.engine.plans.resumeQueue('Purge'));
  await w.machine.settle();
  p = await view(w, id);
  assert.deepEqual([p.batches.length, p.blocked, blocked(w)], [2, null, 0]);
});

test('a queue that was stopped is stopped after a restart, and after a kill', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge');
  await w.wait(w.engine.plans.stopQueue('Purge'));
  await w.finish();
  for (const how of ['restart', 'kill']) {
    if (how === 'kill') w.kill();
    else await w.wait(w.engine.stop({ drainMs: 0 }));
    await w.boot(PURGE, { plans: POLL });
    await w.machine.advanceBy(10_000);
    assert.deepEqual([(await view(w, id)).batches.length, await w.engine.plans.queue('Purge'), blocked(w)], [1, { state: 'STOPPED' }, 1], how);
  }
  await w.wait(w.engine.plans.resumeQueue('Purge'));
  for (let i = 0; i < 2; i++) await w.finish();
  assert.equal((await view(w, id)).status, 'COMPLETED');
});

for (const [what, pressure, reason] of [
  ['disk', { diskPercent: 91, memoryPercent: null }, /^The disk is 91 % full; the limit is 90 %\.$/],
  ['memory', { diskPercent: 90, memoryPercent: 97 }, /^The memory is 97 % full/],
] as const)
  test(`40: a full ${what} blocks the next batch as a stopped queue does, until a poll finds room`, async (t) => {
    const w = await world(t);
    const id = await w.run('Purge');
    w.pressure = pressure;
    await w.machine.advanceBy(1000);
    await w.finish();
    await w.machine.advanceBy(10_000);
    const p = await view(w, id);
    assert.deepEqual([p.batches.length, p.status, blocked(w)], [1, 'ACTIVE', 1]);
    assert.match(p.blocked ?? '', reason);
    await w
      .wait(w.engine.plans.trigger({ resource: 'u_OFFLINE', taskType: 'Purge', via: 'execute', settings: FLAG }))
      .then((r) => assert.match(r.blocked ?? '', reason));
    w.pressure = { diskPercent: 90, memoryPercent: 90 };
    await w.machine.advanceBy(1000);
    assert.deepEqual([(await view(w, id)).batches.length, blocked(w)], [2, 0]);
  });

test('40: a process that starts on a full disk begins no batch, not even before its first poll', async (t) => {
  const w = await world(t, { plans: { pollMs: 60_000 } });
  const id = await w.run('Purge');
  w.kill();
  w.pressure = { diskPercent: 99, memoryPercent: null };
  await w.boot(PURGE, { plans: { pollMs: 60_000 } });
  await w.finish();
  await w.machine.settle();
  assert.deepEqual([(await view(w, id)).batches.length, blocked(w)], [1, 1]);
  const { blocked: why } = await w.wait(w.engine.plans.trigger({ resource: 'u_OFFLINE', taskType: 'Purge', via: 'execute', settings: FLAG }));
  assert.match(why ?? '', /^The disk is 99 % full/);
});

test('a plan that waits by itself says that it is blocked, too', async (t) => {
  const type = batches('Purge', 1, { nextBatch: () => ({ kind: 'wait', after: '1h' }) });
  const w = await world(t, { types: [type] });
  const id = await w.run('Purge');
  await w.wait(w.engine.plans.stopQueue('Purge'));
  await w.machine.settle();
  assert.deepEqual([(await view(w, id)).blocked, blocked(w)], ['The queue of Purge is stopped.', 1]);
  await w.wait(w.engine.plans.resumeQueue('Purge'));
  await w.machine.settle();
  assert.deepEqual([(await view(w, id)).blocked, blocked(w)], [null, 0]);
});

test('40: an inbox that is fuller than the limit blocks, too', async (t) => {
  // An empty one is fuller than less than nothing.
  const w = await world(t, { plans: { maxInboxSaturation: -0.01 } });
  const { runs, blocked: why } = await w.wait(w.engine.plans.trigger({ resource: 't_OFFLINE', taskType: 'Purge', settings: FLAG, via: 'execute' }));
  assert.deepEqual([runs, why], [[], 'An inbox is 0 % full; the limit is -1 %.']);
});

test('40: figures that cannot be read block nothing', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge');
  for (const undetermined of [{ diskPercent: null, memoryPercent: null }, new Error('no such device')]) {
    w.pressure = { diskPercent: 99, memoryPercent: null };
    await w.machine.advanceBy(1000);
    w.pressure = undetermined;
    await w.machine.advanceBy(1000);
    await w.finish();
  }
  assert.equal((await view(w, id)).batches.length, 3);
});

test('41: the kill switch off mid-plan: the batch ends, nothing follows, the status stays; on again, the chain goes on', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge');
  w.kill();
  await w.boot(PURGE, { plans: { ...POLL, enabled: false } });
  await w.machine.settle();
  assert.equal(w.engine.plans.enabled, false);
  await w.finish();
  await w.machine.advanceBy(60_000);
  let p = await view(w, id);
  assert.deepEqual([p.status, p.batches.map((b) => b.taskState), p.blocked, p.inputsProcessed], ['ACTIVE', ['COMPLETED'], 'Plans are switched off.', 10]);
  // The poll goes on, and does not alarm.
  assert.ok(w.engine.plans.metrics().orchestrationTimeSinceLastPollMs <= 1000);
  // A trigger is a run, beside the plan.
  const { runs } = await w.wait(w.engine.plans.trigger({ resource: 't_OFFLINE', taskType: 'Purge', settings: FLAG, via: 'execute' }));
  assert.equal(runs[0].planId, null);
  await w.finish();
  w.kill();
  await w.boot(PURGE, { plans: POLL });
  await w.machine.settle();
  await w.finish();
  await w.finish();
  p = await w.wait(w.engine.plans.ended(id));
  assert.deepEqual([p.status, p.batches.map((b) => b.batchSequence), p.inputsProcessed], ['COMPLETED', [0, 1, 2], 25]);
});

test('41: switched off, a type that runs as a plan only says that, and not that the flag is missing', async (t) => {
  const w = await world(t, { types: [{ ...counting('Alter', 25, 10), orchestratedOnly: true }], plans: { enabled: false } });
  await assert.rejects(w.wait(w.engine.plans.trigger({ resource: 't_OFFLINE', taskType: 'Alter', settings: FLAG, via: 'execute' })), {
    code: 'ORCHESTRATED_ONLY',
    message: 'Alter runs as a plan only, and plans are switched off (orchestration.plans.enabled)',
  });
});

test('41: DELETE of a frozen plan is ABORTING; it ends when the switch is on again', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge');
  w.kill();
  await w.boot(PURGE, { plans: { ...POLL, enabled: false } });
  await w.machine.settle();
  await w.finish();
  assert.equal((await w.wait(w.engine.plans.abort(id))).status, 'ABORTING');
  await w.machine.advanceBy(60_000);
  assert.equal(await w.engine.plans.isActive(id), true);
  w.kill();
  await w.boot(PURGE, { plans: POLL });
  assert.equal((await w.wait(w.engine.plans.ended(id))).status, 'CANCELLED');
});

test('46: a kill at any moment of a plan: batches without gap or repeat, every input once', async (t) => {
  // Where it is killed is the number of steps of the machine since the plan began.
  for (let at = 1; at < 40; at += 1) {
    const w = new PlanWorld(at);
    t.after(() => w.close());
    const seen: unknown[] = [];
    const type = { ...counting('Purge', 7, 3), ...AGAIN, onPlanEnd: () => ({ changes: { put: [{ key: 'end', body: 1, expect: null }] } }) };
    await w.boot([type], { plans: POLL });
    const asked = w.run('Purge');
    asked.catch(() => undefined);
    for (let i = 0; i < at; i++) await w.machine.stepOnce();
    w.kill();
    await w.boot([type], { plans: POLL });
    await w.machine.advanceBy(60_000);
    const plans = await w.engine.plans.recent();
    seen.push(plans.length);
    if (plans.length === 0) continue;
    const p = await w.wait(w.engine.plans.ended(plans[0].planId));
    assert.deepEqual(
      [p.status, p.inputsProcessed, p.batches.map((b) => [b.batchSequence, b.taskState])],
      ['COMPLETED', 7, [0, 1, 2].map((n) => [n, 'COMPLETED'])],
      `killed after ${at} steps`,
    );
    assert.equal((await w.engine.list({ limit: 100 })).tasks.length, 3);
    assert.deepEqual(seen, [1]);
  }
});

test('46: what a subtask stands for is the same after a kill, also nothing', async (t) => {
  const type = batches('Purge', 1, {
    ...AGAIN,
    startPlan: () => ({ state: null, inputsToProcess: 7 }),
    nextBatch: (ctx) =>
      ctx.batches === 0
        ? {
            kind: 'batch',
            subtasks: [
              { input: 0, units: 0 },
              { input: 1, units: 7 },
            ],
          }
        : { kind: 'done' },
  });
  const w = await world(t, { types: [type] });
  const id = await w.run('Purge');
  w.kill();
  await w.boot([type], { plans: POLL });
  await w.machine.settle();
  await w.finish();
  const p = await w.wait(w.engine.plans.ended(id));
  assert.deepEqual([p.inputsProcessed, p.inputsToProcess], [7, 7]);
});

test('processes that die over and over do not make a plan FAILED: a try that was lost is made again', async (t) => {
  const types = [counting('Purge', 25, 10)];
  const w = await world(t, { types });
  const id = await w.run('Purge');
  for (let i = 0; i < 3; i++) {
    w.kill();
    await w.boot(types, { plans: POLL });
    await w.machine.advanceBy(10_000);
  }
  const p = await view(w, id);
  assert.equal(p.status, 'ACTIVE', p.statusMessage);
});

test('a process without the task type makes nothing of its plans, and says why; with it, they go on', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge');
  await w.finish();
  w.kill();
  await w.boot([], { plans: POLL });
  await w.machine.advanceBy(60_000);
  const p = await view(w, id);
  assert.deepEqual([p.status, p.batches.length], ['ACTIVE', 2]);
  await w.finish();
  await w.machine.advanceBy(1000);
  assert.match((await view(w, id)).blocked ?? '', /task type Purge/);
  await assert.rejects(
    w.wait(w.engine.plans.trigger({ resource: 't_OFFLINE', taskType: 'Purge', settings: FLAG, via: 'execute' })),
    (e) => isTuttiError(e) && e.code === 'NOT_FOUND',
  );
  w.kill();
  await w.boot(PURGE, { plans: POLL });
  await w.machine.settle();
  await w.finish();
  assert.equal((await w.wait(w.engine.plans.ended(id))).status, 'COMPLETED');
});

test('a wait longer than a timer reaches is kept by the poll, also across a restart', async (t) => {
  const type = batches('Purge', 2, {
    nextBatch: (ctx) => {
      if (ctx.batches === 1 && ctx.state === null) return { kind: 'wait', after: '2h', message: 'nothing new yet' };
      return ctx.batches < 1 ? { kind: 'batch', subtasks: [{ input: 0 }] } : { kind: 'done' };
    },
  });
  const w = await world(t, { types: [type] });
  const id = await w.run('Purge');
  await w.finish();
  const asked = w.engine.plans.generatorRuns('t_OFFLINE', 'Purge').filter((r) => r.message === 'nothing new yet').length;
  assert.deepEqual([(await view(w, id)).statusMessage, asked], ['nothing new yet', 1]);
  w.kill();
  await w.boot([type], { plans: POLL });
  await w.machine.advanceBy(2 * 3_600_000 - 1000);
  assert.deepEqual(w.engine.plans.generatorRuns('t_OFFLINE', 'Purge'), []);
  await w.machine.advanceBy(2000);
  assert.equal(w.engine.plans.generatorRuns('t_OFFLINE', 'Purge').length, 1);
});

test('I13: a wait ends at its time, not at the next poll, also across a restart', async (t) => {
  const plans = { pollMs: 86_400_000 };
  const type = batches('Purge', 2, {
    nextBatch: (ctx) =>
      ctx.batches === 1 && ctx.attempt === 1 && now() < until
        ? { kind: 'wait', after: '10m' }
        : ctx.batches < 2
          ? { kind: 'batch', subtasks: [{ input: 0 }] }
          : { kind: 'done' },
  });
  const w = await world(t, { types: [type], plans });
  const now = (): number => w.machine.now();
  const until = now() + 600_000;
  const id = await w.run('Purge');
  await w.finish();
  await w.machine.advanceBy(300_000);
  w.kill();
  await w.boot([type], { plans });
  await w.machine.advanceBy(299_000);
  assert.equal((await view(w, id)).batches.length, 1);
  await w.machine.advanceBy(1000);
  assert.equal((await view(w, id)).batches.length, 2);
});

test('whoever waits for a first batch or an end when the process stops is told', async (t) => {
  const types = [batches('Purge', 1, { startPlan: () => new Promise(() => undefined) }), counting('Other', 1, 1)];
  const w = await world(t, { types });
  const asked = w.engine.plans.trigger({ resource: 't_OFFLINE', taskType: 'Purge', settings: FLAG, via: 'execute' });
  const ending = w.engine.plans.ended(await w.run('Other'));
  const told = Promise.allSettled([asked, ending]);
  await w.machine.settle();
  await w.wait(w.engine.stop({ drainMs: 0 }));
  const [first, end] = await w.wait(told);
  assert.ok(first.status === 'fulfilled' && first.value.runs[0].planId !== null && first.value.runs[0].taskId === null);
  assert.ok(end.status === 'rejected' && isTuttiError(end.reason) && end.reason.code === 'SHUTTING_DOWN');
  await w.boot([], {});
});
