/**
 * What is due when. The store's wake_at is the truth for retries and deadlines (I13); this holds those of the next minute, and the
 * timeouts and graces of running attempts, which die with the process and need no row. An entry may be stale or doubled: whoever
 * takes it checks what it finds.
 */
import type { Host } from './host.ts';

export type TimerKind = 'retry' | 'deadline' | 'timeout' | 'heartbeat' | 'grace';

export interface DueTimer {
  at: number;
  kind: TimerKind;
  task: number;
  no: number;
  token: number;
}

/** Only what is due within this is held in memory. */
export const HORIZON_MS = 60_000;
const LONGEST = 2 ** 31 - 1;
/** Entries that are never too many. */
const FEW = 2000;

export class Timers {
  readonly #host: Host;
  readonly #onDue: () => void;
  #heap: DueTimer[] = [];
  /** Above so many it is looked whether they are wanted. */
  #sweepAbove = FEW;
  #armedFor = Number.POSITIVE_INFINITY;
  #disarm: (() => void) | null = null;

  constructor(host: Host, onDue: () => void) {
    this.#host = host;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(t: DueTimer): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(t);
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (heap[up].at <= t.at) break;
      heap[i] = heap[up];
      i = up;
    }
    heap[i] = t;
    if (t.at < this.#armedFor) this.#arm();
  }

  get anyDue(): boolean {
    return this.#heap.length > 0 && this.#heap[0].at <= this.#host.now();
  }

  /** The next due entry, removed; undefined when nothing is due. */
  takeDue(now: number): DueTimer | undefined {
    const heap = this.#heap;
    if (heap.length === 0 || heap[0].at > now) return undefined;
    const due = heap[0];
    const last = heap.pop()!;
    if (heap.length > 0) this.#sink(last, 0);
    return due;
  }

  /** Puts it at a place, or below it where earlier ones are. */
  #sink(t: DueTimer, at: number): void {
    const heap = this.#heap;
    let i = at;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1].at < heap[child].at) child++;
      if (heap[child].at >= t.at) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = t;
  }

  /**
   * Gives up entries that are not wanted any more, where there are many of them: attempts end long before their times, which would stay until
   * they are due. Looks at all only when they have doubled since it last did, so that it costs each entry little.
   */
  sweep(isWanted: (t: DueTimer) => boolean): void {
    if (this.#heap.length <= this.#sweepAbove) return;
    const kept = this.#heap.filter(isWanted);
    this.#heap = kept;
    for (let i = (kept.length >> 1) - 1; i >= 0; i--) this.#sink(kept[i], i);
    this.#sweepAbove = Math.max(FEW, this.#heap.length * 2);
  }

  /** Arms the host's timer for the earliest entry; call after taking. */
  rearm(): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    this.#arm();
  }

  stop(): void {
    this.#disarm?.();
    this.#heap = [];
  }

  #arm(): void {
    if (this.#heap.length === 0) return;
    this.#disarm?.();
    this.#armedFor = this.#heap[0].at;
    const wait = Math.min(LONGEST, Math.max(0, Math.ceil(this.#armedFor - this.#host.now())));
    this.#disarm = this.#host.timer(wait, () => {
      this.#armedFor = Number.POSITIVE_INFINITY;
      this.#disarm = null;
      if (this.anyDue) this.#onDue();
      else this.#arm();
    });
  }
}
