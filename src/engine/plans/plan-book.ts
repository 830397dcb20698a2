/** Plans that have not ended, in memory: few and small. What is here is in the store, or is written by the turn in hand. */
import type { Plan, PlanBatch } from '../../core/plan.ts';
import type { PlanMeter } from '../../core/decide-plan.ts';

export const pairKey = (resource: string, taskType: string): string => `${resource}\n${taskType}`;

export interface PairCounts extends Record<PlanMeter, number> {
  resource: string;
  taskType: string;
  cronSchedulerJobs?: { count: number; ms: number };
}

export class PlanBook {
  readonly #plans = new Map<number, Plan>();
  readonly #byPair = new Map<string, number>();
  readonly #byTask = new Map<number, number>();
  readonly #batches = new Map<number, PlanBatch>();
  readonly #counts = new Map<string, PairCounts>();
  /** Plans that stand still, and why. */
  readonly blocked = new Map<number, string>();
  /** Types of which no batch begins. */
  readonly stopped = new Set<string>();

  get size(): number {
    return this.#plans.size;
  }

  get(id: number): Plan | undefined {
    return this.#plans.get(id);
  }

  all(): Plan[] {
    return [...this.#plans.values()];
  }

  /** The live plan of a pair. */
  ofPair(resource: string, taskType: string): Plan | undefined {
    return this.#plans.get(this.#byPair.get(pairKey(resource, taskType)) ?? -1);
  }

  /** The plan or run of its pair that lives under its label. */
  twinOf(p: Pick<Plan, 'resource' | 'taskType' | 'label'>): Plan | undefined {
    return p.label === undefined ? undefined : this.all().find((q) => q.label === p.label && q.resource === p.resource && q.taskType === p.taskType);
  }

  byPlanId(planId: string): Plan | undefined {
    for (const p of this.#plans.values()) if (p.planId === planId) return p;
    return undefined;
  }

  /** The plan whose open batch this task is. */
  ofTask(task: number): Plan | undefined {
    return this.#plans.get(this.#byTask.get(task) ?? -1);
  }

  openBatch(id: number): PlanBatch | undefined {
    return this.#batches.get(id);
  }

  put(p: Plan): void {
    const old = this.#plans.get(p.id);
    if (old !== undefined && old.batchTask !== null && old.batchTask !== p.batchTask) this.#byTask.delete(old.batchTask);
    this.#plans.set(p.id, p);
    if (p.batchTask !== null) this.#byTask.set(p.batchTask, p.id);
    else this.#batches.delete(p.id);
    if (p.once) return;
    this.#byPair.set(pairKey(p.resource, p.taskType), p.id);
    this.countsOf(p.resource, p.taskType);
  }

  putBatch(b: PlanBatch): void {
    this.#batches.set(b.plan, b);
  }

  drop(id: number): void {
    const p = this.#plans.get(id);
    if (p === undefined) return;
    this.#plans.delete(id);
    this.#batches.delete(id);
    this.blocked.delete(id);
    if (p.batchTask !== null) this.#byTask.delete(p.batchTask);
    const key = pairKey(p.resource, p.taskType);
    if (this.#byPair.get(key) === id) this.#byPair.delete(key);
  }

  count(resource: string, taskType: string, meter: PlanMeter): void {
    this.countsOf(resource, taskType)[meter]++;
  }

  /** A tick of a schedule was acted on. */
  ticked(resource: string, taskType: string, ms: number): void {
    const jobs = (this.countsOf(resource, taskType).cronSchedulerJobs ??= { count: 0, ms: 0 });
    jobs.count++;
    jobs.ms += ms;
  }

  countsOf(resource: string, taskType: string): PairCounts {
    const key = pairKey(resource, taskType);
    let counts = this.#counts.get(key);
    if (counts === undefined) {
      counts = { resource, taskType, taskPlanAborted: 0, orchestrationCycleFailure: 0, taskGenerationFailureCount: 0, scheduledTriggerActivePlanConflict: 0 };
      this.#counts.set(key, counts);
    }
    return counts;
  }

  pairs(): PairCounts[] {
    return [...this.#counts.values()];
  }

  /** The resource is gone: what was counted for it goes with it. */
  forget(resource: string): void {
    for (const [key, c] of this.#counts) if (c.resource === resource) this.#counts.delete(key);
  }
}
