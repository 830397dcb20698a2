/** The real HTTP server before a fake engine. */
import { pino } from 'pino';
import { startHttpServer, type HttpServerOptions } from '../../src/server/http/server.ts';
import { FakeEngine } from '../support/fake-engine.ts';
import { ask, type Answer, type Ask } from '../support/http-client.ts';
import { realTimer } from '../support/real-timer.ts';

export interface FakeServer extends AsyncDisposable {
  url: string;
  engine: FakeEngine;
  /** Lines logged. */
  log: Record<string, unknown>[];
  ask(path: string, o?: Ask): Promise<Answer>;
  create(body?: Record<string, unknown>): Promise<string>;
  close(): Promise<void>;
}

export const ORDER = { name: 'order_fulfillment', namespace: 'orders', version: '1.0.0' };

export async function fakeServer(o: Partial<HttpServerOptions> = {}): Promise<FakeServer> {
  const engine = new FakeEngine();
  const log: Record<string, unknown>[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => void log.push(JSON.parse(line) as Record<string, unknown>) });
  const { url, close } = await startHttpServer({ engine, port: 0, logger, now: Date.now, timer: realTimer, ...o });
  // The line that says where it listens.
  log.length = 0;
  const server: FakeServer = {
    url,
    engine,
    log,
    close,
    ask: (path, options) => ask(url + path, options),
    async create(body = {}) {
      const { json } = await ask(`${url}/v1/tasks`, { method: 'POST', body: { ...ORDER, ...body }, headers: o.apiKeys ? { 'x-api-key': o.apiKeys[0] } : {} });
      return json.task_uuid as string;
    },
    [Symbol.asyncDispose]: close,
  };
  return server;
}
