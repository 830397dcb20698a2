/**
 * The compiled form of a graph: names, rules and edges by step number. All tasks of a template share one shape; a task that grows
 * (spawned children, added steps, batch workers) takes a copy of its own first, and only that copy is ever changed.
 */
import type { FailurePolicy, JsonObject, RetryPolicy, StepDefinition, TemplateDefinition } from './definition.ts';
import { initialSteps } from './branches.ts';
import type { NodeDefinition, OnChildFailure } from './node.ts';
import { DEFAULT_RETRY } from './definition.ts';

/** What holds for a step, whatever task it is in. */
export interface StepRules {
  readonly type: StepDefinition['type'];
  /** Empty: a folder, which completes by itself. */
  readonly handler: string;
  readonly method: string | undefined;
  readonly config: JsonObject | undefined;
  /** -1: the parent's, else the task's. */
  readonly priority: number;
  readonly retry: RetryPolicy;
  /** 0: none. */
  readonly timeoutMs: number;
  /** 0: none. */
  readonly heartbeatMs: number;
  readonly allowFailure: boolean;
  readonly cancelable: boolean;
  readonly mergedInputs: boolean;
  readonly onChildFailure: OnChildFailure;
  /** 0: no limit of its own. */
  readonly maxChildren: number;
  readonly inputSchema: JsonObject | undefined;
}

/** What is kept in memory of a step that no template defines. */
export interface NodeFacts {
  readonly id: string | null;
  /** Among its parent's children: `k` and its key, or `p` and its position; null: it was not spawned. */
  readonly spawnKey: string | null;
  readonly hash: number;
  /** Token of the parent's attempt that asked for it last; 0: it came with a submission. */
  asked: number;
  readonly expected: number;
  readonly unit: 'bytes' | 'items';
  /** It stands for a step of another task, whose result is its own. */
  readonly link: { task: number; no: number; token: number } | null;
}

/** An edge as seen from either end: the other step's number, twice, plus one if the dependency is required. */
export type Edge = number;
export const edgeTo = (no: number, required: boolean): Edge => no * 2 + (required ? 1 : 0);
export const edgeStep = (e: Edge): number => e >> 1;
export const edgeRequired = (e: Edge): boolean => (e & 1) === 1;

const NO_EDGES: Edge[] = [];
const NO_CHILDREN: readonly number[] = [];
/** A join of more dependencies than this reads them from the store: keeping 100,000 results for one reader only feeds the collector. */
const WIDE = 256;

export interface ShapeHead {
  policy: FailurePolicy;
  priority: number | undefined;
  deadlineMs: number;
  returns: string | readonly string[] | undefined;
}

export class Shape {
  readonly policy: FailurePolicy;
  readonly priority: number | undefined;
  readonly deadlineMs: number;
  readonly returns: string | readonly string[] | undefined;
  readonly names: string[] = [];
  readonly rules: StepRules[] = [];
  readonly types: StepDefinition['type'][] = [];
  /** Dependencies of each step, in declared order. */
  readonly deps: Edge[][] = [];
  /** Dependants of each step. */
  readonly outs: Edge[][] = [];
  /** 1: its result is worth keeping in memory, since a dependant of few dependencies will want it at once, or the task's result is made of it. */
  readonly wanted: number[] = [];
  /** First step with each name. */
  readonly numberOf: Map<string, number>;
  /** Parent of each step, -1: none. Empty while no step has one. */
  #parents: number[] = [];
  #tied: number[] = [];
  readonly #children = new Map<number, number[]>();
  readonly #facts = new Map<number, NodeFacts>();
  readonly #byId = new Map<string, number>();
  /** Equal rules are one object: 100,000 children of one handler share theirs. */
  readonly #shared = new Map<string, StepRules>();
  /** Steps of the template; those from here on are nodes. */
  readonly base: number;
  /** Which template steps exist from the start; null: all. */
  readonly initial: readonly boolean[] | null;
  readonly definition: TemplateDefinition | null;
  #leaves: readonly number[] | null = null;

  constructor(head: ShapeHead, from: Shape | TemplateDefinition | null) {
    this.policy = head.policy;
    this.priority = head.priority;
    this.deadlineMs = head.deadlineMs;
    this.returns = head.returns;
    if (from instanceof Shape) {
      this.base = from.base;
      this.initial = from.initial;
      this.definition = from.definition;
      this.names = [...from.names];
      this.rules = [...from.rules];
      this.types = [...from.types];
      this.deps = from.deps.map((d) => (d.length === 0 ? NO_EDGES : [...d]));
      this.outs = from.outs.map((o) => (o.length === 0 ? NO_EDGES : [...o]));
      this.wanted = [...from.wanted];
      this.numberOf = new Map(from.numberOf);
      return;
    }
    this.numberOf = new Map();
    this.base = from?.steps.length ?? 0;
    this.definition = from;
    if (from !== null) {
      for (const step of from.steps) this.#append(step.name, rulesOf(step));
      from.steps.forEach((step, no) => {
        for (const d of step.dependencies) {
          const dep = this.numberOf.get(d.name);
          if (dep === undefined) throw new Error(`step ${step.name}: unknown dependency ${d.name}`);
          this.#later(no, dep, d.required);
        }
      });
      this.#linkAll();
    }
    this.initial = from === null || from.steps.every((s) => s.type === 'standard') ? null : initialSteps(this);
  }

  get size(): number {
    return this.names.length;
  }

  parent(no: number): number {
    return this.#parents[no] ?? -1;
  }

  isTied(no: number): boolean {
    return this.#tied[no] === 1;
  }

  /** Filed under it, tied or not, in the order they came. */
  children(no: number): readonly number[] {
    return this.#children.get(no) ?? NO_CHILDREN;
  }

  get hasParents(): boolean {
    return this.#children.size > 0;
  }

  *parents(): IterableIterator<number> {
    yield* this.#children.keys();
  }

  facts(no: number): NodeFacts | undefined {
    return this.#facts.get(no);
  }

  /** By supplied id. */
  byId(id: string): number | undefined {
    return this.#byId.get(id);
  }

  /** Steps without dependencies that exist from the start. */
  get roots(): number[] {
    const roots: number[] = [];
    for (let no = 0; no < this.size; no++) if (this.deps[no].length === 0 && this.exists(no)) roots.push(no);
    return roots;
  }

  /** Does the step exist from the start? Nodes do, once they are added. */
  exists(no: number): boolean {
    return this.initial === null || no >= this.base || this.initial[no];
  }

  /** Steps nobody depends on and that are nobody's tied children. */
  get leaves(): readonly number[] {
    if (this.#leaves === null) {
      const leaves: number[] = [];
      for (let no = 0; no < this.size; no++) if (this.outs[no].length === 0 && !this.isTied(no)) leaves.push(no);
      this.#leaves = leaves;
    }
    return this.#leaves;
  }

  branches(no: number): Record<string, string[]> | undefined {
    return this.definition?.steps[no]?.branches;
  }

  batch(no: number): StepDefinition['batch'] {
    return this.definition?.steps[no]?.batch;
  }

  /** Settings of the batch whose workers follow this template step. */
  batchOf(template: number): StepDefinition['batch'] {
    for (const e of this.deps[template] ?? []) if (this.types[edgeStep(e)] === 'batchable') return this.batch(edgeStep(e));
    return undefined;
  }

  /** The step whose limit on running children holds for this one, or -1. */
  limitedBy(no: number): number {
    return this.isTied(no) || (this.types[no] === 'batch_worker' && no >= this.base) ? this.parent(no) : -1;
  }

  /** A copy that may grow. */
  fork(): Shape {
    return new Shape(this, this);
  }

  /** Adds a node. Its parent and dependencies are there already, or are added before anything is decided about it. */
  add(def: NodeDefinition, asked: number): number {
    const no = this.#append(def.name, this.#rulesOfNode(def));
    if (def.parent !== undefined) {
      while (this.#parents.length < no) this.#parents.push(-1);
      while (this.#tied.length < no) this.#tied.push(0);
      this.#parents[no] = def.parent;
      this.#tied[no] = def.tied === true ? 1 : 0;
      const siblings = this.#children.get(def.parent);
      if (siblings === undefined) this.#children.set(def.parent, [no]);
      else siblings.push(no);
    }
    const spawnKey = def.key !== undefined ? `k${def.key}` : def.position === undefined ? null : `p${def.position}`;
    if (def.id !== undefined || spawnKey !== null || def.expected !== undefined || def.origin?.type === 'link') {
      this.#facts.set(no, {
        id: def.id ?? null,
        spawnKey,
        hash: def.hash ?? 0,
        asked,
        expected: def.expected ?? 0,
        unit: def.unit ?? 'bytes',
        link: def.origin?.type === 'link' ? { task: def.origin.task, no: def.origin.no, token: def.origin.token ?? 0 } : null,
      });
    }
    if (def.id !== undefined) this.#byId.set(def.id, no);
    for (const [dep, required] of def.deps ?? []) this.connect(no, dep, required);
    // What waits for the workers of a batch waits for each of them; unless one that fails is to be borne.
    if (def.of !== undefined) {
      const bears = this.batchOf(def.of)?.failureStrategy === 'continue_on_failure';
      for (const e of [...this.outs[def.of]]) this.connect(edgeStep(e), no, edgeRequired(e) && !bears);
    }
    return no;
  }

  /** `no` waits for `dep` as well. */
  connect(no: number, dep: number, required: boolean): void {
    this.#later(no, dep, required);
    while (this.outs.length <= dep) this.outs.push(NO_EDGES);
    if (this.outs[dep] === NO_EDGES) this.outs[dep] = [];
    this.outs[dep].push(edgeTo(no, required));
    this.#leaves = null;
    if (this.deps[no].length <= WIDE) this.wanted[dep] = 1;
  }

  #append(name: string, rules: StepRules): number {
    const no = this.names.length;
    this.names.push(name);
    this.rules.push(rules);
    this.types.push(rules.type);
    this.deps.push(NO_EDGES);
    if (this.outs.length <= no) this.outs.push(NO_EDGES);
    this.wanted[no] ??= 1;
    if (!this.numberOf.has(name)) this.numberOf.set(name, no);
    this.#leaves = null;
    return no;
  }

  #later(no: number, dep: number, required: boolean): void {
    if (this.deps[no] === NO_EDGES) this.deps[no] = [];
    this.deps[no].push(edgeTo(dep, required));
  }

  /** Dependants from dependencies, for a template: linear, and each list in the order of the steps. */
  #linkAll(): void {
    for (let no = 0; no < this.size; no++) {
      for (const e of this.deps[no]) {
        const dep = edgeStep(e);
        if (this.outs[dep] === NO_EDGES) this.outs[dep] = [];
        this.outs[dep].push(edgeTo(no, edgeRequired(e)));
      }
    }
    for (let no = 0; no < this.size; no++) this.wanted[no] = this.outs[no].length === 0 ? 1 : 0;
    for (let no = 0; no < this.size; no++) if (this.deps[no].length <= WIDE) for (const e of this.deps[no]) this.wanted[edgeStep(e)] = 1;
  }

  #rulesOfNode(def: NodeDefinition): StepRules {
    const like = def.of === undefined ? undefined : this.rules[def.of];
    const own = [
      def.of,
      def.handler,
      def.method,
      def.params,
      def.priority,
      def.retry,
      def.timeoutMs,
      def.heartbeatMs,
      def.allowFailure,
      def.cancelable,
      def.inputSchema,
      def.onChildFailure,
      def.maxChildren,
    ];
    // Every worker of a batch has a cursor of its own: there is nothing to share.
    const key = like === undefined ? JSON.stringify(own) : null;
    let rules = key === null ? undefined : this.#shared.get(key);
    if (rules === undefined) {
      rules = {
        type: like === undefined ? 'standard' : 'batch_worker',
        handler: def.handler,
        method: def.method ?? like?.method,
        config: def.params ?? like?.config,
        priority: def.priority ?? like?.priority ?? -1,
        retry: def.retry ?? like?.retry ?? DEFAULT_RETRY,
        timeoutMs: def.timeoutMs ?? like?.timeoutMs ?? 0,
        heartbeatMs: def.heartbeatMs ?? like?.heartbeatMs ?? 0,
        allowFailure: def.allowFailure ?? like?.allowFailure ?? false,
        cancelable: def.cancelable ?? like?.cancelable ?? true,
        mergedInputs: like?.mergedInputs ?? true,
        onChildFailure: def.onChildFailure ?? like?.onChildFailure ?? 'fail_fast',
        maxChildren: def.maxChildren ?? like?.maxChildren ?? 0,
        inputSchema: def.inputSchema,
      };
      // What is different in every node is not worth remembering.
      if (key !== null && this.#shared.size < 1000) this.#shared.set(key, rules);
    }
    return rules;
  }
}

const rulesOf = (s: StepDefinition): StepRules => ({
  type: s.type,
  handler: s.handler,
  method: s.method,
  config: s.initialization,
  priority: s.priority ?? -1,
  retry: s.retry,
  timeoutMs: s.timeoutMs ?? 0,
  heartbeatMs: s.heartbeatMs ?? 0,
  allowFailure: s.allowFailure ?? false,
  cancelable: s.cancelable ?? true,
  mergedInputs: s.mergedInputs ?? false,
  onChildFailure: s.onChildFailure ?? 'fail_fast',
  maxChildren: s.batch?.parallelism ?? s.maxChildren ?? 0,
  inputSchema: undefined,
});

/** Compiles a definition that template-rules.ts has found valid. */
export const compileShape = (def: TemplateDefinition): Shape =>
  new Shape({ policy: def.policy, priority: def.priority, deadlineMs: def.deadlineMs ?? 0, returns: def.returns }, def);

/** The beginning of an ad hoc tree: no steps yet. `returns`: names of steps it will have, of the copy of a template's task. */
export const emptyShape = (policy: FailurePolicy, deadlineMs = 0, returns?: ShapeHead['returns']): Shape =>
  new Shape({ policy, priority: undefined, deadlineMs, returns }, null);
