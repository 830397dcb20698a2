/** One entry of a template file's `steps`, and the parts of it that environments may override. */
import {
  type BatchConfig,
  DEFAULT_BATCH,
  DEFAULT_RETRY,
  type Dependency,
  FAILURE_STRATEGIES,
  type RetryPolicy,
  STEP_TYPES,
  type StepDefinition,
  type StepType,
} from '../core/definition.ts';
import { MAX_BATCH_SIZE, MAX_PARALLELISM } from '../core/branch-rules.ts';
import { MAX_CHILDREN_AT_ONCE } from '../core/template-rules.ts';
import type { FieldPath, FieldReader } from './yaml-fields.ts';
import { readObject } from './yaml-object.ts';

const STEP = [
  'name',
  'description',
  'type',
  'step_type',
  'handler',
  'system_dependency',
  'dependencies',
  'depends_on',
  'retry',
  'timeout_seconds',
  'heartbeat_seconds',
  'priority',
  'allow_failure',
  'cancelable',
  'merged_inputs',
  'on_child_failure',
  'max_concurrent_children',
  'result_schema',
  'branches',
  'batch_config',
] as const;
const NOT_YET = ['publishes_events', 'composition'];
const BATCH = ['batch_size', 'parallelism', 'cursor_field', 'worker_template', 'failure_strategy'] as const;
const RETRY = ['retryable', 'max_attempts', 'backoff', 'backoff_base_ms', 'max_backoff_ms', 'jitter'] as const;
/** A year: longer attempts are mistakes. */
const MAX_SECONDS = 31_536_000;

/** As much of the entry as could be read, with its problems noted: later rules count steps by position. */
export function readStep(reader: FieldReader, value: unknown, no: number): StepDefinition {
  const at: FieldPath = ['steps', no];
  const name = typeof (value as { name?: unknown } | null)?.name === 'string' ? (value as { name: string }).name.slice(0, 128) : undefined;
  const given = reader.fields(value, at, STEP, name, NOT_YET);
  if (given === undefined) {
    reader.note([...at, 'name']);
    return { name: '', type: 'standard', handler: '?', dependencies: [], retry: DEFAULT_RETRY };
  }
  const step: StepDefinition = {
    name: reader.text(given.name, [...at, 'name'], { step: name, max: 128 }) ?? '',
    type: readType(reader, given, at, name),
    handler: '',
    dependencies: [],
    retry: given.retry === undefined ? DEFAULT_RETRY : readRetry(reader, given.retry, [...at, 'retry'], name),
  };
  if (given.description !== undefined) step.description = reader.text(given.description, [...at, 'description'], { step: name, empty: true });
  readHandler(reader, given.handler, [...at, 'handler'], step, name);
  readDependencies(reader, given, at, step, name);
  if (given.branches !== undefined) step.branches = readBranches(reader, given.branches, [...at, 'branches'], name);
  if (given.batch_config !== undefined) step.batch = readBatch(reader, given.batch_config, [...at, 'batch_config'], name);
  if (given.timeout_seconds !== undefined) step.timeoutMs = readSeconds(reader, given.timeout_seconds, [...at, 'timeout_seconds'], name);
  if (given.heartbeat_seconds !== undefined) step.heartbeatMs = readSeconds(reader, given.heartbeat_seconds, [...at, 'heartbeat_seconds'], name);
  if (given.priority !== undefined) step.priority = reader.number(given.priority, [...at, 'priority'], { step: name, min: 0, max: 3 });
  const flag = (key: 'allow_failure' | 'cancelable' | 'merged_inputs'): boolean | undefined =>
    given[key] === undefined ? undefined : reader.flag(given[key], [...at, key], name);
  // Defaults are left out, so that equal graphs have equal JSON.
  if (flag('allow_failure') === true) step.allowFailure = true;
  if (flag('cancelable') === false) step.cancelable = false;
  if (flag('merged_inputs') === true) step.mergedInputs = true;
  if (given.on_child_failure !== undefined) readChildFailure(reader, given.on_child_failure, [...at, 'on_child_failure'], step);
  if (given.max_concurrent_children !== undefined) {
    step.maxChildren = reader.number(given.max_concurrent_children, [...at, 'max_concurrent_children'], { step: name, min: 1, max: MAX_CHILDREN_AT_ONCE });
  }
  for (const key of ['description', 'timeoutMs', 'heartbeatMs', 'priority', 'branches', 'batch', 'maxChildren'] as const)
    if (step[key] === undefined) delete step[key];
  return step;
}

/** `fail_fast`, `wait_all`, or `{ tolerate: 3 }`. */
function readChildFailure(reader: FieldReader, value: unknown, path: FieldPath, step: StepDefinition): void {
  if (typeof value === 'object' && value !== null) {
    const tolerate = reader.fields(value, path, ['tolerate'], step.name)?.tolerate;
    const n = reader.number(tolerate, [...path, 'tolerate'], { step: step.name, min: 0, max: Number.MAX_SAFE_INTEGER });
    if (n !== undefined) step.onChildFailure = n;
  } else if (reader.oneOf(value, path, ['fail_fast', 'wait_all'] as const, step.name) === 'wait_all') step.onChildFailure = 'wait_all';
}

function readType(reader: FieldReader, given: Record<string, unknown>, at: FieldPath, name: string | undefined): StepType {
  const key = given.type === undefined ? 'step_type' : 'type';
  if (given.type !== undefined && given.step_type !== undefined) reader.add([...at, 'step_type'], 'is another name of type; give one of them', name);
  const type = given[key] === undefined ? 'standard' : reader.oneOf(given[key], [...at, key], STEP_TYPES, name);
  // Of a type that is none, nothing more is known to be wrong.
  if (type === undefined) for (const field of ['branches', 'batch_config']) reader.note([...at, field]);
  return type ?? 'standard';
}

/** Names of branches are free, as far as the rules of every template leave them so. */
function readBranches(reader: FieldReader, value: unknown, path: FieldPath, step: string | undefined): Record<string, string[]> | undefined {
  const given = readObject(reader, value, path, step);
  if (given === undefined) return undefined;
  const branches = Object.entries(given).map(([branch, listed]): [string, string[]] => {
    const names = reader.list(listed, [...path, branch], step) ?? [];
    return [branch, names.flatMap((entry, i) => reader.text(entry, [...path, branch, i], { step }) ?? [])];
  });
  return Object.fromEntries(branches);
}

function readBatch(reader: FieldReader, value: unknown, path: FieldPath, step: string | undefined): BatchConfig | undefined {
  const given = reader.fields(value, path, BATCH, step);
  if (given === undefined) return undefined;
  const number = (key: (typeof BATCH)[number], fallback: number, max: number): number =>
    given[key] === undefined ? fallback : (reader.number(given[key], [...path, key], { step, min: 1, max }) ?? fallback);
  const strategy = given.failure_strategy;
  const field = given.cursor_field;
  return {
    workerTemplate: reader.text(given.worker_template, [...path, 'worker_template'], { step, max: 128 }) ?? '',
    batchSize: number('batch_size', DEFAULT_BATCH.batchSize, MAX_BATCH_SIZE),
    parallelism: number('parallelism', DEFAULT_BATCH.parallelism, MAX_PARALLELISM),
    failureStrategy:
      strategy === undefined
        ? DEFAULT_BATCH.failureStrategy
        : (reader.oneOf(strategy, [...path, 'failure_strategy'], FAILURE_STRATEGIES, step) ?? DEFAULT_BATCH.failureStrategy),
    cursorField:
      field === undefined ? DEFAULT_BATCH.cursorField : (reader.text(field, [...path, 'cursor_field'], { step, max: 255 }) ?? DEFAULT_BATCH.cursorField),
  };
}

/** Milliseconds; 0 and what is wrong: undefined, no limit. */
export function readSeconds(reader: FieldReader, value: unknown, path: FieldPath, step: string | undefined): number | undefined {
  const seconds = reader.number(value, path, { step, min: 0, max: MAX_SECONDS, whole: false });
  return seconds === undefined || seconds === 0 ? undefined : Math.max(1, Math.round(seconds * 1000));
}

export function readRetry(reader: FieldReader, value: unknown, path: FieldPath, step: string | undefined): RetryPolicy {
  const given = reader.fields(value, path, RETRY, step);
  if (given === undefined) return DEFAULT_RETRY;
  const number = (key: (typeof RETRY)[number], fallback: number, min: number, max: number, whole = true): number =>
    given[key] === undefined ? fallback : (reader.number(given[key], [...path, key], { step, min, max, whole }) ?? fallback);
  return {
    retryable: given.retryable === undefined ? DEFAULT_RETRY.retryable : (reader.flag(given.retryable, [...path, 'retryable'], step) ?? true),
    maxAttempts: number('max_attempts', DEFAULT_RETRY.maxAttempts, 0, 100),
    backoff:
      given.backoff === undefined
        ? DEFAULT_RETRY.backoff
        : (reader.oneOf(given.backoff, [...path, 'backoff'], ['none', 'linear', 'exponential', 'fibonacci'], step) ?? DEFAULT_RETRY.backoff),
    baseMs: number('backoff_base_ms', DEFAULT_RETRY.baseMs, 100, 3_600_000),
    maxMs: number('max_backoff_ms', DEFAULT_RETRY.maxMs, 1000, 3_600_000),
    jitter: number('jitter', DEFAULT_RETRY.jitter, 0, 1, false),
  };
}

function readHandler(reader: FieldReader, value: unknown, path: FieldPath, step: StepDefinition, name: string | undefined): void {
  if (value === undefined) {
    reader.add(path, 'is missing: write handler: { callable: <name of a registered handler> }', name);
    step.handler = '?';
    return;
  }
  const given = reader.fields(value, path, ['callable', 'method', 'initialization'], name, ['resolver']);
  step.handler = (given && reader.text(given.callable, [...path, 'callable'], { step: name, max: 500 })) ?? '?';
  if (given?.method !== undefined) {
    const method = reader.text(given.method, [...path, 'method'], { step: name, max: 200 });
    if (method !== undefined && method !== 'call') step.method = method;
  }
  if (given?.initialization !== undefined) {
    const config = readObject(reader, given.initialization, [...path, 'initialization'], name);
    if (config !== undefined) step.initialization = config;
  }
}

function readDependencies(reader: FieldReader, given: Record<string, unknown>, at: FieldPath, step: StepDefinition, name: string | undefined): void {
  const key = given.dependencies === undefined ? 'depends_on' : 'dependencies';
  if (given.dependencies !== undefined && given.depends_on !== undefined)
    reader.add([...at, 'depends_on'], 'is another name of dependencies; give one of them', name);
  const path = [...at, given[key] === undefined ? 'dependencies' : key];
  const none = given[key] === undefined || given[key] === null || (Array.isArray(given[key]) && given[key].length === 0);
  if (none && step.type === 'decision') reader.add(path, 'a decision has at least one', name);
  if (none) return;
  (reader.list(given[key], path, name) ?? []).forEach((entry, i) => {
    const dependency = readDependency(reader, entry, [...path, i], name);
    if (dependency !== undefined) step.dependencies.push(dependency);
  });
}

/** `validate`, or `{ name: notify, required: false }`. */
function readDependency(reader: FieldReader, entry: unknown, path: FieldPath, step: string | undefined): Dependency | undefined {
  if (typeof entry === 'string') return { name: entry, required: true };
  const given = reader.fields(entry, path, ['name', 'required'], step);
  if (given === undefined) return undefined;
  const name = reader.text(given.name, [...path, 'name'], { step });
  const required = given.required === undefined ? true : (reader.flag(given.required, [...path, 'required'], step) ?? true);
  return name === undefined ? undefined : { name, required };
}
