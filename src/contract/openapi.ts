/** The route table as an OpenAPI 3.1 document. Building it takes a while: once, when somebody asks. */
import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../core/errors.ts';
import { controllerErrorBody, isControllerPath } from './controller-error.ts';
import { HANDLER_NAMES, isStream, ROUTES, type Route } from './routes.ts';
import { components, errorBody } from './wire.ts';

type Schema = Record<string, unknown>;

/** Errors that any route with a key may answer with. */
const EVERYWHERE: readonly ErrorCode[] = ['UNAUTHENTICATED', 'INTERNAL'];

export function openApiDocument(o: { version: string }): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const name of HANDLER_NAMES) {
    const route: Route = ROUTES[name];
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(name, route);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Tutti',
      version: o.version,
      description: 'Durable tasks: submit, watch, cancel and explain them. Limits in characters count UTF-16 units.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    tags: [...new Set(HANDLER_NAMES.map((n) => ROUTES[n].tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: componentSchemas(),
      securitySchemes: {
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key as bearer token.' },
      },
    },
  };
}

function operation(name: string, r: Route): Record<string, unknown> {
  return {
    operationId: name,
    summary: r.summary,
    ...(r.description === undefined ? {} : { description: r.description }),
    tags: [r.tag],
    ...(r.permission === null ? { security: [] } : { security: [{ apiKey: [] }, { bearer: [] }], 'x-permission': r.permission }),
    ...parameters(r),
    ...(r.body === undefined ? {} : { requestBody: { required: !r.bodyOptional, content: bodyContent(r) } }),
    responses: responses(r),
  };
}

function bodyContent(r: Route & { body?: z.ZodType }): Record<string, unknown> {
  const json = { 'application/json': { schema: schemaOf(r.body!, 'input') } };
  return r.lines ? { ...json, 'application/x-ndjson': { schema: { type: 'string', description: 'One element a line' } } } : json;
}

function parameters(r: Route): { parameters?: unknown[] } {
  const of = (place: 'path' | 'query', object: z.ZodObject): unknown[] => {
    const { properties = {}, required = [] } = schemaOf(object, 'input') as { properties?: Record<string, Schema>; required?: string[] };
    return Object.entries(properties).map(([name, { description, ...schema }]) => ({
      name,
      in: place,
      required: place === 'path' || required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema,
    }));
  };
  const all = [...of('path', r.params), ...of('query', r.query)];
  if (isStream(r)) {
    all.push({ name: 'Last-Event-ID', in: 'header', required: false, description: 'Id of the last event received', schema: { type: 'string' } });
  }
  return all.length === 0 ? {} : { parameters: all };
}

function responses(r: Route): Record<string, unknown> {
  const content = (schema: z.ZodType | null): { content?: Record<string, { schema: Schema }> } => {
    if (schema === null && r.contentType === undefined) return {};
    const type = (r.contentType ?? 'application/json').split(';')[0];
    return { content: { [type]: { schema: schema === null ? {} : schemaOf(schema, 'output') } } };
  };
  const ok = content(r.response);
  if (r.stream !== undefined && ok.content !== undefined) ok.content['text/event-stream'] = { schema: schemaOf(r.stream, 'output') };
  const out: Record<string, unknown> = {
    [r.status]: {
      description: r.status === 201 ? 'Created' : 'OK',
      ...((r.path === '/v1/tasks' || r.path === '/v1/trees') && r.method === 'POST' ? { headers: { Location: { schema: { type: 'string' } } } } : {}),
      ...ok,
    },
  };
  for (const [status, also] of Object.entries(r.also ?? {})) {
    out[status] = { description: also.description, ...(also.response === null ? {} : content(also.response)) };
  }
  const byStatus = Map.groupBy([...r.errors, ...(r.permission === null ? [] : EVERYWHERE)], (code) => ERRORS[code].http);
  for (const [status, codes] of byStatus) {
    out[status] ??= {
      description: [...new Set(codes)].map((c) => `${c}: ${ERRORS[c].meaning}`).join(' '),
      ...(status === 503 ? { headers: { 'Retry-After': { schema: { type: 'integer' }, description: 'Seconds' } } } : {}),
      content: { 'application/json': { schema: schemaOf(isControllerPath(r.path) ? controllerErrorBody : errorBody, 'output') } },
    };
  }
  return out;
}

/** A registered schema becomes a reference; another is written out, with references to the registered ones inside it. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Schema {
  const id = components.get(schema)?.id;
  if (id !== undefined) return { $ref: `#/components/schemas/${id}` };
  const { $schema: _1, $defs: _2, ...json } = z.toJSONSchema(schema, { metadata: components, io }) as Schema;
  return rewrite(json, (ref) => ref.replace('#/$defs/', '#/components/schemas/'));
}

function componentSchemas(): Record<string, Schema> {
  const uri = (id: string): string => `#/components/schemas/${id}`;
  const { schemas } = z.toJSONSchema(components, { uri, io: 'input' }) as unknown as { schemas: Record<string, Schema> };
  return Object.fromEntries(
    Object.entries(schemas)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { $schema: _1, $id: _2, id: _3, ...rest }]) => [name, rest]),
  );
}

function rewrite<T>(value: T, ref: (ref: string) => string): T {
  if (Array.isArray(value)) return value.map((v) => rewrite(v, ref)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, k === '$ref' && typeof v === 'string' ? ref(v) : rewrite(v, ref)])) as T;
}
