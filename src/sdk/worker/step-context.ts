/**
 * What a handler is called with. Made for every attempt, so it holds nothing but the attempt: each part is made when it is first asked
 * for. Functions are bound, so that `async ({ progress, log }) => …` works.
 */
import type { JsonObject } from '../../core/definition.ts';
import { TuttiError } from '../../core/errors.ts';
import { mergeInputs } from '../../core/merge-inputs.ts';
import { freezeDeep, parseFrozen, serialise } from '../../core/values.ts';
import { PermanentError } from '../handler-errors.ts';
import type { MergedInputs, Settled, StepContext, StepLog } from '../step-types.ts';
import type { Attempt } from './attempt.ts';
import { AttemptLog } from './attempt-log.ts';
import { contributions, type ResultsView, resultsOf, settledOf, tooLargeToRead } from './dependency-results.ts';

const EMPTY: JsonObject = Object.freeze({});

export class AttemptContext implements StepContext<unknown, ResultsView>, MergedInputs {
  readonly #attempt: Attempt;
  #input: unknown;
  #results: ResultsView | undefined;
  #inputs: Readonly<Record<string, unknown>> | undefined;
  #config: JsonObject | undefined;
  /** JSON text; undefined: what the assignment brought. */
  #kept: string | undefined;
  #lastCheckpoint: { text: string; value: unknown } | undefined;
  #log: AttemptLog | undefined;

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
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
    const text = this.#kept ?? this.#attempt.given.checkpoint;
    if (text === null) return undefined;
    if (this.#lastCheckpoint?.text !== text) this.#lastCheckpoint = { text, value: parseFrozen(text) };
    return this.#lastCheckpoint.value;
  }

  get checkpoint(): (data: unknown) => Promise<void> {
    return async (data) => {
      const { ended, session, given } = this.#attempt;
      if (ended) throw new TuttiError('ILLEGAL_STATE', `the attempt of step ${JSON.stringify(given.stepName)} is over: its checkpoint is not kept`);
      const body = serialise(data, { name: 'checkpoint' });
      await session.checkpoint({ task: given.task, no: given.no, token: given.token, body });
      this.#kept = body;
    };
  }

  get progress(): (fraction: number, message?: string) => void {
    return (fraction, message) => {
      const { ended, session, given } = this.#attempt;
      if (ended) return;
      // Rounding errors of a loop are no reason to fail its step.
      const within = Number.isFinite(fraction) ? Math.min(1, Math.max(0, fraction)) : 0;
      session.progress({ task: given.task, no: given.no, token: given.token, fraction: within, message: message?.slice(0, 500) });
    };
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
      if (found !== null) return settledOf(found);
      throw new PermanentError(`step ${JSON.stringify(name)} is no ancestor of step ${JSON.stringify(given.stepName)}`, { code: 'not_an_ancestor' });
    };
  }
}
