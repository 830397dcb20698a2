/** One attempt as the worker holds it: what it was given, whether it is over, and whether it was told to stop. */
import type { Assignment, StopReason, WorkerSession } from '../../engine/worker-port.ts';
import { StepStopped } from './attempt-failure.ts';

/** Tokens are per step, so the key names task, step and token. */
export const attemptKey = (a: { task: number; no: number; token: number }): string => `${a.task}.${a.no}.${a.token}`;

export class Attempt {
  readonly key: string;
  readonly given: Assignment;
  readonly session: WorkerSession;
  /** Set once, when the outcome is handed over: what the handler's leftovers do afterwards is not passed on. */
  ended = false;
  /** Children were asked for. */
  spawned = false;
  #stopped: StepStopped | null = null;
  /** JSON text; undefined: what the assignment brought. */
  #checkpoint: string | undefined;
  #controller: AbortController | null = null;

  constructor(given: Assignment, session: WorkerSession) {
    this.key = attemptKey(given);
    this.given = given;
    this.session = session;
  }

  /** JSON text of what the step last kept, in this attempt or an earlier one; null: nothing. */
  get checkpoint(): string | null {
    return this.#checkpoint ?? this.given.checkpoint;
  }

  /** Durable when it resolves. */
  async keep(body: string): Promise<void> {
    const { task, no, token } = this.given;
    await this.session.checkpoint({ task, no, token, body });
    this.#checkpoint = body;
  }

  /** Why it was told to stop; null: it was not. */
  get stopped(): StepStopped | null {
    return this.#stopped;
  }

  /** Made when first asked for: most handlers never do, and a controller costs more than the rest of the attempt. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#stopped !== null) this.#controller.abort(this.#stopped);
    }
    return this.#controller.signal;
  }

  /** The first reason stands. */
  stop(reason: StopReason): void {
    if (this.#stopped !== null) return;
    this.#stopped = new StepStopped(reason);
    this.#controller?.abort(this.#stopped);
  }
}
