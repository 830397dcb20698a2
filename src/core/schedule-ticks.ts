/** Which ticks of a schedule are due and what becomes of each. Pure: when a trigger falls is asked of an `Occurrences`. */
import type { TickWrite } from './changes.ts';
import { MAX_WAITING, Tick, type CatchUp, type CronTrigger, type Overlap, type SkipReason, type Trigger } from './schedule.ts';

/** When a trigger falls. Milliseconds since 1970; null: never. */
export interface Occurrences {
  /** The first one later than that. */
  next(after: number): number | null;
  /** The last one earlier than that. */
  previous(before: number): number | null;
}

/** Arithmetic of cron expressions, which needs time zones and is therefore given from outside. */
export interface Cron {
  /** What is wrong with it; null: nothing. */
  problem(t: CronTrigger): { field: 'cron' | 'time_zone'; message: string } | null;
  occurrences(t: CronTrigger): Occurrences;
}

/** For an engine that was given none. */
export const NO_CRON: Cron = {
  problem: () => ({ field: 'cron', message: 'cannot be read here: this engine has no cron arithmetic' }),
  occurrences: () => ({ next: () => null, previous: () => null }),
};

export function occurrencesOf(t: Trigger, cron: Cron): Occurrences {
  switch (t.kind) {
    case 'cron':
      return cron.occurrences(t);
    case 'interval': {
      const { anchor, everyMs } = t;
      return {
        next: (after) => (after < anchor ? anchor : anchor + (Math.floor((after - anchor) / everyMs) + 1) * everyMs),
        previous: (before) => (before <= anchor ? null : anchor + (Math.ceil((before - anchor) / everyMs) - 1) * everyMs),
      };
    }
    case 'once':
      return { next: (after) => (t.at > after ? t.at : null), previous: (before) => (t.at < before ? t.at : null) };
    default: {
      const never: never = t;
      return never;
    }
  }
}

/** Ticks decided at once; a schedule with more has its next decision right after. */
export const TICKS_AT_ONCE = 500;
/** Missed ticks that are counted one by one. */
export const COUNTED = 20;

export interface Due {
  /** To be fired, in order. */
  ticks: number[];
  /** Those that the catch-up policy leaves out: the newest of them, and how many; `more`: there were more than were counted. */
  missed: { at: number; count: number; more: boolean } | null;
  nextAt: number | null;
}

/**
 * The ticks from `nextAt` to `now`. Those before `since`, when nobody looked or the schedule was paused, were missed and are subject to
 * the catch-up policy; all later ones are fired however busy the process was.
 */
export function dueTicks(o: { nextAt: number; now: number; since: number; catchUp: CatchUp; maxCatchUp: number; occurrences: Occurrences }): Due {
  const { nextAt, now, occurrences } = o;
  const ticks: number[] = [];
  let missed: Due['missed'] = null;
  let t: number | null = nextAt;
  if (nextAt < o.since) {
    ({ made: t, missed } = madeUp(o, ticks));
    // Of a large catch-up nothing else is decided at the same time.
    if (ticks.length >= TICKS_AT_ONCE) return { ticks, missed, nextAt: t };
  }
  while (t !== null && t <= now && ticks.length < TICKS_AT_ONCE) {
    ticks.push(t);
    t = later(occurrences, t);
  }
  return { ticks, missed, nextAt: t };
}

/** Missed ticks: the newest so many go to `ticks`, the others are counted. `made`: the first that was not missed. */
function madeUp(
  o: { nextAt: number; now: number; since: number; catchUp: CatchUp; maxCatchUp: number; occurrences: Occurrences },
  ticks: number[],
): { made: number | null; missed: Due['missed'] } {
  const made = later(o.occurrences, o.since - 1);
  // The last one of all that are due may be one that was not missed.
  const limit = o.catchUp === 'all' ? o.maxCatchUp : o.catchUp === 'last' && (made === null || made > o.now) ? 1 : 0;
  const newest: number[] = [];
  const left: number[] = [];
  let t = o.occurrences.previous(o.since);
  for (; t !== null && t >= o.nextAt && left.length <= COUNTED; t = o.occurrences.previous(t)) (newest.length < limit ? newest : left).push(t);
  // It was promised, even should the way back, across a change of clocks, not meet it.
  if (left.length <= COUNTED && newest.at(-1) !== o.nextAt && left.at(-1) !== o.nextAt) (newest.length < limit ? newest : left).push(o.nextAt);
  ticks.push(...newest.reverse());
  const missed = left.length === 0 ? null : { at: left[0], count: Math.min(left.length, COUNTED), more: left.length > COUNTED };
  return { made, missed };
}

/** The next one, if it is one: a trigger that does not move on would be fired for ever. */
const later = (o: Occurrences, after: number): number | null => {
  const t = o.next(after);
  return t !== null && t > after ? t : null;
};

/** The next `n` from `after` on. */
export function upcoming(o: Occurrences, after: number, n: number): number[] {
  const found: number[] = [];
  for (let t = later(o, after); t !== null && found.length < n; t = later(o, t)) found.push(t);
  return found;
}

/** How many of the ticks may wait beside those that do; the others are skipped. */
export const admitted = (ticks: readonly number[], waiting: number): number => Math.max(0, Math.min(ticks.length, MAX_WAITING - waiting));

export type TickVerdict = 'fire' | 'wait' | 'cancel' | SkipReason;

/** What becomes of the oldest tick that waits. `live`: tasks of the schedule that have not ended. cancel: end those first, then ask again. */
export function admitTick(o: { at: number; manual: boolean; now: number; lateAfterMs: number | null; overlap: Overlap; live: number }): TickVerdict {
  if (!o.manual && o.lateAfterMs !== null && o.now - o.at > o.lateAfterMs) return 'late';
  if (o.live === 0) return 'fire';
  switch (o.overlap) {
    case 'allow':
      return 'fire';
    case 'queue':
      return 'wait';
    case 'skip':
      return 'overlap';
    case 'cancel_previous':
      return 'cancel';
    default: {
      const never: never = o.overlap;
      return never;
    }
  }
}

/** The write that goes with a task: its tick has been fired. */
export const firedTick = (tick: { schedule: number; at: number }, task: number, now: number): TickWrite => ({
  insert: false,
  ...tick,
  manual: false,
  fromState: Tick.pending,
  state: Tick.fired,
  task,
  plan: null,
  reason: null,
  message: null,
  doneAt: now,
});
