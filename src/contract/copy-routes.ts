/** Rows of the REST table for copies of tasks: one shape of request, four modes. */
import { z } from 'zod';
import * as request from './requests.ts';
import type { Route } from './routes.ts';
import * as wire from './wire.ts';

const ref = z.string().min(1, { error: 'must not be empty' }).max(255, { error: 'must be at most 255 characters' });
const PRIORITY = 'must be an integer from 0 (urgent) to 3';
const changes = {
  inputs: z.looseObject({}, { error: 'must be a JSON object' }).optional(),
  params: z.looseObject({}, { error: 'must be a JSON object' }).optional().describe('Its `executor_id` stays unless these name one'),
  priority: z.number({ error: PRIORITY }).int({ error: PRIORITY }).min(0, { error: PRIORITY }).max(3, { error: PRIORITY }).optional(),
};
const selection = {
  element: ref.optional().describe('Id or name of one step, taken with what stands below it. Absent: the whole task'),
  recursive: z.boolean().optional().describe('false: the element alone, without parent, children and dependencies; default true'),
  include_dependencies: z.boolean().optional().describe('Take along what the element depends on; default false'),
  include_dependents: z.boolean().optional().describe('Take along what depends on the element; default false'),
  overrides: z
    .strictObject({
      ...changes,
      user_id: ref.optional().describe('Only the owner that the original has'),
      elements: z.record(ref, z.strictObject(changes)).optional().describe('Of other steps, by id or name'),
    })
    .optional()
    .describe('Of the step at the top'),
  tags: z.array(ref).max(100, { error: 'must hold at most 100 tags' }).optional().describe('Default: those of the original'),
  execute: z.boolean().optional().describe('true: it runs at once; default false'),
  save: z.boolean().optional().describe('false: nothing is stored, and the elements are answered; default true'),
};
export const copyRequest = z.strictObject(selection).register(wire.components, { id: 'CopyRequest' });
export const mixedRequest = z
  .strictObject({
    ...selection,
    link: z.array(ref, { error: 'must be an array' }).min(1, { error: 'must name at least one step' }).describe('Ids or names of the steps to link'),
  })
  .register(wire.components, { id: 'MixedCopyRequest' });

const ERRORS = [
  'INVALID_INPUT',
  'INVALID_JSON',
  'UNSTORABLE_VALUE',
  'VALUE_TOO_LARGE',
  'BODY_TOO_LARGE',
  'INVALID_ID',
  'NOT_FOUND',
  'ILLEGAL_STATE',
  'UNKNOWN_HANDLER',
  'BACKPRESSURE',
  'STORE_UNAVAILABLE',
  'SHUTTING_DOWN',
] as const;

const row = {
  method: 'POST',
  tag: 'Trees',
  permission: 'tasks:create',
  params: request.taskParams,
  query: request.noQuery,
  status: 201,
  response: wire.task,
  also: { 200: { description: 'The elements it would have (`save: false`), as POST /v1/trees takes them', response: wire.copyPreview } },
  errors: ERRORS,
} as const;

export const COPY_ROUTES = {
  copyTask: {
    ...row,
    path: '/v1/tasks/{id}/copy',
    summary: 'Copy a task, or one of its steps: a new task that begins from the start',
    body: copyRequest,
    bodyOptional: true,
  },
  linkTask: {
    ...row,
    path: '/v1/tasks/{id}/link',
    summary: 'Link to a task that is complete: a new task without data of its own, which reads the results of the original',
    description: 'The original cannot be removed while it is linked to.',
    body: copyRequest,
    bodyOptional: true,
  },
  archiveTask: {
    ...row,
    path: '/v1/tasks/{id}/archive',
    summary: 'Archive a task in any state: a new task that keeps how everything stood and is never changed or removed',
    body: copyRequest,
    bodyOptional: true,
  },
  mixTask: {
    ...row,
    path: '/v1/tasks/{id}/mixed',
    summary: 'Copy a task, with the steps that are named linked instead',
    body: mixedRequest,
  },
} as const satisfies Record<string, Route>;
