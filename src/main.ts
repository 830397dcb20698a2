/**
 * The public entry of the package, and the composition root: the one place that knows the engine, its drivers, and the real clock,
 * timers and randomness (I12). Beside src/config.ts nothing else reads the environment.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setImmediate as nextRound } from 'node:timers/promises';
import { checkExposure, type TuttiConfig } from './config.ts';
import { SCHEMA } from './config/schema.ts';
import { TuttiError } from './core/errors.ts';
import type { ScheduleRequest } from './core/schedule.ts';
import { CronExpressions } from './cron/cron-expressions.ts';
import { Engine } from './engine/engine.ts';
import type { TemplateRegistration } from './engine/facade.ts';
import { DEFAULT_ENGINE_CONFIG, type EngineConfig, type Host } from './engine/host.ts';
import { builtInHandlers } from './handlers/built-in-handlers.ts';
import { type Duration, parseDuration } from './sdk/duration.ts';
import { type HandlerCode, type HandlerDefinition, HandlerRegistry } from './sdk/handler-registry.ts';
import { HookRegistry } from './sdk/hooks.ts';
import { type ScheduleOptions, scheduleRequestOf } from './sdk/schedules.ts';
import { LocalGeneratorHost } from './sdk/plans/local-generator-host.ts';
import { type PlanOptions, planSettings } from './sdk/plans/plan-options.ts';
import { type ResourceKindOptions, resourceKindOf, resourceKindsOf } from './sdk/plans/resource-kind.ts';
import type { AnyTaskType } from './sdk/plans/task-type.ts';
import { TaskHandle as Task } from './sdk/task-handle.ts';
import type { AnyTemplate } from './sdk/template.ts';
import { handlersOf, isTemplate, registrationOf, Tutti as Handle, type TuttiParts } from './sdk/tutti.ts';
import { refuseUnknownOptions } from './sdk/unknown-options.ts';
import { LocalWorker } from './sdk/worker/local-worker.ts';
import { SqliteStore } from './store/sqlite/store.ts';
import { openTables, type OpenTables, type TablesConfig, type TablesEngine } from './tables/open-tables.ts';
import { type TableOptions, tablesConfigOf } from './tables/table-options.ts';
import { TABLE_KIND, type Tables } from './tables/tables.ts';

export type { TreeElement } from './core/tree-element.ts';
export type { Backoff, FailurePolicy, Json, JsonObject, TemplateDefinition } from './core/definition.ts';
export { ERRORS, type ErrorCode, isTuttiError, type StepError, TuttiError } from './core/errors.ts';
export type { EngineFacade, EngineHealth, EngineMetrics, InputValidator, TemplateRegistration, ValidationResult } from './engine/facade.ts';
export type { Plans, PlanView } from './engine/plan-views.ts';
export type { Caller, Resource, ResourceAction, ResourceChanges, ResourceItem, ResourceKind, Resources } from './engine/resource-port.ts';
export type {
  AuditView,
  EventFilter,
  EventPage,
  EventType,
  ExplainView,
  Gate,
  GlobalEvent,
  ListRequest,
  ListResult,
  StepStateName,
  StepView,
  SubmitRequest,
  TaskEvent,
  TaskOutcome,
  TaskStateName,
  TaskView,
  TemplateView,
} from './engine/views.ts';
export { type BatchContext, batches, type Batches, type Cursor, cursorsFor, none, noBatches, type NoBatches, type Route, route, to } from './sdk/branches.ts';
export type { Duration } from './sdk/duration.ts';
export { PermanentError, RetryableError } from './sdk/handler-errors.ts';
export type { AbortContext, AbortFunction, ChildResult, FinalizeContext, FinalizeFunction, HandlerMeta, HandlerSchema, StepHooks } from './sdk/handler-meta.ts';
export { handler, type HandlerCode, type HandlerDefinition } from './sdk/handler-registry.ts';
export type { Hooks, StepOutcome } from './sdk/hooks.ts';
export { PlanHandle } from './sdk/plans/plan-handle.ts';
export { defineResourceKind, type ResourceKindDefinition, type ResourceKindOptions } from './sdk/plans/resource-kind.ts';
export type { RunOptions, RunSettings, TaskPlans } from './sdk/plans/task-plans.ts';
export {
  type AnyTaskType,
  type BatchOutcome,
  defineTaskType,
  type EndAnswer,
  type FinishAnswer,
  type ItemChanges,
  type NextAnswer,
  type PlanContext,
  type StartAnswer,
  type Subtask,
  type SubtaskContext,
  type SubtaskOutcome,
  type TaskTypeDefinition,
} from './sdk/plans/task-type.ts';
export type { ScheduleOptions } from './sdk/schedules.ts';
export type { TableOptions } from './tables/table-options.ts';
export type { NewTable, QueryResult, SegmentPage, SegmentView, TableColumn, TableDetails, Tables, TableSchema, TableType, TableView } from './tables/tables.ts';
export type { ScheduleRequest } from './core/schedule.ts';
export type { ScheduleFacade, ScheduleView, TickView } from './engine/schedule-views.ts';
export type { BatchOptions, RetryOptions, StepOptions } from './sdk/step-options.ts';
export type {
  ChildRef,
  NotTaken,
  ProgressAmount,
  Settled,
  SpawnItem,
  SpawnOptions,
  StepContext,
  StepFunction,
  UntypedStepContext,
  YieldedCheckpoint,
  YieldPoint,
} from './sdk/step-types.ts';
export type { PlanOptions } from './sdk/plans/plan-options.ts';
export { TaskError } from './sdk/task-error.ts';
export { TaskHandle } from './sdk/task-handle.ts';
export { type AnyTemplate, type Submittable, template, type Template, type TemplateOptions, type UntypedTemplate } from './sdk/template.ts';
export { type LoadedTemplate, loadTemplateFile } from './sdk/template-file.ts';
export type { SubmitOptions } from './sdk/tutti.ts';

/** Takes one line for a person and its details. Never called per step. */
export type Logger = (level: 'debug' | 'info' | 'warn' | 'error', message: string, details?: Record<string, unknown>) => void;

export interface OpenOptions {
  /** File of the store, made with its folder where missing; `:memory:` keeps nothing. One process at a time owns it (STORE_LOCKED). */
  store: string;
  templates?: Iterable<AnyTemplate | TemplateRegistration>;
  /** Code by name, for steps that name their handler: what `handler(…)` gives, or an object of functions and of objects with methods. */
  handlers?: Iterable<HandlerDefinition> | Readonly<Record<string, HandlerCode>>;
  /** What `defineTaskType` gives: generators of task plans, and the code of their subtasks. */
  taskTypes?: Iterable<AnyTaskType>;
  /** What plans work on: what `defineResourceKind` gives. */
  resourceKinds?: Iterable<ResourceKindOptions>;
  /** Handlers run at once. Default 50; 0: this process runs none. */
  slots?: number;
  /** Another graph under a known version becomes a revision instead of a TEMPLATE_CONFLICT. Default false. */
  dev?: boolean;
  /** Bytes and depths. Default: 1 MiB per value and input, 10 deep, 1,000 members, strings of 10,000 characters. */
  limits?: Partial<EngineConfig['limits']>;
  /** Removal of finished tasks. Default: after 30 days, and beyond the newest 1,000,000. False: never. */
  retention?: false | { maxAge?: Duration; maxCount?: number };
  /** How long a handler that was told to stop keeps its slot. Default 30 s. */
  grace?: Duration;
  /** Task plans: kill switch, times, retention, and what holds back their batches. */
  plans?: PlanOptions;
  /**
   * Tables of Parquet files, which DuckDB (npm i @duckdb/node-api) reads and writes. Default: in a folder beside the store's file, `orders.db` →
   * `orders.tables`; with `:memory:` a temporary one. False: none, and no task types for them.
   */
  tables?: false | TableOptions;
  /** What fires templates by the clock. Those declared before and not among these are removed; absent: they stay. */
  schedules?: Iterable<ScheduleOptions>;
  /** Default: warnings and errors, one line each on stderr. */
  logger?: Logger;
}

/** All there are, and the compiler sees to it. */
const OPEN_OPTIONS: Record<keyof OpenOptions, true> = {
  store: true,
  templates: true,
  handlers: true,
  taskTypes: true,
  resourceKinds: true,
  slots: true,
  dev: true,
  limits: true,
  retention: true,
  grace: true,
  plans: true,
  tables: true,
  schedules: true,
  logger: true,
};
const RETENTION_OPTIONS: Record<keyof Exclude<NonNullable<OpenOptions['retention']>, false>, true> = { maxAge: true, maxCount: true };

const checkOpenOptions = (o: OpenOptions): void => {
  refuseUnknownOptions('Tutti.open', o, Object.keys(OPEN_OPTIONS));
  if (o.limits !== undefined) refuseUnknownOptions('Tutti.open', o.limits, Object.keys(DEFAULT_ENGINE_CONFIG.limits), 'limits');
  if (o.retention !== undefined && o.retention !== false) refuseUnknownOptions('Tutti.open', o.retention, Object.keys(RETENTION_OPTIONS), 'retention');
};

/** The embedded engine: `await Tutti.open({ store: 'orders.db', templates: [order] })`. */
export class Tutti extends Handle {
  readonly #store: SqliteStore;
  readonly #release: () => void;
  readonly #tables: OpenTables | null;
  /** Tasks that an earlier process left unfinished and this one goes on with. */
  readonly resumed: number;

  /** Use `Tutti.open`. */
  constructor(parts: TuttiParts & { store: SqliteStore; tables: OpenTables | null; release: () => void; resumed: number }) {
    super(parts);
    this.#tables = parts.tables;
    this.#store = parts.store;
    this.#release = parts.release;
    this.resumed = parts.resumed;
  }

  /**
   * Opens the store, goes on with what an earlier process left unfinished, and runs handlers in this process until `close()`, which
   * also lets the process end. Throws STORE_LOCKED, STORE_UNUSABLE, INVALID_TEMPLATE, TEMPLATE_CONFLICT, and INVALID_INPUT, also for an
   * option that there is not; then nothing stays open.
   */
  static async open(options: OpenOptions): Promise<Tutti> {
    checkOpenOptions(options);
    const temporary = join(tmpdir(), `tutti-tables-${randomUUID()}`);
    return compose(options, engineConfigOf(options), tablesConfigOf(options.tables, options.store, temporary));
  }

  get hasTables(): boolean {
    return this.#tables !== null;
  }

  /** Throws ILLEGAL_STATE where this process has none (`tables: false`, or a resource kind `table` of the user's own). */
  get tables(): Tables {
    if (this.#tables === null) throw new TuttiError('ILLEGAL_STATE', 'this process was opened without tables');
    return this.#tables.service;
  }

  /** A line about the store, and how often it was flushed to disk since it was opened. */
  storeFacts(): { description: string; flushes: number } {
    return { description: this.#store.description, flushes: this.#store.flushes };
  }

  override async close(o: { drain?: Duration } = {}): Promise<void> {
    try {
      // Before the engine, which is what they write to.
      await this.#tables?.service.close();
      await super.close(o);
      await this.#tables?.close();
    } finally {
      this.#release();
    }
  }
}

const toStderr: Logger = (level, message, details) => {
  if (level !== 'warn' && level !== 'error') return;
  process.stderr.write(`tutti ${level}: ${message}${details === undefined ? '' : ` ${JSON.stringify(details)}`}\n`);
};

/** Longest delay that Node keeps; above it a timer would fire at once. Whoever waits longer is woken early and arms it again. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const realTimer: Host['timer'] = (ms, fn) => {
  const timer = setTimeout(fn, Math.max(0, Math.min(ms, LONGEST_TIMER_MS)));
  timer.unref();
  return () => clearTimeout(timer);
};

/** How full disk and memory are; what cannot be read is null. A container's limit counts as its memory. */
const pressureOf = async (folder: string): Promise<{ diskPercent: number | null; memoryPercent: number | null }> => {
  const disk = await statfs(folder).catch(() => null);
  // As df counts: what only root may take is not free.
  const used = disk === null ? 0 : disk.blocks - disk.bfree;
  const all = disk === null ? 0 : used + disk.bavail;
  const limit = process.constrainedMemory();
  const memory = limit > 0 && limit < totalmem() ? limit : totalmem();
  return { diskPercent: all > 0 ? (100 * used) / all : null, memoryPercent: memory > 0 ? 100 * (1 - process.availableMemory() / memory) : null };
};

const realHost = (log: Logger, folder: string): Host => ({
  now: () => Date.now(),
  ticks: () => performance.now(),
  soon: (fn) => void setImmediate(fn),
  timer: realTimer,
  pressure: () => pressureOf(folder),
  random: () => Math.random(),
  uuid: () => randomUUID(),
  log,
});

const milliseconds = (name: string, value: Duration | undefined, otherwise: number): number => {
  if (value === undefined) return otherwise;
  const ms = parseDuration(value);
  if (ms === null) throw new TuttiError('INVALID_INPUT', `${name} must be milliseconds or text such as "30s", not ${JSON.stringify(value)}`, { field: name });
  return ms;
};

const engineConfigOf = (o: OpenOptions): EngineConfig => {
  const d = DEFAULT_ENGINE_CONFIG;
  const retention =
    o.retention === false
      ? { ...d.retention, enabled: false }
      : {
          ...d.retention,
          maxAgeMs: milliseconds('retention.maxAge', o.retention?.maxAge, d.retention.maxAgeMs),
          maxCount: o.retention?.maxCount ?? d.retention.maxCount,
        };
  return { ...d, limits: { ...d.limits, ...o.limits }, retention, plans: planSettings(o.plans, d.plans), graceMs: milliseconds('grace', o.grace, d.graceMs) };
};

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

const tablesConfigFrom = ({ store, tables: t }: TuttiConfig): TablesConfig => ({
  ...tablesConfigOf(
    { memory: t.duckdb_memory, threads: t.duckdb_threads, ...(ownFolder(store.path, t.folder) ? { folder: t.folder } : {}) },
    store.path,
    join(tmpdir(), `tutti-tables-${randomUUID()}`),
  ),
  inputRoots: t.input_roots.length === 0 ? null : t.input_roots,
  outputRoots: t.output_roots.length === 0 ? null : t.output_roots,
});

const handlerList = (given: NonNullable<OpenOptions['handlers']>): Iterable<HandlerDefinition> =>
  Symbol.iterator in given ? given : Object.entries(given).map(([name, code]) => ({ name, code, meta: {} }));

const tablesEngine = (engine: Engine | undefined): TablesEngine => {
  if (engine === undefined) throw new TuttiError('INTERNAL', 'tables were used before there was an engine');
  const { resources, plans, schedules } = engine;
  return {
    resources,
    plans,
    schedules: {
      put: (r) => schedules.putOwned(r),
      remove: (prefix) => schedules.removeOwned(prefix),
      list: () => schedules.metrics().owned ?? [],
    },
  };
};

const cronCheck =
  (cron: CronExpressions, { now }: Host) =>
  (text: string, zone: string) => {
    const trigger = { kind: 'cron', cron: text, dialect: 'quartz', zone } as const;
    const problem = cron.problem(trigger);
    if (problem !== null || cron.occurrences(trigger).next(now()) !== null) return problem;
    return { field: 'cron' as const, message: `${JSON.stringify(text)} never falls` };
  };

const compose = async (o: OpenOptions, config: EngineConfig, tableOptions: TablesConfig | null, declared?: readonly ScheduleRequest[]): Promise<Tutti> => {
  if (typeof o.store !== 'string' || o.store === '') throw new TuttiError('INVALID_INPUT', "store must name a file, or be ':memory:'", { field: 'store' });
  const slots = o.slots ?? 50;
  if (!Number.isInteger(slots) || slots < 0 || slots > 10_000)
    throw new TuttiError('INVALID_INPUT', `slots must be a whole number from 0 to 10000, not ${slots}`, { field: 'slots' });
  const templates = [...(o.templates ?? [])];
  // Mistakes in templates and handlers come before the store is touched.
  const registrations = templates.map(registrationOf);
  const schedules = o.schedules === undefined ? declared : [...o.schedules].map(scheduleRequestOf);
  const host = realHost(o.logger ?? toStderr, o.store === ':memory:' ? process.cwd() : dirname(resolve(o.store)));
  const registry = new HandlerRegistry();
  // First, so that a user's registration of the same name wins.
  registry.registerAll(builtInHandlers(host.now));
  for (const t of templates) if (isTemplate(t)) registry.registerAll(handlersOf(t));
  if (o.handlers !== undefined) registry.registerAll(handlerList(o.handlers));
  const generators = new LocalGeneratorHost({
    registerHandlers: (handlers) => registry.registerAll(handlers),
    timer: host.timer,
    limits: { valueBytes: config.limits.valueBytes },
    pause: () => nextRound(),
    onFailure: (call, e) => host.log('warn', `${call} failed`, { error: e instanceof Error ? (e.stack ?? e.message) : String(e) }),
  });
  generators.register(o.taskTypes ?? []);
  const kinds = resourceKindsOf(o.resourceKinds ?? []);
  const cron = new CronExpressions();
  let open: Engine | undefined;
  // A user's own kind of the name, or task type, goes before those that come with Tutti.
  const tables =
    tableOptions === null || kinds.some((k) => k.name === TABLE_KIND) ? null : openTables(tableOptions, () => tablesEngine(open), host, cronCheck(cron, host));
  if (tables !== null)
    generators.register(tables.taskTypes.filter((type) => [type.name, ...(type.aliases ?? [])].every((name) => generators.taskType(name) === null)));

  const store = openStore(o.store, host);
  try {
    const engine = await Engine.open({ store, host, config, cron });
    open = engine;
    if (tables !== null) engine.addResourceKind(tables.service.kind);
    for (const r of registrations) await engine.register(r, { dev: o.dev === true });
    if (schedules !== undefined) await engine.schedules.declare(schedules);
    const hooks = new HookRegistry({
      taskOf: (id) => new Task(engine, id),
      onError: (hook, e) => host.log('warn', `the hook ${hook} threw`, { error: e instanceof Error ? (e.stack ?? e.message) : String(e) }),
    });
    // Without slots it still says which handlers exist: submissions are checked against them.
    const worker = new LocalWorker({
      port: engine.workers,
      registry,
      hooks,
      slots,
      now: host.now,
      maxResultBytes: config.limits.valueBytes,
      pause: () => nextRound(),
      onFault: (e) => host.log('error', 'the local worker met what should not happen', { error: String(e) }),
    });
    for (const kind of kinds) engine.addResourceKind(resourceKindOf(kind, () => engine.resources));
    generators.connect(engine.planWorkers);
    await tables?.service.start();
    engine.scheduling.start();
    // Timers of the engine never hold the process; an engine that is open does, or a task waiting for its retry would be left behind.
    const alive = setInterval(() => {}, LONGEST_TIMER_MS);
    return new Tutti({ engine, registry, hooks, worker, generators, store, tables, resumed: engine.resumed, release: () => clearInterval(alive) });
  } catch (e) {
    await nextRound();
    await store.close();
    throw e;
  }
};

const openStore = (path: string, host: Host): SqliteStore => {
  if (path !== ':memory:') {
    try {
      mkdirSync(dirname(resolve(path)), { recursive: true });
    } catch (e) {
      throw new TuttiError('STORE_UNUSABLE', `the folder of the store file ${path} cannot be made: ${(e as Error).message}`, { field: 'store', cause: e });
    }
  }
  return SqliteStore.open({ path, now: host.now, tag: randomInt(2 ** 38) });
};

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

/**
 * The engine with its HTTP server, as configured (loadConfig of src/config.ts). Throws what `Tutti.open` throws, and INVALID_CONFIG
 * for an address that cannot or must not be listened on; then nothing stays open.
 */
export const serve = async (config: TuttiConfig, o: ServeOptions = {}): Promise<Served> => {
  // Before the store is touched: a server that must not start must not go on with tasks either.
  if (config.web.enabled) checkExposure(config.web);
  // Only servers log with pino and speak HTTP: an embedded engine starts without loading either.
  const [{ pino }, { startHttpServer }] = await Promise.all([import('pino'), import('./server/http/server.ts')]);
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
