/**
 * How handlers are run, wherever they run: the engine pushes assignments, the worker pushes what became of them. Every value
 * crosses as JSON text, so that a handler sees the same in one process as across a network (design.md §5, §6).
 */
import type { JsonObject } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';

export interface WorkerHello {
  name: string;
  /** Attempts it runs at once. */
  slots: number;
  /** Names of handlers it has; asked again after `handlersChanged`. */
  hasHandler(handler: string): boolean;
}

/** What one dependency gave. `body` is absent when the results are too many to push; the worker then asks `fetchResults`. */
export type DependencyResult =
  | { state: 'complete'; body: string }
  | { state: 'resolved_manually' }
  | { state: 'error'; error: StepError }
  | { state: 'cancelled'; reason: string };

export interface Assignment {
  /** Internal keys: opaque to handlers, named in every answer. */
  task: number;
  no: number;
  token: number;
  phase: 'run' | 'finalize' | 'abort';
  taskId: string;
  stepId: string;
  stepName: string;
  template: { namespace: string; name: string; version: string };
  correlationId: string | null;
  handler: string;
  method: string | undefined;
  config: JsonObject | undefined;
  /** 1 for the first try. */
  attempt: number;
  maxAttempts: number;
  createdAt: number;
  /** When this attempt times out, or null. */
  deadlineAt: number | null;
  /** JSON text of the submitted input. */
  input: string;
  /** By dependency name, in declared order. Null: above 1 MiB in all; stream them with `fetchResults`. */
  results: [name: string, required: boolean, result: DependencyResult][] | null;
  dependencies: { name: string; required: boolean }[];
  /** Their number: for 100,000 of them the list itself takes its time. */
  dependencyCount: number;
  /** Offer the merged view. */
  mergedInputs: boolean;
  /** JSON text of the last checkpoint of this step, or null. */
  checkpoint: string | null;
}

export type AttemptOutcome = { ok: true; body: string } | { ok: false; error: StepError; retryAfterMs?: number };

/** Why a running handler should stop. */
export type StopReason = 'cancelled' | 'timeout' | 'lost' | 'shutdown';

export interface WorkerSink {
  assign(batch: Assignment[]): void;
  stop(a: { task: number; no: number; token: number; reason: StopReason }): void;
}

export interface WorkerSession {
  /** An attempt ended. */
  result(r: { task: number; no: number; token: number; outcome: AttemptOutcome }): void;
  /** Durable when it resolves. Rejects with ILLEGAL_STATE when the attempt is no longer live. */
  checkpoint(r: { task: number; no: number; token: number; body: string }): Promise<void>;
  /** In memory, flushed with a turn; also a sign of life. */
  progress(r: { task: number; no: number; token: number; fraction: number; message: string | undefined }): void;
  heartbeat(r: { task: number; no: number; token: number }): void;
  log(r: { task: number; no: number; token: number; level: 'debug' | 'info' | 'warn' | 'error'; message: string }): void;
  /** Result of any ancestor of a step, by name; null when it is no ancestor. */
  ancestor(r: { task: number; no: number; name: string }): Promise<DependencyResult | null>;
  /** Results of the dependencies, in declared order, in pages. */
  fetchResults(r: { task: number; no: number; from: number; limit: number }): Promise<[name: string, required: boolean, result: DependencyResult][]>;
  /** The worker learnt new handlers. */
  handlersChanged(): void;
  close(): void;
}

/** The engine's side, given to a worker once. */
export interface WorkerPort {
  connect(hello: WorkerHello, sink: WorkerSink): WorkerSession;
}
