/** Schedules and ticks as the REST API answers with them. */
import { z } from 'zod';
import { CATCH_UPS, OVERLAPS, SCHEDULE_OWNERS, TICK_STATES } from '../core/schedule.ts';
import type { ScheduleView, TickView } from '../engine/schedule-views.ts';
import { components } from './wire.ts';

const time = z.iso.datetime().describe('RFC 3339, UTC, milliseconds');
const count = z.int().nonnegative();

export const tick = z
  .object({
    at: time.describe('When it was due'),
    state: z.enum(TICK_STATES),
    manual: z.boolean().describe('A person asked for it'),
    task_uuid: z.guid().nullable().describe('The task that was made; it may have been removed since'),
    plan_id: z.string().nullable(),
    reason: z.string().nullable().describe('Why it was skipped (late, overlap, missed, conflict) or failed (code of an error)'),
    message: z.string().nullable(),
    done_at: time.nullable(),
  })
  .register(components, { id: 'Tick', description: 'A time at which a schedule was due: one row each.' });

export const schedule = z
  .object({
    key: z.string(),
    description: z.string().nullable(),
    owner: z.enum(SCHEDULE_OWNERS).describe('declared: by the configuration; table: by that of a table. Those are changed there'),
    cron: z.string().nullable(),
    dialect: z.enum(['unix', 'quartz']).nullable(),
    time_zone: z.string().nullable(),
    every_seconds: z.number().nullable(),
    anchor: time.nullable(),
    at: time.nullable(),
    template: z.string().nullable(),
    plan: z.object({ resource: z.string(), task_type: z.string() }).nullable(),
    context: z.unknown().optional().describe('Absent in lists'),
    tick_field: z.string().nullable(),
    priority: z.int().nullable(),
    tags: z.array(z.string()),
    overlap: z.enum(OVERLAPS),
    catch_up: z.enum(CATCH_UPS),
    max_catch_up: count,
    late_after_seconds: z.number().nullable(),
    paused: z.boolean(),
    next_at: time.nullable().describe('Null: paused, or no tick follows'),
    last_tick: tick.nullable(),
    waiting: count.describe('Ticks that wait to be fired'),
    counts: z
      .object({ fired: count, failed: count, late: count, overlap: count, missed: count, conflict: count })
      .describe('What became of ticks since the server started'),
    created_at: time,
    updated_at: time,
  })
  .register(components, { id: 'Schedule' });

export const scheduleList = z.object({ schedules: z.array(schedule), next_after: z.string().nullable() }).register(components, { id: 'ScheduleListResponse' });
export const tickList = z.object({ ticks: z.array(tick), next_before: time.nullable() }).register(components, { id: 'TickListResponse' });
export const preview = z.object({ firings: z.array(time) }).register(components, { id: 'SchedulePreview' });

export type WireTick = z.output<typeof tick>;
export type WireSchedule = z.output<typeof schedule>;
export type WireScheduleList = z.output<typeof scheduleList>;
export type WireTickList = z.output<typeof tickList>;
export type WireSchedulePreview = z.output<typeof preview>;

export const timeToWire = (at: number): string => new Date(at).toISOString();
const maybe = (at: number | null): string | null => (at === null ? null : timeToWire(at));

export const tickToWire = (t: TickView): WireTick => ({
  at: timeToWire(t.at),
  state: t.state,
  manual: t.manual,
  task_uuid: t.taskId,
  plan_id: t.planId,
  reason: t.reason,
  message: t.message,
  done_at: maybe(t.doneAt),
});

export function scheduleToWire(s: ScheduleView): WireSchedule {
  const { trigger, target } = s;
  const cron = trigger.kind === 'cron' ? trigger : null;
  const interval = trigger.kind === 'interval' ? trigger : null;
  const template = target.kind === 'template' ? target : null;
  return {
    key: s.key,
    description: s.description,
    owner: s.owner,
    cron: cron?.cron ?? null,
    dialect: cron?.dialect ?? null,
    time_zone: cron?.zone ?? null,
    every_seconds: interval === null ? null : interval.everyMs / 1000,
    anchor: maybe(interval?.anchor ?? null),
    at: trigger.kind === 'once' ? timeToWire(trigger.at) : null,
    template: template === null ? null : `${template.namespace}/${template.name}${template.version === undefined ? '' : `@${template.version}`}`,
    plan: target.kind === 'plan' ? { resource: target.resource, task_type: target.taskType } : null,
    ...(s.input === undefined ? {} : { context: s.input }),
    tick_field: s.tickField,
    priority: template?.priority ?? null,
    tags: template?.tags ?? [],
    overlap: s.overlap,
    catch_up: s.catchUp,
    max_catch_up: s.maxCatchUp,
    late_after_seconds: s.lateAfterSeconds,
    paused: s.paused,
    next_at: maybe(s.nextAt),
    last_tick: s.lastTick === null ? null : tickToWire(s.lastTick),
    waiting: s.waiting,
    counts: s.counts,
    created_at: timeToWire(s.createdAt),
    updated_at: timeToWire(s.updatedAt),
  };
}
