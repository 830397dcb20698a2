/**
 * How handlers are run, wherever they run: the engine pushes assignments, the worker pushes what became of them. Every value
 * crosses as JSON text, so that a handler sees the same in one process as across a network (design.md §5, §6).
 */
import type { JsonObject, RetryPolicy } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';
import type { OnChildFailure, StepDefaults } from '../core/node.ts';
import type { HandlerTraits } from '../core/phases.ts';

export interface WorkerHello {
  name: string;
  /** Attempts it runs at once. */
  slots: number;
  /** Names of handlers it has; asked again after `handlersChanged`. */
  hasHandler(handler: string): boolean;
  /** Absent: no handler of this worker has hooks, and all can be cancelled. */
  traits?(handler: string): HandlerTraits;
  /** What a handler brings along for elements of a tree that leave it out; absent: nothing. */
  defaults?(handler: string): StepDefaults | undefined;
  /** What is wrong with the input schema of an element, which it holds against the inputs before a handler runs; null: nothing. Absent: it cannot tell. */
  schemaProblem?(schema: JsonObject): string | null;
  /** What it has, for people to read. Absent: it does not say. */
  handlers?(): HandlerView[];
  /** How often a user's hook has thrown here. */
  hookErrors?(): number;
}

export interface HandlerView {
  id: string;
  /** Other names it goes by. */
  aliases: string[];
  description: string | null;
  tags: string[];
  /** JSON Schema; null: none, or one that has no JSON form. */
  inputSchema: JsonObject | null;
  outputSchema: JsonObject | null;
  cancelable: boolean;
  hasFinalize: boolean;
  hasOnAbort: boolean;
  /** Where the code comes from: a template's id, a file, `built-in`. */
  source: string | null;
  /** Entry points a step may name as `method`. */
  methods: string[];
}

/** What one dependency gave. `body` is absent when the results are too many to push; the worker then asks `fetchResults`. */
export type DependencyResult =
  | { state: 'complete'; body: string }
  | { state: 'resolved_manually' }
  | { state: 'error'; error: StepError }
  | { state: 'cancelled'; reason: string }
  /** A branch that its decision did not choose. */
  | { state: 'not_taken' };

/** A tied child to be, as a running attempt asks for it. Its identity is `key`, else `position` with handler and inputs (design.md §2). */
export interface SpawnRequest {
  handler: string;
  /** JSON text. */
  inputs: string;
  key?: string;
  /** Among the spawns of this attempt that have no key, from 0. */
  position?: number;
  name?: string;
  method?: string;
  params?: JsonObject;
  /** Absent: the parent's. */
  priority?: number;
  retry?: RetryPolicy;
  timeoutMs?: number;
  heartbeatMs?: number;
  allowFailure?: boolean;
  cancelable?: boolean;
  onChildFailure?: OnChildFailure;
  maxChildren?: number;
  /** Its size beside its siblings', in `unit`: its weight in the parent's progress. */
  expected?: number;
  unit?: 'bytes' | 'items';
}

export interface SpawnedChild {
  stepId: string;
  name: string;
  key: string | null;
  /** An earlier attempt had made it. */
  adopted: boolean;
}

export interface ChildResult {
  stepId: string;
  name: string;
  key: string | null;
  handler: string;
  result: DependencyResult;
}

/** What a running handler tells of its progress: a fraction, or so much of a total. */
export interface ProgressReport {
  fraction?: number;
  message?: string;
  done?: number;
  total?: number;
  unit?: 'bytes' | 'items';
}

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
  /** JSON text of what it works on: a node's own inputs, else the task's. */
  input: string;
  /** JSON text of what `run` returned; null: it never did, or this is phase run. */
  own: string | null;
  /** Phase abort: how the step ended: a reason of a cancelled step, else `failed`. */
  reason: string | null;
  /** The key it was spawned under, or the id it was submitted with. */
  key: string | null;
  /** Tied children it has. */
  childCount: number;
  /** By dependency name, in declared order. Null: above 1 MiB in all; stream them with `fetchResults`. */
  results: [name: string, required: boolean, result: DependencyResult][] | null;
  dependencies: { name: string; required: boolean }[];
  /** Their number: for 100,000 of them the list itself takes its time. */
  dependencyCount: number;
  /** Ids of the dependencies, parallel to `dependencies`. */
  dependencyIds?: readonly string[];
  /** Of dependencies that are batch workers: those that stand for each, in order of the batches, placeholders left out. */
  batches?: readonly { name: string; workers: readonly string[] }[];
  /** Offer the merged view. */
  mergedInputs: boolean;
  /** JSON Schema of the step's own that its inputs must fit before the handler runs. */
  inputSchema?: JsonObject;
  /** JSON text of the last checkpoint of this step, or null. */
  checkpoint: string | null;
}

/** `empty`: the handler returned nothing. */
export type AttemptOutcome = { ok: true; body: string; empty?: boolean } | { ok: false; error: StepError; retryAfterMs?: number };

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
  progress(r: { task: number; no: number; token: number } & ProgressReport): void;
  /**
   * Tied children of a live attempt in phase run; durable when it resolves, in order. At most 500 at once. Rejects with ILLEGAL_STATE
   * when the attempt is no longer live, SPAWN_MISMATCH when an earlier attempt made something else in its place, UNKNOWN_HANDLER.
   */
  spawn(r: { task: number; no: number; token: number; children: readonly SpawnRequest[] }): Promise<SpawnedChild[]>;
  /** Tied children in the order they came, in pages; those that the last run did not ask for are left out. */
  fetchChildren(r: { task: number; no: number; from: number; limit: number }): Promise<{ children: ChildResult[]; next: number | null }>;
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
