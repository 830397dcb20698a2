/**
 * A task plan: a chain of batches for one (resource, task type), from one trigger (spec/startree.md). A batch is an ordinary task with
 * policy `record` whose steps are its subtasks. What follows what is decided in decide-plan.ts.
 */

export const Status = { active: 0, aborting: 1, completed: 2, cancelled: 3, failed: 4 } as const;
export type PlanStatus = (typeof Status)[keyof typeof Status];
/** By number. */
export const PLAN_STATUSES = ['ACTIVE', 'ABORTING', 'COMPLETED', 'CANCELLED', 'FAILED'] as const;
export type PlanStatusName = (typeof PLAN_STATUSES)[number];

/** Live: ACTIVE or ABORTING. At most one such plan per (resource, task type) (I9). */
export const isPlanLive = (status: number): boolean => status <= Status.aborting;

/**
 * What a plan is at. In all but `batch` and `over` a call of its generator is due or runs: its first look at the work (start), the next batch
 * (next), what to make of the batch that ended (finish), the end of the plan (end).
 */
export const PlanPhase = { start: 0, next: 1, batch: 2, finish: 3, end: 4, over: 5 } as const;
export type PlanPhaseNumber = (typeof PlanPhase)[keyof typeof PlanPhase];

export const PLAN_SOURCES = ['ADHOC_CONFIG', 'TABLE_CONFIG'] as const;

export interface PlanPolicy {
  /** Percent of a batch's subtasks. */
  thresholdPercent: number;
  maxFailedBatches: number;
  maxBarrenBatches: number;
}

/** A plan as it is stored. Decisions make a new one, with the next version. Times are milliseconds since 1970. */
export interface Plan {
  id: number;
  /** `<resource>__<task type>__<uuid>`. Opaque: owner and type are the fields below. */
  planId: string;
  resource: string;
  /** Kind of the resource: who can say whether it still exists. */
  kind: string;
  taskType: string;
  status: PlanStatus;
  /** Index into PLAN_SOURCES. */
  source: number;
  /** One batch and nothing kept: the run of a trigger that makes no plan. Not unique, not frozen by the kill switch, in no list. */
  once: boolean;
  version: number;
  phase: PlanPhaseNumber;
  /** Of the live or last call; only grows. An answer counts only with the token of the live call (I4). */
  token: number;
  /** Boot id of the process that makes the live call; null: there is none. */
  owner: number | null;
  /** Calls of this phase that were begun since one of them succeeded. */
  attempts: number;
  /** The next call is not made before this time; null: at once. */
  wakeAt: number | null;
  /** Batches submitted so far. */
  batches: number;
  /** Task of the open batch: while one runs, and until what became of it is written. */
  batchTask: number | null;
  total: number;
  inFlight: number;
  processed: number;
  /** Of `processed`, what the last batch added by its counts; its finish call may say otherwise. */
  lastProcessed: number;
  inputUnit: string;
  /** What whoever asked for it calls it: part of its tasks' names. Absent: nothing. */
  label?: string;
  /** Batches in a row without a complete subtask. */
  failedInARow: number;
  /** Of these, those with the same subtasks as the one before. */
  barrenInARow: number;
  /** Hash of the open or last batch's subtasks. */
  print: number;
  /** Whether failures of the open batch count. */
  countFailures: boolean;
  policy: PlanPolicy;
  /** What it becomes when nothing of it runs any more; null: it goes on. */
  outcome: PlanOutcome | null;
  properties: Record<string, string>;
  customStats: Record<string, string> | null;
  /** JSON text of the generator's state; null: none yet. */
  state: string | null;
  message: string;
  triggeredBy: string | null;
  createdAt: number;
  updatedAt: number;
  endedAt: number | null;
}

export type PlanOutcome = typeof Status.completed | typeof Status.cancelled | typeof Status.failed;

/** A batch of a plan. `state` is that of its task, as last seen, final once `finishedAt` is set: number of a task state, LOST_BATCH or TIMED_OUT_BATCH. */
export interface PlanBatch {
  plan: number;
  /** From 0, without gaps. */
  seq: number;
  task: number;
  name: string;
  submittedAt: number;
  /** Number of a task state, LOST_BATCH or TIMED_OUT_BATCH. */
  state: number;
  finishedAt: number | null;
  total: number;
  complete: number;
  failed: number;
  /** Input units that were in flight. */
  units: number;
}

/** The batch's task ended by its deadline. */
export const TIMED_OUT_BATCH = 12;

/** The batch's task is not there any more, and nobody saw it end. */
export const LOST_BATCH = -1;

/** Most subtasks of one batch: below what a submission brings in one commit (ARRIVAL_CHUNK), so that batch and record are never apart. */
export const MAX_SUBTASKS = 500;

/**
 * How long a call that failed waits for the next try: one that generates, the poll interval (spec/startree.md §4, T10); one whose tries are
 * counted, the poll interval doubled each time up to five minutes, so that they last longer than what is in their way.
 */
export function callRetryDelay(p: Pick<Plan, 'phase'>, attempts: number, pollMs: number): number {
  if (p.phase === PlanPhase.start || p.phase === PlanPhase.next) return pollMs;
  return Math.min(pollMs * 2 ** Math.min(attempts - 1, 20), Math.max(pollMs, 300_000));
}

/** Calls of onPlanEnd that fail before the plan ends without; and of onBatchFinished, where the plan is being aborted or is a one-shot run. */
export const MAX_END_ATTEMPTS = 10;

/** Names of batch tasks: known before they exist, so that a client knows what to look for. */
export const batchName = (p: { taskType: string; planId: string; label?: string }, seq: number): string =>
  `Task_${p.taskType}_${p.label === undefined ? '' : `${p.label}_`}${p.planId.slice(p.planId.lastIndexOf('__') + 2)}_${seq}`;

/** FNV-1a over what the subtasks are: whether a batch is the same work again. */
export function fingerprint(texts: Iterable<string>): number {
  let h = 0x811c9dc5;
  for (const text of texts) {
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
    h = Math.imul(h ^ 0x1f, 0x01000193);
  }
  return h >>> 0;
}
