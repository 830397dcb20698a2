/** The route table served: one fastify route per row, validated by the row's schemas and answered by the handler of its name. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { HANDLER_NAMES, isStream, ROUTES, type HandlerName, type Route } from '../../contract/routes.ts';
import type { Call, Handler, Handlers, Services } from './call.ts';
import { copyHandlers } from './handlers/copies.ts';
import { eventHandlers } from './handlers/events.ts';
import { operationHandlers } from './handlers/operations.ts';
import { planHandlers } from './handlers/plans.ts';
import { resetHandlers } from './handlers/resets.ts';
import { scheduleHandlers } from './handlers/schedules.ts';
import { stepHandlers } from './handlers/steps.ts';
import { tableHandlers } from './handlers/tables.ts';
import { taskHandlers } from './handlers/tasks.ts';
import { templateHandlers } from './handlers/templates.ts';
import { treeHandlers } from './handlers/trees.ts';
import { compileValidator, type RequestPart } from './validation.ts';

/** Key of a route's row in its fastify config. */
export const TUTTI_ROUTE = 'tuttiRoute';

declare module 'fastify' {
  interface FastifyContextConfig {
    tuttiRoute?: Route;
  }
}

const HANDLERS: Handlers = {
  ...taskHandlers,
  ...stepHandlers,
  ...treeHandlers,
  ...templateHandlers,
  ...scheduleHandlers,
  ...resetHandlers,
  ...copyHandlers,
  ...eventHandlers,
  ...planHandlers,
  ...tableHandlers,
  ...operationHandlers,
};

export function registerRoutes(app: FastifyInstance, services: Services): void {
  app.setValidatorCompiler(({ schema, httpPart }) => compileValidator(schema as unknown as z.ZodType, httpPart as RequestPart));
  for (const name of HANDLER_NAMES) registerRoute(app, services, name);
}

function registerRoute(app: FastifyInstance, services: Services, name: HandlerName): void {
  const route: Route = ROUTES[name];
  const handler = HANDLERS[name] as Handler<HandlerName>;
  const { engine } = services;
  app.route({
    method: route.method,
    url: route.path.replace(/\{(\w+)\}/g, ':$1'),
    // A HEAD of a stream would never end.
    exposeHeadRoute: route.method === 'GET' && !isStream(route),
    config: { [TUTTI_ROUTE]: route },
    ...(name === 'addRows' ? { onRequest: services.rowBodies.admit } : {}),
    schema: {
      params: route.params,
      querystring: route.query,
      ...(route.body === undefined ? {} : { body: route.bodyOptional ? z.nullish(route.body) : route.body }),
    },
    handler: (request: FastifyRequest, reply: FastifyReply) =>
      handler({
        params: request.params,
        query: request.query,
        body: request.body ?? undefined,
        services,
        engine,
        caller: request.caller,
        request,
        reply,
      } as Call<HandlerName>),
  });
}

const PATHS = Map.groupBy(Object.values(ROUTES) as Route[], (r) => r.path);
const PATTERNS = [...PATHS].map(([path, routes]) => ({
  pattern: new RegExp(`^${path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+')}$`),
  methods: routes.flatMap((r) => (r.method === 'GET' && !isStream(r) ? ['GET', 'HEAD'] : [r.method])),
}));

/** Methods that the API takes at a path; none: there is no such path. A fixed path hides a pattern that would match it too. */
export const allowedMethods = (path: string): string[] => PATTERNS.find((p) => p.pattern.test(path))?.methods ?? [];
