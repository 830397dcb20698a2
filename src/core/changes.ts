/**
 * What one turn writes. `core` fills a ChangeSet, a store writes it in one transaction or not at all (design.md §3).
 * Keys are integers: a task's id (see ids.ts) and a step's number within its task. States are the small integers of
 * task-states.ts and step-states.ts. Times are milliseconds since 1970. A store computes none of these values (I2).
 */
import type { FailurePolicy } from './definition.ts';
import type { Plan, PlanBatch } from './plan.ts';

/** A new task. `input` travels as a PayloadRow with no = -1, token = 0. */
export interface TaskRow {
  id: number;
  /** Row id of the stored template revision; null for ad hoc trees (later). */
  template: number | null;
  state: number;
  priority: number;
  policy: FailurePolicy;
  createdAt: number;
  completedAt: number | null;
  /** When the task's deadline passes; null: none. Indexed. */
  wakeAt: number | null;
  totalSteps: number;
  /** Final counts, written with the terminal state; null while the task lives (counters are cache, design.md §3). */
  counts: TaskCounts | null;
  error: string | null;
  /** Unique among live tasks of the same template; null: none. */
  key: string | null;
  tags: string[] | null;
  meta: TaskMeta | null;
}

/** Attribution that the engine never reads. Kept as one JSON text column, except initiator and sourceSystem, which lists filter by. */
export interface TaskMeta {
  initiator?: string;
  sourceSystem?: string;
  reason?: string;
  correlationId?: string;
  parentCorrelationId?: string;
  options?: unknown;
  /** Owner of an ad hoc task. */
  userId?: string;
  /** Expected size of the whole. */
  expected?: { total: number; unit: 'bytes' | 'items' };
  /** How an ad hoc task came to be, and from which. `template`: row id of the one that says what the whole of it gives and how long it may take. */
  origin?: { type: 'copy' | 'link' | 'archive' | 'mixed'; task: number; template?: number };
}

export interface TaskCounts {
  complete: number;
  error: number;
  cancelled: number;
  resolved: number;
}

/** A change of a task's row. Only the named columns are written. `fromState` is what was decided on (I3). */
export interface TaskUpdate {
  id: number;
  fromState: number;
  state: number;
  completedAt: number | null;
  wakeAt: number | null;
  counts: TaskCounts | null;
  /** JSON of a StepError, or null. */
  error: string | null;
}

/** Other columns of a task's row that change while it lives; one row each, outside the hot path. */
export interface TaskPatch {
  id: number;
  priority?: number;
  tags?: string[];
  /** Steps that have rows. */
  totalSteps?: number;
  /** What a large reset runs again (reopening.ts), while its rows are written; null: they are. */
  reopening?: string | null;
}

/**
 * A step as it stands after the turn. `insert`: it is new. Otherwise it replaces the row whose token and state are
 * `fromToken` and `fromState`; any other row count than one is a lost race (I3) and refuses the whole commit.
 */
export interface StepWrite {
  insert: boolean;
  task: number;
  no: number;
  fromToken: number;
  fromState: number;
  state: number;
  /** Grows with every attempt of any phase, never shrinks (design.md §2). */
  token: number;
  /** Attempts begun since the last reset. */
  attempts: number;
  /** 0 run, 1 finalize, 2 abort; of the live or last attempt. */
  phase: number;
  /** Attempts begun of phase 1 or 2; 0 in phase 0, whose attempts are `attempts`. */
  phaseAttempts: number;
  /** Boot id of the process that holds the live attempt; null: no live attempt. */
  owner: number | null;
  /** Order of a ready step that waits in the store; null: not ready, or held in memory. Indexed where not null. */
  rank: number | null;
  /** When a waiting step is due. Indexed where not null. */
  wakeAt: number | null;
  /** When its last attempt began. */
  startedAt: number | null;
  /** When the first attempt since the last reset began, once a further one, or `finalize`, may follow; null: startedAt says it. */
  firstStartedAt: number | null;
  finishedAt: number | null;
  /** Why a cancelled step was cancelled: index into CANCEL_REASONS; null otherwise. */
  reason: number | null;
  /** JSON of a StepError; null: none. */
  error: string | null;
  /** The step had ended before this turn: token, phase, phaseAttempts, owner, rank and wakeAt are written, and nothing else. */
  abortOnly?: boolean;
  /** A hint: the stored row has a rank, which this write clears. A store may pick a statement by it, and decides nothing by it. */
  ranked?: boolean;
  /** Token of the attempt whose result stands (key of its payload); 0: none. */
  resultToken: number;
}

/** Insert-only. Task input: no = -1, token = 0. A step's result: its no and the token of the attempt that returned it. */
export interface PayloadRow {
  task: number;
  no: number;
  token: number;
  /** JSON text. */
  body: string;
}

/**
 * A payload that is the same as another, which the store copies. `fromToken` 0: the inputs of that step, and where it has none of its
 * own, those of its task. The source is there: its absence refuses the commit.
 */
export interface PayloadCopy {
  task: number;
  no: number;
  token: number;
  fromTask: number;
  fromNo: number;
  fromToken: number;
}

/**
 * One row per task and turn. `seq` numbers the task's events from 1; the row holds `count` of them, starting at `seq`.
 * (task, seq) is unique: a turn decided on a stale graph meets the key and is refused (I3). `body` is written by log.ts.
 */
export interface LogRow {
  task: number;
  seq: number;
  count: number;
  at: number;
  body: string;
}

/** A supplied id of an element, unique in the store. */
export interface ElementId {
  id: string;
  task: number;
  no: number;
}

/** A step that stands for one of another task, which may not be removed meanwhile. */
export interface LinkRow {
  task: number;
  no: number;
  toTask: number;
  toNo: number;
}

/** A step that no template defines. Its inputs are the payload (task, no, 0). */
export interface NodeRow {
  task: number;
  no: number;
  parent: number | null;
  /** Token of the parent's attempt that asked for it last; 0: it was submitted. */
  asked: number;
  /** JSON text of a NodeDefinition. */
  body: string;
}

export interface NodeUpdate {
  task: number;
  no: number;
  asked: number;
}

export interface CheckpointWrite {
  task: number;
  no: number;
  token: number;
  at: number;
  /** JSON text. */
  body: string;
}

/** A task has at most one open; a further one replaces its facts. */
export interface DeadLetterRow {
  task: number;
  at: number;
  /** max_retries_exceeded, permanent_failure, task_deadline, ... */
  reason: string;
  /** JSON text: what a person needs to see. */
  snapshot: string;
}

/** The open dead letter of this task, if there is one, needs nobody any more. */
export interface DeadLetterClosing {
  task: number;
  at: number;
  resolution: 'reset';
}

export interface AttemptLogLine {
  task: number;
  no: number;
  token: number;
  at: number;
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
}

/** The live attempt `token` of a step has ended after its step was decided: the store clears `owner` and nothing else. No such row: ignored. */
export interface ReleaseRow {
  task: number;
  no: number;
  token: number;
}

/** A new schedule (schedule.ts). `input` is kept apart, since it may be large and lists do not show it. */
export interface ScheduleRow {
  id: number;
  key: string;
  /** JSON text of a ScheduleDefinition. */
  definition: string;
  /** JSON text; null: its target takes none. */
  input: string | null;
  paused: boolean;
  /** Its first tick that has no row; null: none will follow. Indexed. */
  nextAt: number | null;
  createdAt: number;
}

/** A change of a schedule that has `fromVersion`; its version becomes one more. Any other row count than one is a lost race (I3). */
export interface ScheduleUpdate {
  id: number;
  fromVersion: number;
  paused: boolean;
  nextAt: number | null;
  /** Absent: as it was. */
  definition?: { definition: string; input: string | null; updatedAt: number };
}

/**
 * A tick of a schedule: a row per time at which it was due, at most one (the key is schedule and time). `insert`: it is new. Otherwise
 * the row that has `fromState` gets state and outcome; any other row count than one is a lost race (I3) and refuses the whole commit.
 */
export interface TickWrite {
  insert: boolean;
  schedule: number;
  at: number;
  /** Read when it is new: a person asked for it. */
  manual: boolean;
  fromState: number;
  state: number;
  /** What was made; null: nothing. */
  task: number | null;
  plan: string | null;
  /** Why it was skipped or failed: late, overlap, missed, conflict, or the code of an error. */
  reason: string | null;
  message: string | null;
  /** When it was decided; null while it is pending. */
  doneAt: number | null;
}

/** A plan as it stands after the turn. `fromVersion` null: it is new; otherwise it replaces that version (I3). */
export interface PlanWrite {
  fromVersion: number | null;
  plan: Plan;
}

/** A new resource (`fromVersion` null), or another body for one. */
export interface ResourceWrite {
  incarnation: number;
  id: string;
  kind: string;
  createdAt: number;
  fromVersion: number | null;
  /** JSON text. */
  body: string;
}

/** One item of a resource. `fromVersion` null: there is none yet; `body` null: it is removed. */
export interface ItemWrite {
  resource: number;
  key: string;
  fromVersion: number | null;
  /** JSON text. */
  body: string | null;
}

export class ChangeSet {
  readonly tasks: TaskRow[] = [];
  readonly taskUpdates: TaskUpdate[] = [];
  readonly taskPatches: TaskPatch[] = [];
  readonly steps: StepWrite[] = [];
  readonly nodes: NodeRow[] = [];
  readonly nodeUpdates: NodeUpdate[] = [];
  readonly elementIds: ElementId[] = [];
  readonly links: LinkRow[] = [];
  readonly releases: ReleaseRow[] = [];
  readonly payloads: PayloadRow[] = [];
  readonly payloadCopies: PayloadCopy[] = [];
  readonly log: LogRow[] = [];
  readonly checkpoints: CheckpointWrite[] = [];
  readonly deadLetters: DeadLetterRow[] = [];
  /** Written before `deadLetters`. */
  readonly deadLetterClosings: DeadLetterClosing[] = [];
  readonly logLines: AttemptLogLine[] = [];
  readonly plans: PlanWrite[] = [];
  /** Written before all else of plans. */
  readonly planRemovals: { plan: number; fromVersion: number }[] = [];
  /** Resources of which all plans are removed, live or not. */
  readonly planClearings: string[] = [];
  readonly planBatches: { insert: boolean; batch: PlanBatch }[] = [];
  readonly planQueues: { taskType: string; stoppedAt: number | null }[] = [];
  readonly resources: ResourceWrite[] = [];
  readonly items: ItemWrite[] = [];
  /** By incarnation; with all their items. Written last. */
  readonly resourceRemovals: number[] = [];
  readonly schedules: ScheduleRow[] = [];
  readonly scheduleUpdates: ScheduleUpdate[] = [];
  /** With their ticks. */
  readonly scheduleRemovals: { id: number; fromVersion: number }[] = [];
  readonly ticks: TickWrite[] = [];
  /** Removes the oldest ticks of a schedule beyond so many, but none that is pending and none whose task lives. Written after `ticks`. */
  readonly tickPrunes: { schedule: number; keep: number }[] = [];
  /** Rows of terminal tasks removed ahead of the tasks themselves: at most `rows` of each kind. Repeat until the steps are gone. */
  readonly prunes: { task: number; rows: number }[] = [];
  /** Tasks removed whole, with everything that hangs on them (purge, small retention steps, unfinished arrivals). */
  readonly removals: number[] = [];

  /** Rows this turn will write; the turn's budget counts them. */
  get rows(): number {
    return (
      this.tasks.length +
      this.taskUpdates.length +
      this.taskPatches.length +
      this.steps.length +
      this.nodes.length +
      this.nodeUpdates.length +
      this.elementIds.length +
      this.links.length +
      this.releases.length +
      this.payloads.length +
      this.payloadCopies.length +
      this.log.length +
      this.checkpoints.length +
      this.deadLetters.length +
      this.deadLetterClosings.length +
      this.logLines.length +
      this.planRows +
      this.schedules.length +
      this.scheduleUpdates.length +
      this.scheduleRemovals.length +
      this.ticks.length +
      this.tickPrunes.length +
      this.prunes.length * 8 +
      this.removals.length * 8
    );
  }

  /** Rows of plans and resources. */
  get planRows(): number {
    return (
      this.plans.length +
      this.planRemovals.length +
      this.planClearings.length * 8 +
      this.planBatches.length +
      this.planQueues.length +
      this.resources.length +
      this.items.length +
      this.resourceRemovals.length * 8
    );
  }
}
