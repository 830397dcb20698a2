/**
 * Tutti over HTTP: the calls of the REST API, typed by src/contract. Errors are TuttiError with the server's code; a server that
 * cannot be reached is `ServerUnreachable`.
 */
import type {
  WireAuditRow,
  WireLogLine,
  WireStep,
  WireStepExplanation,
  WireTask,
  WireTaskEvent,
  WireTaskList,
  WireTemplateDetail,
  WireTemplateList,
  WireTemplateVersions,
} from '../../contract/wire.ts';
import { ERRORS, type ErrorCode, TuttiError } from '../../core/errors.ts';
import { readEventStream } from './event-stream.ts';

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
  initiator?: string;
  source_system?: string;
  reason?: string;
}

export interface ListTasks {
  status?: string;
  namespace?: string;
  name?: string;
  version?: string;
  initiator?: string;
  source_system?: string;
  tag?: string;
  cursor?: string;
  limit?: number;
}

export class HttpClient {
  readonly url: string;
  readonly #apiKey: string | undefined;
  readonly #timeoutMs: number;
  readonly #wait: HttpClientOptions['wait'];

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
  async *events(
    id: string,
    o: { after?: number; signal?: AbortSignal; patience?: number; onReconnect?: (tries: number) => void } = {},
  ): AsyncGenerator<WireTaskEvent, void, undefined> {
    let after = o.after ?? 0;
    let failures = 0;
    for (;;) {
      try {
        const headers: Record<string, string> = { accept: 'text/event-stream', ...this.#auth() };
        if (after > 0) headers['last-event-id'] = String(after);
        const response = await fetch(`${this.url}/v1/tasks/${encodeURIComponent(id)}/events`, { headers, signal: o.signal });
        if (!response.ok) throw await errorOf(response);
        // The task ended at or before `after`: nothing is left to send.
        if (response.status === 204) return;
        if (response.body === null) throw new TypeError('the event stream has no body');
        for await (const event of readEventStream(response.body)) {
          failures = 0;
          const parsed = JSON.parse(event.data) as WireTaskEvent;
          if (parsed.seq !== undefined) {
            if (parsed.seq <= after) continue;
            after = parsed.seq;
          }
          yield parsed;
          if (parsed.last) return;
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

  async #call<T>(method: string, path: string, o: { query?: Record<string, string | number | undefined>; body?: unknown } = {}): Promise<T> {
    const query = new URLSearchParams();
    for (const [k, v] of Object.entries(o.query ?? {})) if (v !== undefined) query.set(k, String(v));
    const headers: Record<string, string> = { accept: 'application/json', ...this.#auth() };
    if (o.body !== undefined) headers['content-type'] = 'application/json';
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${this.url}${path}${query.size === 0 ? '' : `?${query}`}`, {
        method,
        headers,
        body: o.body === undefined ? undefined : JSON.stringify(o.body),
        signal: AbortSignal.timeout(this.#timeoutMs),
      });
      if (!response.ok) throw await errorOf(response);
      text = await response.text();
    } catch (e) {
      if (e instanceof TuttiError) throw e;
      throw new ServerUnreachable(this.url, e);
    }
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new ServerUnreachable(this.url, new Error('what answers there does not speak JSON; is it Tutti?'));
    }
  }
}

/** What the server refused, as the error it is. An answer that is not Tutti's own counts as INTERNAL, or NOT_FOUND for 404. */
const errorOf = async (response: Response): Promise<TuttiError> => {
  const text = await response.text().catch(() => '');
  try {
    const { error } = JSON.parse(text) as {
      error: { code: string; message: string; field?: string; details?: Record<string, unknown>; retry_after_seconds?: number };
    };
    if (Object.hasOwn(ERRORS, error.code)) {
      return new TuttiError(error.code as ErrorCode, error.message, { field: error.field, details: error.details, retryAfter: error.retry_after_seconds });
    }
  } catch {
    // Not ours: a proxy, or another program on this port.
  }
  const code: ErrorCode =
    response.status === 404 ? 'NOT_FOUND' : response.status === 401 ? 'UNAUTHENTICATED' : response.status === 503 ? 'STORE_UNAVAILABLE' : 'INTERNAL';
  return new TuttiError(code, `the server answered ${response.status} ${response.statusText}: ${text.slice(0, 200)}`);
};
