/** What the engine tells the outside. Names of states and ids are the public ones; times are milliseconds since 1970. */
import type { FailurePolicy, Json, JsonObject, TemplateDefinition } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';
import type { SimpleStatus } from '../core/simple-status.ts';
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

/** Of steps of a template that are not there, or not yet. */
export type AbsentStateName = 'undecided' | 'not_taken';
export type ShownStepState = StepStateName | AbsentStateName;

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
  /** What identifies it among the live tasks of its template; null: nothing. */
  key: string | null;
  /** Owner of an ad hoc task. */
  userId: string | null;
  /** How it was made of another task, and of which, the first where copies were copied; null: it was submitted. An `archive` has not run: it keeps how that one stood. */
  origin: { type: 'copy' | 'link' | 'archive' | 'mixed'; taskId: string } | null;
  /** One of the five by which people speak of trees. */
  simpleStatus: SimpleStatus;
  /** 0..1: the share of its steps that are complete; of one task, where handlers report or steps have children: those rolled up. */
  progress: number;
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

export interface StepProgressView {
  /** 0..1; of a step with children the mean of theirs, weighted by size where sizes are known. */
  fraction: number;
  message: string | null;
  /** When it was last reported. */
  at: number;
  /** In `unit`; null where no size is known. */
  done: number | null;
  total: number | null;
  unit: 'bytes' | 'items' | null;
  /** Direct children that ended well, of how many. */
  parts: { done: number; total: number };
  /** Units per second, and milliseconds to the end at this speed; null where it cannot be told. */
  rate: number | null;
  etaMs: number | null;
}

export interface StepView {
  id: string;
  taskId: string;
  /** The id it was submitted with; null: none. */
  elementId: string | null;
  /** The step it is filed under. */
  parentId: string | null;
  name: string;
  /** `undecided` and `not_taken`: a step of the template that is not there, or not yet; only shown when asked for. */
  state: ShownStepState;
  /** One of the eight that seed 003 counts. */
  baseState: Exclude<StepStateName, 'waiting_for_retry' | 'waiting_for_children'>;
  simpleStatus: SimpleStatus;
  /** standard, decision, deferred_convergence, batchable or batch_worker. */
  type: string;
  /** Shares its parent's fate. */
  tied: boolean;
  hasChildren: boolean;
  /** What it was spawned or submitted under, among its parent's children. */
  key: string | null;
  /** Null where no element says whose it is. */
  userId: string | null;
  params: JsonObject | null;
  schemas: JsonObject | null;
  /** Where it was not written anew: what it is a copy, link or archive of. */
  origin: { type: string; taskId: string; stepId: string } | null;
  /** What its handler works on, as submitted. Present when asked for, on steps that have inputs of their own. */
  inputs?: Json;
  /** Why a cancelled step was cancelled. */
  reason: string | null;
  handler: string;
  createdAt: number;
  updatedAt: number;
  startedAt: number | null;
  completedAt: number | null;
  /** `id`: what the step goes by, the id it was submitted with or else its own. `type`: as submitted; 'result' where nothing was said. */
  dependencies: { id: string; name: string; required: boolean; type: string }[];
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
  /** The step has ended and a handler of it has not returned: it was told to stop, unless it is not `cancelable`. */
  stopping: boolean;
  /** False: a running handler gets no signal when the step is cancelled, and may end; what it returns is kept in the audit only. */
  cancelable: boolean;
  /** It failed, or was cancelled by a failure, or was reset, and has not begun anew. */
  needsReexecution: boolean;
  /** Where a handler reports, or the step has children. */
  progress: StepProgressView | null;
  checkpoint?: Json;
}

export interface AuditView {
  /** Stable id of the row: step id and token. */
  stepId: string;
  taskId: string;
  stepName: string;
  token: number;
  /** Of its phase. */
  attempt: number;
  phase: 'run' | 'finalize' | 'abort';
  /** When the attempt's outcome was recorded. */
  recordedAt: number;
  startedAt: number;
  /** completed, failed, cancelled, timeout, lost, late, stopped, returned, abandoned; of phase abort: aborted, abort_retry, abort_failed, abort_timeout. */
  outcome: string;
  success: boolean;
  executionTimeMs: number;
  /** Of an attempt that returned after its step had been ended: what it gave, which counts for nothing. */
  result?: Json;
  fromState: string;
  toState: string;
  error: StepError | null;
}

export const EVENT_TYPES = [
  'task.state',
  'step.state',
  'step.added',
  'step.attempt',
  'steps.ended',
  'step.progress',
  'step.reset',
  'task.reset',
  'task.patched',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export interface TaskEvent {
  /** Position in the task's log, from 1. Absent on progress events, which are not replayed. */
  seq?: number;
  at: number;
  type: EventType;
  taskId: string;
  data: JsonObject;
  /** The task is terminal after this event: a stream closes here. */
  last?: boolean;
}

/** Which events of all tasks; what is absent admits all. The log is read in order and filtered in memory: a filter saves sending, not reading. */
export interface EventFilter {
  /** Any of these. */
  types?: readonly EventType[];
  /** Of this task only; the one filter that saves reading. */
  taskId?: string;
  /** Of tasks whose template is in this namespace. */
  namespace?: string;
  /** Of tasks whose template has this name. */
  name?: string;
  /** That say that a task or a step is in any of these states; events without a state are left out then. */
  states?: readonly (TaskStateName | StepStateName)[];
}

/** An event of the log of all tasks. */
export interface GlobalEvent extends Omit<TaskEvent, 'last'> {
  /** Its place in the log of all tasks: give it as `after` to go on behind it. Absent on progress events, which are not replayed. */
  cursor?: string;
  /** Of the task's template; empty for a task without one. */
  namespace: string;
  name: string;
}

export interface EventPage {
  events: GlobalEvent[];
  /** Give it as `after` for what follows, also when nothing does yet. */
  nextCursor: string;
  /** There is more to read now. A page that looked through much and found little may hold few events, or none, and have more. */
  hasMore: boolean;
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
  state: ShownStepState;
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
  /** Absent: the highest release that is registered, or the highest pre-release where there is no release. */
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
  /** Size of the whole, for its progress: of `expectedBytes` and `expectedItems` at most one. */
  expectedBytes?: number;
  expectedItems?: number;
  /** 1 to 255 characters, unique among the live tasks of the template (ALREADY_EXISTS), and searchable. */
  key?: string;
}

/** A tree of elements as docs/trees.md describes them, submitted as one task. */
export interface TreeRequest extends Omit<SubmitRequest, 'namespace' | 'name' | 'version' | 'input'> {
  /** Taken one by one: of a tree that is streamed, no side ever holds more than it must. */
  elements: Iterable<unknown> | AsyncIterable<unknown>;
  /** False: stored as pending, and nothing runs until `executeTree`. Default true. */
  execute?: boolean;
  /** What an unhandled failure does. Default fail. */
  policy?: FailurePolicy;
}

export interface TreeSubmitted {
  task: TaskView;
  /** Step ids of the elements without a parent; at most 1,000. */
  roots: string[];
  /** Step ids by the elements' ids, or by their names where they have none; null for more than 1,000 elements. */
  elements: Record<string, string> | null;
}

/** A step with what is filed under it. */
export interface TreeNode {
  step: StepView;
  /** What stands below it decides, except that a step that failed itself is failed; without children it is its own. */
  status: SimpleStatus;
  /** 0..1: of a step with children the mean of theirs. */
  progress: number;
  childCount: number;
  /** A part of them. */
  children: TreeNode[];
  /** Give it with this step as `parent` for the children that follow; null: there are none. */
  nextCursor: string | null;
}

/** A part of a task's tree: below the task itself, or below one step. */
export interface TreeView extends Omit<TreeNode, 'step'> {
  taskId: string;
  /** Null: the task. */
  parent: StepView | null;
}

export interface TreeQuery {
  /** Step to begin below; id, supplied id or name. Absent: the task. */
  parent?: string;
  /** Children to list of each step, 1 to 1,000; default 100. An answer holds 1,000 steps at most. */
  limit?: number;
  /** nextCursor of the same parent. */
  cursor?: string;
  /** Levels below `parent`; default all. */
  depth?: number;
}

/** Changes of what is copied. */
export interface CopyOverrides {
  inputs?: unknown;
  params?: JsonObject;
  priority?: number;
}

/** How a task, or one of its steps, is copied (docs/trees.md). */
export interface CopyRequest
  extends Pick<SubmitRequest, 'tags' | 'initiator' | 'sourceSystem' | 'reason' | 'correlationId' | 'parentCorrelationId' | 'options'> {
  /**
   * copy: runs again from the start. link: complete at once, with the results of the original. archive: kept as everything stood, and never
   * changed. mixed: the steps in `link` are linked, the others copied.
   */
  mode: 'copy' | 'link' | 'archive' | 'mixed';
  /** By name or id: only this step, with what stands below it. Absent: the whole task. */
  element?: string;
  /** Default true. False: the element alone, without parent, children and dependencies. */
  recursive?: boolean;
  /** Take along what the element depends on, and what that depends on. Default false. */
  includeDependencies?: boolean;
  /** Take along what depends on the element. Default false. */
  includeDependents?: boolean;
  /** Of mode mixed: names or ids. Their tied children are linked with them. */
  link?: string[];
  /** Of the step at the top, and in `elements` of others, by name or id. `userId` can only repeat the owner. */
  overrides?: CopyOverrides & { userId?: string; elements?: Record<string, CopyOverrides> };
  /** Default false: the copy is stored and waits for `execute`. */
  execute?: boolean;
}

export interface ListRequest {
  states?: TaskStateName[];
  namespace?: string;
  name?: string;
  version?: string;
  initiator?: string;
  sourceSystem?: string;
  tag?: string;
  key?: string;
  cursor?: string;
  /** 1 to 100; default 25. */
  limit?: number;
  /** With perPage (1 to 100; default 25), instead of cursor. From 1. */
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
