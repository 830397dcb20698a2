/** Any order of events against a model that keeps nothing but the history of what was accepted, and counts anew each time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Answer, type PlanDecision, abortPlan, advancePlan, answerPlan, endBatch, loseCall } from '../../src/core/decide-plan.ts';
import { LOST_BATCH, MAX_END_ATTEMPTS, PLAN_STATUSES, type Plan, type PlanBatch, PlanPhase, isPlanLive } from '../../src/core/plan.ts';
import { Task } from '../../src/core/task-states.ts';
import { plan, world } from './plan-cases.ts';

const LONGER = process.env.TUTTI_SOAK === undefined ? 1 : 40;

type Event =
  | { kind: 'poke'; enabled: boolean; blocked: boolean; known: boolean }
  | { kind: 'answer'; late: boolean; fails: boolean; refused: boolean; choice: number; units: number[]; total: number; counts: boolean; again: boolean }
  | { kind: 'end'; other: boolean; lost: boolean; complete: number }
  | { kind: 'abort'; enabled: boolean }
  | { kind: 'crash' }
  | { kind: 'time'; ms: number };

const mostly = (yes: number): fc.Arbitrary<boolean> => fc.nat(99).map((n) => n < yes);
const arbEvent: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('poke'), enabled: mostly(90), blocked: mostly(15), known: mostly(90) } as const) as fc.Arbitrary<Event>,
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('answer'),
      late: mostly(10),
      fails: mostly(15),
      refused: mostly(10),
      choice: fc.nat(99),
      units: fc.array(fc.nat(5), { minLength: 1, maxLength: 4 }),
      total: fc.nat(60),
      counts: mostly(80),
      again: mostly(40),
    } as const) as fc.Arbitrary<Event>,
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('end'),
      other: mostly(10),
      lost: mostly(5),
      complete: fc.constantFrom(0, 0, 1, 2, 4),
    } as const) as fc.Arbitrary<Event>,
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort'), enabled: mostly(80) } as const) as fc.Arbitrary<Event> },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: 'crash' }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('time'), ms: fc.nat(400_000) } as const) as fc.Arbitrary<Event> },
);

interface Shot {
  units: number[];
  same: boolean;
  counts: boolean;
  /** How many are complete; null: it runs. */
  complete: number | null;
  /** What onBatchFinished said instead of the count; -1: it was given up. */
  said: number | null;
}

/** History only. */
class Model {
  readonly batches: Shot[] = [];
  fate: 'COMPLETED' | 'CANCELLED' | 'FAILED' | null = null;
  /** An abort came while onPlanEnd ran. */
  overtaken = false;

  get processed(): number {
    return this.batches.reduce((n, b) => n + (b.said === -1 ? 0 : (b.said ?? b.units.slice(0, b.complete ?? 0).reduce((x, y) => x + y, 0))), 0);
  }

  get inFlight(): number {
    const open = this.batches.find((b) => b.complete === null);
    return open === undefined ? 0 : open.units.reduce((x, y) => x + y, 0);
  }

  /** Whether the batch that has just ended is one too many. */
  breach(p: Plan): boolean {
    const { thresholdPercent, maxFailedBatches, maxBarrenBatches } = p.policy;
    const last = this.batches.at(-1)!;
    let barren = 0;
    for (let i = this.batches.length - 1; i >= 0 && this.batches[i].complete === 0; i--) {
      barren++;
      if (!this.batches[i].same) break;
    }
    if (barren >= maxBarrenBatches) return true;
    if (!last.counts) return false;
    if (((last.units.length - last.complete!) / last.units.length) * 100 > thresholdPercent) return true;
    const counted = this.batches.filter((b) => b.counts);
    const row = counted.length - 1 - counted.findLastIndex((b) => b.complete! > 0);
    return row >= maxFailedBatches;
  }
}

const PHASES: readonly string[] = ['start', 'next', 'batch', 'finish', 'end'];

function run(events: Event[], policy: Plan['policy'], traits: { hasStart: boolean; hasFinish: boolean; hasEnd: boolean }): void {
  const m = new Model();
  let now = 1_000_000;
  let boot = 1;
  let tasks = 100;
  let p = plan({ policy, total: 0, version: 1, token: 0 });
  let open: PlanBatch | null = null;
  let removed = false;
  const w = (o: { enabled?: boolean; blocked?: boolean; known?: boolean } = {}) =>
    world({ now, boot, enabled: o.enabled ?? true, blocked: o.blocked === true ? 'x' : null, traits: o.known === false ? null : traits });

  const took = (d: PlanDecision): void => {
    assert.ok(!removed, 'something was decided about a plan that is gone');
    const was = p;
    if (!d.changed) assert.equal(d.plan, was);
    else assert.equal(d.plan.version, was.version + 1, 'one version per decision (I3)');
    assert.ok(d.plan.token === was.token || (d.call && d.plan.token === was.token + 1), 'tokens grow, with calls only');
    assert.equal(d.call, d.plan.token !== was.token);
    if (d.call) assert.equal(d.plan.owner, boot);
    assert.ok(isPlanLive(was.status), 'T13: nothing comes of a plan that has ended');
    if (isPlanLive(was.status) && was.status === 1) assert.notEqual(d.plan.status, 0, 'ABORTING is never ACTIVE again');
    p = d.plan;
    removed = d.removed;
  };

  const apply = (e: Event): void => {
    if (e.kind === 'time') now += e.ms;
    else if (e.kind === 'crash') {
      boot++;
      if (p.owner === null || removed) return;
      if (p.phase === PlanPhase.end && m.overtaken) m.fate = 'CANCELLED';
      took(loseCall(p, w()));
    } else if (e.kind === 'poke') {
      if (removed) return;
      const d = p.owner !== null && p.owner !== boot ? loseCall(p, w(e)) : advancePlan(p, w(e));
      if (!e.enabled) assert.equal(d.call, false, 'T12');
      if (!isPlanLive(p.status)) assert.equal(d.changed, false);
      else took(d);
    } else if (e.kind === 'abort') {
      if (removed) return;
      const d = abortPlan(p, w(e), 'aborted');
      if (d === null) {
        assert.ok(!isPlanLive(p.status));
        return;
      }
      if (p.status === 0) {
        if (p.phase === PlanPhase.end && p.owner !== null) m.overtaken = true;
        else m.fate = 'CANCELLED';
      }
      took(d);
    } else if (e.kind === 'end') {
      const batch = m.batches.at(-1);
      const live = open !== null && batch?.complete === null && !removed;
      const task = e.other || open === null ? 1 : open.task;
      const total = open?.total ?? 1;
      const complete = e.lost ? 0 : Math.min(e.complete, total);
      const units = batch === undefined ? 0 : batch.units.slice(0, complete).reduce((x, y) => x + y, 0);
      if (removed) return;
      const d = endBatch(p, { task, state: e.lost ? LOST_BATCH : Task.complete, total, complete, units }, w(), open ?? ({} as PlanBatch));
      if (!live || e.other) {
        assert.equal(d, null);
        return;
      }
      batch.complete = complete;
      if (p.status === 0 && m.breach(p)) {
        m.fate = 'FAILED';
        assert.deepEqual(d!.meters, ['taskPlanAborted']);
      } else assert.deepEqual(d!.meters, []);
      open = null;
      took(d!);
    } else answer(e);
  };

  const answer = (e: Extract<Event, { kind: 'answer' }>): void => {
    if (removed) return;
    const phase = PHASES[p.phase];
    const token = e.late ? p.token - 1 : p.token;
    const a = answerOf(e, phase);
    const d = answerPlan(p, token, a, w(), ++tasks);
    if (e.late || p.owner === null) {
      assert.equal(d, null, 'I4');
      return;
    }
    assert.notEqual(d, null);
    const discarded = p.status === 1 && (phase === 'start' || phase === 'next');
    if (discarded) assert.equal(d!.batch, null, 'an abort discards what was generated');
    else if (a.kind === 'batch') {
      m.batches.push({ units: e.units, same: e.again && m.batches.length > 0, counts: e.counts, complete: null, said: null });
      assert.equal(d!.batch!.seq, m.batches.length - 1, 'no gap and no repeat');
      assert.equal(m.batches.filter((b) => b.complete === null).length, 1, 'I9');
      open = d!.batch;
    } else if (a.kind === 'finished') m.batches.at(-1)!.said = a.processed ?? null;
    else if (a.kind === 'abort') m.fate = 'FAILED';
    else if (a.kind === 'done') {
      assert.equal(d!.removed, m.batches.length === 0);
      m.fate = 'COMPLETED';
    } else if (a.kind === 'ended') m.overtaken = false;
    else if (a.kind === 'failed') {
      const spent = e.refused || p.attempts >= MAX_END_ATTEMPTS;
      if (phase === 'end') {
        if (m.overtaken) m.fate = 'CANCELLED';
        else if (spent && m.fate === 'COMPLETED') m.fate = 'FAILED';
        m.overtaken = false;
      } else if (e.refused && p.status === 0) m.fate = 'FAILED';
      if (phase === 'finish' && (e.refused || (spent && p.status === 1))) m.batches.at(-1)!.said = -1;
    }
    took(d!);
  };

  const answerOf = (e: Extract<Event, { kind: 'answer' }>, phase: string): Answer => {
    if (e.fails || e.refused) return { kind: 'failed', message: 'x', refused: e.refused };
    if (phase === 'start') return { kind: 'started', total: e.total };
    if (phase === 'finish')
      return e.choice < 50 ? { kind: 'finished' } : { kind: 'finished', processed: e.choice % 7, ...(e.choice > 80 ? { total: e.total } : {}) };
    if (phase === 'end') return { kind: 'ended' };
    if (e.choice < 70) {
      const n = e.again ? m.batches.length - 1 : m.batches.length;
      // The same work has the same subtasks: also as many.
      const units = e.again && m.batches.length > 0 ? m.batches.at(-1)!.units : e.units;
      e.units = units;
      const name = e.again && m.batches.length > 0 ? work : `work ${n} ${(work = `w${tasks}`)}`;
      work = name;
      return {
        kind: 'batch',
        subtasks: units.map((u, i) => ({ name: `${i}`, input: `${name} ${i}`, units: u })),
        countFailures: e.counts,
        ...(e.choice < 20 ? { total: e.total } : {}),
      };
    }
    if (e.choice < 80) return { kind: 'wait', ms: e.choice < 75 ? null : e.total };
    return e.choice < 95 ? { kind: 'done' } : { kind: 'abort', reason: 'no' };
  };
  let work = '';

  const check = (): void => {
    if (removed) return;
    assert.equal(p.batches, m.batches.length);
    assert.equal(p.processed, m.processed, 'processed');
    assert.equal(p.inFlight, m.inFlight, 'in flight');
    assert.ok(p.processed + p.inFlight <= p.total, `${p.processed} + ${p.inFlight} > ${p.total}`);
    assert.equal(p.phase === PlanPhase.batch, m.batches.at(-1)?.complete === null);
    assert.equal(isPlanLive(p.status), p.phase !== PlanPhase.over);
    assert.equal(isPlanLive(p.status), p.endedAt === null);
    if (!isPlanLive(p.status)) {
      assert.equal(PLAN_STATUSES[p.status], m.overtaken ? 'COMPLETED' : m.fate);
      assert.deepEqual([p.inFlight, p.owner, p.wakeAt], [0, null, null]);
      assert.notEqual(p.message, '');
    }
  };

  for (const e of events) {
    apply(structuredClone(e));
    check();
  }
  // Undisturbed from here on, it ends.
  for (let i = 0; i < 200 && !removed && isPlanLive(p.status); i++) {
    apply({ kind: 'time', ms: 400_000 });
    apply({ kind: 'poke', enabled: true, blocked: false, known: true });
    if (p.phase === PlanPhase.batch) apply({ kind: 'end', other: false, lost: false, complete: 4 });
    else if (p.owner !== null)
      apply({
        kind: 'answer',
        late: false,
        fails: false,
        refused: false,
        choice: p.phase === PlanPhase.next ? 85 : 0,
        units: [1],
        total: 9,
        counts: true,
        again: false,
      });
    check();
  }
  assert.ok(removed || !isPlanLive(p.status), `stuck in phase ${p.phase}`);
}

test('processed + in flight ≤ total, one open batch, no gap, late answers change nothing, and the end that history says', () => {
  fc.assert(
    fc.property(
      fc.array(arbEvent, { minLength: 1, maxLength: 80 }),
      fc.record({
        thresholdPercent: fc.constantFrom(100, 100, 100, 60, 0),
        maxFailedBatches: fc.constantFrom(1, 2, 3, 50),
        maxBarrenBatches: fc.constantFrom(1, 2, 3, 50),
      }),
      fc.record({ hasStart: fc.boolean(), hasFinish: fc.boolean(), hasEnd: fc.boolean() }),
      run,
    ),
    { numRuns: 1500 * LONGER },
  );
});
