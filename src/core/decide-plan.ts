/**
 * What a plan does next, as one table of decisions: plan + what happened + now → plan and effects. Pure; rules from spec/startree.md §4, §5
 * and §10. Each is safe to decide twice: an answer counts only for the live call's token, a batch's end only for the open batch.
 */
import {
  LOST_BATCH,
  MAX_END_ATTEMPTS,
  PLAN_SOURCES,
  type Plan,
  type PlanBatch,
  type PlanOutcome,
  PlanPhase,
  Status,
  batchName,
  callRetryDelay,
  fingerprint,
  isPlanLive,
} from './plan.ts';
import { Task } from './task-states.ts';

/** What the decision may know of the world. */
export interface PlanWorld {
  now: number;
  /** Owner of calls begun now. */
  boot: number;
  /** The kill switch. */
  enabled: boolean;
  /** Why no new batch may begin for this type (stopped queue, full disk); null: nothing is in the way. */
  blocked: string | null;
  /** Null: nobody here has the type. */
  traits: { hasStart: boolean; hasFinish: boolean; hasEnd: boolean } | null;
  pollMs: number;
}

/** Names as the seed gives them (spec/startree.md §12). */
export type PlanMeter = 'taskPlanAborted' | 'orchestrationCycleFailure' | 'taskGenerationFailureCount' | 'scheduledTriggerActivePlanConflict';

export interface PlanDecision {
  plan: Plan;
  /** Whether anything is to be written. */
  changed: boolean;
  /** A call of the generator begins; which one, `plan.phase` says. */
  call: boolean;
  /** The live call is told to stop. */
  stop: boolean;
  /** A record that is new, or that has changed. */
  batch: PlanBatch | null;
  /** The plan is removed, with its records: nothing came of it, or it was a one-shot run. */
  removed: boolean;
  /** Progress stands still for this reason. */
  blocked: string | null;
  meters: PlanMeter[];
  /** `startPlan` will not begin with what it was given: whoever asked for the plan can mend that. Absent: it is not so. */
  refused?: true;
}

const same = (plan: Plan): PlanDecision => ({ plan, changed: false, call: false, stop: false, batch: null, removed: false, blocked: null, meters: [] });

class Step {
  readonly d: PlanDecision;
  readonly #w: PlanWorld;

  constructor(plan: Plan, w: PlanWorld) {
    this.d = same(plan);
    this.#w = w;
  }

  set(change: Partial<Plan>): this {
    const { d } = this;
    d.plan = d.changed ? { ...d.plan, ...change } : { ...d.plan, ...change, version: d.plan.version + 1, updatedAt: this.#w.now };
    d.changed = true;
    return this;
  }

  meter(m: PlanMeter): this {
    this.d.meters.push(m);
    return this;
  }

  remove(): this {
    this.set({ phase: PlanPhase.over, endedAt: this.#w.now, owner: null, wakeAt: null });
    this.d.removed = true;
    return this;
  }

  /** An abort that came while onPlanEnd ran: that call did not end the plan, so nothing has become true that the abort would deny. */
  withdraw(message: string): this {
    const { status, outcome } = this.d.plan;
    return status === Status.aborting && outcome === Status.completed ? this.set({ outcome: Status.cancelled, message }) : this;
  }

  /** From here on nothing new is begun: the plan ends so as soon as nothing of it runs. */
  end(outcome: PlanOutcome, message: string): this {
    const status = outcome === Status.completed || this.d.plan.status === Status.aborting ? this.d.plan.status : Status.aborting;
    return this.set({ phase: PlanPhase.end, outcome, message, status, attempts: 0, wakeAt: null });
  }

  conclude(): this {
    const { plan } = this.d;
    if (plan.once) return this.remove();
    return this.set({ status: plan.outcome ?? Status.failed, phase: PlanPhase.over, endedAt: this.#w.now, owner: null, wakeAt: null, inFlight: 0 });
  }

  /** Begins the call that is due, if it may begin now. */
  advance(): PlanDecision {
    const { d } = this;
    const w = this.#w;
    // A phase without a function in the generator is passed through: at most once each.
    for (let i = 0; i < 5; i++) {
      const p = d.plan;
      if (p.phase === PlanPhase.over || p.phase === PlanPhase.batch || p.owner !== null) return d;
      if (!w.enabled && !p.once) return d;
      if (p.wakeAt !== null && p.wakeAt > w.now) {
        // It waits anyhow; that it could not go on either is to be seen.
        if (p.phase === PlanPhase.next && p.status === Status.active) d.blocked = w.blocked;
        return d;
      }
      if (p.status === Status.aborting && (p.phase === PlanPhase.start || p.phase === PlanPhase.next)) {
        this.end(p.outcome ?? Status.cancelled, p.message);
        continue;
      }
      if (w.traits === null) {
        // An aborted plan must be able to end without its generator.
        if (p.phase === PlanPhase.end && p.outcome !== Status.completed) return this.conclude().d;
        d.blocked = `nobody here has the task type ${p.taskType}`;
        return d;
      }
      switch (p.phase) {
        case PlanPhase.start:
          if (w.traits.hasStart) return this.#call();
          this.set({ phase: PlanPhase.next, attempts: 0, wakeAt: null });
          continue;
        case PlanPhase.next:
          if (w.blocked !== null) {
            d.blocked = w.blocked;
            return d;
          }
          return this.#call();
        case PlanPhase.finish:
          if (w.traits.hasFinish) return this.#call();
          this.afterFinish();
          continue;
        case PlanPhase.end:
          return w.traits.hasEnd ? this.#call() : this.conclude().d;
        default:
          return p.phase satisfies never;
      }
    }
    return d;
  }

  /** The batch's end is written: the next one, or the plan's end. */
  afterFinish(): this {
    const p = this.d.plan;
    this.set({ batchTask: null, attempts: 0, wakeAt: null });
    if (p.once) return this.end(Status.completed, 'The run has ended.');
    if (p.status === Status.aborting) return this.end(p.outcome ?? Status.cancelled, p.message);
    return this.set({ phase: PlanPhase.next });
  }

  #call(): PlanDecision {
    const { plan } = this.d;
    this.set({ owner: this.#w.boot, token: plan.token + 1, attempts: plan.attempts + 1, wakeAt: null });
    this.d.call = true;
    return this.d;
  }
}

/** Begins what is due: after a trigger, a poll, a batch's end, a resumed queue, a start. */
export const advancePlan = (plan: Plan, w: PlanWorld): PlanDecision => new Step(plan, w).advance();

/** A process that made a call is gone: the call counts, and is made again. */
export function loseCall(plan: Plan, w: PlanWorld): PlanDecision {
  if (plan.owner === null || plan.owner === w.boot || !isPlanLive(plan.status)) return same(plan);
  return new Step(plan, w)
    .set({ owner: null, wakeAt: plan.attempts > 1 ? w.now + callRetryDelay(plan, plan.attempts - 1, w.pollMs) : null })
    .withdraw('Aborted while the plan was ending.')
    .advance();
}

/** DELETE of a plan: nothing new is generated from here on; what runs may finish. Null: it has ended. */
export function abortPlan(plan: Plan, w: PlanWorld, message: string): PlanDecision | null {
  if (!isPlanLive(plan.status)) return null;
  if (plan.status === Status.aborting) return same(plan);
  const step = new Step(plan, w);
  // While onPlanEnd runs, what it was told stays true: its answer may switch a whole table.
  if (plan.phase === PlanPhase.end && plan.owner !== null)
    return step.set({ status: Status.aborting, message: plan.outcome === Status.completed ? message : plan.message }).d;
  step.set({ status: Status.aborting, outcome: Status.cancelled, message });
  if (plan.owner !== null) {
    step.d.stop = plan.phase === PlanPhase.start || plan.phase === PlanPhase.next;
    return step.d;
  }
  step.set({ wakeAt: null });
  return step.advance();
}

export interface NewBatch {
  subtasks: readonly { name: string; input: string; units: number }[];
  state?: string;
  total?: number;
  customStats?: Record<string, string>;
  message?: string;
  countFailures: boolean;
}

/** What a live call answered; see PlanAnswer in engine/plan-port.ts. `changes` are the caller's business. */
export type Answer =
  | { kind: 'started'; state?: string; properties?: Record<string, string>; total: number; unit?: string; customStats?: Record<string, string> }
  | ({ kind: 'batch' } & NewBatch)
  | { kind: 'done'; message?: string; state?: string; customStats?: Record<string, string> }
  | { kind: 'wait'; ms: number | null; message?: string }
  | { kind: 'abort'; reason: string }
  | { kind: 'finished'; processed?: number; total?: number; state?: string; customStats?: Record<string, string> }
  | { kind: 'ended'; message?: string; customStats?: Record<string, string>; changes?: unknown }
  | { kind: 'failed'; message: string; refused?: boolean };

/** Null: the answer is late and changes nothing (I4). `task`: the id that the batch's task gets, should there be one. */
export function answerPlan(plan: Plan, token: number, answer: Answer, w: PlanWorld, task: number): PlanDecision | null {
  if (plan.token !== token || plan.owner === null || plan.phase === PlanPhase.over) return null;
  const step = new Step(plan, w);
  step.set({ owner: null });
  const { phase } = plan;
  const generating = phase === PlanPhase.start || phase === PlanPhase.next;
  // An abort that came meanwhile discards what was generated; nothing of it has begun.
  if (plan.status === Status.aborting && generating) return step.set({ attempts: 0, wakeAt: null }).advance();
  if (answer.kind === 'failed') return failed(step, plan, answer, w);
  step.set({ attempts: 0, ...kept(answer) });
  switch (answer.kind) {
    case 'started': {
      const properties = { ...plan.properties, ...answer.properties };
      return step.set({ phase: PlanPhase.next, properties, total: answer.total, inputUnit: answer.unit ?? plan.inputUnit }).advance();
    }
    case 'batch':
      return begun(step, plan, answer, w, task);
    case 'done':
      // Nothing was done, so nothing is kept: not a plan, as a run by hand would have said "no tasks". Who asked is told why.
      if (plan.batches === 0) return step.set({ message: answer.message ?? '' }).remove().d;
      return step.end(Status.completed, answer.message ?? `All ${plan.processed} ${plan.inputUnit} are processed: nothing is left to do.`).advance();
    case 'wait':
      if (plan.once) return step.set({ message: answer.message ?? '' }).remove().d;
      return step.set({ wakeAt: w.now + (answer.ms ?? w.pollMs), message: answer.message ?? plan.message }).d;
    case 'abort':
      if (plan.once) return step.set({ message: answer.reason }).remove().d;
      return step.meter('taskPlanAborted').end(Status.failed, answer.reason).advance();
    case 'finished': {
      const processed = answer.processed === undefined ? plan.processed : plan.processed - plan.lastProcessed + answer.processed;
      step.set({ processed, total: Math.max(answer.total ?? plan.total, processed) });
      return step.afterFinish().advance();
    }
    case 'ended': {
      const abortedMeanwhile = plan.status === Status.aborting && plan.outcome === Status.completed;
      // It is heard, unless the end is written into the resource with this commit.
      if (abortedMeanwhile && answer.changes === undefined) return step.withdraw(plan.message).conclude().d;
      const message = answer.message ?? (abortedMeanwhile ? 'It was complete before the abort came.' : plan.message);
      return step.set({ message }).conclude().d;
    }
    default:
      return answer satisfies never;
  }
}

const kept = (a: Answer): Partial<Plan> => ({
  ...('state' in a && a.state !== undefined ? { state: a.state } : {}),
  ...('customStats' in a && a.customStats !== undefined ? { customStats: a.customStats } : {}),
});

function failed(step: Step, plan: Plan, answer: { message: string; refused?: boolean }, w: PlanWorld): PlanDecision {
  if (!plan.once) step.meter('orchestrationCycleFailure');
  const generating = plan.phase === PlanPhase.start || plan.phase === PlanPhase.next;
  if (generating) step.meter('taskGenerationFailureCount');
  if (answer.refused === true && plan.phase === PlanPhase.start) step.d.refused = true;
  // A run by hand is told, and may be asked for again. So is whoever asks for a plan that cannot begin with what it was given: the first call
  // is still waited for, so nothing has to be kept to say so.
  const told = step.d.refused === true && PLAN_SOURCES[plan.source] === 'ADHOC_CONFIG' && plan.attempts === 1;
  if ((plan.once && generating) || told) return step.set({ message: answer.message }).remove().d;
  if (answer.refused === true && generating) return step.meter('taskPlanAborted').end(Status.failed, answer.message).advance();
  const refused = answer.refused === true;
  const exhausted = refused || plan.attempts >= MAX_END_ATTEMPTS;
  if (plan.phase === PlanPhase.finish) {
    // Nothing that its batch did was written.
    const given = `onBatchFinished failed ${plan.attempts} times: ${answer.message}`;
    if (exhausted && (plan.once || plan.status === Status.aborting))
      return step
        .set({ ...unfinished(plan), message: `${plan.message} ${given}` })
        .afterFinish()
        .advance();
    if (refused) return step.meter('taskPlanAborted').set(unfinished(plan)).end(Status.failed, answer.message).advance();
  }
  step.withdraw(`Aborted while the plan was ending: ${answer.message}`);
  if (plan.phase === PlanPhase.end && exhausted) {
    const { outcome, message } = step.d.plan;
    return step
      .set({
        outcome: outcome === Status.completed ? Status.failed : outcome,
        message: `${message} onPlanEnd failed ${plan.attempts} times: ${answer.message}`,
      })
      .conclude().d;
  }
  // Where the end is decided the message says why, and goes on to say it.
  const message = plan.outcome === null ? `${PHASE_CALLS[plan.phase]} failed and is tried again: ${answer.message}` : step.d.plan.message;
  return step.set({ wakeAt: w.now + callRetryDelay(plan, plan.attempts, w.pollMs), message }).d;
}

/** Its last batch counts for nothing. */
const unfinished = (p: Plan): Partial<Plan> => ({ batchTask: null, processed: p.processed - p.lastProcessed });

const PHASE_CALLS = ['startPlan', 'nextBatch', '', 'onBatchFinished', 'onPlanEnd', ''] as const;

function begun(step: Step, plan: Plan, answer: NewBatch, w: PlanWorld, task: number): PlanDecision {
  const units = answer.subtasks.reduce((sum, s) => sum + s.units, 0);
  const print = fingerprint(answer.subtasks.map((s) => s.input));
  const seq = plan.batches;
  step.set({
    phase: PlanPhase.batch,
    batches: seq + 1,
    batchTask: task,
    inFlight: units,
    // Processed and in flight never exceed the total: a generator that finds more has a larger total.
    total: Math.max(answer.total ?? plan.total, plan.processed + units),
    barrenInARow: print === plan.print ? plan.barrenInARow : 0,
    print,
    countFailures: answer.countFailures,
    message: answer.message ?? `Batch ${seq} runs: ${answer.subtasks.length} subtasks.`,
  });
  step.d.batch = {
    plan: plan.id,
    seq,
    task,
    name: batchName(plan, seq),
    submittedAt: w.now,
    state: Task.enqueuingSteps,
    finishedAt: null,
    total: answer.subtasks.length,
    complete: 0,
    failed: 0,
    units,
  };
  return step.d;
}

export interface BatchEnd {
  task: number;
  /** State of the task, LOST_BATCH or TIMED_OUT_BATCH. */
  state: number;
  total: number;
  complete: number;
  /** Units of the complete subtasks. */
  units: number;
}

/** The open batch's task has ended. Null: it is not the open batch of this plan. `record` is the batch as it is stored. */
export function endBatch(plan: Plan, end: BatchEnd, w: PlanWorld, record: PlanBatch): PlanDecision | null {
  if (plan.phase !== PlanPhase.batch || plan.batchTask !== end.task) return null;
  const step = new Step(plan, w);
  const failures = end.total - end.complete;
  const outright = end.complete === 0;
  const failedInARow = !plan.countFailures ? plan.failedInARow : outright ? plan.failedInARow + 1 : 0;
  const barrenInARow = outright ? plan.barrenInARow + 1 : 0;
  step.d.batch = { ...record, state: end.state, finishedAt: w.now, total: end.total, complete: end.complete, failed: failures };
  step.set({
    phase: PlanPhase.finish,
    inFlight: 0,
    processed: plan.processed + end.units,
    lastProcessed: end.units,
    total: Math.max(plan.total, plan.processed + end.units),
    failedInARow,
    barrenInARow,
    attempts: 0,
    wakeAt: null,
    message: end.state === LOST_BATCH ? lostRecord(record.seq) : `Batch ${record.seq} has ended: ${end.complete} of ${end.total} subtasks complete.`,
  });
  const breach = breachOf(step.d.plan, end, failures);
  if (breach !== null && plan.status === Status.active && !plan.once) {
    const message = end.state === LOST_BATCH ? `${lostRecord(record.seq)} ${breach}` : breach;
    step.meter('taskPlanAborted').set({ status: Status.aborting, outcome: Status.failed, message });
  } else if (plan.status === Status.aborting) step.set({ message: plan.message });
  return step.advance();
}

const lostRecord = (seq: number): string => `Batch ${seq}: task record not found.`;

/** Why a plan is not to go on after this batch; null: it may. */
function breachOf(p: Plan, end: BatchEnd, failures: number): string | null {
  const { thresholdPercent, maxFailedBatches, maxBarrenBatches } = p.policy;
  if (p.barrenInARow >= maxBarrenBatches) return `${p.barrenInARow} batches in a row had the same subtasks, and none completed.`;
  if (!p.countFailures) return null;
  if (end.total > 0 && (failures / end.total) * 100 > thresholdPercent) {
    return `${failures} of ${end.total} subtasks failed in batch ${p.batches - 1}, more than ${thresholdPercent} %.`;
  }
  if (p.failedInARow >= maxFailedBatches) return `${p.failedInARow} batches in a row failed outright.`;
  return null;
}
