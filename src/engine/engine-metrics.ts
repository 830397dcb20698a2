/** What the parts of the engine count, as one record. */
import type { ResultProcessor } from './actors/result-processor.ts';
import type { StepEnqueuer } from './actors/step-enqueuer.ts';
import type { TaskFinalizer } from './actors/task-finalizer.ts';
import type { TaskRequest } from './actors/task-request.ts';
import type { EngineParts } from './engine-parts.ts';
import type { EngineHealth, EngineMetrics } from './facade.ts';
import { graphCounts } from './graph-counts.ts';
import type { PlanKeeper } from './plans/plan-keeper.ts';
import type { TurnLoop } from './turn.ts';

export interface Counted {
  parts: EngineParts;
  loop: TurnLoop;
  requests: TaskRequest;
  results: ResultProcessor;
  enqueuer: StepEnqueuer;
  finalizer: TaskFinalizer;
  plans: PlanKeeper;
}

type Others = Pick<EngineMetrics, 'finished' | 'reconcilerRepairs' | 'retentionRemoved' | 'callbackErrors' | 'schedules'>;

export function engineMetrics({ parts, loop, requests, results, enqueuer, finalizer, plans }: Counted, others: Others): EngineMetrics {
  const { dispatcher, graphs, queue } = parts;
  const { stopping, ...counts } = graphCounts(graphs.values());
  const { total, used } = dispatcher.slots;
  return {
    actors: [requests, enqueuer, results, plans, finalizer].map((a) => a.inbox.metrics()),
    turns: loop.turns,
    turnRows: loop.rows,
    turnSeconds: loop.seconds,
    commitSeconds: loop.commitSeconds,
    commitFailures: loop.commitFailures,
    ...counts,
    submitted: requests.submitted,
    attempts: {
      started: enqueuer.started,
      completed: results.completed,
      failed: results.failed,
      retried: results.retried,
      timedOut: enqueuer.timedOut,
      lost: finalizer.lost,
      late: results.late,
    },
    slots: { total, used, stopping },
    cachedSteps: graphs.steps,
    hookErrors: dispatcher.hookErrors,
    ready: queue.size,
    ...others,
  };
}

export function engineHealth({ parts, loop, requests }: Counted, status: EngineHealth['status']): EngineHealth {
  const { writable, lastFailure } = loop;
  const { total, used } = parts.dispatcher.slots;
  const { depth, capacity, full } = requests.inbox;
  return {
    status: status === 'ready' && !writable ? 'degraded' : status,
    checks: [
      { name: 'store', ok: writable, message: writable ? parts.store.description : (lastFailure ?? 'cannot be written') },
      { name: 'inbox', ok: !full, message: `${depth} of ${capacity} submissions waiting` },
      { name: 'workers', ok: total > 0, message: `${used} of ${total} slots in use` },
    ],
  };
}
