/**
 * Calls of generators: leased attempts of a plan that were counted in a commit before they begin (I6). One per plan at most; an answer is
 * held by its token until the turn that decides it is durable, so that a call is never made twice beside itself.
 */
import type { Plan, PlanBatch } from '../../core/plan.ts';
import { PLAN_SOURCES, PLAN_STATUSES, PlanPhase } from '../../core/plan.ts';
import type { Host } from '../host.ts';
import type { GeneratorHost, PlanAnswer, PlanCall, PlanCallKind } from '../plan-port.ts';
import { batchStateName } from './plan-state-names.ts';

/** How long a call that was told to stop may go on before its plan goes on without it. */
const GRACE_MS = 5000;
const DEFAULT_TIMEOUT_MS = 60_000;
/** Calls at once; the others wait. */
const MAX_CALLS = 64;

interface Active {
  token: number;
  abort: AbortController;
}

export interface PlanCallsOptions {
  host: Host;
  generators: () => GeneratorHost | null;
  answered: (plan: Plan, token: number, answer: PlanAnswer) => void;
  batchOf: (plan: number) => PlanBatch | undefined;
  ran: (plan: Plan, kind: PlanCallKind, answer: PlanAnswer) => void;
}

const KINDS: Record<number, PlanCallKind> = {
  [PlanPhase.start]: 'start',
  [PlanPhase.next]: 'next',
  [PlanPhase.finish]: 'finish',
  [PlanPhase.end]: 'end',
};

export class PlanCalls {
  readonly #o: PlanCallsOptions;
  readonly #active = new Map<number, Active>();
  readonly #waiting: Plan[] = [];
  #running = 0;
  #closed = false;

  constructor(o: PlanCallsOptions) {
    this.#o = o;
  }

  /** Whether this call runs, or its answer is on its way. */
  has(plan: number, token: number): boolean {
    return this.#active.get(plan)?.token === token;
  }

  /** The commit that counted the call is durable: it begins. */
  start(plan: Plan): void {
    if (this.#closed || this.has(plan.id, plan.token)) return;
    this.#active.set(plan.id, { token: plan.token, abort: new AbortController() });
    if (this.#running >= MAX_CALLS) this.#waiting.push(plan);
    else this.#run(plan);
  }

  stop(plan: number, token: number): void {
    const a = this.#active.get(plan);
    if (a?.token === token) a.abort.abort(new Error('the plan is being aborted'));
  }

  /** Its answer is decided, durably, or its plan is gone. */
  finished(plan: number, token: number): void {
    if (this.has(plan, token)) this.#active.delete(plan);
  }

  drop(plan: number): void {
    this.#active.get(plan)?.abort.abort(new Error('the plan was removed'));
    this.#active.delete(plan);
  }

  close(): void {
    this.#closed = true;
    for (const a of this.#active.values()) a.abort.abort(new Error('the process is shutting down'));
    this.#active.clear();
    this.#waiting.length = 0;
  }

  #run(plan: Plan): void {
    const a = this.#active.get(plan.id);
    if (a === undefined || a.token !== plan.token) return;
    this.#running++;
    const generators = this.#o.generators();
    const kind = plan.once && plan.phase === PlanPhase.next ? 'once' : KINDS[plan.phase];
    const timeoutMs = generators?.taskType(plan.taskType)?.callTimeoutMs ?? DEFAULT_TIMEOUT_MS;
    let open = true;
    const settle = (answer: PlanAnswer): void => {
      if (!open) return;
      open = false;
      cancel();
      this.#running--;
      // Some of those that wait may be dropped by now: they begin nothing, and hold up nobody.
      while (this.#running < MAX_CALLS && this.#waiting.length > 0) this.#run(this.#waiting.shift()!);
      if (this.#closed || !this.has(plan.id, plan.token)) return;
      this.#o.ran(plan, kind, answer);
      this.#o.answered(plan, plan.token, answer);
    };
    let cancel = this.#o.host.timer(timeoutMs, () => {
      a.abort.abort(new Error(`the call took longer than ${timeoutMs} ms`));
      cancel = this.#o.host.timer(GRACE_MS, () => settle({ kind: 'failed', message: `the call took longer than ${timeoutMs} ms` }));
    });
    if (generators === null) {
      settle({ kind: 'failed', message: `nobody here has the task type ${plan.taskType}` });
      return;
    }
    generators
      .call(this.#callOf(plan, kind, timeoutMs), a.abort.signal)
      .then(settle, (e: unknown) => settle({ kind: 'failed', message: e instanceof Error ? e.message : String(e) }));
  }

  #callOf(p: Plan, kind: PlanCallKind, timeoutMs: number): PlanCall {
    const batch = kind === 'finish' ? this.#o.batchOf(p.id) : undefined;
    return {
      kind,
      plan: p.id,
      token: p.token,
      attempt: p.attempts,
      planId: p.planId,
      resource: p.resource,
      taskType: p.taskType,
      source: PLAN_SOURCES[p.source],
      triggeredBy: p.triggeredBy,
      properties: p.properties,
      state: p.state,
      createdAt: p.createdAt,
      batches: p.batches,
      inputs: { total: p.total, inFlight: p.inFlight, processed: p.processed },
      customStats: p.customStats,
      timeoutMs,
      batch:
        batch === undefined
          ? null
          : {
              sequence: batch.seq,
              taskName: batch.name,
              task: batch.task,
              taskState: batchStateName(batch.state, false) ?? 'FAILED',
              counts: { total: batch.total, complete: batch.complete, failed: batch.failed },
            },
      outcome: kind === 'end' && p.outcome !== null ? { status: PLAN_STATUSES[p.outcome] as 'COMPLETED' | 'CANCELLED' | 'FAILED', message: p.message } : null,
    };
  }
}
