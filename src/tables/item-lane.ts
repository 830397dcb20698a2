/**
 * Changes to the items of one table, one after the other. What waits is put in one commit with the others that wait: many callers share it, and
 * a large change is not for ever overtaken by small ones.
 */
import type { Json } from '../core/definition.ts';
import { Gate } from './gate.ts';

/** Items that one commit puts. */
const AT_ONCE = 1000;

interface Waiting {
  bodies: readonly Json[];
  done: () => void;
  fail: (e: unknown) => void;
}

export class ItemLane {
  readonly #put: (bodies: Json[]) => Promise<void>;
  readonly #gate = new Gate(1);
  #waiting: Waiting[] = [];
  #coming = false;

  /** `put` commits items with these bodies. */
  constructor(put: (bodies: Json[]) => Promise<void>) {
    this.#put = put;
  }

  /** Resolves when they are committed, all of them. */
  add(bodies: readonly Json[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ bodies, done: resolve, fail: reject });
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
        await this.#put(taken.flatMap((w) => w.bodies));
        for (const w of taken) w.done();
      } catch (e) {
        for (const w of taken) w.fail(e);
      }
    });
  }

  #take(): Waiting[] {
    let items = 0;
    let n = 0;
    while (n < this.#waiting.length && (n === 0 || items + this.#waiting[n].bodies.length <= AT_ONCE)) items += this.#waiting[n++].bodies.length;
    return this.#waiting.splice(0, n);
  }
}
