/** The end of a batch's task as its plan sees it. Steps that a person resolved count as done. */
import type { TaskCounts } from './changes.ts';
import type { BatchEnd } from './decide-plan.ts';
import type { TaskGraph } from './graph.ts';
import { LOST_BATCH, TIMED_OUT_BATCH } from './plan.ts';
import { Step } from './step-states.ts';
import { Task } from './task-states.ts';

export function batchEndOf(g: TaskGraph): BatchEnd {
  let complete = 0;
  let units = 0;
  for (let no = 0; no < g.size; no++) {
    const state = g.state[no];
    if (state !== Step.complete && state !== Step.resolvedManually) continue;
    complete++;
    units += g.shape.facts(no)?.expected ?? 1;
  }
  const timedOut = g.taskState === Task.error && g.failure !== null && g.failure.startsWith('{"code":"task_deadline"');
  return { task: g.id, state: timedOut ? TIMED_OUT_BATCH : g.taskState, total: g.size, complete, units };
}

/** From the row of a task that ended where its plan did not see it; null: the row is gone, too. Units are not in the row: one a subtask. */
export function batchEndOfRow(task: number, row: { state: number; totalSteps: number; counts: TaskCounts | null } | null, total: number): BatchEnd {
  const complete = row?.counts == null ? 0 : row.counts.complete + row.counts.resolved;
  return { task, state: row?.state ?? LOST_BATCH, total: row?.totalSteps ?? total, complete, units: complete };
}
