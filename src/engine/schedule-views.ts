/** Schedules and their ticks as the engine tells of them, and the door to them. Times are milliseconds since 1970. */
import type { Json } from '../core/definition.ts';
import type { ScheduleDefinition, ScheduleOwner, ScheduleRequest, ScheduleTarget, SkipReason, TickStateName, Trigger } from '../core/schedule.ts';

/** What became of ticks since this process started. */
export type TickCounts = Record<'fired' | 'failed' | SkipReason, number>;

export interface TickView {
  at: number;
  state: TickStateName;
  /** A person asked for it. */
  manual: boolean;
  /** The task that was made; it may have been removed since. */
  taskId: string | null;
  planId: string | null;
  /** Why it was skipped (late, overlap, missed, conflict) or failed (code of an error). */
  reason: string | null;
  message: string | null;
  doneAt: number | null;
}

export interface ScheduleView extends Pick<ScheduleDefinition, 'overlap' | 'catchUp' | 'maxCatchUp' | 'tickField' | 'description'> {
  key: string;
  owner: ScheduleOwner;
  trigger: Trigger;
  target: ScheduleTarget;
  /** Absent in lists. */
  input?: Json;
  lateAfterSeconds: number | null;
  paused: boolean;
  /** Null: paused, or no tick follows. */
  nextAt: number | null;
  /** The newest that has come. */
  lastTick: TickView | null;
  /** Ticks that wait to be fired. */
  waiting: number;
  counts: TickCounts;
  createdAt: number;
  updatedAt: number;
}

export interface ScheduleMetrics {
  /** With a tick to come. */
  scheduled: number;
  paused: number;
  ticks: TickCounts;
  /** Of the schedules that a resource's own config made, by resource and task type. Absent: none. */
  owned?: { resource: string; taskType: string; scheduled: boolean; ticks: TickCounts }[];
}

export interface ScheduleFacade {
  /**
   * Makes a schedule, or gives the one of that key what is said here; the same again changes nothing. A new trigger begins now, an unchanged
   * one keeps its place. `create`: ALREADY_EXISTS where there is one. INVALID_INPUT, TEMPLATE_NOT_FOUND; ILLEGAL_STATE: too many, or it is
   * not the caller's to change.
   */
  put(r: ScheduleRequest, o?: { create?: boolean }): Promise<ScheduleView>;
  /**
   * These are declared, and what was declared before and is not among them goes. All are checked before the first is stored. Those of callers
   * become declared ones.
   */
  declare(all: readonly ScheduleRequest[]): Promise<void>;
  /** NOT_FOUND, like all below. */
  get(key: string): Promise<ScheduleView>;
  /** By key, those behind `after`; at most `limit` (1 to 1,000, default 100). */
  list(o?: { after?: string; limit?: number }): Promise<{ schedules: ScheduleView[]; nextAfter: string | null }>;
  /** With the history of its ticks. Its tasks stay, ticks that wait go. */
  remove(key: string): Promise<void>;
  /** No tick falls and none that waits is fired; what it fired goes on. */
  pause(key: string): Promise<ScheduleView>;
  /** Goes on; what was missed meanwhile is subject to its catch-up. */
  resume(key: string): Promise<ScheduleView>;
  /** A tick of now, paused or not; its overlap rule holds. */
  fire(key: string): Promise<TickView>;
  /** The next so many times at which it falls (1 to 100, default 10). */
  preview(key: string, n?: number): number[];
  /** Newest first, earlier than `before`; at most `limit` (1 to 1,000, default 100). */
  ticks(key: string, o?: { before?: number; limit?: number }): Promise<TickView[]>;
}
