/** One element of an ad hoc tree, as it is submitted, and what becomes of its own fields. Names of others are only noted here. */
import { DEFAULT_RETRY, type JsonObject, type RetryPolicy } from './definition.ts';
import { TuttiError } from './errors.ts';
import type { NodeDefinition, OnChildFailure } from './node.ts';
import { showValue } from './show-value.ts';
import { DEPENDENCY_FIELDS, ELEMENT_FIELDS, type FieldsOf, RETRY_FIELDS, readFields } from './tree-fields.ts';
import { type ContextLimits, checkContext } from './values.ts';

/** What a caller submits; every field may be written in camelCase too, and null is as good as absent. */
export interface TreeElement {
  /** Unique in the array: 1 to 255 characters. Absent: one is generated. */
  id?: string;
  /** Unique in the array: 1 to 255 characters without control characters. */
  name: string;
  /** Id or name of the element it is filed under; orders nothing. Absent: it stands at the top. */
  parent_id?: string;
  /** What it waits for. Text: an id or a name, required. */
  dependencies?: (string | { id?: string; name?: string; required?: boolean; type?: string })[];
  /** 0 (urgent) to 3. Default: the parent's, else 2. */
  priority?: number;
  inputs?: Record<string, unknown>;
  /** `executor_id` names the handler. */
  params?: { executor_id?: string; [key: string]: unknown };
  /** `method` names the handler where `params` does not; `input_schema` is held against the inputs before the handler runs. */
  schemas?: { method?: string; type?: string; input_schema?: object; model?: unknown; [key: string]: unknown };
  /** Names the handler where neither `params` nor `schemas` does. Absent: a handler of the element's own name, if there is one. */
  handler?: string;
  /** The same throughout a tree. */
  user_id?: string;
  /** Shares its parent's fate. Default false, and true for what stands in `children`. */
  tied?: boolean;
  /** Elements filed under this one and tied to it. */
  children?: TreeElement[];
  /** Size of the work, for progress; one of the two. */
  expected_bytes?: number;
  expected_items?: number;
  retry?: { retryable?: boolean; max_attempts?: number; backoff?: string; backoff_base_ms?: number; max_backoff_ms?: number; jitter?: number };
  /** Of one attempt. 0: no limit. */
  timeout_seconds?: number;
  /** Longest silence of a running handler. 0: no limit. */
  heartbeat_seconds?: number;
  allow_failure?: boolean;
  cancelable?: boolean;
  on_child_failure?: 'fail_fast' | 'wait_all' | { tolerate: number };
  max_concurrent_children?: number;
  /** Identifies it among its parent's tied children. */
  key?: string;
}

/** A name that stands for another element. */
export interface ElementRef {
  text: string;
  /** It was given as a name: names are looked at before ids. */
  byName: boolean;
  /** Given beside an id: it has to mean the same element. */
  name?: string;
  required: boolean;
  type: string | undefined;
}

export interface ReadElement {
  /** `handler` is empty where the element names none; references are missing. */
  definition: NodeDefinition;
  /** JSON text. */
  inputs: string;
  /** It says something of its time itself, and be it that there is no limit. */
  hasTimeout: boolean;
  /** Which field named the handler. */
  handlerField: 'params.executor_id' | 'schemas.method' | 'handler' | undefined;
  parent: string | undefined;
  refs: ElementRef[];
  children: unknown[];
}

export const MAX_TEXT = 255;
const MAX_HANDLER = 500;
/** A year: longer attempts are mistakes. */
const MAX_SECONDS = 31_536_000;
/** Still exact when added to a clock. */
const MAX_MS = 2 ** 52;
/** A schema nests two levels for each level of the data. */
const MAX_SCHEMA_DEPTH = 64;
/** Bytes. A schema becomes code before it is used, ten times its size. */
const MAX_SCHEMA_BYTES = 65_536;
const BACKOFFS = ['none', 'linear', 'exponential', 'fibonacci'];

/**
 * Checks one element's own fields. `at` is its path, such as `[3].children[0]`; `nested`: it stands in `children`.
 * Throws TuttiError INVALID_INPUT or UNSTORABLE_VALUE; `field` is the path.
 */
export function readElement(value: unknown, at: string, nested: boolean, limits: ContextLimits): ReadElement {
  const given = readFields(value, at, ELEMENT_FIELDS);
  const object = (field: string, v: unknown, more: ContextLimits = {}): JsonObject =>
    JSON.parse(checkContext(v, { ...limits, ...more, name: `${at}.${field}` })) as JsonObject;

  const definition: NodeDefinition = { name: readName(given.name, at), handler: '' };
  if (given.id !== undefined) definition.id = readText(given.id, `${at}.id`);
  if (given.params !== undefined) definition.params = object('params', given.params);
  if (given.schemas !== undefined) {
    // Taken out first: a schema may be nested deeper than other values.
    const { input_schema: schema, ...rest } = plainObject(given.schemas, `${at}.schemas`);
    if (schema !== undefined && schema !== null)
      definition.inputSchema = object('schemas.input_schema', schema, { maxDepth: MAX_SCHEMA_DEPTH, maxBytes: MAX_SCHEMA_BYTES });
    if (Object.keys(rest).length > 0) definition.schemas = object('schemas', rest);
  }
  const handlerField = readHandler(definition, given.handler, at);
  readRules(definition, given, at);
  if (given.user_id !== undefined) definition.userId = readText(given.user_id, `${at}.user_id`);
  if (given.tied === undefined ? nested : readFlag(given.tied, `${at}.tied`)) definition.tied = true;
  if (given.key !== undefined) definition.key = readText(given.key, `${at}.key`);
  readChildRules(definition, given, at);
  return {
    definition,
    inputs: given.inputs === undefined ? '{}' : checkContext(given.inputs, { ...limits, name: `${at}.inputs` }),
    hasTimeout: given.timeout_seconds !== undefined,
    handlerField,
    parent: given.parent_id === undefined ? undefined : readText(given.parent_id, `${at}.parent_id`),
    refs: given.dependencies === undefined ? [] : readList(given.dependencies, `${at}.dependencies`).map((d, i) => readRef(d, `${at}.dependencies[${i}]`)),
    children: given.children === undefined ? [] : readList(given.children, `${at}.children`),
  };
}

function readName(value: unknown, at: string): string {
  const name = readText(value, `${at}.name`);
  if (/\p{Cc}/u.test(name)) throw invalid(`${at}.name`, `must have no control characters, not ${showValue(name)}`);
  return name;
}

function readHandler(definition: NodeDefinition, given: unknown, at: string): ReadElement['handlerField'] {
  const candidates = [
    ['params.executor_id', definition.params?.executor_id],
    ['schemas.method', definition.schemas?.method],
    ['handler', given],
  ] as const;
  for (const [field, handler] of candidates) {
    // A view shows a folder's handler as empty text.
    if (handler === undefined || handler === null || handler === '') continue;
    definition.handler = readText(handler, `${at}.${field}`, MAX_HANDLER);
    return field;
  }
  return undefined;
}

/** What holds for any step. Defaults are left out, so that equal elements have equal JSON. */
function readRules(definition: NodeDefinition, given: FieldsOf<typeof ELEMENT_FIELDS>, at: string): void {
  if (given.priority !== undefined) {
    if (!isWhole(given.priority, 0, 3)) throw invalid(`${at}.priority`, `must be 0, 1, 2 or 3, not ${showValue(given.priority)}`);
    definition.priority = given.priority as number;
  }
  if (given.retry !== undefined) definition.retry = readRetry(given.retry, `${at}.retry`);
  const timeout = readSeconds(given.timeout_seconds, `${at}.timeout_seconds`);
  if (timeout > 0) definition.timeoutMs = timeout;
  const heartbeat = readSeconds(given.heartbeat_seconds, `${at}.heartbeat_seconds`);
  if (heartbeat > 0) definition.heartbeatMs = heartbeat;
  if (given.allow_failure !== undefined && readFlag(given.allow_failure, `${at}.allow_failure`)) definition.allowFailure = true;
  if (given.cancelable !== undefined && !readFlag(given.cancelable, `${at}.cancelable`)) definition.cancelable = false;
}

function readChildRules(definition: NodeDefinition, given: FieldsOf<typeof ELEMENT_FIELDS>, at: string): void {
  if (given.expected_bytes !== undefined && given.expected_items !== undefined) {
    throw invalid(`${at}.expected_items`, 'stands beside expected_bytes; give one of them');
  }
  const unit = given.expected_bytes === undefined ? 'items' : 'bytes';
  const expected = given.expected_bytes ?? given.expected_items;
  if (expected !== undefined) {
    definition.expected = readWhole(expected, `${at}.expected_${unit}`, 0, Number.MAX_SAFE_INTEGER);
    definition.unit = unit;
  }
  if (given.on_child_failure !== undefined) definition.onChildFailure = readOnChildFailure(given.on_child_failure, `${at}.on_child_failure`);
  if (given.max_concurrent_children !== undefined) {
    definition.maxChildren = readWhole(given.max_concurrent_children, `${at}.max_concurrent_children`, 1, 1_000_000);
  }
}

function readOnChildFailure(value: unknown, at: string): OnChildFailure {
  if (value === 'fail_fast' || value === 'wait_all') return value;
  const tolerated =
    typeof value === 'object' && value !== null && Object.keys(value).join() === 'tolerate' ? (value as { tolerate: unknown }).tolerate : undefined;
  if (isWhole(tolerated, 0, 1_000_000)) return tolerated as number;
  throw invalid(at, `must be "fail_fast", "wait_all" or { tolerate: <number of failures> }, not ${showValue(value)}`);
}

function readRetry(value: unknown, at: string): RetryPolicy {
  const given = readFields(value, at, RETRY_FIELDS);
  const retry: RetryPolicy = { ...DEFAULT_RETRY };
  if (given.retryable !== undefined) retry.retryable = readFlag(given.retryable, `${at}.retryable`);
  if (given.max_attempts !== undefined) retry.maxAttempts = readWhole(given.max_attempts, `${at}.max_attempts`, 0, 100);
  if (given.backoff !== undefined) {
    if (!BACKOFFS.includes(given.backoff as string)) throw invalid(`${at}.backoff`, `must be one of ${BACKOFFS.join(', ')}, not ${showValue(given.backoff)}`);
    retry.backoff = given.backoff as RetryPolicy['backoff'];
  }
  if (given.backoff_base_ms !== undefined) retry.baseMs = readWhole(given.backoff_base_ms, `${at}.backoff_base_ms`, 0, MAX_MS);
  if (given.max_backoff_ms !== undefined) retry.maxMs = readWhole(given.max_backoff_ms, `${at}.max_backoff_ms`, 0, MAX_MS);
  if (given.jitter !== undefined) {
    if (!(typeof given.jitter === 'number' && given.jitter >= 0 && given.jitter <= 1)) {
      throw invalid(`${at}.jitter`, `must be a number from 0 to 1, not ${showValue(given.jitter)}`);
    }
    retry.jitter = given.jitter;
  }
  return retry;
}

function readRef(value: unknown, at: string): ElementRef {
  if (typeof value === 'string') return { text: value, byName: false, required: true, type: undefined };
  const given = readFields(value, at, DEPENDENCY_FIELDS);
  const text = given.id ?? given.name;
  if (typeof text !== 'string') throw unknownReference(at, text);
  const name = given.id === undefined || given.name === undefined ? undefined : readText(given.name, `${at}.name`);
  const type = given.type === undefined || given.type === 'result' ? undefined : readText(given.type, `${at}.type`);
  const required = given.required === undefined || readFlag(given.required, `${at}.required`);
  return { text, byName: given.id === undefined, ...(name === undefined ? {} : { name }), required, type };
}

/** A dependency that stands for no element of the array, or for nothing at all. */
export const unknownReference = (at: string, text: unknown): TuttiError => invalid(at, `is ${showValue(text)}, not a valid id or name in the task array`);

function readText(value: unknown, at: string, max = MAX_TEXT): string {
  if (typeof value !== 'string' || value.length < 1 || value.length > max) {
    const what = typeof value === 'string' ? `a text of ${value.length}` : showValue(value);
    throw invalid(at, `must be text of 1 to ${max} characters, not ${what}`, { limit: max });
  }
  if (value.includes('\u0000') || !value.isWellFormed()) throw invalid(at, 'contains U+0000 or half of a surrogate pair, which cannot be kept');
  return value;
}

function readFlag(value: unknown, at: string): boolean {
  if (typeof value !== 'boolean') throw invalid(at, `must be true or false, not ${showValue(value)}`);
  return value;
}

function readWhole(value: unknown, at: string, low: number, high: number): number {
  if (!isWhole(value, low, high)) throw invalid(at, `must be a whole number from ${low} to ${high}, not ${showValue(value)}`);
  return value as number;
}

/** Milliseconds; 0: absent, or no limit. */
function readSeconds(value: unknown, at: string): number {
  if (value === undefined) return 0;
  if (!(typeof value === 'number' && value >= 0 && value <= MAX_SECONDS)) {
    throw invalid(at, `must be a number from 0 to ${MAX_SECONDS}, not ${showValue(value)}`);
  }
  return value === 0 ? 0 : Math.max(1, Math.round(value * 1000));
}

function readList(value: unknown, at: string): unknown[] {
  if (!Array.isArray(value)) throw invalid(at, `must be a list, not ${showValue(value)}`);
  return value as unknown[];
}

function plainObject(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(at, `must be an object, not ${showValue(value)}`);
  return value as Record<string, unknown>;
}

const isWhole = (value: unknown, low: number, high: number): boolean => Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high;

const invalid = (at: string, what: string, details?: Record<string, unknown>): TuttiError =>
  new TuttiError('INVALID_INPUT', `${at} ${what}`, { field: at, details });
