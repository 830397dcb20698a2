/** What is in memory, counted for the metrics. */
import type { TaskGraph } from '../core/graph.ts';
import { STEP_STATES } from '../core/step-states.ts';
import { TASK_STATES } from '../core/task-states.ts';

export function graphCounts(graphs: Iterable<TaskGraph>): { tasks: Record<string, number>; steps: Record<string, number>; stopping: number } {
  const tasks: Record<string, number> = Object.fromEntries(TASK_STATES.map((s) => [s, 0]));
  const steps: Record<string, number> = Object.fromEntries(STEP_STATES.map((s) => [s, 0]));
  let stopping = 0;
  for (const g of graphs) {
    tasks[TASK_STATES[g.taskState]]++;
    steps.in_progress += g.running;
    steps.complete += g.complete;
    steps.error += g.errors;
    steps.cancelled += g.cancelled;
    steps.resolved_manually += g.resolved;
    steps.waiting_for_retry += g.retryAt.size;
    steps.pending += g.remaining - g.running - g.retryAt.size;
    if (g.live.size > g.running) stopping += g.stopping;
  }
  return { tasks, steps, stopping };
}
