/** Long work of many, in slices: between two turns of the event loop one of them goes on, the others wait in their order. */
export class Slices {
  readonly #soon: (fn: () => void) => void;
  readonly #waiting: (() => void)[] = [];

  /** `soon` runs a function in the next turn of the event loop. */
  constructor(soon: (fn: () => void) => void) {
    this.#soon = soon;
  }

  /** To be awaited between two slices. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) this.#soon(() => this.#turn());
    });
  }

  #turn(): void {
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) this.#soon(() => this.#turn());
  }
}
