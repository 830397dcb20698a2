/**
 * The rules of ad hoc trees (spec/apflow.md §2.3). Elements come one by one, so that a tree of 100,000 is never one JSON document:
 * `add` checks what an element says of itself and keeps no more than its definition, the text of its inputs and the names it refers
 * to; `finish` finds out whom they mean and looks at the whole. Linear in elements and dependencies.
 */
import type { JsonObject } from './definition.ts';
import { ElementSchemas } from './element-schemas.ts';
import { TuttiError } from './errors.ts';
import type { NodeDefinition, StepDefaults } from './node.ts';
import { type ElementRef, type ReadElement, readElement, unknownReference } from './tree-element.ts';
import { type Edges, parentDepths, strayRoot, waitCycle } from './tree-order.ts';
import { showValue } from './show-value.ts';
import type { ContextLimits } from './values.ts';

/** Elements that may stand above one another, the element itself not counted. */
export const MAX_PARENT_DEPTH = 100;
/** Dependencies per element, over the whole tree. */
export const MAX_EDGES_PER_STEP = 10;
/** A tree with fewer dependencies than this may be as dense as it likes. */
const FREE_EDGES = 1000;
/** Elements whose dependencies are looked up between two pauses of `finishing`. */
const SLICE = 8192;

/** The steps of a task that the array is added to; its elements may name them as parents and dependencies. */
export interface ExistingSteps {
  /** Numbers of the new elements follow from here. */
  size: number;
  /** By id, supplied or generated. */
  byId(text: string): number | undefined;
  byName(text: string): number | undefined;
  /** How many steps stand above it. */
  depth(no: number): number;
  /** The task's owner. */
  userId: string | undefined;
}

export interface TreeBuilderOptions {
  hasHandler(name: string): boolean;
  /** The registered handler that a person who wrote `name` most likely meant. */
  nearest?(name: string): string | null;
  /** What the handler brings along: kept with the element where that leaves it out, so that it holds whatever the handler says later. */
  defaultsOf?(handler: string): StepDefaults | undefined;
  /** What is wrong with an `input_schema`; null: nothing. Absent: nobody can tell. */
  schemaProblem?(schema: JsonObject): string | null;
  /** Of the inputs and params of one element. Default: those of a task's input. */
  limits?: Omit<ContextLimits, 'name'>;
  /** Elements in all, children included. */
  maxElements: number;
  /** Handlers may be registered elsewhere: one that is named is taken as it is. Default false. */
  openToWorkers?: boolean;
  /** Absent: the array is a task of its own. */
  existing?: ExistingSteps;
}

export interface TreePlan {
  /** In the order of submission, children right after their parent; the number of a node is its place here, behind the existing steps. */
  nodes: { definition: NodeDefinition /** JSON text. */; inputs: string }[];
  /** Numbers of the nodes without a parent, ascending. */
  roots: number[];
  /** The ids that were supplied. */
  ids: Map<string, number>;
  /** The owner, where an element names one. */
  userId: string | undefined;
}

export class TreeBuilder {
  readonly #options: TreeBuilderOptions;
  readonly #nodes: TreePlan['nodes'] = [];
  readonly #ids = new Map<string, number>();
  readonly #names = new Map<string, number>();
  /** Number of the parent, or the name that stands for it. */
  readonly #parentRefs: (number | string | undefined)[] = [];
  readonly #refs = new Map<number, ElementRef[]>();
  /** Where each was written: the element whose `children` it stands in (-1: the array itself), and its place there. */
  readonly #within: number[] = [];
  readonly #place: number[] = [];
  /** How many `children` lists it stands in. */
  readonly #nesting: number[] = [];
  /** The existing steps that elements are filed under. */
  readonly #filedUnder = new Map<number, number>();
  readonly #base: number;
  #added = 0;
  #entries = 0;
  #edges = 0;
  #userId: string | undefined;
  readonly #schemas: ElementSchemas;
  /** Characters of the inputs so far. */
  inputSize = 0;

  constructor(options: TreeBuilderOptions) {
    this.#options = options;
    this.#schemas = new ElementSchemas((schema) => options.schemaProblem?.(schema) ?? null);
    this.#base = options.existing?.size ?? 0;
    this.#userId = options.existing?.userId;
  }

  /** How many elements there are so far, children included. */
  get size(): number {
    return this.#nodes.length;
  }

  /**
   * Takes the next element of the array. Throws TuttiError INVALID_INPUT, UNSTORABLE_VALUE or UNKNOWN_HANDLER, `field` naming the
   * place (`[3].dependencies[0]`); the builder is of no use afterwards.
   */
  add(element: unknown): void {
    // Children are taken in written order, each with all that stands below it, before the next.
    const open = [{ element, within: -1, place: this.#added++ }];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { no, children } = this.#take(next.element, next.within, next.place);
      for (let i = children.length - 1; i >= 0; i--) open.push({ element: children[i], within: no, place: i });
    }
  }

  /** Looks at the whole. Throws TuttiError INVALID_INPUT; see `add`. */
  finish(): TreePlan {
    const steps = this.finishing();
    for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value;
  }

  /** The same in slices of a few milliseconds each, for callers that share their thread: between two they may do other things. */
  *finishing(): Generator<void, TreePlan> {
    if (this.#nodes.length === 0) throw new TuttiError('INVALID_INPUT', 'Tasks array cannot be empty', { field: 'tasks' });
    const parent = this.#resolveParents();
    yield;
    const edges = yield* this.#resolveDependencies();
    if (this.#options.existing === undefined) this.#checkJoined(parent, edges);
    yield;
    const cycle = waitCycle(edges, parent, (no) => this.#nodes[no].definition.tied === true);
    if (cycle !== null) throw this.#circularDependency(cycle);
    yield;
    this.#checkChildren(parent);
    const roots: number[] = [];
    for (let no = 0; no < parent.length; no++) if (parent[no] < 0 && !this.#filedUnder.has(no)) roots.push(no + this.#base);
    const ids = this.#base === 0 ? this.#ids : new Map([...this.#ids].map(([id, no]) => [id, no + this.#base]));
    return { nodes: this.#nodes, roots, ids, userId: this.#userId };
  }

  #take(element: unknown, within: number, place: number): { no: number; children: unknown[] } {
    const no = this.#nodes.length;
    const { maxElements } = this.#options;
    if (no >= maxElements)
      throw new TuttiError('INVALID_INPUT', `the tree has more than ${maxElements} elements`, { field: 'tasks', details: { limit: maxElements } });
    this.#within.push(within);
    this.#place.push(place);
    const nesting = within < 0 ? 0 : this.#nesting[within] + 1;
    // Here already: the path of each element is as long as it stands deep.
    if (nesting > MAX_PARENT_DEPTH) throw this.#tooDeep(no);
    this.#nesting.push(nesting);
    const at = this.#at(no);
    const read = readElement(element, at, within >= 0, this.#options.limits ?? {});
    const { definition } = read;
    const same = this.#names.get(definition.name);
    if (same !== undefined) throw this.#duplicate('name', definition.name, no, same);
    if (this.#options.existing?.byName(definition.name) !== undefined)
      throw invalid(`${at}.name`, `is ${showValue(definition.name)}: Duplicate task name, the task has a step of this name already`);
    this.#names.set(definition.name, no);
    if (definition.id !== undefined) {
      const other = this.#ids.get(definition.id);
      if (other !== undefined) throw this.#duplicate('id', definition.id, no, other);
      this.#ids.set(definition.id, no);
    }
    this.#checkOwner(definition.userId, at);
    if (definition.inputSchema !== undefined) this.#schemas.check(definition.inputSchema, at);
    this.#chooseHandler(read, at);
    this.#takeDefaults(read);
    this.#parentRefs.push(this.#parentRef(read, within, at));
    if (read.refs.length > 0) {
      this.#refs.set(no, read.refs);
      this.#entries += read.refs.length;
      if (this.#entries > Math.max(FREE_EDGES, maxElements * MAX_EDGES_PER_STEP)) throw this.#tooDense(this.#entries, at);
    }
    this.#nodes.push({ definition, inputs: read.inputs });
    this.inputSize += read.inputs.length;
    return { no, children: read.children };
  }

  #parentRef(read: ReadElement, within: number, at: string): number | string | undefined {
    if (within < 0) {
      if (read.parent === undefined && read.definition.tied === true) throw invalid(`${at}.tied`, 'is true, but the element has no parent to be tied to');
      return read.parent;
    }
    // A view repeats what the nesting says.
    const outer = this.#nodes[within].definition;
    if (read.parent !== undefined && read.parent !== outer.id && read.parent !== outer.name) {
      throw invalid(`${at}.parent_id`, `is ${showValue(read.parent)}, but the element stands in the children of ${showValue(outer.name)}`);
    }
    return within;
  }

  #checkOwner(userId: string | undefined, at: string): void {
    if (userId === undefined || userId === this.#userId) return;
    if (this.#userId !== undefined)
      throw invalid(`${at}.user_id`, `is ${showValue(userId)}, and the tree belongs to ${showValue(this.#userId)}: a tree has one owner`);
    this.#userId = userId;
  }

  /** Leaves the handler empty where neither the element nor its name says one: it is a folder, if it turns out to have children. */
  #chooseHandler({ definition, handlerField }: ReadElement, at: string): void {
    const { hasHandler, openToWorkers } = this.#options;
    if (handlerField === undefined) {
      if (hasHandler(definition.name)) definition.handler = definition.name;
    } else if (openToWorkers !== true && !hasHandler(definition.handler)) {
      const field = `${at}.${handlerField}`;
      throw new TuttiError('UNKNOWN_HANDLER', `${field} is ${showValue(definition.handler)}, which is no registered handler${this.#hint(definition.handler)}`, {
        field,
      });
    }
  }

  #takeDefaults({ definition, hasTimeout }: ReadElement): void {
    const defaults = definition.handler === '' ? undefined : this.#options.defaultsOf?.(definition.handler);
    if (defaults === undefined) return;
    const { timeoutMs, ...rest } = defaults;
    for (const [field, value] of Object.entries(rest) as [keyof typeof rest, never][]) definition[field] ??= value;
    if (timeoutMs !== undefined && timeoutMs > 0 && !hasTimeout) definition.timeoutMs = timeoutMs;
  }

  /** What a text stands for: the place of an element, or ~no of an existing step. Ids come before names unless it was given as a name. */
  #find(text: string, byName: boolean): number | undefined {
    const { existing } = this.#options;
    const not = (no: number | undefined): number | undefined => (no === undefined ? undefined : ~no);
    const byId = (): number | undefined => this.#ids.get(text) ?? not(existing?.byId(text));
    const named = (): number | undefined => this.#names.get(text) ?? not(existing?.byName(text));
    return byName ? (named() ?? byId()) : (byId() ?? named());
  }

  /** Parents by place; -1: none, or an existing step. */
  #resolveParents(): number[] {
    if (this.#options.existing === undefined && !this.#parentRefs.includes(undefined))
      throw new TuttiError('INVALID_INPUT', 'No root task found: every element has a parent', { field: '[0].parent_id' });
    const parent = this.#parentRefs.map((ref, no) => {
      if (typeof ref !== 'string') return ref ?? -1;
      const found = this.#find(ref, false);
      if (found === undefined) throw invalid(`${this.#at(no)}.parent_id`, `is ${showValue(ref)}, which is not in the task array`);
      if (found >= 0) return found;
      this.#filedUnder.set(no, ~found);
      this.#nodes[no].definition.parent = ~found;
      return -1;
    });
    const order = parentDepths(parent);
    if ('cycle' in order) {
      const { cycle } = order;
      throw new TuttiError('INVALID_INPUT', `Circular parent detected: ${this.#path(cycle)}`, { field: `${this.#at(cycle[0])}.parent_id` });
    }
    const deep = order.depths.findIndex((depth, no) => depth + this.#depthOfTop(no, parent) > MAX_PARENT_DEPTH);
    if (deep >= 0) throw this.#tooDeep(deep);
    parent.forEach((up, no) => {
      if (up >= 0) this.#nodes[no].definition.parent = up + this.#base;
    });
    return parent;
  }

  /** How many existing steps stand above it. */
  #depthOfTop(no: number, parent: readonly number[]): number {
    if (this.#filedUnder.size === 0) return 0;
    let top = no;
    while (parent[top] >= 0) top = parent[top];
    const above = this.#filedUnder.get(top);
    return above === undefined ? 0 : (this.#options.existing?.depth(above) ?? 0) + 1;
  }

  *#resolveDependencies(): Generator<void, Edges> {
    const size = this.#nodes.length;
    const start = new Int32Array(size + 1);
    const targets: number[] = [];
    /** Place of the edge to each target, valid where it is one of the element at hand. */
    const placeOf = new Int32Array(size).fill(-1);
    for (let no = 0; no < size; no++) {
      start[no] = targets.length;
      const refs = this.#refs.get(no);
      if (refs !== undefined) this.#resolveRefs(no, refs, targets, placeOf);
      if (no % SLICE === SLICE - 1) yield;
    }
    start[size] = targets.length;
    if (this.#edges >= FREE_EDGES && this.#edges > size * MAX_EDGES_PER_STEP) throw this.#tooDense(this.#edges, 'tasks');
    return { start, targets };
  }

  /** Several entries for one target are one dependency, required if any of them says so. */
  #resolveRefs(no: number, refs: readonly ElementRef[], targets: number[], placeOf: Int32Array): void {
    const deps: NonNullable<NodeDefinition['deps']> = [];
    const from = this.#edges;
    const before = new Map<number, number>();
    refs.forEach((ref, i) => {
      const target = this.#find(ref.text, ref.byName);
      if (target === undefined) throw unknownReference(`${this.#at(no)}.dependencies[${i}]`, ref.text);
      if (ref.name !== undefined && this.#find(ref.name, true) !== target) {
        const at = `${this.#at(no)}.dependencies[${i}].name`;
        throw invalid(at, `is ${showValue(ref.name)}, which is not the element whose id is ${showValue(ref.text)}; give one of the two`);
      }
      const place = target >= 0 ? placeOf[target] - from : (before.get(target) ?? -1);
      if (place >= 0) {
        deps[place][1] ||= ref.required;
        return;
      }
      if (target >= 0) {
        placeOf[target] = from + deps.length;
        targets.push(target);
      } else before.set(target, deps.length);
      const step = target >= 0 ? target + this.#base : ~target;
      deps.push(ref.type === undefined ? [step, ref.required] : [step, ref.required, ref.type]);
    });
    this.#edges += deps.length;
    this.#nodes[no].definition.deps = deps;
    this.#refs.delete(no);
  }

  #checkJoined(parent: readonly number[], edges: Edges): void {
    const stray = strayRoot(parent, edges);
    if (stray === null) return;
    const [a, b] = [parent.findIndex((up) => up < 0), stray];
    const names = `${showValue(this.#name(a))} at ${this.#at(a)} and ${showValue(this.#name(b))} at ${this.#at(b)}`;
    throw new TuttiError('INVALID_INPUT', `Multiple root tasks found: ${names} are joined by neither parents nor dependencies`, { field: this.#at(b) });
  }

  #checkChildren(parent: readonly number[]): void {
    const keys = new Map<number, Set<string>>();
    const isParent = new Uint8Array(parent.length);
    parent.forEach((up, no) => {
      if (up < 0) return;
      isParent[up] = 1;
      const { key, tied } = this.#nodes[no].definition;
      if (key === undefined || tied !== true) return;
      const used = keys.get(up) ?? new Set();
      if (used.has(key)) throw invalid(`${this.#at(no)}.key`, `is ${showValue(key)}, as is that of another child of ${showValue(this.#name(up))}`);
      keys.set(up, used.add(key));
    });
    this.#nodes.forEach(({ definition }, no) => {
      if (definition.handler !== '' || isParent[no] === 1) return;
      throw invalid(
        this.#at(no),
        `has no handler: ${showValue(definition.name)} is no registered handler, and neither params.executor_id nor schemas.method names one${this.#hint(definition.name)}`,
      );
    });
  }

  #hint(name: string): string {
    const near = this.#options.nearest?.(name) ?? null;
    return near === null ? '' : `; did you mean ${showValue(near)}?`;
  }

  #name(no: number): string {
    return this.#nodes[no].definition.name;
  }

  /** Where an element was written: `[3].children[0]`. */
  #at(no: number): string {
    let path = '';
    let at = no;
    for (; this.#within[at] >= 0; at = this.#within[at]) path = `.children[${this.#place[at]}]${path}`;
    return `[${this.#place[at]}]${path}`;
  }

  /** Names from one to the next and back to the first; of a long way both ends. */
  #path(cycle: readonly number[]): string {
    const names = [...cycle, cycle[0]].map((no) => this.#name(no));
    const shown = names.length <= 20 ? names : [...names.slice(0, 10), `(${names.length - 15} more)`, ...names.slice(-5)];
    return shown.join(' -> ');
  }

  #circularDependency(cycle: readonly number[]): TuttiError {
    const byTie = cycle.find((no, i) => {
      const waitsFor = cycle[(i + 1) % cycle.length];
      return !(this.#nodes[no].definition.deps ?? []).some(([dep]) => dep === waitsFor + this.#base);
    });
    const why = byTie === undefined ? '' : `, where ${showValue(this.#name(byTie))} waits for its tied child`;
    return new TuttiError('INVALID_INPUT', `Circular dependency detected: ${this.#path(cycle)}${why}`, { field: `${this.#at(cycle[0])}.dependencies` });
  }

  #duplicate(what: 'id' | 'name', text: string, no: number, other: number): TuttiError {
    const at = this.#at(no);
    return new TuttiError('INVALID_INPUT', `Duplicate task ${what} ${showValue(text)} at index ${at}; the element at ${this.#at(other)} has it too`, {
      field: `${at}.${what}`,
    });
  }

  #tooDeep(no: number): TuttiError {
    const field = this.#at(no);
    return new TuttiError('INVALID_INPUT', `${field}: the limit is ${MAX_PARENT_DEPTH} parents above one element`, {
      field,
      details: { limit: MAX_PARENT_DEPTH },
    });
  }

  #tooDense(edges: number, field: string): TuttiError {
    return new TuttiError('INVALID_INPUT', `the tree has ${edges} dependencies; the limit is ${MAX_EDGES_PER_STEP} per element on average`, {
      field,
      details: { limit: MAX_EDGES_PER_STEP },
    });
  }
}

const invalid = (at: string, what: string): TuttiError => new TuttiError('INVALID_INPUT', `${at} ${what}`, { field: at });
