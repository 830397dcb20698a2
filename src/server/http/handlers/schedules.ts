/** /v1/schedules: templates fired by the clock. */
import { scheduleToWire, tickToWire, timeToWire } from '../../../contract/schedule-wire.ts';
import { TuttiError } from '../../../core/errors.ts';
import { scheduleOfFields } from '../../../core/schedule-fields.ts';
import type { Handlers } from '../call.ts';

type Names =
  | 'createSchedule'
  | 'listSchedules'
  | 'getSchedule'
  | 'putSchedule'
  | 'deleteSchedule'
  | 'pauseSchedule'
  | 'resumeSchedule'
  | 'fireSchedule'
  | 'previewSchedule'
  | 'listTicks';

export const scheduleHandlers: Handlers<Names> = {
  async createSchedule({ engine, body, reply }) {
    const made = await engine.schedules.put(scheduleOfFields(body, Date.parse), { create: true });
    reply.code(201).header('location', `/v1/schedules/${encodeURIComponent(made.key)}`);
    return scheduleToWire(made);
  },
  async listSchedules({ engine, query }) {
    const { schedules, nextAfter } = await engine.schedules.list(query);
    return { schedules: schedules.map(scheduleToWire), next_after: nextAfter };
  },
  getSchedule: async ({ engine, params }) => scheduleToWire(await engine.schedules.get(params.key)),
  putSchedule: async ({ engine, params, body }) => scheduleToWire(await engine.schedules.put(scheduleOfFields({ ...body, key: params.key }, Date.parse))),
  async deleteSchedule({ engine, params, reply }) {
    await engine.schedules.remove(params.key);
    return reply.code(204).send();
  },
  pauseSchedule: async ({ engine, params }) => scheduleToWire(await engine.schedules.pause(params.key)),
  resumeSchedule: async ({ engine, params }) => scheduleToWire(await engine.schedules.resume(params.key)),
  fireSchedule: async ({ engine, params }) => tickToWire(await engine.schedules.fire(params.key)),
  previewSchedule: ({ engine, params, query }) => ({ firings: engine.schedules.preview(params.key, query.n).map(timeToWire) }),
  async listTicks({ engine, params, query }) {
    const before = query.before === undefined ? undefined : Date.parse(query.before);
    if (Number.isNaN(before)) throw new TuttiError('INVALID_INPUT', 'before must be a time such as 2027-01-31T06:00:00Z', { field: 'before' });
    const limit = query.limit ?? 100;
    const ticks = await engine.schedules.ticks(params.key, { before, limit });
    return { ticks: ticks.map(tickToWire), next_before: ticks.length === limit ? timeToWire(ticks[limit - 1].at) : null };
  },
};
