/** One entry of a template file's `steps`, and the parts of it that environments may override. */
import { DEFAULT_RETRY, type Dependency, type RetryPolicy, type StepDefinition } from '../core/definition.ts';
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
  'result_schema',
] as const;
const NOT_YET = ['publishes_events', 'batch_config', 'composition'];
const OTHER_TYPES = ['decision', 'deferred_convergence', 'batchable', 'batch_worker'];
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
  const typeKey = given.type === undefined ? 'step_type' : 'type';
  const type = given[typeKey];
  if (given.type !== undefined && given.step_type !== undefined) reader.add([...at, 'step_type'], 'is another name of type; give one of them', name);
  if (type !== undefined && type !== 'standard') {
    reader.add(
      [...at, typeKey],
      typeof type === 'string' && OTHER_TYPES.includes(type) ? `${type} is not supported yet; only standard is` : 'must be standard',
      name,
    );
  }
  const step: StepDefinition = {
    name: reader.text(given.name, [...at, 'name'], { step: name, max: 128 }) ?? '',
    type: 'standard',
    handler: '',
    dependencies: [],
    retry: given.retry === undefined ? DEFAULT_RETRY : readRetry(reader, given.retry, [...at, 'retry'], name),
  };
  if (given.description !== undefined) step.description = reader.text(given.description, [...at, 'description'], { step: name, empty: true });
  readHandler(reader, given.handler, [...at, 'handler'], step, name);
  readDependencies(reader, given, at, step, name);
  if (given.timeout_seconds !== undefined) step.timeoutMs = readSeconds(reader, given.timeout_seconds, [...at, 'timeout_seconds'], name);
  if (given.heartbeat_seconds !== undefined) step.heartbeatMs = readSeconds(reader, given.heartbeat_seconds, [...at, 'heartbeat_seconds'], name);
  if (given.priority !== undefined) step.priority = reader.number(given.priority, [...at, 'priority'], { step: name, min: 0, max: 3 });
  const flag = (key: 'allow_failure' | 'cancelable' | 'merged_inputs'): boolean | undefined =>
    given[key] === undefined ? undefined : reader.flag(given[key], [...at, key], name);
  // Defaults are left out, so that equal graphs have equal JSON.
  if (flag('allow_failure') === true) step.allowFailure = true;
  if (flag('cancelable') === false) step.cancelable = false;
  if (flag('merged_inputs') === true) step.mergedInputs = true;
  for (const key of ['description', 'timeoutMs', 'heartbeatMs', 'priority'] as const) if (step[key] === undefined) delete step[key];
  return step;
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
  if (given[key] === undefined || given[key] === null) return;
  const path = [...at, key];
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
