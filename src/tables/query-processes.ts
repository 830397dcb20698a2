/**
 * Processes in which queries of callers run. SQL from outside can take any amount of memory in one value, can call functions of DuckDB that
 * nothing interrupts, and has ended the process before: so it is never run in the one that has the engine. One whose time is over is killed.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Json } from '../core/definition.ts';
import { type ErrorCode, TuttiError } from '../core/errors.ts';
import type { DuckColumn, DuckResult } from './duckdb.ts';
import { Gate } from './gate.ts';
import type { QueryJob } from './run-query.ts';

export interface QuerySetup {
  tempFolder: string;
  memory: string;
  threads: number;
}

/** Files of a source of the job that comes next. */
export interface QueryFiles {
  source: number;
  files: string[];
}

/** To such a process: many files, the job itself, and that the next rows of its answer may come. */
export type QueryMessage = QueryFiles | { job: QueryJob } | { more: true };
/** From it: rows, as often as there are more, and then the end. */
export type QueryAnswer =
  | { rows: Json[][] }
  | { ok: true; columns: DuckColumn[]; truncated: boolean }
  | { ok: false; code: ErrorCode; field?: string; message: string };

export interface QueryProcessesOptions extends QuerySetup {
  timer(ms: number, fn: () => void): () => void;
  /** Runs `fn` in the next turn of the event loop. */
  soon(fn: () => void): void;
  /** Of one query, from when it begins. Default 30 s. */
  timeMs?: number;
}

export const QUERY_MS = 30_000;
const AT_ONCE = 2;
/** Queries that may wait for their turn; the next is told to come again. */
const WAITING = 32;
/** Files named in one message. */
const FILES_AT_ONCE = 1000;
/** A process without work ends after this. */
const IDLE_MS = 60_000;
/** Megabytes of JavaScript's own memory in such a process: answers are limited to far less. */
const HEAP_MB = 512;

const ENTRY = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './query-process.ts' : './query-process.js', import.meta.url));

interface Member {
  child: ChildProcess;
  tempFolder: string;
  gone: Promise<void>;
  /** Called when it ends. */
  lost: () => void;
  cancelIdle: () => void;
}

export class QueryProcesses {
  readonly #o: QueryProcessesOptions;
  readonly #gate = new Gate(AT_ONCE, WAITING);
  readonly #idle: Member[] = [];
  readonly #all = new Set<Member>();
  readonly #closing = new AbortController();
  #count = 0;

  constructor(o: QueryProcessesOptions) {
    this.#o = o;
  }

  run(job: QueryJob, signal?: AbortSignal): Promise<DuckResult> {
    return this.turn((ask) => ask(job), signal);
  }

  /**
   * `work` runs when it is its turn, and may ask one query. That throws what the query threw; INVALID_INPUT where it takes too long, or
   * took the process with it; the reason of its signal.
   */
  async turn<T>(work: (ask: (job: QueryJob) => Promise<DuckResult>) => Promise<T>, given?: AbortSignal): Promise<T> {
    const closing = this.#closing.signal;
    const signal = given === undefined ? closing : AbortSignal.any([given, closing]);
    const ask = async (job: QueryJob): Promise<DuckResult> => {
      signal.throwIfAborted();
      const member = this.#idle.pop() ?? this.#begin();
      member.cancelIdle();
      const answer = await this.#ask(member, job, signal);
      this.#rest(member);
      if ('rows' in answer) return answer;
      throw new TuttiError(answer.code, answer.message, answer.field === undefined ? {} : { field: answer.field });
    };
    return await this.#gate.pass(() => work(ask), signal);
  }

  /** Ends them all. */
  async close(): Promise<void> {
    this.#closing.abort(new TuttiError('SHUTTING_DOWN', 'This process is shutting down.'));
    await this.#gate.empty();
    const members = [...this.#all];
    for (const m of members) end(m);
    await Promise.all(members.map((m) => m.gone));
  }

  async #ask(member: Member, job: QueryJob, signal: AbortSignal): Promise<DuckResult | Extract<QueryAnswer, { ok: false }>> {
    const { child } = member;
    const ms = this.#o.timeMs ?? QUERY_MS;
    const { promise, resolve, reject } = Promise.withResolvers<DuckResult | Extract<QueryAnswer, { ok: false }>>();
    // It may fail while the files are still being named.
    promise.catch(() => {});
    const rows: Json[][] = [];
    const fail = (e: Error): void => {
      reject(e);
      end(member);
    };
    const invalid = (message: string): TuttiError => new TuttiError('INVALID_INPUT', message, { field: 'sql' });
    const stop = (): void => fail(signal.reason as Error);
    const cancel = this.#o.timer(ms, () => fail(invalid(`The query took longer than ${ms / 1000} s.`)));
    signal.addEventListener('abort', stop, { once: true });
    const send = (m: QueryMessage): boolean => child.send(m, (e) => e !== null && fail(e));
    const take = (a: QueryAnswer): void => {
      if ('rows' in a) {
        for (const row of a.rows) rows.push(row);
        // Not before this turn is over: an answer that is there already comes piece by piece all the same.
        this.#o.soon(() => send({ more: true }));
      } else resolve(a.ok ? { columns: a.columns, rows, truncated: a.truncated } : a);
    };
    child.on('message', take);
    member.lost = () => reject(invalid('The query ended its process: it takes more memory than there is.'));
    try {
      for (const [source, { files }] of job.sources.entries()) {
        for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
          send({ source, files: files.slice(at, at + FILES_AT_ONCE) });
          await new Promise<void>((done) => this.#o.soon(done));
        }
      }
      send({ job: { ...job, sources: job.sources.map((s) => ({ ...s, files: [] })) } });
      return await promise;
    } finally {
      cancel();
      signal.removeEventListener('abort', stop);
      child.off('message', take);
      member.lost = () => {};
    }
  }

  #begin(): Member {
    const { memory, threads } = this.#o;
    const tempFolder = path.join(this.#o.tempFolder, `queries-${++this.#count}`);
    const setup: QuerySetup = { tempFolder, memory, threads };
    // No environment: a query has no business with what is in it.
    const child = fork(ENTRY, [JSON.stringify(setup)], {
      execArgv: [`--max-old-space-size=${HEAP_MB}`],
      env: {},
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const ended = Promise.withResolvers<void>();
    child.once('exit', () => ended.resolve());
    // One that could not be started, or be written to.
    child.on('error', () => child.exitCode === null && child.pid === undefined && ended.resolve());
    const member: Member = { child, tempFolder, lost: () => {}, cancelIdle: () => {}, gone: ended.promise };
    this.#all.add(member);
    member.gone = ended.promise.then(async () => {
      this.#all.delete(member);
      member.lost();
      const at = this.#idle.indexOf(member);
      if (at >= 0) this.#idle.splice(at, 1);
      await rm(tempFolder, { recursive: true, force: true });
    });
    return member;
  }

  #rest(member: Member): void {
    if (!this.#all.has(member) || member.child.killed) return;
    this.#idle.push(member);
    member.cancelIdle = this.#o.timer(IDLE_MS, () => end(member));
  }
}

/** It holds nothing that must be put away. */
const end = (m: Member): void => void m.child.kill('SIGKILL');
