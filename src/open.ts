/** The embedded engine, and the composition root: puts the engine, its driver and what it is given of the real world together. */
import { randomInt, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setImmediate as nextRound } from 'node:timers/promises';
import { TuttiError } from './core/errors.ts';
import type { ScheduleRequest } from './core/schedule.ts';
import { showValue } from './core/show-value.ts';
import { CronExpressions } from './cron/cron-expressions.ts';
import { Engine } from './engine/engine.ts';
import type { TemplateRegistration } from './engine/facade.ts';
import { DEFAULT_ENGINE_CONFIG, type EngineConfig, type Host } from './engine/host.ts';
import { builtInHandlers } from './handlers/built-in-handlers.ts';
import { LONGEST_TIMER_MS, type Logger, realHost, toStderr } from './real-host.ts';
import { type Duration, parseDuration } from './sdk/duration.ts';
import { type HandlerCode, type HandlerDefinition, HandlerRegistry } from './sdk/handler-registry.ts';
import { HookRegistry } from './sdk/hooks.ts';
import { LocalGeneratorHost } from './sdk/plans/local-generator-host.ts';
import { type PlanOptions, planSettings } from './sdk/plans/plan-options.ts';
import { isOnlyPermissions, type ResourceKindOptions, resourceKindOf, resourceKindsOf } from './sdk/plans/resource-kind.ts';
import type { AnyTaskType } from './sdk/plans/task-type.ts';
import { type ScheduleOptions, scheduleRequestOf } from './sdk/schedules.ts';
import { TaskHandle as Task } from './sdk/task-handle.ts';
import type { AnyTemplate } from './sdk/template.ts';
import { handlersOf, isTemplate, registrationOf, Tutti as Handle, type TuttiParts } from './sdk/tutti.ts';
import { refuseUnknownOptions } from './sdk/unknown-options.ts';
import { LocalWorker } from './sdk/worker/local-worker.ts';
import { SqliteStore } from './store/sqlite/store.ts';
import type { OpenTables, TablesConfig, TablesEngine } from './tables/open-tables.ts';
import { type TableOptions, tablesConfigOf } from './tables/table-options.ts';
import { TABLE_KIND, type Tables } from './tables/tables.ts';

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
  for (const field of ['templates', 'taskTypes', 'resourceKinds', 'schedules'] as const) {
    const given: unknown = o[field];
    if (given !== undefined && typeof (given as Iterable<unknown> | null)?.[Symbol.iterator] !== 'function')
      throw new TuttiError('INVALID_INPUT', `Tutti.open: ${field} must be a list, not ${showValue(given)}`, { field });
  }
  if (o.handlers !== undefined && (typeof o.handlers !== 'object' || o.handlers === null))
    throw new TuttiError('INVALID_INPUT', `Tutti.open: handlers must be a list, or functions by name, not ${showValue(o.handlers)}`, { field: 'handlers' });
  if (o.limits !== undefined) {
    refuseUnknownOptions('Tutti.open', o.limits, Object.keys(DEFAULT_ENGINE_CONFIG.limits), 'limits');
    for (const [name, value] of Object.entries(o.limits)) checkWhole(`limits.${name}`, value, 1);
  }
  if (o.retention !== undefined && o.retention !== false) refuseUnknownOptions('Tutti.open', o.retention, Object.keys(RETENTION_OPTIONS), 'retention');
  if (o.retention) checkWhole('retention.maxCount', o.retention.maxCount, 0);
};

const checkWhole = (field: string, value: unknown, least: number): void => {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= least)) return;
  throw new TuttiError('INVALID_INPUT', `Tutti.open: ${field} must be a whole number, ${least} or more, not ${showValue(value)}`, { field });
};

/** The embedded engine: `await Tutti.open({ store: 'orders.db', templates: [order] })`. */
export class Tutti extends Handle {
  readonly #engine: Engine;
  readonly #store: SqliteStore;
  readonly #release: () => void;
  readonly #tables: OpenTables | null;
  /** Tasks that an earlier process left unfinished and this one goes on with. */
  readonly resumed: number;

  /** Use `Tutti.open`. */
  constructor(parts: TuttiParts & { engine: Engine; store: SqliteStore; tables: OpenTables | null; release: () => void; resumed: number }) {
    super(parts);
    this.#engine = parts.engine;
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

  /** Throws ILLEGAL_STATE where this process has none (`tables: false`, or a resource kind `table` of the user's own that has more than `authorise`). */
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
      // From this call on nobody is told that something was taken.
      this.#engine.refuseNew();
      // Before the engine, which is what they write to.
      await this.#tables?.service.close();
      await super.close(o);
      await this.#tables?.close();
    } finally {
      this.#release();
    }
  }
}

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

export const compose = async (
  o: OpenOptions,
  config: EngineConfig,
  tableOptions: TablesConfig | null,
  declared?: readonly ScheduleRequest[],
): Promise<Tutti> => {
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
  // A user's own kind of the name, or task type, goes before those that come with Tutti; one that has permissions and nothing else gives them.
  const own = kinds.find((k) => k.name === TABLE_KIND);
  const permissions = own !== undefined && isOnlyPermissions(own) ? own : undefined;
  let tables: OpenTables | null = null;
  if (tableOptions !== null && own === permissions) {
    if (permissions !== undefined && tableOptions.authorise !== undefined)
      throw new TuttiError('INVALID_INPUT', 'tables.authorise: the resource kind table says who may already', { field: 'tables.authorise' });
    // Whoever wants none does not load what they are made of.
    const { openTables } = await import('./tables/open-tables.ts');
    const authorise = permissions?.authorise ?? tableOptions.authorise;
    tables = openTables({ ...tableOptions, ...(authorise === undefined ? {} : { authorise }) }, () => tablesEngine(open), host, cronCheck(cron, host));
  } else if (tableOptions !== null) host.log('warn', 'there are no tables: a resource kind of the name table is in their place', {});
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
    for (const kind of kinds) if (tables === null || kind !== permissions) engine.addResourceKind(resourceKindOf(kind, () => engine.resources));
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

/** With the folders above it. Not `recursive: true`, which never comes back where the system says that there is none and lets none be made (/proc). */
const makeFolder = (folder: string): void => {
  if (existsSync(folder)) return;
  const above = dirname(folder);
  if (above !== folder) makeFolder(above);
  try {
    mkdirSync(folder);
  } catch (e) {
    // Another made it meanwhile.
    if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e;
  }
};

const openStore = (path: string, host: Host): SqliteStore => {
  if (path !== ':memory:') {
    try {
      makeFolder(dirname(resolve(path)));
    } catch (e) {
      throw new TuttiError('STORE_UNUSABLE', `the folder of the store file ${path} cannot be made: ${(e as Error).message}`, { field: 'store', cause: e });
    }
  }
  return SqliteStore.open({ path, now: host.now, tag: randomInt(2 ** 38) });
};
