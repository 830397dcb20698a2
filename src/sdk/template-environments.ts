/** `environments` of a template file: per environment, what its steps do differently. */
import type { JsonObject, TemplateDefinition } from '../core/definition.ts';
import { readRetry, readSeconds } from './template-file-step.ts';
import type { FieldPath, FieldReader, Fields } from './yaml-fields.ts';
import { readObject } from './yaml-object.ts';

const OVERRIDE = ['name', 'handler', 'timeout_seconds', 'retry'] as const;
/** An override of this name holds for every step. */
const ALL = 'ALL';

/** Notes every problem of every environment: the one that is not used today is used in production. */
export function checkEnvironments(reader: FieldReader, value: unknown, stepNames: ReadonlySet<string>): void {
  for (const { at, override } of overridesOf(reader, value)) {
    const name = reader.text(override.name, [...at, 'name']);
    if (name !== undefined && name !== ALL && !stepNames.has(name)) reader.add([...at, 'name'], `${JSON.stringify(name)} is no step of this template, nor ALL`);
    readOverride(reader, override, at);
  }
}

/** Overrides in the order listed, the later on top: initialization key by key, timeout and retry as a whole. */
export function applyEnvironment(reader: FieldReader, value: unknown, env: string, definition: TemplateDefinition): void {
  for (const { at, override } of overridesOf(reader, value, env)) {
    const change = readOverride(reader, override, at);
    for (const step of definition.steps) {
      if (override.name !== ALL && override.name !== step.name) continue;
      if (change.initialization !== undefined) step.initialization = { ...step.initialization, ...change.initialization };
      if (change.retry !== undefined) step.retry = change.retry;
      if (override.timeout_seconds !== undefined) {
        if (change.timeoutMs === undefined) delete step.timeoutMs;
        else step.timeoutMs = change.timeoutMs;
      }
    }
  }
}

interface Override {
  initialization?: JsonObject;
  timeoutMs?: number;
  retry?: ReturnType<typeof readRetry>;
}

function readOverride(reader: FieldReader, override: Fields, at: FieldPath): Override {
  const change: Override = {};
  if (override.handler !== undefined) {
    const handler = reader.fields(override.handler, [...at, 'handler'], ['initialization']);
    if (handler?.initialization !== undefined) change.initialization = readObject(reader, handler.initialization, [...at, 'handler', 'initialization']);
  }
  if (override.timeout_seconds !== undefined) change.timeoutMs = readSeconds(reader, override.timeout_seconds, [...at, 'timeout_seconds'], undefined);
  if (override.retry !== undefined) change.retry = readRetry(reader, override.retry, [...at, 'retry'], undefined);
  return change;
}

function* overridesOf(reader: FieldReader, value: unknown, only?: string): Generator<{ at: FieldPath; override: Fields }> {
  if (value === undefined) return;
  const environments = fieldsOf(reader, value, ['environments']);
  for (const env of only === undefined ? Object.keys(environments ?? {}) : [only]) {
    if (environments === undefined || !Object.hasOwn(environments, env)) continue;
    const body = reader.fields(environments[env], ['environments', env], ['steps']);
    if (body?.steps === undefined) continue;
    const list = reader.list(body.steps, ['environments', env, 'steps']) ?? [];
    for (const [i, entry] of list.entries()) {
      const at = ['environments', env, 'steps', i];
      const override = reader.fields(entry, at, OVERRIDE);
      if (override !== undefined) yield { at, override };
    }
  }
}

/** Names of environments are free. */
function fieldsOf(reader: FieldReader, value: unknown, path: FieldPath): Fields | undefined {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  reader.add(path, 'must be a mapping from environment to its overrides');
  return undefined;
}
