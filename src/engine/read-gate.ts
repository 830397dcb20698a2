/**
 * A store that answers at once turns ten thousand `await`s into one long stall: promises alone never give up the loop. At most `limit`
 * reads pass between two turns of the event loop; the others wait in their order.
 */
export class ReadGate {
  readonly #limit: number;
  readonly #soon: (fn: () => void) => void;
  #passed = 0;
  #waiting: (() => void)[] = [];
  #armed = false;

  constructor(o: { limit: number; soon: (fn: () => void) => void }) {
    this.#limit = o.limit;
    this.#soon = o.soon;
  }

  /** Undefined: go on now. */
  pass(): Promise<void> | undefined {
    this.#arm();
    if (this.#passed < this.#limit && this.#waiting.length === 0) {
      this.#passed++;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#soon(() => {
      this.#armed = false;
      const next = this.#waiting.splice(0, this.#limit);
      this.#passed = next.length;
      if (next.length > 0) this.#arm();
      for (const go of next) go();
    });
  }
}
