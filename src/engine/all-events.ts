/**
 * Events of all tasks, from the one durable log. Nothing is buffered for a reader: a stream knows its place, reads the log in pages from
 * there and waits for a hint that it has grown (I13). The store reads pages away from the loop; what does not match is dropped here.
 *
 * Rows go with their task when it is removed. A cursor carries how far removals had gone when it was given; if a row behind it, and
 * beyond those, has been removed since, who comes back with it has missed something and is told so (GONE). An open stream passes over
 * removed tasks, and so does one that reads history in which there were gaps already.
 */
import { isTuttiError, TuttiError } from '../core/errors.ts';
import { type LoggedEvent, readLog } from '../core/log.ts';
import type { LogBounds, Store } from '../store/store.ts';
import type { Active } from './dispatcher.ts';
import type { EventFeed } from './event-feed.ts';
import { EventMatcher, type TemplateRef } from './event-filter.ts';
import type { EventSpelling } from './event-spelling.ts';
import { type LogPlace, readCursor, writeCursor } from './log-cursor.ts';
import type { StepNames } from './step-names.ts';
import type { EventFilter, EventPage, GlobalEvent, TaskEvent } from './views.ts';

const ROWS = 200;
/** Pages of the log that one page of events may look through. */
const PAGES = 10;
export const EVENTS_AT_ONCE = 1000;

export interface AllEventsParts {
  store: Store;
  feed: EventFeed;
  spelling: EventSpelling;
  templateOf: (template: number | null) => TemplateRef;
  names: StepNames;
  /** The number of a task that exists; rejects with INVALID_ID, NOT_FOUND. */
  taskOf: (id: string) => Promise<number>;
  pause: () => Promise<void>;
  stopped: () => boolean;
}

/** One reader: what it wants and where it is. */
interface Reading {
  matcher: EventMatcher;
  task: number | undefined;
  place: LogPlace;
}

/** A row of the log, read. */
interface ReadRow {
  id: number;
  task: number;
  template: number | null;
  ref: TemplateRef;
  /** Empty where nothing of this row is wanted. */
  events: readonly LoggedEvent[];
}

type Options = EventFilter & { after?: string };

export class AllEvents {
  readonly #p: AllEventsParts;

  constructor(parts: AllEventsParts) {
    this.#p = parts;
  }

  /** Begins with the call, not with the first event that is asked for; what is refused is refused with that event. */
  stream(o: Options & { signal?: AbortSignal; onPosition?: (cursor: string) => void }): AsyncGenerator<GlobalEvent, void, undefined> {
    const reading = this.#begin(o);
    // It is told to whoever asks for the first event; nobody may.
    reading.catch(() => {});
    return this.#follow(reading, o.signal, o.onPosition);
  }

  async page(o: Options & { limit?: number }): Promise<EventPage> {
    const limit = o.limit ?? 100;
    if (!Number.isInteger(limit) || limit < 1 || limit > EVENTS_AT_ONCE)
      throw new TuttiError('INVALID_INPUT', `limit must be an integer from 1 to ${EVENTS_AT_ONCE}`, { field: 'limit' });
    const r = await this.#begin(o);
    const events: GlobalEvent[] = [];
    for (let pages = 0; pages < PAGES; pages++) {
      const { rows, more } = await this.#read(r);
      for (const e of this.#pick(r, rows)) {
        events.push(e);
        if (events.length === limit) return { events, nextCursor: e.cursor, hasMore: more || r.place.part > 0 || r.place.row < rows[rows.length - 1].id };
      }
      if (!more) return { events, nextCursor: this.#cursor(r.place), hasMore: false };
      await this.#p.pause();
    }
    return { events, nextCursor: this.#cursor(r.place), hasMore: true };
  }

  async #begin(o: Options): Promise<Reading> {
    const matcher = new EventMatcher(o);
    // Asked before anything is waited for, so that "now" is the moment of the call.
    const bounds = this.#ask(() => this.#p.store.logBounds());
    bounds.catch(() => {});
    const task = o.taskId === undefined ? undefined : await this.#p.taskOf(o.taskId);
    return { matcher, task, place: this.#place(o.after, await bounds, task) };
  }

  #place(after: string | undefined, { highest, removed }: LogBounds, task: number | undefined): LogPlace {
    if (after === undefined) return { row: 0, part: 0, removed };
    if (after === 'now') return { row: highest, part: 0, removed };
    const p = readCursor(after, this.#p.store.tag);
    if (p.row > highest) throw new TuttiError('INVALID_CURSOR', 'the cursor lies beyond the end of this log', { field: 'after' });
    // A task that exists has all its rows.
    const lost = task === undefined && removed > p.removed && (p.part === 0 ? removed > p.row : removed >= p.row);
    if (lost) {
      throw new TuttiError('GONE', 'events behind this cursor were removed with their tasks; begin without a cursor, or with "now"', { field: 'after' });
    }
    return p;
  }

  async *#follow(
    begun: Promise<Reading>,
    signal: AbortSignal | undefined,
    onPosition: ((cursor: string) => void) | undefined,
  ): AsyncGenerator<GlobalEvent, void, undefined> {
    let r: Reading;
    try {
      r = await begun;
    } catch (e) {
      if (this.#p.stopped() && isTuttiError(e) && e.code === 'STORE_UNAVAILABLE') return;
      throw e;
    }
    const over = (): boolean => signal?.aborted === true || this.#p.stopped();
    let hint = false;
    let resume: (() => void) | null = null;
    const wake = (): void => {
      hint = true;
      resume?.();
    };
    /** Newest value of each running attempt, until it is told. */
    const news = new Map<string, Active>();
    const progress = (a: Active): void => {
      if (r.task !== undefined && a.task !== r.task) return;
      news.set(`${a.task}/${a.no}`, a);
      wake();
    };
    const deaf = this.#p.feed.listen(r.matcher.progress ? { wake, progress } : { wake });
    signal?.addEventListener('abort', wake);
    try {
      onPosition?.(this.#cursor(r.place));
      while (!over()) {
        hint = false;
        const before = r.place.row;
        const found = await this.#read(r).catch((e: unknown) => {
          if (over()) return null;
          throw e;
        });
        if (found === null) return;
        for (const e of this.#pick(r, found.rows)) {
          yield e;
          if (over()) return;
        }
        if (r.place.row !== before) onPosition?.(this.#cursor(r.place));
        if (found.more) {
          await this.#p.pause();
          continue;
        }
        for (const [key, a] of news) {
          news.delete(key);
          const e = a.progress === null ? undefined : this.#progress(r, a);
          if (e !== undefined) yield e;
        }
        if (!hint && !over()) await new Promise<void>((go) => (resume = go));
        resume = null;
      }
    } finally {
      deaf();
      signal?.removeEventListener('abort', wake);
    }
  }

  /** The next rows. Bounds first: what was removed up to then is the least that the reader's next cursor must know of. */
  async #read(r: Reading): Promise<{ rows: ReadRow[]; more: boolean }> {
    const { store, names, templateOf } = this.#p;
    return await this.#ask(async () => {
      const { highest, removed } = await store.logBounds();
      const after = r.place.part === 0 ? r.place.row : r.place.row - 1;
      const stored = highest <= after ? [] : await store.logAll({ after, limit: ROWS, task: r.task });
      r.place = { ...r.place, removed };
      // Nothing is left below the end: the place is the end, whatever was removed or belongs to others on the way.
      if (stored.length === 0 && highest > r.place.row) r.place = { row: highest, part: 0, removed };
      const rows: ReadRow[] = [];
      for (const s of stored) {
        const ref = templateOf(s.template);
        const events = r.matcher.admits(ref) ? readLog(s) : [];
        const learning = names.learn(s.task, s.template, events);
        if (learning !== undefined) await learning;
        rows.push({ id: s.id, task: s.task, template: s.template, ref, events });
      }
      return { rows, more: rows.length > 0 && rows[rows.length - 1].id < highest };
    });
  }

  /** What matches, in order. The place moves along: with each event, and to the end of the rows after the last. */
  *#pick(r: Reading, rows: readonly ReadRow[]): Generator<GlobalEvent & { cursor: string }> {
    for (const row of rows) {
      const { events } = row;
      const nameOf = (task: number, no: number): string => this.#p.names.of(task, row.template, no);
      for (let i = row.id === r.place.row ? r.place.part : 0; i < events.length; i++) {
        const spelt = this.#p.spelling.event(row.task, events[i], nameOf);
        if (!r.matcher.matches(spelt)) continue;
        r.place = { row: row.id, part: i + 1 < events.length ? i + 1 : 0, removed: r.place.removed };
        yield { ...global(spelt, row.ref), cursor: this.#cursor(r.place) };
      }
      r.place = { row: row.id, part: 0, removed: r.place.removed };
    }
  }

  #progress(r: Reading, a: Active): GlobalEvent | undefined {
    const template = this.#p.templateOf(a.graph.template);
    if (!r.matcher.admits(template)) return undefined;
    const spelt = this.#p.spelling.progress(a, (task, no) => this.#p.names.of(task, a.graph.template, no));
    return global(spelt, template);
  }

  /** Whatever the store throws becomes an error of the registry. */
  async #ask<T>(ask: () => T | Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (e) {
      throw new TuttiError('STORE_UNAVAILABLE', 'The log cannot be read at the moment.', { retryAfter: 5, cause: e });
    }
  }

  #cursor(p: LogPlace): string {
    return writeCursor(p, this.#p.store.tag);
  }
}

/** `last` is said to a stream of one task only: this one does not close there. */
const global = ({ last: _, ...e }: TaskEvent, t: TemplateRef): GlobalEvent => ({ ...e, namespace: t.namespace, name: t.name });
