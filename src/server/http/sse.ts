/**
 * Events of a task, or of all, as server-sent events. The log is pulled one event at a time and the next is asked for only when the socket has taken
 * the last, so that a slow reader costs a place in the log and no memory.
 */
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { eventToWire, globalEventToWire } from '../../contract/to-wire.ts';
import { isTuttiError, TuttiError } from '../../core/errors.ts';
import type { EventFilter, GlobalEvent, TaskEvent } from '../../engine/views.ts';
import type { Call } from './call.ts';
import type { HttpCounters } from './http-counters.ts';

/** How long the engine may take to refuse a cursor before the headers go out; a refusal after that is an `error` event. */
const OPENING_MS = 50;
/** Heartbeats that a reader may leave unread before it counts as gone. */
const STALLS = 4;

export class EventStreams {
  readonly #open = new Set<AbortController>();
  readonly #heartbeatMs: number;
  readonly #counters: HttpCounters;

  constructor(o: { heartbeatMs: number; counters: HttpCounters }) {
    this.#heartbeatMs = o.heartbeatMs;
    this.#counters = o.counters;
  }

  /** Ends every open stream; clients come back with Last-Event-ID. */
  close(): void {
    for (const c of this.#open) c.abort();
  }

  async serve(call: Call<'taskEvents'>): Promise<FastifyReply | undefined> {
    const { engine, params, request, reply } = call;
    const after = cursorOf(request.headers['last-event-id'], call.query.after);
    await engine.task(params.id);
    return await this.#serve(reply, (stream, signal) => stream.run(engine.events(params.id, { after, signal }), frame));
  }

  /** `after` is a cursor or `now`; Last-Event-ID goes before it. */
  async serveAll(call: Call<'allEvents'>, filter: EventFilter & { after?: string }): Promise<FastifyReply | undefined> {
    const header = call.request.headers['last-event-id'];
    const after = header === undefined || header === '' ? filter.after : String(header);
    return await this.#serve(call.reply, (stream, signal) => {
      const events = call.engine.allEvents({ ...filter, after, signal, onPosition: (cursor) => stream.passed(cursor) });
      return stream.run(events, globalFrame, { endless: true });
    });
  }

  async #serve(reply: FastifyReply, run: (stream: EventStream, signal: AbortSignal) => Promise<FastifyReply | undefined>): Promise<FastifyReply | undefined> {
    const abort = new AbortController();
    const stream = new EventStream(reply, abort.signal, this.#heartbeatMs);
    const gone = (): void => abort.abort();
    reply.raw.once('close', gone);
    this.#open.add(abort);
    this.#counters.streams++;
    try {
      return await run(stream, abort.signal);
    } finally {
      this.#counters.streams--;
      this.#open.delete(abort);
      reply.raw.off('close', gone);
    }
  }
}

function cursorOf(header: string | string[] | undefined, query: string | undefined): number {
  const [field, text] = header === undefined || header === '' ? ['after', query] : ['Last-Event-ID', String(header)];
  if (text === undefined) return 0;
  if (!/^\d{1,15}$/.test(text)) throw new TuttiError('INVALID_CURSOR', `${field} must be the id of an event of this task: a whole number`, { field });
  return Number(text);
}

class EventStream {
  readonly #reply: FastifyReply;
  readonly #raw: ServerResponse;
  readonly #signal: AbortSignal;
  readonly #heartbeatMs: number;
  #stalls = 0;
  /** How far the log was read beyond the last event sent; not told yet. */
  #passed: string | undefined;
  /** Given with the first place: the engine has accepted the cursor, so the headers need not wait for an event. */
  readonly #accepted = Promise.withResolvers<undefined>();
  #wake: (() => void) | undefined;

  constructor(reply: FastifyReply, signal: AbortSignal, heartbeatMs: number) {
    this.#reply = reply;
    this.#raw = reply.raw;
    this.#signal = signal;
    this.#heartbeatMs = heartbeatMs;
  }

  /** Nothing up to here is left to send. The client is told when the stream is idle, so that its cursor does not grow old. */
  passed(cursor: string): void {
    this.#passed = cursor;
    this.#accepted.resolve(undefined);
  }

  /** `endless`: a stream that ends by itself ended because the engine stopped. */
  async run<E>(events: AsyncIterable<E>, frameOf: (e: E) => string, o: { endless?: boolean } = {}): Promise<FastifyReply | undefined> {
    const iterator = events[Symbol.asyncIterator]();
    let next = iterator.next();
    // Whatever the engine refuses, it refuses with the first event: an error before the headers is an ordinary answer.
    const first = await Promise.race([next, this.#silence(), this.#accepted.promise]);
    if (this.#signal.aborted) return this.#abandon(iterator, next);
    if (first?.done && o.endless) return this.#abandon(iterator, next);
    if (first?.done) return this.#reply.code(204).send();
    this.#open();
    try {
      for (let item = await next; !item.done; item = await next) {
        if (this.#signal.aborted) break;
        const text = frameOf(item.value);
        // An id of its own says more than the place before it.
        if (text.startsWith('id: ')) this.#passed = undefined;
        if (!this.#raw.write(text)) await this.#drained();
        next = iterator.next();
      }
    } catch (e) {
      this.#fail(e);
    } finally {
      this.#close();
      void iterator.return?.()?.catch(() => {});
    }
    return undefined;
  }

  /** Resolves when the socket has been idle for a moment. A timer of the socket: nothing is left behind when it is not needed. */
  #silence(): Promise<undefined> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#raw.off('timeout', done);
        resolve(undefined);
      };
      this.#raw.on('timeout', done);
      this.#raw.setTimeout(OPENING_MS);
      this.#signal.addEventListener('abort', done, { once: true });
    });
  }

  #open(): void {
    this.#reply.hijack();
    for (const [name, value] of Object.entries(this.#reply.getHeaders())) if (value !== undefined) this.#raw.setHeader(name, value as string);
    this.#raw.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' });
    this.#raw.write(`${this.#mark()}retry: 1000\n\n`);
    this.#raw.removeAllListeners('timeout');
    this.#raw.on('timeout', this.#onIdle);
    this.#raw.setTimeout(this.#heartbeatMs);
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  readonly #onIdle = (): void => {
    if (this.#wake === undefined) this.#raw.write(`${this.#mark()}: still here\n\n`);
    else if (++this.#stalls >= STALLS) this.#raw.destroy();
    else this.#raw.setTimeout(this.#heartbeatMs);
  };

  /** An id without data moves the client's Last-Event-ID and is no event. */
  #mark(): string {
    const mark = this.#passed === undefined ? '' : `id: ${this.#passed}\n`;
    this.#passed = undefined;
    return mark;
  }

  readonly #onAbort = (): void => {
    this.#wake?.();
    if (!this.#raw.destroyed && !this.#raw.writableEnded) this.#raw.end();
  };

  async #drained(): Promise<void> {
    if (this.#raw.destroyed || this.#signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#raw.once('drain', resolve);
    });
    if (this.#wake) this.#raw.off('drain', this.#wake);
    this.#wake = undefined;
    this.#stalls = 0;
  }

  #fail(e: unknown): void {
    if (this.#signal.aborted) return;
    const known = isTuttiError(e) && e.code !== 'INTERNAL';
    if (!known) this.#reply.request.log.error({ err: e, request_id: this.#reply.request.id }, 'event stream failed');
    const error = known ? { code: e.code, message: e.message } : { code: 'INTERNAL', message: 'the stream broke; the log of the server has the details' };
    this.#raw.write(`event: error\ndata: ${JSON.stringify({ error: { ...error, request_id: this.#reply.request.id } })}\n\n`);
  }

  #close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#raw.off('timeout', this.#onIdle);
    if (!this.#raw.writableEnded && !this.#raw.destroyed) this.#raw.end();
  }

  /** The client left, or the server is closing, before anything was sent. */
  #abandon(iterator: AsyncIterator<unknown>, next: Promise<unknown>): FastifyReply {
    next.catch(() => {});
    void iterator.return?.()?.catch(() => {});
    throw new TuttiError('SHUTTING_DOWN', 'the server is closing; come back in a moment', { retryAfter: 1 });
  }
}

/** JSON text holds no line break, so one data line is enough. */
const frame = (e: TaskEvent): string => `${e.seq === undefined ? '' : `id: ${e.seq}\n`}event: ${e.type}\ndata: ${JSON.stringify(eventToWire(e))}\n\n`;

const globalFrame = (e: GlobalEvent): string =>
  `${e.cursor === undefined ? '' : `id: ${e.cursor}\n`}event: ${e.type}\ndata: ${JSON.stringify(globalEventToWire(e))}\n\n`;
