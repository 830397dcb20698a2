/** Work is done in slices of this many bytes: writing one as JSON takes a few milliseconds. */
const SLICE_BYTES = 524_288;

/** Lets others have the loop while a long answer is read: the engine's turns run on the same thread. */
export class Breather {
  readonly #pause: () => Promise<unknown>;
  #bytes = 0;

  constructor(pause: () => Promise<unknown>) {
    this.#pause = pause;
  }

  /** So much was done since the last call. */
  async after(bytes: number): Promise<void> {
    // Small things take their time too.
    this.#bytes += bytes + 100;
    if (this.#bytes < SLICE_BYTES) return;
    this.#bytes = 0;
    await this.#pause();
  }
}
