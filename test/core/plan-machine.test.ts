/** The plan machine (spec/startree.md §4): every place of a plan × everything that may happen to it. What a table leaves out is its `else`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, type PlanDecision, abortPlan, advancePlan, answerPlan, endBatch, loseCall } from '../../src/core/decide-plan.ts';
import { isPlanLive, type Plan } from '../../src/core/plan.ts';
import { Task } from '../../src/core/task-states.ts';
import { NOW, PLACES, record, TASK, told, world } from './plan-cases.ts';

const all = (also: Record<string, string>, otherwise: string): Record<string, string> =>
  Object.fromEntries(Object.keys(PLACES).map((place) => [place, also[place] ?? otherwise]));

function table(name: string, decide: (p: Plan) => PlanDecision | null, o: { else: string; rows: Record<string, string> }): void {
  test(name, () => {
    for (const place of Object.keys(o.rows)) assert.ok(place in PLACES, place);
    const found: Record<string, string> = {};
    for (const [place, p] of Object.entries(PLACES)) {
      const before = JSON.stringify(p);
      const d = decide(p);
      found[place] = told(d, p);
      assert.equal(JSON.stringify(p), before, `${place}: the plan itself was changed`);
      if (d === null) continue;
      assert.deepEqual(told(decide(p), p), found[place], `${place}: decided twice, differently`);
      assert.equal(isPlanLive(d.plan.status), d.plan.endedAt === null || d.removed, `${place}: endedAt`);
      assert.ok(d.plan.processed + d.plan.inFlight <= d.plan.total);
    }
    assert.deepEqual(found, all(o.rows, o.else));
  });
}

const CALLS = {
  'ACTIVE start': 'ACTIVE start call',
  'ACTIVE next': 'ACTIVE next call',
  'ACTIVE finish': 'ACTIVE finish call',
  'ACTIVE end': 'ACTIVE end >COMPLETED call',
  'ABORTING finish': 'ABORTING finish >CANCELLED call',
  'ABORTING end': 'ABORTING end >CANCELLED call',
  'failing finish': 'ABORTING finish >FAILED call',
  'failing end': 'ABORTING end >FAILED call',
};

table('a poll begins the call that is due, once', (p) => advancePlan(p, world()), { else: '=', rows: CALLS });
table('a call that waits is made when its time has come', (p) => advancePlan(p, world({ now: NOW + 1 })), {
  else: '=',
  rows: { ...CALLS, 'ACTIVE next waiting': 'ACTIVE next call' },
});
table('T12: frozen by the kill switch, nothing begins', (p) => advancePlan(p, world({ enabled: false })), { else: '=', rows: {} });
table('T11: a stopped queue or a full disk holds up the next batch, and that only', (p) => advancePlan(p, world({ blocked: 'stopped' })), {
  else: '=',
  rows: { ...CALLS, 'ACTIVE next': '= blocked', 'ACTIVE next waiting': '= blocked' },
});
table('without its task type a plan waits; one that is being aborted can end', (p) => advancePlan(p, world({ traits: null })), {
  else: '=',
  rows: {
    'ACTIVE start': '= blocked',
    'ACTIVE next': '= blocked',
    'ACTIVE finish': '= blocked',
    'ACTIVE end': '= blocked',
    'ABORTING finish': '= blocked',
    'ABORTING end': 'CANCELLED over',
    'failing finish': '= blocked',
    'failing end': 'FAILED over',
  },
});
table('functions that a type does not have are passed over', (p) => advancePlan(p, world({ traits: { hasStart: false, hasFinish: false, hasEnd: false } })), {
  else: '=',
  rows: {
    'ACTIVE start': 'ACTIVE next call',
    'ACTIVE next': 'ACTIVE next call',
    'ACTIVE finish': 'ACTIVE next call',
    'ACTIVE end': 'COMPLETED over',
    'ABORTING finish': 'CANCELLED over',
    'ABORTING end': 'CANCELLED over',
    'failing finish': 'FAILED over',
    'failing end': 'FAILED over',
  },
});
table('a call whose process is gone is made again; what an abort would have discarded is not', (p) => loseCall(p, world({ boot: 8 })), {
  else: '=',
  rows: {
    'ACTIVE start calling': 'ACTIVE start call',
    'ACTIVE next calling': 'ACTIVE next call',
    'ACTIVE finish calling': 'ACTIVE finish call',
    'ACTIVE end calling': 'ACTIVE end >COMPLETED call',
    'ABORTING start calling': 'ABORTING end >CANCELLED call',
    'ABORTING next calling': 'ABORTING end >CANCELLED call',
    'ABORTING finish calling': 'ABORTING finish >CANCELLED call',
    'ABORTING end calling': 'ABORTING end >CANCELLED call',
    'ABORTING end calling, as completed': 'ABORTING end >CANCELLED call',
  },
});
table('the call of this process is not lost', (p) => loseCall(p, world()), { else: '=', rows: {} });

const ABORTED = {
  'ACTIVE start calling': 'ABORTING start >CANCELLED calling stop',
  'ACTIVE next calling': 'ABORTING next >CANCELLED calling stop',
  'ACTIVE batch': 'ABORTING batch >CANCELLED',
  'ACTIVE finish calling': 'ABORTING finish >CANCELLED calling',
  // What it was told stays true while it runs: its answer may switch a whole table.
  'ACTIVE end calling': 'ABORTING end >COMPLETED calling',
  COMPLETED: '-',
  CANCELLED: '-',
  FAILED: '-',
};
table('T4, T8: DELETE lets what runs end, stops a generation, and changes nothing the second time', (p) => abortPlan(p, world(), 'by ann'), {
  else: '=',
  rows: {
    ...ABORTED,
    'ACTIVE start': 'ABORTING end >CANCELLED call',
    'ACTIVE next': 'ABORTING end >CANCELLED call',
    'ACTIVE next waiting': 'ABORTING end >CANCELLED call',
    'ACTIVE finish': 'ABORTING finish >CANCELLED call',
    'ACTIVE end': 'ABORTING end >CANCELLED call',
  },
});
table('DELETE of a frozen plan is recorded', (p) => abortPlan(p, world({ enabled: false }), 'by ann'), {
  else: '=',
  rows: {
    ...ABORTED,
    'ACTIVE start': 'ABORTING start >CANCELLED',
    'ACTIVE next': 'ABORTING next >CANCELLED',
    'ACTIVE next waiting': 'ABORTING next >CANCELLED',
    'ACTIVE finish': 'ABORTING finish >CANCELLED',
    'ACTIVE end': 'ABORTING end >CANCELLED',
  },
});

const end = { task: TASK, state: Task.complete, total: 2, complete: 2, units: 2 };
table('the end of the open batch asks what to make of it', (p) => endBatch(p, end, world(), record()), {
  else: '-',
  rows: { 'ACTIVE batch': 'ACTIVE finish call', 'ABORTING batch': 'ABORTING finish >CANCELLED call', 'failing batch': 'ABORTING finish >FAILED call' },
});
table('frozen, the end of the open batch is recorded', (p) => endBatch(p, end, world({ enabled: false }), record()), {
  else: '-',
  rows: { 'ACTIVE batch': 'ACTIVE finish', 'ABORTING batch': 'ABORTING finish >CANCELLED', 'failing batch': 'ABORTING finish >FAILED' },
});
table('the end of another task says nothing', (p) => endBatch(p, { ...end, task: TASK + 1 }, world(), record()), { else: '-', rows: {} });

const answer =
  (a: Answer, token = 3) =>
  (p: Plan): PlanDecision | null =>
    answerPlan(p, token, a, world(), 900);
/** An abort that came meanwhile: whatever was generated is discarded. */
const DISCARDED = { 'ABORTING start calling': 'ABORTING end >CANCELLED call', 'ABORTING next calling': 'ABORTING end >CANCELLED call' };
const CYCLE = 'orchestrationCycleFailure';
const GENERATION = `${CYCLE} taskGenerationFailureCount`;

for (const token of [2, 4]) table(`an answer with token ${token}, where 3 is live, is late (I4)`, answer({ kind: 'done' }, token), { else: '-', rows: {} });
table('T10: a call that fails is made again after a while', answer({ kind: 'failed', message: 'boom' }), {
  else: '-',
  rows: {
    ...DISCARDED,
    'ACTIVE start calling': `ACTIVE start wait ${GENERATION}`,
    'ACTIVE next calling': `ACTIVE next wait ${GENERATION}`,
    'ACTIVE finish calling': `ACTIVE finish wait ${CYCLE}`,
    'ACTIVE end calling': `ACTIVE end >COMPLETED wait ${CYCLE}`,
    'ABORTING finish calling': `ABORTING finish >CANCELLED wait ${CYCLE}`,
    'ABORTING end calling': `ABORTING end >CANCELLED wait ${CYCLE}`,
    'ABORTING end calling, as completed': `ABORTING end >CANCELLED wait ${CYCLE}`,
  },
});
table('a call that is of no use to repeat ends the plan as FAILED', answer({ kind: 'failed', message: 'boom', refused: true }), {
  else: '-',
  rows: {
    ...DISCARDED,
    // Whoever asked is still there to be told: nothing is kept.
    'ACTIVE start calling': `ACTIVE over removed ${GENERATION}`,
    'ACTIVE next calling': `ABORTING end >FAILED call ${GENERATION} taskPlanAborted`,
    'ACTIVE finish calling': `ABORTING end >FAILED call ${CYCLE} taskPlanAborted`,
    'ACTIVE end calling': `FAILED over ${CYCLE}`,
    'ABORTING finish calling': `ABORTING end >CANCELLED call ${CYCLE}`,
    'ABORTING end calling': `CANCELLED over ${CYCLE}`,
    'ABORTING end calling, as completed': `CANCELLED over ${CYCLE}`,
  },
});

/** Answers of one kind of call: places where another one runs are none of their business. */
const only =
  (phase: string, decide: (p: Plan) => PlanDecision | null) =>
  (p: Plan): PlanDecision | null =>
    ['start', 'next', 'batch', 'finish', 'end', 'over'][p.phase] === phase ? decide(p) : null;
table('startPlan: the first batch is asked for at once', only('start', answer({ kind: 'started', total: 10 })), {
  else: '-',
  rows: { 'ACTIVE start calling': 'ACTIVE next call', 'ABORTING start calling': DISCARDED['ABORTING start calling'] },
});
const subtasks = [{ name: 'a', input: '1', units: 1 }];
for (const [name, a, then] of [
  ['T2: batch', { kind: 'batch', subtasks, countFailures: true }, 'ACTIVE batch'],
  ['T3: done', { kind: 'done' }, 'ACTIVE end >COMPLETED call'],
  ['wait', { kind: 'wait', ms: 5 }, 'ACTIVE next wait'],
  ['T5: abort', { kind: 'abort', reason: 'no' }, 'ABORTING end >FAILED call taskPlanAborted'],
] as [string, Answer, string][])
  table(`nextBatch: ${name}`, only('next', answer(a)), {
    else: '-',
    rows: { 'ACTIVE next calling': then, 'ABORTING next calling': DISCARDED['ABORTING next calling'] },
  });
table('onBatchFinished: on to the next batch, or to the end', only('finish', answer({ kind: 'finished' })), {
  else: '-',
  rows: { 'ACTIVE finish calling': 'ACTIVE next call', 'ABORTING finish calling': 'ABORTING end >CANCELLED call' },
});
for (const [what, a, overtaken] of [
  ['', { kind: 'ended' }, 'CANCELLED over'],
  [', and an abort is too late for what is written with it', { kind: 'ended', changes: {} }, 'COMPLETED over'],
] as [string, Answer, string][])
  table(`T6, T7: onPlanEnd: the plan is what it was to become${what}`, only('end', answer(a)), {
    else: '-',
    rows: { 'ACTIVE end calling': 'COMPLETED over', 'ABORTING end calling': 'CANCELLED over', 'ABORTING end calling, as completed': overtaken },
  });
test('a plan that cannot begin with what it was given is kept where nobody waits any more to hear it', () => {
  const refused: Answer = { kind: 'failed', message: 'boom', refused: true };
  for (const change of [{ attempts: 2 }, { source: 1 }])
    assert.equal(
      told(answer(refused)({ ...PLACES['ACTIVE start calling'], ...change }), PLACES['ACTIVE start calling']),
      `ABORTING end >FAILED call ${GENERATION} taskPlanAborted`,
    );
});
