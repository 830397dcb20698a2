/** Numbers by the time at which each is due, earliest first. An entry may be stale or doubled: whoever takes it checks what it finds. */
export class DueQueue {
  readonly #heap: { at: number; id: number }[] = [];

  /** The earliest time; null: it is empty. */
  get first(): number | null {
    return this.#heap[0]?.at ?? null;
  }

  add(at: number, id: number): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push({ at, id });
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (heap[up].at <= at) break;
      [heap[up], heap[i]] = [heap[i], heap[up]];
      i = up;
    }
  }

  /** The earliest, removed, if it is due. */
  take(now: number): { at: number; id: number } | undefined {
    const heap = this.#heap;
    if (heap.length === 0 || heap[0].at > now) return undefined;
    const due = heap[0];
    const last = heap.pop()!;
    if (heap.length === 0) return due;
    heap[0] = last;
    for (let i = 0; ; ) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1].at < heap[child].at) child++;
      if (heap[child].at >= last.at) break;
      [heap[i], heap[child]] = [heap[child], heap[i]];
      i = child;
    }
    return due;
  }
}
