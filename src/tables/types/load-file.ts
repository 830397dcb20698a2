/** The subtask of FileIngestionTask: one file, or a group of small ones, becomes segments that nobody sees yet. */
import { lstat, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import type { DuckSession } from '../duckdb.ts';
import type { SegmentFile, TableData } from '../segments.ts';
import { quotePath } from '../sql-text.ts';
import { fileProblem, readProblem, showProblem } from './file-error.ts';
import { SMALL_FILE, showFiles } from './file-groups.ts';
import { type FileOptions, type FileSource, fileSource, openFile, type OpenedFile } from './file-source.ts';
import { isInside } from './local-folder.ts';
import type { TableTaskContext } from './table-task-context.ts';

export interface InputFile {
  /** Below the folder, with slashes. */
  path: string;
  size: number;
  mtimeMs: number;
}

export interface LoadInput {
  kind: 'load';
  resource: string;
  folder: string;
  /** One, or several small ones whose rows share segments. */
  files: readonly InputFile[];
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

/** One subtask's share of the commit that its batch ends with. */
const MAX_SEGMENTS = 1_000;
/** Files opened side by side: DuckDB and the engine want the threads for files too. */
const OPENED_AT_ONCE = 2;
const OUT_OF_MEMORY = /out of memory|(?:could not|failed to) allocate/i;

export async function loadFiles(x: TableTaskContext, i: LoadInput, signal: AbortSignal): Promise<LoadResult> {
  const table = await x.segments.table(i.resource);
  const opened: OpenedFile[] = [];
  for (let at = 0; at < i.files.length; at += OPENED_AT_ONCE) {
    signal.throwIfAborted();
    opened.push(...(await Promise.all(i.files.slice(at, at + OPENED_AT_ONCE).map((f) => open(i, f, signal)))));
  }
  const load = (small: boolean): Promise<LoadResult['segments']> => x.duck.session((s) => convert(x, s, i, opened, table, signal), { signal, small });
  let segments: LoadResult['segments'];
  if (opened.every((f) => f.size === 0)) segments = [];
  else if (opened.some((f) => f.size > SMALL_FILE)) segments = await load(false);
  else {
    segments = await load(true).catch((e: unknown) => {
      // It was more work than it looked: compressed, or many columns. There is an instance with more memory.
      if (e instanceof Error && OUT_OF_MEMORY.test(e.message)) return load(false);
      throw e;
    });
  }
  for (const f of i.files) await checkUnchanged(path.join(i.folder, f.path), f);
  return { kind: 'load', rows: segments.reduce((sum, s) => sum + s.file.rows, 0), schemaVersion: table.schema.version, segments };
}

async function open(i: LoadInput, f: InputFile, signal: AbortSignal): Promise<OpenedFile> {
  const full = path.join(i.folder, f.path);
  // Links may have been put in its way since the folder was listed.
  if (!isInside(i.folder, await realpath(full))) throw new Error(`${f.path}: it lies outside of ${i.folder}`);
  await checkUnchanged(full, f);
  try {
    return await openFile(full, f.path, f.size, i.file, signal);
  } catch (e) {
    signal.throwIfAborted();
    throw new Error(showProblem(f.path, readProblem(e instanceof Error ? e.message : String(e))));
  }
}

async function checkUnchanged(full: string, f: InputFile): Promise<void> {
  const now = await lstat(full);
  if (!now.isFile() || now.size !== f.size || now.mtimeMs !== f.mtimeMs) throw new Error(`${f.path}: it has changed since it was listed`);
}

async function convert(
  x: TableTaskContext,
  s: DuckSession,
  i: LoadInput,
  opened: readonly OpenedFile[],
  table: TableData,
  signal: AbortSignal,
): Promise<LoadResult['segments']> {
  const { columns } = table.schema;
  let source: FileSource | null = null;
  let whole: SegmentFile | null;
  try {
    const selects: string[] = [];
    for (const f of opened) {
      source = await fileSource(s, f, columns, i.file);
      if (source !== null) selects.push(`SELECT ${source.select} FROM ${source.from}`);
    }
    if (selects.length === 0) return [];
    whole = await x.segments.write(table, { name: i.name, select: selects.join('\nUNION ALL\n'), signal, session: s });
  } catch (e) {
    signal.throwIfAborted();
    // Which one of several it was is found out when they come one by one.
    if (i.files.length > 1) throw new Error(`${showFiles(i.files)}: ${readProblem(e instanceof Error ? e.message : String(e)).message}`);
    // Not with its cause, which would be shown behind it: it is the same at length.
    throw new Error(showProblem(i.files[0].path, await fileProblem(e, s, opened[0].file, source, columns)));
  }
  if (whole === null) return [];
  if (whole.rows <= i.maxRows) return [{ name: i.name, file: whole }];
  const parts = Math.ceil(whole.rows / i.maxRows);
  const own = x.segments.pathOf(whole);
  const segments: { name: string; file: SegmentFile }[] = [];
  try {
    if (parts > MAX_SEGMENTS)
      throw new Error(`${showFiles(i.files)}: ${whole.rows} rows would be ${parts} segments; ${MAX_SEGMENTS} is the limit: raise maxRowsPerSegment`);
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
