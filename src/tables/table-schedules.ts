/** Schedules that the configs of tables ask for: one for each task type with a cron text, and none that no config has any more. */
import type { JsonObject } from '../core/definition.ts';
import { TABLE_PREFIX, type ScheduleRequest } from '../core/schedule.ts';
import { schedulesOf } from './table-config.ts';

export interface OwnedSchedules {
  /** The same again changes nothing. */
  put(r: ScheduleRequest): Promise<unknown>;
  /** Those whose keys begin so. */
  remove(prefix: string): Promise<void>;
  list(): { resource: string; taskType: string }[];
}

export class TableSchedules {
  readonly #of: () => OwnedSchedules;
  readonly #taskType: (name: string) => { name: string };

  constructor(schedules: () => OwnedSchedules, taskType: (name: string) => { name: string }) {
    this.#of = schedules;
    this.#taskType = taskType;
  }

  get #schedules(): OwnedSchedules {
    return this.#of();
  }

  async follow(table: string, config: JsonObject): Promise<void> {
    const wanted = schedulesOf(config).map((s) => ({ ...s, taskType: this.#taskType(s.taskType).name }));
    for (const { resource, taskType } of this.#schedules.list()) {
      if (resource !== table || wanted.some((w) => w.taskType === taskType)) continue;
      // Another key may begin with the whole of this one; what goes with it is put again below.
      await this.#schedules.remove(keyOf(table, taskType));
    }
    for (const { taskType, cron, zone } of wanted) {
      await this.#schedules.put({ key: keyOf(table, taskType), cron, dialect: 'quartz', timeZone: zone, target: { kind: 'plan', resource: table, taskType } });
    }
  }

  async drop(table: string): Promise<void> {
    await this.#schedules.remove(`${TABLE_PREFIX}${table}/`);
  }

  /** Of a process that has started: what a crash left between a config and its schedules is put right. */
  async reconcile(tables: readonly { id: string; config: JsonObject }[], onError: (table: string, e: unknown) => void): Promise<void> {
    const known = new Set(tables.map((t) => t.id));
    for (const { resource } of this.#schedules.list()) if (!known.has(resource)) await this.drop(resource);
    // A task type that nobody here has any more, for one: that is no reason not to start.
    for (const t of tables) await this.follow(t.id, t.config).catch((e: unknown) => onError(t.id, e));
  }
}

const keyOf = (table: string, taskType: string): string => `${TABLE_PREFIX}${table}/${taskType}`;
