/** What really happened to attempts, as the workers saw it. It stands outside the engine and survives its kills, as a client's log file would. */
import type { AttemptOutcome, Assignment, StopReason } from '../../src/engine/worker-port.ts';

export interface AttemptRecord {
  task: number;
  no: number;
  token: number;
  attempt: number;
  boot: number;
  assignment: Assignment;
  assignedAt: number;
  /** What the handler gave first, and when it was handed to the engine. */
  answer: AttemptOutcome | null;
  answeredAt: number | null;
  stoppedAt: number | null;
  stopReason: StopReason | null;
  /** The handler has returned (answered, or gave up silently). */
  over: boolean;
}

export const attemptKey = (task: number, no: number, token: number): string => `${task}/${no}/${token}`;

export class AttemptJournal {
  readonly #records = new Map<string, AttemptRecord>();
  /** Checkpoints that the engine acknowledged: the last of each step. */
  readonly checkpoints = new Map<string, { token: number; body: string }>();
  /** Of all dispatches, in order. */
  readonly order: AttemptRecord[] = [];

  begin(r: AttemptRecord): void {
    const key = attemptKey(r.task, r.no, r.token);
    if (this.#records.has(key)) throw new Error(`attempt ${key} was dispatched twice`);
    this.#records.set(key, r);
    this.order.push(r);
  }

  get(task: number, no: number, token: number): AttemptRecord | undefined {
    return this.#records.get(attemptKey(task, no, token));
  }

  get size(): number {
    return this.order.length;
  }
}
