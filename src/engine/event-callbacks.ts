/** Callbacks on the log of all tasks: each is a stream that is read for the caller. What a callback throws harms nobody else. */
import { isTuttiError } from '../core/errors.ts';
import type { AllEvents } from './all-events.ts';
import { EventMatcher } from './event-filter.ts';
import type { Host } from './host.ts';
import type { EventFilter, GlobalEvent } from './views.ts';

const RETRY_MS = 1000;
/** A callback that always throws is told of at its first error and then at every so many. */
const LOG_EVERY = 1000;

export class EventCallbacks {
  readonly #events: AllEvents;
  readonly #host: Host;
  errors = 0;

  constructor(o: { events: AllEvents; host: Host }) {
    this.#events = o.events;
    this.#host = o.host;
  }

  /** Throws INVALID_INPUT. A cursor that is refused is logged, and nothing is called. */
  add(o: EventFilter & { after?: string }, fn: (e: GlobalEvent) => unknown): () => void {
    // Refused here, where the caller can see it.
    void new EventMatcher(o);
    const abort = new AbortController();
    const from = { place: o.after ?? 'now' };
    const open = (): AsyncIterable<GlobalEvent> =>
      this.#events.stream({ ...o, after: from.place, signal: abort.signal, onPosition: (cursor) => (from.place = cursor) });
    void this.#run(open, abort.signal, from, fn);
    return () => abort.abort();
  }

  async #run(open: () => AsyncIterable<GlobalEvent>, signal: AbortSignal, from: { place: string }, fn: (e: GlobalEvent) => unknown): Promise<void> {
    let events = open();
    for (;;) {
      try {
        for await (const e of events) {
          if (signal.aborted) return;
          await this.#call(fn, e);
          // Behind it only now: a store that fails in between must not make the callback miss one.
          if (e.cursor !== undefined) from.place = e.cursor;
        }
        return;
      } catch (e) {
        if (signal.aborted) return;
        const passing = isTuttiError(e) && e.code === 'STORE_UNAVAILABLE';
        this.#host.log(passing ? 'warn' : 'error', passing ? 'the log cannot be read for a callback; trying again' : 'a callback gets no more events', {
          message: e instanceof Error ? e.message : String(e),
        });
        if (!passing) return;
      }
      await new Promise<void>((resolve) => void this.#host.timer(RETRY_MS, resolve));
      events = open();
    }
  }

  async #call(fn: (e: GlobalEvent) => unknown, e: GlobalEvent): Promise<void> {
    try {
      await fn(e);
    } catch (thrown) {
      if (this.errors++ % LOG_EVERY === 0)
        this.#host.log('error', 'a callback of onEvent threw', { type: e.type, task: e.taskId, errors: this.errors, message: String(thrown) });
    }
  }
}
