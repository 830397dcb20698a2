/**
 * The engine as servers, SDK and CLI see it: the only door. `Engine` (engine.ts) implements it.
 * Every verb throws or rejects with TuttiError and nothing else.
 */
import type { Json, TemplateDefinition } from '../core/definition.ts';
import type { AuditView, ExplainView, ListRequest, ListResult, StepView, SubmitRequest, TaskEvent, TaskOutcome, TaskView, TemplateView } from './views.ts';
import type { WorkerPort } from './worker-port.ts';

/** Checks and completes an input: returns the value to store, or the problems with their paths. */
export type InputValidator = (input: unknown) => ValidationResult | Promise<ValidationResult>;
export type ValidationResult = { ok: true; value: unknown } | { ok: false; issues: { path: string; message: string }[] };

export interface TemplateRegistration {
  definition: TemplateDefinition;
  validate?: InputValidator;
}

export interface ActorMetrics {
  name: 'task_request' | 'step_enqueuer' | 'result_processor' | 'task_finalizer';
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
  ready: number;
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

  task(id: string): Promise<TaskView>;
  list(r: ListRequest): Promise<ListResult>;
  steps(taskId: string, o?: { results?: boolean }): Promise<StepView[]>;
  /** By step id or name. */
  step(taskId: string, ref: string): Promise<StepView>;
  audit(taskId: string, stepRef?: string): Promise<AuditView[]>;
  explain(taskId: string, stepRef?: string): Promise<ExplainView[]>;
  attemptLog(taskId: string, stepRef: string): Promise<{ at: number; level: string; message: string; token: number }[]>;

  cancel(taskId: string, o?: { errorMessage?: string; by?: string }): Promise<TaskView>;
  patch(taskId: string, o: { priority?: number; tags?: string[] }): Promise<TaskView>;
  /** Removes a terminal task and everything of it. ILLEGAL_STATE while it lives. */
  purge(taskId: string): Promise<void>;

  /**
   * Events with seq > after, from the durable log, then live ones; ends after the task's last event.
   * Progress events are woven in without a seq. `signal` ends it early.
   */
  events(taskId: string, o?: { after?: number; signal?: AbortSignal }): AsyncIterable<TaskEvent>;
  /** Resolves when the task is terminal. */
  done(taskId: string): Promise<TaskOutcome>;
  /** The task's result (design.md §2); rejects with TASK_FAILED when it ended otherwise than complete. */
  result(taskId: string): Promise<Json>;

  readonly workers: WorkerPort;
  metrics(): EngineMetrics;
  health(): EngineHealth;
  /** Takes no new work, waits for running handlers at most drainMs (default 30,000), closes the store. */
  stop(o?: { drainMs?: number }): Promise<void>;
}
