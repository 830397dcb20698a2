/**
 * Graphs of live tasks, counted in steps (I11). A miss is loaded before a turn, never inside one. Above the limit, graphs that hold
 * nothing of their own are dropped, longest unused first.
 */
import { addStoredNodes, loadGraph, loadInSlices, shapeWithNodes } from '../core/load-graph.ts';
import type { TaskGraph } from '../core/graph.ts';
import { type Shape, emptyShape } from '../core/shape.ts';
import { LARGE_TASK, type Store, type StoredGraph, type StoredNode, type StoredStep, type StoredTask } from '../store/store.ts';

/** Steps of a large task read at a time. */
const PAGE = 2000;

export class GraphCache {
  readonly #store: Store;
  readonly #shapeOf: (template: number) => Shape | undefined;
  readonly #maxSteps: number;
  readonly #graphs = new Map<number, TaskGraph>();
  #walk: IterableIterator<TaskGraph> | null = null;
  /** By read under way: tasks whose graph has left memory since it began. */
  readonly #left = new Set<Set<number>>();
  steps = 0;

  constructor(o: { store: Store; shapeOf: (template: number) => Shape | undefined; maxSteps: number }) {
    this.#store = o.store;
    this.#shapeOf = o.shapeOf;
    this.#maxSteps = o.maxSteps;
  }

  get size(): number {
    return this.#graphs.size;
  }

  get over(): boolean {
    return this.steps > this.#maxSteps;
  }

  get(id: number): TaskGraph | undefined {
    return this.#graphs.get(id);
  }

  values(): IterableIterator<TaskGraph> {
    return this.#graphs.values();
  }

  put(g: TaskGraph): void {
    if (this.#graphs.has(g.id)) return;
    this.#graphs.set(g.id, g);
    g.counted = g.size;
    this.steps += g.counted;
  }

  /** Steps were added to it. */
  grew(g: TaskGraph): void {
    if (this.#graphs.get(g.id) !== g) return;
    this.steps += g.size - g.counted;
    g.counted = g.size;
  }

  drop(g: TaskGraph): void {
    if (this.#graphs.get(g.id) !== g) return;
    this.#graphs.delete(g.id);
    this.steps -= g.counted;
    for (const left of this.#left) left.add(g.id);
  }

  /**
   * Call before reading what is then to be put in: tasks in `left` were in memory meanwhile, so what was read of them may be older than
   * their rows, and is to be read again. Call `end` when done.
   */
  watch(): { left: ReadonlySet<number>; end: () => void } {
    const left = new Set<number>();
    this.#left.add(left);
    return { left, end: () => void this.#left.delete(left) };
  }

  /**
   * Drops what may be dropped until under the limit; looks at 2,000 graphs and goes on there the next time. `left`: ready steps that
   * stay in the store. Gives how many were dropped.
   */
  shrink(left: (g: TaskGraph, no: number, rank: number) => void): number {
    let dropped = 0;
    for (let looked = 0; looked < 2000 && this.steps > this.#maxSteps * 0.9; looked++) {
      this.#walk ??= this.#graphs.values();
      const next = this.#walk.next();
      if (next.done) {
        this.#walk = null;
        return dropped;
      }
      if (this.evict(next.value, left)) dropped++;
    }
    return dropped;
  }

  /** Drops the graph if nothing of it lives only here. */
  evict(g: TaskGraph, left: (g: TaskGraph, no: number, rank: number) => void): boolean {
    if (!g.evictable || this.#graphs.get(g.id) !== g) return false;
    for (const [no, rank] of g.ready) left(g, no, rank);
    g.ready.clear();
    this.drop(g);
    return true;
  }

  /** Reads graphs that are not cached, without putting them in. Unknown ids are left out. */
  async read(ids: readonly number[], pause: () => Promise<void>): Promise<TaskGraph[]> {
    if (ids.length === 0) return [];
    const graphs: TaskGraph[] = [];
    for (const stored of await this.#store.loadGraphs(ids)) {
      const g = await this.build(stored, pause);
      if (g !== undefined) graphs.push(g);
    }
    return graphs;
  }

  /** The graph of stored rows; what is large is read in pages first. Undefined: its template is not known. */
  async build({ task, steps, nodes }: StoredGraph, pause: () => Promise<void>): Promise<TaskGraph | undefined> {
    const base = task.template === null ? this.#adHoc(task) : this.#shapeOf(task.template);
    if (base === undefined) return undefined;
    const large = task.totalSteps > LARGE_TASK;
    // A caller that has read them all has them as they stood together.
    const given = !large || steps.length > 0;
    const all = given ? nodes : await this.#nodesInPages(task.id, pause);
    const shape = large ? await shapeInSlices(base, all, pause) : shapeWithNodes(base, all);
    const rows = given ? steps : await this.#stepsInPages(task.id, pause);
    if (!large) return loadGraph(task, rows, shape, shape !== base);
    const loading = loadInSlices(task, rows, shape, shape !== base);
    for (;;) {
      const next = loading.next();
      if (next.done) return next.value;
      await pause();
    }
  }

  /** Its steps are all nodes; a copy of a template's task has what its template says of the whole. */
  #adHoc(task: StoredTask): Shape {
    const template = task.meta?.origin?.template;
    const of = template === undefined ? undefined : this.#shapeOf(template);
    return emptyShape(task.policy, of?.deadlineMs, of?.returns);
  }

  async #nodesInPages(task: number, pause: () => Promise<void>): Promise<StoredNode[]> {
    const nodes: StoredNode[] = [];
    for (let after = -1; ; ) {
      const page = await this.#store.loadNodes({ task, after, limit: PAGE });
      nodes.push(...page);
      if (page.length < PAGE) return nodes;
      after = page[page.length - 1].no;
      await pause();
    }
  }

  async #stepsInPages(task: number, pause: () => Promise<void>): Promise<StoredStep[]> {
    const steps: StoredStep[] = [];
    for (let after = -1; ; ) {
      const page = await this.#store.loadSteps({ task, after, limit: PAGE });
      steps.push(...page);
      if (page.length < PAGE) return steps;
      after = page[page.length - 1].no;
      await pause();
    }
  }
}

/** As shapeWithNodes; 100,000 nodes at once would hold the loop for a quarter of a second. */
async function shapeInSlices(base: Shape, nodes: readonly StoredNode[], pause: () => Promise<void>): Promise<Shape> {
  if (nodes.length === 0) return base;
  const shape = base.fork();
  for (let at = 0; at < nodes.length; at += PAGE) {
    if (at > 0) await pause();
    addStoredNodes(shape, nodes.slice(at, at + PAGE));
  }
  return shape;
}
