/** The types by which a step's code knows its template: what it is given, and under which names. */
import type { JsonObject } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';
import type { Duration } from './duration.ts';
import type { RetryOptions } from './step-options.ts';

/** How an optional dependency, or an ancestor, ended. */
export type Settled<T> =
  | { readonly state: 'complete'; readonly value: T }
  | { readonly state: 'error'; readonly error: StepError }
  | { readonly state: 'cancelled'; readonly reason: string }
  | { readonly state: 'resolved_manually' };

/** A step of a branch that its decision did not choose. */
export interface NotTaken {
  readonly state: 'not_taken';
}

export type Requirement = 'required' | 'optional';

/** Earlier steps a step waits for: a list (all required), or each name with how it is needed. S: results by name of all earlier steps. */
export type After<S> = readonly (keyof S & string)[] | { readonly [K in keyof S & string]?: Requirement };

/** Excess keys of the object form are not errors by themselves; this makes a name that is no earlier step one. */
export type Known<A, S> = A extends readonly unknown[]
  ? A[number] extends keyof S
    ? unknown
    : readonly (keyof S)[]
  : { readonly [K in keyof A]: K extends keyof S ? Requirement : never };

/** N, unless a step is called so already. */
export type Fresh<N extends string, S> = string extends N ? N : N extends keyof S ? `there is a step ${N} already` : N;

export type NamesIn<A> = A extends readonly (infer K)[] ? K & string : keyof A & string;

/**
 * The results a step sees: exactly the steps named in `after`. Frozen, parsed on first use. Q: names of steps that may not come to be:
 * undefined where they did not. W: names of batch workers: a list, one result for each batch, in their order.
 */
export type Results<S, A, Q = never, W = never> = {
  readonly [K in NamesIn<A>]: K extends keyof S
    ? A extends readonly unknown[]
      ? Needed<S[K], K, Q, W>
      : K extends keyof A
        ? A[K] extends 'optional'
          ? Optional<S[K], K, Q, W>
          : Needed<S[K], K, Q, W>
        : never
    : never;
} & AsyncIterable<readonly [name: string, value: unknown]>;

/** What is known of a step's result once everything before has ended. */
export type Needed<T, K, Q, W> = (K extends W ? readonly T[] : T) | (K extends Q ? undefined : never);
type Optional<T, K, Q, W> = (K extends W ? readonly Settled<T>[] : Settled<T>) | (K extends Q ? NotTaken : never);
/** N, if a step that depends on A may itself not come to be. */
export type Perhaps<N, A, Q> = [NamesIn<A> & Q] extends [never] ? never : N;

/** How a spawned child is to be run. */
export interface SpawnOptions {
  /** Its identity among the step's children, 1 to 255 characters: a retry that asks for it again gets it as it stands. Without it: its place among the spawns that have none. */
  key?: string;
  /** 0 (urgent) to 3. Default: the parent's. */
  priority?: number;
  /** Default: the parent's name and the key, where that is of letters, digits, `_`, `.` and `-`, else its place. */
  name?: string;
  method?: string;
  /** What it sees as `config`. */
  params?: JsonObject;
  retry?: RetryOptions;
  /** Limit of one attempt. Default: none. */
  timeout?: Duration;
  /** Its size beside its siblings', its weight in the parent's progress. */
  expectedBytes?: number;
  expectedItems?: number;
  allowFailure?: boolean;
  cancelable?: boolean;
  /** What a failure among its own children means for it. Default fail_fast. */
  onChildFailure?: 'fail_fast' | 'wait_all' | { readonly tolerate: number };
  /** How many of its own children run at once. */
  maxConcurrentChildren?: number;
}

export interface SpawnItem extends SpawnOptions {
  handler: string;
  /** What the child sees as its input: a JSON object. Default {}. */
  inputs?: unknown;
}

/**
 * A child that is durable. It cannot be awaited: a handler that waited for its child would hold the slot the child may need. What it
 * gave is seen in `finalize`.
 */
export interface ChildRef {
  readonly stepId: string;
  readonly name: string;
  readonly key: string | null;
  readonly then?: never;
}

/** So much of a total, in bytes or items. */
export interface ProgressAmount {
  bytes?: number;
  items?: number;
  total?: number;
  /** Where no total is known. */
  fraction?: number;
  message?: string;
}

/** How far a handler has come when it gives back the word. */
export interface YieldPoint {
  /** Where to go on. Any JSON. */
  cursor: unknown;
  /** So far, in all. */
  itemsProcessed: number;
  /** What has come of it so far. Any JSON; default null. */
  accumulated?: unknown;
}

/** What `lastCheckpoint` is after `checkpointYield`. Times are milliseconds since 1970. */
export interface YieldedCheckpoint {
  readonly cursor: unknown;
  readonly items_processed: number;
  readonly timestamp: number;
  readonly accumulated_results: unknown;
  /** The last 100 places, the newest last. */
  readonly history: readonly { readonly cursor: unknown; readonly timestamp: number }[];
}

export type LogFields = Record<string, unknown>;

/** Lines kept with the attempt: 1,000 of them or 256 KiB, whichever comes first; then one line says that the rest was dropped. */
export interface StepLog {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** What a handler is called with. I: the validated input; R: `Results`; S: results by name of all earlier steps; Q: those that may not exist. */
export interface StepContext<I = unknown, R = Results<Record<string, unknown>, readonly string[]>, S = Record<string, unknown>, Q = never> {
  /** The submitted, validated input as it was stored. Frozen. */
  readonly input: I;
  /** By name of dependency. `for await (const [name, value] of ctx.results)` works at any size; reading by name needs 1 MiB or less in all. */
  readonly results: R;
  /** 1 for the first try. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly isRetry: boolean;
  /** No further attempt follows this one. */
  readonly isLastRetry: boolean;
  readonly taskId: string;
  readonly stepId: string;
  readonly stepName: string;
  readonly correlationId: string | null;
  /** The step's `config` (in files: `handler.initialization`). Frozen. */
  readonly config: JsonObject;
  /** When this attempt times out, milliseconds since 1970; null: never. */
  readonly deadline: number | null;
  /** Aborts on cancel, timeout, lost lease or shutdown; its `reason` is an AbortError whose `code` says which. */
  readonly signal: AbortSignal;
  /** What the step last gave to `checkpoint`, in this attempt or an earlier one; undefined: nothing. Frozen. */
  readonly lastCheckpoint: unknown;
  /** Keeps data for the attempts that follow; durable when it resolves. Rejects with ILLEGAL_STATE once the attempt is no longer live. */
  checkpoint(data: unknown): Promise<void>;
  /**
   * To be returned: `return ctx.checkpointYield({ cursor, itemsProcessed, accumulated })`. Once that is durable the handler is called again,
   * in the same attempt and its time, and finds it as `lastCheckpoint`: a `YieldedCheckpoint`. So does the attempt that follows a failure or
   * a crash. What cannot be kept fails the attempt with `checkpoint_error`, for good where it never could be. Not for handlers that spawn
   * children, nor in `finalize`.
   */
  checkpointYield(point: YieldPoint): never;
  /** 0..1 or an amount, and a word on what is going on. A sign of life, too. In memory, so it may be called as often as one likes. */
  progress(done: number | ProgressAmount, message?: string): void;
  /**
   * Gives the step a tied child, run by a registered handler: it has a slot of its own, and the step completes only after it. Durable
   * when it resolves. Rejects with PermanentError `unknown_handler`, `spawn_mismatch` (a retry asks for another child in its place).
   */
  spawn(handler: string, inputs?: unknown, options?: SpawnOptions): Promise<ChildRef>;
  /** Many at once, in order; 100,000 will do. */
  spawnAll(children: Iterable<SpawnItem>): Promise<ChildRef[]>;
  /** A sign of life, for steps with a heartbeat limit. */
  heartbeat(): void;
  readonly log: StepLog;
  /** How any other ancestor ended. Rejects with PermanentError `not_an_ancestor`. */
  ancestor<N extends keyof S & string>(name: N): Promise<Settled<S[N]> | (N extends Q ? NotTaken : never)>;
}

/** Offered where the template asks for it with `mergedInputs`. */
export interface MergedInputs {
  /** The input with the dependencies' results laid over it, the later dependency on top. */
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** A handler whose step is not known to the compiler: one registered by name, or in an untyped template. */
export type StepFunction = (ctx: UntypedStepContext) => unknown;

/**
 * Nothing is known of input and results, and everything may be tried.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- the one place where code without types is let in
type Anything = any;
export type UntypedStepContext = StepContext<Anything, Record<string, Anything> & AsyncIterable<readonly [string, Anything]>, Record<string, Anything>> &
  MergedInputs;
