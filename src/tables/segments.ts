/**
 * Segments: the immutable Parquet files that a table consists of, each named by an item of the table (`segment/<name>`). A file is written
 * whole before an item names it, and is never changed after; what no item names any more is swept later, never under a reader.
 */
import { mkdirSync } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Json } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import type { Resource, ResourceChanges, ResourceItem, Resources } from '../engine/resource-port.ts';
import { timeMs } from './column-types.ts';
import type { Duck, DuckSession } from './duckdb.ts';
import { Gate } from './gate.ts';
import { quoteName, quotePath } from './sql-text.ts';
import { currentSchema, SCHEMA_KEY } from './table-schema.ts';
import { TABLE_KIND, type TableSchema, type TableType } from './tables.ts';

export const SEGMENT_PREFIX = 'segment/';
export const GARBAGE_PREFIX = 'garbage/';
/** Item that says which full swap is the table now: `{ swap: <id> }`; absent: none ever was. */
export const SWAP_KEY = 'current-swap';

const SEGMENT_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/;
const PAGE = 10_000;
/** Segments read at one go where all are: three milliseconds. */
const SCAN_PAGE = 1000;
/** How long a replaced file stays, for readers that know of it and have not opened it yet. */
export const GARBAGE_GRACE_MS = 10 * 60_000;
/** Files that no item names may be the work of a batch that has not ended yet. */
export const ORPHAN_AGE_MS = 24 * 3_600_000;

/** A table as those who work on its data need it. */
export interface TableData {
  id: string;
  /** Its folder is named with it: a table made again under the name has another. */
  incarnation: number;
  type: TableType;
  schema: TableSchema;
  config: { [key: string]: Json };
}

export interface SegmentFile {
  /** Below the folder of all tables, with slashes: the folder may be moved. */
  file: string;
  rows: number;
  bytes: number;
  minTime: number | null;
  maxTime: number | null;
}

/** Body of an item `segment/<name>`. */
export interface Segment extends SegmentFile {
  createdAt: number;
  visible: boolean;
  /** The full swap it belongs to; null: none. It is seen only while the table's current swap is this one. */
  swap: string | null;
  schemaVersion: number;
  /** Where it comes from: `plan`, `replaces`, … */
  lineage: { [key: string]: Json };
  /** When SegmentPurgeTask last looked at it. */
  purgedAt?: number;
}

export interface StoredSegment {
  name: string;
  version: number;
  segment: Segment;
}

export interface SegmentsOptions {
  /** Of all tables. */
  folder: string;
  duck: Duck;
  resources: Resources;
  now(): number;
  uuid(): string;
  /** Runs `fn` in the next turn of the event loop. */
  soon(fn: () => void): void;
}

export class Segments {
  readonly folder: string;
  readonly #o: SegmentsOptions;
  /** One page in a turn of the event loop, however many want theirs. */
  readonly #scanning = new Gate(1);
  /** Files that somebody reads, with how many do. */
  readonly #read = new Map<string, number>();

  constructor(o: SegmentsOptions) {
    this.#o = o;
    this.folder = path.resolve(o.folder);
    // A pattern in the middle of every path could match other files than the one that is meant.
    if (/[*?[\]]/.test(this.folder))
      throw new TuttiError('INVALID_CONFIG', `[tables] folder must not have any of * ? [ ] in its path: ${this.folder}`, { field: 'tables.folder' });
  }

  /** Throws NOT_FOUND. */
  async table(id: string): Promise<TableData> {
    const { resources } = this.#o;
    const resource = await resources.get(id);
    if (resource === null || resource.kind !== TABLE_KIND) throw new TuttiError('NOT_FOUND', `There is no table ${id}.`);
    return dataOf(resource, await resources.item(id, SCHEMA_KEY));
  }

  folderOf(t: { id: string; incarnation: number }): string {
    return path.join(this.folder, folderName(t));
  }

  pathOf(s: { file: string }): string {
    return path.join(this.folder, s.file);
  }

  /**
   * Writes what a SELECT gives as a file of its own; null: it gives no row. The SELECT has the table's columns by name, in any order. Once it
   * resolves the file is on disk for good. Written again under the same name it is another file.
   */
  async write(
    t: Pick<TableData, 'id' | 'incarnation' | 'schema'>,
    o: { name: string; select: string; signal?: AbortSignal; session?: DuckSession },
  ): Promise<SegmentFile | null> {
    if (!SEGMENT_NAME.test(o.name))
      throw new TuttiError('INVALID_INPUT', `A segment's name is 1 to 200 letters, digits, _ . or -: ${JSON.stringify(o.name).slice(0, 250)}.`);
    const { session } = o;
    if (session === undefined) return this.#o.duck.session((s) => this.write(t, { ...o, session: s }), { signal: o.signal });
    const folder = this.folderOf(t);
    mkdirSync(folder, { recursive: true });
    const base = `${o.name}.${this.#o.uuid()}.parquet`;
    const temporary = path.join(folder, `_${base}`);
    let renamed = false;
    try {
      const columns = t.schema.columns.map((c) => `CAST(${quoteName(c.name)} AS ${c.type}) AS ${quoteName(c.name)}`).join(', ');
      const rows = await session.run(`COPY (SELECT ${columns} FROM (${o.select}\n)) TO ${quotePath(temporary)} (FORMAT parquet, COMPRESSION snappy)`);
      if (rows === 0) return null;
      const times = await timesOf(session, t.schema, temporary);
      const bytes = await syncFile(temporary);
      await rename(temporary, path.join(folder, base));
      renamed = true;
      await syncFolder(folder);
      return { file: `${folderName(t)}/${base}`, rows, bytes, ...times };
    } finally {
      if (!renamed) await rm(temporary, { force: true });
    }
  }

  /** The item that makes a file a segment. */
  segment(
    f: SegmentFile,
    o: { schemaVersion: number; visible?: boolean; swap?: string | null; lineage?: { [key: string]: Json }; purgedAt?: number },
  ): Segment {
    return {
      ...f,
      createdAt: this.#o.now(),
      visible: o.visible ?? true,
      swap: o.swap ?? null,
      schemaVersion: o.schemaVersion,
      lineage: o.lineage ?? {},
      ...(o.purgedAt === undefined ? {} : { purgedAt: o.purgedAt }),
    };
  }

  /** Segments come and go in one commit, if those that go are still what they were. What goes is swept once nobody can be reading it. */
  changes(c: { put?: readonly { name: string; segment: Segment; expect?: number | null }[]; remove?: readonly StoredSegment[] }): ResourceChanges {
    const put =
      c.put?.map((p) => ({ key: SEGMENT_PREFIX + p.name, body: p.segment as unknown as Json, expect: p.expect === undefined ? null : p.expect })) ?? [];
    const remove = c.remove ?? [];
    const at = this.#o.now();
    const garbage = remove.map(({ segment: { file } }) => ({ key: GARBAGE_PREFIX + path.posix.basename(file), body: { file, at } }));
    return { put: [...put, ...garbage], remove: remove.map((s) => ({ key: SEGMENT_PREFIX + s.name, expect: s.version })) };
  }

  /** By name, at most 10,000. */
  async page(id: string, q: { after?: string; limit?: number } = {}): Promise<StoredSegment[]> {
    const after = q.after === undefined ? undefined : SEGMENT_PREFIX + q.after;
    return (await this.#o.resources.items(id, { prefix: SEGMENT_PREFIX, after, limit: q.limit ?? PAGE })).map(stored);
  }

  /** All of them, as they were at one instant. */
  async all(id: string): Promise<StoredSegment[]> {
    let before = await this.#scan(id);
    // One page is one instant. Of several, only two equal looks say that nothing came or went between the pages.
    for (let tries = 0; before.length >= SCAN_PAGE; tries++) {
      const again = await this.#scan(id);
      if (same(before, again)) return again;
      if (tries >= 10) throw new TuttiError('CONFLICT', `The segments of ${id} change faster than they can be listed.`);
      before = again;
    }
    return before;
  }

  /** What readers of the table see: visible, and of the current swap. */
  async visible(id: string): Promise<StoredSegment[]> {
    let swap = await this.currentSwap(id);
    for (let tries = 0; ; tries++) {
      const all = await this.all(id);
      const now = await this.currentSwap(id);
      // A switch between the two looks: the list is not that of the swap.
      if (now === swap) return all.filter((s) => isVisible(s.segment, swap));
      if (tries >= 10) throw new TuttiError('CONFLICT', `The segments of ${id} change faster than they can be listed.`);
      swap = now;
    }
  }

  /** Null: there is none of this name. */
  async one(id: string, name: string): Promise<StoredSegment | null> {
    const item = await this.#o.resources.item(id, SEGMENT_PREFIX + name);
    return item === null ? null : stored(item);
  }

  async currentSwap(id: string): Promise<string | null> {
    return swapOf(await this.#o.resources.item(id, SWAP_KEY));
  }

  /** Keeps the files of these segments while `work` runs. */
  async reading<T>(segments: readonly { file: string }[], work: () => Promise<T>): Promise<T> {
    for (const { file } of segments) this.#read.set(file, (this.#read.get(file) ?? 0) + 1);
    try {
      return await work();
    } finally {
      for (const { file } of segments) {
        const left = (this.#read.get(file) ?? 1) - 1;
        if (left === 0) this.#read.delete(file);
        else this.#read.set(file, left);
      }
    }
  }

  /**
   * Removes the files that were replaced a while ago and, where nothing works on the table (`idle`), those that came to nothing. Returns
   * how many files went.
   */
  async sweep(id: string, idle: () => Promise<boolean>): Promise<number> {
    const { resources } = this.#o;
    const resource = await resources.get(id);
    if (resource === null) return 0;
    let gone = 0;
    const due = this.#o.now() - GARBAGE_GRACE_MS;
    for (;;) {
      const items = await resources.items(id, { prefix: GARBAGE_PREFIX, limit: 1000 });
      const old = items.filter((i) => garbageOf(i).at <= due && !this.#read.has(garbageOf(i).file));
      for (const i of old) await rm(this.pathOf(garbageOf(i)), { force: true });
      if (old.length > 0) await resources.change(id, { remove: old.map((i) => ({ key: i.key })) });
      gone += old.length;
      if (old.length < 1000) break;
    }
    return gone + (await this.#sweepOrphans(resource, idle));
  }

  /** Removes the folders of tables that are gone, but for files that are read. */
  async sweepFolders(): Promise<void> {
    for (const name of await entries(this.folder)) {
      const match = /^(.+)\.(\d+)$/.exec(name);
      if (match === null) continue;
      const resource = await this.#o.resources.get(match[1]);
      if (resource !== null && resource.incarnation <= Number(match[2])) continue;
      if ([...this.#read.keys()].some((file) => file.startsWith(`${name}/`))) continue;
      await rm(path.join(this.folder, name), { recursive: true, force: true });
    }
  }

  async #sweepOrphans(resource: Resource, idle: () => Promise<boolean>): Promise<number> {
    const folder = this.folderOf(resource);
    const old: string[] = [];
    for (const name of await entries(folder)) {
      const found = await stat(path.join(folder, name)).catch(() => null);
      if (found !== null && found.mtimeMs <= this.#o.now() - ORPHAN_AGE_MS) old.push(name);
    }
    if (old.length === 0 || !(await idle())) return 0;
    // Only then: whatever was about to be named when it was idle is named now.
    const named = new Set((await this.all(resource.id)).map((s) => path.posix.basename(s.segment.file)));
    for (let after: string | undefined; ; ) {
      const items = await this.#o.resources.items(resource.id, { prefix: GARBAGE_PREFIX, after, limit: PAGE });
      for (const i of items) named.add(path.posix.basename(garbageOf(i).file));
      if (items.length < PAGE) break;
      after = items.at(-1)?.key;
    }
    let gone = 0;
    for (const name of old) {
      if (named.has(name) || this.#read.has(`${folderName(resource)}/${name}`)) continue;
      await rm(path.join(folder, name), { recursive: true, force: true });
      gone++;
    }
    return gone;
  }

  async #scan(id: string): Promise<StoredSegment[]> {
    const found: StoredSegment[] = [];
    for (let after: string | undefined; ; after = found.at(-1)?.name) {
      const page = await this.#scanning.pass(async () => {
        const some = await this.page(id, { after, limit: SCAN_PAGE });
        if (some.length === SCAN_PAGE) await new Promise<void>((resolve) => this.#o.soon(resolve));
        return some;
      });
      for (const s of page) found.push(s);
      if (page.length < SCAN_PAGE) return found;
    }
  }
}

const folderName = (t: { id: string; incarnation: number }): string => `${t.id}.${t.incarnation}`;
const garbageOf = (i: ResourceItem): { file: string; at: number } => i.body as { file: string; at: number };
const stored = (i: ResourceItem): StoredSegment => ({ name: i.key.slice(SEGMENT_PREFIX.length), version: i.version, segment: i.body as unknown as Segment });
const same = (a: readonly StoredSegment[], b: readonly StoredSegment[]): boolean =>
  a.length === b.length && a.every((s, i) => s.name === b[i].name && s.version === b[i].version);

export const isVisible = (s: Segment, swap: string | null): boolean => s.visible && s.swap === swap;
export const swapOf = (item: ResourceItem | null): string | null => (item === null ? null : (item.body as { swap: string }).swap);

/** A table's own record. */
export interface TableBody {
  type: TableType;
  /** As it was when the table was made; the item `schema` goes before it. */
  schema: TableSchema;
  config: { [key: string]: Json };
}

export const bodyOf = (resource: Resource): TableBody => resource.body as unknown as TableBody;

export function dataOf(resource: Resource, schema: ResourceItem | null): TableData {
  const body = bodyOf(resource);
  return { id: resource.id, incarnation: resource.incarnation, type: body.type, schema: currentSchema(body.schema, schema), config: body.config };
}

async function timesOf(session: DuckSession, schema: TableSchema, file: string): Promise<{ minTime: number | null; maxTime: number | null }> {
  const column = schema.columns.find((c) => c.name === schema.timeColumn);
  if (column === undefined) return { minTime: null, maxTime: null };
  const ms = timeMs(column.type, quoteName(column.name));
  const [row] = await session.rows(`SELECT min(${ms}) AS low, max(${ms}) AS high FROM read_parquet(${quotePath(file)})`);
  return { minTime: exact(row.low), maxTime: exact(row.high) };
}

/** Null too for times so far away that a number cannot hold them. */
const exact = (value: Json): number | null => (typeof value === 'number' ? value : null);

/** Its size. */
export async function syncFile(file: string): Promise<number> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
}

/** The name of a new file is on disk only with its folder. Windows has no such thing, and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (e) {
    if ((e as { code?: unknown }).code === 'ENOENT') return [];
    throw e;
  }
}
