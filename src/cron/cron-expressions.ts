/**
 * Arithmetic of cron expressions, by croner, of which nothing but "the next one after" and "the last ones before" is used: it starts no
 * timers. Where clocks change, a time of day that is left out falls on the first moment after the gap, and one that comes twice counts
 * once; what recurs within the hour goes through both.
 */
import { Cron as Croner, type CronOptions } from 'croner';
import type { CronDialect, CronTrigger } from '../core/schedule.ts';
import type { Cron, Occurrences } from '../core/schedule-ticks.ts';

/** Parsing takes ten times as long as asking. */
const KEPT = 10_000;

/** Numbers of fields, and what croner must be told: Quartz counts days of the week from Sunday = 1, and days of month and week both hold. */
const DIALECTS: Record<CronDialect, { fields: readonly number[]; said: string; options: CronOptions }> = {
  unix: { fields: [5], said: '5 fields (minute hour day month weekday)', options: {} },
  quartz: {
    fields: [6, 7],
    said: '6 or 7 fields (second minute hour day month weekday [year])',
    options: { alternativeWeekdays: true, sloppyRanges: true, domAndDow: true },
  },
};
const NICKNAMES = new Set(['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@hourly']);

export class CronExpressions implements Cron {
  readonly #parsed = new Map<string, Croner>();

  problem(t: CronTrigger): ReturnType<Cron['problem']> {
    try {
      new Intl.DateTimeFormat('en', { timeZone: t.zone });
    } catch {
      return { field: 'time_zone', message: `must be an IANA time zone such as Europe/Berlin, not ${JSON.stringify(t.zone)}` };
    }
    const { fields, said } = DIALECTS[t.dialect];
    const parts = t.cron.split(/\s+/);
    const nickname = t.dialect === 'unix' && parts.length === 1 && t.cron.startsWith('@');
    const wrong = (why: string): ReturnType<Cron['problem']> => ({ field: 'cron', message: `${JSON.stringify(t.cron)} is not valid: ${why}` });
    if (nickname ? !NICKNAMES.has(t.cron.toLowerCase()) : !fields.includes(parts.length))
      return wrong(nickname ? `of names there are ${[...NICKNAMES].join(', ')}` : `the ${t.dialect} dialect has ${said}, and these are ${parts.length}`);
    if (t.dialect === 'quartz' && parts[3] === '?' && parts[5] === '?') return wrong('? stands for either the day of the month or the weekday, not for both');
    try {
      this.#get(t);
      return null;
    } catch (e) {
      return wrong((e as Error).message.replace(/^Cron\w*: /, ''));
    }
  }

  occurrences(t: CronTrigger): Occurrences {
    const parsed = this.#get(t);
    return {
      next: (after) => parsed.nextRun(new Date(after))?.getTime() ?? null,
      previous: (before) => parsed.previousRuns(1, new Date(before))[0]?.getTime() ?? null,
    };
  }

  #get(t: CronTrigger): Croner {
    const key = `${t.dialect} ${t.zone} ${t.cron}`;
    let parsed = this.#parsed.get(key);
    if (parsed === undefined) {
      parsed = new Croner(t.cron, { ...DIALECTS[t.dialect].options, timezone: t.zone, paused: true });
      if (this.#parsed.size >= KEPT) this.#parsed.clear();
      this.#parsed.set(key, parsed);
    }
    return parsed;
  }
}
