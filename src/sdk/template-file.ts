/**
 * Template files, YAML or JSON: schemas/template.json says the same for editors. A file is judged whole; the error of a bad one lists
 * every problem with file, line, step and field. Reading files is the caller's business.
 */
import { createRequire } from 'node:module';
import type { JsonObject, Lifecycle, TemplateDefinition } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import { checkTemplate } from '../core/template-rules.ts';
import type { InputValidator } from '../engine/facade.ts';
import { problemOfSchema, schemaValidator } from './input-schema.ts';
import { applyEnvironment, checkEnvironments } from './template-environments.ts';
import { readStep } from './template-file-step.ts';
import { describeFileProblem, FieldReader, type Fields } from './yaml-fields.ts';
import { readObject } from './yaml-object.ts';

export interface LoadedTemplate {
  definition: TemplateDefinition;
  /** Enforces `input_schema`; undefined: the file has none. */
  validate: InputValidator | undefined;
}

const TOP = [
  'name',
  'namespace_name',
  'namespace',
  'version',
  'description',
  'metadata',
  'input_schema',
  'system_dependencies',
  'steps',
  'environments',
  'lifecycle',
  'on_failure',
  'priority',
  'returns',
] as const;
const NOT_YET = ['domain_events', 'composition'];
const LIFECYCLE = [
  'max_duration_minutes',
  'max_waiting_for_dependencies_minutes',
  'max_waiting_for_retry_minutes',
  'max_steps_in_process_minutes',
  'staleness_action',
  'auto_fail_on_timeout',
  'auto_dlq_on_timeout',
] as const;
/** Problems spelt out in the message; all of them are in `details.problems`. */
const MAX_SHOWN = 25;

/**
 * The template in a file's text. `env`: which of its `environments` applies; an unknown one changes nothing.
 * Throws TuttiError INVALID_TEMPLATE; `details.problems` is a list of FileProblem.
 */
export function loadTemplateFile(text: string, fileName: string, env?: string): LoadedTemplate {
  // The package's entry exports this function, and few of its users read files.
  const { LineCounter, parseDocument } = createRequire(import.meta.url)('yaml') as typeof import('yaml');
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false, uniqueKeys: true });
  const reader = new FieldReader(fileName, doc, lines);
  for (const e of doc.errors) {
    reader.problems.push({ file: fileName, line: lines.linePos(e.pos[0]).line, field: 'file', message: `is not valid YAML or JSON: ${e.message}` });
  }
  const definition = reader.problems.length === 0 ? readTemplate(reader, plainValue(reader, doc), env) : undefined;
  if (definition === undefined || reader.problems.length > 0) throw invalid(fileName, reader);
  return { definition, validate: definition.inputSchema === undefined ? undefined : schemaValidator(definition.inputSchema) };
}

function plainValue(reader: FieldReader, doc: { toJS(): unknown }): unknown {
  try {
    return doc.toJS();
  } catch (e) {
    // Aliases that unfold to more than they say.
    reader.add([], `cannot be read: ${e instanceof Error ? e.message : String(e)}`);
    return undefined;
  }
}

function readTemplate(reader: FieldReader, value: unknown, env: string | undefined): TemplateDefinition | undefined {
  if (reader.problems.length > 0) return undefined;
  const top = reader.fields(value, [], TOP, undefined, NOT_YET);
  if (top === undefined) return undefined;
  const definition: TemplateDefinition = {
    namespace: readNamespace(reader, top),
    name: reader.text(top.name, ['name'], { max: 255 }) ?? '',
    version: reader.text(top.version, ['version'], { max: 100, hint: 'write it in quotes, such as "1.0.0"' }) ?? '',
    steps: [],
    policy: top.on_failure === undefined ? 'fail' : (reader.oneOf(top.on_failure, ['on_failure'], ['fail', 'fail_fast', 'block']) ?? 'fail'),
  };
  if (top.description !== undefined) definition.description = reader.text(top.description, ['description'], { empty: true });
  if (top.metadata !== undefined) definition.metadata = readObject(reader, top.metadata, ['metadata']);
  if (top.system_dependencies !== undefined) reader.fields(top.system_dependencies, ['system_dependencies'], ['primary', 'secondary']);
  if (top.input_schema !== undefined) definition.inputSchema = readInputSchema(reader, top.input_schema);
  if (top.priority !== undefined) definition.priority = reader.number(top.priority, ['priority'], { min: 0, max: 3 });
  if (top.returns !== undefined) definition.returns = readReturns(reader, top.returns);
  if (top.lifecycle !== undefined) readLifecycle(reader, top.lifecycle, definition);
  definition.steps = (top.steps === undefined ? [] : (reader.list(top.steps, ['steps']) ?? [])).map((step, no) => readStep(reader, step, no));
  checkEnvironments(reader, top.environments, new Set(definition.steps.map((s) => s.name)));
  if (reader.problems.length === 0 && env !== undefined) applyEnvironment(reader, top.environments, env, definition);
  addRules(reader, definition);
  return withoutUndefined(definition);
}

function readNamespace(reader: FieldReader, top: Fields): string {
  const key = top.namespace === undefined ? 'namespace_name' : 'namespace';
  if (top.namespace !== undefined && top.namespace_name !== undefined) reader.add(['namespace'], 'is the short form of namespace_name; give one of them');
  return top[key] === undefined ? 'default' : (reader.text(top[key], [key], { max: 29 }) ?? '');
}

function readInputSchema(reader: FieldReader, value: unknown): JsonObject | undefined {
  const schema = readObject(reader, value, ['input_schema']);
  if (schema === undefined) return undefined;
  const problem = problemOfSchema(schema);
  if (problem !== null) reader.add(['input_schema'], `is not a JSON Schema that can be used: ${problem}`);
  return schema;
}

function readReturns(reader: FieldReader, value: unknown): string | string[] | undefined {
  if (typeof value === 'string') return value;
  return reader.list(value, ['returns'])?.flatMap((name, i) => reader.text(name, ['returns', i]) ?? []);
}

function readLifecycle(reader: FieldReader, value: unknown, definition: TemplateDefinition): void {
  const given = reader.fields(value, ['lifecycle'], LIFECYCLE);
  if (given === undefined) return;
  const lifecycle: Lifecycle = {};
  const minutes = (key: (typeof LIFECYCLE)[number], max: number): number | undefined =>
    given[key] === undefined ? undefined : reader.number(given[key], ['lifecycle', key], { min: 1, max });
  const flag = (key: (typeof LIFECYCLE)[number]): boolean | undefined => (given[key] === undefined ? undefined : reader.flag(given[key], ['lifecycle', key]));
  lifecycle.maxDurationMinutes = minutes('max_duration_minutes', 43_200);
  lifecycle.maxWaitingForDependenciesMinutes = minutes('max_waiting_for_dependencies_minutes', 10_080);
  lifecycle.maxWaitingForRetryMinutes = minutes('max_waiting_for_retry_minutes', 10_080);
  lifecycle.maxStepsInProcessMinutes = minutes('max_steps_in_process_minutes', 10_080);
  if (given.staleness_action !== undefined) {
    lifecycle.stalenessAction = reader.oneOf(given.staleness_action, ['lifecycle', 'staleness_action'], ['dlq', 'error', 'none']);
  }
  lifecycle.autoFailOnTimeout = flag('auto_fail_on_timeout');
  lifecycle.autoDlqOnTimeout = flag('auto_dlq_on_timeout');
  definition.lifecycle = withoutUndefined(lifecycle);
  if (lifecycle.maxDurationMinutes !== undefined) definition.deadlineMs = lifecycle.maxDurationMinutes * 60_000;
}

/** Names in the file of what template-rules.ts calls by the definition's names. */
const FILE_NAMES: Record<string, string[]> = {
  maxAttempts: ['max_attempts'],
  baseMs: ['backoff_base_ms'],
  maxMs: ['max_backoff_ms'],
  timeoutMs: ['timeout_seconds'],
  heartbeatMs: ['heartbeat_seconds'],
  deadlineMs: ['lifecycle'],
  policy: ['on_failure'],
  namespace: ['namespace', 'namespace_name'],
  dependencies: ['dependencies', 'depends_on'],
  type: ['type', 'step_type'],
  batch: ['batch_config'],
  workerTemplate: ['worker_template'],
  onChildFailure: ['on_child_failure'],
  maxChildren: ['max_concurrent_children'],
};

/** The rules of every template, told in the file's words; a field that is already found wrong is not found wrong again. */
function addRules(reader: FieldReader, definition: TemplateDefinition): void {
  for (const p of checkTemplate(definition)) {
    const path: (string | number)[] = [];
    for (const [part] of p.path.matchAll(/[^.[\]]+/g)) {
      const names = FILE_NAMES[part] ?? [part];
      path.push(/^\d+$/.test(part) ? Number(part) : (names.find((name) => reader.has([...path, name])) ?? names[0]));
    }
    if (!reader.noted(path)) reader.add(path, p.message, p.step);
  }
}

function invalid(fileName: string, reader: FieldReader): TuttiError {
  const problems = reader.problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
  const shown = problems.slice(0, MAX_SHOWN).map(describeFileProblem);
  if (problems.length > MAX_SHOWN) shown.push(`${fileName}: and ${problems.length - MAX_SHOWN} more`);
  return new TuttiError('INVALID_TEMPLATE', shown.join('\n'), { field: problems[0]?.field, details: { problems } });
}

/** Optional fields are absent, not undefined, so that equal graphs have equal JSON. */
function withoutUndefined<T extends object>(value: T): T {
  for (const key of Object.keys(value) as (keyof T)[]) if (value[key] === undefined) delete value[key];
  return value;
}
