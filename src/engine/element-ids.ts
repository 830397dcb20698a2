/** Ids that callers give the elements of their trees: unique in the store, whatever task they are in. */
import { TuttiError } from '../core/errors.ts';
import type { Store } from '../store/store.ts';
import { Claims } from './claims.ts';

/** Ids looked up at a time. */
const PAGE = 500;

export class ElementIds {
  readonly #store: Store;
  readonly #claims = new Claims();
  readonly #pause: () => Promise<void>;

  constructor(o: { store: Store; pause: () => Promise<void> }) {
    this.#store = o.store;
    this.#pause = o.pause;
  }

  /** Runs `enter` while nobody else can take these ids. Throws ALREADY_EXISTS (409) where one is stored, or on its way. */
  async during<T>(ids: readonly string[], enter: () => Promise<T>): Promise<T> {
    if (ids.length === 0) return await enter();
    const other = this.#claims.take(ids);
    if (other !== null) throw exists(other);
    try {
      for (let at = 0; at < ids.length; at += PAGE) {
        const [found] = await this.#store.findElements(ids.slice(at, at + PAGE));
        if (found !== undefined) throw exists(found.id);
        if (at + PAGE < ids.length) await this.#pause();
      }
      return await enter();
    } finally {
      this.#claims.release(ids);
    }
  }
}

const exists = (id: string): TuttiError =>
  new TuttiError('ALREADY_EXISTS', `the id ${JSON.stringify(id)} already exists in database`, { field: 'id', details: { id } });
