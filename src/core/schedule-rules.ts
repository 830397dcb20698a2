/** Checks what is asked for as a schedule, and completes it. Throws INVALID_INPUT naming field and limit; fields go by their names on the wire. */
import { TuttiError } from './errors.ts';
import {
  CATCH_UPS,
  DEFAULT_CATCH_UP,
  MAX_CATCH_UP,
  MAX_SECONDS,
  OVERLAPS,
  type ScheduleDefinition,
  type ScheduleOwner,
  type ScheduleRequest,
  type ScheduleTarget,
  type Trigger,
} from './schedule.ts';
import { type Cron, occurrencesOf } from './schedule-ticks.ts';
import { showValue } from './show-value.ts';
import { NAMESPACE_NAME, NAMESPACE_RULE, SEMVER, TEMPLATE_NAME, TEMPLATE_NAME_RULE, VERSION_RULE } from './template-rules.ts';

const KEY = /^[A-Za-z0-9][\w.:/@-]{0,254}$/;
const MAX_CRON = 200;
const MAX_TEXT = 1000;
/** Dates end here. */
const LAST_TIME = 8.64e15;

const refuse = (field: string, message: string, details?: Record<string, unknown>): never => {
  throw new TuttiError('INVALID_INPUT', `${field} ${message}`, { field, details });
};

const whole = (field: string, value: unknown, min: number, max: number): number =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max
    ? (value as number)
    : refuse(field, `must be a whole number from ${min} to ${max}, not ${showValue(value)}`, { min, max });

const time = (field: string, value: unknown): number => {
  if (!Number.isInteger(value) || Math.abs(value as number) > LAST_TIME) refuse(field, `must be a time, not ${showValue(value)}`);
  return value as number;
};

const oneOf = <T extends string>(field: string, value: unknown, values: readonly T[]): T =>
  values.includes(value as T) ? (value as T) : refuse(field, `must be one of ${values.join(', ')}, not ${showValue(value)}`);

const text = (field: string, value: unknown, max: number): string => {
  if (typeof value !== 'string' || value === '' || value.length > max || !value.isWellFormed() || value.includes('\u0000'))
    refuse(field, `must be text of 1 to ${max} characters`, { limit: max });
  return value as string;
};

export function checkSchedule(r: ScheduleRequest, o: { cron: Cron; owner: ScheduleOwner }): ScheduleDefinition {
  checkScheduleKey(r.key);
  const trigger = checkTrigger(r, o.cron);
  const catchUp = r.catchUp === undefined ? 'last' : oneOf('catch_up', r.catchUp, CATCH_UPS);
  if (r.maxCatchUp !== undefined && catchUp !== 'all') refuse('max_catch_up', 'belongs to catch_up "all"');
  if (r.paused !== undefined && typeof r.paused !== 'boolean') refuse('paused', `must be true or false, not ${showValue(r.paused)}`);
  return {
    trigger,
    target: checkTarget(r.target),
    overlap: r.overlap === undefined ? 'skip' : oneOf('overlap', r.overlap, OVERLAPS),
    catchUp,
    maxCatchUp: r.maxCatchUp === undefined ? DEFAULT_CATCH_UP : whole('max_catch_up', r.maxCatchUp, 1, MAX_CATCH_UP),
    lateAfterMs: r.lateAfterSeconds === undefined ? null : 1000 * whole('late_after_seconds', r.lateAfterSeconds, 1, MAX_SECONDS),
    tickField: checkTickField(r),
    description: r.description === undefined ? null : text('description', r.description, MAX_TEXT),
    owner: o.owner,
  };
}

export function checkScheduleKey(key: unknown): asserts key is string {
  if (typeof key !== 'string' || !KEY.test(key))
    refuse('key', `must be 1 to 255 letters, digits, ".", "_", ":", "/", "@" or "-", beginning with a letter or digit, not ${showValue(key)}`);
}

/** Refuses a trigger that does not fall after now; `past`: it may have fallen before. */
export function checkFalls(t: Trigger, o: { cron: Cron; now: number; past: boolean }): void {
  const { next, previous } = occurrencesOf(t, o.cron);
  if (next(o.now) !== null || (o.past && previous(o.now) !== null)) return;
  if (t.kind === 'once') refuse('at', 'lies in the past');
  refuse('cron', `never falls after now: ${t.kind === 'cron' ? showValue(t.cron) : ''}`);
}

function checkTrigger(r: ScheduleRequest, cron: Cron): Trigger {
  const given = (['cron', 'every_seconds', 'at'] as const).filter((f) => (f === 'every_seconds' ? r.everySeconds : r[f]) !== undefined);
  if (given.length !== 1) {
    const said = given.length === 0 ? 'none is there' : `${given.join(' and ')} are there`;
    throw new TuttiError('INVALID_INPUT', `a schedule has exactly one of cron, every_seconds and at; ${said}`, { field: given[1] ?? 'cron' });
  }
  if (r.cron === undefined) {
    if (r.dialect !== undefined) refuse('dialect', 'belongs to cron');
    if (r.timeZone !== undefined) refuse('time_zone', 'belongs to cron');
  }
  if (r.everySeconds === undefined && r.anchor !== undefined) refuse('anchor', 'belongs to every_seconds');
  if (r.everySeconds !== undefined)
    return {
      kind: 'interval',
      everyMs: 1000 * whole('every_seconds', r.everySeconds, 1, MAX_SECONDS),
      anchor: r.anchor === undefined ? 0 : time('anchor', r.anchor),
    };
  if (r.at !== undefined) return { kind: 'once', at: time('at', r.at) };
  const trigger = {
    kind: 'cron' as const,
    cron: text('cron', r.cron, MAX_CRON).trim(),
    dialect: r.dialect === undefined ? ('unix' as const) : oneOf('dialect', r.dialect, ['unix', 'quartz'] as const),
    zone: r.timeZone === undefined ? 'UTC' : text('time_zone', r.timeZone, 100),
  };
  const wrong = cron.problem(trigger);
  if (wrong !== null) refuse(wrong.field, wrong.message);
  return trigger;
}

function checkTickField({ tickField, target, input = {} }: ScheduleRequest): string | null {
  if (tickField === undefined) return null;
  if (target.kind !== 'template') refuse('tick_field', 'belongs to a template');
  const name = text('tick_field', tickField, 100);
  if (name === '__proto__') refuse('tick_field', 'must not be __proto__');
  if (typeof input !== 'object' || input === null || Array.isArray(input)) refuse('context', 'must be an object, of which tick_field is a member');
  return name;
}

function checkTarget(t: ScheduleTarget): ScheduleTarget {
  if (typeof t !== 'object' || t === null) refuse('template', 'is missing: a schedule names what it fires');
  switch (t.kind) {
    case 'template': {
      const { kind, namespace, name, version, priority, tags } = t;
      if (typeof namespace !== 'string' || !NAMESPACE_NAME.test(namespace)) refuse('template', `namespace ${NAMESPACE_RULE}`);
      if (typeof name !== 'string' || !TEMPLATE_NAME.test(name)) refuse('template', `name ${TEMPLATE_NAME_RULE}`);
      if (version !== undefined && (typeof version !== 'string' || !SEMVER.test(version))) refuse('template', `version ${VERSION_RULE}`);
      return {
        kind,
        namespace,
        name,
        ...(version === undefined ? {} : { version }),
        ...(priority === undefined ? {} : { priority }),
        ...(tags === undefined || tags.length === 0 ? {} : { tags }),
      };
    }
    case 'plan':
      return { kind: 'plan', resource: text('resource', t.resource, 255), taskType: text('task_type', t.taskType, 255) };
    default:
      return refuse('template', 'is missing: a schedule names what it fires');
  }
}
