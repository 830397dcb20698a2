import type { Host } from './host.ts';

/** Milliseconds of work between two pauses. */
const SLICE_MS = 4;

/** A piece of long work, after which others on the loop go first: ask `isOver` now and then, and `pause` when it is. */
export class LoopSlice {
  readonly #host: Host;
  #begun: number;

  constructor(host: Host) {
    this.#host = host;
    this.#begun = host.ticks();
  }

  isOver(): boolean {
    return this.#host.ticks() - this.#begun > SLICE_MS;
  }

  /** Begins the next one. */
  async pause(): Promise<void> {
    await new Promise<void>((resolve) => this.#host.soon(resolve));
    this.#begun = this.#host.ticks();
  }
}
