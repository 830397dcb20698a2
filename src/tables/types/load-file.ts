/** The subtask of FileIngestionTask: one file becomes segments that nobody sees yet. */
import { lstat, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import type { DuckSession } from '../duckdb.ts';
import type { SegmentFile, TableData } from '../segments.ts';
import { quotePath } from '../sql-text.ts';
import { fileProblem, showProblem } from './file-error.ts';
import { type FileOptions, type FileSource, fileSource } from './file-source.ts';
import { isInside } from './local-folder.ts';
import type { TableTaskContext } from './table-task-context.ts';

export interface LoadInput {
  kind: 'load';
  resource: string;
  folder: string;
  /** Below the folder, with slashes. */
  path: string;
  size: number;
  mtimeMs: number;
  /** What its segments are called: of plan, batch and subtask, so that no other has the name. */
  name: string;
  /** Round of the plan: the same file tried again is another subtask. */
  round: number;
  maxRows: number;
  file: FileOptions;
}

export interface LoadResult {
  kind: 'load';
  rows: number;
  schemaVersion: number;
  segments: readonly { name: string; file: Readonly<SegmentFile> }[];
}

/** One file's share of the commit that its batch ends with. */
const MAX_SEGMENTS = 1_000;
/** Bytes up to which a file is no work for several threads: the files of a batch are read side by side instead. */
const SMALL_FILE = 8 * 2 ** 20;
const OUT_OF_MEMORY = /out of memory|(?:could not|failed to) allocate/i;

export async function loadFile(x: TableTaskContext, i: LoadInput, signal: AbortSignal): Promise<LoadResult> {
  const full = path.join(i.folder, i.path);
  // Links may have been put in its way since the folder was listed.
  if (!isInside(i.folder, await realpath(full))) throw new Error(`${i.path}: it lies outside of ${i.folder}`);
  await checkUnchanged(full, i);
  const table = await x.segments.table(i.resource);
  const load = (small: boolean): Promise<LoadResult['segments']> => x.duck.session((s) => convert(x, s, full, i, table, signal), { signal, small });
  let segments: LoadResult['segments'];
  if (i.size === 0) segments = [];
  else if (i.size > SMALL_FILE) segments = await load(false);
  else {
    segments = await load(true).catch((e: unknown) => {
      // It was more work than it looked: compressed, or many columns. There is an instance with more memory.
      if (e instanceof Error && OUT_OF_MEMORY.test(e.message)) return load(false);
      throw e;
    });
  }
  await checkUnchanged(full, i);
  return { kind: 'load', rows: segments.reduce((sum, s) => sum + s.file.rows, 0), schemaVersion: table.schema.version, segments };
}

async function checkUnchanged(full: string, i: LoadInput): Promise<void> {
  const now = await lstat(full);
  if (!now.isFile() || now.size !== i.size || now.mtimeMs !== i.mtimeMs) throw new Error(`${i.path}: it has changed since it was listed`);
}

async function convert(
  x: TableTaskContext,
  s: DuckSession,
  full: string,
  i: LoadInput,
  table: TableData,
  signal: AbortSignal,
): Promise<LoadResult['segments']> {
  let source: FileSource | null = null;
  let whole: SegmentFile | null;
  try {
    source = await fileSource(s, full, i.path, table.schema.columns, i.file, signal);
    if (source === null) return [];
    whole = await x.segments.write(table, { name: i.name, select: `SELECT ${source.select} FROM ${source.from}`, signal, session: s });
  } catch (e) {
    signal.throwIfAborted();
    // Not with its cause, which would be shown behind it: it is the same at length.
    throw new Error(showProblem(i.path, await fileProblem(e, s, full, source, table.schema.columns)));
  }
  if (whole === null) return [];
  if (whole.rows <= i.maxRows) return [{ name: i.name, file: whole }];
  const parts = Math.ceil(whole.rows / i.maxRows);
  const own = x.segments.pathOf(whole);
  const segments: { name: string; file: SegmentFile }[] = [];
  try {
    if (parts > MAX_SEGMENTS)
      throw new Error(`${i.path}: ${whole.rows} rows would be ${parts} segments; ${MAX_SEGMENTS} is the limit: raise maxRowsPerSegment`);
    for (let part = 0; part < parts; part++) {
      const name = `${i.name}-${part}`;
      const select = `SELECT * FROM read_parquet(${quotePath(own)}, file_row_number=true) WHERE file_row_number >= ${part * i.maxRows} AND file_row_number < ${(part + 1) * i.maxRows}`;
      const file = await x.segments.write(table, { name, select, signal, session: s });
      if (file !== null) segments.push({ name, file });
    }
  } finally {
    await rm(own, { force: true });
  }
  return segments;
}
