/** What is known of a handler beside its code. */
import type { JsonObject } from '../core/definition.ts';
import { TuttiError, type StepError } from '../core/errors.ts';
import { nearestName } from '../core/nearest-name.ts';
import { parseDuration } from './duration.ts';
import { problemOfSchema } from './input-schema.ts';
import type { StandardSchema } from './standard-schema.ts';
import type { HandlerDefaults } from './step-options.ts';
import type { UntypedStepContext } from './step-types.ts';

/** How a tied child ended, as its parent's finalizer sees it. */
export type ChildResult = {
  readonly stepId: string;
  readonly name: string;
  readonly key: string | null;
  readonly handler: string;
} & (
  | { readonly state: 'complete'; readonly value: unknown }
  | { readonly state: 'error'; readonly error: StepError }
  | { readonly state: 'cancelled'; readonly reason: string }
  | { readonly state: 'resolved_manually' }
);

export type FinalizeContext = UntypedStepContext & {
  /** What the run phase returned. */
  readonly own: unknown;
  readonly children: AsyncIterable<ChildResult>;
};

export type AbortContext = UntypedStepContext & {
  /** What the run phase returned; undefined: it never did. */
  readonly own: unknown;
  readonly reason: string;
};

/** Runs once all children have ended; what it returns is the step's result. */
export type FinalizeFunction = (ctx: FinalizeContext, children: AsyncIterable<ChildResult>) => unknown;
/** Runs when the step is cancelled or failed with its parent: the place to undo what was begun. */
export type AbortFunction = (ctx: AbortContext) => unknown;

/** Hooks of a step whose code is a function in its template. C: what that is called with; Own: what it returned, as it was stored. */
export interface StepHooks<C = UntypedStepContext, Own = unknown, F = unknown> {
  /** Runs once all children have ended; what it returns is the step's result, unless it returns nothing. */
  readonly finalize?: (ctx: C & { readonly own: Own; readonly children: AsyncIterable<ChildResult> }, children: AsyncIterable<ChildResult>) => F | Promise<F>;
  /** Runs when the step is cancelled or failed with its parent or children. `own` is undefined where the function never returned. */
  readonly onAbort?: (ctx: C & { readonly own: Own | undefined; readonly reason: string }) => unknown;
}

/** JSON Schema 2020-12, or any validator of Standard Schema (zod, valibot, arktype, …). */
export type HandlerSchema = JsonObject | StandardSchema;

export interface HandlerMeta extends HandlerDefaults {
  description?: string;
  /** Where the code comes from: a template's id, a file. */
  source?: string;
  tags?: readonly string[];
  /** Further names of the handler. A handler registered under such a name goes before it. */
  aliases?: readonly string[];
  /**
   * What the inputs of a step must fit before the handler runs: the merged inputs where the step has them, else its input. One that does
   * not fit fails the step for good with `invalid_input`. It is checked, not changed: the handler sees what is stored, without the
   * defaults and conversions of the schema.
   */
  inputSchema?: HandlerSchema;
  /** Shown to people; not enforced. */
  outputSchema?: HandlerSchema;
  /** False: a running handler gets no signal on cancel. Default true. */
  cancelable?: boolean;
  /** Of a handler that is a function. An object has it as a method of this name, which this one goes before. */
  finalize?: FinalizeFunction;
  /** As `finalize`. */
  onAbort?: AbortFunction;
}

const FIELDS: Record<keyof HandlerMeta, true> = {
  description: true,
  source: true,
  tags: true,
  aliases: true,
  inputSchema: true,
  outputSchema: true,
  cancelable: true,
  finalize: true,
  onAbort: true,
  retry: true,
  timeout: true,
  onChildFailure: true,
  maxConcurrentChildren: true,
};

export const isStandardSchema = (schema: unknown): schema is StandardSchema =>
  ((typeof schema === 'object' && schema !== null) || typeof schema === 'function') && '~standard' in schema;

/** Throws INVALID_INPUT that names the handler and the field. */
export function checkHandlerMeta(name: string, meta: HandlerMeta): void {
  const wrong = (field: string, message: string): TuttiError =>
    new TuttiError('INVALID_INPUT', `handler ${JSON.stringify(name)}: ${field} ${message}`, { field });
  if (typeof meta !== 'object' || meta === null) throw wrong('meta', 'must be an object');
  for (const field in meta) {
    if (Object.hasOwn(FIELDS, field)) continue;
    const near = nearestName(field, Object.keys(FIELDS));
    throw wrong(field, `is nothing that a handler has${near === null ? '' : `; did you mean ${near}?`}`);
  }
  for (const field of ['description', 'source'] as const) {
    if (meta[field] !== undefined && typeof meta[field] !== 'string') throw wrong(field, 'must be text');
  }
  for (const field of ['tags', 'aliases'] as const) {
    const list: unknown = meta[field];
    if (list === undefined) continue;
    if (!Array.isArray(list) || !list.every((t) => typeof t === 'string' && t.length > 0 && t.length <= 500)) {
      throw wrong(field, 'must be an array of texts of 1 to 500 characters');
    }
  }
  for (const field of ['inputSchema', 'outputSchema'] as const) checkSchema(meta[field], (message) => wrong(field, message));
  if (meta.cancelable !== undefined && typeof meta.cancelable !== 'boolean') throw wrong('cancelable', 'must be true or false');
  for (const field of ['finalize', 'onAbort'] as const) {
    if (meta[field] !== undefined && typeof meta[field] !== 'function') throw wrong(field, 'must be a function');
  }
  if (meta.retry !== undefined && (typeof meta.retry !== 'object' || meta.retry === null)) throw wrong('retry', 'must be an object of retry options');
  if (meta.timeout !== undefined && parseDuration(meta.timeout) === null) throw wrong('timeout', 'must be milliseconds or text such as "30s"');
  const { onChildFailure: bears, maxConcurrentChildren: most } = meta;
  if (bears !== undefined && bears !== 'fail_fast' && bears !== 'wait_all' && !isCount(bears?.tolerate, 0)) {
    throw wrong('onChildFailure', "must be 'fail_fast', 'wait_all' or { tolerate: n }, n a whole number of 0 or more");
  }
  if (most !== undefined && !isCount(most, 1)) throw wrong('maxConcurrentChildren', 'must be a whole number of 1 or more');
}

const isCount = (value: unknown, least: number): boolean => Number.isSafeInteger(value) && (value as number) >= least;

function checkSchema(schema: unknown, wrong: (message: string) => TuttiError): void {
  if (schema === undefined || isStandardSchema(schema)) return;
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) throw wrong('must be a JSON Schema or a validator of Standard Schema');
  const problem = problemOfSchema(schema as JsonObject);
  if (problem !== null) throw wrong(`is no JSON Schema: ${problem}`);
}
