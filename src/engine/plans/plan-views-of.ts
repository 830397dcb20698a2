/** Plans and batches as views. A batch that runs is shown as far as it is. */
import { LOST_BATCH, PLAN_SOURCES, PLAN_STATUSES, type Plan, type PlanBatch, isPlanLive } from '../../core/plan.ts';
import type { TaskGraph } from '../../core/graph.ts';
import type { Store } from '../../store/store.ts';
import type { BatchView, PlanView } from '../plan-views.ts';
import type { PlanBook } from './plan-book.ts';
import { batchStateName } from './plan-state-names.ts';

export interface PlanViewParts {
  store: Store;
  book: PlanBook;
  graph: (task: number) => TaskGraph | undefined;
  taskUuid: (task: number) => string;
  enabled: () => boolean;
  /** Before many batches are read: others may be reading theirs. */
  turn: () => Promise<void> | undefined;
}

/** Batches shown with one plan, and with each plan of a list: the newest of them. */
export const MAX_BATCHES = 10_000;
export const LISTED_BATCHES = 1000;
/** Batches read and made views of at one go: two milliseconds. So few that they are no work wait for no turn. */
export const BATCHES_PAGE = 500;
const FEW_BATCHES = 50;

export async function planView(p: Plan, o: PlanViewParts, most = MAX_BATCHES): Promise<PlanView> {
  const batches: BatchView[] = [];
  for (let from = Math.max(0, p.batches - most); from < p.batches; from += BATCHES_PAGE) {
    const limit = Math.min(BATCHES_PAGE, p.batches - from);
    if (limit > FEW_BATCHES) await o.turn();
    for (const b of await o.store.planBatches({ plan: p.id, from, limit })) batches.push(batchView(b, p, o));
  }
  const live = isPlanLive(p.status);
  return {
    planId: p.planId,
    resource: p.resource,
    taskType: p.taskType,
    status: PLAN_STATUSES[p.status],
    source: PLAN_SOURCES[p.source],
    properties: p.properties,
    batches,
    inputsToProcess: p.total,
    inputsBeingProcessed: p.inFlight,
    inputsProcessed: p.processed,
    inputUnit: p.inputUnit,
    statusMessage: p.message,
    customStats: p.customStats,
    triggeredBy: p.triggeredBy,
    createdAtMs: p.createdAt,
    updatedAtMs: p.updatedAt,
    endedAtMs: p.endedAt,
    blocked: !live ? null : !o.enabled() ? 'Plans are switched off.' : (o.book.blocked.get(p.id) ?? null),
  };
}

function batchView(b: PlanBatch, p: Plan, o: PlanViewParts): BatchView {
  const g = b.finishedAt === null ? o.graph(b.task) : undefined;
  const state = g?.taskState ?? b.state;
  return {
    batchSequence: b.seq,
    submittedAtMs: b.submittedAt,
    submittedTaskName: b.name,
    taskState: state === LOST_BATCH ? null : batchStateName(state, b.finishedAt === null && o.book.stopped.has(p.taskType)),
    taskId: o.taskUuid(b.task),
    finishedAtMs: b.finishedAt,
    subtasks:
      g === undefined
        ? { total: b.total, complete: b.complete, failed: b.failed, running: 0 }
        : { total: g.size, complete: g.complete + g.resolved, failed: g.errors + g.cancelled, running: g.running },
    inputs: b.units,
  };
}
