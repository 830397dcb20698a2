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
import { packRows, type RowItem, type RowPiece, ROWS_PREFIX, rowBody, rowItem, rowKey, rowNumber } from './row-items.ts';
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
  /** In items. */
  rows: number;
  /** On their way into items. */
  coming: number;
  /** Whether a change failed of which nobody knows if it came to pass: `rows` is counted anew before it is used. */
  doubtful: boolean;
  counting: Promise<void> | null;
  /** Number of the newest item there ever was. */
  last: number;
  error: string | null;
  cancel: () => void;
  /** Whether the timer is armed. */
  armed: boolean;
  sealing: Gate;
  /** A seal that has not begun: whoever wants one now shares it. */
  next: Promise<Sealed> | null;
  lane: ItemLane;
  /** A seal because of the number of rows is on its way. */
  full: boolean;
}

/** Of one table there is one for as long as this process knows the table: its timer, its lane and its numbers are the only ones. */
interface Known {
  incarnation: number;
  waiting: Promise<Waiting>;
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
  readonly #tables = new Map<string, Known>();
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
    const waiting = w.rows + w.coming;
    if (waiting + added > MAX_UNSEALED) {
      throw new TuttiError(
        'BACKPRESSURE',
        `${waiting} rows of ${t.id} wait to be sealed; ${MAX_UNSEALED} is the limit.${w.error === null ? '' : ` ${w.error}`}`,
        { retryAfter: 10 },
      );
    }
    const { flushRows, flushSeconds } = realtimeOf(t.config);
    // Counted before they are there, so that two requests at once do not pass the limit together.
    w.coming += added;
    try {
      const chars = charsOf(pieces);
      if (chars <= COMMIT_CHARS) await w.lane.add({ bodies: pieces.map((p) => rowBody(t.schema, p.rows, { lines: p.lines })), chars });
      else {
        const { parts, remove, drop } = await this.#stored.putParts(t, pieces);
        try {
          await w.lane.add({ bodies: [rowBody(t.schema, added, { parts })], chars: 0, remove });
        } catch (e) {
          await drop();
          throw e;
        }
      }
    } catch (e) {
      if (isTuttiError(e) && e.code === 'INVALID_INPUT') throw e;
      // They may be there all the same, to be sealed in their time.
      w.doubtful = true;
      await this.#failed(t.id, w, e, flushSeconds * 1000);
      throw e;
    } finally {
      w.coming -= added;
    }
    this.#arm(t.id, w, flushSeconds * 1000);
    if (w.rows >= flushRows && !w.full) {
      w.full = true;
      this.#sealLater(t.id, w);
    }
    return { added, unsealedRows: w.rows };
  }

  /** One segment for each schema that the rows were checked against; more where they are very many. Who asks while others wait for one shares theirs. */
  async seal(t: TableData): Promise<Sealed> {
    const w = await this.#waiting(t);
    return (w.next ??= w.sealing.pass(async () => {
      // After the assignment above, also where nobody had to wait.
      await Promise.resolve();
      w.next = null;
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
          ({ more } = gathered);
        } finally {
          await rm(lines, { force: true });
        }
      }
      w.error = null;
      w.full = false;
      if (w.rows === 0 && !w.doubtful) disarm(w);
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

  /** The table may be gone: what is known of it is forgotten then. One that was made again under its name keeps its own. */
  async forget(id: string): Promise<void> {
    const known = this.#tables.get(id);
    if (known === undefined) return;
    try {
      const now = await this.#o.resources.get(id);
      if (now?.incarnation !== known.incarnation) this.#forget(id, known);
    } catch {
      // Its timer finds out.
    }
  }

  #forget(id: string, known: Known): void {
    if (this.#tables.get(id) === known) this.#tables.delete(id);
    // What cannot be loaded has armed nothing.
    known.waiting.then(disarm, () => {});
  }

  /** Ends when no seal runs. Rows that wait are sealed by the next process. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const [id, known] of [...this.#tables]) this.#forget(id, known);
    await Promise.allSettled(this.#running);
  }

  async #waiting(t: TableData): Promise<Waiting> {
    let known = this.#tables.get(t.id);
    // Incarnations grow: whoever looked at an older one is late, and must not take away what the new one has.
    if (known !== undefined && known.incarnation > t.incarnation) throw new TuttiError('NOT_FOUND', `the table ${t.id} was dropped meanwhile, and made again`);
    if (known !== undefined && known.incarnation < t.incarnation) {
      this.#forget(t.id, known);
      known = undefined;
    }
    if (known === undefined) {
      const loading: Known = { incarnation: t.incarnation, waiting: this.#load(t) };
      known = loading;
      this.#tables.set(t.id, loading);
      loading.waiting.catch(() => this.#forget(t.id, loading));
    }
    const w = await known.waiting;
    if (w.doubtful) await (w.counting ??= this.#countAnew(t, w));
    return w;
  }

  async #load(t: TableData): Promise<Waiting> {
    const w: Waiting = {
      incarnation: t.incarnation,
      rows: 0,
      coming: 0,
      doubtful: false,
      counting: null,
      last: 0,
      error: null,
      cancel: () => {},
      armed: false,
      sealing: new Gate(1),
      next: null,
      lane: new ItemLane((bodies, remove) => this.#put(t, w, bodies, remove)),
      full: false,
    };
    const parts = await this.#count(t, w);
    await this.#stored.dropParts(t, parts);
    return w;
  }

  /** Looks at all items, and gives the names of the parts that some name. */
  async #count(t: TableData, w: Waiting): Promise<Set<string>> {
    const parts = new Set<string>();
    let rows = 0;
    for await (const items of this.#stored.pages(t.id, ROWS_PREFIX)) {
      for (const i of items) {
        const item = rowItem(i);
        w.last = Math.max(w.last, rowNumber(i.key));
        rows += item.rows;
        if (item.parts !== undefined) parts.add(item.parts);
      }
    }
    w.rows = rows;
    return parts;
  }

  async #countAnew(t: TableData, w: Waiting): Promise<void> {
    try {
      // With none that come or go meanwhile.
      await w.lane.alone(async () => {
        w.doubtful = false;
        await this.#count(t, w);
      });
    } catch (e) {
      w.doubtful = true;
      throw e;
    } finally {
      w.counting = null;
    }
  }

  async #put(t: TableData, w: Waiting, bodies: readonly Json[], remove: readonly ItemRemoval[]): Promise<void> {
    // By the clock, so that a number is not given again when all items have gone and the process has started anew.
    const first = Math.max(w.last + 1, this.#o.now() * 1000);
    w.last = first + bodies.length - 1;
    const put = bodies.map((body, i) => ({ key: rowKey(first + i), body, expect: null }));
    await this.#o.resources.change(t.id, { incarnation: t.incarnation, put, remove });
    for (const body of bodies) w.rows += (body as unknown as RowItem).rows;
  }

  #arm(id: string, w: Waiting, ms: number): void {
    if (w.armed || this.#closed || this.#tables.get(id)?.incarnation !== w.incarnation) return;
    w.armed = true;
    w.cancel = this.#o.timer(ms, () => {
      w.armed = false;
      this.#sealLater(id, w);
    });
  }

  /** Whatever it was, rows may wait that callers were told of: there is a timer for them unless the table is gone. */
  async #failed(id: string, w: Waiting, e: unknown, ms: number): Promise<void> {
    this.#arm(id, w, ms);
    if (isTuttiError(e) && e.code === 'NOT_FOUND') await this.forget(id);
  }

  #sealLater(id: string, w: Waiting): void {
    if (this.#closed) return;
    const sealing = (async () => {
      try {
        await this.seal(await this.#o.segments.table(id));
      } catch (e) {
        if (!isTuttiError(e) || e.code !== 'NOT_FOUND') this.#o.log('warn', `rows of ${id} could not be sealed`, { error: String(e) });
        w.full = false;
        disarm(w);
        await this.#failed(id, w, e, RETRY_MS);
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
    await w.lane.alone(async () => {
      try {
        await this.#change(t.id, name, { incarnation: t.incarnation, put, remove: gathered.items }, file);
      } catch (e) {
        w.doubtful = true;
        throw e;
      }
      w.rows = Math.max(0, w.rows - gathered.rows);
    });
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
