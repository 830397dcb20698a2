/**
 * Runs handlers in the engine's own process. Owns: the calls, their contexts and signals. Does not own: slots, timeouts, retries,
 * leases; those are the engine's, which tells it what to run and what to stop. There is no timer here, and none per attempt.
 */
import { isTuttiError } from '../../core/errors.ts';
import { MAX_VALUE_BYTES, serialise } from '../../core/values.ts';
import type { Assignment, AttemptOutcome, WorkerPort, WorkerSession, WorkerSink } from '../../engine/worker-port.ts';
import type { HandlerRegistry } from '../handler-registry.ts';
import type { UntypedStepContext } from '../step-types.ts';
import { Attempt, attemptKey } from './attempt.ts';
import { failureOf, finalFailure } from './attempt-failure.ts';
import { AttemptContext } from './step-context.ts';

export interface LocalWorkerOptions {
  port: WorkerPort;
  registry: HandlerRegistry;
  /** Attempts run at once. Default 50. */
  slots?: number;
  /** Default `local`. */
  name?: string;
  /** Milliseconds since 1970 (I12); read only when a handler names a date to try again at. */
  now: () => number;
  /** Limit of one result, bytes. Default 1 MiB. */
  maxResultBytes?: number;
  /** Hears of what should not happen, such as a session that throws. Default: nobody. */
  onFault?: (error: unknown) => void;
}

export class LocalWorker implements WorkerSink {
  readonly #registry: HandlerRegistry;
  readonly #now: () => number;
  readonly #maxResultBytes: number;
  readonly #onFault: (error: unknown) => void;
  readonly #session: WorkerSession;
  readonly #unlisten: () => void;
  readonly #running = new Map<string, Attempt>();
  #closed = false;

  constructor({ port, registry, slots = 50, name = 'local', now, maxResultBytes = MAX_VALUE_BYTES, onFault = () => {} }: LocalWorkerOptions) {
    this.#registry = registry;
    this.#now = now;
    this.#maxResultBytes = maxResultBytes;
    this.#onFault = onFault;
    this.#session = port.connect({ name, slots, hasHandler: (handler) => registry.has(handler) }, this);
    this.#unlisten = registry.onChange(() => this.#session.handlersChanged());
  }

  /** Attempts whose handlers have not returned. */
  get running(): number {
    return this.#running.size;
  }

  /** Returns at once: user code never runs inside the engine's turn. */
  assign(batch: Assignment[]): void {
    const attempts = batch.map((given) => {
      const attempt = new Attempt(given, this.#session);
      this.#running.set(attempt.key, attempt);
      return attempt;
    });
    void Promise.resolve().then(() => {
      for (const attempt of attempts) this.#run(attempt);
    });
  }

  stop(a: Parameters<WorkerSink['stop']>[0]): void {
    this.#running.get(attemptKey(a))?.stop(a.reason);
  }

  /** Tells every running handler to stop and takes no more; the engine waits for them before it calls this. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unlisten();
    for (const attempt of this.#running.values()) attempt.stop('shutdown');
    this.#session.close();
  }

  #run(attempt: Attempt): void {
    const { given } = attempt;
    const fn = this.#registry.resolve(given.handler, given.method);
    if (fn === null) {
      this.#end(attempt, finalFailure('handler_not_found', this.#missing(given)));
      return;
    }
    let value: unknown;
    try {
      value = fn(new AttemptContext(attempt) as unknown as UntypedStepContext);
      if (isThenable(value)) {
        // A thenable of another kind may settle twice, or throw from then: Promise.resolve tames it.
        const promise = value instanceof Promise ? value : Promise.resolve(value);
        promise.then(
          (result) => this.#complete(attempt, result),
          (error: unknown) => this.#end(attempt, failureOf(error, this.#now())),
        );
        return;
      }
    } catch (e) {
      this.#end(attempt, failureOf(e, this.#now()));
      return;
    }
    this.#complete(attempt, value);
  }

  #complete(attempt: Attempt, value: unknown): void {
    let outcome: AttemptOutcome;
    try {
      outcome = { ok: true, body: serialise(value, { name: 'result', maxBytes: this.#maxResultBytes }) };
    } catch (e) {
      outcome = finalFailure(
        isTuttiError(e) && e.code === 'VALUE_TOO_LARGE' ? 'result_too_large' : 'unstorable_result',
        e instanceof Error ? e.message : String(e),
      );
    }
    this.#end(attempt, outcome);
  }

  #end(attempt: Attempt, outcome: AttemptOutcome): void {
    const { given } = attempt;
    attempt.ended = true;
    this.#running.delete(attempt.key);
    try {
      this.#session.result({ task: given.task, no: given.no, token: given.token, outcome });
    } catch (e) {
      this.#onFault(e);
    }
  }

  #missing(given: Assignment): string {
    return this.#registry.has(given.handler)
      ? `handler ${JSON.stringify(given.handler)} has no method ${JSON.stringify(given.method ?? 'call')}`
      : `no handler ${JSON.stringify(given.handler)} is registered here`;
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  ((typeof value === 'object' && value !== null) || typeof value === 'function') && typeof (value as { then?: unknown }).then === 'function';
