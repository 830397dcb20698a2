/** The HTTP server: fastify over the route table. Nothing here decides; every answer comes from the engine. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyRequest } from 'fastify';
import { openApiDocument } from '../../contract/openapi.ts';
import { ROUTES } from '../../contract/routes.ts';
import { TuttiError } from '../../core/errors.ts';
import type { EngineFacade } from '../../engine/facade.ts';
import type { Tables } from '../../tables/tables.ts';
import { ApiKeys, isLoopback } from '../auth.ts';
import { registerApiExplorer } from './api-explorer.ts';
import { BodyTimeouts } from './body-timeouts.ts';
import type { Services } from './call.ts';
import { sendError } from './error-reply.ts';
import { HttpCounters } from './http-counters.ts';
import { registerJsonParser } from './json-parser.ts';
import { registerLinesParser } from './lines-parser.ts';
import { carriesBody } from './linger.ts';
import { requestIds } from './request-ids.ts';
import { allowedMethods, registerRoutes, TUTTI_ROUTE } from './route-registration.ts';
import { hasLines, MAX_LINES_BYTES, RowBodies } from './row-bodies.ts';
import { EventStreams } from './sse.ts';
import { NO_COMPILERS } from './validation.ts';

export interface HttpServerOptions {
  engine: EngineFacade;
  /** Absent: what asks for one is refused. */
  tables?: Tables | null;
  /** Default 127.0.0.1. Any other than a loopback address needs at least one key. */
  host?: string;
  /** Default 8080; 0 takes a free one. */
  port?: number;
  /** Once there is one, every route but /health* and /docs* asks for it. */
  apiKeys?: readonly string[];
  /** Where failures are logged; a pino logger. Absent: nowhere. */
  logger?: FastifyBaseLogger;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Calls back once, without keeping the process alive; the answer prevents it. */
  timer: (ms: number, fn: () => void) => () => void;
  /** Log every request, at level info. Default false: a line costs a third of a request. */
  logRequests?: boolean;
  /** Largest body, in bytes. Default 2 MiB. */
  maxBodyBytes?: number;
  /** Bytes of rows for tables that are in work at once, over all requests. Default 32 MiB. */
  rowBytes?: number;
  /** Silence after which an event stream gets a comment line. Default 15 s. */
  heartbeatMs?: number;
  /** In which a body has to arrive; of one that is streamed, its longest silence. Default 30 s. */
  bodyTimeoutMs?: number;
}

export interface HttpServer {
  /** `http://127.0.0.1:8080`, with the port that was taken. */
  url: string;
  /** Refuses new requests, ends event streams, waits for requests being answered. */
  close(): Promise<void>;
}

const HEADERS_TIMEOUT_MS = 30_000;
const BODY_TIMEOUT_MS = 30_000;

/** Resolves when it listens. Rejects with INVALID_CONFIG when it must not, or cannot, listen there. */
export async function startHttpServer(o: HttpServerOptions): Promise<HttpServer> {
  const host = o.host ?? '127.0.0.1';
  const port = o.port ?? 8080;
  const keys = new ApiKeys(o.apiKeys ?? []);
  if (!keys.required && !isLoopback(host)) {
    throw new TuttiError(
      'INVALID_CONFIG',
      `host ${host} can be reached from other machines, and no API key is set: set TUTTI_API_KEY or [orchestration.web] api_keys, or listen on 127.0.0.1`,
      { field: 'orchestration.web.host' },
    );
  }
  const http = await buildHttpServer(o, keys);
  try {
    await http.app.listen({ host, port });
  } catch (e) {
    await http.close();
    throw listenError(e, host, port);
  }
  const { port: taken } = http.app.server.address() as AddressInfo;
  return { url: `http://${host.includes(':') ? `[${host.replace(/^\[|\]$/g, '')}]` : host}:${taken}`, close: http.close };
}

/** Everything but listening. */
export async function buildHttpServer(o: HttpServerOptions, keys: ApiKeys): Promise<{ app: FastifyInstance; close: () => Promise<void> }> {
  const bodyLimit = o.maxBodyBytes ?? 2 * 1024 * 1024;
  const counters = new HttpCounters();
  const version = packageVersion();
  let openApi: Record<string, unknown> | undefined;
  const services: Services = {
    engine: o.engine,
    tables: o.tables ?? null,
    now: o.now,
    pause: () => new Promise((resolve) => void o.timer(0, resolve)),
    startedAt: o.now(),
    version,
    counters,
    streams: new EventStreams({ heartbeatMs: o.heartbeatMs ?? 15_000, counters }),
    rowBodies: new RowBodies(o.rowBytes),
    openApi: () => (openApi ??= openApiDocument({ version })),
  };
  let closing = false;
  const app: FastifyInstance = fastify({
    ...(o.logger ? { loggerInstance: o.logger } : {}),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    schemaController: NO_COMPILERS,
    genReqId: requestIds(o.now()),
    requestIdHeader: false,
    routerOptions: { maxParamLength: 400 },
    // Of bodies there is more to say than one limit for all: body-timeouts.ts.
    requestTimeout: 0,
    http: { headersTimeout: HEADERS_TIMEOUT_MS },
    return503OnClosing: false,
    clientErrorHandler: badRequestLine,
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
  });

  app.decorateRequest('caller', null);
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-content-type-options', 'nosniff').header('x-request-id', request.id);
    if (closing) return done(new TuttiError('SHUTTING_DOWN', 'the server is shutting down', { retryAfter: 1 }));
    const caller = keys.callerOf(request.headers);
    request.caller = caller ?? null;
    if (caller === undefined && !isOpen(request.routeOptions.url, request.routeOptions.config[TUTTI_ROUTE]?.permission))
      return done(new TuttiError('UNAUTHENTICATED', 'this server wants an API key, in the header X-API-Key or as a bearer token'));
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity' && carriesBody(request.raw))
      return done(new TuttiError('UNSUPPORTED_MEDIA_TYPE', 'the body must come as it is, without content-encoding', { field: 'content-encoding' }));
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.config[TUTTI_ROUTE];
    const streamed = reply.statusCode === 200 && String(reply.raw.getHeader('content-type')).startsWith('text/event-stream');
    counters.record(route ? request.method : 'other', route?.path ?? 'other', reply.statusCode, streamed ? null : reply.elapsedTime / 1000);
    if (o.logRequests) request.log.info({ request_id: request.id, method: request.method, url: request.url, status: reply.statusCode, ms: reply.elapsedTime });
    if (closing) app.server.closeIdleConnections();
    done();
  });
  const asking = new WeakSet<IncomingMessage>();
  app.addHook('preParsing', (request, reply, _payload, done) => {
    // A client that asks before it sends is told no before it has sent anything.
    if (asking.delete(request.raw) && Number(request.headers['content-length'] ?? 0) <= mostBytes(request, bodyLimit)) reply.raw.writeContinue();
    done();
  });
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0];
    const allowed = allowedMethods(path);
    if (allowed.length === 0) return sendError(new TuttiError('NOT_FOUND', `there is nothing at ${path}`), request, reply);
    reply.header('allow', allowed.join(', '));
    return sendError(new TuttiError('METHOD_NOT_ALLOWED', `${path} takes ${allowed.join(', ')}, not ${request.method}`), request, reply);
  });

  registerJsonParser(app);
  const timeouts = new BodyTimeouts({
    limitMs: o.bodyTimeoutMs ?? BODY_TIMEOUT_MS,
    timer: o.timer,
    expired: ({ socket }, response) => {
      if (!response.headersSent) badRequestLine.call(app, LATE, socket);
      socket.destroySoon();
    },
  });
  app.server.on('request', (request, response) => timeouts.watch(request, response));
  registerLinesParser(app, timeouts);
  registerRoutes(app, services);
  registerApiExplorer(app, services.openApi);
  await app.ready();

  app.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    asking.add(request);
    timeouts.watch(request, response);
    app.routing(request, response);
  });

  const close = async (): Promise<void> => {
    closing = true;
    services.streams.close();
    await app.close();
  };
  return { app, close };
}

function mostBytes(request: FastifyRequest, bodyLimit: number): number {
  const route = request.routeOptions.config[TUTTI_ROUTE];
  if (!hasLines(request) || !route?.lines) return bodyLimit;
  return route.path === ROUTES.addRows.path ? MAX_LINES_BYTES : Infinity;
}

const isOpen = (url: string | undefined, permission: string | null | undefined): boolean =>
  permission === null || (permission === undefined && url !== undefined && (url === '/docs' || url.startsWith('/docs/')));

function listenError(e: unknown, host: string, port: number): unknown {
  const { code } = e as NodeJS.ErrnoException;
  const change = 'choose another in [orchestration.web] or with TUTTI_WEB_';
  switch (code) {
    case 'EADDRINUSE':
      return new TuttiError('INVALID_CONFIG', `port ${port} on ${host} is in use; ${change}PORT`, { field: 'orchestration.web.port', cause: e });
    case 'EACCES':
      return new TuttiError('INVALID_CONFIG', `this user may not listen on port ${port}; ${change}PORT`, { field: 'orchestration.web.port', cause: e });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new TuttiError('INVALID_CONFIG', `${host} is no address of this machine; ${change}HOST`, { field: 'orchestration.web.host', cause: e });
    default:
      return e;
  }
}

const LATE = Object.assign(new Error('the body is late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });

/** What is not even HTTP, too long in its first lines, or too late. */
function badRequestLine(this: FastifyInstance, error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const [status, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'the headers are larger than this server takes']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'the request took too long to arrive']
        : ['400 Bad Request', 'this is not an HTTP request'];
  const body = JSON.stringify({ error: { code: 'INVALID_INPUT', message, request_id: '' } });
  socket.end(`HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
}

const packageVersion = (): string => (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
