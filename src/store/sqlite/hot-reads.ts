/** Reads on the engine's own connection. Short, by key, prepared; SQLite answers at once. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import {
  LARGE_TASK,
  type LogBounds,
  type PayloadKey,
  type StoredGraph,
  type StoredNode,
  type StoredLogRow,
  type StoredStep,
  type StoredTask,
} from '../store.ts';
import { type Row, STEP_COLUMNS, stepOf, TASK_COLUMNS, taskOf } from './rows.ts';

const COMPLETE = 8;

/** Keys of one task whose numbers rise and leave few gaps. */
function isRun(keys: readonly PayloadKey[]): boolean {
  const n = keys.length;
  if (n < 32 || keys[n - 1].no - keys[0].no > n * 1.5) return false;
  for (let i = 1; i < n; i++) if (keys[i].task !== keys[0].task || keys[i].no <= keys[i - 1].no) return false;
  return true;
}

export class HotReads {
  readonly #db: DatabaseSync;
  /** By text: all texts are written below, so their number is small. */
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  task(id: number): StoredTask | null {
    const row = this.#row(`select ${TASK_COLUMNS} from tasks t where t.id = ?`, id);
    return row === undefined ? null : taskOf(row);
  }

  graphs(ids: readonly number[]): StoredGraph[] {
    if (ids.length === 0) return [];
    if (ids.length === 1) {
      const task = this.task(ids[0]);
      if (task === null) return [];
      const steps = task.totalSteps > LARGE_TASK ? [] : this.#rows(`select ${STEP_COLUMNS} from steps where task = ? order by no`, task.id).map(stepOf);
      const nodes = task.totalSteps > LARGE_TASK ? [] : this.nodes({ task: task.id, after: -1, limit: Number.MAX_SAFE_INTEGER });
      return [{ task, steps, nodes }];
    }
    const json = JSON.stringify(ids);
    const graphs: StoredGraph[] = [];
    for (const row of this.#rows(`select ${TASK_COLUMNS} from tasks t where t.id in (select value from json_each(?)) order by t.id`, json)) {
      graphs.push({ task: taskOf(row), steps: [], nodes: [] });
    }
    const small = graphs.filter((g) => g.task.totalSteps <= LARGE_TASK);
    const these = small.length === ids.length ? json : JSON.stringify(small.map((g) => g.task.id));
    let at = 0;
    for (const row of this.#rows(`select ${STEP_COLUMNS} from steps where task in (select value from json_each(?)) order by task, no`, these)) {
      while (graphs[at].task.id !== row[0]) at++;
      graphs[at].steps.push(stepOf(row));
    }
    at = 0;
    for (const row of this.#rows('select task, no, asked, body from nodes where task in (select value from json_each(?)) order by task, no', these)) {
      while (graphs[at].task.id !== row[0]) at++;
      graphs[at].nodes.push({ no: row[1] as number, asked: row[2] as number, body: row[3] as string });
    }
    return graphs;
  }

  nodes(q: { task: number; after: number; limit: number; parent?: number }): StoredNode[] {
    const rows =
      q.parent === undefined
        ? this.#rows('select no, asked, body from nodes where task = ? and no > ? order by no limit ?', q.task, q.after, q.limit)
        : this.#rows('select no, asked, body from nodes where task = ? and parent = ? and no > ? order by no limit ?', q.task, q.parent, q.after, q.limit);
    return rows.map((r) => ({ no: r[0] as number, asked: r[1] as number, body: r[2] as string }));
  }

  elements(ids: readonly string[]): { id: string; task: number; no: number }[] {
    const rows = this.#rows('select id, task, no from element_ids where id in (select value from json_each(?))', JSON.stringify(ids));
    return rows.map((r) => ({ id: r[0] as string, task: r[1] as number, no: r[2] as number }));
  }

  liveTaskByKey(template: number | null, key: string): number | null {
    const row = this.#row(
      'select id from tasks where coalesce(template, -1) = ? and key = ? and key is not null and completed_at is null',
      template ?? -1,
      key,
    );
    return row === undefined ? null : (row[0] as number);
  }

  linkedTasks(ids: readonly number[]): number[] {
    return this.#rows('select distinct to_task from links where to_task in (select value from json_each(?))', JSON.stringify(ids)).map((r) => r[0] as number);
  }

  steps(task: number, after: number, limit: number): StoredStep[] {
    return this.#rows(`select ${STEP_COLUMNS} from steps where task = ? and no > ? order by no limit ?`, task, after, limit).map(stepOf);
  }

  taskIds(states: readonly number[], after: number, limit: number): number[] {
    if (states.length === 0) return [];
    // One run over an index per state: each is in order, so nothing is sorted but their heads.
    const distinct = [...new Set(states)];
    const one = (state: number): string => {
      const index =
        state < COMPLETE
          ? `indexed by tasks_live where state < ${COMPLETE} and`
          : state > COMPLETE
            ? `indexed by tasks_unsuccessful where state > ${COMPLETE} and`
            : 'where';
      return `select id from (select id from tasks ${index} state = ? and id > ? order by id limit ?)`;
    };
    const args: number[] = [];
    for (const state of distinct) args.push(state, after, limit);
    return this.#rows(`${distinct.map(one).join(' union all ')} order by id limit ?`, ...args, limit).map((r) => r[0] as number);
  }

  readySteps(limit: number, after?: { rank: number; task: number; no: number }): { task: number; no: number; rank: number }[] {
    const rows =
      after === undefined
        ? this.#rows('select task, no, rank from steps where rank is not null order by rank, task, no limit ?', limit)
        : this.#rows(
            'select task, no, rank from steps where rank is not null and (rank, task, no) > (?, ?, ?) order by rank, task, no limit ?',
            after.rank,
            after.task,
            after.no,
            limit,
          );
    return rows.map((r) => ({ task: r[0] as number, no: r[1] as number, rank: r[2] as number }));
  }

  due(until: number, limit: number): { task: number; no: number; at: number }[] {
    return this.#rows(
      `select * from (select task, no, wake_at as at from steps where wake_at is not null and wake_at <= ? order by wake_at, task, no limit ?)
       union all
       select * from (select id, -1, wake_at from tasks where wake_at is not null and wake_at <= ? order by wake_at, id limit ?)
       order by at, task, no limit ?`,
      until,
      limit,
      until,
      limit,
      limit,
    ).map((r) => ({ task: r[0] as number, no: r[1] as number, at: r[2] as number }));
  }

  payloads(keys: readonly PayloadKey[]): (string | null)[] {
    if (isRun(keys)) return this.#payloadRun(keys);
    const one = this.#statement('select body from payloads where task = ? and no = ? and token = ?');
    const bodies: (string | null)[] = [];
    for (let i = 0; i < keys.length; i++) {
      const k = keys[i];
      const row = one.get(k.task, k.no, k.token) as unknown as Row | undefined;
      bodies.push(row === undefined ? null : (row[0] as string));
    }
    return bodies;
  }

  /** One walk along the index instead of a search per key: a join of 10,000 reads them in a third of the time. */
  #payloadRun(keys: readonly PayloadKey[]): (string | null)[] {
    const bodies = new Array<string | null>(keys.length).fill(null);
    const rows = this.#rows(
      'select no, token, body from payloads where task = ? and no between ? and ? order by no, token',
      keys[0].task,
      keys[0].no,
      keys[keys.length - 1].no,
    );
    let at = 0;
    for (const [no, token, body] of rows as [number, number, string][]) {
      while (at < keys.length && keys[at].no < no) at++;
      if (at < keys.length && keys[at].no === no && keys[at].token === token) bodies[at] = body;
    }
    return bodies;
  }

  checkpoint(task: number, no: number): { token: number; at: number; body: string } | null {
    const row = this.#row('select token, at, body from checkpoints where task = ? and no = ?', task, no);
    return row === undefined ? null : { token: row[0] as number, at: row[1] as number, body: row[2] as string };
  }

  log(task: number, after: number, limit: number): StoredLogRow[] {
    // The first row may have begun before `after` and still hold later events.
    return this.#rows(
      `select seq, count, at, body from log
       where task = ? and seq >= coalesce((select seq from log where task = ? and seq <= ? order by seq desc limit 1), 0) and seq + count - 1 > ?
       order by seq limit ?`,
      task,
      task,
      after + 1,
      after,
      limit,
    ).map((r) => ({ task, seq: r[0] as number, count: r[1] as number, at: r[2] as number, body: r[3] as string }));
  }

  logBounds(): LogBounds {
    const row = this.#row(
      `select max(coalesce((select max(id) from log), 0), coalesce((select value from meta where key = 'log_high'), 0)),
        coalesce((select value from meta where key = 'log_removed'), 0)`,
    );
    return row === undefined ? { highest: 0, removed: 0 } : { highest: row[0] as number, removed: row[1] as number };
  }

  #row(sql: string, ...args: SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...args) as unknown as Row | undefined;
  }

  #rows(sql: string, ...args: SQLInputValue[]): Row[] {
    return this.#statement(sql).all(...args) as unknown as Row[];
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      statement.setReturnArrays(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
