/**
 * Rows of the REST table for task plans. Paths, parameters and field names are those of a Pinot controller, and so is the body of failures
 * (controller-error.ts). A path without braces stands before one that would match it too.
 */
import { z } from 'zod';
import { addressNumber } from './address-number.ts';
import * as wire from './plan-wire.ts';
import { noParams, noQuery } from './requests.ts';
import type { Route } from './routes.ts';

const EMPTY = 'must not be empty';
const text = (max: number) =>
  z
    .string()
    .min(1, { error: EMPTY })
    .max(max, { error: `must be at most ${max} characters` });
const resourceName = text(200);
const typeName = text(100);
const planId = text(400);

interface Named {
  tableNameWithType?: string;
  tableName?: string;
  resource?: string;
}

/** Two names for one thing: either, but not two things. */
const oneName = (value: Named, ctx: z.RefinementCtx, name: 'tableNameWithType' | 'tableName', required: boolean): void => {
  const given = value[name];
  if (given === undefined && value.resource === undefined && required) ctx.addIssue({ code: 'custom', path: [name], message: 'is required' });
  if (given !== undefined && value.resource !== undefined && given !== value.resource) {
    ctx.addIssue({ code: 'custom', path: ['resource'], message: `says the same as ${name}: give one of them` });
  }
};

const typed = {
  tableNameWithType: resourceName.optional().describe('A table with its type, as in `myTable_OFFLINE`'),
  resource: resourceName.optional().describe('Says the same as tableNameWithType, for what is no table'),
};
const filters = { ...typed, taskType: typeName.optional() };
const filterQuery = z.strictObject(filters).superRefine((q, ctx) => oneName(q, ctx, 'tableNameWithType', false));
const pairQuery = z.strictObject({ ...typed, taskType: typeName }).superRefine((q, ctx) => oneName(q, ctx, 'tableNameWithType', true));

export const RECENT_PLANS = 25;

const SETTING = 'must be a text, a number, true or false';
const setting = z.union([z.string(), z.number(), z.boolean()], { error: SETTING }).transform(String);

export const executeRequest = z
  .strictObject(
    {
      taskType: typeName,
      tableName: resourceName.optional().describe('With its type, or without: then every half of it that exists'),
      resource: resourceName.optional().describe('Says the same as tableName, for what is no table'),
      taskName: z
        .string()
        .regex(/^[\w.:-]{0,100}$/, { error: 'must be at most 100 letters, digits, "_", ".", ":" or "-"' })
        .nullish()
        .describe('Part of the names of the tasks that are made. 409 while a plan or run of the table and type that was given it lives'),
      taskConfigs: z
        .record(z.string(), setting, { error: 'must be an object of texts' })
        .nullish()
        .describe("Settings. Those that are absent come from the table's own for the type. `enableTaskOrchestration` asks for a plan"),
    },
    { error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : 'the body must be a JSON object') },
  )
  .superRefine((b, ctx) => oneName(b, ctx, 'tableName', true));

const tag = 'Plans';
const WRITE = ['BACKPRESSURE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN'] as const;
const planParams = z.strictObject({ planId });
const typeParams = z.strictObject({ taskType: typeName });

export const PLAN_ROUTES = {
  listPlanIds: {
    method: 'GET',
    path: '/tasks/taskPlans',
    summary: 'Ids of all plans of a table and task type, newest last',
    tag,
    permission: 'plans:read',
    params: noParams,
    query: pairQuery,
    status: 200,
    response: z.array(z.string()),
    errors: ['INVALID_INPUT', 'FORBIDDEN'],
  },
  activePlans: {
    method: 'GET',
    path: '/tasks/taskPlans/active',
    summary: 'Plans that are live (ACTIVE or ABORTING)',
    tag,
    permission: 'plans:read',
    description: 'Those of tables that the caller may read.',
    params: noParams,
    query: filterQuery,
    status: 200,
    response: z.array(wire.plan),
    errors: ['INVALID_INPUT', 'FORBIDDEN'],
  },
  activePlanIds: {
    method: 'GET',
    path: '/tasks/taskPlans/active/ids',
    summary: 'Ids of plans that are live',
    tag,
    permission: 'plans:read',
    params: noParams,
    query: filterQuery,
    status: 200,
    response: z.array(z.string()),
    errors: ['INVALID_INPUT', 'FORBIDDEN'],
  },
  recentPlans: {
    method: 'GET',
    path: '/tasks/taskPlans/recent',
    summary: 'The newest plans, live or ended, newest first',
    tag,
    permission: 'plans:read',
    params: noParams,
    query: z
      .strictObject({
        ...filters,
        limit: addressNumber(1, 100).optional().describe(`Default ${RECENT_PLANS}`),
        batches: addressNumber(0, 100_000).optional().describe('Only so many of the batches of each, the last ones; default all'),
      })
      .superRefine((q, ctx) => oneName(q, ctx, 'tableNameWithType', false)),
    status: 200,
    response: z.array(wire.plan),
    errors: ['INVALID_INPUT', 'FORBIDDEN'],
  },
  isPlanActive: {
    method: 'GET',
    path: '/tasks/taskPlans/isActive/{taskPlanId}',
    summary: 'true while a plan is live, else false',
    tag,
    permission: 'plans:read',
    description: 'A plan that is ABORTING is live: poll this after DELETE. 404: there is no such plan, or it was removed.',
    params: z.strictObject({ taskPlanId: planId }),
    query: noQuery,
    status: 200,
    response: z.boolean(),
    errors: ['FORBIDDEN', 'NOT_FOUND'],
  },
  getPlan: {
    method: 'GET',
    path: '/tasks/taskPlans/{planId}',
    summary: 'A plan with its batches',
    tag,
    permission: 'plans:read',
    params: planParams,
    query: z.strictObject({ batches: addressNumber(0, 100_000).optional().describe('Only so many of its batches, the last ones; default all') }),
    status: 200,
    response: wire.plan,
    errors: ['INVALID_INPUT', 'FORBIDDEN', 'NOT_FOUND'],
  },
  abortPlan: {
    method: 'DELETE',
    path: '/tasks/taskPlans/{planId}',
    summary: 'Abort a plan: nothing new is generated, what runs may finish',
    tag,
    permission: 'plans:abort',
    description:
      'It is ABORTING until its batch has ended, and CANCELLED then; at once where none runs. Asking again changes nothing. 409: it has ended already.',
    params: planParams,
    query: z.strictObject({ reason: text(2000).optional().describe('Kept in statusMessage') }),
    status: 200,
    response: wire.planEnding,
    errors: ['INVALID_INPUT', 'FORBIDDEN', 'NOT_FOUND', 'ILLEGAL_STATE', ...WRITE],
  },
  executeTaskType: {
    method: 'POST',
    path: '/tasks/execute',
    summary: 'Run a task type on a table now: as a plan, or once',
    tag,
    permission: 'plans:trigger',
    description:
      'Answers with the name of the first task, once it is durable. `X-Tutti-Plan-Id` has the id of the plan, separated by commas where a name ' +
      'without type stands for two tables. An empty map: there is nothing to do (`X-Tutti-Nothing` has what the generator said), ' +
      'or nothing may begin (`X-Tutti-Blocked` says why). 409: a plan is live; its id is in the text.',
    params: noParams,
    query: noQuery,
    body: executeRequest,
    status: 200,
    response: wire.startedTasks,
    errors: ['INVALID_INPUT', 'INVALID_JSON', 'ORCHESTRATED_ONLY', 'FORBIDDEN', 'NOT_FOUND', 'PLAN_ACTIVE', 'ALREADY_EXISTS', 'GENERATION_FAILED', ...WRITE],
  },
  scheduleTaskTypes: {
    method: 'POST',
    path: '/tasks/schedule',
    summary: "Run what the tables' configs say, now: one trigger over all of them, or of one type or table",
    tag,
    permission: 'plans:trigger',
    description: 'Tables that the caller may not trigger are left out. A table with a live plan is skipped, and named in `schedulingErrors`.',
    params: noParams,
    query: z.strictObject({
      taskType: typeName.optional(),
      tableName: resourceName.optional(),
      minionInstanceTag: text(200).optional().describe('Accepted and not used: workers have no tags'),
    }),
    status: 200,
    response: wire.scheduledTasks,
    errors: ['INVALID_INPUT', 'FORBIDDEN', 'NOT_FOUND', ...WRITE],
  },
  listTaskTypes: {
    method: 'GET',
    path: '/tasks/tasktypes',
    summary: 'Task types that are registered',
    tag,
    permission: 'plans:read',
    params: noParams,
    query: noQuery,
    status: 200,
    response: z.array(wire.taskType),
    errors: [],
  },
  generatorDebug: {
    method: 'GET',
    path: '/tasks/generator/{tableNameWithType}/{taskType}/debug',
    summary: 'The last good and bad calls of the generator of a table and task type',
    tag,
    permission: 'plans:read',
    params: z.strictObject({ tableNameWithType: resourceName, taskType: typeName }),
    query: z.strictObject({ localOnly: z.enum(['true', 'false']).optional().describe('Accepted and not used: there is one process') }),
    status: 200,
    response: z.array(wire.generatorRuns),
    errors: ['FORBIDDEN', 'NOT_FOUND'],
  },
  stopQueue: {
    method: 'PUT',
    path: '/tasks/{taskType}/stop',
    summary: 'Begin no batch of a task type until it is resumed; what runs goes on',
    tag,
    permission: 'plans:operate',
    params: typeParams,
    query: noQuery,
    status: 200,
    response: wire.queueChanged,
    errors: ['NOT_FOUND', ...WRITE],
  },
  resumeQueue: {
    method: 'PUT',
    path: '/tasks/{taskType}/resume',
    summary: 'Let batches of a task type begin again',
    tag,
    permission: 'plans:operate',
    params: typeParams,
    query: noQuery,
    status: 200,
    response: wire.queueChanged,
    errors: ['NOT_FOUND', ...WRITE],
  },
  queueState: {
    method: 'GET',
    path: '/tasks/{taskType}/state',
    summary: 'Whether batches of a task type may begin: IN_PROGRESS or STOPPED',
    tag,
    permission: 'plans:read',
    params: typeParams,
    query: noQuery,
    status: 200,
    response: wire.queueState,
    errors: ['NOT_FOUND'],
  },
} as const satisfies Record<string, Route>;
