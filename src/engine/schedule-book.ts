/** The schedules of the store, in memory but for their inputs: what they are, when they fall next, which of their ticks wait. */
import type { ScheduleDefinition } from '../core/schedule.ts';
import type { Store, StoredSchedule } from '../store/store.ts';
import type { TickCounts } from './schedule-views.ts';

export interface WaitingTick {
  at: number;
  manual: boolean;
}

export interface ScheduleEntry {
  readonly id: number;
  readonly key: string;
  readonly createdAt: number;
  definition: ScheduleDefinition;
  paused: boolean;
  nextAt: number | null;
  version: number;
  updatedAt: number;
  /** Pending ticks, earliest first. */
  waiting: WaitingTick[];
  readonly counts: TickCounts;
  /** It is being removed, or is gone. */
  removed: boolean;
  /** What the firing of its ticks is at: one at a time. */
  draining: Promise<void> | null;
  wanted: boolean;
}

const PAGE = 1000;

export const noCounts = (): TickCounts => ({ fired: 0, failed: 0, late: 0, overlap: 0, missed: 0, conflict: 0 });

export class ScheduleBook {
  readonly #store: Store;
  readonly #byId = new Map<number, ScheduleEntry>();
  readonly #byKey = new Map<string, ScheduleEntry>();
  #sorted: ScheduleEntry[] | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: Store) {
    this.#store = store;
  }

  get size(): number {
    return this.#byId.size;
  }

  async load(): Promise<void> {
    for (const row of await this.#store.schedules()) this.put(row);
    for (let after: { at: number; schedule: number } | undefined; ; ) {
      const page = await this.#store.pendingTicks({ after, limit: PAGE });
      for (const { schedule, at, manual } of page) this.#byId.get(schedule)?.waiting.push({ at, manual });
      if (page.length < PAGE) return;
      after = page[page.length - 1];
    }
  }

  byId(id: number): ScheduleEntry | undefined {
    return this.#byId.get(id);
  }

  byKey(key: string): ScheduleEntry | undefined {
    return this.#byKey.get(key);
  }

  all(): IterableIterator<ScheduleEntry> {
    return this.#byId.values();
  }

  /** By key. */
  sorted(): readonly ScheduleEntry[] {
    return (this.#sorted ??= [...this.#byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1)));
  }

  put(row: StoredSchedule): ScheduleEntry {
    const e: ScheduleEntry = {
      id: row.id,
      key: row.key,
      createdAt: row.createdAt,
      definition: JSON.parse(row.definition) as ScheduleDefinition,
      paused: row.paused,
      nextAt: row.nextAt,
      version: row.version,
      updatedAt: row.updatedAt,
      waiting: [],
      counts: noCounts(),
      removed: false,
      draining: null,
      wanted: false,
    };
    this.#byId.set(e.id, e);
    this.#byKey.set(e.key, e);
    this.#sorted = null;
    return e;
  }

  drop(e: ScheduleEntry): void {
    e.removed = true;
    this.#byId.delete(e.id);
    if (this.#byKey.get(e.key) === e) this.#byKey.delete(e.key);
    this.#sorted = null;
  }

  /** What the store says now, after a commit that was refused, or may have been: the store is the truth. */
  async refresh(e: ScheduleEntry): Promise<void> {
    const row = await this.#store.loadSchedule(e.id);
    if (row === null) {
      this.drop(e);
      return;
    }
    e.definition = JSON.parse(row.definition) as ScheduleDefinition;
    e.paused = row.paused;
    e.nextAt = row.nextAt;
    e.version = row.version;
    e.updatedAt = row.updatedAt;
    await this.refreshTicks(e);
  }

  async refreshTicks(e: ScheduleEntry): Promise<void> {
    const rows = await this.#store.pendingTicks({ schedule: e.id, limit: 2 * PAGE });
    e.waiting = rows.map(({ at, manual }) => ({ at, manual }));
  }

  /** One after the other: whoever changes schedules decides on what the one before left. */
  async exclusively<T>(run: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(run);
    this.#turn = mine.catch(() => undefined);
    return await mine;
  }
}
