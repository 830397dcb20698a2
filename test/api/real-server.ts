/** The HTTP server before the real engine on a real store, with handlers that tests hold back and let go. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { Tutti, template } from '../../src/main.ts';
import { startHttpServer, type HttpServerOptions } from '../../src/server/http/server.ts';
import { ask, openEvents, type Answer, type Ask } from '../support/http-client.ts';
import { realTimer } from '../support/real-timer.ts';

/** A signal that is given once and waited for by anybody. */
export class Gate {
  readonly opened: Promise<void>;
  open!: () => void;

  constructor() {
    this.opened = new Promise((resolve) => (this.open = resolve));
  }
}

export interface RealServer extends AsyncDisposable {
  url: string;
  tutti: Tutti;
  /** Steps of gated tasks wait for it. */
  gate: Gate;
  ask(path: string, o?: Ask): Promise<Answer>;
  create(body: Record<string, unknown>): Promise<string>;
  /** Reads the events of a task up to its end. */
  ended(id: string): Promise<void>;
}

const order = template('orders/order_fulfillment@1.0.0', { input: z.object({ order_id: z.string().default('A1'), amount: z.number().positive().default(12) }) })
  .step('validate_order', async ({ input }) => ({ ok: input.amount > 0 }))
  .step('reserve_inventory', { after: ['validate_order'] }, async () => ({ held: 1 }))
  .step('process_payment', { after: ['reserve_inventory'] }, async ({ input }) => ({ paid: input.amount }))
  .step('ship_order', { after: ['process_payment'] }, async ({ input }) => ({ shipped: input.order_id }));

export interface RealOptions extends Partial<HttpServerOptions> {
  /** A folder that outlives the server. Default: one of its own. */
  folder?: string;
}

export async function realServer({ folder, ...o }: RealOptions = {}): Promise<RealServer> {
  const own = folder ?? (await mkdtemp(join(tmpdir(), 'tutti-api-')));
  const gate = new Gate();
  const gated = template('tests/gated@1.0.0')
    .step('first', async () => 1)
    .step('held', { after: ['first'], retry: { maxAttempts: 1 } }, async ({ signal, log }) => {
      log.info('waiting');
      await Promise.race([gate.opened, new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('told to stop'))))]);
      return 2;
    })
    .step('last', { after: ['held'] }, async () => 3);
  const tutti = await Tutti.open({ store: join(own, 'tutti.db'), templates: [order, gated], retention: false, grace: 1000, logger: () => {} });
  const { url, close } = await startHttpServer({ engine: tutti.engine, port: 0, now: Date.now, timer: realTimer, ...o });
  return {
    url,
    tutti,
    gate,
    ask: (path, options) => ask(url + path, options),
    async create(body) {
      const { status, json, text } = await ask(`${url}/v1/tasks`, { method: 'POST', body });
      if (status !== 201) throw new Error(`${status} ${text}`);
      return json.task_uuid as string;
    },
    async ended(id) {
      for await (const _ of await openEvents(`${url}/v1/tasks/${id}/events`));
    },
    async [Symbol.asyncDispose]() {
      gate.open();
      await close();
      await tutti.close({ drain: 5000 });
      if (folder === undefined) await rm(own, { recursive: true, force: true });
    },
  };
}

export const ORDER = { name: 'order_fulfillment', namespace: 'orders', version: '1.0.0' };
export const GATED = { name: 'gated', namespace: 'tests' };
