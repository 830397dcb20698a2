/** A schedule as configuration files and the REST API spell it, and how it is asked of the engine. */
import { TuttiError } from './errors.ts';
import { nearestName } from './nearest-name.ts';
import type { ScheduleRequest, ScheduleTarget } from './schedule.ts';
import { showValue } from './show-value.ts';

const FIELDS = [
  'key',
  'description',
  'cron',
  'dialect',
  'time_zone',
  'every_seconds',
  'anchor',
  'at',
  'template',
  'context',
  'tick_field',
  'priority',
  'tags',
  'overlap',
  'catch_up',
  'max_catch_up',
  'late_after_seconds',
  'paused',
] as const;

const refuse = (field: string, message: string): never => {
  throw new TuttiError('INVALID_INPUT', `${field} ${message}`, { field });
};

/**
 * Names, kinds of value and times only: what they may be is checked by `checkSchedule`. Throws INVALID_INPUT. `parseTime` gives
 * milliseconds since 1970 for text in ISO form, and NaN for any other.
 */
export function scheduleOfFields(raw: Readonly<Record<string, unknown>>, parseTime: (text: string) => number): ScheduleRequest {
  for (const field of Object.keys(raw)) {
    if ((FIELDS as readonly string[]).includes(field)) continue;
    const near = nearestName(field, FIELDS);
    refuse(field, `is no field of a schedule.${near === null ? '' : ` Did you mean ${near}?`}`);
  }
  const given = <T>(field: (typeof FIELDS)[number], name: string, value: (v: unknown) => T = (v) => v as T): Record<string, T> =>
    raw[field] === undefined || raw[field] === null ? {} : { [name]: value(raw[field]) };
  const moment = (field: string) => (v: unknown) => {
    const at = typeof v === 'string' ? parseTime(v) : Number.NaN;
    return Number.isNaN(at) ? refuse(field, `must be a time such as 2027-01-31T06:00:00Z, not ${showValue(v)}`) : at;
  };
  return {
    key: raw.key as string,
    target: targetOf(raw),
    ...given('description', 'description'),
    ...given('cron', 'cron'),
    ...given('dialect', 'dialect'),
    ...given('time_zone', 'timeZone'),
    ...given('every_seconds', 'everySeconds'),
    ...given('anchor', 'anchor', moment('anchor')),
    ...given('at', 'at', moment('at')),
    ...given('context', 'input'),
    ...given('tick_field', 'tickField'),
    ...given('overlap', 'overlap'),
    ...given('catch_up', 'catchUp'),
    ...given('max_catch_up', 'maxCatchUp'),
    ...given('late_after_seconds', 'lateAfterSeconds'),
    ...given('paused', 'paused'),
  };
}

function targetOf(raw: Readonly<Record<string, unknown>>): ScheduleTarget {
  const { template, priority, tags } = raw;
  const parts = typeof template === 'string' ? /^([^/@\s]+)\/([^/@\s]+)(?:@([^@\s]+))?$/.exec(template) : null;
  if (parts === null) return refuse('template', `must be namespace/name or namespace/name@version, not ${showValue(template)}`);
  return {
    kind: 'template',
    namespace: parts[1],
    name: parts[2],
    ...(parts[3] === undefined ? {} : { version: parts[3] }),
    ...(priority === undefined || priority === null ? {} : { priority: priority as number }),
    ...(tags === undefined || tags === null ? {} : { tags: tags as string[] }),
  };
}
