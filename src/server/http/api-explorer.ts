/**
 * The pages of /docs: a server of their own that listens nowhere, made at the first request for one. Hardly any server is asked, and a
 * server that listens takes no more routes.
 */
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { NO_COMPILERS } from './validation.ts';

const PATHS = ['/docs', '/docs/', '/docs/json', '/docs/yaml', '/docs/static/*'];
/** Of the connection that the answer goes over, not of the page. */
const OF_CONNECTION = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date']);

export function registerApiExplorer(app: FastifyInstance, document: () => Record<string, unknown>): void {
  let pages: Promise<FastifyInstance> | undefined;
  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    pages ??= buildPages(document());
    const { method, url, headers } = request;
    const page = await (await pages).inject({ method: method as 'GET', url, headers });
    if (page.statusCode === 404) {
      reply.callNotFound();
      return reply;
    }
    if (page.statusCode >= 400) throw new Error(`the page ${url} answers ${page.statusCode}: ${page.payload}`);
    for (const [name, value] of Object.entries(page.headers)) if (!OF_CONNECTION.has(name)) reply.header(name, value);
    // Of an answer without a body the headers stay as they are.
    return reply.code(page.statusCode).send(page.rawPayload.length === 0 ? undefined : page.rawPayload);
  };
  // HEAD too, by itself: fastify's own would answer with the length of the body that there is none of.
  for (const url of PATHS) app.route({ method: ['GET', 'HEAD'], url, exposeHeadRoute: false, handler: answer });
}

async function buildPages(document: Record<string, unknown>): Promise<FastifyInstance> {
  const [{ default: swagger }, { default: swaggerUi }] = await Promise.all([import('@fastify/swagger'), import('@fastify/swagger-ui')]);
  const pages = fastify({ schemaController: NO_COMPILERS });
  await pages.register(swagger, { mode: 'static', specification: { document: document as never } });
  await pages.register(swaggerUi, {
    routePrefix: '/docs',
    // Nothing is fetched from elsewhere.
    uiConfig: { validatorUrl: null, docExpansion: 'list' },
    staticCSP: "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; frame-ancestors 'none'",
  });
  await pages.ready();
  return pages;
}
