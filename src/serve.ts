/** The engine with its HTTP server, put together from the configuration. */
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { checkExposure, folderRoots, type TuttiConfig } from './config.ts';
import { SCHEMA } from './config/schema.ts';
import { DEFAULT_ENGINE_CONFIG, type EngineConfig } from './engine/host.ts';
import { compose, type OpenOptions, type Tutti } from './open.ts';
import { type Logger, realTimer } from './real-host.ts';
import { startHttpServer } from './server/http/server.ts';
import type { TablesConfig } from './tables/open-tables.ts';
import { tablesConfigOf } from './tables/table-options.ts';

export interface ServeOptions {
  templates?: OpenOptions['templates'];
  handlers?: OpenOptions['handlers'];
  taskTypes?: OpenOptions['taskTypes'];
  resourceKinds?: OpenOptions['resourceKinds'];
  dev?: boolean;
  /** Where log lines go, one JSON object each. Default: stderr. */
  logTo?: { write(line: string): unknown };
}

export interface Served {
  tutti: Tutti;
  /** Address of the API; null when `[orchestration.web] enabled` is false. */
  url: string | null;
  /** Takes no new work, lets running handlers finish for `[orchestration.shutdown] drain_seconds`, closes server and store. */
  stop(): Promise<void>;
}

const DAY_MS = 86_400_000;

/** The engine's part of the configuration. A limit of 0 means none. */
const engineConfigFrom = (c: TuttiConfig): EngineConfig => ({
  ...DEFAULT_ENGINE_CONFIG,
  channels: {
    taskRequest: c.actors.task_request_channel_size,
    resultProcessor: c.actors.result_processor_channel_size,
    stepEnqueuer: c.actors.step_enqueuer_channel_size,
    taskFinalizer: c.actors.task_finalizer_channel_size,
  },
  turn: { maxRows: c.turn.max_rows, maxMs: c.turn.max_ms },
  cache: { maxSteps: c.cache.max_steps, payloadBytes: c.cache.payload_bytes },
  limits: {
    contextBytes: c.limits.context_bytes,
    contextDepth: c.limits.context_depth,
    contextItems: c.limits.context_items,
    contextString: c.limits.context_string,
    valueBytes: c.limits.value_bytes,
    treeElements: c.limits.tree_elements,
    treeBytes: c.limits.tree_bytes,
  },
  retention: {
    enabled: c.retention.enabled,
    maxAgeMs: c.retention.max_age_days === 0 ? Number.MAX_SAFE_INTEGER : c.retention.max_age_days * DAY_MS,
    maxCount: c.retention.max_count === 0 ? Number.MAX_SAFE_INTEGER : c.retention.max_count,
    intervalMs: c.retention.interval_seconds * 1000,
  },
  plans: {
    enabled: c.plans.enabled,
    pollMs: c.plans.poll_interval_seconds * 1000,
    orphanMs: c.plans.orphan_cleanup_interval_seconds * 1000,
    retentionMs: c.plans.retention_days === 0 ? Number.MAX_SAFE_INTEGER : c.plans.retention_days * DAY_MS,
    retentionCount: c.plans.retention_max_count === 0 ? Number.MAX_SAFE_INTEGER : c.plans.retention_max_count,
    maxDiskPercent: c.plans.max_disk_percent,
    maxMemoryPercent: c.plans.max_memory_percent,
    maxInboxSaturation: c.plans.max_inbox_saturation,
  },
  graceMs: c.worker.grace_seconds * 1000,
});

/** The folder that belongs to the store where neither is named must not become that of another store. */
const ownFolder = (store: string, folder: string): boolean =>
  store !== ':memory:' && (folder !== SCHEMA.tables.folder.default || store === SCHEMA.store.path.default);

const tablesConfigFrom = ({ store, tables: t, web }: TuttiConfig): TablesConfig => ({
  ...tablesConfigOf(
    { memory: t.duckdb_memory, threads: t.duckdb_threads, ...(ownFolder(store.path, t.folder) ? { folder: t.folder } : {}) },
    store.path,
    join(tmpdir(), `tutti-tables-${randomUUID()}`),
  ),
  ...folderRoots({ web, tables: t }),
});

/** What src/main.ts exports under this name. */
export const serve = async (config: TuttiConfig, o: ServeOptions = {}): Promise<Served> => {
  // Before the store is touched: a server that must not start must not go on with tasks either.
  if (config.web.enabled) checkExposure(config.web);
  const log = pino({ level: config.log.level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, o.logTo ?? process.stderr);
  const logger: Logger = (level, message, details) => log[level](details ?? {}, message);
  if (config.grpc.enabled) logger('warn', `gRPC is not there yet: [orchestration.grpc] enabled is noted, and nothing listens on port ${config.grpc.port}`);
  const tutti = await compose(
    {
      store: config.store.path,
      templates: o.templates,
      handlers: o.handlers,
      taskTypes: o.taskTypes,
      resourceKinds: o.resourceKinds,
      slots: config.worker.slots,
      dev: o.dev,
      logger,
    },
    engineConfigFrom(config),
    tablesConfigFrom(config),
    config.schedules,
  );
  try {
    const { host, port, api_keys: apiKeys } = config.web;
    const server = config.web.enabled
      ? await startHttpServer({
          engine: tutti.engine,
          tables: tutti.hasTables ? tutti.tables : null,
          host,
          port,
          apiKeys,
          logger: log,
          now: () => Date.now(),
          timer: realTimer,
          maxBodyBytes: config.limits.body_bytes,
        })
      : null;
    return {
      tutti,
      url: server?.url ?? null,
      stop: async () => {
        // The engine first: it refuses new work at once, and event streams still tell how the running handlers end.
        await tutti.close({ drain: config.shutdown.drain_seconds * 1000 });
        await server?.close();
      },
    };
  } catch (e) {
    await tutti.close({ drain: 0 });
    throw e;
  }
};
