/**
 * A template as data: what is stored, compared for immutability and shown by the API. Functions live elsewhere, keyed by `handler`.
 * Every optional field is absent when it has its default, so that equal graphs have equal JSON.
 */
import type { OnChildFailure } from './node.ts';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export type Backoff = 'none' | 'linear' | 'exponential' | 'fibonacci';

export interface RetryPolicy {
  /** Default true. False: a failed first attempt fails the step. */
  retryable: boolean;
  /** All tries, the first included. 0 acts as 1. Default 3. */
  maxAttempts: number;
  backoff: Backoff;
  /** Default 1000. */
  baseMs: number;
  /** Cap on one wait, before jitter. Default 30000. */
  maxMs: number;
  /** 0..1; the wait is multiplied by a seeded factor in [1 - jitter, 1 + jitter]. Default 0.1. */
  jitter: number;
}

export const DEFAULT_RETRY: RetryPolicy = { retryable: true, maxAttempts: 3, backoff: 'exponential', baseMs: 1000, maxMs: 30_000, jitter: 0.1 };

export interface Dependency {
  name: string;
  required: boolean;
}

export const STEP_TYPES = ['standard', 'decision', 'deferred_convergence', 'batchable', 'batch_worker'] as const;
/**
 * decision: its result says which steps below it come to be. batchable: its result says how many workers come to be. batch_worker: the
 * pattern of those workers, itself never run. deferred_convergence: comes to be with the first of its dependencies that does.
 */
export type StepType = (typeof STEP_TYPES)[number];

export const FAILURE_STRATEGIES = ['continue_on_failure', 'fail_fast', 'isolate'] as const;

/** How a batchable step's work is divided. */
export interface BatchConfig {
  /** Name of the step of type batch_worker that the workers are made from. */
  workerTemplate: string;
  /** Items of one batch, 1 to 100,000. Default 1000. */
  batchSize: number;
  /** Workers at work at once, 1 to 1,000. Default 10. */
  parallelism: number;
  /** Default continue_on_failure. */
  failureStrategy: (typeof FAILURE_STRATEGIES)[number];
  /** What the cursors count, told to the workers. Default `id`. */
  cursorField: string;
}

export const DEFAULT_BATCH: Omit<BatchConfig, 'workerTemplate'> = {
  batchSize: 1000,
  parallelism: 10,
  failureStrategy: 'continue_on_failure',
  cursorField: 'id',
};

export interface StepDefinition {
  name: string;
  description?: string;
  type: StepType;
  /** Of a decision: by name of branch the steps that come to be when it is chosen, at most 100. */
  branches?: Record<string, string[]>;
  /** Of a batchable step. */
  batch?: BatchConfig;
  /** The registered handler that runs the step. */
  handler: string;
  /** Entry point of the handler; default `call`. */
  method?: string;
  /** Copied into the step's context as `config`. */
  initialization?: JsonObject;
  dependencies: Dependency[];
  retry: RetryPolicy;
  /** Limit of one attempt, milliseconds. Absent: none. */
  timeoutMs?: number;
  /** Longest silence of a running handler (heartbeat, progress, checkpoint), milliseconds. Absent: none. */
  heartbeatMs?: number;
  /** 0 (urgent) to 3. Absent: the task's. */
  priority?: number;
  /** A failure of this step never fails the task. */
  allowFailure?: boolean;
  /** Default true. False: a running handler gets no signal on cancel. */
  cancelable?: boolean;
  /** What a tied child's failure means for this step. Default fail_fast. */
  onChildFailure?: OnChildFailure;
  /** How many of its tied children may run at once. Absent: no limit of its own. */
  maxChildren?: number;
  /** `ctx.inputs` is offered (spec/apflow.md §2.6). */
  mergedInputs?: boolean;
}

export type FailurePolicy = 'fail' | 'fail_fast' | 'block' | 'record';

export interface Lifecycle {
  maxDurationMinutes?: number;
  maxWaitingForDependenciesMinutes?: number;
  maxWaitingForRetryMinutes?: number;
  maxStepsInProcessMinutes?: number;
  stalenessAction?: 'dlq' | 'error' | 'none';
  autoFailOnTimeout?: boolean;
  autoDlqOnTimeout?: boolean;
}

export interface TemplateDefinition {
  namespace: string;
  name: string;
  version: string;
  description?: string;
  metadata?: JsonObject;
  /** JSON Schema of the task's input, as the API shows it. */
  inputSchema?: JsonObject;
  steps: StepDefinition[];
  /** Names of the steps whose results `task.result()` is made of; a string: that step's result itself. Absent: the steps nobody depends on. */
  returns?: string | string[];
  policy: FailurePolicy;
  /** Default priority of its tasks, 0 to 3. Absent: 2. */
  priority?: number;
  /** A task older than this ends in error. Absent: none. */
  deadlineMs?: number;
  lifecycle?: Lifecycle;
}
