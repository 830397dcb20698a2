/**
 * Runs handlers in the engine's own process. Owns: the calls, their contexts and signals. Does not own: slots, timeouts, retries,
 * leases; those are the engine's, which tells it what to run and what to stop. There is no timer here, and none per attempt.
 */
import { isTuttiError } from '../../core/errors.ts';
import { MAX_VALUE_BYTES, serialise } from '../../core/values.ts';
import type { Assignment, AttemptOutcome, WorkerPort, WorkerSession, WorkerSink } from '../../engine/worker-port.ts';
import type { FinalizeContext } from '../handler-meta.ts';
import type { HandlerRegistry } from '../handler-registry.ts';
import type { HookRegistry } from '../hooks.ts';
import type { StepFunction, UntypedStepContext } from '../step-types.ts';
import { Attempt, attemptKey } from './attempt.ts';
import { Yielded, checkpointOf, notKept } from './checkpoint-yield.ts';
import { failureOf, finalFailure } from './attempt-failure.ts';
import { InputCheck, problemOfOwnSchema } from './input-check.ts';
import { RunContext } from './run-context.ts';

export interface LocalWorkerOptions {
  port: WorkerPort;
  registry: HandlerRegistry;
  /** Run around every attempt of phase run. Default: none. */
  hooks?: HookRegistry;
  /** Attempts run at once. Default 50. */
  slots?: number;
  /** Default `local`. */
  name?: string;
  /** Milliseconds since 1970 (I12); read only when a handler names a date to try again at. */
  now: () => number;
  /** Limit of one result, bytes. Default 1 MiB. */
  maxResultBytes?: number;
  /** Lets others have the loop for a round. Default: it does not. */
  pause?: () => Promise<unknown>;
  /** Hears of what should not happen, such as a session that throws. Default: nobody. */
  onFault?: (error: unknown) => void;
}

export class LocalWorker implements WorkerSink {
  readonly #registry: HandlerRegistry;
  readonly #hooks: HookRegistry | undefined;
  readonly #inputs: InputCheck;
  readonly #now: () => number;
  readonly #maxResultBytes: number;
  readonly #onFault: (error: unknown) => void;
  readonly #session: WorkerSession;
  readonly #unlisten: () => void;
  readonly #running = new Map<string, Attempt>();
  #closed = false;

  constructor({
    port,
    registry,
    hooks,
    slots = 50,
    name = 'local',
    now,
    maxResultBytes = MAX_VALUE_BYTES,
    pause = async () => {},
    onFault = () => {},
  }: LocalWorkerOptions) {
    this.#registry = registry;
    this.#hooks = hooks;
    this.#now = now;
    this.#maxResultBytes = maxResultBytes;
    this.#inputs = new InputCheck(pause);
    this.#onFault = onFault;
    this.#session = port.connect(
      {
        name,
        slots,
        hasHandler: (handler) => registry.has(handler),
        traits: (handler) => registry.traits(handler),
        defaults: (handler) => registry.defaults(handler),
        schemaProblem: problemOfOwnSchema,
        handlers: () => registry.describe(),
        hookErrors: () => hooks?.errors ?? 0,
      },
      this,
    );
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
    const ctx = this.#context(attempt);
    if (this.#isWatched(attempt.given)) void this.#runWatched(attempt, ctx);
    else this.#call(attempt, ctx, (outcome) => this.#end(attempt, outcome));
  }

  #context(attempt: Attempt): UntypedStepContext {
    return new RunContext(attempt, (handler) => this.#registry.meta(handler)) as unknown as UntypedStepContext;
  }

  /** Something is to be done beside calling the handler. Most attempts have nothing of it, and are spared the waits. */
  #isWatched({ phase, handler, inputSchema }: Assignment): boolean {
    return phase === 'run' && (inputSchema !== undefined || this.#hooks?.forSteps === true || this.#registry.inputValidator(handler) !== null);
  }

  async #runWatched(attempt: Attempt, ctx: UntypedStepContext): Promise<void> {
    const signal = (): AbortSignal => attempt.signal;
    const outcome = await this.#outcome(attempt, ctx, signal);
    const after = this.#hooks?.after(ctx, outcome, signal);
    if (after !== undefined) await after;
    this.#end(attempt, outcome);
  }

  /** Never rejects. */
  async #outcome(attempt: Attempt, ctx: UntypedStepContext, signal: () => AbortSignal): Promise<AttemptOutcome> {
    const { given } = attempt;
    const before = this.#hooks?.before(ctx, signal);
    if (before !== undefined) await before;
    const validator = this.#registry.inputValidator(given.handler);
    if (given.inputSchema !== undefined || validator !== null) {
      try {
        const problem = await this.#inputs.problem(given, ctx, validator);
        if (problem !== null) return problem;
      } catch (e) {
        return failureOf(e, this.#now());
      }
    }
    // Told to stop while a hook or a validator was at work: the handler is not begun at all.
    if ((before !== undefined || validator !== null || given.inputSchema !== undefined) && signal().aborted) return failureOf(signal().reason, this.#now());
    return new Promise((resolve) => this.#call(attempt, ctx, resolve));
  }

  /** Calls what the attempt's phase is for, and tells once what came of it. */
  #call(attempt: Attempt, ctx: UntypedStepContext, settle: (outcome: AttemptOutcome) => void): void {
    const { given } = attempt;
    const fn = this.#codeOf(given);
    if (fn === null) {
      settle(finalFailure('handler_not_found', this.#missing(given)));
      return;
    }
    let value: unknown;
    try {
      value = fn(ctx);
      if (isThenable(value)) {
        // A thenable of another kind may settle twice, or throw from then: Promise.resolve tames it.
        const promise = value instanceof Promise ? value : Promise.resolve(value);
        promise.then(
          (result) => this.#returned(attempt, result, settle),
          (error: unknown) => settle(failureOf(error, this.#now())),
        );
        return;
      }
    } catch (e) {
      settle(failureOf(e, this.#now()));
      return;
    }
    this.#returned(attempt, value, settle);
  }

  #returned(attempt: Attempt, value: unknown, settle: (outcome: AttemptOutcome) => void): void {
    if (value instanceof Yielded) void this.#goOn(attempt, value, settle);
    else settle(this.#completed(value));
  }

  /** Keeps what the handler yielded and calls it again: the same attempt, in the same slot. Never rejects. */
  async #goOn(attempt: Attempt, { point }: Yielded, settle: (outcome: AttemptOutcome) => void): Promise<void> {
    try {
      await attempt.keep(checkpointOf(point, attempt.checkpoint, this.#now()));
    } catch (e) {
      settle(attempt.stopped === null ? notKept(e) : failureOf(attempt.stopped, this.#now()));
      return;
    }
    if (attempt.stopped === null) this.#call(attempt, this.#context(attempt), settle);
    else settle(failureOf(attempt.stopped, this.#now()));
  }

  #codeOf({ phase, handler, method }: Assignment): StepFunction | null {
    switch (phase) {
      case 'run':
        return this.#registry.resolve(handler, method);
      case 'finalize': {
        const finalize = this.#registry.hook(handler, 'finalize');
        return finalize === null ? null : (ctx) => finalize(ctx as FinalizeContext, (ctx as FinalizeContext).children);
      }
      case 'abort':
        return this.#registry.hook(handler, 'onAbort') as StepFunction | null;
      default:
        return phase satisfies never;
    }
  }

  #completed(value: unknown): AttemptOutcome {
    try {
      const body = serialise(value, { name: 'result', maxBytes: this.#maxResultBytes });
      return value === undefined ? { ok: true, body, empty: true } : { ok: true, body };
    } catch (e) {
      return finalFailure(
        isTuttiError(e) && e.code === 'VALUE_TOO_LARGE' ? 'result_too_large' : 'unstorable_result',
        e instanceof Error ? e.message : String(e),
      );
    }
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

  #missing({ phase, handler, method }: Assignment): string {
    if (!this.#registry.has(handler)) return `no handler ${JSON.stringify(handler)} is registered here`;
    const wanted = phase === 'run' ? (method ?? 'call') : phase === 'abort' ? 'onAbort' : 'finalize';
    return `handler ${JSON.stringify(handler)} has no method ${JSON.stringify(wanted)}`;
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  ((typeof value === 'object' && value !== null) || typeof value === 'function') && typeof (value as { then?: unknown }).then === 'function';
