/** What the engine is told of a task type, and the checks of a definition that somebody wrote by hand. */
import type { RetryPolicy } from '../../core/definition.ts';
import { TuttiError } from '../../core/errors.ts';
import { nearestName } from '../../core/nearest-name.ts';
import { showValue } from '../../core/show-value.ts';
import type { PlanFailurePolicy, TaskTypeTraits } from '../../engine/plan-port.ts';
import { type Duration, parseDuration } from '../duration.ts';
import { type RetryOptions, retryPolicyOf } from '../step-options.ts';
import { LOST_TRIES } from './one-try.ts';
import type { AnyTaskType, TaskTypeDefinition } from './task-type.ts';

/** No `_`: the id of a plan is `<resource>__<type>__<uuid>`. */
const NAME = /^[A-Za-z][A-Za-z0-9.-]{0,99}$/;
const DEFAULT_CALL_TIMEOUT_MS = 60_000;
/** A call that takes longer than a day is a batch. */
const MAX_CALL_TIMEOUT_MS = 86_400_000;
/** Longest time that a step may be given. */
const MAX_STEP_MS = 2 ** 53 - 1;
const MAX_BATCHES_IN_A_ROW = 1_000_000;
const BACKOFFS: readonly string[] = ['none', 'linear', 'exponential', 'fibonacci'] satisfies RetryPolicy['backoff'][];

const FIELDS: Record<keyof TaskTypeDefinition, true> = {
  name: true,
  aliases: true,
  description: true,
  supportsOrchestration: true,
  orchestratedOnly: true,
  inputUnit: true,
  validate: true,
  startPlan: true,
  nextBatch: true,
  generateOnce: true,
  onBatchFinished: true,
  onPlanEnd: true,
  failurePolicy: true,
  callTimeout: true,
  subtask: true,
  retry: true,
  timeout: true,
};
const POLICY_FIELDS = ['maxFailedPercent', 'maxFailedBatches', 'maxBarrenBatches'] as const;
const OPTIONAL_FUNCTIONS = ['validate', 'startPlan', 'generateOnce', 'onBatchFinished', 'onPlanEnd'] as const;

type Wrong = (field: string, message: string) => TuttiError;

/** Throws INVALID_INPUT that names the type and the field. */
export function traitsOf(type: AnyTaskType): TaskTypeTraits {
  if (typeof type !== 'object' || type === null) {
    throw new TuttiError('INVALID_INPUT', `a task type must be an object, as defineTaskType takes it, not ${showValue(type)}`, { field: 'taskTypes' });
  }
  const wrong: Wrong = (field, message) => new TuttiError('INVALID_INPUT', `task type ${showValue(type.name)}: ${field} ${message}`, { field });
  if (typeof type.name !== 'string' || !NAME.test(type.name)) {
    throw wrong('name', 'must be 1 to 100 letters, digits, "." or "-", the first a letter; "_" separates the parts of a plan\'s id');
  }
  checkNames(type, wrong);
  for (const field of ['nextBatch', 'subtask'] as const) {
    if (typeof type[field] !== 'function') throw wrong(field, `must be a function, not ${showValue(type[field])}`);
  }
  for (const field of OPTIONAL_FUNCTIONS) {
    if (type[field] !== undefined && typeof type[field] !== 'function') throw wrong(field, `must be a function, not ${showValue(type[field])}`);
  }
  const flag = (field: 'supportsOrchestration' | 'orchestratedOnly', otherwise: boolean): boolean => {
    const value: unknown = type[field] ?? otherwise;
    if (typeof value !== 'boolean') throw wrong(field, `must be true or false, not ${showValue(value)}`);
    return value;
  };
  const text = (field: 'description' | 'inputUnit', most: number): string | undefined => {
    const value: unknown = type[field];
    if (value !== undefined && (typeof value !== 'string' || value.length < 1 || value.length > most))
      throw wrong(field, `must be text of 1 to ${most} characters`);
    return value as string | undefined;
  };
  const orchestratedOnly = flag('orchestratedOnly', false);
  const supportsOrchestration = flag('supportsOrchestration', true);
  if (orchestratedOnly && !supportsOrchestration) throw wrong('orchestratedOnly', 'is of no use where supportsOrchestration is false: nothing could ever run');
  const callTimeoutMs = type.callTimeout === undefined ? DEFAULT_CALL_TIMEOUT_MS : durationOf('callTimeout', type.callTimeout, 1, MAX_CALL_TIMEOUT_MS, wrong);
  return {
    name: type.name,
    aliases: [...(type.aliases ?? [])],
    description: text('description', 2_000) ?? null,
    supportsOrchestration,
    orchestratedOnly,
    inputUnit: text('inputUnit', 50) ?? 'inputs',
    hasStart: type.startPlan !== undefined,
    hasFinish: type.onBatchFinished !== undefined,
    hasEnd: type.onPlanEnd !== undefined,
    failurePolicy: policyOf(type.failurePolicy, wrong),
    callTimeoutMs,
    retry: type.retry === undefined ? LOST_TRIES : retryOf(type.retry, wrong),
    ...(type.timeout === undefined ? {} : { timeoutMs: durationOf('timeout', type.timeout, 0, MAX_STEP_MS, wrong) }),
  };
}

function checkNames(type: AnyTaskType, wrong: Wrong): void {
  // An instance of a class may have what it likes beside.
  const proto: unknown = Object.getPrototypeOf(type);
  if (proto === Object.prototype || proto === null) refuseUnknown(Object.keys(type), Object.keys(FIELDS), '', 'is nothing that a task type has', wrong);
  const { aliases } = type;
  if (aliases === undefined) return;
  if (!Array.isArray(aliases)) throw wrong('aliases', `must be a list of names, not ${showValue(aliases)}`);
  aliases.forEach((alias: unknown, i) => {
    if (typeof alias !== 'string' || !NAME.test(alias))
      throw wrong(`aliases[${i}]`, `must be 1 to 100 letters, digits, "." or "-", the first a letter, not ${showValue(alias)}`);
    if (alias === type.name || aliases.indexOf(alias) < i) throw wrong(`aliases[${i}]`, `is ${showValue(alias)}, which is a name of this type already`);
  });
}

function refuseUnknown(given: readonly string[], known: readonly string[], prefix: string, says: string, wrong: Wrong): void {
  for (const field of given) {
    if (known.includes(field)) continue;
    const near = nearestName(field, known);
    throw wrong(`${prefix}${field}`, `${says}${near === null ? '' : `; did you mean ${near}?`}`);
  }
}

function policyOf(given: AnyTaskType['failurePolicy'], wrong: Wrong): PlanFailurePolicy {
  if (given === undefined) return { thresholdPercent: 100, maxFailedBatches: 3, maxBarrenBatches: 3 };
  if (typeof given !== 'object' || given === null) throw wrong('failurePolicy', `must be an object, not ${showValue(given)}`);
  refuseUnknown(Object.keys(given), POLICY_FIELDS, 'failurePolicy.', 'is nothing that a failure policy has', wrong);
  const percent: unknown = given.maxFailedPercent ?? 100;
  if (typeof percent !== 'number' || !(percent >= 0 && percent <= 100))
    throw wrong('failurePolicy.maxFailedPercent', `must be a number from 0 to 100, not ${showValue(percent)}`);
  const count = (field: 'maxFailedBatches' | 'maxBarrenBatches'): number => {
    const value = given[field] ?? 3;
    if (isWhole(value, 1, MAX_BATCHES_IN_A_ROW)) return value;
    throw wrong(`failurePolicy.${field}`, `must be a whole number from 1 to ${MAX_BATCHES_IN_A_ROW}, not ${showValue(value)}`);
  };
  return { thresholdPercent: percent, maxFailedBatches: count('maxFailedBatches'), maxBarrenBatches: count('maxBarrenBatches') };
}

function durationOf(field: string, value: Duration, least: number, most: number, wrong: Wrong): number {
  const ms = parseDuration(value);
  if (ms === null) throw wrong(field, `must be milliseconds or text such as "30s", not ${showValue(value)}`);
  if (ms < least || ms > most) throw wrong(field, `must be from ${least} to ${most} ms, not ${showValue(value)}`);
  return ms;
}

function retryOf(given: RetryOptions, wrong: Wrong): RetryPolicy {
  if (typeof given !== 'object' || given === null) throw wrong('retry', `must be an object of retry options, not ${showValue(given)}`);
  let policy: RetryPolicy;
  try {
    policy = retryPolicyOf(given);
  } catch (e) {
    throw e instanceof TuttiError && e.field !== undefined ? wrong(e.field, e.message.slice(e.field.length + 1)) : e;
  }
  if (typeof policy.retryable !== 'boolean') throw wrong('retry.retryable', `must be true or false, not ${showValue(policy.retryable)}`);
  if (!isWhole(policy.maxAttempts, 0, 100)) throw wrong('retry.maxAttempts', `must be a whole number from 0 to 100, not ${showValue(policy.maxAttempts)}`);
  if (!BACKOFFS.includes(policy.backoff)) throw wrong('retry.backoff', `must be one of ${BACKOFFS.join(', ')}, not ${showValue(policy.backoff)}`);
  for (const field of ['baseMs', 'maxMs'] as const) {
    if (!isWhole(policy[field], 0, MAX_STEP_MS)) throw wrong(`retry.${field}`, `must be a time of at most ${MAX_STEP_MS} ms, not ${showValue(policy[field])}`);
  }
  const { jitter } = policy;
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) throw wrong('retry.jitter', `must be a number from 0 to 1, not ${showValue(jitter)}`);
  return policy;
}

const isWhole = (value: unknown, least: number, most: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
