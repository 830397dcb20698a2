import { NO_BATCH } from '../core/batches.ts';
import type { Start } from '../core/decisions.ts';
import type { JsonObject } from '../core/definition.ts';
import type { TaskGraph } from '../core/graph.ts';
import { ABORT_MS, PHASES } from '../core/phases.ts';
import { type StepRules, edgeRequired, edgeStep } from '../core/shape.ts';
import { isAbsent } from '../core/step-states.ts';
import { keyOf } from '../core/nodes.ts';
import type { Assignment } from './worker-port.ts';

export interface TemplateName {
  namespace: string;
  name: string;
  version: string;
}

export interface AssignmentNames {
  now: () => number;
  taskUuid: (task: number) => string;
  stepUuid: (task: number, no: number) => string;
  templateName: (g: TaskGraph) => TemplateName;
}

/** An assignment inside one process: what few handlers look at is computed when they do. */
export class LocalAssignment implements Assignment {
  readonly task: number;
  readonly no: number;
  readonly token: number;
  readonly phase: Assignment['phase'];
  readonly own: string | null;
  readonly attempt: number;
  readonly input: string;
  readonly results: Assignment['results'];
  readonly checkpoint: string | null;
  readonly deadlineAt: number | null;
  readonly #names: AssignmentNames;
  readonly #graph: TaskGraph;
  readonly #rules: StepRules;

  constructor(names: AssignmentNames, s: Start, values: { input: string; results: Assignment['results']; checkpoint: string | null; own: string | null }) {
    const g = s.graph;
    this.#names = names;
    this.#graph = g;
    this.#rules = g.shape.rules[s.no];
    this.task = g.id;
    this.no = s.no;
    this.token = s.token;
    // The step may have been decided about while its inputs were read: what began is in the start.
    const { phase } = s;
    this.phase = PHASES[phase];
    this.attempt = phase === 0 ? g.attempts[s.no] : Math.max(1, g.phaseAttempts.get(s.no) ?? 1);
    this.own = values.own;
    this.input = values.input;
    this.results = values.results;
    this.checkpoint = values.checkpoint;
    const timeoutMs = phase === 2 ? ABORT_MS : this.#rules.timeoutMs;
    this.deadlineAt = timeoutMs > 0 ? (g.live.get(s.no)?.startedAt ?? names.now()) + timeoutMs : null;
  }

  get taskId(): string {
    return this.#names.taskUuid(this.task);
  }

  get stepId(): string {
    return this.#names.stepUuid(this.task, this.no);
  }

  get stepName(): string {
    return this.#graph.shape.names[this.no];
  }

  get template(): TemplateName {
    return this.#names.templateName(this.#graph);
  }

  get correlationId(): string | null {
    return this.#graph.correlationId ?? this.taskId;
  }

  get handler(): string {
    return this.#rules.handler;
  }

  get method(): string | undefined {
    return this.#rules.method;
  }

  get config(): JsonObject | undefined {
    return this.#rules.config;
  }

  get maxAttempts(): number {
    return Math.max(1, this.#rules.retry.maxAttempts);
  }

  get createdAt(): number {
    return this.#graph.createdAt;
  }

  get dependencies(): { name: string; required: boolean }[] {
    return dependenciesOf(this.#graph, this.no);
  }

  get dependencyCount(): number {
    return this.#graph.shape.deps[this.no].length;
  }

  get dependencyIds(): string[] {
    return this.#graph.shape.deps[this.no].map((e) => this.#graph.shape.facts(edgeStep(e))?.id ?? this.#names.stepUuid(this.task, edgeStep(e)));
  }

  get batches(): Assignment['batches'] {
    return batchesOf(this.#graph, this.no);
  }

  get inputSchema(): JsonObject | undefined {
    return this.#rules.inputSchema;
  }

  get reason(): string | null {
    return this.phase === 'abort' ? (this.#graph.reasonOf(this.no) ?? 'failed') : null;
  }

  get key(): string | null {
    return keyOf(this.#graph, this.no);
  }

  get childCount(): number {
    return this.#graph.shape.children(this.no).length;
  }

  get mergedInputs(): boolean {
    return this.#rules.mergedInputs;
  }
}

/** Workers that stand for the batch workers a step depends on; undefined: it depends on none. */
function batchesOf(g: TaskGraph, no: number): Assignment['batches'] {
  const { base, deps, names, types } = g.shape;
  if (g.shape.initial === null) return undefined;
  const nos = deps[no].map(edgeStep);
  const patterns = nos.filter((dep) => types[dep] === 'batch_worker');
  if (patterns.length === 0) return undefined;
  return patterns.flatMap((pattern) => {
    const batchable = deps[pattern].map(edgeStep).find((dep) => g.shape.batch(dep)?.workerTemplate === names[pattern]);
    // A batch in a branch that was not chosen has no results, not even an empty list.
    if (batchable === undefined || isAbsent(g.state[batchable])) return [];
    const placeholder = `${names[pattern]}_${NO_BATCH}`;
    const workers = nos.filter((dep) => dep >= base && names[dep] !== placeholder && deps[dep].some((e) => edgeStep(e) === batchable));
    return [{ name: names[pattern], workers: workers.map((dep) => names[dep]) }];
  });
}

const DEPENDENCIES = new WeakMap<object, { name: string; required: boolean }[][]>();

/** Declared dependencies of a step; shared by all tasks of its shape. */
export function dependenciesOf(g: TaskGraph, no: number): { name: string; required: boolean }[] {
  // A shape that grows may give a step more dependencies.
  if (g.shape.base < g.shape.size) return listOf(g, no);
  let all = DEPENDENCIES.get(g.shape);
  if (all === undefined) DEPENDENCIES.set(g.shape, (all = []));
  const known = all[no];
  if (known !== undefined) return known;
  all[no] = listOf(g, no);
  return all[no];
}

const listOf = (g: TaskGraph, no: number): { name: string; required: boolean }[] =>
  g.shape.deps[no].map((e) => ({ name: g.shape.names[edgeStep(e)], required: edgeRequired(e) }));
