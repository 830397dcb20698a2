/**
 * Graphs of live tasks, counted in steps (I11). A miss is loaded before a turn, never inside one. Above the limit, graphs that hold
 * nothing of their own are dropped, longest unused first.
 */
import { loadGraph } from '../core/load-graph.ts';
import type { TaskGraph } from '../core/graph.ts';
import type { Shape } from '../core/shape.ts';
import { LARGE_TASK, type Store, type StoredStep } from '../store/store.ts';

/** Steps of a large task read at a time. */
const PAGE = 2000;

export class GraphCache {
  readonly #store: Store;
  readonly #shapeOf: (template: number) => Shape | undefined;
  readonly #maxSteps: number;
  readonly #graphs = new Map<number, TaskGraph>();
  #walk: IterableIterator<TaskGraph> | null = null;
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
    for (const { task, steps } of await this.#store.loadGraphs(ids)) {
      const shape = task.template === null ? undefined : this.#shapeOf(task.template);
      if (shape !== undefined) graphs.push(loadGraph(task, task.totalSteps > LARGE_TASK ? await this.#stepsInPages(task.id, pause) : steps, shape));
    }
    return graphs;
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
