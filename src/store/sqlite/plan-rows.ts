/** Plans, batches, resources and items in SQLite: their writes inside a commit, and their reads. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { ChangeSet } from '../../core/changes.ts';
import type { Plan, PlanBatch, PlanStatus } from '../../core/plan.ts';
import type { StoredItem, StoredResource } from '../plan-store.ts';
import { StoreFailure } from '../store.ts';

type Row = Record<string, SQLInputValue>;
/** What has a column of its own. */
type Columns = 'id' | 'planId' | 'resource' | 'taskType' | 'status' | 'once' | 'version' | 'owner' | 'batchTask' | 'createdAt' | 'endedAt' | 'state';

const lost = (what: string): never => {
  throw new StoreFailure('conflict', false, `${what} is not as it was decided on`);
};

const bodyOf = ({ id: _i, planId: _p, resource: _r, taskType: _t, status: _s, once: _o, version: _v, ...rest }: Plan): string => {
  const { owner: _w, batchTask: _b, createdAt: _c, endedAt: _e, state: _st, ...body } = rest;
  return JSON.stringify(body satisfies Omit<Plan, Columns>);
};

const planOf = (r: Row): Plan => ({
  ...(JSON.parse(r.body as string) as Omit<Plan, Columns>),
  id: r.id as number,
  planId: r.plan_id as string,
  resource: r.resource as string,
  taskType: r.task_type as string,
  status: r.status as PlanStatus,
  once: r.once === 1,
  version: r.version as number,
  owner: r.owner as number | null,
  batchTask: r.batch_task as number | null,
  createdAt: r.created_at as number,
  endedAt: r.ended_at as number | null,
  state: r.state as string | null,
});

const batchOf = (r: Row): PlanBatch => ({
  plan: r.plan as number,
  seq: r.seq as number,
  task: r.task as number,
  name: r.name as string,
  submittedAt: r.submitted_at as number,
  state: r.state as number,
  finishedAt: r.finished_at as number | null,
  total: r.total as number,
  complete: r.complete as number,
  failed: r.failed as number,
  units: r.units as number,
});

const resourceOf = (r: Row): StoredResource => ({
  incarnation: r.incarnation as number,
  id: r.id as string,
  kind: r.kind as string,
  version: r.version as number,
  createdAt: r.created_at as number,
  body: r.body as string,
});

/** Smallest text above every text that begins with this one. U+10FFFF sorts last in UTF-8. */
const beyond = (prefix: string): string => `${prefix}\u{10ffff}`;

export class PlanRows {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  // Inside a commit

  write(c: ChangeSet): void {
    // Removals first: a pair that is freed in this commit may be taken in it.
    for (const r of c.planRemovals) {
      if (this.#run('delete from plans where id = ? and version = ?', r.plan, r.fromVersion) !== 1) lost(`plan ${r.plan}`);
      this.#run('delete from plan_batches where plan = ?', r.plan);
      this.#run('delete from dead_letters where task = ?', -r.plan);
    }
    for (const resource of c.planClearings) {
      this.#run('delete from plan_batches where plan in (select id from plans where resource = ?)', resource);
      this.#run('delete from dead_letters where task in (select -id from plans where resource = ?)', resource);
      this.#run('delete from plans where resource = ?', resource);
    }
    for (const w of c.plans) this.#plan(w.plan, w.fromVersion);
    for (const w of c.planBatches) this.#batch(w.batch, w.insert);
    for (const q of c.planQueues) {
      if (q.stoppedAt === null) this.#run('delete from plan_queues where task_type = ?', q.taskType);
      else this.#run('insert into plan_queues(task_type, stopped_at) values (?, ?) on conflict(task_type) do nothing', q.taskType, q.stoppedAt);
    }
    for (const r of c.resources) {
      const done =
        r.fromVersion === null
          ? this.#run(
              'insert into resources(incarnation, id, kind, version, created_at, body) values (?, ?, ?, 1, ?, ?)',
              r.incarnation,
              r.id,
              r.kind,
              r.createdAt,
              r.body,
            )
          : this.#run('update resources set version = version + 1, body = ? where incarnation = ? and version = ?', r.body, r.incarnation, r.fromVersion);
      if (done !== 1) lost(`resource ${r.id}`);
    }
    for (const i of c.items) this.#item(i);
    for (const incarnation of c.resourceRemovals) {
      this.#run('delete from resource_items where resource = ?', incarnation);
      this.#run('delete from resources where incarnation = ?', incarnation);
    }
  }

  #plan(p: Plan, fromVersion: number | null): void {
    const body = bodyOf(p);
    const once = p.once ? 1 : 0;
    const done =
      fromVersion === null
        ? this.#run(
            `insert into plans(id, plan_id, resource, task_type, status, once, version, owner, batch_task, created_at, ended_at, body, state)
             values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
            ...[p.id, p.planId, p.resource, p.taskType, p.status, once, p.version, p.owner, p.batchTask, p.createdAt, p.endedAt, body, p.state],
          )
        : this.#run(
            'update plans set status = ?, version = ?, owner = ?, batch_task = ?, ended_at = ?, body = ?, state = ? where id = ? and version = ?',
            ...[p.status, p.version, p.owner, p.batchTask, p.endedAt, body, p.state, p.id, fromVersion],
          );
    if (done !== 1) lost(`plan ${p.planId}`);
  }

  #batch(b: PlanBatch, insert: boolean): void {
    const done = insert
      ? this.#run(
          `insert into plan_batches(plan, seq, task, name, submitted_at, state, finished_at, total, complete, failed, units)
           values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
          ...[b.plan, b.seq, b.task, b.name, b.submittedAt, b.state, b.finishedAt, b.total, b.complete, b.failed, b.units],
        )
      : this.#run(
          'update plan_batches set state = ?, finished_at = ?, total = ?, complete = ?, failed = ? where plan = ? and seq = ? and finished_at is null',
          ...[b.state, b.finishedAt, b.total, b.complete, b.failed, b.plan, b.seq],
        );
    if (done !== 1) lost(`batch ${b.seq} of plan ${b.plan}`);
  }

  #item(i: ChangeSet['items'][number]): void {
    const { resource, key, body, fromVersion } = i;
    let done: number;
    if (fromVersion === null) {
      // `select` and not `values`: items of a resource that is gone are refused.
      done = this.#run(
        'insert into resource_items(resource, key, version, body) select ?, ?, 1, ? where exists (select 1 from resources where incarnation = ?)',
        resource,
        key,
        body,
        resource,
      );
    } else if (body === null) done = this.#run('delete from resource_items where resource = ? and key = ? and version = ?', resource, key, fromVersion);
    else
      done = this.#run(
        'update resource_items set version = version + 1, body = ? where resource = ? and key = ? and version = ?',
        body,
        resource,
        key,
        fromVersion,
      );
    if (done !== 1) lost(`item ${key}`);
  }

  // Reads

  live(): Plan[] {
    return this.#all('select * from plans where ended_at is null order by id').map(planOf);
  }

  byId(planId: string): Plan | null {
    const row = this.#all('select * from plans where plan_id = ?', planId)[0];
    return row === undefined ? null : planOf(row);
  }

  byNumber(id: number): Plan | null {
    const row = this.#all('select * from plans where id = ?', id)[0];
    return row === undefined ? null : planOf(row);
  }

  of(q: { resource?: string; taskType?: string; newest: boolean; limit: number }): Plan[] {
    const where = ['once = 0'];
    const args: SQLInputValue[] = [];
    if (q.resource !== undefined) {
      where.push('resource = ?');
      args.push(q.resource);
    }
    if (q.taskType !== undefined) {
      where.push('task_type = ?');
      args.push(q.taskType);
    }
    return this.#all(`select * from plans where ${where.join(' and ')} order by id ${q.newest ? 'desc' : 'asc'} limit ?`, ...args, q.limit).map(planOf);
  }

  ids(q: { resource: string; taskType: string }): string[] {
    return this.#all('select plan_id from plans where resource = ? and task_type = ? and once = 0 order by id', q.resource, q.taskType).map(
      (r) => r.plan_id as string,
    );
  }

  batches(q: { plan: number; from: number; limit: number }): PlanBatch[] {
    return this.#all('select * from plan_batches where plan = ? and seq >= ? order by seq limit ?', q.plan, q.from, q.limit).map(batchOf);
  }

  batchOfTask(task: number): PlanBatch | null {
    const row = this.#all('select * from plan_batches where task = ?', task)[0];
    return row === undefined ? null : batchOf(row);
  }

  ended(q: { before: number; keep: number; limit: number }): number[] {
    const edge = this.#all('select ended_at, id from plans where ended_at is not null order by ended_at desc, id desc limit 1 offset ?', q.keep)[0];
    const byCount = edge !== undefined && (edge.ended_at as number) >= q.before;
    const rows = this.#all(
      `select id from plans where ended_at is not null and (ended_at, id) <= (?, ?)
         and not exists (select 1 from dead_letters d where d.task = -plans.id and d.resolved_at is null)
       order by ended_at, id limit ?`,
      byCount ? edge.ended_at : q.before - 1,
      byCount ? edge.id : Number.MAX_SAFE_INTEGER,
      q.limit,
    );
    return rows.map((r) => r.id as number);
  }

  plannedResources(): string[] {
    return this.#all('select distinct resource from plans order by resource').map((r) => r.resource as string);
  }

  stoppedQueues(): string[] {
    return this.#all('select task_type from plan_queues order by task_type').map((r) => r.task_type as string);
  }

  highs(): { plan: number; resource: number } {
    const rows = this.#all(`select name, seq from sqlite_sequence where name in ('plans', 'resources')`);
    const high = (name: string): number => (rows.find((r) => r.name === name)?.seq as number | undefined) ?? 0;
    return { plan: high('plans'), resource: high('resources') };
  }

  resource(id: string): StoredResource | null {
    const row = this.#all('select * from resources where id = ?', id)[0];
    return row === undefined ? null : resourceOf(row);
  }

  resources(q: { kind?: string; after?: string; limit: number }): StoredResource[] {
    const after = q.after ?? '';
    const rows =
      q.kind === undefined
        ? this.#all('select * from resources where id > ? order by id limit ?', after, q.limit)
        : this.#all('select * from resources where kind = ? and id > ? order by id limit ?', q.kind, after, q.limit);
    return rows.map(resourceOf);
  }

  items(q: { resource: number; prefix?: string; after?: string; limit: number }): StoredItem[] {
    const prefix = q.prefix ?? '';
    return this.#all(
      'select key, version, body from resource_items where resource = ? and key >= ? and key > ? and key < ? order by key limit ?',
      q.resource,
      prefix,
      q.after ?? '',
      beyond(prefix),
      q.limit,
    ).map((r) => ({ key: r.key as string, version: r.version as number, body: r.body as string }));
  }

  itemVersions(q: { resource: number; keys: readonly string[] }): (number | null)[] {
    const found = new Map<string, number>();
    const rows = this.#all(
      'select key, version from resource_items where resource = ? and key in (select value from json_each(?))',
      q.resource,
      JSON.stringify(q.keys),
    );
    for (const r of rows) found.set(r.key as string, r.version as number);
    return q.keys.map((key) => found.get(key) ?? null);
  }

  #all(sql: string, ...args: SQLInputValue[]): Row[] {
    return this.#statement(sql).all(...args) as Row[];
  }

  #run(sql: string, ...args: SQLInputValue[]): number {
    return Number(this.#statement(sql).run(...args).changes);
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
}
