/**
 * Which items changed since their versions were looked up. Per key, so that a large change is not held up by small ones to other items of the
 * same resource. Bounded: what is forgotten counts as changed at the time of the newest change that was forgotten.
 */
import type { PreparedItems } from './plan-command.ts';

/** Keys remembered for one resource. */
const KEYS = 20_000;

interface Changes {
  revision: number;
  /** When each key changed last, the oldest change first. */
  keys: Map<string, number>;
  /** No key that is not remembered has changed since. */
  floor: number;
}

export class ItemRevisions {
  readonly #resources = new Map<number, Changes>();

  /** Ask before the versions are looked up. */
  of(resource: number): number {
    return this.#resources.get(resource)?.revision ?? 0;
  }

  changed(resource: number, keys: Iterable<string>): void {
    const c = this.#of(resource);
    c.revision++;
    for (const key of keys) {
      c.keys.delete(key);
      c.keys.set(key, c.revision);
    }
    for (const [key, revision] of c.keys) {
      if (c.keys.size <= KEYS) break;
      c.keys.delete(key);
      c.floor = revision;
    }
  }

  /** The resource is gone, and whatever was looked up of it is void. */
  dropped(resource: number): void {
    const c = this.#of(resource);
    c.keys.clear();
    c.floor = ++c.revision;
  }

  /** Whether no item of these has changed since it was looked up. */
  fresh({ resource, revision, writes }: Pick<PreparedItems, 'resource' | 'revision' | 'writes'>): boolean {
    const c = this.#resources.get(resource);
    if (c === undefined || c.revision === revision) return true;
    return c.floor <= revision && writes.every((w) => (c.keys.get(w.key) ?? 0) <= revision);
  }

  #of(resource: number): Changes {
    let c = this.#resources.get(resource);
    if (c === undefined) this.#resources.set(resource, (c = { revision: 0, keys: new Map(), floor: 0 }));
    return c;
  }
}
