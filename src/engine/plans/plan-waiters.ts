/** Who waits for a plan: for its first batch (a trigger), or for its end. Told when the decision is durable. */
import type { PlanDecision } from '../../core/decide-plan.ts';
import { type Plan, PlanPhase, batchName } from '../../core/plan.ts';

/** What a trigger's plan has come to. `later`: its generator failed or waits, and is called again. */
export type FirstOutcome =
  | { kind: 'batch'; task: number; name: string }
  /** `message`: what its generator said to that. */
  | { kind: 'nothing'; message: string }
  /** It was aborted before its first batch, and is kept. */
  | { kind: 'ended'; message: string }
  | { kind: 'failed'; message: string }
  /** It will not begin with these settings. */
  | { kind: 'refused'; message: string }
  | { kind: 'later'; message: string };

export class PlanWaiters {
  readonly #first = new Map<number, (o: FirstOutcome) => void>();
  readonly #ended = new Map<number, ((p: Plan | null) => void)[]>();

  /** Ask before the plan is created. */
  first(plan: number): Promise<FirstOutcome> {
    return new Promise((resolve) => this.#first.set(plan, resolve));
  }

  forget(plan: number): void {
    this.#first.delete(plan);
  }

  /** Null: it was removed. */
  ended(plan: number): Promise<Plan | null> {
    return new Promise((resolve) => this.#ended.set(plan, [...(this.#ended.get(plan) ?? []), resolve]));
  }

  decided(d: PlanDecision): void {
    const { plan } = d;
    const tell = this.#first.get(plan.id);
    const outcome = tell === undefined ? null : firstOf(d);
    if (tell !== undefined && outcome !== null) {
      this.#first.delete(plan.id);
      tell(outcome);
    }
    if (plan.phase === PlanPhase.over || d.removed) this.tell(plan.id, d.removed ? null : plan);
  }

  /** It has ended so; null: it was removed. */
  tell(plan: number, end: Plan | null): void {
    const waiters = this.#ended.get(plan);
    this.#ended.delete(plan);
    for (const w of waiters ?? []) w(end);
  }

  /** The engine stops: whoever waits for an end is told to look again, and whoever waits for a first batch that it comes later. */
  close(): void {
    for (const tell of this.#first.values()) tell({ kind: 'later', message: 'The process is shutting down.' });
    this.#first.clear();
    for (const plan of [...this.#ended.keys()]) this.tell(plan, null);
  }
}

function firstOf(d: PlanDecision): FirstOutcome | null {
  const { plan } = d;
  if (d.refused === true) return { kind: 'refused', message: plan.message };
  if (d.meters.includes('taskGenerationFailureCount'))
    return d.removed || plan.phase >= PlanPhase.end ? { kind: 'failed', message: plan.message } : { kind: 'later', message: plan.message };
  if (plan.batches > 0) return { kind: 'batch', task: plan.batchTask ?? -1, name: batchName(plan, 0) };
  if (d.removed) return { kind: 'nothing', message: plan.message };
  if (plan.phase >= PlanPhase.end) return { kind: 'ended', message: plan.message };
  if (d.blocked !== null) return { kind: 'later', message: d.blocked };
  return plan.owner === null && plan.wakeAt !== null ? { kind: 'later', message: plan.message } : null;
}
