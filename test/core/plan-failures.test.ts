/** Failures of batches and calls, the messages that say why, one-shot runs, and the numbers of a plan: rules of spec/startree.md §5 and §10. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BatchEnd, abortPlan, advancePlan, answerPlan, endBatch, loseCall } from '../../src/core/decide-plan.ts';
import { LOST_BATCH, MAX_END_ATTEMPTS, type Plan, PlanPhase, type PlanPolicy, Status, batchName, callRetryDelay, fingerprint } from '../../src/core/plan.ts';
import { Task } from '../../src/core/task-states.ts';
import { BOOT, NOW, PLACES, plan, record, TASK, told, world } from './plan-cases.ts';

/** Runs batches, each complete/total[!] (`!`: does not count failures) with inputs of its own or (`=`) those of the one before, until the plan is aborted. */
function batchesOf(results: string, policy: Partial<PlanPolicy>): { batches: number; message: string | null } {
  const w = world({ traits: { hasStart: false, hasFinish: false, hasEnd: false } });
  let p = plan({ policy: { thresholdPercent: 100, maxFailedBatches: 100, maxBarrenBatches: 100, ...policy } });
  let input = 0;
  for (const [i, text] of results.split(' ').entries()) {
    const [, complete, total, marks] = /^(\d+)\/(\d+)([!=]*)$/.exec(text)!;
    p = advancePlan(p, w).plan;
    if (!marks.includes('=')) input++;
    const subtasks = Array.from({ length: Number(total) }, (_, k) => ({ name: `s${k}`, input: `${input}.${k}`, units: 1 }));
    const begun = answerPlan(p, p.token, { kind: 'batch', subtasks, countFailures: !marks.includes('!') }, w, TASK + i)!;
    const end: BatchEnd = { task: TASK + i, state: Task.complete, total: Number(total), complete: Number(complete), units: Number(complete) };
    const d = endBatch(begun.plan, end, w, begun.batch!)!;
    assert.deepEqual([d.batch!.complete, d.batch!.failed, d.batch!.total], [Number(complete), Number(total) - Number(complete), Number(total)]);
    p = d.plan;
    if (p.status !== Status.active) {
      assert.equal(p.status, Status.failed);
      assert.deepEqual(d.meters, ['taskPlanAborted']);
      return { batches: i + 1, message: p.message };
    }
    assert.deepEqual(d.meters, []);
  }
  return { batches: results.split(' ').length, message: null };
}

for (const [what, results, policy, ends, says] of [
  ['a share at the threshold goes on', '5/10 5/10', { thresholdPercent: 50 }, null, ''],
  ['a share above the threshold', '10/10 4/10', { thresholdPercent: 50 }, 2, '6 of 10 subtasks failed in batch 1, more than 50 %.'],
  ['threshold 0: any failure', '2/2 199/200', { thresholdPercent: 0 }, 2, 'more than 0 %'],
  ['threshold 100: never', '0/1 0/1 0/1 0/1', { thresholdPercent: 100 }, null, ''],
  ['so many outright failures in a row', '0/1 0/2 0/1', { maxFailedBatches: 3 }, 3, '3 batches in a row failed outright.'],
  ['one success in between counts anew', '0/1 0/2 1/9 0/1 0/1', { maxFailedBatches: 3 }, null, ''],
  ['batches that do not count are no failures', '0/1! 0/1! 0/1! 0/1!', { maxFailedBatches: 1, thresholdPercent: 0 }, null, ''],
  ['batches that do not count do not interrupt a row', '0/1 1/1! 0/1', { maxFailedBatches: 2 }, 3, '2 batches in a row failed outright.'],
  ['the same work, and nothing done, again and again', '0/1 0/1= 0/1=', { maxBarrenBatches: 3 }, 3, '3 batches in a row had the same subtasks'],
  ['the same work holds also where failures do not count', '0/1! 0/1=! 0/1=!', { maxBarrenBatches: 3 }, 3, 'same subtasks'],
  ['other work in between', '0/1 0/1= 0/1 0/1=', { maxBarrenBatches: 3 }, null, ''],
  ['the same work, of which something was done', '0/2 0/2= 1/2= 0/2= 0/2=', { maxBarrenBatches: 3 }, null, ''],
] as [string, string, Partial<PlanPolicy>, number | null, string][])
  test(`failures: ${what}`, () => {
    const { batches, message } = batchesOf(results, policy);
    assert.equal(message === null ? null : batches, ends);
    assert.ok(ends === null || message!.includes(says), message ?? 'it went on');
  });

test('49: a batch whose task is gone is a failed one, with a message that says so, and counts', () => {
  const d = endBatch(PLACES['ACTIVE batch'], { task: TASK, state: LOST_BATCH, total: 2, complete: 0, units: 0 }, world(), record())!;
  assert.equal(d.plan.message, 'Batch 1: task record not found.');
  assert.deepEqual([d.plan.failedInARow, d.plan.inFlight, d.batch!.state, d.batch!.finishedAt], [1, 0, LOST_BATCH, NOW]);
});

test('an abort that came first is not turned into a failure by its last batch', () => {
  const p = { ...PLACES['ABORTING batch'], policy: { thresholdPercent: 0, maxFailedBatches: 1, maxBarrenBatches: 1 } };
  const d = endBatch(p, { task: TASK, state: Task.error, total: 2, complete: 0, units: 0 }, world(), record())!;
  assert.deepEqual([d.plan.outcome, d.plan.message, d.meters], [Status.cancelled, 'why', []]);
});

test('the reason of an end is kept, whatever fails on the way (statusMessage)', () => {
  for (const place of ['ABORTING finish calling', 'ABORTING end calling', 'ACTIVE end calling']) {
    const p = answerPlan(PLACES[place], 3, { kind: 'failed', message: 'boom' }, world(), 1)!.plan;
    assert.equal(p.message, 'why', place);
  }
  const retried = answerPlan(PLACES['ACTIVE next calling'], 3, { kind: 'failed', message: 'boom' }, world(), 1)!.plan;
  assert.equal(retried.message, 'nextBatch failed and is tried again: boom');
  const start = answerPlan(PLACES['ACTIVE start calling'], 3, { kind: 'failed', message: 'boom' }, world(), 1)!.plan;
  assert.equal(start.message, 'startPlan failed and is tried again: boom');
  const finish = answerPlan(PLACES['ACTIVE finish calling'], 3, { kind: 'failed', message: 'boom' }, world(), 1)!.plan;
  assert.equal(finish.message, 'onBatchFinished failed and is tried again: boom');
  const abort = answerPlan(PLACES['ACTIVE next calling'], 3, { kind: 'abort', reason: 'bad source' }, world(), 1)!.plan;
  assert.deepEqual([abort.message, abort.outcome], ['bad source', Status.failed]);
  assert.equal(answerPlan(PLACES['ACTIVE next calling'], 3, { kind: 'done' }, world(), 1)!.plan.message, 'All 4 inputs are processed: nothing is left to do.');
  assert.equal(answerPlan(PLACES['ACTIVE end calling'], 3, { kind: 'ended', message: 'swapped' }, world(), 1)!.plan.message, 'swapped');
});

/** The plan after its call failed until something else comes of it. */
function exhausted(place: string, over: Partial<Plan> = {}): { plan: Plan; removed: boolean; tries: number; call: boolean } {
  let p: Plan = { ...PLACES[place], ...over };
  for (let tries = 1; ; tries++) {
    const d = answerPlan(p, p.token, { kind: 'failed', message: 'boom' }, world(), 1)!;
    if (d.removed || d.call || d.plan.wakeAt === null || tries === 50) return { plan: d.plan, removed: d.removed, tries, call: d.call };
    p = advancePlan(d.plan, world({ now: d.plan.wakeAt })).plan;
    assert.equal(p.owner, BOOT);
  }
}

test('a plan that is being aborted ends, though onBatchFinished or onPlanEnd always fails; a live one is tried for ever', () => {
  const finish = exhausted('ABORTING finish calling');
  assert.deepEqual(
    [finish.tries, told({ ...advancePlan(finish.plan, world()), changed: true }, finish.plan).startsWith('ABORTING end >CANCELLED'), finish.call],
    [MAX_END_ATTEMPTS, true, true],
  );
  assert.equal(finish.plan.message, 'why onBatchFinished failed 10 times: boom');
  // Its last batch counted two, of which nothing was written.
  assert.deepEqual([finish.plan.processed, finish.plan.batchTask], [2, null]);
  const end = exhausted('ABORTING end calling');
  assert.deepEqual([end.tries, end.plan.status, end.plan.message], [MAX_END_ATTEMPTS, Status.cancelled, 'why onPlanEnd failed 10 times: boom']);
  const completed = exhausted('ACTIVE end calling');
  assert.deepEqual([completed.tries, completed.plan.status, completed.plan.message], [MAX_END_ATTEMPTS, Status.failed, 'why onPlanEnd failed 10 times: boom']);
  for (const place of ['ACTIVE start calling', 'ACTIVE next calling', 'ACTIVE finish calling']) {
    const { tries, plan: p } = exhausted(place);
    assert.deepEqual([tries, p.status], [50, Status.active], place);
  }
});

test('onBatchFinished that is of no use to repeat: FAILED with its message, and its batch counts for nothing', () => {
  const d = answerPlan(PLACES['ACTIVE finish calling'], 3, { kind: 'failed', message: 'no such column', refused: true }, world(), 1)!;
  assert.deepEqual([d.plan.outcome, d.plan.message, d.plan.processed, d.plan.batchTask], [Status.failed, 'no such column', 2, null]);
});

test('an abort while onPlanEnd ran is heard, unless the end was written into the resource meanwhile', () => {
  const p = abortPlan(PLACES['ACTIVE end calling'], world(), 'by ann')!.plan;
  const ended = (changes: object | undefined, message?: string): unknown[] => {
    const { status, message: said } = answerPlan(p, 3, { kind: 'ended', changes, message }, world(), 1)!.plan;
    return [status, said];
  };
  assert.deepEqual(ended(undefined, 'all is done'), [Status.cancelled, 'by ann']);
  assert.deepEqual(ended({}), [Status.completed, 'It was complete before the abort came.']);
  assert.deepEqual(ended({}, 'switched'), [Status.completed, 'switched']);
  const failed = answerPlan(p, 3, { kind: 'failed', message: 'boom' }, world(), 1)!.plan;
  assert.deepEqual([failed.outcome, failed.message], [Status.cancelled, 'Aborted while the plan was ending: boom']);
  assert.equal(loseCall(p, world({ boot: 8 })).plan.outcome, Status.cancelled);
  // So it ends also where nobody has its type any more.
  assert.equal(loseCall(p, world({ boot: 8, traits: null })).plan.status, Status.cancelled);
});

test('calls that generate are made again with each poll (T10); those whose tries are counted wait longer each time, up to five minutes', () => {
  for (const phase of [PlanPhase.start, PlanPhase.next])
    assert.deepEqual(
      [1, 2, 60].map((n) => callRetryDelay({ phase }, n, 10_000)),
      [10_000, 10_000, 10_000],
    );
  for (const phase of [PlanPhase.finish, PlanPhase.end]) {
    assert.deepEqual(
      [1, 2, 3, 4, 6, 60, 1e6].map((n) => callRetryDelay({ phase }, n, 10_000)),
      [10_000, 20_000, 40_000, 80_000, 300_000, 300_000, 300_000],
    );
    assert.equal(callRetryDelay({ phase }, 9, 900_000), 900_000);
  }
  const p = answerPlan({ ...PLACES['ACTIVE next calling'], attempts: 3 }, 3, { kind: 'failed', message: 'x' }, world(), 1)!.plan;
  assert.deepEqual([p.wakeAt, p.owner, p.attempts], [NOW + 1000, null, 3]);
  // A process that dies with a call makes it again at once, the second time after a while.
  assert.equal(loseCall(PLACES['ACTIVE next calling'], world({ boot: 8 })).plan.attempts, 2);
  const again = loseCall({ ...PLACES['ACTIVE next calling'], attempts: 2 }, world({ boot: 8 }));
  assert.deepEqual([again.call, again.plan.wakeAt, again.plan.owner], [false, NOW + 1000, null]);
});

test('what succeeds counts attempts from the start; tokens only grow', () => {
  let p = { ...PLACES['ACTIVE next calling'], attempts: 7, token: 40 };
  p = answerPlan(p, 40, { kind: 'wait', ms: 0 }, world(), 1)!.plan;
  assert.deepEqual([p.attempts, p.token], [0, 40]);
  p = advancePlan(p, world()).plan;
  assert.deepEqual([p.attempts, p.token], [1, 41]);
});

test('an answer keeps what it does not name', () => {
  const p = { ...PLACES['ACTIVE next calling'], state: '1', customStats: { a: 'b' }, properties: { x: 'y' } };
  const waiting = answerPlan(p, 3, { kind: 'wait', ms: null }, world(), 1)!.plan;
  assert.deepEqual([waiting.state, waiting.customStats, waiting.wakeAt, waiting.message], ['1', { a: 'b' }, NOW + 1000, 'why']);
  const started = answerPlan(
    { ...p, phase: PlanPhase.start },
    3,
    { kind: 'started', total: 3, properties: { z: 'w' }, state: '2', customStats: {} },
    world(),
    1,
  )!.plan;
  assert.deepEqual([started.properties, started.state, started.customStats, started.inputUnit, started.total], [{ x: 'y', z: 'w' }, '2', {}, 'inputs', 3]);
});

test('a batch: its record, its name, what is in flight; the total is never below what is done and in flight', () => {
  const subtasks = [
    { name: 'a', input: '1', units: 5 },
    { name: 'b', input: '2', units: 3 },
  ];
  const d = answerPlan(PLACES['ACTIVE next calling'], 3, { kind: 'batch', subtasks, countFailures: true, total: 1 }, world(), 77)!;
  assert.deepEqual([d.plan.inFlight, d.plan.processed, d.plan.total, d.plan.batches, d.plan.batchTask], [8, 4, 12, 3, 77]);
  assert.deepEqual(d.batch, {
    plan: 1,
    seq: 2,
    task: 77,
    name: 'Task_Type_u_2',
    submittedAt: NOW,
    state: Task.enqueuingSteps,
    finishedAt: null,
    total: 2,
    complete: 0,
    failed: 0,
    units: 8,
  });
  const done = answerPlan({ ...PLACES['ACTIVE finish calling'], total: 4 }, 3, { kind: 'finished', processed: 9, total: 5 }, world(), 1)!.plan;
  // 4 were counted, of which 2 by the last batch, which says it did 9.
  assert.deepEqual([done.processed, done.total], [11, 11]);
});

test('16: nothing to do from the start leaves no plan; nothing left after batches completes it', () => {
  assert.equal(answerPlan({ ...PLACES['ACTIVE next calling'], batches: 0 }, 3, { kind: 'done' }, world(), 1)!.removed, true);
  assert.equal(answerPlan(PLACES['ACTIVE next calling'], 3, { kind: 'done' }, world(), 1)!.removed, false);
});

test('one-shot runs: one batch, and nothing is kept, whatever comes; the kill switch does not hold them up', () => {
  const once = (place: string, over: Partial<Plan> = {}): Plan => ({ ...PLACES[place], once: true, ...over });
  const told_ = (p: Plan, a: Parameters<typeof answerPlan>[2]): string => told(answerPlan(p, 3, a, world(), 1), p);
  assert.equal(told(advancePlan(once('ACTIVE start'), world({ enabled: false })), once('ACTIVE start')), 'ACTIVE start call');
  for (const a of [{ kind: 'done' }, { kind: 'wait', ms: 5 }, { kind: 'abort', reason: 'no' }] as const)
    assert.equal(told_(once('ACTIVE next calling', { batches: 0 }), a), 'ACTIVE over removed', a.kind);
  for (const refused of [true, false])
    for (const place of ['ACTIVE start calling', 'ACTIVE next calling'])
      assert.equal(told_(once(place), { kind: 'failed', message: 'x', refused }), 'ACTIVE over removed taskGenerationFailureCount');
  assert.equal(told_(once('ACTIVE finish calling'), { kind: 'finished' }), 'ACTIVE end >COMPLETED call');
  assert.equal(told_(once('ACTIVE end calling'), { kind: 'ended' }), 'ACTIVE over >COMPLETED removed');
  // Never a second batch, and no threshold.
  const policy = { thresholdPercent: 0, maxFailedBatches: 1, maxBarrenBatches: 1 };
  const ended = endBatch(once('ACTIVE batch', { policy }), { task: TASK, state: Task.error, total: 2, complete: 0, units: 0 }, world(), record())!;
  assert.equal(told(ended, once('ACTIVE batch')), 'ACTIVE finish call');
  const gone = exhausted('ACTIVE finish calling', { once: true });
  assert.deepEqual([gone.tries, gone.plan.phase], [MAX_END_ATTEMPTS, PlanPhase.end]);
  assert.equal(exhausted('ACTIVE end calling', { once: true }).removed, true);
});

test('names of batches are known before they exist; fingerprints tell what is the same work', () => {
  assert.equal(batchName({ taskType: 'Some.Type', planId: 'a_b__Some.Type__0-1' }, 4), 'Task_Some.Type_0-1_4');
  assert.equal(fingerprint(['ab', 'c']), fingerprint(['ab', 'c']));
  assert.notEqual(fingerprint(['ab', 'c']), fingerprint(['a', 'bc']));
  assert.notEqual(fingerprint(['ab']), fingerprint(['ab', '']));
});

test('a breach by a batch whose record is gone says so', () => {
  const p: Plan = { ...PLACES['ACTIVE batch'], policy: { thresholdPercent: 100, maxFailedBatches: 1, maxBarrenBatches: 9 } };
  const d = endBatch(p, { task: TASK, state: LOST_BATCH, total: 2, complete: 0, units: 0 }, world(), record())!;
  assert.match(d.plan.message, /^Batch \d+: task record not found\. 1 batches in a row failed outright\.$/);
});
