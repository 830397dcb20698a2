/** Options of one step as the builder takes them, and the definition they become. */
import { type Backoff, DEFAULT_RETRY, type Dependency, type JsonObject, type RetryPolicy, type StepDefinition } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
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
  /** Offers `ctx.inputs`, the merged view. Default false. */
  mergedInputs?: M;
  description?: string;
  /** Name of a registered handler, instead of a function. */
  handler?: string;
  /** Entry point of a handler object. Default `call`. */
  method?: string;
  /** What the step sees as `ctx.config`. */
  config?: JsonObject;
}

const OPTION_NAMES = new Set([
  'after',
  'retry',
  'timeout',
  'heartbeat',
  'priority',
  'allowFailure',
  'cancelable',
  'mergedInputs',
  'description',
  'handler',
  'method',
  'config',
]);
const RETRY_NAMES = new Set<string>(Object.keys(DEFAULT_RETRY));

type Given = StepOptions & { after?: readonly string[] | { readonly [name: string]: Requirement | undefined } };

/** Handler name of a step whose code is a function in the template. */
export const inlineHandlerName = (templateId: string, stepName: string): string => `${templateId}:${stepName}`;

/** The definition of one step. Ranges and names are checked later, over the whole template; here only what could not be expressed. */
export function defineStep(templateId: string, name: string, opts: Given, fn: unknown): StepDefinition {
  const wrong = (field: string, message: string): TuttiError =>
    new TuttiError('INVALID_TEMPLATE', `template ${templateId}: step ${JSON.stringify(name)}: ${field}: ${message}`, { field, details: { step: name } });
  const duration = (field: string, value: Duration): number => {
    const ms = parseDuration(value);
    if (ms === null) throw wrong(field, `must be milliseconds (0 or more) or text such as "30s", not ${JSON.stringify(value)}`);
    return ms;
  };
  for (const key in opts) if (!OPTION_NAMES.has(key)) throw wrong(key, 'is no option of a step');
  if (fn !== undefined && typeof fn !== 'function') throw wrong('handler', 'the last argument must be a function');
  if (fn !== undefined && opts.handler !== undefined) throw wrong('handler', 'a step has either a function or the name of a handler, not both');
  if (fn === undefined && opts.handler === undefined) throw wrong('handler', 'is missing: give a function, or the name of a registered handler');
  const step: StepDefinition = {
    name,
    type: 'standard',
    handler: opts.handler ?? inlineHandlerName(templateId, name),
    dependencies: opts.after === undefined ? [] : dependenciesOf(opts.after, wrong),
    retry: opts.retry === undefined ? DEFAULT_RETRY : retryOf(opts.retry, duration, wrong),
  };
  if (opts.description !== undefined) step.description = opts.description;
  if (opts.method !== undefined) step.method = opts.method;
  if (opts.config !== undefined) step.initialization = opts.config;
  if (opts.timeout !== undefined) step.timeoutMs = duration('timeout', opts.timeout);
  if (opts.heartbeat !== undefined) step.heartbeatMs = duration('heartbeat', opts.heartbeat);
  if (opts.priority !== undefined) step.priority = opts.priority;
  // Defaults are left out, so that equal graphs have equal JSON.
  if (opts.allowFailure === true) step.allowFailure = true;
  if (opts.cancelable === false) step.cancelable = false;
  if (opts.mergedInputs === true) step.mergedInputs = true;
  return step;
}

function dependenciesOf(after: NonNullable<Given['after']>, wrong: (field: string, message: string) => TuttiError): Dependency[] {
  if (Array.isArray(after)) return after.map((name: string) => ({ name, required: true }));
  return Object.entries(after).map(([name, need]) => {
    if (need !== 'required' && need !== 'optional') throw wrong('after', `${JSON.stringify(name)} must be 'required' or 'optional'`);
    return { name, required: need === 'required' };
  });
}

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
