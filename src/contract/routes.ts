/**
 * The REST API, once: one row per route, keyed by the name of its handler. Validation, the OpenAPI document, docs/api.md and the
 * server's own routing all come from this table.
 */
import type { z } from 'zod';
import type { ErrorCode } from '../core/errors.ts';
import { COPY_ROUTES } from './copy-routes.ts';
import { EVENT_ROUTES } from './event-routes.ts';
import { OPERATION_ROUTES } from './operation-routes.ts';
import { PLAN_ROUTES } from './plan-routes.ts';
import { SCHEDULE_ROUTES } from './schedule-routes.ts';
import { STEP_ROUTES } from './step-routes.ts';
import { TABLE_ROUTES } from './table-routes.ts';
import { TASK_ROUTES } from './task-routes.ts';
import { TEMPLATE_ROUTES } from './template-routes.ts';
import { TREE_ROUTES } from './tree-routes.ts';

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

/** In the order of the pages that are made of it. */
export const ROUTES = {
  ...TASK_ROUTES,
  ...STEP_ROUTES,
  ...TREE_ROUTES,
  ...COPY_ROUTES,
  ...EVENT_ROUTES,
  ...TEMPLATE_ROUTES,
  ...SCHEDULE_ROUTES,
  ...PLAN_ROUTES,
  ...TABLE_ROUTES,
  ...OPERATION_ROUTES,
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
