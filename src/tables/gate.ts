import { TuttiError } from '../core/errors.ts';

/** Lets so many pass at once; the others wait in their order, and stop waiting when their signal is aborted. */
export class Gate {
  readonly #limit: number;
  /** Beyond so many that wait, the next is refused with BACKPRESSURE. */
  readonly #mostWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;
  #emptied: (() => void)[] = [];

  constructor(limit: number, mostWaiting = Infinity) {
    this.#limit = limit;
    this.#mostWaiting = mostWaiting;
  }

  async pass<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#inside >= this.#limit && this.#waiting.length >= this.#mostWaiting)
      throw new TuttiError('BACKPRESSURE', `${this.#waiting.length} others are waiting already.`, { retryAfter: 5 });
    if (this.#inside >= this.#limit) await this.#turn(signal);
    else this.#inside++;
    try {
      return await work();
    } finally {
      // The place goes to the next one as it is: it is never free for somebody who came later.
      const next = this.#waiting.shift();
      if (next !== undefined) next();
      else if (--this.#inside === 0) for (const done of this.#emptied.splice(0)) done();
    }
  }

  /** Resolves when nobody is inside. */
  async empty(): Promise<void> {
    if (this.#inside > 0) await new Promise<void>((resolve) => this.#emptied.push(resolve));
  }

  async #turn(signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal?.reason as Error);
      };
      this.#waiting.push(enter);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }
}
