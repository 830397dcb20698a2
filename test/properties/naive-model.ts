/**
 * What a task means, written a second time as simply as possible: no counters, no queues, no turns, every rule a scan over all
 * steps until nothing changes. It imports nothing of the engine, so that agreement with it says something.
 *
 * Drive it with what happened to attempts, in any order it happened; it says what must have followed.
 */
export interface ModelStep {
  dependencies: readonly { no: number; required: boolean }[];
  allowFailure: boolean;
  retryable: boolean;
  maxAttempts: number;
}

export interface ModelTask {
  policy: 'fail' | 'fail_fast' | 'block' | 'record';
  steps: readonly ModelStep[];
}

/** What an attempt did. Timeouts and crashes are `retryable`. */
export type ModelOutcome = 'ok' | 'retryable' | 'permanent';
export type ModelStepState = 'idle' | 'running' | 'waiting' | 'complete' | 'error' | 'cancelled';
export type ModelReason = 'dependency_failed' | 'task_ended' | 'expired';

const over = (s: ModelStepState): boolean => s === 'complete' || s === 'error' || s === 'cancelled';

export class NaiveTask {
  readonly task: ModelTask;
  readonly state: ModelStepState[];
  readonly reason: (ModelReason | null)[];
  readonly attempts: number[];
  ended: 'cancelled' | 'deadline' | null = null;

  constructor(task: ModelTask) {
    this.task = task;
    this.state = task.steps.map(() => 'idle');
    this.reason = task.steps.map(() => null);
    this.attempts = task.steps.map(() => 0);
  }

  /** live: something can still happen by itself. blocked: only a person can go on. */
  get outcome(): 'live' | 'blocked' | 'complete' | 'error' | 'cancelled' {
    if (this.ended !== null) return this.ended === 'cancelled' ? 'cancelled' : 'error';
    const failed = this.failedForGood();
    if (this.task.policy === 'block' && failed) return this.anythingLeft() ? 'live' : 'blocked';
    if (!this.state.every(over)) return 'live';
    return failed ? 'error' : 'complete';
  }

  /** Nothing but a free slot (and, for a retry, its time) is missing. */
  mayBegin(no: number): boolean {
    if (this.ended !== null || (this.state[no] !== 'idle' && this.state[no] !== 'waiting')) return false;
    return this.task.steps[no].dependencies.every((d) => (d.required ? this.state[d.no] === 'complete' : over(this.state[d.no])));
  }

  begin(no: number): void {
    if (!this.mayBegin(no)) throw new Error(`step ${no} must not begin: it is ${this.state[no]}, its dependencies ${this.describe(no)}`);
    if (this.attempts[no] >= this.allowed(no)) throw new Error(`step ${no} must not begin: ${this.attempts[no]} attempts of ${this.allowed(no)} are used`);
    this.state[no] = 'running';
    this.attempts[no]++;
  }

  /** The running attempt ended. A step that is no longer running takes no notice. */
  end(no: number, what: ModelOutcome): void {
    if (this.state[no] !== 'running') return;
    const again = what === 'retryable' && this.task.steps[no].retryable && this.attempts[no] < this.allowed(no);
    this.state[no] = what === 'ok' ? 'complete' : again ? 'waiting' : 'error';
    this.settle();
  }

  cancel(): void {
    this.#endAll('cancelled', 'task_ended');
  }

  passDeadline(): void {
    this.#endAll('deadline', 'expired');
  }

  /** An error that lets the task complete: allowed, or there are dependants and not one of them needs the step. */
  isHandled(no: number): boolean {
    if (this.task.steps[no].allowFailure) return true;
    const edges = this.task.steps.flatMap((s) => s.dependencies.filter((d) => d.no === no));
    return edges.length > 0 && edges.every((d) => !d.required);
  }

  settle(): void {
    for (let changed = true; changed; ) {
      changed = false;
      for (let no = 0; no < this.state.length; no++) {
        if (this.state[no] === 'idle' && this.#isDoomed(no)) {
          this.state[no] = 'cancelled';
          this.reason[no] = 'dependency_failed';
          changed = true;
        }
      }
    }
    if (this.task.policy === 'fail_fast' && this.failedForGood()) this.#cancelRest('task_ended');
  }

  failedForGood(): boolean {
    return this.state.some((s, no) => s === 'error' && !this.isHandled(no));
  }

  /** Under `block` an unhandled failure dooms nobody: a person may still repair it. */
  #isDoomed(no: number): boolean {
    return this.task.steps[no].dependencies.some(
      (d) => d.required && (this.state[d.no] === 'cancelled' || (this.state[d.no] === 'error' && (this.task.policy !== 'block' || this.isHandled(d.no)))),
    );
  }

  anythingLeft(): boolean {
    return this.state.some((s, no) => s === 'running' || s === 'waiting' || this.mayBegin(no));
  }

  allowed(no: number): number {
    return Math.max(1, this.task.steps[no].maxAttempts);
  }

  #endAll(how: 'cancelled' | 'deadline', reason: ModelReason): void {
    if (this.outcome !== 'live' && this.outcome !== 'blocked') return;
    this.ended = how;
    this.#cancelRest(reason);
  }

  #cancelRest(reason: ModelReason): void {
    for (let no = 0; no < this.state.length; no++) {
      if (over(this.state[no])) continue;
      this.state[no] = 'cancelled';
      this.reason[no] = reason;
    }
  }

  describe(no: number): string {
    return this.task.steps[no].dependencies.map((d) => `${d.no}${d.required ? '' : '?'}=${this.state[d.no]}`).join(' ');
  }
}

/** Where the task ends when every attempt does what the script says and nobody interferes. The order makes no difference unless `fail_fast`. */
export function runNaively(task: ModelTask, script: (no: number, attempt: number) => ModelOutcome): NaiveTask {
  const t = new NaiveTask(task);
  for (;;) {
    const no = task.steps.findIndex((_, i) => t.mayBegin(i));
    if (no < 0) return t;
    t.begin(no);
    t.end(no, script(no, t.attempts[no]));
  }
}
