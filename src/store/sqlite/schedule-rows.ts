/** Schedules and their ticks: what is written of them within a commit, and what is read. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ChangeSet } from '../../core/changes.ts';
import { type StoredSchedule, type StoredTick, StoreFailure } from '../store.ts';

type Row = (string | number | null)[];

const SCHEDULE_COLUMNS = 'id, key, definition, paused, next_at, version, created_at, updated_at';
const TICK_COLUMNS = 'schedule, at, state, manual, task, plan, reason, message, done_at';

/** Called inside the transaction. */
export function writeSchedules(c: ChangeSet, statement: (sql: string) => StatementSync): void {
  for (const s of c.schedules)
    statement('insert into schedules(id, key, definition, input, paused, next_at, version, created_at, updated_at) values (?, ?, ?, ?, ?, ?, 1, ?, ?)').run(
      s.id,
      s.key,
      s.definition,
      s.input,
      Number(s.paused),
      s.nextAt,
      s.createdAt,
      s.createdAt,
    );
  for (const s of c.scheduleUpdates) {
    const { definition: d } = s;
    const done = statement(
      `update schedules set paused = ?, next_at = ?, version = version + 1, definition = coalesce(?, definition),
         input = case when ? is null then input else ? end, updated_at = coalesce(?, updated_at) where id = ? and version = ?`,
    ).run(Number(s.paused), s.nextAt, d?.definition ?? null, d?.definition ?? null, d?.input ?? null, d?.updatedAt ?? null, s.id, s.fromVersion);
    if (done.changes !== 1) lost(`schedule ${s.id}`);
  }
  for (const s of c.scheduleRemovals) {
    statement('delete from schedule_ticks where schedule = ?').run(s.id);
    if (statement('delete from schedules where id = ? and version = ?').run(s.id, s.fromVersion).changes !== 1) lost(`schedule ${s.id}`);
  }
  for (const t of c.ticks) {
    if (t.insert) {
      statement(`insert into schedule_ticks(${TICK_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)`).run(
        t.schedule,
        t.at,
        t.state,
        Number(t.manual),
        t.task,
        t.plan,
        t.reason,
        t.message,
        t.doneAt,
      );
      continue;
    }
    const done = statement(
      'update schedule_ticks set state = ?, task = ?, plan = ?, reason = ?, message = ?, done_at = ? where schedule = ? and at = ? and state = ?',
    ).run(t.state, t.task, t.plan, t.reason, t.message, t.doneAt, t.schedule, t.at, t.fromState);
    if (done.changes !== 1) lost(`tick ${t.at} of schedule ${t.schedule}`);
  }
  for (const p of c.tickPrunes)
    statement(
      `delete from schedule_ticks where schedule = ? and state > 0
         and at < (select at from schedule_ticks where schedule = ? order by at desc limit 1 offset ? - 1)
         and not exists (select 1 from tasks t where t.id = schedule_ticks.task and t.completed_at is null)`,
    ).run(p.schedule, p.schedule, p.keep);
}

const lost = (what: string): never => {
  throw new StoreFailure('conflict', false, `${what} is not as it was decided on`);
};

const scheduleOf = (r: Row): StoredSchedule => ({
  id: r[0] as number,
  key: r[1] as string,
  definition: r[2] as string,
  paused: r[3] === 1,
  nextAt: r[4] as number | null,
  version: r[5] as number,
  createdAt: r[6] as number,
  updatedAt: r[7] as number,
});

const tickOf = (r: Row): StoredTick => ({
  schedule: r[0] as number,
  at: r[1] as number,
  state: r[2] as number,
  manual: r[3] === 1,
  task: r[4] as number | null,
  plan: r[5] as string | null,
  reason: r[6] as string | null,
  message: r[7] as string | null,
  doneAt: r[8] as number | null,
});

export class ScheduleReads {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  all(): StoredSchedule[] {
    return this.#rows(`select ${SCHEDULE_COLUMNS} from schedules order by id`).map(scheduleOf);
  }

  one(id: number): (StoredSchedule & { input: string | null }) | null {
    const [row] = this.#rows(`select ${SCHEDULE_COLUMNS}, input from schedules where id = ?`, id);
    return row === undefined ? null : { ...scheduleOf(row), input: row[8] as string | null };
  }

  ticks(schedule: number, before: number, limit: number): StoredTick[] {
    return this.#rows(`select ${TICK_COLUMNS} from schedule_ticks where schedule = ? and at < ? order by at desc limit ?`, schedule, before, limit).map(tickOf);
  }

  tick(schedule: number, at: number): StoredTick | null {
    const [row] = this.#rows(`select ${TICK_COLUMNS} from schedule_ticks where schedule = ? and at = ?`, schedule, at);
    return row === undefined ? null : tickOf(row);
  }

  pending(q: { schedule?: number; after?: { at: number; schedule: number }; limit: number }): StoredTick[] {
    const { at, schedule } = q.after ?? { at: Number.MIN_SAFE_INTEGER, schedule: 0 };
    const rows =
      q.schedule === undefined
        ? this.#rows(
            `select ${TICK_COLUMNS} from schedule_ticks where state = 0 and (at, schedule) > (?, ?) order by at, schedule limit ?`,
            at,
            schedule,
            q.limit,
          )
        : this.#rows(`select ${TICK_COLUMNS} from schedule_ticks where schedule = ? and state = 0 and at > ? order by at limit ?`, q.schedule, at, q.limit);
    return rows.map(tickOf);
  }

  liveTasks(schedule: number): number[] {
    const sql = `select s.task from schedule_ticks s join tasks t on t.id = s.task where s.schedule = ? and s.state = 1 and t.completed_at is null order by s.at`;
    return this.#rows(sql, schedule).map((r) => r[0] as number);
  }

  #rows(sql: string, ...args: (string | number)[]): Row[] {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      statement.setReturnArrays(true);
      this.#statements.set(sql, statement);
    }
    return statement.all(...args) as unknown as Row[];
  }
}
