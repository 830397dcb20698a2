/** What people call tasks and steps, and the rows that are meant. */
import { TuttiError } from '../core/errors.ts';
import { isUuid, parseUuid } from '../core/ids.ts';
import type { Store, StoredTask } from '../store/store.ts';
import type { ReadGate } from './read-gate.ts';
import type { StepRefs } from './step-refs.ts';
import type { StoreGuard } from './store-guard.ts';

export class TaskLookup {
  readonly #store: Store;
  readonly #gate: ReadGate;
  readonly #guard: StoreGuard;
  readonly #refs: StepRefs;

  constructor(o: { store: Store; gate: ReadGate; guard: StoreGuard; refs: StepRefs }) {
    this.#store = o.store;
    this.#gate = o.gate;
    this.#guard = o.guard;
    this.#refs = o.refs;
  }

  /** The number of a task, which need not exist. Throws INVALID_ID, and NOT_FOUND where no task of this store can have the id. */
  no(id: string): number {
    if (typeof id !== 'string' || !isUuid(id)) throw new TuttiError('INVALID_ID', `${JSON.stringify(id)} is not a UUID`, { field: 'task_id' });
    const key = parseUuid(id, this.#store.tag);
    if (key === null || key.no >= 0) throw new TuttiError('NOT_FOUND', `there is no task ${id}`);
    return key.task;
  }

  /** Rejects with INVALID_ID, NOT_FOUND, STORE_UNAVAILABLE. */
  async row(id: string): Promise<StoredTask> {
    const task = this.no(id);
    const wait = this.#gate.pass();
    if (wait !== undefined) await wait;
    const row = await this.#guard(() => this.#store.loadTask(task));
    if (row === null) throw new TuttiError('NOT_FOUND', `there is no task ${id}`);
    return row;
  }

  /** A step by its name, by its id, or by the id it was submitted with. */
  stepNo(row: StoredTask, ref: string): Promise<number> {
    return this.#guard(() => this.#refs.resolve(row, ref));
  }
}
