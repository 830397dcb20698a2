/**
 * The engine as servers, SDK and CLI see it: the only door. `Engine` (engine.ts) implements it.
 * Every verb throws or rejects with TuttiError and nothing else.
 */
import type { Json, JsonObject, TemplateDefinition } from '../core/definition.ts';
import type {
  AuditView,
  CopyRequest,
  EventFilter,
  EventPage,
  ExplainView,
  GlobalEvent,
  ListRequest,
  ListResult,
  StepView,
  SubmitRequest,
  TaskEvent,
  TaskOutcome,
  TaskView,
  TemplateView,
  TreeQuery,
  TreeRequest,
  TreeSubmitted,
  TreeView,
} from './views.ts';
import type { PlanWorkerPort } from './plan-port.ts';
import type { Plans } from './plan-views.ts';
import type { ResourceKind, Resources } from './resource-port.ts';
import type { ScheduleFacade, ScheduleMetrics } from './schedule-views.ts';
import type { HandlerView, WorkerPort } from './worker-port.ts';

/** Checks and completes an input: returns the value to store, or the problems with their paths. */
export type InputValidator = (input: unknown) => ValidationResult | Promise<ValidationResult>;
export type ValidationResult = { ok: true; value: unknown } | { ok: false; issues: { path: string; message: string }[] };

export interface TemplateRegistration {
  definition: TemplateDefinition;
  validate?: InputValidator;
}

export interface ActorMetrics {
  name: 'task_request' | 'step_enqueuer' | 'result_processor' | 'task_finalizer' | 'plan_keeper';
  depth: number;
  capacity: number;
  accepted: number;
  refused: number;
  handled: number;
  /** Milliseconds spent deciding. */
  timeMs: number;
}

export interface Histogram {
  /** Upper bounds; counts has one more entry, for +Inf. Not cumulative. */
  bounds: readonly number[];
  counts: number[];
  sum: number;
}

export interface EngineMetrics {
  actors: ActorMetrics[];
  turns: number;
  turnRows: Histogram;
  turnSeconds: Histogram;
  commitSeconds: Histogram;
  commitFailures: number;
  /** Live tasks in memory by state name, and steps of those by state name. */
  tasks: Record<string, number>;
  steps: Record<string, number>;
  submitted: number;
  finished: Record<string, number>;
  attempts: { started: number; completed: number; failed: number; retried: number; timedOut: number; lost: number; late: number };
  slots: { total: number; used: number; stopping: number };
  cachedSteps: number;
  reconcilerRepairs: number;
  retentionRemoved: number;
  /** Errors that users' hooks threw in the connected workers. Absent: 0. */
  hookErrors?: number;
  /** Times that a callback of onEvent threw. */
  callbackErrors: number;
  ready: number;
  /** Absent: none. */
  schedules?: ScheduleMetrics;
}

export interface EngineHealth {
  /** starting, ready, degraded (store cannot be written), draining, stopped. */
  status: 'starting' | 'ready' | 'degraded' | 'draining' | 'stopped';
  checks: { name: string; ok: boolean; message: string }[];
}

export interface EngineFacade {
  register(r: TemplateRegistration, o?: { dev?: boolean }): Promise<TemplateView>;
  templates(filter?: { namespace?: string }): TemplateView[];
  template(ref: { namespace: string; name: string; version: string }): TemplateView | undefined;

  /** Waits for room in the inbox; resolves when the task is durable. */
  submit(r: SubmitRequest): Promise<TaskView>;
  /** As submit, but a full inbox rejects with BACKPRESSURE. */
  trySubmit(r: SubmitRequest): Promise<TaskView>;
  /** All of them durable, in one or several commits; checked one by one before the first is stored. Resolves with their ids, in order. */
  submitMany(rs: Iterable<SubmitRequest>): Promise<string[]>;
  /**
   * Stores a tree of elements (docs/trees.md) as one task, all of it or nothing; waits for room in the inbox. INVALID_INPUT,
   * UNSTORABLE_VALUE and UNKNOWN_HANDLER name the element (`[3].dependencies[0]`); ALREADY_EXISTS: one of its ids, or its key, is taken;
   * VALUE_TOO_LARGE: its inputs together.
   */
  submitTree(r: TreeRequest): Promise<TreeSubmitted>;
  /** As submitTree, but a full inbox rejects with BACKPRESSURE. */
  trySubmitTree(r: TreeRequest): Promise<TreeSubmitted>;
  /** Lets a task run that was stored with `execute: false`. ILLEGAL_STATE when it runs, or has ended. */
  executeTree(taskId: string): Promise<TaskView>;
  /**
   * Adds elements to a task that has not ended; they may name its steps, by id or name, as parents and dependencies. At most 1,000 at
   * once, all or none. Gives their views in order, children right after their parent. ILLEGAL_STATE: the task has ended, or a parent takes
   * no more tied children.
   */
  addSteps(taskId: string, elements: TreeRequest['elements']): Promise<StepView[]>;

  task(id: string): Promise<TaskView>;
  list(r: ListRequest): Promise<ListResult>;
  /** Those that exist; `includeNotTaken`: also those of the template that no decision chose, or none has yet. `inputs`: give those, too. */
  steps(taskId: string, o?: { results?: boolean; inputs?: boolean; includeNotTaken?: boolean }): Promise<StepView[]>;
  /** By step id, by the id it was submitted with, or by name: so is every step named. */
  step(taskId: string, ref: string): Promise<StepView>;
  /** A step of any task, by its id or the id it was submitted with. */
  findElement(id: string): Promise<StepView>;
  /** A part of the task's tree, with calculated status and progress. At most 1,000 steps: what is left out has a cursor. */
  tree(taskId: string, q?: TreeQuery): Promise<TreeView>;
  audit(taskId: string, stepRef?: string): Promise<AuditView[]>;
  explain(taskId: string, stepRef?: string): Promise<ExplainView[]>;
  attemptLog(taskId: string, stepRef: string): Promise<{ at: number; level: string; message: string; token: number }[]>;

  cancel(taskId: string, o?: { errorMessage?: string; by?: string }): Promise<TaskView>;
  /**
   * Ends one step at once, with its tied children and what requires it; its siblings go on. `errorMessage` is kept as its error. A running
   * handler is told to stop, unless it is not cancelable: then `stopping` says that it is left to end by itself. ILLEGAL_STATE: it has ended.
   */
  cancelStep(taskId: string, stepRef: string, o?: { errorMessage?: string }): Promise<StepView>;
  patch(taskId: string, o: { priority?: number; tags?: string[] }): Promise<TaskView>;
  /**
   * Runs again what failed and what depends on it: of the whole task, or of one step (by id or name). Complete steps that depend on one that
   * runs again run again too; all others keep their results. ILLEGAL_STATE, with the state and the legal verbs, where nothing can be reset.
   */
  reset(taskId: string, stepRef?: string): Promise<TaskView>;
  /**
   * A new task from one that exists, of which nothing changes. Throws INVALID_INPUT, NOT_FOUND, UNKNOWN_HANDLER, and ILLEGAL_STATE where what is
   * to be linked is not complete. A full inbox: waits for room (default), or rejects with BACKPRESSURE.
   */
  copy(taskId: string, o: CopyRequest, whenFull?: 'wait' | 'refuse'): Promise<TaskView>;
  /** What `copy` would make, as elements that POST /v1/trees takes; at most 10,000. Nothing is stored. */
  previewCopy(taskId: string, o: CopyRequest): Promise<JsonObject[]>;
  /** Removes a terminal task and everything of it. ILLEGAL_STATE while it lives, while others link to it, and of an archive. */
  purge(taskId: string): Promise<void>;

  /**
   * Events with seq > after, from the durable log, then live ones; ends after the task's last event.
   * Progress events are woven in without a seq. `signal` ends it early.
   */
  events(taskId: string, o?: { after?: number; signal?: AbortSignal }): AsyncIterable<TaskEvent>;
  /**
   * Events of all tasks in the order they were committed: those of the log behind `after`, then live ones, until `signal` or the engine's
   * stop. `after`: a cursor; 'now': what comes after this call; absent: everything that is kept. INVALID_CURSOR: not of this log. GONE:
   * events behind the cursor were removed with their tasks since it was given. A task removed while the stream is open is passed over.
   * Progress is woven in without a cursor. `onPosition` is told how far the log was read where that is further than the last event: it
   * is called between events, and all before that place have been taken.
   */
  allEvents(o?: EventFilter & { after?: string; signal?: AbortSignal; onPosition?: (cursor: string) => void }): AsyncIterable<GlobalEvent>;
  /** One page of the same, without progress: at most `limit` events (1 to 1,000, default 100). */
  eventPage(o?: EventFilter & { after?: string; limit?: number }): Promise<EventPage>;
  /**
   * Calls `fn` with every event, one after the other, from now on (or behind `after`), until the function it gives is called. What `fn`
   * throws or rejects with is logged and counted and changes nothing.
   */
  onEvent(o: EventFilter & { after?: string }, fn: (e: GlobalEvent) => unknown): () => void;
  /** Resolves when the task is terminal. */
  done(taskId: string): Promise<TaskOutcome>;
  /** The task's result (design.md §2); rejects with TASK_FAILED when it ended otherwise than complete. */
  result(taskId: string): Promise<Json>;

  readonly schedules: ScheduleFacade;
  readonly plans: Plans;
  /** What plans work on, in the engine's own store. */
  readonly resources: Resources;
  /** For processes that have task types. */
  readonly planWorkers: PlanWorkerPort;
  /** Throws ALREADY_EXISTS. */
  addResourceKind(kind: ResourceKind): void;

  readonly workers: WorkerPort;
  /** What the connected workers can run, in order of id. */
  handlers(): HandlerView[];
  metrics(): EngineMetrics;
  health(): EngineHealth;
  /** Takes no new work, waits for running handlers at most drainMs (default 30,000), closes the store. */
  stop(o?: { drainMs?: number }): Promise<void>;
}
