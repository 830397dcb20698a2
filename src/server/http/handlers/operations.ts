/** Health, metrics and the description of the API. */
import { handlerToWire } from '../../../contract/to-wire.ts';
import type { WireReadiness } from '../../../contract/wire.ts';
import type { Handlers, Services } from '../call.ts';
import { renderMetrics } from '../metrics.ts';

export const operationHandlers: Handlers<'health' | 'healthLive' | 'healthReady' | 'healthDetailed' | 'metrics' | 'openApi' | 'listHandlers'> = {
  listHandlers({ services }) {
    const handlers = services.engine.handlers().map(handlerToWire);
    return { handlers, total_count: handlers.length };
  },

  health: ({ services }) => ({ status: services.engine.health().status, timestamp: timestamp(services) }),

  healthLive: ({ services }) => ({ status: 'alive', timestamp: timestamp(services) }),

  healthReady({ services, reply }) {
    const found = readinessOf(services);
    if (!found.ready) reply.code(503).header('retry-after', '1');
    return found;
  },

  healthDetailed({ services, reply }) {
    const found = readinessOf(services);
    const { actors, slots } = services.engine.metrics();
    if (!found.ready) reply.code(503).header('retry-after', '1');
    return {
      ...found,
      uptime_seconds: (services.now() - services.startedAt) / 1000,
      actors: actors.map((a) => ({
        name: a.name,
        depth: a.depth,
        capacity: a.capacity,
        saturation: a.capacity === 0 ? 0 : a.depth / a.capacity,
        accepted: a.accepted,
        refused: a.refused,
      })),
      slots,
    };
  },

  metrics({ services, reply }) {
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(renderMetrics(services));
  },

  openApi: ({ services, reply }) => reply.send(services.openApi()),
};

const timestamp = (s: Services): string => new Date(s.now()).toISOString();

function readinessOf(s: Services): WireReadiness {
  const { status, checks } = s.engine.health();
  return { status, ready: status === 'ready', timestamp: timestamp(s), checks };
}
