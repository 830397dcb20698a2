/** Rows of the REST table for templates. */
import * as request from './requests.ts';
import type { Route } from './routes.ts';
import * as wire from './wire.ts';

export const TEMPLATE_ROUTES = {
  listTemplates: {
    method: 'GET',
    path: '/v1/templates',
    summary: 'Templates',
    tag: 'Templates',
    permission: 'templates:read',
    params: request.noParams,
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
    query: request.noQuery,
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
    query: request.noQuery,
    status: 200,
    response: wire.templateDetail,
    errors: ['TEMPLATE_NOT_FOUND'],
  },
} as const satisfies Record<string, Route>;
