/** A schedule: when something is to be fired, what, and what becomes of a tick that comes too early for the one before, or too late. */

export type CronDialect = 'unix' | 'quartz';

export type Trigger =
  /** `zone`: an IANA time zone. */
  | { kind: 'cron'; cron: string; dialect: CronDialect; zone: string }
  /** At `anchor` and every `everyMs` after it. */
  | { kind: 'interval'; everyMs: number; anchor: number }
  | { kind: 'once'; at: number };

export type CronTrigger = Extract<Trigger, { kind: 'cron' }>;

export type ScheduleTarget =
  /** Without `version`: the highest one at the time of firing. */
  | { kind: 'template'; namespace: string; name: string; version?: string; priority?: number; tags?: string[] }
  | { kind: 'plan'; resource: string; taskType: string };

/**
 * What a tick does while a task of an earlier one lives. skip: nothing; queue: it waits for its turn; allow: both run; cancel_previous:
 * the earlier one is cancelled. Targets of kind plan have their own rule, one live plan per resource and task type.
 */
export const OVERLAPS = ['skip', 'queue', 'allow', 'cancel_previous'] as const;
export type Overlap = (typeof OVERLAPS)[number];

/** Which ticks are made up for that were missed while nothing ran, or while the schedule was paused: none, the last one, or all up to a number. */
export const CATCH_UPS = ['none', 'last', 'all'] as const;
export type CatchUp = (typeof CATCH_UPS)[number];

/** Who may change it: a caller; nobody but the declaration read at start; nobody but the configuration of a table. */
export const SCHEDULE_OWNERS = ['caller', 'declared', 'table'] as const;
export type ScheduleOwner = (typeof SCHEDULE_OWNERS)[number];

export interface ScheduleDefinition {
  trigger: Trigger;
  target: ScheduleTarget;
  overlap: Overlap;
  catchUp: CatchUp;
  /** Of catch-up `all`: the newest so many. */
  maxCatchUp: number;
  /** A tick that could not be fired within this time is skipped; null: it never is too late. */
  lateAfterMs: number | null;
  /** Member of the input that is set to the time of the tick, as text; null: none. */
  tickField: string | null;
  description: string | null;
  owner: ScheduleOwner;
}

/** What is asked for. Exactly one of `cron`, `everySeconds` and `at`. */
export interface ScheduleRequest {
  key: string;
  cron?: string;
  /** Default unix. */
  dialect?: CronDialect;
  /** Default UTC. */
  timeZone?: string;
  everySeconds?: number;
  /** Milliseconds since 1970 of one tick of the interval; none comes before it. Default 0, so that intervals fall on round times. */
  anchor?: number;
  /** Milliseconds since 1970. */
  at?: number;
  target: ScheduleTarget;
  /** Input of the task; default {}. */
  input?: unknown;
  /** Member of the input that is set to the time of the tick, in ISO form. */
  tickField?: string;
  overlap?: Overlap;
  catchUp?: CatchUp;
  maxCatchUp?: number;
  lateAfterSeconds?: number;
  description?: string;
  paused?: boolean;
}

/** States of a tick, as stored. */
export const Tick = { pending: 0, fired: 1, skipped: 2, failed: 3 } as const;
export const TICK_STATES = ['pending', 'fired', 'skipped', 'failed'] as const;
export type TickStateName = (typeof TICK_STATES)[number];

/** Why a tick was skipped. missed: the catch-up policy leaves it out; conflict: a plan lives. */
export const SKIP_REASONS = ['late', 'overlap', 'missed', 'conflict'] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

export const MAX_SCHEDULES = 10_000;
/** Ticks of one schedule that wait for an earlier task; those beyond are skipped. */
export const MAX_WAITING = 1_000;
/** Rows of past ticks kept per schedule, beside those whose task lives. */
export const KEPT_TICKS = 100;
/** Finding one of them takes about 70 µs, and they are found at once. */
export const MAX_CATCH_UP = 500;
export const DEFAULT_CATCH_UP = 100;
/** 366 days. */
export const MAX_SECONDS = 31_622_400;
/** Keys of the schedules that tables' configurations make. */
export const TABLE_PREFIX = 'table/';
