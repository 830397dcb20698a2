/** Rows as the interface shows them. Statements return arrays (`node:sqlite` builds slow dictionary objects), in the order below. */
import type { TaskCounts, TaskMeta } from '../../core/changes.ts';
import type { FailurePolicy } from '../../core/definition.ts';
import type { StoredStep, StoredTask } from '../store.ts';

export type Row = (number | string | null)[];

export const POLICIES: readonly FailurePolicy[] = ['fail', 'fail_fast', 'block', 'record'];
export const POLICY_CODES: Readonly<Record<FailurePolicy, number>> = { fail: 0, fail_fast: 1, block: 2, record: 3 };
export const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export const LEVEL_CODES: Readonly<Record<(typeof LEVELS)[number], number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Columns of StoredTask; wants the table under the name `t`. */
export const TASK_COLUMNS = `t.id, t.template, t.state, t.priority, t.policy, t.created_at, t.completed_at, t.wake_at, t.total_steps,
  t.n_complete, t.n_error, t.n_cancelled, t.n_resolved, t.error, t.initiator, t.source_system, t.tags, t.meta,
  coalesce((select l.seq + l.count from log l where l.task = t.id order by l.seq desc limit 1), 1), t.key, t.reopening`;

export const STEP_COLUMNS =
  'task, no, state, token, attempts, phase, owner, rank, wake_at, started_at, finished_at, reason, error, result_token, phase_attempts, first_started_at';

const countsOf = (r: Row): TaskCounts | null =>
  r[9] === null ? null : { complete: r[9] as number, error: r[10] as number, cancelled: r[11] as number, resolved: r[12] as number };

const metaOf = (initiator: string | null, sourceSystem: string | null, rest: string | null): TaskMeta | null => {
  if (rest === null) return null;
  const meta = JSON.parse(rest) as TaskMeta;
  if (initiator !== null) meta.initiator = initiator;
  if (sourceSystem !== null) meta.sourceSystem = sourceSystem;
  return meta;
};

/** What `tasks.meta` keeps: all of it but the two fields that have columns of their own. */
export const metaText = (meta: TaskMeta | null): string | null => {
  if (meta === null) return null;
  const { initiator: _initiator, sourceSystem: _sourceSystem, ...rest } = meta;
  return JSON.stringify(rest);
};

export const taskOf = (r: Row): StoredTask => ({
  id: r[0] as number,
  template: r[1] as number | null,
  state: r[2] as number,
  priority: r[3] as number,
  policy: POLICIES[r[4] as number],
  createdAt: r[5] as number,
  completedAt: r[6] as number | null,
  wakeAt: r[7] as number | null,
  totalSteps: r[8] as number,
  counts: countsOf(r),
  error: r[13] as string | null,
  tags: r[16] === null ? null : (JSON.parse(r[16] as string) as string[]),
  meta: metaOf(r[14] as string | null, r[15] as string | null, r[17] as string | null),
  nextSeq: r[18] as number,
  key: r[19] as string | null,
  reopening: r[20] as string | null,
});

export const stepOf = (r: Row): StoredStep => ({
  task: r[0] as number,
  no: r[1] as number,
  state: r[2] as number,
  token: r[3] as number,
  attempts: r[4] as number,
  phase: r[5] as number,
  owner: r[6] as number | null,
  rank: r[7] as number | null,
  wakeAt: r[8] as number | null,
  startedAt: r[9] as number | null,
  finishedAt: r[10] as number | null,
  reason: r[11] as number | null,
  error: r[12] as string | null,
  resultToken: r[13] as number,
  phaseAttempts: r[14] as number,
  firstStartedAt: r[15] as number | null,
});
