/**
 * Changes to the items of one table, one after the other. What waits is put in one commit with the others that wait: many callers share it, and
 * a large change is not for ever overtaken by small ones.
 */
import type { Json } from '../core/definition.ts';
import { Gate } from './gate.ts';

/** Items that one commit puts, and characters in them: more would hold everybody up. */
const AT_ONCE = 1000;
export const COMMIT_CHARS = 600_000;

export interface ItemBatch {
  bodies: readonly Json[];
  /** About as many characters of JSON are in them. */
  chars: number;
  /** Goes in the same commit, which fails where it is not there. */
  remove?: ItemRemoval;
}

export interface ItemRemoval {
  key: string;
  expect: number;
}

interface Waiting extends ItemBatch {
  done: () => void;
  fail: (e: unknown) => void;
}

export class ItemLane {
  readonly #put: (bodies: Json[], remove: ItemRemoval[]) => Promise<void>;
  readonly #gate = new Gate(1);
  #waiting: Waiting[] = [];
  #coming = false;

  /** `put` commits items with these bodies, and removals. */
  constructor(put: (bodies: Json[], remove: ItemRemoval[]) => Promise<void>) {
    this.#put = put;
  }

  /** Resolves when they are committed, all of them. */
  add(batch: ItemBatch): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ ...batch, done: resolve, fail: reject });
    this.#come();
    return promise;
  }

  /** Nothing is added meanwhile. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#gate.pass(work);
  }

  #come(): void {
    if (this.#coming) return;
    this.#coming = true;
    void this.#gate.pass(async () => {
      const taken = this.#take();
      this.#coming = false;
      if (this.#waiting.length > 0) this.#come();
      try {
        await this.#put(
          taken.flatMap((w) => w.bodies),
          taken.flatMap((w) => w.remove ?? []),
        );
        for (const w of taken) w.done();
      } catch (e) {
        for (const w of taken) w.fail(e);
      }
    });
  }

  #take(): Waiting[] {
    let items = 0;
    let chars = 0;
    let n = 0;
    for (const w of this.#waiting) {
      items += w.bodies.length;
      chars += w.chars;
      if (n > 0 && (items > AT_ONCE || chars > COMMIT_CHARS)) break;
      n++;
    }
    return this.#waiting.splice(0, n);
  }
}
