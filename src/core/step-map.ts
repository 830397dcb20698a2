/**
 * Something by step number, for graphs of which most have one entry or none: a Map costs 200 bytes even when it is empty, and a
 * process keeps one or two of these for every waiting task. The first entry lives in the object; a second makes a Map.
 */
export class StepMap<V> implements Iterable<[number, V]> {
  #no = -1;
  #value: V | undefined = undefined;
  #many: Map<number, V> | null = null;

  get size(): number {
    return this.#many !== null ? this.#many.size : this.#no < 0 ? 0 : 1;
  }

  has(no: number): boolean {
    return this.#many !== null ? this.#many.has(no) : this.#no === no && no >= 0;
  }

  get(no: number): V | undefined {
    if (this.#many !== null) return this.#many.get(no);
    return this.#no === no ? this.#value : undefined;
  }

  set(no: number, value: V): void {
    if (this.#many !== null) this.#many.set(no, value);
    else if (this.#no < 0 || this.#no === no) {
      this.#no = no;
      this.#value = value;
    } else {
      this.#many = new Map([
        [this.#no, this.#value as V],
        [no, value],
      ]);
      this.#no = -1;
      this.#value = undefined;
    }
  }

  delete(no: number): boolean {
    if (this.#many !== null) {
      const found = this.#many.delete(no);
      if (this.#many.size === 0) this.#many = null;
      return found;
    }
    if (this.#no !== no || no < 0) return false;
    this.#no = -1;
    this.#value = undefined;
    return true;
  }

  clear(): void {
    this.#many = null;
    this.#no = -1;
    this.#value = undefined;
  }

  *keys(): IterableIterator<number> {
    if (this.#many !== null) yield* this.#many.keys();
    else if (this.#no >= 0) yield this.#no;
  }

  *values(): IterableIterator<V> {
    if (this.#many !== null) yield* this.#many.values();
    else if (this.#no >= 0) yield this.#value as V;
  }

  *[Symbol.iterator](): IterableIterator<[number, V]> {
    if (this.#many !== null) yield* this.#many;
    else if (this.#no >= 0) yield [this.#no, this.#value as V];
  }
}
