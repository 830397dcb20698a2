/** The types by which a step's code knows its template: what it is given, and under which names. */
import type { JsonObject } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';

/** How an optional dependency, or an ancestor, ended. */
export type Settled<T> =
  | { readonly state: 'complete'; readonly value: T }
  | { readonly state: 'error'; readonly error: StepError }
  | { readonly state: 'cancelled'; readonly reason: string }
  | { readonly state: 'resolved_manually' };

export type Requirement = 'required' | 'optional';

/** Earlier steps a step waits for: a list (all required), or each name with how it is needed. S: results by name of all earlier steps. */
export type After<S> = readonly (keyof S & string)[] | { readonly [K in keyof S & string]?: Requirement };

/** Excess keys of the object form are not errors by themselves; this makes a name that is no earlier step one. */
export type Known<A, S> = A extends readonly unknown[] ? unknown : { readonly [K in keyof A]: K extends keyof S ? Requirement : never };

/** N, unless a step is called so already. */
export type Fresh<N extends string, S> = string extends N ? N : N extends keyof S ? `there is a step ${N} already` : N;

export type NamesIn<A> = A extends readonly (infer K)[] ? K & string : keyof A & string;

/** The results a step sees: exactly the steps named in `after`. Frozen, parsed on first use. */
export type Results<S, A> = {
  readonly [K in NamesIn<A>]: K extends keyof S
    ? A extends readonly unknown[]
      ? S[K]
      : K extends keyof A
        ? A[K] extends 'optional'
          ? Settled<S[K]>
          : S[K]
        : never
    : never;
} & AsyncIterable<readonly [name: string, value: unknown]>;

export type LogFields = Record<string, unknown>;

/** Lines kept with the attempt: 1,000 of them or 256 KiB, whichever comes first; then one line says that the rest was dropped. */
export interface StepLog {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** What a handler is called with. I: the validated input; R: `Results`; S: results by name of all earlier steps. */
export interface StepContext<I = unknown, R = Results<Record<string, unknown>, readonly string[]>, S = Record<string, unknown>> {
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
  /** 0..1, and a word on what is going on. A sign of life, too. */
  progress(fraction: number, message?: string): void;
  /** A sign of life, for steps with a heartbeat limit. */
  heartbeat(): void;
  readonly log: StepLog;
  /** How any other ancestor ended. Rejects with PermanentError `not_an_ancestor`. */
  ancestor<N extends keyof S & string>(name: N): Promise<Settled<S[N]>>;
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
