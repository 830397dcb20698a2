/** Every metric of the seed, moved by the real engine on a simulated clock and read as a scrape reads it. Numbers are rows of spec/startree.md §14. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineTaskType } from '../../src/sdk/plans/task-type.ts';
import { HttpCounters } from '../../src/server/http/http-counters.ts';
import { renderMetrics } from '../../src/server/http/metrics.ts';
import { PlanWorld } from '../support/plan-world.ts';
import { SEED_GAUGES, SEED_GLOBAL_GAUGES, SEED_METERS } from './seed-list.ts';

const TABLE = 't_OFFLINE';
const moved = new Set<string>();

/** A world whose subtasks run until they are told to end, and its metrics. */
const world = (t: { after(fn: () => Promise<void>): void }) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.ends = () => null;
  const read = (name: string, taskType?: string): number | undefined => {
    const text = renderMetrics({ engine: w.engine, counters: new HttpCounters(), now: () => w.machine.now(), startedAt: 0, version: '0' });
    const sample = taskType === undefined ? name : `${name}{tableNameWithType="${TABLE}",taskType="${taskType}"}`;
    const line = text.split('\n').find((l) => l.startsWith(`${sample} `));
    return line === undefined ? undefined : Number(line.slice(sample.length));
  };
  /** `name` went from one value to another. */
  const saw = (name: string, taskType: string | undefined, value: number | undefined): void => {
    assert.equal(read(name, taskType), value, name);
    if (value !== undefined && value > 0) moved.add(name);
  };
  return { w, saw, read };
};

/** `batches` batches of ten. */
const tens = (name: string, batches: number) =>
  defineTaskType({
    name,
    inputUnit: 'segments',
    startPlan: () => ({ state: 0, inputsToProcess: batches * 10 }),
    nextBatch: ({ state }) =>
      state === batches ? { kind: 'done' } : { kind: 'batch', state: state + 1, subtasks: Array.from({ length: 10 }, (_, i) => ({ input: state * 10 + i })) },
    subtask: () => null,
  });

test('(61) inputs of a live plan: all, in flight, done; gone with its end', async (t) => {
  const { w, saw } = world(t);
  await w.boot([tens('Tens', 2)]);
  for (const name of SEED_GAUGES) saw(name, 'Tens', undefined);
  const id = await w.run('Tens');
  saw('taskPlanInputsToProcess', 'Tens', 20);
  saw('taskPlanInputsBeingProcessed', 'Tens', 10);
  saw('taskPlanInputsProcessed', 'Tens', 0);
  await w.finish();
  saw('taskPlanInputsProcessed', 'Tens', 10);
  await w.finish();
  assert.equal((await w.wait(w.engine.plans.ended(id))).status, 'COMPLETED');
  for (const name of [...SEED_GAUGES, 'taskPlanProgressionBlocked']) saw(name, 'Tens', undefined);
});

test('(59) one ACTIVE and one ABORTING plan count one each, and none when both have ended; a request to abort is no taskPlanAborted', async (t) => {
  const { w, saw } = world(t);
  await w.boot([tens('A', 1), tens('B', 1)]);
  await w.run('A');
  const b = await w.run('B');
  saw('activeTaskPlansCount', undefined, 2);
  await w.wait(w.engine.plans.abort(b));
  saw('activeTaskPlansCount', undefined, 1);
  saw('taskPlansAbortingCount', undefined, 1);
  await w.finish();
  saw('activeTaskPlansCount', undefined, 0);
  saw('taskPlansAbortingCount', undefined, 0);
  assert.notEqual(moved.has('taskPlanAborted'), true);
});

test('(35) a generator that aborts its plan', async (t) => {
  const { w, saw } = world(t);
  await w.boot([defineTaskType({ name: 'Quits', nextBatch: () => ({ kind: 'abort', reason: 'the source is gone' }), subtask: () => null })]);
  await w.run('Quits');
  await w.machine.settle();
  saw('taskPlanAborted', 'Quits', 1);
});

test('(37) a generator that throws: the cycle failed, and so did generating', async (t) => {
  const { w, saw } = world(t);
  let fail = true;
  await w.boot([
    defineTaskType({
      name: 'Stumbles',
      nextBatch: () => {
        if (fail) throw new Error('no such folder');
        return { kind: 'done' };
      },
      subtask: () => null,
    }),
  ]);
  await w.run('Stumbles');
  saw('orchestrationCycleFailure', 'Stumbles', 1);
  saw('taskGenerationFailureCount', 'Stumbles', 1);
  fail = false;
  await w.machine.advanceBy(60_000);
  saw('orchestrationCycleFailure', 'Stumbles', 1);
});

test('(23) a scheduled trigger that finds a live plan', async (t) => {
  const { w, saw } = world(t);
  w.settings = { [TABLE]: { Tens: { schedule: '0 0 2 * * ?', enableTaskOrchestration: 'true' } } };
  await w.boot([tens('Tens', 1)]);
  await w.run('Tens');
  saw('scheduledTriggerActivePlanConflict', 'Tens', 0);
  await w.wait(w.engine.plans.trigger({ resource: TABLE, taskType: 'Tens', via: 'cron' }));
  saw('scheduledTriggerActivePlanConflict', 'Tens', 1);
  await w.wait(w.engine.plans.schedule({ taskType: 'Tens' }));
  saw('scheduledTriggerActivePlanConflict', 'Tens', 2);
});

test('(39, 40) progression is blocked by a stopped queue and by a full disk, and cleared when it can go on', async (t) => {
  const { w, saw } = world(t);
  await w.boot([tens('Tens', 3)]);
  await w.run('Tens');
  saw('taskPlanProgressionBlocked', 'Tens', 0);
  await w.wait(w.engine.plans.stopQueue('Tens'));
  await w.finish();
  saw('taskPlanProgressionBlocked', 'Tens', 1);
  saw('taskPlanInputsBeingProcessed', 'Tens', 0);
  await w.wait(w.engine.plans.resumeQueue('Tens'));
  await w.machine.settle();
  saw('taskPlanProgressionBlocked', 'Tens', 0);
  saw('taskPlanInputsBeingProcessed', 'Tens', 10);
  w.pressure = { diskPercent: 95, memoryPercent: 10 };
  await w.wait(w.engine.plans.poll());
  await w.finish();
  saw('taskPlanProgressionBlocked', 'Tens', 1);
  w.pressure = { diskPercent: null, memoryPercent: null };
  await w.wait(w.engine.plans.poll());
  await w.machine.settle();
  saw('taskPlanProgressionBlocked', 'Tens', 0);
});

test('the time since the last poll is that of the answer: it rises between polls and falls with one', async (t) => {
  const { w, saw, read } = world(t);
  await w.boot([], { plans: { pollMs: 10_000 } });
  await w.wait(w.engine.plans.poll());
  const at = read('orchestrationTimeSinceLastPollMs')!;
  await w.machine.advanceBy(4000);
  saw('orchestrationTimeSinceLastPollMs', undefined, at + 4000);
  await w.machine.advanceBy(60_000);
  assert.ok(read('orchestrationTimeSinceLastPollMs')! <= 10_000, 'the poll runs');
});

test('the time that ticks take: all of it and how many, from the first one on; asking by hand is no tick', async (t) => {
  const { w, saw, read } = world(t);
  w.settings = { [TABLE]: { Tens: { enableTaskOrchestration: 'true' } } };
  await w.boot([tens('Tens', 1)]);
  const [sum, count] = ['cronSchedulerJobExecutionTimeMs_sum', 'cronSchedulerJobExecutionTimeMs_count'];
  await w.run('Tens');
  saw(count, 'Tens', undefined);
  let ticks = 0;
  w.ticks = () => (ticks += 3);
  const tick = () => w.wait(w.engine.plans.trigger({ resource: TABLE, taskType: 'Tens', via: 'cron' }));
  await tick();
  assert.equal(read(count, 'Tens'), 1, 'one that finds a live plan took its time, too');
  const first = read(sum, 'Tens')!;
  assert.ok(first >= 3, String(first));
  await w.finish();
  await tick();
  assert.equal(read(count, 'Tens'), 2);
  assert.ok(read(sum, 'Tens')! >= first + 3);
  w.settings = { [TABLE]: { Tens: { enableTaskOrchestration: 'true', taskPlanFailureThresholdPercent: 'x' } } };
  await w.finish();
  await assert.rejects(tick(), { code: 'INVALID_INPUT' });
  assert.equal(read(count, 'Tens'), 3, 'and so did one that failed');
});

test('every metric of the seed was moved above', () => {
  assert.deepEqual([...moved].sort(), [...SEED_METERS, ...SEED_GAUGES, ...SEED_GLOBAL_GAUGES].sort());
});
