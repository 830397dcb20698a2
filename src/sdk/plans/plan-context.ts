/** What the functions of a task type are called with. */
import { MAX_SUBTASKS } from '../../core/plan.ts';
import { parseFrozen } from '../../core/values.ts';
import type { PlanCall, PlanWorkerPort } from '../../engine/plan-port.ts';
import type { BatchOutcome, PlanContext, SubtaskOutcome } from './task-type.ts';

/** Subtasks read at once: each may carry an input and a result of 1 MiB. */
const PAGE = 100;

/** Its reads reject once `signal` is aborted: a call that nobody waits for any more comes to an end by itself. */
export function planContextOf(call: PlanCall, taskType: string, port: PlanWorkerPort, signal: AbortSignal): PlanContext {
  const { resource } = call;
  const read = async <T>(ask: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    const answer = await ask();
    signal.throwIfAborted();
    return answer;
  };
  return Object.freeze({
    planId: call.planId,
    resource,
    taskType,
    source: call.source,
    triggeredBy: call.triggeredBy,
    properties: Object.freeze({ ...call.properties }),
    state: call.state === null ? null : parseFrozen(call.state),
    batches: call.batches,
    inputs: Object.freeze({ ...call.inputs }),
    customStats: Object.freeze({ ...call.customStats }),
    createdAt: call.createdAt,
    maxSubtasks: MAX_SUBTASKS,
    attempt: call.attempt,
    signal,
    items: (q) => read(() => port.resources.items(resource, q)),
    item: (key) => read(() => port.resources.item(resource, key)),
    resourceBody: () => read(() => port.body(resource)),
    settings: () => read(() => port.settings(resource, taskType)),
  });
}

/** The batch that a finish call is about. Its subtasks are read in pages, anew by every loop over them. */
export function batchOutcomeOf(batch: NonNullable<PlanCall['batch']>, port: PlanWorkerPort, signal: AbortSignal): BatchOutcome<unknown, unknown> {
  const { task } = batch;
  return Object.freeze({
    sequence: batch.sequence,
    taskName: batch.taskName,
    taskState: batch.taskState,
    counts: Object.freeze({ ...batch.counts }),
    subtasks: {
      async *[Symbol.asyncIterator]() {
        for (let from = 0; ; ) {
          signal.throwIfAborted();
          const rows = await port.subtasks({ task, from, limit: PAGE });
          for (const row of rows) {
            signal.throwIfAborted();
            yield outcomeOf(row);
          }
          const last = rows.at(-1);
          if (last === undefined || rows.length < PAGE) return;
          from = last.no + 1;
        }
      },
    },
  });
}

function outcomeOf(row: Awaited<ReturnType<PlanWorkerPort['subtasks']>>[number]): SubtaskOutcome<unknown, unknown> {
  const common = { name: row.name, input: parseFrozen(row.input), units: row.units };
  if (row.state === 'complete') return Object.freeze({ ...common, state: row.state, result: row.result === null ? null : parseFrozen(row.result) });
  const error = row.error ?? { code: row.state, message: row.state === 'error' ? 'it failed' : 'it did not complete' };
  // A batch that ended has nothing that runs: what says so did not get to its end.
  return Object.freeze({
    ...common,
    state: row.state === 'error' ? row.state : 'cancelled',
    error: Object.freeze({ code: error.code, message: error.message }),
  });
}
