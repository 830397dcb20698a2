/**
 * Time, timers, `soon` and random numbers of a simulated machine. Nothing happens but when the test says so: `settle` runs what is
 * due now, `advance` moves the clock to the next timer. One machine outlives its engines; a killed one's timers never fire.
 */
import { SeededRandom } from './seeded-random.ts';

interface SimTimer {
  at: number;
  order: number;
  run: () => void;
  life: Life;
}

/** More rounds without time passing than any real work takes. */
const RESTLESS = 20_000;

/** What dies together: an engine and its worker. */
export interface Life {
  alive: boolean;
}

export class SimulatedMachine {
  readonly random: SeededRandom;
  #now: number;
  #order = 0;
  #timers: SimTimer[] = [];
  #soon: { run: () => void; life: Life }[] = [];
  readonly #errors: unknown[] = [];

  constructor(seed: number, startAt = 1_800_000_000_000) {
    this.random = new SeededRandom(seed);
    this.#now = startAt;
  }

  now(): number {
    return this.#now;
  }

  soon(life: Life, run: () => void): void {
    this.#soon.push({ run, life });
  }

  /** Returns the function that disarms it. */
  timer(life: Life, delayMs: number, run: () => void): () => void {
    if (!(delayMs >= 0) || delayMs >= 2 ** 31) throw new Error(`a timer of ${delayMs} ms`);
    const t = { at: this.#now + delayMs, order: this.#order++, run, life };
    this.#timers.push(t);
    return () => {
      const i = this.#timers.indexOf(t);
      if (i >= 0) this.#timers.splice(i, 1);
    };
  }

  /** Runs everything that is due at this instant, promises included, until nothing is left. */
  async settle(): Promise<void> {
    let rounds = 0;
    for (let idle = 0; idle < 3; ) {
      if (++rounds > RESTLESS) throw new Error(`after ${RESTLESS} rounds at one instant there is still something to do: a loop that never rests`);
      await new Promise<void>((resolve) => setImmediate(resolve));
      const batch = this.#soon;
      if (batch.length === 0) idle++;
      else idle = 0;
      this.#soon = [];
      for (const { run, life } of batch) if (life.alive) run();
      const failed = this.#errors.shift();
      if (failed !== undefined) throw failed;
    }
  }

  /** One round of what waits, without waiting for the rest: the places at which a kill is interesting. */
  async stepOnce(): Promise<boolean> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    const batch = this.#soon;
    this.#soon = [];
    for (const { run, life } of batch) if (life.alive) run();
    const failed = this.#errors.shift();
    if (failed !== undefined) throw failed;
    return batch.length > 0;
  }

  /** The next timer's time, or null. */
  nextAt(): number | null {
    this.#timers = this.#timers.filter((t) => t.life.alive);
    return this.#timers.length === 0 ? null : Math.min(...this.#timers.map((t) => t.at));
  }

  /** Moves to the next timer (at most to `until`) and fires what is due there. False when there was none. */
  fireNext(until = Number.POSITIVE_INFINITY): boolean {
    const at = this.nextAt();
    if (at === null || at > until) return false;
    this.#now = Math.max(this.#now, at);
    const due = this.#timers.filter((t) => t.at <= this.#now).sort((a, b) => a.at - b.at || a.order - b.order);
    this.#timers = this.#timers.filter((t) => t.at > this.#now);
    for (const t of due) if (t.life.alive) t.run();
    return true;
  }

  /** Settles and fires until the clock stands at `until`. */
  async advanceTo(until: number): Promise<void> {
    await this.settle();
    while (this.fireNext(until)) await this.settle();
    this.#now = Math.max(this.#now, until);
  }

  advanceBy(ms: number): Promise<void> {
    return this.advanceTo(this.#now + ms);
  }

  /** Time passes while nobody runs. */
  skip(ms: number): void {
    this.#now += ms;
  }

  /** Until `done` says so; throws after `limitMs` of simulated time. */
  async runUntil(done: () => boolean, limitMs: number, what: string): Promise<void> {
    const limit = this.#now + limitMs;
    await this.settle();
    while (!done()) {
      if (!this.fireNext(limit)) throw new Error(`${what}: nothing more happened (clock ${this.#now}, limit ${limit})`);
      await this.settle();
    }
  }

  /** An assertion that failed inside a callback of the engine, to be thrown from the test's own stack. */
  report(e: unknown): void {
    this.#errors.push(e);
  }

  guard(run: () => void): void {
    try {
      run();
    } catch (e) {
      this.report(e);
    }
  }

  throwReported(): void {
    const failed = this.#errors.shift();
    if (failed !== undefined) throw failed;
  }
}
