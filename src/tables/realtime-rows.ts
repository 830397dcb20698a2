/**
 * Rows of REALTIME tables between the request that brings them and the segment that has them. They are items of the table, durable when the
 * request is answered; one change takes the items away and puts the segment in their place, so that no row is ever in both or in neither.
 */
import { createWriteStream, mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Json } from '../core/definition.ts';
import { TuttiError, isTuttiError } from '../core/errors.ts';
import type { ResourceChanges, ResourceItem, Resources } from '../engine/resource-port.ts';
import type { Duck } from './duckdb.ts';
import { Gate } from './gate.ts';
import { ItemLane } from './item-lane.ts';
import { packRows, ROWS_PREFIX, rowItem, rowKey, rowNumber } from './row-items.ts';
import { SEGMENT_PREFIX, type Segments, type TableData } from './segments.ts';
import { quoteName, quotePath } from './sql-text.ts';
import { realtimeOf } from './table-config.ts';

/** Rows of one table that may wait: more are refused until they are sealed, so that a table that cannot be sealed does not fill the store. */
export const MAX_UNSEALED = 2_000_000;
/** What one segment takes: the one commit that removes the items has them all, and nothing else happens meanwhile. */
const SEAL_ITEMS = 2_000;
const SEAL_CHARS = 16 * 2 ** 20;
/** Items read at one go: each may have 300,000 characters. */
const PAGE = 8;
/** A seal that failed is tried again after this. */
const RETRY_MS = 30_000;

export interface RealtimeRowsOptions {
  resources: Resources;
  segments: Segments;
  duck: Duck;
  /** For files that DuckDB reads the rows from. */
  tempFolder: string;
  now(): number;
  uuid(): string;
  timer(ms: number, fn: () => void): () => void;
  log(level: 'warn' | 'error', message: string, details: Record<string, unknown>): void;
}

interface Waiting {
  incarnation: number;
  rows: number;
  /** Number of the newest item there ever was. */
  last: number;
  error: string | null;
  cancel: () => void;
  /** Whether the timer is armed. */
  armed: boolean;
  sealing: Gate;
  lane: ItemLane;
  /** A seal because of the number of rows is on its way. */
  full: boolean;
}

export class RealtimeRows {
  readonly #o: RealtimeRowsOptions;
  readonly #tables = new Map<string, Promise<Waiting>>();
  readonly #running = new Set<Promise<unknown>>();
  #closed = false;

  constructor(o: RealtimeRowsOptions) {
    this.#o = o;
  }

  async add(t: TableData, rows: readonly unknown[]): Promise<{ added: number; unsealedRows: number }> {
    const bodies = await packRows(rows, t.schema, () => new Promise<void>((resolve) => this.#o.timer(0, resolve)));
    const w = await this.#waiting(t);
    if (w.rows + rows.length > MAX_UNSEALED) {
      throw new TuttiError(
        'BACKPRESSURE',
        `${w.rows} rows of ${t.id} wait to be sealed; ${MAX_UNSEALED} is the limit.${w.error === null ? '' : ` ${w.error}`}`,
        { retryAfter: 10 },
      );
    }
    // Counted before they are there, so that two requests at once do not pass the limit together.
    w.rows += rows.length;
    try {
      await w.lane.add(bodies);
    } catch (e) {
      w.rows -= rows.length;
      // Nobody knows whether they are there: counted anew.
      if (isTuttiError(e) && e.code !== 'INVALID_INPUT') this.forget(t.id);
      throw e;
    }
    const { flushRows, flushSeconds } = realtimeOf(t.config);
    this.#arm(t.id, w, flushSeconds * 1000);
    if (w.rows >= flushRows && !w.full) {
      w.full = true;
      this.#sealLater(t.id);
    }
    return { added: rows.length, unsealedRows: w.rows };
  }

  /** One segment for each schema that the rows were checked against; more where they are very many. */
  async seal(t: TableData): Promise<{ segments: string[]; rows: number }> {
    const w = await this.#waiting(t);
    return w.sealing.pass(async () => {
      const segments: string[] = [];
      // What comes meanwhile is for the next seal, or this one might never end.
      const until = w.last;
      let rows = 0;
      try {
        for (;;) {
          const { items, more } = await this.#next(t.id, until);
          for (const part of bySchema(items)) {
            segments.push(await this.#sealItems(t, w, part));
            const sealed = countRows(part);
            rows += sealed;
            w.rows = Math.max(0, w.rows - sealed);
          }
          if (!more) break;
        }
        w.error = null;
        w.full = false;
        if (w.rows === 0) disarm(w);
        return { segments, rows };
      } catch (e) {
        w.full = false;
        w.error = `The rows could not be sealed: ${e instanceof Error ? e.message.split('\n')[0] : String(e)}`;
        disarm(w);
        this.#arm(t.id, w, RETRY_MS);
        throw e;
      }
    });
  }

  async state(t: TableData): Promise<{ rows: number; error: string | null }> {
    const { rows, error } = await this.#waiting(t);
    return { rows, error };
  }

  /** Of a process that has started: what waits is sealed in its time. */
  async resume(t: TableData): Promise<void> {
    const w = await this.#waiting(t);
    if (w.rows > 0) this.#arm(t.id, w, realtimeOf(t.config).flushSeconds * 1000);
  }

  /** The table is gone, or is to be looked at anew. */
  forget(id: string): void {
    const known = this.#tables.get(id);
    this.#tables.delete(id);
    // What cannot be loaded has armed nothing.
    known?.then(disarm, () => {});
  }

  /** Ends when no seal runs. Rows that wait are sealed by the next process. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const id of [...this.#tables.keys()]) this.forget(id);
    await Promise.allSettled(this.#running);
  }

  async #waiting(t: TableData): Promise<Waiting> {
    let found = this.#tables.get(t.id);
    if (found !== undefined && (await found).incarnation !== t.incarnation) {
      this.forget(t.id);
      found = undefined;
    }
    // Between the wait above and here another may have begun to load it.
    found ??= this.#tables.get(t.id);
    if (found === undefined) {
      found = this.#load(t);
      this.#tables.set(t.id, found);
      const loading = found;
      loading.catch(() => {
        if (this.#tables.get(t.id) === loading) this.#tables.delete(t.id);
      });
    }
    return found;
  }

  async #load(t: TableData): Promise<Waiting> {
    const w: Waiting = {
      incarnation: t.incarnation,
      rows: 0,
      last: 0,
      error: null,
      cancel: () => {},
      armed: false,
      sealing: new Gate(1),
      lane: new ItemLane((bodies) => this.#put(t.id, w, bodies)),
      full: false,
    };
    for (let after: string | undefined; ; ) {
      const items = await this.#o.resources.items(t.id, { prefix: ROWS_PREFIX, after, limit: PAGE });
      for (const i of items) w.last = Math.max(w.last, rowNumber(i.key));
      w.rows += countRows(items);
      if (items.length < PAGE) return w;
      after = items.at(-1)?.key;
    }
  }

  /** The oldest items up to a number, as many as one segment takes. */
  async #next(id: string, until: number): Promise<{ items: ResourceItem[]; more: boolean }> {
    const items: ResourceItem[] = [];
    let chars = 0;
    for (;;) {
      const page = await this.#o.resources.items(id, { prefix: ROWS_PREFIX, after: items.at(-1)?.key, limit: PAGE });
      for (const i of page) {
        if (rowNumber(i.key) > until) return { items, more: false };
        items.push(i);
        chars += rowItem(i).chars;
      }
      if (page.length < PAGE) return { items, more: false };
      if (items.length >= SEAL_ITEMS || chars >= SEAL_CHARS) return { items, more: true };
    }
  }

  async #put(id: string, w: Waiting, bodies: readonly Json[]): Promise<void> {
    // By the clock, so that a number is not given again when all items have gone and the process has started anew.
    const first = Math.max(w.last + 1, this.#o.now() * 1000);
    w.last = first + bodies.length - 1;
    await this.#o.resources.change(id, { put: bodies.map((body, i) => ({ key: rowKey(first + i), body, expect: null })) });
  }

  #arm(id: string, w: Waiting, ms: number): void {
    if (w.armed || this.#closed) return;
    w.armed = true;
    w.cancel = this.#o.timer(ms, () => {
      w.armed = false;
      this.#sealLater(id);
    });
  }

  #sealLater(id: string): void {
    if (this.#closed) return;
    const sealing = (async () => {
      try {
        await this.seal(await this.#o.segments.table(id));
      } catch (e) {
        if (isTuttiError(e) && e.code === 'NOT_FOUND') this.forget(id);
        else this.#o.log('warn', `rows of ${id} could not be sealed`, { error: String(e) });
      }
    })();
    this.#running.add(sealing);
    void sealing.finally(() => this.#running.delete(sealing));
  }

  async #sealItems(t: TableData, w: Waiting, items: readonly ResourceItem[]): Promise<string> {
    const { segments, duck } = this.#o;
    const { columns, schemaVersion, timeColumn } = rowItem(items[0]);
    const name = `rows-${items[0].key.slice(ROWS_PREFIX.length)}-${this.#o.uuid().slice(0, 8)}`;
    mkdirSync(this.#o.tempFolder, { recursive: true });
    const lines = path.join(this.#o.tempFolder, `${name}.json`);
    try {
      await pipeline(Readable.from(linesOf(items)), createWriteStream(lines));
      const schema = { version: schemaVersion, columns, timeColumn, changes: [] };
      const texts = columns.map((c, i) => `c${i}: '${c.type.endsWith('[]') ? 'VARCHAR[]' : 'VARCHAR'}'`).join(', ');
      const cells = columns.map((c, i) => `CAST(c${i} AS ${c.type}) AS ${quoteName(c.name)}`).join(', ');
      const select = `SELECT ${cells} FROM read_json(${quotePath(lines)}, format = 'newline_delimited', maximum_object_size = 2097152, columns = {${texts}})`;
      const file = await duck.session((session) => segments.write({ ...t, schema }, { name, select, session }));
      if (file === null || file.rows !== countRows(items)) throw new Error(`${file?.rows ?? 0} of ${countRows(items)} rows were written.`);
      const segment = segments.segment(file, { schemaVersion, swap: await segments.currentSwap(t.id), lineage: { sealed: file.rows } });
      const put = segments.changes({ put: [{ name, segment }] }).put ?? [];
      await w.lane.alone(() => this.#change(t.id, name, put, items, file.file));
      return name;
    } finally {
      await rm(lines, { force: true });
    }
  }

  /** A change that fails leaves a file that no item names, unless it came to pass all the same. */
  async #change(id: string, name: string, put: NonNullable<ResourceChanges['put']>, items: readonly ResourceItem[], file: string): Promise<void> {
    const { resources, segments } = this.#o;
    try {
      await resources.change(id, { put, remove: items.map((i) => ({ key: i.key, expect: i.version })) });
    } catch (e) {
      const there = await resources.item(id, SEGMENT_PREFIX + name);
      if (there !== null) return;
      if (isTuttiError(e) && (e.code === 'CONFLICT' || e.code === 'NOT_FOUND')) await rm(segments.pathOf({ file }), { force: true });
      throw e;
    }
  }
}

function disarm(w: Waiting): void {
  w.cancel();
  w.armed = false;
}

const countRows = (items: readonly ResourceItem[]): number => items.reduce((sum, i) => sum + rowItem(i).rows.length, 0);

/** Items side by side that have the same schema. */
function bySchema(items: readonly ResourceItem[]): ResourceItem[][] {
  const parts: ResourceItem[][] = [];
  let version: number | null = null;
  for (const i of items) {
    const of = rowItem(i).schemaVersion;
    if (of === version) parts[parts.length - 1].push(i);
    else parts.push([i]);
    version = of;
  }
  return parts;
}

function* linesOf(items: readonly ResourceItem[]): Generator<string> {
  for (const i of items) {
    const lines = rowItem(i).rows.map((row) => `{${row.flatMap((cell, c) => (cell === null ? [] : [`"c${c}":${JSON.stringify(cell)}`])).join(',')}}\n`);
    yield lines.join('');
  }
}
