/**
 * What a handler is called with. Made for every attempt, so it holds nothing but the attempt: each part is made when it is first asked
 * for. Functions are bound, so that `async ({ progress, log }) => …` works.
 */
import type { JsonObject } from '../../core/definition.ts';
import { TuttiError } from '../../core/errors.ts';
import { mergeInputs } from '../../core/merge-inputs.ts';
import { freezeDeep, parseFrozen, serialise } from '../../core/values.ts';
import { PermanentError } from '../handler-errors.ts';
import type { ChildResult, HandlerMeta } from '../handler-meta.ts';
import type { ChildRef, MergedInputs, ProgressAmount, Settled, SpawnItem, SpawnOptions, StepContext, StepLog, YieldPoint } from '../step-types.ts';
import type { ProgressReport } from '../../engine/worker-port.ts';
import type { Attempt } from './attempt.ts';
import { AttemptLog } from './attempt-log.ts';
import { problemOfPoint, Yielded } from './checkpoint-yield.ts';
import { Children } from './children.ts';
import { contributions, type ResultsView, resultsOf, settledOf, tooLargeToRead } from './dependency-results.ts';

const EMPTY: JsonObject = Object.freeze({});

export class AttemptContext implements StepContext<unknown, ResultsView>, MergedInputs {
  readonly #attempt: Attempt;
  #input: unknown;
  #results: ResultsView | undefined;
  #inputs: Readonly<Record<string, unknown>> | undefined;
  #config: JsonObject | undefined;
  #lastCheckpoint: { text: string; value: unknown } | undefined;
  #log: AttemptLog | undefined;
  readonly #metaOf: (handler: string) => HandlerMeta | undefined;
  #family: Children | undefined;

  get #children(): Children {
    this.#family ??= new Children(this.#attempt, this.#metaOf);
    return this.#family;
  }

  constructor(attempt: Attempt, metaOf: (handler: string) => HandlerMeta | undefined = () => undefined) {
    this.#attempt = attempt;
    this.#metaOf = metaOf;
  }

  get input(): unknown {
    if (this.#input === undefined) this.#input = parseFrozen(this.#attempt.given.input);
    return this.#input;
  }

  get results(): ResultsView {
    this.#results ??= resultsOf(this.#attempt.given, this.#attempt.session);
    return this.#results;
  }

  get inputs(): Readonly<Record<string, unknown>> {
    const { given } = this.#attempt;
    if (!given.mergedInputs) {
      throw new PermanentError(`step ${JSON.stringify(given.stepName)} did not ask for merged inputs: set mergedInputs`, { code: 'inputs_not_merged' });
    }
    if (given.results === null) throw tooLargeToRead(given.stepName);
    this.#inputs ??= mergeInputs(this.input, contributions(given, this.results));
    return this.#inputs;
  }

  get attempt(): number {
    return this.#attempt.given.attempt;
  }
  get maxAttempts(): number {
    return Math.max(1, this.#attempt.given.maxAttempts);
  }
  get isRetry(): boolean {
    return this.attempt > 1;
  }
  get isLastRetry(): boolean {
    return this.attempt >= this.maxAttempts;
  }
  get taskId(): string {
    return this.#attempt.given.taskId;
  }
  get stepId(): string {
    return this.#attempt.given.stepId;
  }
  get stepName(): string {
    return this.#attempt.given.stepName;
  }
  get correlationId(): string | null {
    return this.#attempt.given.correlationId;
  }
  get deadline(): number | null {
    return this.#attempt.given.deadlineAt;
  }
  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  get config(): JsonObject {
    // The definition is shared by all attempts: its config is copied once here, not frozen under the engine's hands.
    this.#config ??= this.#attempt.given.config === undefined ? EMPTY : freezeDeep(structuredClone(this.#attempt.given.config));
    return this.#config;
  }

  get lastCheckpoint(): unknown {
    const text = this.#attempt.checkpoint;
    if (text === null) return undefined;
    if (this.#lastCheckpoint?.text !== text) this.#lastCheckpoint = { text, value: parseFrozen(text) };
    return this.#lastCheckpoint.value;
  }

  get checkpoint(): (data: unknown) => Promise<void> {
    return async (data) => {
      const { ended, given } = this.#attempt;
      if (ended) throw new TuttiError('ILLEGAL_STATE', `the attempt of step ${JSON.stringify(given.stepName)} is over: its checkpoint is not kept`);
      await this.#attempt.keep(serialise(data, { name: 'checkpoint' }));
    };
  }

  get checkpointYield(): (point: YieldPoint) => never {
    return (point) => {
      const { given, spawned } = this.#attempt;
      const refuse = (why: string): PermanentError =>
        new PermanentError(`step ${JSON.stringify(given.stepName)}: checkpointYield ${why}`, { code: 'yield_refused' });
      if (given.phase !== 'run') throw refuse('is for handlers while they run, not for finalize and onAbort');
      // Called again it would have to ask for all of them anew, or they would be dropped (design.md §2).
      if (spawned) throw refuse('is not for handlers that spawn children');
      const wrong = problemOfPoint(point);
      if (wrong !== null) throw refuse(wrong);
      return new Yielded(point) as never;
    };
  }

  get progress(): (done: number | ProgressAmount, message?: string) => void {
    return (done, message) => {
      const { ended, session, given } = this.#attempt;
      if (ended) return;
      session.progress({ task: given.task, no: given.no, token: given.token, ...reportOf(done, message) });
    };
  }

  get spawn(): (handler: string, inputs?: unknown, options?: SpawnOptions) => Promise<ChildRef> {
    return async (handler, inputs, options = {}) => (await this.#children.spawn([{ ...options, handler, inputs }]))[0];
  }

  get spawnAll(): (children: Iterable<SpawnItem>) => Promise<ChildRef[]> {
    return (children) => this.#children.spawn(children);
  }

  /** Of the phases after `run`: what it returned. */
  get own(): unknown {
    const { own } = this.#attempt.given;
    return own === null ? undefined : parseFrozen(own);
  }

  get children(): AsyncIterable<ChildResult> {
    return this.#children.results();
  }

  /** Of phase abort: why the step ended. */
  get reason(): string | null {
    return this.#attempt.given.reason;
  }

  /** What it was spawned under, or the id it was submitted with. */
  get key(): string | null {
    return this.#attempt.given.key;
  }

  get heartbeat(): () => void {
    return () => {
      const { ended, session, given } = this.#attempt;
      if (!ended) session.heartbeat({ task: given.task, no: given.no, token: given.token });
    };
  }

  get log(): StepLog {
    this.#log ??= new AttemptLog((level, message) => {
      const { ended, session, given } = this.#attempt;
      if (!ended) session.log({ task: given.task, no: given.no, token: given.token, level, message });
    });
    return this.#log;
  }

  get ancestor(): (name: string) => Promise<Settled<unknown>> {
    return async (name) => {
      const { session, given } = this.#attempt;
      const found = await session.ancestor({ task: given.task, no: given.no, name });
      // Typed templates know which steps may not be taken (NotTaken).
      if (found !== null) return settledOf(found) as Settled<unknown>;
      throw new PermanentError(`step ${JSON.stringify(name)} is no ancestor of step ${JSON.stringify(given.stepName)}`, { code: 'not_an_ancestor' });
    };
  }
}

/** Rounding errors of a loop are no reason to fail its step. */
const within = (n: number | undefined): number | undefined => (n === undefined ? undefined : Number.isFinite(n) ? Math.min(1, Math.max(0, n)) : 0);
const amount = (n: number | undefined): number | undefined => (n === undefined || !Number.isFinite(n) ? undefined : Math.max(0, n));

function reportOf(done: number | ProgressAmount, message: string | undefined): ProgressReport {
  if (typeof done === 'number') return { fraction: within(done), message: wordOf(message) };
  if (typeof done !== 'object' || (done as ProgressAmount | null) === null)
    throw invalidProgress('takes a number from 0 to 1, or an object such as { items, total }');
  const unit = done.bytes === undefined ? (done.items === undefined ? undefined : 'items') : 'bytes';
  return {
    fraction: within(done.fraction),
    done: amount(done.bytes ?? done.items),
    total: amount(done.total),
    unit,
    message: wordOf(done.message ?? message),
  };
}

function wordOf(message: string | null | undefined): string | undefined {
  if (message === undefined || message === null) return undefined;
  if (typeof message !== 'string') throw invalidProgress('takes a message that is text');
  return message.slice(0, 500);
}

const invalidProgress = (why: string): PermanentError => new PermanentError(`progress ${why}`, { code: 'invalid_progress' });
