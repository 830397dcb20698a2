/**
 * Steps of one graph, by number, in the order in which they were added. Membership is a byte per step of the graph: a Set of 100,000
 * numbers takes thirty milliseconds to fill, which is longer than a turn may take.
 */
export class StepSet {
  readonly #in: Uint8Array;
  #nos: number[] = [];
  size = 0;

  /** `steps`: how many the graph has. */
  constructor(steps: number) {
    this.#in = new Uint8Array(steps);
  }

  has(no: number): boolean {
    return this.#in[no] === 1;
  }

  /** One that was taken out is not added again. */
  add(no: number): void {
    if (this.#in[no] !== 0) return;
    this.#in[no] = 1;
    this.#nos.push(no);
    this.size++;
  }

  delete(no: number): void {
    if (this.#in[no] !== 1) return;
    this.#in[no] = 2;
    this.size--;
  }

  /** Not to be changed. */
  get nos(): readonly number[] {
    if (this.#nos.length > this.size) this.#nos = this.#nos.filter((no) => this.#in[no] === 1);
    return this.#nos;
  }
}
