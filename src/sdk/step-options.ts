/** Options of one step as the builder takes them, and the definition they become. */
import {
  type Backoff,
  type BatchConfig,
  DEFAULT_BATCH,
  DEFAULT_RETRY,
  type Dependency,
  type JsonObject,
  type RetryPolicy,
  type StepDefinition,
  type StepType,
} from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import { checkRetry } from '../core/template-rules.ts';
import { type Duration, parseDuration } from './duration.ts';
import type { Requirement } from './step-types.ts';

export interface RetryOptions {
  /** All tries, the first included, 0 to 100; 0 acts as 1. Default 3. */
  maxAttempts?: number;
  /** Default `exponential`. */
  backoff?: Backoff;
  /** First wait. Default 1000 (ms) or text such as '1s'. */
  baseMs?: Duration;
  /** Cap on one wait. Default 30000. */
  maxMs?: Duration;
  /** 0..1: each wait is multiplied by a factor within 1 ± jitter. Default 0.1. */
  jitter?: number;
  /** Default true. False: the first failure is final. */
  retryable?: boolean;
}

/**
 * What a handler brings along for steps that leave it out. It becomes part of the step when that is written down, and what the handler says
 * later changes nothing of it: of a spawned child when it is spawned, of an element of a tree when it is submitted, of a step of a template
 * where the handler itself is given as `handler`. A step of a template that names its handler by text has none of it.
 */
export interface HandlerDefaults {
  retry?: RetryOptions;
  /** Limit of one attempt. Default: none. */
  timeout?: Duration;
  /** What a failed child means. Default `fail_fast`. */
  onChildFailure?: 'fail_fast' | 'wait_all' | { readonly tolerate: number };
  /** How many of its children may run at once, 1 or more. Default: no limit of its own. */
  maxConcurrentChildren?: number;
}

/** What `handler(…)` gives. */
export interface GivenHandler {
  readonly name: string;
  readonly code: object;
  readonly meta: HandlerDefaults;
}

export interface StepOptions<M = boolean> {
  retry?: RetryOptions;
  /** Limit of one attempt: milliseconds, or text such as '30s'. Default: none. */
  timeout?: Duration;
  /** Longest silence of the running handler (heartbeat, progress, checkpoint). Default: none. */
  heartbeat?: Duration;
  /** 0 (urgent) to 3. Default: the task's. */
  priority?: number;
  /** A failure of this step never fails the task. Default false. */
  allowFailure?: boolean;
  /** False: the running handler gets no signal on cancel. Default true. */
  cancelable?: boolean;
  /** What a failed tied child means: this step fails at once (default), after all have ended, or when more than so many failed. */
  onChildFailure?: 'fail_fast' | 'wait_all' | { readonly tolerate: number };
  /** How many tied children run at once, 1 or more. Default: as many as there are slots. */
  maxConcurrentChildren?: number;
  /** Offers `ctx.inputs`, the merged view. Default false. */
  mergedInputs?: M;
  description?: string;
  /** Instead of a function: the name of a registered handler, or what `handler(…)` gave, which is registered along and brings its defaults. */
  handler?: string | GivenHandler;
  /** Entry point of a handler object. Default `call`. */
  method?: string;
  /** What the step sees as `ctx.config`. */
  config?: JsonObject;
}

/** How a batchable step's batches are done. */
export interface BatchOptions {
  /** Items of one batch, 1 to 100,000, as its workers are told; `cursorsFor` makes the cursors. Default 1000. */
  batchSize?: number;
  /** Workers at work at once, 1 to 1,000. Default 10. */
  parallelism?: number;
  /** When a worker fails for good: the others go on, all stop, or its batch is set aside. Default `continue_on_failure`. */
  onFailure?: BatchConfig['failureStrategy'];
  /** What the cursors count. Default `id`. */
  cursorField?: string;
}

const OPTION_NAMES = new Set([
  'after',
  'retry',
  'timeout',
  'heartbeat',
  'priority',
  'allowFailure',
  'cancelable',
  'onChildFailure',
  'maxConcurrentChildren',
  'mergedInputs',
  'description',
  'handler',
  'method',
  'config',
]);
const BATCH_NAMES = new Set(['batchSize', 'parallelism', 'onFailure', 'cursorField']);
const HOOK_NAMES = new Set(['finalize', 'onAbort']);
const RETRY_NAMES = new Set<string>(Object.keys(DEFAULT_RETRY));

type Given = StepOptions & BatchOptions & { after?: readonly string[] | { readonly [name: string]: Requirement | undefined } };

/** Handler name of a step whose code is a function in the template. */
export const inlineHandlerName = (templateId: string, stepName: string): string => `${templateId}:${stepName}`;

/** The definition of one step. Ranges and names are checked later, over the whole template; here only what could not be expressed. */
export function defineStep(templateId: string, name: string, opts: Given, fn: unknown, type: StepType = 'standard'): StepDefinition {
  const wrong = (field: string, message: string): TuttiError =>
    new TuttiError('INVALID_TEMPLATE', `template ${templateId}: step ${JSON.stringify(name)}: ${field}: ${message}`, { field, details: { step: name } });
  const duration = (field: string, value: Duration): number => {
    const ms = parseDuration(value);
    if (ms === null) throw wrong(field, `must be milliseconds (0 or more) or text such as "30s", not ${JSON.stringify(value)}`);
    return ms;
  };
  for (const key in opts) {
    if (OPTION_NAMES.has(key) || (type === 'batchable' && BATCH_NAMES.has(key))) continue;
    throw wrong(key, HOOK_NAMES.has(key) ? 'comes after the function: .step(name, options, fn, { finalize, onAbort })' : 'is no option of a step');
  }
  if (fn !== undefined && typeof fn !== 'function') throw wrong('handler', 'the last argument must be a function');
  if (fn !== undefined && opts.handler !== undefined) throw wrong('handler', 'a step has either a function or the name of a handler, not both');
  if (fn === undefined && opts.handler === undefined) throw wrong('handler', 'is missing: give a function, or the name of a registered handler');
  const given = handlerGiven(opts.handler);
  if (given === undefined && opts.handler !== undefined && typeof opts.handler !== 'string')
    throw wrong('handler', 'must be the name of a handler, or what handler(…) gave');
  opts = withDefaults(opts, given?.meta, type);
  const step: StepDefinition = {
    name,
    type,
    handler: given?.name ?? (opts.handler as string | undefined) ?? inlineHandlerName(templateId, name),
    dependencies: opts.after === undefined ? [] : dependenciesOf(opts.after, wrong),
    retry: opts.retry === undefined ? DEFAULT_RETRY : retryOf(opts.retry, duration, wrong),
  };
  if (type === 'batchable') {
    step.batch = {
      // The worker comes later (template-graph.ts).
      workerTemplate: '',
      batchSize: opts.batchSize ?? DEFAULT_BATCH.batchSize,
      parallelism: opts.parallelism ?? DEFAULT_BATCH.parallelism,
      failureStrategy: opts.onFailure ?? DEFAULT_BATCH.failureStrategy,
      cursorField: opts.cursorField ?? DEFAULT_BATCH.cursorField,
    };
  }
  if (opts.description !== undefined) step.description = opts.description;
  if (opts.method !== undefined) step.method = opts.method;
  if (opts.config !== undefined) step.initialization = opts.config;
  if (opts.timeout !== undefined) step.timeoutMs = duration('timeout', opts.timeout);
  if (opts.heartbeat !== undefined) step.heartbeatMs = duration('heartbeat', opts.heartbeat);
  if (opts.priority !== undefined) step.priority = opts.priority;
  // Defaults are left out, so that equal graphs have equal JSON.
  if (opts.allowFailure === true) step.allowFailure = true;
  if (opts.cancelable === false) step.cancelable = false;
  if (opts.onChildFailure !== undefined && opts.onChildFailure !== 'fail_fast')
    step.onChildFailure = typeof opts.onChildFailure === 'object' ? opts.onChildFailure.tolerate : opts.onChildFailure;
  if (opts.maxConcurrentChildren !== undefined) step.maxChildren = opts.maxConcurrentChildren;
  if (opts.mergedInputs === true) step.mergedInputs = true;
  return step;
}

/** The handler itself, where the step was given that and not its name. */
export const handlerGiven = (handler: unknown): GivenHandler | undefined => {
  const { name, code, meta } = (handler ?? {}) as Partial<GivenHandler>;
  const is = typeof name === 'string' && name !== '' && code !== undefined && typeof meta === 'object' && meta !== null;
  return is ? (handler as GivenHandler) : undefined;
};

/** The step's own options win. What chooses or divides work has no children of its own. */
function withDefaults(opts: Given, meta: HandlerDefaults | undefined, type: StepType): Given {
  if (meta === undefined) return opts;
  const { retry, timeout, onChildFailure, maxConcurrentChildren } = meta;
  const defaults: HandlerDefaults =
    type === 'decision' || type === 'batchable' ? { retry, timeout } : { retry, timeout, onChildFailure, maxConcurrentChildren };
  const own = Object.fromEntries(Object.entries(opts).filter(([, value]) => value !== undefined));
  return { ...defaults, ...own };
}

/** Throws INVALID_TEMPLATE for what is no hook. */
export function checkHooks(templateId: string, name: string, fn: unknown, hooks: unknown): void {
  const wrong = (field: string, message: string): TuttiError =>
    new TuttiError('INVALID_TEMPLATE', `template ${templateId}: step ${JSON.stringify(name)}: ${field}: ${message}`, { field, details: { step: name } });
  if (typeof hooks !== 'object' || hooks === null) throw wrong('hooks', 'must be an object with finalize, onAbort or both');
  if (fn === undefined) throw wrong('hooks', 'belong to a function; a registered handler has its own');
  for (const [key, hook] of Object.entries(hooks) as [string, unknown][]) {
    if (!HOOK_NAMES.has(key)) throw wrong(key, 'is no hook: there are finalize and onAbort');
    if (hook !== undefined && typeof hook !== 'function') throw wrong(key, 'must be a function');
  }
}

function dependenciesOf(after: NonNullable<Given['after']>, wrong: (field: string, message: string) => TuttiError): Dependency[] {
  if (Array.isArray(after)) return after.map((name: string) => ({ name, required: true }));
  return Object.entries(after).map(([name, need]) => {
    if (need !== 'required' && need !== 'optional') throw wrong('after', `${JSON.stringify(name)} must be 'required' or 'optional'`);
    return { name, required: need === 'required' };
  });
}

/** The policy that options given outside a template stand for. Throws INVALID_INPUT. */
export const retryPolicyOf = (given: RetryOptions): RetryPolicy => {
  const wrong = (field: string, message: string): TuttiError => new TuttiError('INVALID_INPUT', `${field} ${message}`, { field });
  const duration = (field: string, value: Duration): number => {
    const ms = parseDuration(value);
    if (ms === null) throw wrong(field, `must be milliseconds or text such as "30s", not ${JSON.stringify(value)}`);
    return ms;
  };
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw wrong('retry', 'must be an object of retry options');
  const policy = retryOf(given, duration, wrong);
  checkRetry(policy, (field, message) => {
    throw wrong(field, message);
  });
  return policy;
};

function retryOf(
  given: RetryOptions,
  duration: (field: string, value: Duration) => number,
  wrong: (field: string, message: string) => TuttiError,
): RetryPolicy {
  for (const key in given) if (!RETRY_NAMES.has(key)) throw wrong(`retry.${key}`, 'is no retry option');
  return {
    retryable: given.retryable ?? DEFAULT_RETRY.retryable,
    maxAttempts: given.maxAttempts ?? DEFAULT_RETRY.maxAttempts,
    backoff: given.backoff ?? DEFAULT_RETRY.backoff,
    baseMs: given.baseMs === undefined ? DEFAULT_RETRY.baseMs : duration('retry.baseMs', given.baseMs),
    maxMs: given.maxMs === undefined ? DEFAULT_RETRY.maxMs : duration('retry.maxMs', given.maxMs),
    jitter: given.jitter ?? DEFAULT_RETRY.jitter,
  };
}
