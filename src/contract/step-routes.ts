/** Rows of the REST table for the steps of a task. */
import * as request from './requests.ts';
import { READ_TASK, RESET_ERRORS, VERB_ERRORS } from './route-errors.ts';
import type { Route } from './routes.ts';
import * as wire from './wire.ts';

const { noQuery, stepParams, taskParams } = request;

export const STEP_ROUTES = {
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
} as const satisfies Record<string, Route>;
