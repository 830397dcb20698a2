/** What callers call a step: the id that was generated for it, the id it was submitted with, or its name within its task. */
import { TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { parseUuid } from '../core/ids.ts';
import type { Shape } from '../core/shape.ts';
import type { Store, StoredTask } from '../store/store.ts';

export interface StepRefsParts {
  store: Store;
  /** The graph where it is in memory. */
  graph: (task: number) => TaskGraph | undefined;
  readGraph: (row: StoredTask) => Promise<TaskGraph>;
  shapeOf: (template: number) => Shape | undefined;
}

export class StepRefs {
  readonly #p: StepRefsParts;

  constructor(parts: StepRefsParts) {
    this.#p = parts;
  }

  /** Number of the step within this task. Ids come before names. Throws NOT_FOUND. */
  async resolve(row: StoredTask, ref: string): Promise<number> {
    const no = await this.#find(row, ref);
    if (no === undefined) throw new TuttiError('NOT_FOUND', `the task has no step ${ref}`);
    return no;
  }

  /** Any step, by generated or supplied id. Null: there is none. */
  async element(id: string): Promise<{ task: number; no: number } | null> {
    const key = parseUuid(id, this.#p.store.tag);
    if (key !== null && key.no >= 0) return key;
    const [found] = await this.#p.store.findElements([id]);
    return found ?? null;
  }

  async #find(row: StoredTask, ref: string): Promise<number | undefined> {
    const { store } = this.#p;
    const key = parseUuid(ref, store.tag);
    const base = (row.template === null ? undefined : this.#p.shapeOf(row.template))?.size ?? 0;
    if (key !== null && key.task === row.id && key.no >= 0) {
      if (key.no < base) return key.no;
      const [step] = await store.loadSteps({ task: row.id, after: key.no - 1, limit: 1 });
      return step?.no === key.no ? key.no : undefined;
    }
    const g = this.#p.graph(row.id);
    if (g !== undefined) return namedIn(g.shape, ref);
    const [element] = (await store.findElements([ref])).filter((e) => e.task === row.id);
    if (element !== undefined) return element.no;
    const known = row.template === null ? undefined : this.#p.shapeOf(row.template)?.numberOf.get(ref);
    if (known !== undefined) return known;
    const [node] = await store.loadNodes({ task: row.id, after: base - 1, limit: 1 });
    // Without nodes the template has said it all.
    return node === undefined ? undefined : namedIn((await this.#p.readGraph(row)).shape, ref);
  }
}

/** By the id it was submitted with, else by its name. */
export const namedIn = (shape: Shape, ref: string): number | undefined => shape.byId(ref) ?? shape.numberOf.get(ref);
