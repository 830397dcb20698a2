/**
 * What the engine asks of a store. It speaks the domain: one hot verb (`commit`), a few hot reads, and list queries that a store
 * runs away from the engine's thread where it can. Stores decide nothing (I2): states, ranks and times arrive as values.
 *
 * A verb returns its value, or a promise of it where the store is remote. SQLite answers at once: the engine awaits only promises.
 */
import type { ChangeSet, TaskCounts, TaskMeta } from '../core/changes.ts';
import type { FailurePolicy } from '../core/definition.ts';
import type { PlanStore } from './plan-store.ts';

export type Awaitable<T> = T | Promise<T>;

/**
 * A commit that did not happen or may not have happened. `applied`: false = certainly nothing was written; 'unknown' = ask again.
 * `fatal`: the connection must not be used again; call `reopen`.
 */
export class StoreFailure extends Error {
  readonly applied: false | 'unknown';
  /**
   * busy: try again; conflict: a write was decided on stale data (I3); full, io, corrupt, readonly: the store cannot write;
   * invalid: a row breaks a rule of the schema (a defect of the caller: deciding the same again fails the same way).
   */
  readonly kind: 'busy' | 'conflict' | 'full' | 'io' | 'corrupt' | 'readonly' | 'invalid';
  constructor(kind: StoreFailure['kind'], applied: false | 'unknown', message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreFailure';
    this.kind = kind;
    this.applied = applied;
  }
}

export interface StoredTask {
  id: number;
  template: number | null;
  state: number;
  priority: number;
  policy: FailurePolicy;
  createdAt: number;
  completedAt: number | null;
  wakeAt: number | null;
  totalSteps: number;
  counts: TaskCounts | null;
  error: string | null;
  tags: string[] | null;
  meta: TaskMeta | null;
  key: string | null;
  /** Seq the task's next event will have. */
  nextSeq: number;
  /** What a large reset runs again, while its rows are written; null: none is under way. */
  reopening: string | null;
}

export interface StoredStep {
  task: number;
  no: number;
  state: number;
  token: number;
  attempts: number;
  phase: number;
  owner: number | null;
  rank: number | null;
  wakeAt: number | null;
  startedAt: number | null;
  firstStartedAt: number | null;
  finishedAt: number | null;
  reason: number | null;
  error: string | null;
  resultToken: number;
  phaseAttempts: number;
}

/** A step that no template defines. */
export interface StoredNode {
  no: number;
  asked: number;
  /** JSON text of a NodeDefinition. */
  body: string;
}

export interface StoredGraph {
  task: StoredTask;
  /** All steps of the task, ordered by no. */
  steps: StoredStep[];
  /** Those that no template defines, ordered by no. */
  nodes: StoredNode[];
}

export interface StoredTemplate {
  id: number;
  namespace: string;
  name: string;
  version: string;
  /** 1, or more where `dev` made revisions; the highest is current. */
  revision: number;
  /** Hash of the definition text. */
  hash: string;
  /** JSON text of a TemplateDefinition. */
  definition: string;
  createdAt: number;
}

export interface StoredLogRow {
  task: number;
  seq: number;
  count: number;
  at: number;
  body: string;
}

/** A row of the log by its place among those of all tasks. */
export interface StoredLogEntry extends StoredLogRow {
  /** Grows with every row that is written, with gaps, and is never given twice. */
  id: number;
  /** Template row of the task; null: it has none. */
  template: number | null;
}

export interface LogBounds {
  /** No row has a higher id; 0: none was written. */
  highest: number;
  /** Highest id of the rows that were removed with their task; 0: none was. */
  removed: number;
}

export interface PayloadKey {
  task: number;
  no: number;
  token: number;
}

export interface TaskFilter {
  /** Any of these states. */
  states?: number[];
  /** Any of these template rows (the engine resolves namespace, name, version to rows). */
  templates?: number[];
  initiator?: string;
  sourceSystem?: string;
  tag?: string;
  key?: string;
  /** Newest first; tasks with an id below this one. */
  beforeId?: number;
  /** Alternative to beforeId. */
  offset?: number;
  limit: number;
}

export interface TaskPage {
  tasks: StoredTask[];
  /** Counted up to `countCap`; asked for only when countCap > 0. */
  total: number | null;
}

export interface StoredSchedule {
  id: number;
  key: string;
  /** JSON text of a ScheduleDefinition. */
  definition: string;
  paused: boolean;
  nextAt: number | null;
  /** 1, and one more with every change. */
  version: number;
  createdAt: number;
  updatedAt: number;
}

export interface StoredTick {
  schedule: number;
  at: number;
  state: number;
  manual: boolean;
  task: number | null;
  plan: string | null;
  reason: string | null;
  message: string | null;
  doneAt: number | null;
}

export interface StoredLine {
  no: number;
  token: number;
  at: number;
  level: string;
  message: string;
}

export interface StoreHealth {
  writable: boolean;
  /** Bytes of the store on disk (0 for memory). */
  bytes: number;
}

/** Text of log bodies that one page of the whole log holds at most; a single larger row comes alone. */
export const LOG_PAGE_CHARS = 2 ** 20;

/** Steps above which a task is read in pages. */
export const LARGE_TASK = 2000;

export interface Store extends PlanStore {
  /** A fact line for logs and the bench, such as `sqlite 3.53.4 wal synchronous=FULL page 8192`. */
  readonly description: string;
  /** Number of durable flushes since open, where known. */
  readonly flushes: number;
  /** Random number below 2^38, given when the store was made and never changed: part of every public id. */
  readonly tag: number;

  /**
   * Everything or nothing, durable when it returns. Throws (or rejects with) StoreFailure; nothing else.
   * A StepWrite or TaskUpdate that does not meet its from-values, or a LogRow whose (task, seq) exists, is a `conflict`.
   */
  commit(changes: ChangeSet): Awaitable<void>;
  /** Drops the connection and opens a new one. Called after every StoreFailure other than `busy` and `conflict`. */
  reopen(): Awaitable<void>;
  close(): Awaitable<void>;

  /** Idempotent per (namespace, name, version, hash): returns the row, new or old. `revision` picks the row number to insert. */
  putTemplate(t: Omit<StoredTemplate, 'id'>): Awaitable<StoredTemplate>;
  templates(): Awaitable<StoredTemplate[]>;

  /** Graphs by task id; unknown ids are left out. A task of more than LARGE_TASK steps comes without them and without nodes: read those with `loadSteps` and `loadNodes`. */
  loadGraphs(ids: readonly number[]): Awaitable<StoredGraph[]>;
  loadTask(id: number): Awaitable<StoredTask | null>;
  /** Steps of one task with no > after, in order, at most limit. */
  loadSteps(q: { task: number; after: number; limit: number }): Awaitable<StoredStep[]>;
  /** Nodes of one task with no > after, in order, at most limit; with `parent`, those filed under it. */
  loadNodes(q: { task: number; after: number; limit: number; parent?: number }): Awaitable<StoredNode[]>;
  /** Where supplied ids stand; unknown ones are left out. */
  findElements(ids: readonly string[]): Awaitable<{ id: string; task: number; no: number }[]>;
  /** The live task of this template (null: ad hoc) with this key. */
  liveTaskByKey(q: { template: number | null; key: string }): Awaitable<number | null>;
  /** Links to steps of these tasks, one per task at most: whether they may be removed. */
  linkedTasks(ids: readonly number[]): Awaitable<number[]>;
  /** Ids of tasks in any of `states`, above `after`, ascending. For recovery and sweeps. */
  taskIds(q: { states: readonly number[]; after: number; limit: number }): Awaitable<number[]>;
  /** Ready steps that wait in the store, lowest rank first: rank > after.rank, or equal rank and (task, no) beyond. */
  readySteps(q: { limit: number; after?: { rank: number; task: number; no: number } }): Awaitable<{ task: number; no: number; rank: number }[]>;
  /** Steps and tasks (no = -1) whose wake_at is at or below `until`, earliest first. */
  due(q: { until: number; limit: number }): Awaitable<{ task: number; no: number; at: number }[]>;
  /** Bodies in the order of the keys; null where there is none. */
  payloads(keys: readonly PayloadKey[]): Awaitable<(string | null)[]>;
  checkpoint(q: { task: number; no: number }): Awaitable<{ token: number; at: number; body: string } | null>;
  /** Rows that hold events with seq > after, ascending. */
  log(q: { task: number; after: number; limit: number }): Awaitable<StoredLogRow[]>;
  /** All of them, by id, without their inputs. */
  schedules(): Awaitable<StoredSchedule[]>;
  loadSchedule(id: number): Awaitable<(StoredSchedule & { input: string | null }) | null>;
  /** Ticks of one schedule earlier than `before`, newest first. */
  ticks(q: { schedule: number; before?: number; limit: number }): Awaitable<StoredTick[]>;
  loadTick(q: { schedule: number; at: number }): Awaitable<StoredTick | null>;
  /** Pending ticks, of one schedule or all, earliest first; beyond (after.at, after.schedule). */
  pendingTicks(q: { schedule?: number; after?: { at: number; schedule: number }; limit: number }): Awaitable<StoredTick[]>;
  /** Tasks of a schedule's ticks that have not ended. */
  liveTickTasks(schedule: number): Awaitable<number[]>;
  /** Where the log of all tasks ends, and up to where it has lost rows. Short enough for every page of a stream. */
  logBounds(): Awaitable<LogBounds>;

  /**
   * The log of all tasks, or of one, in the order it was written: rows with id > after, ascending. Ends at `limit` rows or at LOG_PAGE_CHARS
   * characters of bodies, whichever comes first, but never before one row. Sees at least what a `logBounds` before it saw.
   */
  logAll(q: { after: number; limit: number; task?: number }): Promise<StoredLogEntry[]>;

  /** List queries, away from the engine's thread where the store can. */
  listTasks(q: TaskFilter & { countCap: number }): Promise<TaskPage>;
  /** Counts of steps by state for a page of tasks; used for live tasks whose graph is not cached. */
  stepCounts(ids: readonly number[]): Promise<Map<number, number[]>>;
  attemptLines(q: { task: number; no: number; token?: number; limit: number }): Promise<StoredLine[]>;
  /** Terminal tasks that retention may remove: completed before `before`, or beyond the newest `keep`; never one with an open dead letter. */
  expired(q: { before: number; keep: number; limit: number }): Promise<number[]>;
  /** Tasks by state, for metrics. */
  taskStateCounts(): Promise<number[]>;
  health(): Promise<StoreHealth>;
}
