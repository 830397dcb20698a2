/** Looking at plans: those that have not ended from memory, the others from the store. */
import { TuttiError } from '../../core/errors.ts';
import type { TaskGraph } from '../../core/graph.ts';
import { type Plan, Status, isPlanLive } from '../../core/plan.ts';
import type { EngineParts } from '../engine-parts.ts';
import type { PlanMetrics, PlanView } from '../plan-views.ts';
import { ReadGate } from '../read-gate.ts';
import type { PlanBook } from './plan-book.ts';
import { LISTED_BATCHES, planView } from './plan-views-of.ts';
import type { PlanWaiters } from './plan-waiters.ts';

const MAX_RECENT = 1000;
/** Pages of batches between two turns of the event loop, whoever reads them. */
const PAGES_AT_ONCE = 2;

export interface PlanReadsParts {
  parts: EngineParts;
  book: PlanBook;
  waiters: PlanWaiters;
  taskUuid: (task: number) => string;
  /** Throws when the engine is closed. */
  admit: () => void;
  guard: <T>(ask: () => T | Promise<T>) => Promise<T>;
  polledAt: () => number;
}

export class PlanReads {
  readonly #p: PlanReadsParts;
  readonly #gate: ReadGate;

  constructor(parts: PlanReadsParts) {
    this.#p = parts;
    this.#gate = new ReadGate({ limit: PAGES_AT_ONCE, soon: (fn) => parts.parts.host.soon(fn) });
  }

  /** Throws NOT_FOUND, also for a one-shot run. */
  async plan(planId: string): Promise<Plan> {
    if (typeof planId !== 'string' || planId.split('__').length < 3)
      throw new TuttiError('NOT_FOUND', `${JSON.stringify(planId)} is no plan id: it looks like <resource>__<task type>__<uuid>`, { field: 'planId' });
    const live = this.#p.book.byPlanId(planId);
    if (live !== undefined && !live.once) return live;
    const stored = await this.#p.guard(() => this.#p.parts.store.planById(planId));
    if (stored === null || stored.once) throw new TuttiError('NOT_FOUND', `there is no plan ${planId}`, { field: 'planId' });
    return stored;
  }

  async ended(planId: string): Promise<PlanView> {
    const plan = await this.plan(planId);
    if (!isPlanLive(plan.status)) return await this.view(plan);
    const told = this.#p.waiters.ended(plan.id);
    if (this.#p.book.get(plan.id) === undefined) {
      // Its end is being written, and tells whoever waits; or it was written since the plan was read.
      const stored = await this.#p.guard(() => this.#p.parts.store.planByNumber(plan.id));
      if (stored === null || !isPlanLive(stored.status)) this.#p.waiters.tell(plan.id, stored);
    }
    const end = await told;
    if (end === null) this.#p.admit();
    return await this.view(end ?? (await this.plan(planId)));
  }

  async active(q: { resource?: string; taskType?: string; once?: boolean }): Promise<PlanView[]> {
    const wanted = (p: Plan): boolean =>
      (!p.once || q.once === true) && (q.resource === undefined || p.resource === q.resource) && (q.taskType === undefined || p.taskType === q.taskType);
    return await this.#views(this.#p.book.all().filter(wanted));
  }

  async recent(q: { resource?: string; taskType?: string; limit?: number }): Promise<PlanView[]> {
    const { resource, taskType } = q;
    const limit = Math.min(q.limit ?? 100, MAX_RECENT);
    const plans = await this.#p.guard(() => this.#p.parts.store.plansOf({ resource, taskType, newest: true, limit }));
    return await this.#views(plans.map((p) => this.#p.book.get(p.id) ?? p));
  }

  async view(p: Plan, most?: number): Promise<PlanView> {
    const { store, graphs, config } = this.#p.parts;
    const graph = (task: number): TaskGraph | undefined => graphs.get(task);
    const turn = (): Promise<void> | undefined => this.#gate.pass();
    const parts = { store, book: this.#p.book, graph, taskUuid: this.#p.taskUuid, enabled: () => config.plans.enabled, turn };
    return await this.#p.guard(() => planView(p, parts, most));
  }

  metrics(): PlanMetrics {
    const { book, parts, polledAt } = this.#p;
    const plans = book.all().filter((p) => !p.once);
    return {
      pairs: book.pairs().map((c) => {
        const p = book.ofPair(c.resource, c.taskType);
        if (p === undefined) return { ...c };
        return {
          ...c,
          taskPlanProgressionBlocked: book.blocked.has(p.id) ? 1 : 0,
          taskPlanInputsToProcess: p.total,
          taskPlanInputsBeingProcessed: p.inFlight,
          taskPlanInputsProcessed: p.processed,
        };
      }),
      activeTaskPlansCount: plans.filter((p) => p.status === Status.active).length,
      taskPlansAbortingCount: plans.filter((p) => p.status === Status.aborting).length,
      orchestrationTimeSinceLastPollMs: parts.host.now() - polledAt(),
    };
  }

  /** One after the other, so that the loop goes on between them. */
  async #views(plans: readonly Plan[]): Promise<PlanView[]> {
    const views: PlanView[] = [];
    for (const p of plans) {
      views.push(await this.view(p, LISTED_BATCHES));
      if (views.length % 8 === 0) await new Promise<void>((resolve) => this.#p.parts.host.soon(resolve));
    }
    return views;
  }
}
