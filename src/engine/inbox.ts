import type { ActorMetrics } from './facade.ts';

/**
 * What waits to enter a turn. Bounded (I11): `offer` says no when it is full. Commands of a refused commit come back at the head in
 * their order, above the bound if need be: they were accepted once.
 */
export class Inbox<T> {
  readonly capacity: number;
  readonly name: ActorMetrics['name'];
  accepted = 0;
  refused = 0;
  handled = 0;
  timeMs = 0;
  #items: T[] = [];
  #head = 0;
  #roomWaiters: (() => void)[] = [];

  constructor(name: ActorMetrics['name'], capacity: number) {
    this.name = name;
    this.capacity = capacity;
  }

  get depth(): number {
    return this.#items.length - this.#head;
  }

  get full(): boolean {
    return this.depth >= this.capacity;
  }

  offer(item: T): boolean {
    if (this.full) {
      this.refused++;
      return false;
    }
    this.accepted++;
    this.#items.push(item);
    return true;
  }

  /** Continuations of what was accepted before: never refused. */
  force(item: T): void {
    this.accepted++;
    this.#items.push(item);
  }

  take(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined as T;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > 4096) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    if (this.#roomWaiters.length > 0 && !this.full) this.#roomWaiters.shift()!();
    return item;
  }

  putBack(items: readonly T[]): void {
    if (items.length === 0) return;
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
  }

  /** Resolves when an item has left and there may be room; ask again then. */
  room(): Promise<void> {
    return this.full ? new Promise((resolve) => this.#roomWaiters.push(resolve)) : Promise.resolve();
  }

  /** Whoever was told of room and does not take it tells the next: an empty inbox wakes nobody. */
  passOn(): void {
    if (!this.full) this.#roomWaiters.shift()?.();
  }

  metrics(): ActorMetrics {
    return {
      name: this.name,
      depth: this.depth,
      capacity: this.capacity,
      accepted: this.accepted,
      refused: this.refused,
      handled: this.handled,
      timeMs: this.timeMs,
    };
  }
}
