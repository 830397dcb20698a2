/**
 * The REST API, once: one row per route, keyed by the name of its handler. Validation, the OpenAPI document, docs/api.md and the
 * server's own routing all come from this table.
 */
import type { z } from 'zod';
import type { ErrorCode } from '../core/errors.ts';
import { COPY_ROUTES } from './copy-routes.ts';
import { PLAN_ROUTES } from './plan-routes.ts';
import * as request from './requests.ts';
import { SCHEDULE_ROUTES } from './schedule-routes.ts';
import { TABLE_ROUTES } from './table-routes.ts';
import * as wire from './wire.ts';

export type Permission =
  | 'tasks:create'
  | 'tasks:read'
  | 'tasks:list'
  | 'tasks:cancel'
  | 'tasks:context_read'
  | 'steps:read'
  | 'steps:resolve'
  | 'templates:read'
  | 'plans:read'
  | 'plans:trigger'
  | 'plans:abort'
  | 'plans:operate'
  | 'tables:read'
  | 'tables:write'
  | 'schedules:read'
  | 'schedules:write'
  | 'system:handlers_read'
  | 'system:analytics_read';

export type Tag = 'Tasks' | 'Trees' | 'Steps' | 'Events' | 'Templates' | 'Schedules' | 'Plans' | 'Tables' | 'Health' | 'Operations';

export interface Route {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Parameters in braces, as OpenAPI writes them. */
  path: string;
  summary: string;
  description?: string;
  tag: Tag;
  /** What a key must allow, once keys have permissions. Null: open to everyone, key or not. */
  permission: Permission | null;
  params: z.ZodObject;
  query: z.ZodObject;
  /** Absent: takes none. */
  body?: z.ZodType;
  /** Takes application/x-ndjson too, one element of the body a line, as a stream without limit of its own. */
  lines?: true;
  /** The body may be left out. */
  bodyOptional?: true;
  status: 200 | 201 | 204;
  /** Null: no content. */
  response: z.ZodType | null;
  /** Default application/json. */
  contentType?: string;
  /** Answers with server-sent events too, one of these each, where `Accept` asks for text/event-stream. */
  stream?: z.ZodType;
  /** Other statuses that are no error. */
  also?: Record<number, { description: string; response: z.ZodType | null }>;
  errors: readonly ErrorCode[];
}

const CREATE_ERRORS = [
  'INVALID_INPUT',
  'INVALID_JSON',
  'UNSTORABLE_VALUE',
  'TEMPLATE_NOT_FOUND',
  'ALREADY_EXISTS',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'UNKNOWN_HANDLER',
  'BACKPRESSURE',
  'STORE_UNAVAILABLE',
  'SHUTTING_DOWN',
] as const;
const READ_TASK = ['INVALID_ID', 'NOT_FOUND'] as const;
const RESET_ERRORS = [...READ_TASK, 'ILLEGAL_STATE', 'BACKPRESSURE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN'] as const;

const TREE_ERRORS = [
  'INVALID_INPUT',
  'INVALID_JSON',
  'UNSTORABLE_VALUE',
  'VALUE_TOO_LARGE',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'UNKNOWN_HANDLER',
  'ALREADY_EXISTS',
  'BACKPRESSURE',
  'STORE_UNAVAILABLE',
  'SHUTTING_DOWN',
] as const;
const VERB_ERRORS = ['ILLEGAL_STATE', 'BACKPRESSURE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN'] as const;

const { noParams, noQuery, taskParams, stepParams } = request;

export const ROUTES = {
  createTask: {
    method: 'POST',
    path: '/v1/tasks',
    summary: 'Create a task',
    tag: 'Tasks',
    permission: 'tasks:create',
    description: 'Answers once the task is durable. `Location` is its address.',
    params: noParams,
    query: noQuery,
    body: request.taskRequest,
    status: 201,
    response: wire.task,
    errors: CREATE_ERRORS,
  },
  createTasks: {
    method: 'POST',
    path: '/v1/tasks/bulk',
    summary: 'Create up to 1,000 tasks',
    tag: 'Tasks',
    permission: 'tasks:create',
    description: 'All or none: the first that is refused is named by its place, as in `tasks[3].context`.',
    params: noParams,
    query: noQuery,
    body: request.bulkRequest,
    status: 201,
    response: wire.bulkResult,
    errors: CREATE_ERRORS,
  },
  listTasks: {
    method: 'GET',
    path: '/v1/tasks',
    summary: 'List tasks, newest first',
    tag: 'Tasks',
    permission: 'tasks:list',
    description: 'Page with `cursor` and `limit`; `page` and `per_page` are there for small lists and count up to 10,000. `Link` has the next page.',
    params: noParams,
    query: request.listQuery,
    status: 200,
    response: wire.taskList,
    errors: ['INVALID_INPUT', 'INVALID_CURSOR'],
  },
  getTask: {
    method: 'GET',
    path: '/v1/tasks/{id}',
    summary: 'A task with its steps',
    tag: 'Tasks',
    permission: 'tasks:read',
    params: taskParams,
    query: request.taskQuery,
    status: 200,
    response: wire.task,
    errors: READ_TASK,
  },
  patchTask: {
    method: 'PATCH',
    path: '/v1/tasks/{id}',
    summary: 'Change priority or tags of a task',
    tag: 'Tasks',
    permission: 'tasks:create',
    params: taskParams,
    query: noQuery,
    body: request.patchRequest,
    status: 200,
    response: wire.task,
    errors: ['INVALID_INPUT', 'INVALID_JSON', ...READ_TASK, 'ILLEGAL_STATE', 'BACKPRESSURE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN'],
  },
  deleteTask: {
    method: 'DELETE',
    path: '/v1/tasks/{id}',
    summary: 'Cancel a task, or remove one that has ended',
    tag: 'Tasks',
    permission: 'tasks:cancel',
    description: 'Without `purge` it cancels: the task ends at once, handlers that run are told to stop. 409 when it has ended already.',
    params: taskParams,
    query: request.deleteQuery,
    body: request.cancelRequest,
    bodyOptional: true,
    status: 200,
    response: wire.task,
    also: { 204: { description: 'Removed (`purge=true`)', response: null } },
    errors: ['INVALID_INPUT', 'INVALID_JSON', ...READ_TASK, 'ILLEGAL_STATE', 'BACKPRESSURE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN'],
  },
  taskAudit: {
    method: 'GET',
    path: '/v1/tasks/{id}/audit',
    summary: 'Outcomes of all attempts of a task, newest first',
    tag: 'Tasks',
    permission: 'steps:read',
    params: taskParams,
    query: noQuery,
    status: 200,
    response: wire.auditRow.array(),
    errors: READ_TASK,
  },
  explainTask: {
    method: 'GET',
    path: '/v1/tasks/{id}/explain',
    summary: 'Why its steps are not running, or what they are doing',
    tag: 'Tasks',
    permission: 'steps:read',
    params: taskParams,
    query: request.explainQuery,
    status: 200,
    response: wire.stepExplanation.array(),
    errors: READ_TASK,
  },
  taskEvents: {
    method: 'GET',
    path: '/v1/tasks/{id}/events',
    summary: 'Follow a task (server-sent events)',
    tag: 'Tasks',
    permission: 'tasks:read',
    description:
      'Every event since `Last-Event-ID` (or `after`; default: the beginning), then live ones, until the task ends. ' +
      'Each has an id, the event type and a JSON `data` line (TaskEvent). Progress has no id and is not replayed. 204: nothing is left to send.',
    params: taskParams,
    query: request.eventsQuery,
    status: 200,
    response: wire.taskEvent,
    contentType: 'text/event-stream',
    also: { 204: { description: 'The task has ended and nothing follows the event named', response: null } },
    errors: ['INVALID_INPUT', 'INVALID_CURSOR', ...READ_TASK, 'GONE'],
  },
  listSteps: {
    method: 'GET',
    path: '/v1/tasks/{id}/workflow_steps',
    summary: 'Steps of a task, in template order',
    tag: 'Steps',
    permission: 'steps:read',
    params: taskParams,
    query: request.stepsQuery,
    status: 200,
    response: wire.step.array(),
    errors: READ_TASK,
  },
  getStep: {
    method: 'GET',
    path: '/v1/tasks/{id}/workflow_steps/{step}',
    summary: 'A step, by id or name',
    tag: 'Steps',
    permission: 'steps:read',
    params: stepParams,
    query: noQuery,
    status: 200,
    response: wire.step,
    errors: READ_TASK,
  },
  stepAudit: {
    method: 'GET',
    path: '/v1/tasks/{id}/workflow_steps/{step}/audit',
    summary: 'Outcomes of the attempts of a step, newest first',
    tag: 'Steps',
    permission: 'steps:read',
    params: stepParams,
    query: noQuery,
    status: 200,
    response: wire.auditRow.array(),
    errors: READ_TASK,
  },
  stepLog: {
    method: 'GET',
    path: '/v1/tasks/{id}/workflow_steps/{step}/log',
    summary: 'What the handler of a step logged',
    tag: 'Steps',
    permission: 'steps:read',
    params: stepParams,
    query: noQuery,
    status: 200,
    response: wire.logLine.array(),
    errors: READ_TASK,
  },
  resetTask: {
    method: 'POST',
    path: '/v1/tasks/{id}/reset',
    summary: 'Run again what failed of a task',
    tag: 'Tasks',
    permission: 'steps:resolve',
    description:
      'Steps in error, those that were cancelled by a failure and those that depend on them run again; all others keep their results. What a ' +
      'person cancelled stays. 409 with the state and the legal verbs when nothing has failed.',
    params: taskParams,
    query: noQuery,
    status: 200,
    response: wire.task,
    errors: RESET_ERRORS,
  },
  resetStep: {
    method: 'POST',
    path: '/v1/tasks/{id}/workflow_steps/{step}/reset',
    summary: 'Run a failed step again, and what depends on it',
    tag: 'Steps',
    permission: 'steps:resolve',
    params: stepParams,
    query: noQuery,
    status: 200,
    response: wire.step,
    errors: RESET_ERRORS,
  },
  cancelStep: {
    method: 'POST',
    path: '/v1/tasks/{id}/workflow_steps/{step}/cancel',
    summary: 'Cancel one step',
    tag: 'Steps',
    permission: 'tasks:cancel',
    description:
      'It ends at once, with its tied children and what requires it; its siblings go on. A running handler is told to stop, unless it is not ' +
      'cancelable: `stopping` says that it has not returned. 409, with the status it has, when it has ended already.',
    params: stepParams,
    query: noQuery,
    body: request.cancelRequest,
    bodyOptional: true,
    status: 200,
    response: wire.step,
    errors: ['INVALID_INPUT', 'INVALID_JSON', ...READ_TASK, ...VERB_ERRORS],
  },
  findStep: {
    method: 'GET',
    path: '/v1/steps/{step}',
    summary: 'A step of any task, by its id',
    tag: 'Steps',
    permission: 'steps:read',
    params: request.elementParams,
    query: noQuery,
    status: 200,
    response: wire.step,
    errors: ['NOT_FOUND'],
  },
  createTree: {
    method: 'POST',
    path: '/v1/trees',
    summary: 'Create a task from a tree of elements',
    tag: 'Trees',
    permission: 'tasks:create',
    description:
      'All of it or nothing; answers once it is durable. The body is an array of elements, an object with `tasks`, or one element a line ' +
      '(application/x-ndjson), which is how trees of more than a few thousand elements are sent: lines are taken as they come.',
    params: noParams,
    query: request.newTreeQuery,
    body: request.treeRequest,
    lines: true,
    status: 201,
    response: wire.treeCreated,
    errors: TREE_ERRORS,
  },
  getTree: {
    method: 'GET',
    path: '/v1/trees/{id}',
    summary: 'Steps of a task as they are filed, with calculated status and progress',
    tag: 'Trees',
    permission: 'steps:read',
    description:
      'Children of the task or of one step, and what stands below them, level by level. Every step says how many children it has and where to go on.',
    params: taskParams,
    query: request.treeQuery,
    status: 200,
    response: wire.tree,
    errors: ['INVALID_INPUT', 'INVALID_CURSOR', ...READ_TASK],
  },
  executeTree: {
    method: 'POST',
    path: '/v1/trees/{id}/execute',
    summary: 'Let a task run that was created with `execute: false`',
    tag: 'Trees',
    permission: 'tasks:create',
    params: taskParams,
    query: noQuery,
    status: 200,
    response: wire.task,
    errors: [...READ_TASK, ...VERB_ERRORS],
  },
  addSteps: {
    method: 'POST',
    path: '/v1/trees/{id}/steps',
    summary: 'Add up to 1,000 elements to a task that has not ended',
    tag: 'Trees',
    permission: 'tasks:create',
    description: 'All or none. They may name steps of the task, by id or name, as parents and dependencies. 409 when the task has ended.',
    params: taskParams,
    query: noQuery,
    body: request.addedSteps,
    status: 201,
    response: wire.step.array(),
    errors: [...TREE_ERRORS, ...READ_TASK, 'ILLEGAL_STATE'],
  },
  ...COPY_ROUTES,
  allEvents: {
    method: 'GET',
    path: '/v1/events',
    summary: 'Events of all tasks, as pages or as a stream (server-sent events)',
    tag: 'Events',
    permission: 'tasks:read',
    description:
      'In the order they were committed, from `Last-Event-ID` (or `after`; default: the oldest that is kept) on. With ' +
      '`Accept: text/event-stream` it goes on with live ones and stays open; else it answers with one page. Filters are applied to the log ' +
      'as it is read: a rare event is found by reading past all others, so a page may hold few events, or none, and have more; only `task` ' +
      'saves reading. 410: events behind the cursor were removed with their tasks since it was given.',
    params: noParams,
    query: request.allEventsQuery,
    status: 200,
    response: wire.eventPage,
    stream: wire.globalEvent,
    errors: ['INVALID_INPUT', 'INVALID_ID', 'INVALID_CURSOR', 'NOT_FOUND', 'GONE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN'],
  },
  listTemplates: {
    method: 'GET',
    path: '/v1/templates',
    summary: 'Templates',
    tag: 'Templates',
    permission: 'templates:read',
    params: noParams,
    query: request.templatesQuery,
    status: 200,
    response: wire.templateList,
    errors: ['INVALID_INPUT'],
  },
  listTemplateVersions: {
    method: 'GET',
    path: '/v1/templates/{namespace}/{name}',
    summary: 'Versions of a template',
    tag: 'Templates',
    permission: 'templates:read',
    params: request.templateNameParams,
    query: noQuery,
    status: 200,
    response: wire.templateVersions,
    errors: ['TEMPLATE_NOT_FOUND'],
  },
  getTemplate: {
    method: 'GET',
    path: '/v1/templates/{namespace}/{name}/{version}',
    summary: 'A template: its steps and the JSON Schema of its input',
    tag: 'Templates',
    permission: 'templates:read',
    params: request.templateParams,
    query: noQuery,
    status: 200,
    response: wire.templateDetail,
    errors: ['TEMPLATE_NOT_FOUND'],
  },
  ...SCHEDULE_ROUTES,
  ...PLAN_ROUTES,
  ...TABLE_ROUTES,
  listHandlers: {
    method: 'GET',
    path: '/v1/handlers',
    summary: 'Handlers that the connected workers have',
    tag: 'Operations',
    permission: 'system:handlers_read',
    params: noParams,
    query: noQuery,
    status: 200,
    response: wire.handlerList,
    errors: [],
  },
  health: {
    method: 'GET',
    path: '/health',
    summary: 'State of the server; 200 while it answers',
    tag: 'Health',
    permission: null,
    params: noParams,
    query: noQuery,
    status: 200,
    response: wire.health,
    errors: [],
  },
  healthLive: {
    method: 'GET',
    path: '/health/live',
    summary: 'The process is alive',
    tag: 'Health',
    permission: null,
    params: noParams,
    query: noQuery,
    status: 200,
    response: wire.liveness,
    errors: [],
  },
  healthReady: {
    method: 'GET',
    path: '/health/ready',
    summary: 'It takes work; 503 while it does not',
    tag: 'Health',
    permission: null,
    params: noParams,
    query: noQuery,
    status: 200,
    response: wire.readiness,
    also: { 503: { description: 'Not ready', response: wire.readiness } },
    errors: [],
  },
  healthDetailed: {
    method: 'GET',
    path: '/health/detailed',
    summary: 'Checks, actors and slots; 503 while it is not ready',
    tag: 'Health',
    permission: null,
    params: noParams,
    query: noQuery,
    status: 200,
    response: wire.healthDetail,
    also: { 503: { description: 'Not ready', response: wire.healthDetail } },
    errors: [],
  },
  metrics: {
    method: 'GET',
    path: '/metrics',
    summary: 'Metrics in the text format of Prometheus',
    tag: 'Operations',
    permission: 'system:analytics_read',
    params: noParams,
    query: noQuery,
    status: 200,
    response: null,
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    errors: [],
  },
  openApi: {
    method: 'GET',
    path: '/docs/openapi.json',
    summary: 'This description (OpenAPI 3.1)',
    tag: 'Operations',
    permission: null,
    params: noParams,
    query: noQuery,
    status: 200,
    response: null,
    contentType: 'application/json',
    errors: [],
  },
} as const satisfies Record<string, Route>;

/** May answer with a stream that does not end. */
export const isStream = (r: Route): boolean => r.contentType === 'text/event-stream' || r.stream !== undefined;

export type HandlerName = keyof typeof ROUTES;

type Out<S> = S extends z.ZodType ? z.output<S> : undefined;
type BodyOf<R> = R extends { body: infer B; bodyOptional: true } ? Out<B> | undefined : R extends { body: infer B } ? Out<B> : undefined;
type AlsoOf<R> = R extends { also: Record<number, { response: infer S }> } ? Out<S> : never;

/** What the handler of a route is given, validated. */
export interface RouteInput<N extends HandlerName> {
  params: z.output<(typeof ROUTES)[N]['params']>;
  query: z.output<(typeof ROUTES)[N]['query']>;
  body: BodyOf<(typeof ROUTES)[N]>;
}

/** What the handler of a route answers with. */
export type RouteOutput<N extends HandlerName> = Out<(typeof ROUTES)[N]['response']> | AlsoOf<(typeof ROUTES)[N]>;

export const HANDLER_NAMES = Object.keys(ROUTES) as HandlerName[];
