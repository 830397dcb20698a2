/**
 * Rows of REALTIME tables between the request that brings them and the segment that has them. They are items of the table, durable when the
 * request is answered; one change takes the items away and puts the segment in their place, so that no row is ever in both or in neither.
 */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { ByteBudget } from '../core/byte-budget.ts';
import type { Json } from '../core/definition.ts';
import { TuttiError, isTuttiError } from '../core/errors.ts';
import type { ResourceChanges, Resources } from '../engine/resource-port.ts';
import type { Duck } from './duckdb.ts';
import { Gate } from './gate.ts';
import { COMMIT_CHARS, ItemLane, type ItemRemoval } from './item-lane.ts';
import { packRows, type RowPiece, ROWS_PREFIX, rowBody, rowItem, rowKey, rowNumber } from './row-items.ts';
import { SEGMENT_PREFIX, type SegmentFile, type Segments, type TableData } from './segments.ts';
import { Slices } from './slices.ts';
import { quoteName, quotePath } from './sql-text.ts';
import { type Gathered, StoredRows } from './stored-rows.ts';
import { realtimeOf } from './table-config.ts';
import type { NewRows } from './tables.ts';

/** Rows of one table that may wait: more are refused until they are sealed, so that a table that cannot be sealed does not fill the store. */
export const MAX_UNSEALED = 2_000_000;
const MAX_IN_WORK = 64 * 2 ** 20;
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
  /** Runs `fn` in the next turn of the event loop. */
  soon(fn: () => void): void;
  /** Characters of rows, of all tables, that may be checked and on their way into the store at once. Default 64 Mi. */
  mostInWork?: number;
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
  /** A seal that has not begun: whoever wants one now shares it. */
  coming: Promise<Sealed> | null;
  lane: ItemLane;
  /** A seal because of the number of rows is on its way. */
  full: boolean;
}

interface Sealed {
  segments: string[];
  rows: number;
}

export class RealtimeRows {
  readonly #o: RealtimeRowsOptions;
  readonly #slices: Slices;
  readonly #stored: StoredRows;
  readonly #inWork: ByteBudget;
  readonly #tables = new Map<string, Promise<Waiting>>();
  readonly #running = new Set<Promise<unknown>>();
  #closed = false;

  constructor(o: RealtimeRowsOptions) {
    this.#o = o;
    this.#slices = new Slices((fn) => o.soon(fn));
    this.#inWork = new ByteBudget(o.mostInWork ?? MAX_IN_WORK, 'rows');
    this.#stored = new StoredRows({ resources: () => o.resources, tempFolder: o.tempFolder, writer: o.uuid(), pause: () => this.#slices.next() });
  }

  async add(t: TableData, rows: NewRows): Promise<{ added: number; unsealedRows: number }> {
    const share = this.#inWork.share();
    try {
      const pieces = await packRows(rows, t.schema, { pause: () => this.#slices.next(), share });
      return await this.#keep(t, pieces);
    } finally {
      share.release();
    }
  }

  async #keep(t: TableData, pieces: readonly RowPiece[]): Promise<{ added: number; unsealedRows: number }> {
    const added = pieces.reduce((sum, p) => sum + p.rows, 0);
    const w = await this.#waiting(t);
    if (w.rows + added > MAX_UNSEALED) {
      throw new TuttiError(
        'BACKPRESSURE',
        `${w.rows} rows of ${t.id} wait to be sealed; ${MAX_UNSEALED} is the limit.${w.error === null ? '' : ` ${w.error}`}`,
        { retryAfter: 10 },
      );
    }
    // Counted before they are there, so that two requests at once do not pass the limit together.
    w.rows += added;
    try {
      const chars = charsOf(pieces);
      if (chars <= COMMIT_CHARS) await w.lane.add({ bodies: pieces.map((p) => rowBody(t.schema, p.rows, { lines: p.lines })), chars });
      else {
        const { parts, remove } = await this.#stored.putParts(t.id, pieces);
        await w.lane.add({ bodies: [rowBody(t.schema, added, { parts })], chars: 0, remove });
      }
    } catch (e) {
      w.rows -= added;
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
    return { added, unsealedRows: w.rows };
  }

  /** One segment for each schema that the rows were checked against; more where they are very many. Who asks while others wait for one shares theirs. */
  async seal(t: TableData): Promise<Sealed> {
    const w = await this.#waiting(t);
    return (w.coming ??= w.sealing.pass(async () => {
      // After the assignment above, also where nobody had to wait.
      await Promise.resolve();
      w.coming = null;
      return await this.#seal(t, w);
    }));
  }

  async #seal(t: TableData, w: Waiting): Promise<Sealed> {
    const segments: string[] = [];
    // What comes meanwhile is for the next seal, or this one might never end.
    const until = w.last;
    let rows = 0;
    try {
      for (let more = true; more; ) {
        const lines = path.join(this.#o.tempFolder, `rows-${this.#o.uuid()}.json`);
        try {
          const gathered = await this.#stored.gather(t.id, until, lines);
          if (gathered === null) break;
          segments.push(await this.#sealItems(t, w, gathered, lines));
          rows += gathered.rows;
          w.rows = Math.max(0, w.rows - gathered.rows);
          ({ more } = gathered);
        } finally {
          await rm(lines, { force: true });
        }
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
      coming: null,
      lane: new ItemLane((bodies, remove) => this.#put(t.id, w, bodies, remove)),
      full: false,
    };
    const parts = new Set<string>();
    for await (const items of this.#stored.pages(t.id, ROWS_PREFIX)) {
      for (const i of items) {
        const item = rowItem(i);
        w.last = Math.max(w.last, rowNumber(i.key));
        w.rows += item.rows;
        if (item.parts !== undefined) parts.add(item.parts);
      }
    }
    await this.#stored.dropParts(t.id, parts);
    return w;
  }

  async #put(id: string, w: Waiting, bodies: readonly Json[], remove: readonly ItemRemoval[]): Promise<void> {
    // By the clock, so that a number is not given again when all items have gone and the process has started anew.
    const first = Math.max(w.last + 1, this.#o.now() * 1000);
    w.last = first + bodies.length - 1;
    await this.#o.resources.change(id, { put: bodies.map((body, i) => ({ key: rowKey(first + i), body, expect: null })), remove });
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

  async #sealItems(t: TableData, w: Waiting, gathered: Gathered, lines: string): Promise<string> {
    const { segments, duck } = this.#o;
    const { columns, schemaVersion, timeColumn } = gathered.of;
    const name = `rows-${gathered.key.slice(ROWS_PREFIX.length)}-${this.#o.uuid().slice(0, 8)}`;
    const schema = { version: schemaVersion, columns, timeColumn, changes: [] };
    const texts = columns.map((c, i) => `c${i}: '${c.type.endsWith('[]') ? 'VARCHAR[]' : 'VARCHAR'}'`).join(', ');
    const cells = columns.map((c, i) => `CAST(c${i} AS ${c.type}) AS ${quoteName(c.name)}`).join(', ');
    const select = `SELECT ${cells} FROM read_json(${quotePath(lines)}, format = 'newline_delimited', maximum_object_size = 2097152, columns = {${texts}})`;
    const file = await duck.session((session) => segments.write({ ...t, schema }, { name, select, session }));
    if (file === null || file.rows !== gathered.rows) throw new Error(`${file?.rows ?? 0} of ${gathered.rows} rows were written.`);
    const segment = segments.segment(file, { schemaVersion, swap: await segments.currentSwap(t.id), lineage: { sealed: file.rows } });
    const put = segments.changes({ put: [{ name, segment }] }).put ?? [];
    await w.lane.alone(() => this.#change(t.id, name, { put, remove: gathered.items }, file));
    return name;
  }

  /** A change that fails leaves a file that no item names, unless it came to pass all the same. */
  async #change(id: string, name: string, changes: ResourceChanges, file: SegmentFile): Promise<void> {
    const { resources, segments } = this.#o;
    try {
      await resources.change(id, changes);
    } catch (e) {
      const there = await resources.item(id, SEGMENT_PREFIX + name);
      if (there !== null) return;
      if (isTuttiError(e) && (e.code === 'CONFLICT' || e.code === 'NOT_FOUND')) await rm(segments.pathOf(file), { force: true });
      throw e;
    }
  }
}

function disarm(w: Waiting): void {
  w.cancel();
  w.armed = false;
}

const charsOf = (pieces: readonly RowPiece[]): number => pieces.reduce((sum, p) => sum + p.lines.length, 0);
