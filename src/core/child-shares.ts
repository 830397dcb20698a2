/**
 * The sum of what some siblings contribute to what is above them. Changed by difference: one child in or out costs the same whether there
 * are ten or 100,000.
 */

/** What a size is counted in; `none`: no size is known. */
export const Unit = { none: 0, bytes: 1, items: 2 } as const;
export type UnitCode = (typeof Unit)[keyof typeof Unit];

export class ChildShares {
  count = 0;
  /** Children that ended well. */
  done = 0;
  #full = 0;
  #bytes = 0;
  #items = 0;
  /** Sum of fractions, and of those of sized children. */
  #flat = 0;
  #flatSized = 0;
  /** Sum of sizes, and of sizes times fractions. */
  #size = 0;
  #sizeDone = 0;

  /** `sign` 1 puts a child in, -1 takes it out as it was put in. */
  put(sign: 1 | -1, fraction: number, size: number, unit: UnitCode, done: boolean): void {
    this.count += sign;
    if (this.count === 0) return this.#clear();
    if (done) this.done += sign;
    if (fraction === 1) this.#full += sign;
    this.#flat += sign * fraction;
    if (unit === Unit.none) return;
    if (unit === Unit.bytes) this.#bytes += sign;
    else this.#items += sign;
    this.#flatSized += sign * fraction;
    this.#size += sign * size;
    this.#sizeDone += sign * size * fraction;
  }

  /** These and those together. */
  with(other: ChildShares): ChildShares {
    const both = new ChildShares();
    for (const s of [this, other]) {
      both.count += s.count;
      both.done += s.done;
      both.#full += s.#full;
      both.#bytes += s.#bytes;
      both.#items += s.#items;
      both.#flat += s.#flat;
      both.#flatSized += s.#flatSized;
      both.#size += s.#size;
      both.#sizeDone += s.#sizeDone;
    }
    return both;
  }

  /**
   * The mean of the fractions, each weighted by its child's size; a child without one counts as the mean of its siblings' sizes. Bytes
   * and items cannot be weighed against each other: where both occur, all count the same. Asked for only when there are children.
   */
  fraction(): number {
    if (this.#full === this.count) return 1;
    const sized = this.#bytes + this.#items;
    const mixed = this.#bytes > 0 && this.#items > 0;
    let mean: number;
    if (mixed || this.#size <= 0) mean = this.#flat / this.count;
    else {
      const each = this.#size / sized;
      mean = (this.#sizeDone + each * (this.#flat - this.#flatSized)) / (this.#size + each * (this.count - sized));
    }
    // Rounding errors of the sums must not make a whole of what is not one.
    return Math.min(1 - Number.EPSILON, Math.max(0, mean));
  }

  /** The unit all children share, if all have a size. */
  unit(): UnitCode {
    if (this.count > 0 && this.#bytes === this.count) return Unit.bytes;
    return this.count > 0 && this.#items === this.count ? Unit.items : Unit.none;
  }

  size(): number {
    return this.#size;
  }

  /** The last one out takes the rounding errors with it. */
  #clear(): void {
    this.done = this.#full = this.#bytes = this.#items = 0;
    this.#flat = this.#flatSized = this.#size = this.#sizeDone = 0;
  }
}
