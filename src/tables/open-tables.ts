/** Puts the parts of tables together for one process. Nothing is made or loaded before the first table needs it. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { TuttiError } from '../core/errors.ts';
import type { Plans } from '../engine/plan-views.ts';
import type { ResourceKind, Resources } from '../engine/resource-port.ts';
import type { AnyTaskType } from '../sdk/plans/task-type.ts';
import { Duck, memoryBytes } from './duckdb.ts';
import { QueryProcesses } from './query-processes.ts';
import { Segments } from './segments.ts';
import type { ConfigChecks } from './table-config.ts';
import type { OwnedSchedules } from './table-schedules.ts';
import { TableService } from './table-service.ts';
import { builtInTaskTypes } from './types/built-in-task-types.ts';

export interface TablesConfig {
  folder: string;
  /** `1GB` */
  memory: string;
  /** 0: all cores. */
  threads: number;
  /** The folder goes with the process: its store keeps nothing. */
  temporary: boolean;
  /** Folders below which tasks may read and write the files that settings name; null: everywhere. */
  inputRoots: readonly string[] | null;
  outputRoots: readonly string[] | null;
  authorise?: ResourceKind['authorise'];
}

/** What there is once the engine is open. */
export interface TablesEngine {
  resources: Resources;
  plans: Pick<Plans, 'active' | 'taskType' | 'checkSettings'>;
  schedules: OwnedSchedules;
}

export interface TablesHost {
  now(): number;
  uuid(): string;
  timer(ms: number, fn: () => void): () => void;
  soon(fn: () => void): void;
  log(level: 'warn' | 'error', message: string, details: Record<string, unknown>): void;
}

export interface OpenTables {
  service: TableService;
  duck: Duck;
  segments: Segments;
  /** Those that come with Tutti. */
  taskTypes: AnyTaskType[];
  /** After the engine: what runs on DuckDB by then is interrupted. */
  close(): Promise<void>;
}

const absolute = (folders: readonly string[] | null): string[] | null => folders?.map((f) => path.resolve(f)) ?? null;

const LEAST_MEMORY = 64 * 2 ** 20;

/** `engine` is asked when it is needed: task types want the tables before there is an engine. Throws INVALID_CONFIG. */
export function openTables(config: TablesConfig, engine: () => TablesEngine, host: TablesHost, checkCron: ConfigChecks['checkCron']): OpenTables {
  const { memory, threads, authorise, inputRoots, outputRoots } = config;
  const wrong = (field: string, problem: string): TuttiError => new TuttiError('INVALID_CONFIG', `tables.${field} ${problem}`, { field: `tables.${field}` });
  if (!(memoryBytes(memory) >= LEAST_MEMORY)) throw wrong('memory', `must be a size such as 1GB, at least 64MiB, not ${JSON.stringify(memory)}`);
  if (!Number.isInteger(threads) || threads < 0 || threads > 1024) throw wrong('threads', `must be a whole number from 0 to 1024, not ${threads}`);
  if (typeof config.folder !== 'string' || config.folder === '') throw wrong('folder', 'must name a folder');
  const folder = path.resolve(config.folder);
  const tempFolder = path.join(folder, '_tmp');
  const { timer, soon } = host;
  const duck = new Duck({ tempFolder: path.join(tempFolder, 'duckdb'), memory, threads, timer });
  const queries = new QueryProcesses({ tempFolder: path.join(tempFolder, 'queries'), memory, threads, timer, soon });
  const late = {
    get resources() {
      return engine().resources;
    },
    get plans() {
      return engine().plans;
    },
    get schedules() {
      return engine().schedules;
    },
  };
  const segments = new Segments(Object.assign(Object.create(late) as typeof late, { folder, duck, now: host.now, uuid: host.uuid, soon }));
  const service = new TableService(Object.assign(Object.create(late) as typeof late, { ...host, checkCron, authorise, duck, segments, queries, tempFolder }));
  const context = Object.assign(Object.create(late) as typeof late, {
    duck,
    segments,
    now: host.now,
    inputRoots: absolute(inputRoots),
    outputRoots: absolute(outputRoots),
  });
  return {
    service,
    duck,
    segments,
    taskTypes: builtInTaskTypes(context),
    close: async () => {
      await service.close();
      await duck.close();
      if (config.temporary) await rm(folder, { recursive: true, force: true });
    },
  };
}
