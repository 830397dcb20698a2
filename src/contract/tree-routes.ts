/** Rows of the REST table for trees of elements. */
import * as request from './requests.ts';
import { BODY_ERRORS, READ_TASK, VERB_ERRORS } from './route-errors.ts';
import type { Route } from './routes.ts';
import * as wire from './wire.ts';

const { noParams, noQuery, taskParams } = request;

const TREE_ERRORS = [...BODY_ERRORS, 'VALUE_TOO_LARGE', 'UNKNOWN_HANDLER', 'ALREADY_EXISTS', 'BACKPRESSURE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN'] as const;

export const TREE_ROUTES = {
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
} as const satisfies Record<string, Route>;
