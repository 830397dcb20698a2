/**
 * Tutti over HTTP: the calls of the REST API, typed by src/contract. Errors are TuttiError with the server's code; a server that
 * cannot be reached is `ServerUnreachable`.
 */
import type {
  WireAuditRow,
  WireCopyPreview,
  WireEventPage,
  WireGlobalEvent,
  WireHandlerList,
  WireLogLine,
  WireStep,
  WireStepExplanation,
  WireTask,
  WireTaskEvent,
  WireTaskList,
  WireTemplateDetail,
  WireTemplateList,
  WireTemplateVersions,
  WireTree,
  WireTreeCreated,
} from '../../contract/wire.ts';
import { ERRORS, TuttiError } from '../../core/errors.ts';
import { readEventStream } from './event-stream.ts';
import { linesOf } from './lines-body.ts';
import { PlanClient } from './plan-client.ts';
import { ScheduleClient } from './schedule-client.ts';
import { TableClient } from './table-client.ts';
import { errorOf, refusalOf } from './server-refusal.ts';

export class ServerUnreachable extends Error {
  constructor(url: string, cause: unknown) {
    super(`cannot reach the server at ${url}: ${reasonOf(cause)}`, { cause });
    this.name = 'ServerUnreachable';
  }
}

const reasonOf = (e: unknown): string => {
  const inner = e instanceof Error && e.cause instanceof Error ? e.cause : e;
  const code = (inner as { code?: unknown }).code;
  return typeof code === 'string' ? code : inner instanceof Error ? inner.message : String(inner);
};

export interface HttpClientOptions {
  /** Such as `http://127.0.0.1:8080`. */
  url: string;
  apiKey?: string;
  /** For one answer (not for event streams). Default 30,000. */
  timeoutMs?: number;
  /** Waits before a broken event stream is taken up again (I12: no clock of its own). Resolves early, without throwing, when `signal` aborts. */
  wait: (ms: number, signal?: AbortSignal) => Promise<void>;
}

export interface CreateTask {
  namespace: string;
  name: string;
  version?: string;
  context?: unknown;
  priority?: number;
  tags?: string[];
  key?: string;
  initiator?: string;
  source_system?: string;
  reason?: string;
}

export interface CreateTree {
  /** False: stored, and nothing runs until `executeTree`. */
  execute?: boolean;
  key?: string;
  tag?: readonly string[];
  priority?: number;
}

export interface ListTasks {
  status?: string;
  namespace?: string;
  name?: string;
  version?: string;
  initiator?: string;
  source_system?: string;
  tag?: string;
  key?: string;
  cursor?: string;
  limit?: number;
}

/** Which events of all tasks; what is absent admits all. */
export interface AllEventsFilter {
  /** Any of these. */
  types?: readonly string[];
  taskId?: string;
  namespace?: string;
  name?: string;
  /** States of tasks or steps, any of these. */
  states?: readonly string[];
}

export interface FollowOptions {
  signal?: AbortSignal;
  /** Tries in a row that may bring nothing. Default 20. */
  patience?: number;
  onReconnect?: (tries: number) => void;
}

export class HttpClient {
  readonly url: string;
  readonly #apiKey: string | undefined;
  readonly #timeoutMs: number;
  readonly #wait: HttpClientOptions['wait'];
  readonly plans = new PlanClient((method, path, o) => this.#call(method, path, o));
  readonly schedules = new ScheduleClient((method, path, o) => this.#call(method, path, o));
  readonly tables = new TableClient((method, path, o) => this.#call(method, path, o));

  constructor(o: HttpClientOptions) {
    let url: URL;
    try {
      url = new URL(o.url);
    } catch {
      throw new TuttiError('INVALID_INPUT', `${JSON.stringify(o.url)} is no address of a server`, { field: 'url' });
    }
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
      throw new TuttiError('INVALID_INPUT', `the address of a server begins with http:// or https://, not ${url.protocol}`, { field: 'url' });
    this.url = url.href.replace(/\/+$/, '');
    this.#apiKey = o.apiKey;
    this.#timeoutMs = o.timeoutMs ?? 30_000;
    this.#wait = o.wait;
  }

  createTask(body: CreateTask): Promise<WireTask> {
    return this.#call('POST', '/v1/tasks', { body });
  }

  /** Elements are sent one a line, as they come, so that neither side holds the whole tree. */
  createTree(elements: Iterable<unknown> | AsyncIterable<unknown>, query: CreateTree = {}): Promise<WireTreeCreated> {
    return this.#call('POST', '/v1/trees', {
      query: { ...query, execute: query.execute === undefined ? undefined : String(query.execute), tag: query.tag?.join(',') },
      lines: elements,
    });
  }

  executeTree(id: string): Promise<WireTask> {
    return this.#call('POST', `/v1/trees/${encodeURIComponent(id)}/execute`);
  }

  addSteps(id: string, elements: readonly unknown[]): Promise<WireStep[]> {
    return this.#call('POST', `/v1/trees/${encodeURIComponent(id)}/steps`, { body: elements });
  }

  tree(id: string, query: { parent?: string; cursor?: string; limit?: number; depth?: number } = {}): Promise<WireTree> {
    return this.#call('GET', `/v1/trees/${encodeURIComponent(id)}`, { query });
  }

  /** A step of any task, by its id or the id it was submitted with. */
  findStep(id: string): Promise<WireStep> {
    return this.#call('GET', `/v1/steps/${encodeURIComponent(id)}`);
  }

  cancelStep(id: string, ref: string, reason?: string): Promise<WireStep> {
    return this.#call('POST', `/v1/tasks/${encodeURIComponent(id)}/workflow_steps/${encodeURIComponent(ref)}/cancel`, {
      body: reason === undefined ? {} : { error_message: reason },
    });
  }

  task(id: string): Promise<WireTask> {
    return this.#call('GET', `/v1/tasks/${encodeURIComponent(id)}`);
  }

  list(query: ListTasks): Promise<WireTaskList> {
    return this.#call('GET', '/v1/tasks', { query: { ...query } });
  }

  steps(id: string): Promise<WireStep[]> {
    return this.#call('GET', `/v1/tasks/${encodeURIComponent(id)}/workflow_steps`);
  }

  /** By step id or name. */
  step(id: string, ref: string): Promise<WireStep> {
    return this.#call('GET', `/v1/tasks/${encodeURIComponent(id)}/workflow_steps/${encodeURIComponent(ref)}`);
  }

  audit(id: string): Promise<WireAuditRow[]> {
    return this.#call('GET', `/v1/tasks/${encodeURIComponent(id)}/audit`);
  }

  logLines(id: string, ref: string): Promise<WireLogLine[]> {
    return this.#call('GET', `/v1/tasks/${encodeURIComponent(id)}/workflow_steps/${encodeURIComponent(ref)}/log`);
  }

  explain(id: string, step?: string): Promise<WireStepExplanation[]> {
    return this.#call('GET', `/v1/tasks/${encodeURIComponent(id)}/explain`, { query: { step } });
  }

  cancel(id: string, errorMessage?: string): Promise<WireTask> {
    return this.#call('DELETE', `/v1/tasks/${encodeURIComponent(id)}`, errorMessage === undefined ? {} : { body: { error_message: errorMessage } });
  }

  /** A copy, link or archive of a task; with `save: false` the elements it would have. */
  copy(id: string, mode: 'copy' | 'link' | 'archive' | 'mixed', body: object = {}): Promise<WireTask | WireCopyPreview> {
    return this.#call('POST', `/v1/tasks/${encodeURIComponent(id)}/${mode}`, { body });
  }

  /** Runs again what failed of a task, and what depends on it. */
  resetTask(id: string): Promise<WireTask> {
    return this.#call('POST', `/v1/tasks/${encodeURIComponent(id)}/reset`);
  }

  /** The same of one step, by id or name. */
  resetStep(id: string, ref: string): Promise<WireStep> {
    return this.#call('POST', `/v1/tasks/${encodeURIComponent(id)}/workflow_steps/${encodeURIComponent(ref)}/reset`);
  }

  handlers(): Promise<WireHandlerList> {
    return this.#call('GET', '/v1/handlers');
  }

  templates(namespace?: string): Promise<WireTemplateList> {
    return this.#call('GET', '/v1/templates', { query: { namespace } });
  }

  template(namespace: string, name: string, version: string): Promise<WireTemplateDetail> {
    return this.#call('GET', `/v1/templates/${[namespace, name, version].map(encodeURIComponent).join('/')}`);
  }

  versions(namespace: string, name: string): Promise<WireTemplateVersions> {
    return this.#call('GET', `/v1/templates/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`);
  }

  /**
   * Events of a task from the durable log after `after`, then live ones; returns after the task's last event. A broken connection is
   * taken up again where it broke. Gives up with ServerUnreachable after `patience` tries in a row that brought nothing (default 20,
   * waits growing to 2 s).
   */
  async *events(id: string, o: FollowOptions & { after?: number } = {}): AsyncGenerator<WireTaskEvent, void, undefined> {
    let after = o.after ?? 0;
    yield* this.#follow<WireTaskEvent>(o, {
      path: `/v1/tasks/${encodeURIComponent(id)}/events`,
      lastEventId: () => (after > 0 ? String(after) : undefined),
      // False: it was told before.
      take: (event) => {
        if (event.seq === undefined) return true;
        if (event.seq <= after) return false;
        after = event.seq;
        return true;
      },
      isLast: (event) => event.last === true,
    });
  }

  /**
   * Events of all tasks behind the cursor `after` ('now': from here on; absent: all that is kept), then live ones, until `signal`. A broken
   * connection is taken up again where it broke, as above; a server that answers counts as something brought. Throws GONE when that place
   * is no longer kept, INVALID_INPUT, INVALID_CURSOR.
   */
  async *allEvents(o: FollowOptions & AllEventsFilter & { after?: string } = {}): AsyncGenerator<WireGlobalEvent, void, undefined> {
    let cursor = o.after === 'now' ? undefined : o.after;
    yield* this.#follow<WireGlobalEvent>(o, {
      path: `/v1/events${queryOf({ ...filterQuery(o), after: o.after })}`,
      lastEventId: () => cursor,
      answered: true,
      onId: (id) => (cursor = id),
      take: (event) => {
        if (event.cursor === undefined) return true;
        if (event.cursor === cursor) return false;
        cursor = event.cursor;
        return true;
      },
      isLast: () => false,
    });
  }

  /** One page of the same, without progress: at most `limit` events (default 100). */
  eventPage(o: AllEventsFilter & { after?: string; limit?: number } = {}): Promise<WireEventPage> {
    return this.#call('GET', '/v1/events', { query: { ...filterQuery(o), after: o.after, limit: o.limit } });
  }

  async *#follow<E>(
    o: FollowOptions,
    stream: {
      path: string;
      lastEventId: () => string | undefined;
      /** A connection that was answered starts the count of failures anew; absent: only an event does. */
      answered?: boolean;
      onId?: (id: string) => void;
      take: (event: E) => boolean;
      isLast: (event: E) => boolean;
    },
  ): AsyncGenerator<E, void, undefined> {
    let failures = 0;
    for (;;) {
      try {
        const headers: Record<string, string> = { accept: 'text/event-stream', ...this.#auth() };
        const last = stream.lastEventId();
        if (last !== undefined) headers['last-event-id'] = last;
        const response = await fetch(`${this.url}${stream.path}`, { headers, signal: o.signal });
        if (!response.ok) throw await errorOf(response);
        // Nothing is left to send, now or later.
        if (response.status === 204) return;
        if (response.body === null) throw new TypeError('the event stream has no body');
        if (stream.answered) failures = 0;
        for await (const event of readEventStream(response.body, stream.onId)) {
          failures = 0;
          // The server gives up on this stream, and says why.
          if (event.type === 'error') throw refusalOf(event.data) ?? new TuttiError('INTERNAL', 'the server broke off the stream');
          const told = JSON.parse(event.data) as E;
          if (!stream.take(told)) continue;
          yield told;
          if (stream.isLast(told)) return;
        }
        // Ended without the last event: the server went away in good order. Ask again.
        failures++;
      } catch (e) {
        if (o.signal?.aborted) return;
        if (e instanceof TuttiError && !ERRORS[e.code].retryable) throw e;
        if (!(e instanceof TypeError || e instanceof TuttiError)) throw e;
        failures++;
        if (failures > (o.patience ?? 20)) throw e instanceof TuttiError ? e : new ServerUnreachable(this.url, e);
      }
      o.onReconnect?.(failures);
      await this.#wait(Math.min(2000, 50 * 2 ** Math.min(failures, 6)), o.signal);
      if (o.signal?.aborted) return;
    }
  }

  #auth(): Record<string, string> {
    return this.#apiKey === undefined ? {} : { 'x-api-key': this.#apiKey };
  }

  async #call<T>(
    method: string,
    path: string,
    o: {
      query?: Record<string, string | number | undefined>;
      body?: unknown;
      lines?: Iterable<unknown> | AsyncIterable<unknown>;
      timeoutMs?: number;
      onHeaders?: (headers: Headers) => void;
    } = {},
  ): Promise<T> {
    const headers: Record<string, string> = { accept: 'application/json', ...this.#auth() };
    if (o.body !== undefined) headers['content-type'] = 'application/json';
    if (o.lines !== undefined) headers['content-type'] = 'application/x-ndjson';
    let response: Response;
    let text: string;
    let broken: Error | undefined;
    try {
      response = await fetch(`${this.url}${path}${queryOf(o.query ?? {})}`, {
        method,
        headers,
        ...(o.lines === undefined
          ? { body: o.body === undefined ? undefined : JSON.stringify(o.body) }
          : { body: linesOf(o.lines, (e) => (broken = e instanceof Error ? e : new Error(String(e)))), duplex: 'half' as const }),
        // A body that is made as it is sent takes the time it takes.
        signal: o.lines === undefined ? AbortSignal.timeout(o.timeoutMs ?? this.#timeoutMs) : undefined,
      });
      if (!response.ok) throw await errorOf(response);
      o.onHeaders?.(response.headers);
      text = response.status === 204 ? 'null' : await response.text();
    } catch (e) {
      if (e instanceof TuttiError) throw e;
      // What made the lines has failed, and not the connection.
      if (broken !== undefined) throw broken;
      throw new ServerUnreachable(this.url, e);
    }
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new ServerUnreachable(this.url, new Error('what answers there does not speak JSON; is it Tutti?'));
    }
  }
}

const queryOf = (parts: Record<string, string | number | undefined>): string => {
  const query = new URLSearchParams();
  for (const [k, v] of Object.entries(parts)) if (v !== undefined) query.set(k, String(v));
  return query.size === 0 ? '' : `?${query}`;
};

const filterQuery = (f: AllEventsFilter): Record<string, string | undefined> => ({
  type: f.types?.join(','),
  task: f.taskId,
  namespace: f.namespace,
  name: f.name,
  state: f.states?.join(','),
});
