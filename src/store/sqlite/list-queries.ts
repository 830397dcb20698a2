/** The list queries. They run in the reader's thread for a file and on the engine's connection for a store in memory. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { LOG_PAGE_CHARS, type Store, type StoredLine, type StoredLogEntry, type TaskFilter, type TaskPage } from '../store.ts';
import { LEVELS, type Row, TASK_COLUMNS, taskOf } from './rows.ts';

export type ListVerb = 'listTasks' | 'stepCounts' | 'attemptLines' | 'expired' | 'taskStateCounts' | 'logAll';
export type ListArgs<V extends ListVerb> = Parameters<Store[V]>[0];
export type ListAnswer<V extends ListVerb> = Awaited<ReturnType<Store[V]>>;

const TASK_STATES = 12;
const STEP_STATES = 10;
/** Filters make a few dozen texts; a cap keeps odd ones from piling up. */
const STATEMENTS = 64;
/** Above this many templates one index run per template stops paying. */
const TEMPLATE_RUNS = 16;

/** Rows at the end of the log that are read through rather than searched for those of one task. */
const LOG_TAIL = 2000;

const COMPLETE = 8;
/** Where tasks of a state are found in the order of their ids; complete ones along the primary key, since they are nearly all. */
const runOf = (state: number): string[] =>
  state === COMPLETE
    ? ['']
    : state < COMPLETE
      ? ['indexed by tasks_live', `t.state < ${COMPLETE}`]
      : ['indexed by tasks_unsuccessful', `t.state > ${COMPLETE}`];

export class ListQueries {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  run<V extends ListVerb>(verb: V, q: ListArgs<V>): ListAnswer<V> {
    return (this[verb] as (q: ListArgs<V>) => ListAnswer<V>)(q);
  }

  listTasks(q: TaskFilter & { countCap: number }): TaskPage {
    const states = q.states === undefined ? undefined : [...new Set(q.states)];
    const templates = q.templates === undefined ? undefined : [...new Set(q.templates)];
    const where: string[] = [];
    const args: SQLInputValue[] = [];
    const and = (condition: string, arg: SQLInputValue): void => {
      where.push(condition);
      args.push(arg);
    };
    if (q.initiator !== undefined) and('t.initiator = ?', q.initiator);
    if (q.key !== undefined) and('t.key = ?', q.key);
    if (q.sourceSystem !== undefined) and('t.source_system = ?', q.sourceSystem);
    if (q.tag !== undefined) and('exists (select 1 from json_each(t.tags) where value = ?)', q.tag);
    // Index runs, each newest first, are merged: states in one, else templates in one, else the whole table.
    const byTemplate = states === undefined && templates !== undefined && templates.length <= TEMPLATE_RUNS;
    if (templates !== undefined && !byTemplate) and('t.template in (select value from json_each(?))', JSON.stringify(templates));
    const total = q.countCap > 0 ? this.#count(where, args, states, byTemplate ? templates : undefined, q.countCap) : null;
    if (q.beforeId !== undefined) and('t.id < ?', q.beforeId);

    const offset = q.offset ?? 0;
    const reach = q.limit + offset;
    const run = (from: string, first: string[]): string => {
      const all = [...first, ...where];
      return `select id from (select t.id from tasks t ${from} ${all.length > 0 ? `where ${all.join(' and ')}` : ''} order by t.id desc limit ?)`;
    };
    const keys = states ?? (byTemplate ? templates : undefined);
    const runs: string[] = [];
    const runArgs: SQLInputValue[] = [];
    if (keys === undefined) {
      runs.push(run('', []));
      runArgs.push(...args, reach);
    } else {
      for (const key of keys) {
        const [from, ...first] = states === undefined ? ['indexed by tasks_by_template', 't.template = ?'] : [...runOf(key), 't.state = ?'];
        runs.push(run(from, first));
        runArgs.push(key, ...args, reach);
      }
    }
    if (runs.length === 0) return { tasks: [], total };
    const rows = this.#rows(
      `select ${TASK_COLUMNS} from tasks t where t.id in (select id from (${runs.join(' union all ')}) order by id desc limit ? offset ?) order by t.id desc`,
      ...runArgs,
      q.limit,
      offset,
    );
    return { tasks: rows.map(taskOf), total };
  }

  stepCounts(ids: readonly number[]): Map<number, number[]> {
    const counts = new Map<number, number[]>();
    const rows = this.#rows('select task, state, count(*) from steps where task in (select value from json_each(?)) group by task, state', JSON.stringify(ids));
    for (const [task, state, n] of rows as number[][]) {
      let of = counts.get(task);
      if (of === undefined) counts.set(task, (of = new Array<number>(STEP_STATES).fill(0)));
      of[state] = n;
    }
    return counts;
  }

  attemptLines(q: { task: number; no: number; token?: number; limit: number }): StoredLine[] {
    const columns = 'select no, token, at, level, message from attempt_lines where task = ? and no = ?';
    const rows =
      q.token === undefined
        ? this.#rows(`${columns} order by token, id limit ?`, q.task, q.no, q.limit)
        : this.#rows(`${columns} and token = ? order by id limit ?`, q.task, q.no, q.token, q.limit);
    return rows.map((r) => ({
      no: r[0] as number,
      token: r[1] as number,
      at: r[2] as number,
      level: LEVELS[r[3] as number],
      message: r[4] as string,
    }));
  }

  expired(q: { before: number; keep: number; limit: number }): number[] {
    // The newest task beyond `keep`: it and all that ended before it may go.
    const edge = this.#rows(
      'select completed_at, id from tasks where completed_at is not null order by completed_at desc, id desc limit 1 offset ?',
      q.keep,
    )[0];
    const byCount = edge !== undefined && (edge[0] as number) >= q.before;
    const rows = this.#rows(
      `select t.id from tasks t where t.completed_at is not null and (t.completed_at, t.id) <= (?, ?)
         and not exists (select 1 from dead_letters d where d.task = t.id and d.resolved_at is null)
         and not exists (select 1 from links l where l.to_task = t.id)
         and (t.meta is null or json_extract(t.meta, '$.origin.type') is not 'archive')
         and not exists (select 1 from plan_batches b join plans p on p.id = b.plan where b.task = t.id and p.ended_at is null)
       order by t.completed_at, t.id limit ?`,
      byCount ? (edge[0] as number) : q.before - 1,
      byCount ? (edge[1] as number) : Number.MAX_SAFE_INTEGER,
      q.limit,
    );
    return rows.map((r) => r[0] as number);
  }

  logAll(q: { after: number; limit: number; task?: number }): StoredLogEntry[] {
    const columns = 'select l.id, l.task, l.seq, l.count, l.at, l.body, t.template from log l left join tasks t on t.id = l.task where';
    const [where, ...args] = this.#logRange(q);
    const found = this.#statement(`${columns} ${where} limit ?`).iterate(...args, q.limit);
    const rows: StoredLogEntry[] = [];
    let chars = 0;
    for (const r of found as unknown as Iterable<Row>) {
      const body = r[5] as string;
      chars += body.length;
      if (chars > LOG_PAGE_CHARS && rows.length > 0) break;
      rows.push({
        id: r[0] as number,
        task: r[1] as number,
        seq: r[2] as number,
        count: r[3] as number,
        at: r[4] as number,
        body,
        template: r[6] as number | null,
      });
    }
    return rows;
  }

  /** Within a task ids rise with seq. Its index is entered where the reader is; who is near the end of the log reads on from there. */
  #logRange(q: { after: number; task?: number }): [where: string, ...args: number[]] {
    if (q.task === undefined) return ['l.id > ? order by l.id', q.after];
    const [at, end] = this.#rows('select (select seq from log where id = ? and task = ?), (select max(id) from log)', q.after, q.task)[0] as (number | null)[];
    if (at !== null) return ['l.task = ? and l.seq > ? order by l.seq', q.task, at];
    if ((end ?? 0) - q.after <= LOG_TAIL) return ['l.id > ? and +l.task = ? order by l.id', q.after, q.task];
    return ['+l.id > ? and l.task = ? order by l.seq', q.after, q.task];
  }

  taskStateCounts(): number[] {
    const counts = new Array<number>(TASK_STATES).fill(0);
    const rows = this.#rows(
      `select state, count(*) from tasks indexed by tasks_live where state < ${COMPLETE} group by state
       union all select state, count(*) from tasks indexed by tasks_unsuccessful where state > ${COMPLETE} group by state
       union all select ${COMPLETE}, count(*) from tasks indexed by tasks_ended where completed_at is not null`,
    );
    for (const [state, n] of rows as number[][]) counts[state] = n;
    for (let state = COMPLETE + 1; state < TASK_STATES; state++) counts[COMPLETE] -= counts[state];
    return counts;
  }

  #count(where: string[], args: SQLInputValue[], states: number[] | undefined, templates: number[] | undefined, cap: number): number {
    if (states !== undefined) {
      let total = 0;
      for (const state of states) {
        const [from, ...first] = runOf(state);
        const all = [...first, 't.state = ?', ...where];
        const sql = `select count(*) from (select 1 from tasks t ${from} where ${all.join(' and ')} limit ?)`;
        total += this.#rows(sql, state, ...args, cap)[0][0] as number;
      }
      return Math.min(cap, total);
    }
    const all = [...where];
    const values = [...args];
    if (templates !== undefined) {
      all.unshift('t.template in (select value from json_each(?))');
      values.unshift(JSON.stringify(templates));
    }
    const sql = `select count(*) from (select 1 from tasks t ${all.length > 0 ? `where ${all.join(' and ')}` : ''} limit ?)`;
    return this.#rows(sql, ...values, cap)[0][0] as number;
  }

  #rows(sql: string, ...args: SQLInputValue[]): Row[] {
    return this.#statement(sql).all(...args) as unknown as Row[];
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      if (this.#statements.size >= STATEMENTS) this.#statements.clear();
      statement = this.#db.prepare(sql);
      statement.setReturnArrays(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
