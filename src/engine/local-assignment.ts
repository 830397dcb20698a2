import type { Start } from '../core/decisions.ts';
import type { JsonObject } from '../core/definition.ts';
import type { TaskGraph } from '../core/graph.ts';
import type { StepRules } from '../core/shape.ts';
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
  readonly phase = 'run';
  readonly attempt: number;
  readonly input: string;
  readonly results: Assignment['results'];
  readonly checkpoint: string | null;
  readonly deadlineAt: number | null;
  readonly #names: AssignmentNames;
  readonly #graph: TaskGraph;
  readonly #rules: StepRules;

  constructor(names: AssignmentNames, s: Start, values: { input: string; results: Assignment['results']; checkpoint: string | null }) {
    const g = s.graph;
    this.#names = names;
    this.#graph = g;
    this.#rules = g.shape.rules[s.no];
    this.task = g.id;
    this.no = s.no;
    this.token = s.token;
    this.attempt = g.attempts[s.no];
    this.input = values.input;
    this.results = values.results;
    this.checkpoint = values.checkpoint;
    const { timeoutMs } = this.#rules;
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
    const { depStart } = this.#graph.shape;
    return depStart[this.no + 1] - depStart[this.no];
  }

  get mergedInputs(): boolean {
    return this.#rules.mergedInputs;
  }
}

const DEPENDENCIES = new WeakMap<object, { name: string; required: boolean }[][]>();

/** Declared dependencies of a step; shared by all tasks of its shape. */
export function dependenciesOf(g: TaskGraph, no: number): { name: string; required: boolean }[] {
  let all = DEPENDENCIES.get(g.shape);
  if (all === undefined) DEPENDENCIES.set(g.shape, (all = []));
  const known = all[no];
  if (known !== undefined) return known;
  const { depStart, deps, depRequired, names } = g.shape;
  const list: { name: string; required: boolean }[] = [];
  for (let e = depStart[no]; e < depStart[no + 1]; e++) list.push({ name: names[deps[e]], required: depRequired[e] === 1 });
  all[no] = list;
  return list;
}
