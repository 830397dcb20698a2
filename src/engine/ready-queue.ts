import type { TaskGraph } from '../core/graph.ts';

export interface ReadyEntry {
  graph: TaskGraph;
  no: number;
  rank: number;
}

/**
 * Ready steps in the order of their rank, then task, then step number: a binary heap. Entries are never removed from the middle;
 * one is void when its step is not ready any more or has another rank, and is dropped when it surfaces.
 */
export class ReadyQueue {
  #heap: ReadyEntry[] = [];

  get size(): number {
    return this.#heap.length;
  }

  push(e: ReadyEntry): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(e);
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!before(e, heap[up])) break;
      heap[i] = heap[up];
      i = up;
    }
    heap[i] = e;
  }

  peek(): ReadyEntry | undefined {
    while (this.#heap.length > 0) {
      const e = this.#heap[0];
      if (e.graph.ready.get(e.no) === e.rank) return e;
      this.pop();
    }
    return undefined;
  }

  pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], last)) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = last;
  }

  /** Drops void entries, and with them the graphs they hold. */
  compact(): void {
    const valid = this.#heap.filter((e) => e.graph.ready.get(e.no) === e.rank);
    this.#heap = [];
    for (const e of valid) this.push(e);
  }

  /** How many valid entries go before this one. For explain; walks the heap. */
  ahead(graph: TaskGraph, no: number): number {
    const rank = graph.ready.get(no);
    if (rank === undefined) return 0;
    const mine = { graph, no, rank };
    let n = 0;
    for (const e of this.#heap) if (e.graph.ready.get(e.no) === e.rank && before(e, mine)) n++;
    return n;
  }
}

const before = (a: ReadyEntry, b: ReadyEntry): boolean => (a.rank !== b.rank ? a.rank < b.rank : a.graph !== b.graph ? a.graph.id < b.graph.id : a.no < b.no);
