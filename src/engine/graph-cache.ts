/**
 * Graphs of live tasks, counted in steps (I11). A miss is loaded before a turn, never inside one. Above the limit, graphs that hold
 * nothing of their own are dropped, longest unused first.
 */
import { loadGraph } from '../core/load-graph.ts';
import type { TaskGraph } from '../core/graph.ts';
import type { Shape } from '../core/shape.ts';
import type { Store, StoredStep } from '../store/store.ts';

/** Above this many steps a graph is read in pages. */
const PAGE = 2000;

export class GraphCache {
  readonly #store: Store;
  readonly #shapeOf: (template: number) => Shape | undefined;
  readonly #maxSteps: number;
  readonly #graphs = new Map<number, TaskGraph>();
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
    this.steps += g.size;
  }

  drop(g: TaskGraph): void {
    if (this.#graphs.get(g.id) !== g) return;
    this.#graphs.delete(g.id);
    this.steps -= g.size;
  }

  /** Drops what may be dropped until under the limit; looks at a bounded number of graphs, newest last. `left`: ranks that stay in the store. */
  shrink(left: (rank: number) => void): void {
    let looked = 0;
    for (const g of this.#graphs.values()) {
      if (this.steps <= this.#maxSteps * 0.9 || looked++ > 2000) return;
      if (!g.evictable) continue;
      for (const rank of g.ready.values()) left(rank);
      g.ready.clear();
      this.drop(g);
    }
  }

  /** Reads graphs that are not cached, without putting them in. Unknown ids are left out. */
  async read(ids: readonly number[], pause: () => Promise<void>): Promise<TaskGraph[]> {
    const graphs: TaskGraph[] = [];
    const small: number[] = [];
    for (const id of ids) {
      const task = await this.#store.loadTask(id);
      if (task === null) continue;
      if (task.totalSteps <= PAGE) {
        small.push(id);
        continue;
      }
      const steps: StoredStep[] = [];
      for (let after = -1; ; ) {
        const page = await this.#store.loadSteps({ task: id, after, limit: PAGE });
        steps.push(...page);
        if (page.length < PAGE) break;
        after = page[page.length - 1].no;
        await pause();
      }
      const shape = task.template === null ? undefined : this.#shapeOf(task.template);
      if (shape !== undefined) graphs.push(loadGraph(task, steps, shape));
    }
    graphs.push(...(await this.readSmall(small)));
    return graphs;
  }

  /** As `read`, for tasks known to be small, with few statements. */
  async readSmall(ids: readonly number[]): Promise<TaskGraph[]> {
    if (ids.length === 0) return [];
    const graphs: TaskGraph[] = [];
    for (const { task, steps } of await this.#store.loadGraphs(ids)) {
      const shape = task.template === null ? undefined : this.#shapeOf(task.template);
      if (shape !== undefined) graphs.push(loadGraph(task, steps, shape));
    }
    return graphs;
  }
}
