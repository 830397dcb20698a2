/** Who reads from a task that has ended, and who removes one: never both at once. */
import { TuttiError } from '../core/errors.ts';
import type { Store } from '../store/store.ts';

export class TaskGuard {
  readonly #store: Store;
  readonly #used = new Map<number, number>();
  readonly #removing = new Set<number>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Keeps the task from being removed until the function it gives is called. Throws NOT_FOUND when it is being removed. */
  use(task: number): () => void {
    if (this.#removing.has(task)) throw new TuttiError('NOT_FOUND', 'The task is being removed.');
    this.#used.set(task, (this.#used.get(task) ?? 0) + 1);
    return () => {
      const left = (this.#used.get(task) ?? 1) - 1;
      if (left === 0) this.#used.delete(task);
      else this.#used.set(task, left);
    };
  }

  /** May the task be removed? Then nobody can use it until `removed` is called. Not while it is in use, or others link to it. */
  async remove(task: number): Promise<'yes' | 'used' | 'linked'> {
    if (this.#used.has(task) || this.#removing.has(task)) return 'used';
    this.#removing.add(task);
    try {
      if ((await this.#store.linkedTasks([task])).length === 0) return 'yes';
    } catch (e) {
      this.#removing.delete(task);
      throw e;
    }
    this.#removing.delete(task);
    return 'linked';
  }

  /** It is gone, or stays after all. */
  removed(task: number): void {
    this.#removing.delete(task);
  }
}
