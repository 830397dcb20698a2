/** /tasks: task plans, their triggers and queues, as clients of a Pinot controller ask for them. */
import type { FastifyReply } from 'fastify';
import { RECENT_PLANS } from '../../../contract/plan-routes.ts';
import { batchToWire, generatorRunsToWire, planToWire, scheduledToWire, startedToWire, taskTypeToWire } from '../../../contract/plan-to-wire.ts';
import { isTuttiError } from '../../../core/errors.ts';
import type { Plans, PlanView, TriggerRun } from '../../../engine/plan-views.ts';
import { demand, demandListed, demandNamed, permissions } from '../authorise.ts';
import type { WirePlan } from '../../../contract/plan-wire.ts';
import type { Call, Handlers } from '../call.ts';
import { isLong, listPieces, objectPieces, sendPieces } from '../json-pieces.ts';

type PlanHandlers = Handlers<
  | 'listPlanIds'
  | 'activePlans'
  | 'activePlanIds'
  | 'recentPlans'
  | 'isPlanActive'
  | 'getPlan'
  | 'abortPlan'
  | 'executeTaskType'
  | 'scheduleTaskTypes'
  | 'listTaskTypes'
  | 'generatorDebug'
  | 'stopQueue'
  | 'resumeQueue'
  | 'queueState'
>;

export const planHandlers: PlanHandlers = {
  async listPlanIds(call) {
    const { resource = '', taskType = '' } = filterOf(call.engine.plans, call.query);
    const ids = await demandListed(call, resource);
    const found = await Promise.all(ids.map((id) => call.engine.plans.planIds({ resource: id, taskType })));
    // Each is in its order; of several the UUIDs say which is newer.
    return found.length === 1 ? found[0] : found.flat().sort((a, b) => (uuidOf(a) < uuidOf(b) ? -1 : 1));
  },

  async activePlans(call) {
    return sendPlans(call, await active(call));
  },

  async activePlanIds(call) {
    return (await active(call)).map((p) => p.planId);
  },

  async recentPlans(call) {
    const { query } = call;
    const filter = filterOf(call.engine.plans, query);
    const limit = query.limit ?? RECENT_PLANS;
    const found = await listed(call, filter, (f) => call.engine.plans.recent({ ...f, limit }));
    // Of a name that stands for several, each gave its own newest.
    if (filter.resource !== undefined) found.sort((a, b) => b.createdAtMs - a.createdAtMs);
    return sendPlans(call, found.slice(0, limit), query.batches);
  },

  async isPlanActive(call) {
    const { taskPlanId } = call.params;
    await demandOwner(call, taskPlanId, 'read');
    return sendJson(call.reply, await call.engine.plans.isActive(taskPlanId));
  },

  async getPlan(call) {
    const { planId } = call.params;
    await demandOwner(call, planId, 'read');
    const plan = shortened(await call.engine.plans.plan(planId), call.query.batches);
    return isLong(plan.batches.length) ? sendPieces(call.reply, planPieces(plan), call.services.pause) : planToWire(plan);
  },

  async abortPlan(call) {
    const { planId } = call.params;
    await demandOwner(call, planId, 'abort');
    const p = await call.engine.plans.abort(planId, { by: call.caller?.name, reason: call.query.reason });
    return { status: p.status, planId, statusMessage: p.statusMessage };
  },

  async executeTaskType(call) {
    const { body, engine, reply } = call;
    const resource = body.tableName ?? body.resource ?? '';
    await demandNamed(call, resource, 'trigger');
    const begun = await engine.plans.trigger({
      resource,
      taskType: body.taskType,
      settings: body.taskConfigs ?? {},
      via: 'execute',
      triggeredBy: call.caller?.name ?? null,
      ...(body.taskName ? { taskName: body.taskName } : {}),
    });
    tellPlans(reply, begun.runs);
    if (begun.blocked !== null) reply.header('x-tutti-blocked', inHeader(begun.blocked));
    const nothing = begun.runs.flatMap((r) => (r.nothing === undefined ? [] : [r.nothing]));
    if (nothing.length > 0) reply.header('x-tutti-nothing', inHeader([...new Set(nothing)].join('; ')));
    return startedToWire(begun.runs);
  },

  async scheduleTaskTypes(call) {
    const { query, engine, caller, reply } = call;
    if (query.tableName !== undefined) await demandNamed(call, query.tableName, 'trigger');
    const taskType = query.taskType === undefined ? undefined : engine.plans.taskType(query.taskType).name;
    const results = await engine.plans.schedule({
      taskType,
      resource: query.tableName,
      triggeredBy: caller?.name ?? null,
      allowed: permissions(call, 'trigger'),
    });
    tellPlans(
      reply,
      results.flatMap((r) => r.runs),
    );
    return scheduledToWire(results, taskType);
  },

  listTaskTypes: ({ engine }) => engine.plans.taskTypes().map(taskTypeToWire),

  async generatorDebug(call) {
    const resources = await demandNamed(call, call.params.tableNameWithType, 'read');
    const { plans } = call.engine;
    const taskType = plans.taskType(call.params.taskType).name;
    return resources.map((resource) => generatorRunsToWire(resource, taskType, plans.generatorRuns(resource, taskType)));
  },

  async stopQueue({ engine, params }) {
    const { name } = engine.plans.taskType(params.taskType);
    await engine.plans.stopQueue(name);
    return { status: `No batch of ${name} begins until it is resumed.` };
  },

  async resumeQueue({ engine, params }) {
    const { name } = engine.plans.taskType(params.taskType);
    await engine.plans.resumeQueue(name);
    return { status: `Batches of ${name} may begin.` };
  },

  async queueState({ engine, params, reply }) {
    const { state } = await engine.plans.queue(engine.plans.taskType(params.taskType).name);
    return sendJson(reply, state);
  },
};

/** No more than so many of its batches, the last ones. */
const shortened = (p: PlanView, lastBatches = Infinity): PlanView =>
  p.batches.length <= lastBatches ? p : { ...p, batches: p.batches.slice(p.batches.length - lastBatches) };

const planPieces = (p: PlanView): Iterable<string> => objectPieces({ ...planToWire({ ...p, batches: [] }) }, 'batches', [p.batches, batchToWire]);

function sendPlans(
  { reply, services }: Pick<Call<'activePlans'>, 'reply' | 'services'>,
  found: readonly PlanView[],
  lastBatches?: number,
): WirePlan[] | FastifyReply {
  const plans = found.map((p) => shortened(p, lastBatches));
  const batches = plans.reduce((sum, p) => sum + p.batches.length, 0);
  return isLong(batches) ? sendPieces(reply, listPieces(plans.map(planPieces)), services.pause) : plans.map((p) => planToWire(p));
}

interface Filter {
  resource?: string;
  taskType?: string;
}

/** An alias stands for its type. A type that nobody has now may have had plans. */
function filterOf(plans: Plans, q: { tableNameWithType?: string; resource?: string; taskType?: string }): Filter {
  let { taskType } = q;
  if (taskType !== undefined) {
    try {
      taskType = plans.taskType(taskType).name;
    } catch (e) {
      if (!isTuttiError(e) || e.code !== 'NOT_FOUND') throw e;
    }
  }
  return { resource: q.tableNameWithType ?? q.resource, taskType };
}

const active = (call: Call<'activePlans' | 'activePlanIds'>): Promise<PlanView[]> =>
  listed(call, filterOf(call.engine.plans, call.query), (f) => call.engine.plans.active(f));

type Asking = Pick<Call<'activePlans'>, 'engine' | 'caller'>;

/** Of a resource that was named the caller is told that it is not theirs to see; of all others they see nothing. */
async function listed(call: Asking, filter: Filter, ask: (f: Filter) => Promise<PlanView[]>): Promise<PlanView[]> {
  if (filter.resource !== undefined) {
    const ids = await demandListed(call, filter.resource);
    const each = await Promise.all(ids.map((resource) => ask({ ...filter, resource })));
    return each.length === 1 ? each[0] : each.flat().sort((a, b) => a.createdAtMs - b.createdAtMs);
  }
  const found = await ask(filter);
  const may = permissions(call, 'read');
  const allowed = await Promise.all(found.map((p) => may(p.resource)));
  return found.filter((_, i) => allowed[i]);
}

async function demandOwner(call: Asking, planId: string, action: 'read' | 'abort'): Promise<void> {
  const { resource } = await call.engine.plans.owner(planId);
  await demand(call, resource, action);
}

const tellPlans = (reply: FastifyReply, runs: readonly TriggerRun[]): void => {
  const ids = runs.flatMap((r) => r.planId ?? []);
  if (ids.length > 0) reply.header('x-tutti-plan-id', ids.map(idInHeader).join(','));
};

const uuidOf = (planId: string): string => planId.slice(planId.lastIndexOf('__') + 2);

/** An id may have any characters: those that a header cannot have, and the comma between ids, are escaped as in an address. */
const idInHeader = (id: string): string => id.replace(/[^\x21-\x7e]|[,%]/gu, encodeURIComponent);

/** A header holds printable characters only, and what is said may quote a path. */
const inHeader = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?');

/** A document that is no object: clients of the controller read `true` and `"STOPPED"`. */
const sendJson = (reply: FastifyReply, value: boolean | string): FastifyReply => reply.type('application/json; charset=utf-8').send(JSON.stringify(value));
