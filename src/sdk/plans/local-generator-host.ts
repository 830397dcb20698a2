/**
 * The task types of this process. Owns: the calls of their functions, each with a context, a time limit and one answer. Does not own: which
 * call is due, retries, what an answer brings about; those are the engine's.
 */
import { isTuttiError, TuttiError } from '../../core/errors.ts';
import { showValue } from '../../core/show-value.ts';
import {
  type GeneratorHost,
  type PlanAnswer,
  type PlanCall,
  type PlanCallKind,
  type PlanWorkerPort,
  subtaskHandler,
  type TaskTypeTraits,
} from '../../engine/plan-port.ts';
import type { HandlerDefinition } from '../handler-registry.ts';
import { failureOf } from '../worker/attempt-failure.ts';
import { Breather } from './breather.ts';
import { batchOutcomeOf, planContextOf } from './plan-context.ts';
import { oneTry } from './one-try.ts';
import { type AnswerLimits, DEFAULT_ANSWER_LIMITS, readAnswer } from './read-answer.ts';
import type { AnyTaskType, PlanContext, SubtaskContext } from './task-type.ts';
import { traitsOf } from './task-type-traits.ts';

export interface GeneratorHostOptions {
  /** Where the code of subtasks is made known. */
  registerHandlers: (handlers: Iterable<HandlerDefinition>) => void;
  /** Calls `fn` after `ms`; gives its cancel (I12). */
  timer: (ms: number, fn: () => void) => () => void;
  limits?: Partial<AnswerLimits>;
  /** Lets others have the loop for a round. Default: it does not. */
  pause?: () => Promise<unknown>;
  /** Hears of every function that threw or gave what cannot be used, with its stack. Default: nobody. */
  onFailure?: (call: string, error: unknown) => void;
}

interface Entry {
  readonly type: AnyTaskType;
  readonly traits: TaskTypeTraits;
}

/** How the functions are called by those who write them. */
const FUNCTIONS: Record<PlanCallKind, string> = { start: 'startPlan', next: 'nextBatch', once: 'generateOnce', finish: 'onBatchFinished', end: 'onPlanEnd' };
const MAX_PROBLEMS = 100;
/** How long a function that was told to stop is waited for. Shorter than the engine's patience with the whole call. */
const GRACE_MS = 2000;

/** The reason of a context's signal. */
export class CallStopped extends Error {
  constructor(message: string) {
    super(message);
    // The name by which fetch, timers and streams know an abort.
    this.name = 'AbortError';
  }
}

export class LocalGeneratorHost implements GeneratorHost {
  readonly #options: GeneratorHostOptions;
  readonly #limits: AnswerLimits;
  readonly #pause: () => Promise<unknown>;
  readonly #entries = new Map<string, Entry>();
  /** Every name and alias. */
  readonly #names = new Map<string, Entry>();
  #port: PlanWorkerPort | undefined;
  #session: ReturnType<PlanWorkerPort['connect']> | undefined;

  constructor(options: GeneratorHostOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_ANSWER_LIMITS, ...options.limits };
    this.#pause = options.pause ?? (async () => {});
  }

  /**
   * Makes task types known, all or none. Throws INVALID_INPUT that names the type and the field, also where a name is taken. `replace`: one
   * of the same name gives way; calls already under way keep the code they began with.
   */
  register(types: Iterable<AnyTaskType>, o: { replace?: boolean } = {}): void {
    const added: Entry[] = [];
    const names = new Map(this.#names);
    for (const type of types) {
      const traits = traitsOf(type);
      const old = this.#entries.get(traits.name);
      if (old !== undefined && o.replace === true) for (const name of [old.traits.name, ...old.traits.aliases]) if (names.get(name) === old) names.delete(name);
      const entry = { type, traits };
      for (const name of [traits.name, ...traits.aliases]) {
        const other = names.get(name);
        if (other !== undefined)
          throw new TuttiError(
            'INVALID_INPUT',
            `task type ${showValue(traits.name)}: ${showValue(name)} is a name of ${other.traits.name === traits.name ? 'another task type of that name' : `the task type ${showValue(other.traits.name)}`} already`,
            { field: name === traits.name ? 'name' : 'aliases' },
          );
        names.set(name, entry);
      }
      added.push(entry);
    }
    this.#options.registerHandlers(added.map(handlerOf));
    this.#names.clear();
    for (const [name, entry] of names) this.#names.set(name, entry);
    for (const entry of added) this.#entries.set(entry.traits.name, entry);
    this.#session?.typesChanged();
  }

  /** From here on the engine calls. */
  connect(port: PlanWorkerPort): void {
    this.#port = port;
    this.#session = port.connect(this);
  }

  close(): void {
    this.#session?.close();
    this.#session = undefined;
  }

  taskType(name: string): TaskTypeTraits | null {
    return this.#names.get(name)?.traits ?? null;
  }

  taskTypes(): TaskTypeTraits[] {
    return [...this.#entries.values()].map(({ traits }) => traits).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async checkSettings(name: string, settings: Readonly<Record<string, string>>, resource: string): Promise<string[]> {
    const entry = this.#names.get(name);
    if (entry === undefined) return [`nobody here has the task type ${showValue(name)}`];
    const { type, traits } = entry;
    if (type.validate === undefined) return [];
    const what = `validate of ${traits.name}`;
    try {
      const problems: unknown = await this.#within(traits.callTimeoutMs, undefined, what, () => type.validate?.(Object.freeze({ ...settings }), resource));
      if (problems === undefined || problems === null) return [];
      if (!Array.isArray(problems) || !problems.every((p) => typeof p === 'string')) return [`${what}: must give a list of texts, not ${showValue(problems)}`];
      return problems.slice(0, MAX_PROBLEMS);
    } catch (e) {
      this.#options.onFailure?.(what, e);
      return [`the settings cannot be checked: ${messageOf(e)}`];
    }
  }

  async call(call: PlanCall, signal: AbortSignal): Promise<PlanAnswer> {
    const entry = this.#names.get(call.taskType);
    const port = this.#port;
    if (entry === undefined || port === undefined) return { kind: 'failed', message: `nobody here has the task type ${showValue(call.taskType)}` };
    const { type, traits } = entry;
    const name = call.kind === 'once' && type.generateOnce === undefined ? 'nextBatch' : FUNCTIONS[call.kind];
    const what = `${name} of ${traits.name}`;
    let value: unknown;
    try {
      value = await this.#within(call.timeoutMs, signal, what, (stop) => run(type, call, planContextOf(call, traits.name, port, stop), port, stop));
    } catch (e) {
      return this.#failed(what, e);
    }
    try {
      return await readAnswer(call.kind, value, this.#limits, new Breather(this.#pause));
    } catch (e) {
      return this.#failed(what, e, `${what}: ${messageOf(e)}`);
    }
  }

  #failed(what: string, e: unknown, message = messageOf(e)): PlanAnswer {
    this.#options.onFailure?.(what, e);
    const outcome = failureOf(e, 0);
    // What cannot be stored is for a programmer to mend: the plan is still there when that is done.
    const refused = !outcome.ok && !outcome.error.retryable && !isTuttiError(e);
    return { kind: 'failed', message, ...(refused ? { refused } : {}) };
  }

  /**
   * What `fn` gives. Once it has taken too long, or `outer` is aborted, its signal says so, it has a moment to come to its end, and what it
   * gives is dropped: so two calls of one plan hardly ever run beside each other.
   */
  async #within<T>(ms: number, outer: AbortSignal | undefined, what: string, fn: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    // User code never runs inside the engine's turn.
    await Promise.resolve();
    const stop = new AbortController();
    const { signal } = stop;
    const { timer } = this.#options;
    let cancel = (): void => undefined;
    const told = (): void => end(`${what} was told to stop${outer?.reason instanceof Error ? `: ${outer.reason.message}` : ''}`);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const end = (message: string): void => {
      if (signal.aborted) return;
      cancel();
      cancel = timer(GRACE_MS, () => reject(signal.reason as CallStopped));
      stop.abort(new CallStopped(message));
    };
    if (outer?.aborted === true) told();
    outer?.addEventListener('abort', told, { once: true });
    try {
      signal.throwIfAborted();
      cancel = timer(ms, () => end(`${what} took longer than ${ms} ms`));
      // A thenable of another kind may settle twice, or throw from then: a promise tames it.
      new Promise<T>((done) => done(fn(signal))).then(
        (value) => (signal.aborted ? reject(signal.reason as CallStopped) : resolve(value)),
        (e: unknown) => reject(signal.aborted ? (signal.reason as CallStopped) : e),
      );
      return await promise;
    } finally {
      cancel();
      outer?.removeEventListener('abort', told);
    }
  }
}

/** The code of a subtask as a handler. */
const handlerOf = ({ type, traits }: Entry): HandlerDefinition => ({
  name: subtaskHandler(traits.name),
  code: type.retry === undefined ? oneTry((ctx: SubtaskContext<never>) => type.subtask(ctx) as unknown) : (ctx) => type.subtask(ctx) as unknown,
  meta: { source: `task type ${traits.name}`, description: `A subtask of ${traits.name}` },
});

function run(type: AnyTaskType, call: PlanCall, ctx: PlanContext, port: PlanWorkerPort, signal: AbortSignal): unknown {
  switch (call.kind) {
    case 'start':
      // The engine asks only for what the type has; of what it lost meanwhile nothing is to be done.
      return type.startPlan === undefined ? { state: null, inputsToProcess: 0 } : type.startPlan(ctx as PlanContext<null>);
    case 'next':
      return type.nextBatch(ctx);
    case 'once':
      return type.generateOnce === undefined ? type.nextBatch(ctx) : type.generateOnce(ctx);
    case 'finish':
      return call.batch === null ? undefined : type.onBatchFinished?.(ctx, batchOutcomeOf(call.batch, port, signal));
    case 'end':
      return call.outcome === null ? undefined : type.onPlanEnd?.(ctx, call.outcome.status, call.outcome.message);
    default:
      return call.kind satisfies never;
  }
}

function messageOf(e: unknown): string {
  const outcome = failureOf(e, 0);
  return outcome.ok ? '' : outcome.error.message;
}
