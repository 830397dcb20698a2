/** Figures derived from a task's counters, each computed here only. Blocked is looked at before ready (spec/tasker.md §4.2). */
import type { TaskGraph } from './graph.ts';
import { Task } from './task-states.ts';

export type ExecutionStatus = 'blocked_by_failures' | 'has_ready_steps' | 'processing' | 'all_complete' | 'waiting_for_dependencies';
export type RecommendedAction = 'handle_failures' | 'execute_ready_steps' | 'wait_for_completion' | 'finalize_task' | 'wait_for_dependencies';
export type HealthStatus = 'blocked' | 'healthy' | 'recovering' | 'unknown';

export interface Counters {
  total: number;
  complete: number;
  resolved: number;
  cancelled: number;
  errors: number;
  unhandled: number;
  ready: number;
  running: number;
  waitingForRetry: number;
  taskState: number;
}

export const countersOf = (g: TaskGraph): Counters => ({
  total: g.total,
  complete: g.complete,
  resolved: g.resolved,
  cancelled: g.cancelled,
  errors: g.errors,
  unhandled: g.unhandled,
  ready: g.ready.size,
  running: g.running,
  waitingForRetry: g.retryAt.size,
  taskState: g.taskState,
});

export function executionStatus(c: Counters): ExecutionStatus {
  if (c.unhandled > 0 || c.taskState === Task.error) return 'blocked_by_failures';
  if (c.ready > 0) return 'has_ready_steps';
  if (c.running > 0) return 'processing';
  if (c.taskState === Task.complete || (c.total > 0 && c.complete + c.resolved === c.total)) return 'all_complete';
  return 'waiting_for_dependencies';
}

const ACTIONS: Record<ExecutionStatus, RecommendedAction> = {
  blocked_by_failures: 'handle_failures',
  has_ready_steps: 'execute_ready_steps',
  processing: 'wait_for_completion',
  all_complete: 'finalize_task',
  waiting_for_dependencies: 'wait_for_dependencies',
};
export const recommendedAction = (s: ExecutionStatus): RecommendedAction => ACTIONS[s];

/** 0..100 with two decimals: the share of steps that are complete or resolved. A complete task is at 100, whatever it tolerated. */
export function completionPercentage(c: Counters): number {
  if (c.taskState === Task.complete) return 100;
  return c.total === 0 ? 0 : Math.round(((c.complete + c.resolved) / c.total) * 10_000) / 100;
}

export function healthStatus(c: Counters): HealthStatus {
  if (executionStatus(c) === 'blocked_by_failures') return 'blocked';
  if (c.taskState === Task.cancelled) return 'unknown';
  return c.waitingForRetry > 0 ? 'recovering' : 'healthy';
}
