/**
 * Writes a ChangeSet in one transaction. The hottest code of the store: prepared statements, positional values, no allocation per
 * row, and an update whose row is not as it was decided on refuses everything (I3).
 * Parameters are plain `?`: Node 22 takes `?1` for a name and does not fill it by position.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ChangeSet, StepWrite, TaskPatch, TaskRow, TaskUpdate } from '../../core/changes.ts';
import { StoreFailure } from '../store.ts';
import { BulkInsert } from './bulk-insert.ts';
import { toStoreFailure } from './failure.ts';
import { PlanRows } from './plan-rows.ts';
import { LEVEL_CODES, metaText, POLICY_CODES } from './rows.ts';
import { writeSchedules } from './schedule-rows.ts';

const IN_PROGRESS = 2;
const COMPLETE = 6;

const UNDONE = new Set<StoreFailure['kind']>(['busy', 'conflict', 'invalid']);

const lost = (what: string): never => {
  throw new StoreFailure('conflict', false, `${what} is not as it was decided on`);
};

export class CommitWriter {
  readonly #db: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #insertTask: StatementSync;
  readonly #updateTask: StatementSync;
  readonly #newSteps: BulkInsert;
  readonly #fullSteps: BulkInsert;
  readonly #updateStep: StatementSync;
  readonly #startStep: StatementSync;
  readonly #startRanked: StatementSync;
  readonly #finishStep: StatementSync;
  readonly #payloads: BulkInsert;
  readonly #log: BulkInsert;
  #newNodes: BulkInsert | undefined;
  /** Statements outside the hot path, by their text. */
  readonly #rare = new Map<string, StatementSync>();
  readonly #planRows: PlanRows;
  #logId: number;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#begin = db.prepare('begin immediate');
    this.#commit = db.prepare('commit');
    this.#insertTask = db.prepare(
      `insert into tasks(id, template, state, priority, policy, created_at, completed_at, wake_at, total_steps,
        n_complete, n_error, n_cancelled, n_resolved, error, initiator, source_system, tags, meta)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#updateTask = db.prepare(
      `update tasks set state = ?, completed_at = ?, wake_at = ?, n_complete = ?, n_error = ?, n_cancelled = ?, n_resolved = ?, error = ?
       where id = ? and state = ?`,
    );
    this.#newSteps = new BulkInsert(db, 'steps(task, no, state, rank)');
    this.#fullSteps = new BulkInsert(
      db,
      'steps(task, no, state, token, attempts, phase, owner, rank, wake_at, started_at, finished_at, reason, error, result_token, phase_attempts, first_started_at)',
    );
    this.#updateStep = db.prepare(
      `update steps set state = ?, token = ?, attempts = ?, phase = ?, owner = ?, rank = ?, wake_at = ?, started_at = ?, finished_at = ?,
        reason = ?, error = ?, result_token = ?, phase_attempts = ?, first_started_at = ? where task = ? and no = ? and token = ? and state = ?`,
    );
    // The two moves of a step that goes well. They leave indexed columns alone, which is what makes them cheap, and say in `where`
    // what they leave: a row that differs is not met, and the general statement decides whether the race is lost.
    this.#startStep = db.prepare(
      `update steps set state = ${IN_PROGRESS}, token = ?, attempts = ?, phase = ?, owner = ?, started_at = ?
       where task = ? and no = ? and token = ? and state = ?
         and rank is null and wake_at is null and finished_at is null and reason is null and error is null and result_token = 0 and first_started_at is ?`,
    );
    this.#startRanked = db.prepare(
      `update steps set state = ${IN_PROGRESS}, token = ?, attempts = ?, phase = ?, owner = ?, started_at = ?, rank = null
       where task = ? and no = ? and token = ? and state = ?
         and wake_at is null and finished_at is null and reason is null and error is null and result_token = 0 and first_started_at is ?`,
    );
    this.#finishStep = db.prepare(
      `update steps set state = ${COMPLETE}, attempts = ?, phase = ?, owner = null, started_at = ?, finished_at = ?, error = null, result_token = token
       where task = ? and no = ? and token = ? and state = ? and rank is null and wake_at is null and reason is null
         and first_started_at is ?`,
    );
    this.#payloads = new BulkInsert(db, 'payloads(task, no, token, body)');
    this.#log = new BulkInsert(db, 'log(id, task, seq, count, at, body)');
    this.#planRows = new PlanRows(db);
    const high = db.prepare(`select max(coalesce((select max(id) from log), 0), coalesce((select value from meta where key = 'log_high'), 0)) as h`);
    this.#logId = Number((high.get() as { h: number }).h);
  }

  /** Throws StoreFailure; the transaction is then rolled back, or its end is unknown. */
  write(changes: ChangeSet): void {
    let committing = false;
    try {
      this.#begin.run();
      this.#rows(changes);
      committing = true;
      this.#commit.run();
    } catch (e) {
      if (this.#newNodes !== undefined) this.#newNodes.at = 0;
      this.#newSteps.at = this.#fullSteps.at = this.#payloads.at = this.#log.at = 0;
      let failure = toStoreFailure(e, committing ? 'unknown' : false);
      // A commit that SQLite declines (a foreign key, a lock) leaves the transaction open; only the disk can leave us in doubt.
      if (committing && UNDONE.has(failure.kind)) failure = toStoreFailure(e, false);
      try {
        if (this.#db.isTransaction) this.#db.exec('rollback');
      } catch {
        // Without a commit record nothing was written; the caller drops the connection.
      }
      throw failure;
    }
  }

  #rows(c: ChangeSet): void {
    for (let i = 0; i < c.tasks.length; i++) this.#task(c.tasks[i]);
    for (let i = 0; i < c.taskUpdates.length; i++) this.#taskUpdate(c.taskUpdates[i]);
    for (let i = 0; i < c.taskPatches.length; i++) this.#taskPatch(c.taskPatches[i]);
    const { steps, payloads, log } = c;
    for (let i = 0; i < steps.length; i++) {
      const s = steps[i];
      if (s.insert) this.#newStep(s);
      else this.#stepUpdate(s);
    }
    this.#newSteps.flush();
    this.#fullSteps.flush();
    if (payloads.length > 0) {
      const bulk = this.#payloads;
      const { args } = bulk;
      for (let i = 0; i < payloads.length; i++) {
        const p = payloads[i];
        args[bulk.at++] = p.task;
        args[bulk.at++] = p.no;
        args[bulk.at++] = p.token;
        args[bulk.at++] = p.body;
        bulk.next();
      }
      bulk.flush();
    }
    if (log.length > 0) {
      const bulk = this.#log;
      const { args } = bulk;
      for (let i = 0; i < log.length; i++) {
        const l = log[i];
        args[bulk.at++] = ++this.#logId;
        args[bulk.at++] = l.task;
        args[bulk.at++] = l.seq;
        args[bulk.at++] = l.count;
        args[bulk.at++] = l.at;
        args[bulk.at++] = l.body;
        bulk.next();
      }
      bulk.flush();
    }
    if (c.nodes.length > 0) this.#nodes(c);
    if (c.nodeUpdates.length + c.elementIds.length + c.links.length > 0) this.#nodeExtras(c);
    if (c.payloadCopies.length > 0) this.#payloadCopies(c);
    if (c.releases.length > 0) this.#releases(c);
    if (c.checkpoints.length > 0) this.#checkpoints(c);
    if (c.deadLetterClosings.length > 0) this.#deadLetterClosings(c);
    if (c.deadLetters.length > 0) this.#deadLetters(c);
    if (c.logLines.length > 0) this.#logLines(c);
    if (c.ticks.length + c.schedules.length + c.scheduleUpdates.length + c.scheduleRemovals.length > 0) writeSchedules(c, (sql) => this.#statement(sql));
    if (c.planRows > 0) this.#planRows.write(c);
    if (c.prunes.length > 0) this.#prunes(c);
    if (c.removals.length > 0) this.#removals(c.removals);
  }

  #task(t: TaskRow): void {
    const { counts, meta } = t;
    this.#insertTask.run(
      t.id,
      t.template,
      t.state,
      t.priority,
      POLICY_CODES[t.policy],
      t.createdAt,
      t.completedAt,
      t.wakeAt,
      t.totalSteps,
      counts === null ? null : counts.complete,
      counts === null ? null : counts.error,
      counts === null ? null : counts.cancelled,
      counts === null ? null : counts.resolved,
      t.error,
      meta?.initiator ?? null,
      meta?.sourceSystem ?? null,
      t.tags === null ? null : JSON.stringify(t.tags),
      metaText(meta),
    );
    if (t.key !== null) this.#statement('update tasks set key = ? where id = ?').run(t.key, t.id);
  }

  #taskUpdate(t: TaskUpdate): void {
    const { counts } = t;
    const done = this.#updateTask.run(
      t.state,
      t.completedAt,
      t.wakeAt,
      counts === null ? null : counts.complete,
      counts === null ? null : counts.error,
      counts === null ? null : counts.cancelled,
      counts === null ? null : counts.resolved,
      t.error,
      t.id,
      t.fromState,
    );
    if (done.changes !== 1) lost(`task ${t.id}`);
  }

  #taskPatch(p: TaskPatch): void {
    const done = this.#statement(
      'update tasks set priority = coalesce(?, priority), tags = coalesce(?, tags), total_steps = coalesce(?, total_steps) where id = ?',
    ).run(p.priority ?? null, p.tags === undefined ? null : JSON.stringify(p.tags), p.totalSteps ?? null, p.id);
    if (done.changes !== 1) lost(`task ${p.id}`);
    if (p.reopening !== undefined) this.#statement('update tasks set reopening = ? where id = ?').run(p.reopening, p.id);
  }

  #newStep(s: StepWrite): void {
    const plain =
      s.token === 0 &&
      s.attempts === 0 &&
      s.owner === null &&
      s.wakeAt === null &&
      s.startedAt === null &&
      s.firstStartedAt === null &&
      s.finishedAt === null &&
      s.reason === null &&
      s.error === null &&
      s.phase === 0 &&
      s.resultToken === 0;
    const bulk = plain ? this.#newSteps : this.#fullSteps;
    const { args } = bulk;
    args[bulk.at++] = s.task;
    args[bulk.at++] = s.no;
    args[bulk.at++] = s.state;
    if (!plain) {
      args[bulk.at++] = s.token;
      args[bulk.at++] = s.attempts;
      args[bulk.at++] = s.phase;
      args[bulk.at++] = s.owner;
    }
    args[bulk.at++] = s.rank;
    if (!plain) {
      args[bulk.at++] = s.wakeAt;
      args[bulk.at++] = s.startedAt;
      args[bulk.at++] = s.finishedAt;
      args[bulk.at++] = s.reason;
      args[bulk.at++] = s.error;
      args[bulk.at++] = s.resultToken;
      args[bulk.at++] = s.phaseAttempts;
      args[bulk.at++] = s.firstStartedAt;
    }
    bulk.next();
  }

  #stepUpdate(s: StepWrite): void {
    if (s.abortOnly === true) {
      this.#abortUpdate(s);
      return;
    }
    if (s.phase === 0 && s.rank === null && s.wakeAt === null && s.reason === null && s.error === null) {
      if (s.state === IN_PROGRESS && s.finishedAt === null && s.resultToken === 0) {
        const start = s.ranked === true ? this.#startRanked : this.#startStep;
        if (start.run(s.token, s.attempts, s.phase, s.owner, s.startedAt, s.task, s.no, s.fromToken, s.fromState, s.firstStartedAt).changes === 1) return;
      } else if (s.state === COMPLETE && s.owner === null && s.token === s.fromToken && s.resultToken === s.token) {
        if (this.#finishStep.run(s.attempts, s.phase, s.startedAt, s.finishedAt, s.task, s.no, s.fromToken, s.fromState, s.firstStartedAt).changes === 1)
          return;
      }
    }
    const done = this.#updateStep.run(
      s.state,
      s.token,
      s.attempts,
      s.phase,
      s.owner,
      s.rank,
      s.wakeAt,
      s.startedAt,
      s.finishedAt,
      s.reason,
      s.error,
      s.resultToken,
      s.phaseAttempts,
      s.firstStartedAt,
      s.task,
      s.no,
      s.fromToken,
      s.fromState,
    );
    if (done.changes !== 1) lost(`step ${s.no} of task ${s.task}`);
  }

  /** A step that had ended: where its abort hook stands, and nothing of how it ended. */
  #abortUpdate(s: StepWrite): void {
    const done = this.#statement(
      'update steps set token = ?, phase = ?, phase_attempts = ?, owner = ?, rank = ?, wake_at = ? where task = ? and no = ? and token = ? and state = ?',
    ).run(s.token, s.phase, s.phaseAttempts, s.owner, s.rank, s.wakeAt, s.task, s.no, s.fromToken, s.fromState);
    if (done.changes !== 1) lost(`step ${s.no} of task ${s.task}`);
  }

  #nodes(c: ChangeSet): void {
    this.#newNodes ??= new BulkInsert(this.#db, 'nodes(task, no, parent, asked, body)');
    const bulk = this.#newNodes;
    const { args } = bulk;
    for (const n of c.nodes) {
      args[bulk.at++] = n.task;
      args[bulk.at++] = n.no;
      args[bulk.at++] = n.parent;
      args[bulk.at++] = n.asked;
      args[bulk.at++] = n.body;
      bulk.next();
    }
    bulk.flush();
  }

  #nodeExtras(c: ChangeSet): void {
    for (const n of c.nodeUpdates) {
      const done = this.#statement('update nodes set asked = ? where task = ? and no = ?').run(n.asked, n.task, n.no);
      if (done.changes !== 1) lost(`node ${n.no} of task ${n.task}`);
    }
    for (const e of c.elementIds) this.#statement('insert into element_ids(id, task, no) values (?, ?, ?)').run(e.id, e.task, e.no);
    for (const l of c.links) this.#statement('insert into links(task, no, to_task, to_no) values (?, ?, ?, ?)').run(l.task, l.no, l.toTask, l.toNo);
  }

  #payloadCopies(c: ChangeSet): void {
    const copy = this.#statement(
      `insert into payloads(task, no, token, body) values (?, ?, ?, coalesce(
        (select body from payloads where task = ? and no = ? and token = ?),
        (select body from payloads where task = ? and no = -1 and token = 0 and ? = 0)))`,
    );
    for (const p of c.payloadCopies) copy.run(p.task, p.no, p.token, p.fromTask, p.fromNo, p.fromToken, p.fromTask, p.fromToken);
  }

  #releases(c: ChangeSet): void {
    const clear = this.#statement('update steps set owner = null where task = ? and no = ? and token = ?');
    for (const r of c.releases) clear.run(r.task, r.no, r.token);
  }

  #checkpoints(c: ChangeSet): void {
    const put = this.#statement(
      `insert into checkpoints(task, no, token, at, body) values (?, ?, ?, ?, ?)
       on conflict(task, no) do update set token = excluded.token, at = excluded.at, body = excluded.body`,
    );
    for (const p of c.checkpoints) put.run(p.task, p.no, p.token, p.at, p.body);
  }

  #deadLetterClosings(c: ChangeSet): void {
    const close = this.#statement('update dead_letters set resolved_at = ?, resolution = ? where task = ? and resolved_at is null');
    for (const d of c.deadLetterClosings) close.run(d.at, d.resolution, d.task);
  }

  #deadLetters(c: ChangeSet): void {
    const put = this.#statement(
      `insert into dead_letters(task, at, reason, snapshot) values (?, ?, ?, ?)
       on conflict(task) where resolved_at is null do update set at = excluded.at, reason = excluded.reason, snapshot = excluded.snapshot`,
    );
    for (const d of c.deadLetters) put.run(d.task, d.at, d.reason, d.snapshot);
  }

  #logLines(c: ChangeSet): void {
    const put = this.#statement(
      'insert into attempt_lines(task, no, token, at, level, message) select ?, ?, ?, ?, ?, ? where exists (select 1 from tasks where id = ?)',
    );
    for (const l of c.logLines) put.run(l.task, l.no, l.token, l.at, LEVEL_CODES[l.level], l.message, l.task);
  }

  /** Log rows go with the task itself, so that a half-removed task still tells how it ended. */
  #prunes(c: ChangeSet): void {
    const payloads = this.#statement('delete from payloads where rowid in (select rowid from payloads where task = ? order by no limit ?)');
    const steps = this.#statement('delete from steps where task = ? and no in (select no from steps where task = ? order by no limit ?)');
    const nodes = this.#statement('delete from nodes where task = ? and no in (select no from nodes where task = ? order by no limit ?)');
    for (const p of c.prunes) {
      payloads.run(p.task, p.rows);
      steps.run(p.task, p.task, p.rows);
      nodes.run(p.task, p.task, p.rows);
    }
  }

  #removals(ids: readonly number[]): void {
    // Ids of removed rows are not given again, or a cursor over the whole log would pass over new rows.
    this.#statement(`insert into meta(key, value) values ('log_high', ?) on conflict(key) do update set value = excluded.value`).run(this.#logId);
    // Who comes back with a cursor below a removed row has missed it, and is told (LogBounds.removed).
    const newest = this.#statement('select id from log where task = ? order by seq desc limit 1');
    let removed = 0;
    for (const id of ids) removed = Math.max(removed, (newest.get(id) as { id: number } | undefined)?.id ?? 0);
    if (removed > 0) {
      this.#statement(`insert into meta(key, value) values ('log_removed', ?) on conflict(key) do update set value = max(value, excluded.value)`).run(removed);
    }
    for (const table of ['links', 'element_ids', 'nodes', 'attempt_lines', 'dead_letters', 'checkpoints', 'log', 'payloads', 'steps']) {
      const remove = this.#statement(`delete from ${table} where task = ?`);
      for (const id of ids) remove.run(id);
    }
    const remove = this.#statement('delete from tasks where id = ?');
    for (const id of ids) remove.run(id);
  }

  #statement(sql: string): StatementSync {
    let statement = this.#rare.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#rare.set(sql, statement);
    }
    return statement;
  }
}
