/** /v1/schedules: templates fired by the clock. */
import { scheduleToWire, tickToWire, timeToWire } from '../../../contract/schedule-wire.ts';
import { TuttiError } from '../../../core/errors.ts';
import { scheduleOfFields } from '../../../core/schedule-fields.ts';
import { demand, permissions } from '../authorise.ts';
import type { Call, Handlers } from '../call.ts';

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

/** The schedule of a table is seen by those who may read the table; changed it is through the table's config alone. */
async function demandRead(call: Pick<Call<'getSchedule'>, 'engine' | 'caller' | 'params'>): Promise<void> {
  const { target } = await call.engine.schedules.get(call.params.key);
  if (target.kind === 'plan') await demand(call, target.resource, 'read');
}

export const scheduleHandlers: Handlers<Names> = {
  async createSchedule({ engine, body, reply }) {
    const made = await engine.schedules.put(scheduleOfFields(body, Date.parse), { create: true });
    reply.code(201).header('location', `/v1/schedules/${encodeURIComponent(made.key)}`);
    return scheduleToWire(made);
  },
  async listSchedules(call) {
    const { schedules, nextAfter } = await call.engine.schedules.list(call.query);
    const may = permissions(call, 'read');
    const seen = await Promise.all(schedules.map(async ({ target }) => target.kind !== 'plan' || (await may(target.resource))));
    return { schedules: schedules.filter((_, i) => seen[i]).map(scheduleToWire), next_after: nextAfter };
  },
  async getSchedule(call) {
    await demandRead(call);
    return scheduleToWire(await call.engine.schedules.get(call.params.key));
  },
  putSchedule: async ({ engine, params, body }) => scheduleToWire(await engine.schedules.put(scheduleOfFields({ ...body, key: params.key }, Date.parse))),
  async deleteSchedule({ engine, params, reply }) {
    await engine.schedules.remove(params.key);
    return reply.code(204).send();
  },
  pauseSchedule: async ({ engine, params }) => scheduleToWire(await engine.schedules.pause(params.key)),
  resumeSchedule: async ({ engine, params }) => scheduleToWire(await engine.schedules.resume(params.key)),
  fireSchedule: async ({ engine, params }) => tickToWire(await engine.schedules.fire(params.key)),
  async previewSchedule(call) {
    await demandRead(call);
    return { firings: call.engine.schedules.preview(call.params.key, call.query.n).map(timeToWire) };
  },
  async listTicks(call) {
    const { engine, params, query } = call;
    await demandRead(call);
    const before = query.before === undefined ? undefined : Date.parse(query.before);
    if (Number.isNaN(before)) throw new TuttiError('INVALID_INPUT', 'before must be a time such as 2027-01-31T06:00:00Z', { field: 'before' });
    const limit = query.limit ?? 100;
    const ticks = await engine.schedules.ticks(params.key, { before, limit });
    return { ticks: ticks.map(tickToWire), next_before: ticks.length === limit ? timeToWire(ticks[limit - 1].at) : null };
  },
};
