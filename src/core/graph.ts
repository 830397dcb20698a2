/**
 * One live task in memory: a few small integers per step over a shared shape. No payloads, no errors, no object per step.
 * Decisions (decide-*.ts) change it in place and note what is to be written; if that write fails the engine drops the graph and
 * loads it again (I3), so a graph never holds anything that is not in the store or derivable from it.
 */
import type { StepWrite, TaskCounts, TaskRow } from './changes.ts';
import type { FailurePolicy } from './definition.ts';
import { CANCEL_REASONS, Step } from './step-states.ts';
import type { Shape } from './shape.ts';
import { StepMap } from './step-map.ts';

/** A plain array for small graphs, a typed one for large: a typed array's head is worth about 64 steps. */
export type Cells = number[] | Uint8Array | Int32Array;
const SMALL = 64;
const cells = (n: number, make: (n: number) => Cells): Cells => (n < SMALL ? new Array<number>(n).fill(0) : make(n));
const bytes = (n: number): Uint8Array => new Uint8Array(n);
const ints = (n: number): Int32Array => new Int32Array(n);

/** One try that holds a slot. It may outlive its step's decision (`stopping`, design.md §2). */
export interface LiveAttempt {
  token: number;
  phase: number;
  startedAt: number;
  stopping: boolean;
}

/** Shared by all graphs that have none of it, which is nearly all: never written. `own…` gives a graph its own. */
const NONE = new Map<number, number>();
const NOTHING = new Set<number>();
/** Never pushed to. */
const NO_STEPS: number[] = [];

export class TaskGraph {
  readonly id: number;
  readonly template: number | null;
  readonly shape: Shape;
  readonly createdAt: number;
  readonly policy: FailurePolicy;
  taskState: number;
  priority: number;
  completedAt: number | null = null;
  deadlineAt: number | null;
  /** JSON of the StepError the task ends with: its first unhandled failure, or why it was cancelled. */
  failure: string | null = null;
  /** Seq of the next event; with (task, seq) unique in the log this is the task's version (I3). */
  nextSeq = 1;
  /** As submitted; null: the task's own id serves. */
  correlationId: string | null = null;
  /** Time of its last event. */
  updatedAt: number;
  /** Steps already stored while a large submission arrives; -1: all of them. */
  arriving = -1;

  readonly state: Cells;
  /** Dependencies still open: required and not yet successful, or optional and not yet terminal (I7). */
  readonly open: Cells;
  readonly attempts: Cells;
  readonly token: Cells;
  /** CANCEL_REASONS of cancelled steps; made when the first step is cancelled. */
  reason: Cells | null = null;

  readonly live = new StepMap<LiveAttempt>();
  /** Ready steps by rank. */
  readonly ready = new StepMap<number>();
  /** Ready, and not yet among the ready: what one decision made ready beyond what a turn takes. Taken up from `backlogAt`. */
  backlog = NO_STEPS;
  backlogAt = 0;
  backlogSince = 0;
  /** Steps waiting for a retry and when they are due. */
  retryAt = NONE;
  /** When the last attempt of a step that is not running began. */
  lastStart = NONE;
  /** Ended by implication (design.md §3): decided, rows not yet written. */
  debts = NO_STEPS;
  /** When the debts were decided. */
  debtsAt = 0;

  /** Steps not terminal. */
  remaining: number;
  running = 0;
  complete = 0;
  errors = 0;
  /** Errors that count against the task (design.md §2). */
  unhandled = 0;
  cancelled = 0;
  resolved = 0;

  /** Of the turn in hand; null when the graph is untouched in it. */
  writes: Map<number, StepWrite> | null = null;
  /** Rows of steps new in this turn: numbers from insertedFrom up. */
  inserted: StepWrite[] | null = null;
  insertedFrom = 0;
  insertedTask: TaskRow | null = null;
  stateBefore = 0;
  events = '';
  eventCount = 0;

  constructor(o: {
    id: number;
    template: number | null;
    shape: Shape;
    policy: FailurePolicy;
    priority: number;
    createdAt: number;
    deadlineAt: number | null;
    taskState: number;
  }) {
    const n = o.shape.size;
    this.id = o.id;
    this.template = o.template;
    this.shape = o.shape;
    this.policy = o.policy;
    this.priority = o.priority;
    this.createdAt = o.createdAt;
    this.updatedAt = o.createdAt;
    this.deadlineAt = o.deadlineAt;
    this.taskState = o.taskState;
    this.state = cells(n, bytes);
    this.open = cells(n, ints);
    this.attempts = cells(n, ints);
    this.token = cells(n, ints);
    this.remaining = n;
    const { depStart } = o.shape;
    for (let i = 0; i < n; i++) this.open[i] = depStart[i + 1] - depStart[i];
  }

  get size(): number {
    return this.shape.size;
  }

  get counts(): TaskCounts {
    return { complete: this.complete, error: this.errors, cancelled: this.cancelled, resolved: this.resolved };
  }

  /** Attempts told to stop that have not returned. */
  get stopping(): number {
    let n = 0;
    for (const a of this.live.values()) if (a.stopping) n++;
    return n;
  }

  /** Ready steps whose rank is not in their row: the store cannot be asked for them. */
  unstored = NOTHING;

  /** Nothing of it lives only in memory: it may be dropped and loaded again at will. */
  get evictable(): boolean {
    return (
      this.live.size === 0 && this.unstored.size === 0 && this.debts.length === 0 && this.backlog.length === 0 && this.arriving < 0 && this.writes === null
    );
  }

  reasonOf(no: number): string | null {
    return this.state[no] === Step.cancelled && this.reason !== null ? CANCEL_REASONS[this.reason[no]] : null;
  }

  ownRetryAt(): Map<number, number> {
    if (this.retryAt === NONE) this.retryAt = new Map();
    return this.retryAt;
  }

  ownLastStart(): Map<number, number> {
    if (this.lastStart === NONE) this.lastStart = new Map();
    return this.lastStart;
  }

  ownUnstored(): Set<number> {
    if (this.unstored === NOTHING) this.unstored = new Set();
    return this.unstored;
  }

  ownBacklog(): number[] {
    if (this.backlog === NO_STEPS) this.backlog = [];
    return this.backlog;
  }

  ownDebts(): number[] {
    if (this.debts === NO_STEPS) this.debts = [];
    return this.debts;
  }

  setReason(no: number, reason: number): void {
    this.reason ??= cells(this.size, bytes);
    this.reason[no] = reason;
  }

  /** Effective priority of a step: its own, else the task's (a parent's comes between them once steps have parents). */
  priorityOf(no: number): number {
    const own = this.shape.rules[no].priority;
    return own < 0 ? this.priority : own;
  }
}
