/** The store in one SQLite file, or in memory for tests. Commits and hot reads run on the caller's thread and answer at once. */
import { existsSync, realpathSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { ChangeSet } from '../../core/changes.ts';
import type { Plan, PlanBatch } from '../../core/plan.ts';
import { TuttiError } from '../../core/errors.ts';
import type { StoredItem, StoredResource } from '../plan-store.ts';
import {
  type LogBounds,
  type PayloadKey,
  type Store,
  type StoredGraph,
  type StoredLine,
  type StoredLogEntry,
  type StoredLogRow,
  type StoredNode,
  type StoredSchedule,
  type StoredStep,
  type StoredTask,
  type StoredTemplate,
  type StoredTick,
  StoreFailure,
  type StoreHealth,
  type TaskFilter,
  type TaskPage,
} from '../store.ts';
import { CommitWriter } from './commit-writer.ts';
import { describeConnection, growWal, isMemory, openConnection } from './connection.ts';
import { toStoreFailure, toUnusable } from './failure.ts';
import { HotReads } from './hot-reads.ts';
import { type ListAnswer, type ListArgs, ListQueries, type ListVerb } from './list-queries.ts';
import { FileLock } from './lock.ts';
import { type Migration, migrate, schemaVersion } from './migrations.ts';
import { PlanRows } from './plan-rows.ts';
import { Reader } from './reader.ts';
import { ScheduleReads } from './schedule-rows.ts';
import { allTemplates, putTemplate } from './template-rows.ts';

export interface SqliteOptions {
  /** A file whose directory exists, or `:memory:`. */
  path: string;
  /** Milliseconds since 1970; stamps schema versions. */
  now: () => number;
  /** Random integer below 2^38, kept in a store that is made now; an existing store has its own. */
  tag: number;
  /** The file may not grow beyond this many pages of 8 KiB: then commits fail with `full`. Default: no limit. */
  maxPages?: number;
  /** Fill the write-ahead log at open (about 0.05 s and 20 MB), which makes commits faster. Default true; false for short-lived stores. */
  growLog?: boolean;
  /** For tests of upgrades. Default: those of this version. */
  migrations?: readonly Migration[];
}

const TAG_LIMIT = 2 ** 38;
/** After these the connection is as good as before. */
const HARMLESS = new Set<StoreFailure['kind']>(['busy', 'conflict', 'invalid']);

/** Closing may fail where the disk has; the connection is not used again either way. */
const closeQuietly = (db: DatabaseSync): void => {
  try {
    db.close();
  } catch {
    // Closed already, or beyond closing.
  }
};

const locate = (path: string): string => {
  const full = resolve(path);
  const directory = dirname(full);
  if (!existsSync(directory)) {
    throw new TuttiError('STORE_UNUSABLE', `the directory ${directory} of the store file does not exist`, {
      field: 'store',
      details: { path: full },
    });
  }
  // One file, one lock, whatever name it is reached by.
  return existsSync(full) ? realpathSync(full) : join(realpathSync(directory), basename(full));
};

export class SqliteStore implements Store {
  readonly description: string;
  readonly tag: number;
  readonly #path: string;
  readonly #options: SqliteOptions;
  readonly #lock: FileLock | undefined;
  readonly #reader: Reader | undefined;
  #db: DatabaseSync;
  #writer: CommitWriter;
  #reads: HotReads;
  #schedules: ScheduleReads;
  #lists: ListQueries;
  #plans: PlanRows;
  #flushes = 0;
  /** Why the connection is not used any more. */
  #broken: StoreFailure | undefined;
  #closed = false;

  /** Opens or makes the store. Throws TuttiError STORE_LOCKED or STORE_UNUSABLE; then no lock is held and nothing was half written. */
  static open(options: SqliteOptions): SqliteStore {
    if (!Number.isInteger(options.tag) || options.tag < 0 || options.tag >= TAG_LIMIT) {
      throw new TuttiError('INVALID_INPUT', `tag must be an integer from 0 to ${TAG_LIMIT - 1}`, { field: 'tag' });
    }
    if (isMemory(options.path)) return new SqliteStore(':memory:', options, undefined);
    const path = locate(options.path);
    const lock = FileLock.take(path);
    try {
      return new SqliteStore(path, options, lock);
    } catch (e) {
      lock.release();
      throw toUnusable(path, e);
    }
  }

  private constructor(path: string, options: SqliteOptions, lock: FileLock | undefined) {
    this.#path = path;
    this.#options = options;
    this.#lock = lock;
    this.#reader = lock === undefined ? undefined : new Reader(path);
    this.#db = openConnection(path, options.maxPages, (db) => schemaVersion(db, path, options.migrations));
    try {
      const now = options.now();
      migrate(this.#db, path, now, options.migrations);
      // Also the proof that the file can be written: SQLite opens a read-only one without a word.
      this.#db.prepare(`insert into meta(key, value) values ('opened_at', ?) on conflict(key) do update set value = excluded.value`).run(now);
      this.#db.prepare(`insert into meta(key, value) values ('tag', ?) on conflict(key) do nothing`).run(options.tag);
      this.tag = Number((this.#db.prepare(`select value from meta where key = 'tag'`).get() as { value: number }).value);
      this.#grow();
      this.description = describeConnection(this.#db);
      this.#writer = new CommitWriter(this.#db);
      this.#reads = new HotReads(this.#db);
      this.#schedules = new ScheduleReads(this.#db);
      this.#lists = new ListQueries(this.#db);
      this.#plans = new PlanRows(this.#db);
    } catch (e) {
      closeQuietly(this.#db);
      throw e;
    }
  }

  get flushes(): number {
    return this.#flushes;
  }

  commit(changes: ChangeSet): void {
    this.#usable();
    try {
      this.#writer.write(changes);
      this.#flushes++;
    } catch (e) {
      throw this.#failed(e);
    }
  }

  reopen(): void {
    if (this.#closed) throw new StoreFailure('io', false, 'the store is closed');
    // Memory lives and dies with its connection, and has no disk that could have failed.
    if (this.#lock !== undefined) {
      this.#broken ??= new StoreFailure('io', false, 'the store is being reopened');
      // It may have met the same failure. What it was asked is still answered.
      void this.#reader?.close();
      closeQuietly(this.#db);
      try {
        this.#db = openConnection(this.#path, this.#options.maxPages);
        this.#grow();
        this.#writer = new CommitWriter(this.#db);
        this.#reads = new HotReads(this.#db);
        this.#schedules = new ScheduleReads(this.#db);
        this.#lists = new ListQueries(this.#db);
        this.#plans = new PlanRows(this.#db);
      } catch (e) {
        throw (this.#broken = toStoreFailure(e, false));
      }
    }
    this.#broken = undefined;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#broken ??= new StoreFailure('io', false, 'the store is closed');
    await this.#reader?.close();
    closeQuietly(this.#db);
    this.#lock?.release();
  }

  putTemplate(t: Omit<StoredTemplate, 'id'>): StoredTemplate {
    return this.#on(() => {
      const { row, inserted } = putTemplate(this.#db, t);
      if (inserted) this.#flushes++;
      return row;
    });
  }

  templates(): StoredTemplate[] {
    return this.#on(() => allTemplates(this.#db));
  }

  loadGraphs(ids: readonly number[]): StoredGraph[] {
    return this.#on(() => this.#reads.graphs(ids));
  }

  loadTask(id: number): StoredTask | null {
    return this.#on(() => this.#reads.task(id));
  }

  loadSteps(q: { task: number; after: number; limit: number }): StoredStep[] {
    return this.#on(() => this.#reads.steps(q.task, q.after, q.limit));
  }

  loadNodes(q: { task: number; after: number; limit: number; parent?: number }): StoredNode[] {
    return this.#on(() => this.#reads.nodes(q));
  }

  findElements(ids: readonly string[]): { id: string; task: number; no: number }[] {
    return this.#on(() => this.#reads.elements(ids));
  }

  liveTaskByKey(q: { template: number | null; key: string }): number | null {
    return this.#on(() => this.#reads.liveTaskByKey(q.template, q.key));
  }

  linkedTasks(ids: readonly number[]): number[] {
    return this.#on(() => this.#reads.linkedTasks(ids));
  }

  taskIds(q: { states: readonly number[]; after: number; limit: number }): number[] {
    return this.#on(() => this.#reads.taskIds(q.states, q.after, q.limit));
  }

  readySteps(q: { limit: number; after?: { rank: number; task: number; no: number } }): { task: number; no: number; rank: number }[] {
    return this.#on(() => this.#reads.readySteps(q.limit, q.after));
  }

  due(q: { until: number; limit: number }): { task: number; no: number; at: number }[] {
    return this.#on(() => this.#reads.due(q.until, q.limit));
  }

  payloads(keys: readonly PayloadKey[]): (string | null)[] {
    return this.#on(() => this.#reads.payloads(keys));
  }

  checkpoint(q: { task: number; no: number }): { token: number; at: number; body: string } | null {
    return this.#on(() => this.#reads.checkpoint(q.task, q.no));
  }

  log(q: { task: number; after: number; limit: number }): StoredLogRow[] {
    return this.#on(() => this.#reads.log(q.task, q.after, q.limit));
  }

  schedules(): StoredSchedule[] {
    return this.#on(() => this.#schedules.all());
  }

  loadSchedule(id: number): (StoredSchedule & { input: string | null }) | null {
    return this.#on(() => this.#schedules.one(id));
  }

  ticks(q: { schedule: number; before?: number; limit: number }): StoredTick[] {
    return this.#on(() => this.#schedules.ticks(q.schedule, q.before ?? Number.MAX_SAFE_INTEGER, q.limit));
  }

  loadTick(q: { schedule: number; at: number }): StoredTick | null {
    return this.#on(() => this.#schedules.tick(q.schedule, q.at));
  }

  pendingTicks(q: { schedule?: number; after?: { at: number; schedule: number }; limit: number }): StoredTick[] {
    return this.#on(() => this.#schedules.pending(q));
  }

  liveTickTasks(schedule: number): number[] {
    return this.#on(() => this.#schedules.liveTasks(schedule));
  }

  logBounds(): LogBounds {
    return this.#on(() => this.#reads.logBounds());
  }

  logAll(q: { after: number; limit: number; task?: number }): Promise<StoredLogEntry[]> {
    return this.#list('logAll', q);
  }

  livePlans(): Plan[] {
    return this.#on(() => this.#plans.live());
  }

  planById(planId: string): Plan | null {
    return this.#on(() => this.#plans.byId(planId));
  }

  planByNumber(id: number): Plan | null {
    return this.#on(() => this.#plans.byNumber(id));
  }

  plansOf(q: { resource?: string; taskType?: string; newest: boolean; limit: number }): Plan[] {
    return this.#on(() => this.#plans.of(q));
  }

  planIds(q: { resource: string; taskType: string }): string[] {
    return this.#on(() => this.#plans.ids(q));
  }

  planBatches(q: { plan: number; from: number; limit: number }): PlanBatch[] {
    return this.#on(() => this.#plans.batches(q));
  }

  batchOfTask(task: number): PlanBatch | null {
    return this.#on(() => this.#plans.batchOfTask(task));
  }

  endedPlans(q: { before: number; keep: number; limit: number }): number[] {
    return this.#on(() => this.#plans.ended(q));
  }

  plannedResources(): string[] {
    return this.#on(() => this.#plans.plannedResources());
  }

  stoppedQueues(): string[] {
    return this.#on(() => this.#plans.stoppedQueues());
  }

  planHighs(): { plan: number; resource: number } {
    return this.#on(() => this.#plans.highs());
  }

  resource(id: string): StoredResource | null {
    return this.#on(() => this.#plans.resource(id));
  }

  resources(q: { kind?: string; after?: string; limit: number }): StoredResource[] {
    return this.#on(() => this.#plans.resources(q));
  }

  items(q: { resource: number; prefix?: string; after?: string; limit: number }): StoredItem[] {
    return this.#on(() => this.#plans.items(q));
  }

  itemVersions(q: { resource: number; keys: readonly string[] }): (number | null)[] {
    return this.#on(() => this.#plans.itemVersions(q));
  }

  listTasks(q: TaskFilter & { countCap: number }): Promise<TaskPage> {
    return this.#list('listTasks', q);
  }

  stepCounts(ids: readonly number[]): Promise<Map<number, number[]>> {
    return this.#list('stepCounts', ids);
  }

  attemptLines(q: { task: number; no: number; token?: number; limit: number }): Promise<StoredLine[]> {
    return this.#list('attemptLines', q);
  }

  expired(q: { before: number; keep: number; limit: number }): Promise<number[]> {
    return this.#list('expired', q);
  }

  taskStateCounts(): Promise<number[]> {
    return this.#list('taskStateCounts', undefined);
  }

  /** Takes and gives back the write lock; costs no flush, so that a health route can be asked freely. */
  async health(): Promise<StoreHealth> {
    let writable = this.#broken === undefined;
    if (writable) {
      try {
        this.#db.exec('begin immediate; rollback');
      } catch {
        writable = false;
      }
    }
    if (this.#lock === undefined) return { writable, bytes: 0 };
    const sizes = await Promise.all(
      ['', '-wal'].map((suffix) =>
        stat(this.#path + suffix).then(
          (s) => s.size,
          () => 0,
        ),
      ),
    );
    return { writable: writable && sizes[0] > 0, bytes: sizes[0] + sizes[1] };
  }

  async #list<V extends ListVerb>(verb: V, q: ListArgs<V>): Promise<ListAnswer<V>> {
    if (this.#closed) throw new StoreFailure('io', false, 'the store is closed');
    if (this.#reader !== undefined) return this.#reader.ask(verb, q);
    return this.#on(() => this.#lists.run(verb, q));
  }

  /** Growing the log is a gain, never a condition: without room for it the store still serves, slower. */
  #grow(): void {
    if (this.#lock === undefined || this.#options.growLog === false) return;
    try {
      growWal(this.#db, this.#path);
    } catch {
      closeQuietly(this.#db);
      this.#db = openConnection(this.#path, this.#options.maxPages);
    }
  }

  #on<T>(read: () => T): T {
    this.#usable();
    try {
      return read();
    } catch (e) {
      throw this.#failed(e);
    }
  }

  #usable(): void {
    const broken = this.#broken;
    if (broken !== undefined) throw new StoreFailure(broken.kind, false, `reopen the store first: ${broken.message}`, broken);
  }

  #failed(e: unknown): StoreFailure {
    const failure = toStoreFailure(e, false);
    if (!HARMLESS.has(failure.kind)) this.#broken = failure;
    return failure;
  }
}
