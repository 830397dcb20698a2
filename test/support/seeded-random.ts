/** A small seeded generator (mulberry32), independent of the engine's own hashing. The same seed gives the same run. */
export class SeededRandom {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed ^ 0x6d2b79f5) >>> 0;
  }

  /** [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** An integer in [from, to]. */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(p: number): boolean {
    return this.next() < p;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)];
  }

  /** Another generator, so that one part's draws do not shift those of another. */
  fork(): SeededRandom {
    return new SeededRandom(Math.floor(this.next() * 0x1_0000_0000));
  }
}

/** A stateless draw in [0, 1) from some integers: the behaviour of (task, step, attempt) whatever order things happen in. */
export function drawOf(...parts: number[]): number {
  let h = 0x811c9dc5;
  for (const p of parts) {
    for (const word of [p >>> 0, Math.floor(p / 0x1_0000_0000)]) {
      h = Math.imul(h ^ word, 0x01000193);
      h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    }
  }
  return new SeededRandom(h).next();
}

/** A generator of its own for each of these. */
export const randomOf = (...parts: number[]): SeededRandom => new SeededRandom(Math.floor(drawOf(...parts) * 2 ** 32));
