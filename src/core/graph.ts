/**
 * One live task in memory: a few small integers per step over a shared shape. No payloads, no errors, no object per step.
 * Decisions (decide-*.ts) change it in place and note what is to be written; if that write fails the engine drops the graph and
 * loads it again (I3), so a graph never holds anything that is not in the store or derivable from it.
 */
import type { StepWrite, TaskCounts, TaskRow } from './changes.ts';
import type { FailurePolicy } from './definition.ts';
import type { Reopening } from './reopening.ts';
import { Absent, CANCEL_REASONS, Step } from './step-states.ts';
import type { Shape } from './shape.ts';
import { StepMap } from './step-map.ts';

/** A plain array for small graphs, a typed one for large: a typed array's head is worth about 64 steps. */
export type Cells = number[] | Uint8Array | Int32Array;
const SMALL = 64;
const cells = (n: number, make: (n: number) => Cells): Cells => (n < SMALL ? new Array<number>(n).fill(0) : make(n));
/** The same values with room for `n` steps and as many again. */
function widen(old: Cells, n: number, make: (n: number) => Cells): Cells {
  if (n <= old.length) return old;
  if (n < SMALL) {
    while ((old as number[]).length < n) (old as number[]).push(0);
    return old;
  }
  const wide = make(n * 2);
  for (let i = 0; i < old.length; i++) wide[i] = old[i];
  return wide;
}
const bytes = (n: number): Uint8Array => new Uint8Array(n);
const ints = (n: number): Int32Array => new Int32Array(n);

/** One try that holds a slot. It may outlive its step's decision (`stopping`, design.md §2). */
export interface LiveAttempt {
  token: number;
  phase: number;
  startedAt: number;
  stopping: boolean;
}

/** The tied children of one step, as far as deciding about it needs to know. Derived from their rows; never stored. */
export interface Family {
  /** Not terminal. */
  open: number;
  /** In error, and still asked for. */
  failed: number;
  /** Attempts that hold a slot. */
  running: number;
  /** Ready, and waiting for one of those to end (maxChildren); taken up from `heldAt`. */
  held: number[];
  heldAt: number;
}

/** Shared by all graphs that have none of it, which is nearly all: never written. `own…` gives a graph its own. */
const NONE = new Map<number, number>();
const NOTHING = new Set<number>();
/** Never pushed to. */
const NO_STEPS: number[] = [];
const NO_FAMILIES = new Map<number, Family>();
/** Steps that one attempt of a parent has asked for: its spawn keys. */
const NO_KEYS = new Map<number, Map<string, number>>();

export class TaskGraph {
  readonly id: number;
  readonly template: number | null;
  shape: Shape;
  #ownShape = false;
  readonly createdAt: number;
  readonly policy: FailurePolicy;
  taskState: number;
  priority: number;
  completedAt: number | null = null;
  deadlineAt: number | null;
  /** JSON of the StepError the task ends with: its first unhandled failure, or why it was cancelled. */
  failure: string | null = null;
  /** JSON of the StepError that a person last cancelled a step with: what a task ends with of which nothing else is left. */
  lastCancel: string | null = null;
  /** Seq of the next event; with (task, seq) unique in the log this is the task's version (I3). */
  nextSeq = 1;
  /** As submitted; null: the task's own id serves. */
  correlationId: string | null = null;
  /** Expected size of the whole, where it was given. */
  expected: { total: number; unit: 'bytes' | 'items' } | null = null;
  /** Time of its last event. */
  updatedAt: number;
  /** Steps already stored while a large submission arrives; -1: all of them. */
  arriving = -1;

  state: Cells;
  /** Dependencies still open: required and not yet successful, or optional and not yet terminal (I7). */
  open: Cells;
  attempts: Cells;
  token: Cells;
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
  /** When the first attempt since the last reset began, of steps of which one has ended and that are not done with. */
  firstStart = NONE;
  /** Phase of the live or next attempt where it is not `run`: 1 finalize, 2 abort. */
  phase = NONE;
  /** Attempts begun of that phase. */
  phaseAttempts = NONE;
  /** Token of the result that stands, where it is not the step's last: what `run` returned before the attempt that followed. */
  results = NONE;
  families = NO_FAMILIES;
  /** By parent: its children by spawn key. */
  spawned = NO_KEYS;
  /** An archive: the state that it is given once it has arrived. Nothing of it is ever decided. */
  frozen: number | null = null;
  /** Created and not yet let run (a tree submitted with execute: false). */
  held = false;
  /** Steps that have rows. */
  created = 0;
  /** Steps the cache counts for it. */
  counted = 0;
  /** Some were added in this turn: the task's row is to say so. */
  grown = false;
  /** Ended by implication (design.md §3): decided, rows not yet written. */
  debts = NO_STEPS;
  /** When the debts were decided. */
  debtsAt = 0;
  /** A large reset whose rows are being written; until they are, nothing is decided about the task. */
  reopening: Reopening | null = null;

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
  inserted: (StepWrite | undefined)[] | null = null;
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
    this.created = n;
    const { deps, initial } = o.shape;
    for (let i = 0; i < n; i++) this.open[i] = deps[i].length;
    if (initial === null) return;
    for (let i = 0; i < o.shape.base; i++) {
      if (initial[i]) continue;
      this.state[i] = Absent.undecided;
      this.remaining--;
      this.created--;
    }
  }

  get size(): number {
    return this.shape.size;
  }

  /** Steps that exist. */
  get total(): number {
    return this.created;
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
      this.live.size === 0 &&
      this.unstored.size === 0 &&
      this.debts.length === 0 &&
      this.backlog.length === 0 &&
      this.reopening === null &&
      this.arriving < 0 &&
      this.writes === null
    );
  }

  /** The shape, the task's own from here on, to which steps may be added. */
  growingShape(): Shape {
    if (!this.#ownShape) {
      this.shape = this.shape.fork();
      this.#ownShape = true;
    }
    return this.shape;
  }

  /** A shape that was made for this task alone. */
  adoptShape(): void {
    this.#ownShape = true;
  }

  /** Makes room after steps were added to the shape. */
  fit(): void {
    const n = this.shape.size;
    this.state = widen(this.state, n, bytes);
    this.open = widen(this.open, n, ints);
    this.attempts = widen(this.attempts, n, ints);
    this.token = widen(this.token, n, ints);
    if (this.reason !== null) this.reason = widen(this.reason, n, bytes);
  }

  phaseOf(no: number): number {
    return this.phase.get(no) ?? 0;
  }

  setPhase(no: number, phase: number): void {
    if (phase === 0) {
      if (this.phase.size > 0) this.phase.delete(no);
      return;
    }
    if (this.phase === NONE) this.phase = new Map();
    this.phase.set(no, phase);
  }

  setPhaseAttempts(no: number, n: number): void {
    if (this.phaseAttempts === NONE) this.phaseAttempts = new Map();
    this.phaseAttempts.set(no, n);
  }

  /** Token under which the step's result is kept. */
  resultToken(no: number): number {
    return this.results.get(no) ?? this.token[no];
  }

  setResultToken(no: number, token: number): void {
    if (this.results === NONE) this.results = new Map();
    this.results.set(no, token);
  }

  family(no: number): Family {
    if (this.families === NO_FAMILIES) this.families = new Map();
    let f = this.families.get(no);
    if (f === undefined) this.families.set(no, (f = { open: 0, failed: 0, running: 0, held: [], heldAt: 0 }));
    return f;
  }

  /** The parent whose fate it shares, or -1. */
  tiedTo(no: number): number {
    return this.shape.isTied(no) ? this.shape.parent(no) : -1;
  }

  spawnedBy(parent: number): Map<string, number> {
    if (this.spawned === NO_KEYS) this.spawned = new Map();
    let keys = this.spawned.get(parent);
    if (keys === undefined) this.spawned.set(parent, (keys = new Map()));
    return keys;
  }

  reasonOf(no: number): string | null {
    return this.reason !== null && this.state[no] === Step.cancelled ? CANCEL_REASONS[this.reason[no]] : null;
  }

  ownRetryAt(): Map<number, number> {
    if (this.retryAt === NONE) this.retryAt = new Map();
    return this.retryAt;
  }

  ownLastStart(): Map<number, number> {
    if (this.lastStart === NONE) this.lastStart = new Map();
    return this.lastStart;
  }

  /** An attempt has ended that may not be the last: rows written from now on still say when it began, and when the first one did. */
  noteStart(no: number, at: number): void {
    this.ownLastStart().set(no, at);
    if (this.firstStart === NONE) this.firstStart = new Map();
    if (!this.firstStart.has(no)) this.firstStart.set(no, at);
  }

  /** It begins anew: what came before is not its beginning. */
  forgetStarts(no: number): void {
    if (this.lastStart.size > 0) this.lastStart.delete(no);
    if (this.firstStart.size > 0) this.firstStart.delete(no);
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
    this.reason = widen(this.reason, this.size, bytes);
    this.reason[no] = reason;
  }

  /** Effective priority of a step: its own, else its parent's, else the task's. */
  priorityOf(no: number): number {
    for (let at = no; at >= 0; at = this.shape.parent(at)) {
      const own = this.shape.rules[at].priority;
      if (own >= 0) return own;
    }
    return this.priority;
  }
}
