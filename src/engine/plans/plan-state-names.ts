import { LOST_BATCH, TIMED_OUT_BATCH } from '../../core/plan.ts';
import { Task } from '../../core/task-states.ts';
import type { BatchStateName } from '../plan-views.ts';

/** A task's state under the names that clients of plans know (spec/startree.md §3); null: nobody knows. `stopped`: the queue of its type is. */
export function batchStateName(state: number, stopped: boolean): BatchStateName | null {
  switch (state) {
    case LOST_BATCH:
      return null;
    case TIMED_OUT_BATCH:
      return 'TIMED_OUT';
    case Task.pending:
    case Task.initializing:
      return 'NOT_STARTED';
    case Task.complete:
    case Task.resolvedManually:
      return 'COMPLETED';
    case Task.error:
      return 'FAILED';
    case Task.cancelled:
      return 'ABORTED';
    default:
      return stopped ? 'STOPPED' : 'IN_PROGRESS';
  }
}
