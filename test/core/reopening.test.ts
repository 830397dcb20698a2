/** A reset of more rows than one turn writes: decided at once, written in slices, and nothing else is decided meanwhile (design.md §3, I10). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decisions } from '../../src/core/decisions.ts';
import { evaluateTask } from '../../src/core/decide-task.ts';
import { explainStep } from '../../src/core/explain.ts';
import { isReady } from '../../src/core/readiness.ts';
import { asReopened, goOnReopening, readReopening } from '../../src/core/reopening.ts';
import { type ResetPlan, carryOut, planHolds, planTask, resetStep, resetTask } from '../../src/core/reset.ts';
import { Step } from '../../src/core/step-states.ts';
import { StepSet } from '../../src/core/step-set.ts';
import { CoreTask, coreStep as step } from '../support/core-task.ts';

const MANY = 30;
const wide = (): CoreTask => {
  const t = new CoreTask([step('a'), step('alone'), ...Array.from({ length: MANY }, (_, i) => step(`s${i}`, ['a']))]);
  t.runAll(['a']);
  return t;
};
const inParts = (t: CoreTask, atOnce = 10): number => Number(t.turn((out, g) => resetTask(out, g, atOnce)));
const goOn = (t: CoreTask, limit = 10): void => t.turn((out, g) => goOnReopening(out, g, limit));
const surroundings = {
  now: 0,
  slots: 1,
  slotsUsed: 0,
  hasHandler: true,
  cancelable: true,
  ahead: 0,
  draining: false,
  storeWritable: true,
  lastSignAt: null,
};

test('the first commit reopens the task and notes what runs again; the rows follow, so many a turn; then the task goes on', () => {
  const t = wide();
  assert.equal(inParts(t), MANY + 1);
  assert.equal(t.task, 'evaluating_results');
  assert.equal(t.changes.steps.length, 0);
  assert.deepEqual(t.changes.deadLetterClosings.length, 1);
  assert.equal(t.store.loadTask(4096)?.reopening, '{"pending":[0,1,2,30],"waiting":[],"finalizing":[]}');
  assert.equal(t.states.s0, 'pending', 'decided at once');
  assert.equal(t.graph.remaining, MANY + 1);
  assert.equal(t.graph.evictable, false, 'it is not to leave memory half written');
  for (let written = 10; written < MANY + 1; written += 10) {
    goOn(t);
    assert.equal(t.changes.steps.length, 10);
    assert.equal(t.graph.ready.size, 0);
    assert.equal(t.task, 'evaluating_results', 'it neither goes on nor ends before the last row');
  }
  goOn(t);
  assert.equal(t.changes.steps.length, 1);
  assert.equal(t.store.loadTask(4096)?.reopening, null);
  assert.equal(t.task, 'steps_in_process');
  assert.deepEqual([...t.graph.ready.keys()], [0]);
  assert.equal(t.runAll().length, MANY + 1);
  assert.equal(t.task, 'complete');
});

test('a process that dies between two slices goes on where it was, whatever was written (I10)', () => {
  for (let slices = 0; slices < 4; slices++) {
    const t = wide();
    inParts(t);
    for (let i = 0; i < slices; i++) goOn(t);
    t.graph = t.load();
    assert.equal(t.graph.reopening?.nos.length, MANY + 1 - slices * 10);
    assert.equal(t.states.s0, 'pending', 'its row may still say cancelled');
    assert.equal(isReady(t.graph, 0), false);
    let rows = 0;
    while (t.graph.reopening !== null) {
      goOn(t);
      rows += t.changes.steps.length;
    }
    assert.equal(rows, MANY + 1 - slices * 10, 'no row is written twice');
    assert.equal(t.runAll().length, MANY + 1);
    assert.equal(t.task, 'complete');
  }
});

test('a slice that is written on a row that is not as it was decided on is refused (I3)', () => {
  const t = wide();
  inParts(t);
  const stale = t.load();
  goOn(t);
  const out = new Decisions(t.now, 1);
  goOnReopening(out, stale, 10);
  evaluateTask(out, stale);
  assert.throws(() => t.store.commit(out.seal()), /is not as it was decided on/);
});

test('what was ready before stays so and may start; what the reset brings about may not, and explain says why', () => {
  const t = new CoreTask([step('a'), step('free'), ...Array.from({ length: MANY }, (_, i) => step(`s${i}`, ['a']))]);
  t.startAll();
  t.fail('a');
  const left = t.turn((out, g) => resetStep(out, g, 0, 10));
  assert.equal(left, MANY + 1);
  assert.equal(isReady(t.graph, 0), false);
  assert.deepEqual(
    explainStep(t.graph, 0, surroundings).map((g) => [g.kind, g.details]),
    [['task_reopening', { written: 0, total: MANY + 1 }]],
  );
});

test('a plan is carried out only on the graph that it was made for, as it was then', () => {
  const t = new CoreTask([step('a'), step('b'), step('free')]);
  t.startAll();
  t.fail('a');
  const plan = planTask(t.graph) as ResetPlan;
  assert.equal(planHolds(plan, t.graph), true);
  assert.equal(planHolds(plan, t.load()), false, 'another graph');
  t.fail('b');
  assert.equal(planHolds(plan, t.graph), false, 'something was decided since');
  const again = planTask(t.graph) as ResetPlan;
  t.turn((out, g) => {
    out.event(g, '["p",{}]');
    assert.equal(planHolds(again, g), false, 'something was decided in this turn');
  });
  assert.equal(
    t.turn((out, g) => carryOut(out, planTask(g) as ResetPlan)),
    2,
  );
});

test('rows that are read meanwhile say what they will', () => {
  const t = wide();
  inParts(t);
  const before = t.rows().steps[0];
  assert.deepEqual([before.state, before.error === null], [Step.error, false]);
  const shown = asReopened(t.graph, before);
  assert.deepEqual([shown.state, shown.error, shown.attempts, shown.finishedAt], [Step.pending, null, 0, before.finishedAt]);
  const alone = t.rows().steps[1];
  assert.equal(asReopened(t.graph, alone), alone, 'no part of it');
  goOn(t);
  const written = t.rows().steps[0];
  assert.equal(asReopened(t.graph, written), written);
});

test('a parent whose run stands waits again, in parts too, and is resolved after the last row', () => {
  const retry = step('x').retry;
  const children = Array.from({ length: 8 }, (_, i) => ({
    definition: { name: `c${i}`, handler: 'c', parent: 0, tied: true, retry },
    inputs: '{}',
  }));
  const t = new CoreTask(
    { nodes: [{ definition: { name: 'p', handler: 'p', onChildFailure: 'wait_all', retry }, inputs: '{}' }, ...children] },
    {
      traits: { p: { finalize: true } },
    },
  );
  t.startAll();
  t.ok('p');
  for (let i = 0; i < 8; i++) (i === 3 || i === 4 ? t.fail : t.ok).call(t, `c${i}`);
  assert.equal(t.task, 'error');
  inParts(t, 1);
  assert.match(t.store.loadTask(4096)!.reopening!, /"finalizing":\[0,1\]/);
  t.graph = t.load();
  assert.equal(t.states.p, 'waiting_for_children');
  while (t.graph.reopening !== null) {
    goOn(t, 1);
    t.graph = t.load();
  }
  assert.deepEqual(t.runAll().sort(), ['c3', 'c4', 'p']);
  assert.equal(t.task, 'complete');
});

test('which rows are still to be written', () => {
  const row = (no: number, o: { state: number; attempts?: number; phase?: number; phaseAttempts?: number }) => ({
    no,
    attempts: 0,
    phase: 0,
    phaseAttempts: 0,
    rank: 5,
    wakeAt: 6,
    startedAt: 7,
    firstStartedAt: 7,
    finishedAt: 8,
    reason: 1,
    error: '{}',
    resultToken: 2,
    ...o,
  });
  const { rows, reopening } = readReopening(
    '{"pending":[0,3],"waiting":[4,1],"finalizing":[5,2]}',
    [
      row(0, { state: Step.error, attempts: 3 }),
      row(1, { state: Step.pending }),
      row(2, { state: Step.pending, attempts: 1 }),
      row(3, { state: Step.complete }),
      row(4, { state: Step.error }),
      row(5, { state: Step.waitingForChildren, phase: 1 }),
      row(6, { state: Step.error, phase: 2, phaseAttempts: 1 }),
    ],
    7,
  );
  assert.deepEqual(reopening.nos, [0, 2, 4, 6]);
  assert.deepEqual(
    rows.map((r) => [r.state, r.attempts, r.phase, r.resultToken]),
    [
      [Step.pending, 0, 0, 0],
      [Step.pending, 0, 0, 2],
      [Step.pending, 0, 0, 0],
      [Step.complete, 0, 0, 2],
      [Step.waitingForChildren, 0, 0, 2],
      [Step.waitingForChildren, 0, 1, 2],
      [Step.waitingForChildren, 0, 1, 2],
    ],
  );
});

test('a set of steps keeps their order, and forgets what is taken out', () => {
  const set = new StepSet(10);
  for (const no of [7, 3, 7, 9, 1]) set.add(no);
  set.delete(3);
  set.delete(4);
  assert.deepEqual([set.size, set.has(3), set.has(9), set.nos], [3, false, true, [7, 9, 1]]);
});
