/** Schedules as a user of the embedded engine holds them: templates and lengths of time as elsewhere in the SDK. */
import { TuttiError } from '../core/errors.ts';
import type { CatchUp, CronDialect, Overlap, ScheduleRequest } from '../core/schedule.ts';
import type { ScheduleFacade, ScheduleView, TickView } from '../engine/schedule-views.ts';
import { type Duration, parseDuration } from './duration.ts';
import type { AnyTemplate, Submittable } from './template.ts';
import { parseOpenTemplateId } from './template-id.ts';
import { refuseUnknownOptions } from './unknown-options.ts';

/** Exactly one of `cron`, `every` and `at`. */
export interface ScheduleOptions<In = unknown> {
  /** Its name: what is put under the same key again replaces it. */
  key: string;
  template: Submittable<In, unknown> | string;
  /** Of every task it makes. Default {}. */
  input?: NoInfer<In>;
  /** Member of the input that is set to the time at which the tick was due, as `Date.toISOString` writes it. */
  tickField?: string;
  priority?: number;
  tags?: string[];
  cron?: string;
  /** unix (default): 5 fields, Sunday is 0 or 7. quartz: 6 or 7 fields from seconds on, Sunday is 1. */
  dialect?: CronDialect;
  /** IANA name; default UTC. */
  timeZone?: string;
  /** At least 1 s, in whole seconds. */
  every?: Duration;
  /** A time at which `every` falls. Default: 1970 began, so that it falls on round times. */
  anchor?: Date | number;
  /** Once. */
  at?: Date | number;
  /** While a task of an earlier tick lives. Default skip. */
  overlap?: Overlap;
  /** Of ticks that were missed while nothing ran. Default last. */
  catchUp?: CatchUp;
  /** Of catch-up all. Default 100. */
  maxCatchUp?: number;
  /** A tick that could not be fired within this time is skipped. */
  lateAfter?: Duration;
  description?: string;
  paused?: boolean;
}

/** All there are, and the compiler sees to it. */
const OPTIONS: Record<keyof ScheduleOptions, true> = {
  key: true,
  template: true,
  input: true,
  tickField: true,
  priority: true,
  tags: true,
  cron: true,
  dialect: true,
  timeZone: true,
  every: true,
  anchor: true,
  at: true,
  overlap: true,
  catchUp: true,
  maxCatchUp: true,
  lateAfter: true,
  description: true,
  paused: true,
};

/** Throws INVALID_INPUT, naming the field, and INVALID_TEMPLATE. */
export function scheduleRequestOf(o: ScheduleOptions): ScheduleRequest {
  refuseUnknownOptions('a schedule', o, Object.keys(OPTIONS));
  const { template, priority, tags, every, lateAfter, anchor, at, ...rest } = o;
  const ref = parseOpenTemplateId(typeof template === 'string' ? template : ((template as AnyTemplate | undefined)?.id as string));
  return {
    ...rest,
    target: { kind: 'template', ...ref, priority, tags },
    ...(every === undefined ? {} : { everySeconds: seconds('every', every) }),
    ...(lateAfter === undefined ? {} : { lateAfterSeconds: seconds('lateAfter', lateAfter) }),
    ...(anchor === undefined ? {} : { anchor: Number(anchor) }),
    ...(at === undefined ? {} : { at: Number(at) }),
  };
}

function seconds(name: string, value: Duration): number {
  const ms = parseDuration(value);
  if (ms === null || ms % 1000 !== 0)
    throw new TuttiError('INVALID_INPUT', `${name} must be whole seconds: milliseconds or text such as "30s", not ${JSON.stringify(value)}`, { field: name });
  return ms / 1000;
}

/** `tutti.schedules`. What each may throw stands at ScheduleFacade. */
export class ScheduleManager {
  readonly #engine: ScheduleFacade;

  constructor(engine: ScheduleFacade) {
    this.#engine = engine;
  }

  /** Makes it, or changes the one of that key; the same again changes nothing. */
  async put<In>(o: ScheduleOptions<In>): Promise<ScheduleView> {
    return await this.#engine.put(scheduleRequestOf(o as ScheduleOptions));
  }

  get(key: string): Promise<ScheduleView> {
    return this.#engine.get(key);
  }

  /** By key; `nextAfter` is the `after` of the next page. */
  list(o?: { after?: string; limit?: number }): Promise<{ schedules: ScheduleView[]; nextAfter: string | null }> {
    return this.#engine.list(o);
  }

  remove(key: string): Promise<void> {
    return this.#engine.remove(key);
  }

  pause(key: string): Promise<ScheduleView> {
    return this.#engine.pause(key);
  }

  resume(key: string): Promise<ScheduleView> {
    return this.#engine.resume(key);
  }

  /** A tick of now, paused or not. */
  fire(key: string): Promise<TickView> {
    return this.#engine.fire(key);
  }

  /** The next times at which it falls. */
  preview(key: string, n?: number): Date[] {
    return this.#engine.preview(key, n).map((at) => new Date(at));
  }

  /** Newest first. */
  ticks(key: string, o?: { before?: number; limit?: number }): Promise<TickView[]> {
    return this.#engine.ticks(key, o);
  }
}
