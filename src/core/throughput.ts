/**
 * How fast something goes, from amounts and injected times: a mean in which what is older weighs exponentially less. Amounts are gathered
 * for a moment before they count, so that a chatty reporter neither distorts the mean nor costs more.
 */

/** Gathered for at least this long before it counts. */
const GATHER_MS = 250;
/** What lies this far back weighs 1/e of what is new. */
export const SMOOTHING_MS = 10_000;

export class Throughput {
  #at: number;
  #gathered = 0;
  /** Weighted sum and sum of weights: their ratio is right from the first interval on, with no start from zero to forget. */
  #sum = 0;
  #weight = 0;

  /** Measuring begins at `now`, in milliseconds. */
  constructor(now: number) {
    this.#at = now;
  }

  add(amount: number, now: number): void {
    // What is known in the moment in which measuring begins came about before it.
    if (this.#weight === 0 && now <= this.#at) return;
    this.#gathered += amount;
    const passed = now - this.#at;
    if (passed < GATHER_MS) return;
    const keep = Math.exp(-passed / SMOOTHING_MS);
    this.#sum = this.#sum * keep + (this.#gathered / passed) * (1 - keep);
    this.#weight = this.#weight * keep + (1 - keep);
    this.#gathered = 0;
    this.#at = now;
  }

  /** Begins anew from the last amount that counted. */
  forget(): void {
    this.#gathered = this.#sum = this.#weight = 0;
  }

  /** Amount per millisecond; 0 while nothing is known. With `now`, silence since the last amount slows it. */
  perMs(now?: number): number {
    const passed = now === undefined ? 0 : now - this.#at;
    if (passed < GATHER_MS) return this.#weight === 0 ? 0 : this.#sum / this.#weight;
    const keep = Math.exp(-passed / SMOOTHING_MS);
    return (this.#sum * keep + (this.#gathered / passed) * (1 - keep)) / (this.#weight * keep + (1 - keep));
  }
}
