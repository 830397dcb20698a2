/** Keys that callers give their tasks: unique among the live tasks of a template, and among the live ad hoc ones. */
import { TuttiError } from '../core/errors.ts';
import { Claims } from './claims.ts';
import type { Store } from '../store/store.ts';
import type { StoreGuard } from './store-guard.ts';

const MAX_KEY = 255;

export class TaskKeys {
  readonly #store: Store;
  readonly #claims = new Claims();
  readonly #guard: StoreGuard;
  readonly #uuid: (task: number) => string;

  constructor(o: { store: Store; guard: StoreGuard; taskUuid: (task: number) => string }) {
    this.#store = o.store;
    this.#guard = o.guard;
    this.#uuid = o.taskUuid;
  }

  /** Runs `enter` while nobody else can take the key; see `hold`. */
  async during<T>(template: number | null, key: string, enter: () => Promise<T>): Promise<T> {
    const release = await this.hold([{ template, key }]);
    try {
      return await enter();
    } finally {
      release();
    }
  }

  /**
   * Keeps the keys for the caller until the function it gives is called. Throws ALREADY_EXISTS (409), with the id of the live task that
   * has one of them, where there is one, and INVALID_INPUT; then nothing is held. `template`: its row; null: an ad hoc task.
   */
  async hold(wanted: readonly { template: number | null; key: string }[]): Promise<() => void> {
    for (const { key } of wanted) checkKey(key);
    const claims = wanted.map(({ template, key }) => `${template ?? ''}/${key}`);
    const other = this.#claims.take(claims);
    if (other !== null) throw taken(other.slice(other.indexOf('/') + 1), {});
    try {
      for (const w of wanted) {
        const task = await this.#guard(() => this.#store.liveTaskByKey(w));
        if (task !== null) throw taken(w.key, { task_uuid: this.#uuid(task) });
      }
    } catch (e) {
      this.#claims.release(claims);
      throw e;
    }
    return () => this.#claims.release(claims);
  }
}

const taken = (key: string, details: Record<string, unknown>): TuttiError =>
  new TuttiError('ALREADY_EXISTS', `a live task has the key ${JSON.stringify(key)} already`, { field: 'key', details });

/** Throws INVALID_INPUT unless it is text of 1 to 255 characters that can be kept. */
export function checkKey(key: unknown): void {
  if (typeof key === 'string' && key.length >= 1 && key.length <= MAX_KEY && !key.includes('\u0000') && key.isWellFormed()) return;
  throw new TuttiError('INVALID_INPUT', `key must be text of 1 to ${MAX_KEY} characters`, { field: 'key', details: { limit: MAX_KEY } });
}
