/** Work on one thing, one after the other in the order it was asked for; on different things side by side. Nothing is kept of what is done. */
export class KeyedLock {
  readonly #last = new Map<string, Promise<unknown>>();

  async locked<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }
}
