/**
 * Events of a task, from its durable log. A stream asks the log, then waits for a hint that there is more (I13): nothing is buffered
 * for a slow reader, nothing is lost or doubled across a reconnect. Progress is woven in, newest value only, without a seq.
 */
import { type LoggedEvent, readLog } from '../core/log.ts';
import type { Store } from '../store/store.ts';
import type { Active } from './dispatcher.ts';
import type { EventSpelling, NameOf } from './event-spelling.ts';
import type { TaskEvent } from './views.ts';

interface Subscriber {
  wake: () => void;
  progress: Map<number, Active>;
}

/** Hears of every task. */
export interface Listener {
  /** The log has grown. */
  wake: () => void;
  progress?: (a: Active) => void;
}

const PAGE = 100;

export class EventFeed {
  readonly #store: Store;
  readonly #spelling: EventSpelling;
  readonly #subscribers = new Map<number, Set<Subscriber>>();
  readonly #listeners = new Set<Listener>();

  constructor(o: { store: Store; spelling: EventSpelling }) {
    this.#store = o.store;
    this.#spelling = o.spelling;
  }

  get watched(): boolean {
    return this.#subscribers.size > 0 || this.#listeners.size > 0;
  }

  /** The log of this task has grown. */
  changed(task: number): void {
    const subs = this.#subscribers.get(task);
    if (subs !== undefined) for (const s of subs) s.wake();
    for (const l of this.#listeners) l.wake();
  }

  /** Until the function it gives is called. */
  listen(l: Listener): () => void {
    this.#listeners.add(l);
    return () => void this.#listeners.delete(l);
  }

  progress(a: Active): void {
    for (const l of this.#listeners) l.progress?.(a);
    const subs = this.#subscribers.get(a.task);
    if (subs === undefined) return;
    for (const s of subs) {
      s.progress.set(a.no, a);
      s.wake();
    }
  }

  closeAll(): void {
    for (const subs of this.#subscribers.values()) for (const s of subs) s.wake();
    for (const l of this.#listeners) l.wake();
  }

  async *events(o: {
    task: number;
    nameOf: NameOf;
    /** Finds the names of the steps that these events tell of, where they are not at hand. */
    learn: (task: number, events: readonly LoggedEvent[]) => Promise<void> | undefined;
    after: number;
    ended: () => boolean;
    terminal: () => Promise<boolean>;
    signal: AbortSignal | undefined;
  }): AsyncGenerator<TaskEvent> {
    let hint = false;
    let wake: (() => void) | null = null;
    const sub: Subscriber = {
      progress: new Map(),
      wake: () => {
        hint = true;
        wake?.();
      },
    };
    const onAbort = (): void => sub.wake();
    o.signal?.addEventListener('abort', onAbort);
    let subs = this.#subscribers.get(o.task);
    if (subs === undefined) this.#subscribers.set(o.task, (subs = new Set()));
    subs.add(sub);
    try {
      let after = o.after;
      while (!o.signal?.aborted && !o.ended()) {
        hint = false;
        const rows = await this.#store.log({ task: o.task, after, limit: PAGE });
        for (const row of rows) {
          const events = readLog(row);
          const learning = o.learn(o.task, events);
          if (learning !== undefined) await learning;
          for (const e of events) {
            if (e.seq <= after) continue;
            if (o.signal?.aborted) return;
            const last = e.kind === 'task' && e.last;
            after = e.seq;
            yield this.#spelling.event(o.task, e, o.nameOf);
            if (last && (await this.#isLast(o.task, after))) return;
          }
        }
        if (rows.length === PAGE) continue;
        for (const [no, a] of sub.progress) {
          sub.progress.delete(no);
          if (a.progress !== null) yield this.#spelling.progress(a, o.nameOf);
        }
        if (rows.length === 0 && !hint && (await o.terminal())) return;
        if (!hint) await new Promise<void>((resolve) => (wake = resolve));
        wake = null;
      }
    } finally {
      o.signal?.removeEventListener('abort', onAbort);
      subs.delete(sub);
      if (subs.size === 0) this.#subscribers.delete(o.task);
    }
  }

  /** A terminal state ends the stream unless the task was reopened after it. */
  async #isLast(task: number, after: number): Promise<boolean> {
    for (const row of await this.#store.log({ task, after, limit: PAGE })) {
      for (const e of readLog(row)) if (e.seq > after && e.kind === 'task') return false;
    }
    return true;
  }
}
