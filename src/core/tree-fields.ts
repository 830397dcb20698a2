/**
 * The fields of a tree element. Each may also be written in camelCase. What a view of a step carries beyond them is known too and
 * left out, so that the preview of a copy, or what was read from a task, can be submitted as it is.
 */
import { TuttiError } from './errors.ts';
import { nearestName } from './nearest-name.ts';

const ELEMENT = [
  'id',
  'name',
  'parent_id',
  'dependencies',
  'priority',
  'inputs',
  'params',
  'schemas',
  'handler',
  'user_id',
  'tied',
  'children',
  'expected_bytes',
  'expected_items',
  'retry',
  'timeout_seconds',
  'heartbeat_seconds',
  'allow_failure',
  'cancelable',
  'on_child_failure',
  'max_concurrent_children',
  'key',
] as const;

const RUNTIME = [
  'status',
  'state',
  'current_state',
  'base_state',
  'reason',
  'result',
  'results',
  'error',
  'progress',
  'created_at',
  'updated_at',
  'started_at',
  'completed_at',
  'has_children',
  'has_references',
  'needs_reexecution',
  'origin_type',
  'original_task_id',
  'origin',
  'task_id',
  'task_uuid',
  'task_tree_id',
  'step_id',
  'step_uuid',
  'attempts',
  'last_failure_at',
  'last_attempted_at',
  'next_retry_at',
  'dependencies_satisfied',
  'retry_eligible',
  'ready_for_execution',
  'total_parents',
  'completed_parents',
  'stopping',
  'checkpoint',
] as const;

const DEPENDENCY = ['id', 'name', 'required', 'type'] as const;
const RETRY = ['retryable', 'max_attempts', 'backoff', 'backoff_base_ms', 'max_backoff_ms', 'jitter'] as const;

/** Null: known and left out. */
type Fields<F extends string> = ReadonlyMap<string, F | null>;

const camelCase = (name: string): string => name.replace(/_(.)/g, (_, c: string) => c.toUpperCase());

function fieldMap<F extends string>(known: readonly F[], ignored: readonly string[] = [], more: Record<string, F> = {}): Fields<F> {
  const map = new Map<string, F | null>();
  for (const name of ignored) map.set(name, null).set(camelCase(name), null);
  for (const name of known) map.set(name, name).set(camelCase(name), name);
  for (const [name, field] of Object.entries(more)) map.set(name, field);
  return map;
}

export const ELEMENT_FIELDS = fieldMap(ELEMENT, RUNTIME);
export const DEPENDENCY_FIELDS = fieldMap(DEPENDENCY, RUNTIME);
/** As in a template file; `baseMs` and `maxMs` as in the builder. */
export const RETRY_FIELDS = fieldMap(RETRY, [], { baseMs: 'backoff_base_ms', maxMs: 'max_backoff_ms' });

export type FieldsOf<M> = M extends Fields<infer F> ? { [K in F]?: unknown } : never;

/** A name longer than this is no slip of the pen, and not worth comparing with the known ones. */
const MAX_GUESSED_NAME = 64;

/**
 * The known fields of an object under their own names; null and undefined are left out, as if the field were absent. `at` is the
 * object's path. Throws TuttiError INVALID_INPUT: not an object, an unknown field, or one field under both its names.
 */
export function readFields<F extends string>(value: unknown, at: string, fields: Fields<F>): { [K in F]?: unknown } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TuttiError('INVALID_INPUT', `${at} must be an object`, { field: at });
  }
  const found: { [K in F]?: unknown } = {};
  for (const name of Object.keys(value)) {
    const field = fields.get(name);
    if (field === null) continue;
    if (field === undefined) throw unknownField(name, at, fields);
    const given = (value as Record<string, unknown>)[name];
    if (given === undefined || given === null) continue;
    if (found[field] !== undefined) throw new TuttiError('INVALID_INPUT', `${at}.${name} says ${field} a second time`, { field: `${at}.${name}` });
    found[field] = given;
  }
  return found;
}

function unknownField<F extends string>(name: string, at: string, fields: Fields<F>): TuttiError {
  const known = [...new Set(fields.values())].filter((f) => f !== null);
  const near = name.length > MAX_GUESSED_NAME ? null : nearestName(name, known);
  const shown = JSON.stringify(name.slice(0, MAX_GUESSED_NAME));
  return new TuttiError(
    'INVALID_INPUT',
    `${at} has an unknown field ${shown}${near === null ? `; known are ${known.join(', ')}` : `; did you mean ${near}?`}`,
    {
      field: `${at}.${name.slice(0, MAX_GUESSED_NAME)}`,
    },
  );
}
