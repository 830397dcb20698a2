/** What the engine tells the outside. Names of states and ids are the public ones; times are milliseconds since 1970. */
import type { Json, JsonObject, TemplateDefinition } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';
import type { ExplainedGate } from '../core/explain.ts';

export type TaskStateName =
  | 'pending'
  | 'initializing'
  | 'enqueuing_steps'
  | 'steps_in_process'
  | 'evaluating_results'
  | 'waiting_for_dependencies'
  | 'waiting_for_retry'
  | 'blocked_by_failures'
  | 'complete'
  | 'error'
  | 'cancelled'
  | 'resolved_manually';

export type StepStateName =
  | 'pending'
  | 'enqueued'
  | 'in_progress'
  | 'enqueued_for_orchestration'
  | 'waiting_for_retry'
  | 'waiting_for_children'
  | 'complete'
  | 'error'
  | 'cancelled'
  | 'resolved_manually';

export type ExecutionStatus = 'blocked_by_failures' | 'has_ready_steps' | 'processing' | 'all_complete' | 'waiting_for_dependencies';

export interface TaskView {
  id: string;
  namespace: string;
  name: string;
  version: string;
  state: TaskStateName;
  priority: number;
  policy: string;
  createdAt: number;
  updatedAt: number;
  completedAt: number | null;
  deadlineAt: number | null;
  /** The submitted input; absent in lists. */
  input?: Json;
  initiator: string;
  sourceSystem: string;
  reason: string;
  tags: string[];
  correlationId: string;
  parentCorrelationId: string | null;
  error: StepError | null;
  totalSteps: number;
  pendingSteps: number;
  inProgressSteps: number;
  completedSteps: number;
  failedSteps: number;
  cancelledSteps: number;
  readySteps: number;
  /** Names of the steps that ended in error, handled ones included; absent in lists. */
  failedStepNames?: string[];
  /** Attempts told to stop whose handlers have not returned. */
  stopping: number;
  executionStatus: ExecutionStatus;
  recommendedAction: 'handle_failures' | 'execute_ready_steps' | 'wait_for_completion' | 'finalize_task' | 'wait_for_dependencies';
  /** 0..100, two decimals. */
  completionPercentage: number;
  healthStatus: 'blocked' | 'healthy' | 'recovering' | 'unknown';
}

export interface StepView {
  id: string;
  taskId: string;
  name: string;
  state: StepStateName;
  /** One of the eight that seed 003 counts. */
  baseState: Exclude<StepStateName, 'waiting_for_retry' | 'waiting_for_children'>;
  /** Why a cancelled step was cancelled. */
  reason: string | null;
  handler: string;
  createdAt: number;
  updatedAt: number;
  startedAt: number | null;
  completedAt: number | null;
  dependencies: { name: string; required: boolean }[];
  dependenciesSatisfied: boolean;
  retryEligible: boolean;
  readyForExecution: boolean;
  totalParents: number;
  completedParents: number;
  attempts: number;
  maxAttempts: number;
  lastFailureAt: number | null;
  nextRetryAt: number | null;
  lastAttemptedAt: number | null;
  priority: number;
  error: StepError | null;
  /** Present when asked for and the step is complete. */
  result?: Json;
  /** A handler was told to stop and has not returned. */
  stopping: boolean;
  progress: { fraction: number; message: string | null; at: number } | null;
  checkpoint?: Json;
}

export interface AuditView {
  /** Stable id of the row: step id and token. */
  stepId: string;
  taskId: string;
  stepName: string;
  token: number;
  attempt: number;
  /** When the attempt's outcome was recorded. */
  recordedAt: number;
  startedAt: number;
  /** completed, failed, cancelled, timeout, lost, late, stopping. */
  outcome: string;
  success: boolean;
  executionTimeMs: number;
  fromState: string;
  toState: string;
  error: StepError | null;
}

export interface TaskEvent {
  /** Position in the task's log, from 1. Absent on progress events, which are not replayed. */
  seq?: number;
  at: number;
  type: 'task.state' | 'step.state' | 'step.attempt' | 'steps.ended' | 'step.progress' | 'task.patched';
  taskId: string;
  data: JsonObject;
  /** The task is terminal after this event: a stream closes here. */
  last?: boolean;
}

/** One thing that keeps a step from running, or what it is doing. */
export interface Gate {
  kind: ExplainedGate['kind'];
  message: string;
  details: JsonObject;
}

export interface ExplainView {
  stepId: string;
  name: string;
  state: StepStateName;
  /** True when nothing but its turn keeps it from running. */
  runnable: boolean;
  gates: Gate[];
}

export interface TemplateView {
  namespace: string;
  name: string;
  version: string;
  revision: number;
  registered: boolean;
  createdAt: number;
  definition: TemplateDefinition;
}

export interface SubmitRequest {
  namespace: string;
  name: string;
  /** Absent: the highest version that is registered. */
  version?: string;
  input: unknown;
  priority?: number;
  tags?: string[];
  initiator?: string;
  sourceSystem?: string;
  reason?: string;
  correlationId?: string;
  parentCorrelationId?: string;
  options?: JsonObject;
}

export interface ListRequest {
  states?: TaskStateName[];
  namespace?: string;
  name?: string;
  version?: string;
  initiator?: string;
  sourceSystem?: string;
  tag?: string;
  cursor?: string;
  limit?: number;
  /** With perPage, instead of cursor. From 1. */
  page?: number;
  perPage?: number;
}

export interface ListResult {
  tasks: TaskView[];
  nextCursor: string | null;
  /** Capped at 10,000; null unless pages were asked for. */
  total: number | null;
  totalCapped: boolean;
}

/** Where a task ended. */
export interface TaskOutcome {
  id: string;
  state: TaskStateName;
  error: StepError | null;
  failedSteps: { name: string; error: StepError | null }[];
}
