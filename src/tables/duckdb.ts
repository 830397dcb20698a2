/**
 * DuckDB as tables use it: one instance in memory, opened on first use, that reads and writes files; sessions on it that can be cancelled;
 * and sandboxes, instances of their own that see only the files they are given.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { DuckDBConnection, DuckDBInstance, DuckDBPreparedStatement } from '@duckdb/node-api';
import type { Json } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import { jsonConverter } from './duck-json.ts';
import { type DuckModule, loadDuck } from './duck-module.ts';
import { Gate } from './gate.ts';
import { quoteTexts } from './sql-text.ts';

export interface DuckOptions {
  /** Data that does not fit into memory is spilled below it. Emptied when DuckDB is opened and closed. */
  tempFolder: string;
  /** `1GB`: what the shared instance may take. Each sandbox, and the instance for small files, has a quarter of it besides. */
  memory: string;
  /** 0: as many as there are cores. */
  threads: number;
  /** Runs `fn` after `ms`; returns its cancel. */
  timer(ms: number, fn: () => void): () => void;
  /** Sessions that may wait for their turn. Default 20,000. */
  mostWaiting?: number;
  load?: () => Promise<DuckModule>;
}

export type DuckParam = null | boolean | number | bigint | string;
export type DuckRow = Record<string, Json>;

export interface DuckColumn {
  name: string;
  /** As DuckDB writes it: `BIGINT`, `DECIMAL(18,3)`. */
  type: string;
}

export interface DuckResult {
  columns: DuckColumn[];
  rows: Json[][];
  /** There is more than was asked for. */
  truncated: boolean;
}

export interface SandboxOptions {
  /** Files it may read and write. */
  files?: readonly string[];
  /** Folders below which it may read and write. */
  folders?: readonly string[];
}

/** DuckDB works on the four threads that Node keeps for files as well: one of them stays free, so that long work cannot hold up an fsync. */
const SESSIONS_AT_ONCE = 3;
/**
 * Sessions that may wait for their turn; the next is refused with BACKPRESSURE. Subtasks (as many as there are slots, 10,000 at most) and
 * seals (one of each table) stay below it; checks of settings are asked for from outside, and could be any number.
 */
const SESSIONS_WAITING = 20_000;
/** An interrupt that meets a statement before it has begun is lost, so it is said again until the statement is over. */
const INTERRUPT_AGAIN_MS = 20;

/** One connection. What it runs is interrupted when its signal is aborted, and then throws the signal's reason. */
export class DuckSession {
  readonly #connection: DuckDBConnection;
  readonly #duck: DuckModule;
  readonly #timer: DuckOptions['timer'];
  readonly #signal: AbortSignal | undefined;

  constructor(connection: DuckDBConnection, duck: DuckModule, timer: DuckOptions['timer'], signal: AbortSignal | undefined) {
    this.#connection = connection;
    this.#duck = duck;
    this.#timer = timer;
    this.#signal = signal;
  }

  /** Runs one statement, or several when there are no parameters. Returns the number of rows that the last one changed or wrote. */
  async run(sql: string, params: readonly DuckParam[] = []): Promise<number> {
    return this.#guarded(async () => {
      const result = await this.#connection.run(sql, params.length === 0 ? undefined : [...params]);
      return result.rowsChanged;
    });
  }

  /** Rows as objects. Fit for thousands of them, not for millions. */
  async rows(sql: string, params: readonly DuckParam[] = [], o: { limit?: number } = {}): Promise<DuckRow[]> {
    const { columns, rows } = await this.query(sql, params, o);
    return rows.map((row) => Object.fromEntries(columns.map((c, i) => [c.name, row[i]])));
  }

  async query(sql: string, params: readonly DuckParam[] = [], o: { limit?: number; maxBytes?: number } = {}): Promise<DuckResult> {
    return this.#guarded(async () => {
      const prepared = await this.#connection.prepare(sql);
      try {
        return await this.read(prepared, params, o);
      } finally {
        prepared.destroySync();
      }
    });
  }

  /** Columns of what stands behind FROM, such as `read_parquet('x.parquet')`. */
  async describe(source: string): Promise<DuckColumn[]> {
    const rows = await this.rows(`DESCRIBE SELECT * FROM ${source}`);
    return rows.map((r) => ({ name: r.column_name as string, type: r.column_type as string }));
  }

  /** The one statement of a text, prepared: whoever takes texts from outside looks at its type first. */
  async only<T>(sql: string, use: (prepared: DuckDBPreparedStatement, duck: DuckModule) => Promise<T>): Promise<T> {
    return this.#guarded(async () => {
      const statements = await this.#connection.extractStatements(sql);
      if (statements.count !== 1)
        throw new Error(statements.count === 0 ? 'There is no statement.' : `There are ${statements.count} statements; one is taken.`);
      const prepared = await statements.prepare(0);
      try {
        return await use(prepared, this.#duck);
      } finally {
        prepared.destroySync();
      }
    });
  }

  async read(
    prepared: DuckDBPreparedStatement,
    params: readonly DuckParam[],
    { limit = Infinity, maxBytes = Infinity }: { limit?: number; maxBytes?: number },
  ): Promise<DuckResult> {
    if (params.length > 0) prepared.bind([...params]);
    const result = await prepared.stream();
    const types = result.columnTypes();
    const toJson = jsonConverter(this.#duck);
    const columns = result.deduplicatedColumnNames().map((name, i) => ({ name, type: String(types[i]) }));
    const rows: Json[][] = [];
    let bytes = 0;
    for (;;) {
      this.#signal?.throwIfAborted();
      const chunk = await result.fetchChunk();
      if (chunk === null || chunk.rowCount === 0) return { columns, rows, truncated: false };
      for (let i = 0; i < chunk.rowCount; i++) {
        const row = chunk.getRowValues(i).map((v, c) => toJson(v, types[c]));
        if (maxBytes !== Infinity) bytes += JSON.stringify(row).length + 1;
        if (rows.length >= limit || bytes > maxBytes) return { columns, rows, truncated: true };
        rows.push(row);
      }
    }
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    const signal = this.#signal;
    if (signal === undefined) return work();
    signal.throwIfAborted();
    let cancel = (): void => {};
    const interrupt = (): void => {
      this.#connection.interrupt();
      cancel = this.#timer(INTERRUPT_AGAIN_MS, interrupt);
    };
    signal.addEventListener('abort', interrupt, { once: true });
    try {
      return await work();
    } catch (e) {
      // What DuckDB says of an interrupted statement says less than the reason for it.
      signal.throwIfAborted();
      throw e;
    } finally {
      signal.removeEventListener('abort', interrupt);
      cancel();
    }
  }
}

interface OpenDuck {
  duck: DuckModule;
  instance: DuckDBInstance;
  small: DuckDBInstance;
}

export class Duck {
  readonly #o: DuckOptions;
  readonly #gate: Gate;
  readonly #small: Gate;
  #opened: Promise<OpenDuck> | null = null;
  readonly #closing = new AbortController();
  #folders = 0;

  constructor(o: DuckOptions) {
    this.#o = o;
    this.#gate = new Gate(SESSIONS_AT_ONCE, o.mostWaiting ?? SESSIONS_WAITING);
    this.#small = new Gate(Math.min(SESSIONS_AT_ONCE, o.threads > 0 ? o.threads : availableParallelism()), o.mostWaiting ?? SESSIONS_WAITING);
  }

  /** Opens it now, so that what is missing is said before anything is taken on. */
  async ready(): Promise<void> {
    await this.#open();
  }

  async run(sql: string, params?: readonly DuckParam[], o: { signal?: AbortSignal } = {}): Promise<number> {
    return this.session((s) => s.run(sql, params), o);
  }

  async rows(sql: string, params?: readonly DuckParam[], o: { signal?: AbortSignal; limit?: number } = {}): Promise<DuckRow[]> {
    return this.session((s) => s.rows(sql, params, o), o);
  }

  async describe(source: string, o: { signal?: AbortSignal } = {}): Promise<DuckColumn[]> {
    return this.session((s) => s.describe(source), o);
  }

  /**
   * A connection of its own, so that temporary tables and transactions are. Sessions are few: never begin one inside another. `small`: on an
   * instance of one thread and a quarter of the memory, which takes a third less of the processor where many small files are read one by one.
   */
  async session<T>(work: (s: DuckSession) => Promise<T>, o: { signal?: AbortSignal; small?: boolean } = {}): Promise<T> {
    // More of one thread each than there are cores only take turns.
    if (o.small === true) return this.#small.pass(() => this.#session(work, o), o.signal);
    return this.#session(work, o);
  }

  #session<T>(work: (s: DuckSession) => Promise<T>, o: { signal?: AbortSignal; small?: boolean }): Promise<T> {
    return this.#passing(o.signal, async (signal) => {
      const { duck, instance, small } = await this.#open();
      return connected(o.small === true ? small : instance, (c) => work(new DuckSession(c, duck, this.#o.timer, signal)));
    });
  }

  /**
   * An instance of its own that reaches no file but those named, no network and no extension, and whose settings are locked. For texts
   * from outside. It can still be told to write to its files: look at the type of a statement first (`DuckSession.only`).
   */
  async sandbox<T>(
    access: SandboxOptions,
    work: (s: DuckSession) => Promise<T>,
    o: { signal?: AbortSignal; before?: (s: DuckSession) => Promise<void> } = {},
  ): Promise<T> {
    return this.#passing(o.signal, async (signal) => {
      const { duck } = await this.#open();
      const temp = path.join(this.#o.tempFolder, `sandbox-${++this.#folders}`);
      const instance = await duck.DuckDBInstance.create(':memory:', this.#settings(temp, this.#quarter));
      try {
        return await connected(instance, async (c) => {
          const s = new DuckSession(c, duck, this.#o.timer, signal);
          await s.run(`SET GLOBAL TimeZone = 'UTC'`);
          if (access.files !== undefined) await s.run(`SET GLOBAL allowed_paths = ${quoteTexts(access.files)}`);
          if (access.folders !== undefined) await s.run(`SET GLOBAL allowed_directories = ${quoteTexts(access.folders)}`);
          await s.run('SET GLOBAL enable_external_access = false');
          await o.before?.(s);
          await s.run('SET GLOBAL lock_configuration = true');
          return await work(s);
        });
      } finally {
        instance.closeSync();
        rmSync(temp, { recursive: true, force: true });
      }
    });
  }

  /** What runs is interrupted. */
  async close(): Promise<void> {
    this.#closing.abort(new TuttiError('SHUTTING_DOWN', 'DuckDB is closed.'));
    const opened = this.#opened;
    await this.#gate.empty();
    if (opened === null) return;
    // What could not be opened has been reported to whoever asked for it.
    const open = await opened.catch(() => null);
    open?.instance.closeSync();
    open?.small.closeSync();
    rmSync(this.#o.tempFolder, { recursive: true, force: true });
  }

  #passing<T>(given: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const signal = given === undefined ? this.#closing.signal : AbortSignal.any([given, this.#closing.signal]);
    return this.#gate.pass(() => work(signal), signal);
  }

  get #quarter(): number {
    return Math.max(memoryBytes(this.#o.memory) / 4, 64 * 2 ** 20);
  }

  #open(): Promise<OpenDuck> {
    if (this.#closing.signal.aborted) return Promise.reject(this.#closing.signal.reason as TuttiError);
    const opened = (this.#opened ??= this.#create());
    // A failed try is not the last: the package may be installed, the folder be made writable.
    opened.catch(() => {
      if (this.#opened === opened) this.#opened = null;
    });
    return opened;
  }

  async #create(): Promise<OpenDuck> {
    const duck = await loadDuck(this.#o.load);
    rmSync(this.#o.tempFolder, { recursive: true, force: true });
    mkdirSync(this.#o.tempFolder, { recursive: true });
    const instance = await duck.DuckDBInstance.create(':memory:', this.#settings(path.join(this.#o.tempFolder, 'shared'), memoryBytes(this.#o.memory)));
    const small = await duck.DuckDBInstance.create(':memory:', this.#settings(path.join(this.#o.tempFolder, 'small'), this.#quarter, 1));
    for (const i of [instance, small]) await connected(i, (c) => c.run(`SET GLOBAL TimeZone = 'UTC'`));
    return { duck, instance, small };
  }

  #settings(temp: string, memory: number, threads = this.#o.threads): Record<string, string> {
    return {
      memory_limit: `${Math.floor(memory / 2 ** 20)}MiB`,
      ...(threads > 0 ? { threads: String(threads) } : {}),
      temp_directory: temp,
      // Nothing is fetched from the network because a query names it.
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
      allow_persistent_secrets: 'false',
    };
  }
}

async function connected<T>(instance: DuckDBInstance, work: (c: DuckDBConnection) => Promise<T>): Promise<T> {
  const connection = await instance.connect();
  try {
    return await work(connection);
  } finally {
    connection.closeSync();
  }
}

const UNITS: Record<string, number> = { kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 };

/** `1.5GB` in bytes; NaN: it is no such text. */
export function memoryBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]i?b)$/i.exec(text.trim());
  return match === null ? Number.NaN : Number(match[1]) * UNITS[match[2].toLowerCase()];
}
