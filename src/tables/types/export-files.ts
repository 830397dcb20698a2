/**
 * The subtasks of DataExportTask. One stages a segment in a folder of its own; one commits what was staged: it moves the files to where they
 * belong and then writes the manifest that names them, all at once. Both may be done again after a crash.
 */
import { lstat, mkdtemp, readFile, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { syncFile, syncFolder } from '../segments.ts';
import { quoteName, quotePath, quoteText } from '../sql-text.ts';
import { columnsOf } from '../table-schema.ts';
import { filesBelow, writeWhole } from './durable-files.ts';
import { existingFolder, makeTarget } from './local-folder.ts';
import type { TableTaskContext } from './table-task-context.ts';

export const EXPORT_FORMATS = ['parquet', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface StageInput {
  kind: 'stage';
  resource: string;
  name: string;
  /** Folder of the table in the target. */
  root: string;
  plan: string;
  format: ExportFormat;
  partitionBy: readonly string[];
  attempt: number;
}

export interface StageResult {
  kind: 'stage';
  /** Below `root`; null: the segment is gone, so there is nothing to export. */
  staged: string | null;
  rows: number;
  bytes: number;
}

/** What waits for its commit. Kept as an item of the table, so that it is not forgotten with the plan. */
export interface PendingCommit {
  /** Number of its manifest. */
  n: number;
  at: number;
  format: ExportFormat;
  partitionBy: string[];
  segments: { name: string; staged: string; rows: number }[];
}

export interface CommitInput {
  kind: 'commit';
  resource: string;
  root: string;
  /** Of the item that has the rest. */
  key: string;
  n: number;
  attempt: number;
}

export interface CommitResult {
  kind: 'commit';
  files: number;
  rows: number;
}

const LIST = '_files.json';

interface Listed {
  /** Below `root` in the end. */
  path: string;
  bytes: number;
}

interface StagedFile extends Listed {
  /** Below the staging folder. Absent: the same. */
  from?: string;
}

/** Bytes of a folder's name, on every file system that matters. */
const MAX_NAME = 255;
const HASH = 32;

/** Stands for a partition column while files are staged: no column of a table has such a name. */
const partName = (i: number): string => `p-${i}`;

/**
 * What a partition's folder says of a value. One for which no name of a folder is long enough is cut short, and told from others by a hash:
 * the same wherever it is met. A character has four bytes at most, of which each may be written with three.
 */
function partLabel(column: string): string {
  const value = `${quoteName(column)}::VARCHAR`;
  const room = MAX_NAME - column.length - 1;
  const kept = Math.floor((room - 1 - HASH) / 12);
  return `CASE WHEN strlen(url_encode(${value})) > ${room} THEN left(${value}, ${kept}) || '~' || left(sha256(${value}), ${HASH}) ELSE ${value} END`;
}

export async function stageSegment(x: TableTaskContext, i: StageInput, signal: AbortSignal): Promise<StageResult> {
  const stored = await x.segments.one(i.resource, i.name);
  if (stored === null) return { kind: 'stage', staged: null, rows: 0, bytes: 0 };
  const parent = path.join(i.root, '_staging', i.plan);
  await makeTarget('outputDirURI', parent, x.outputRoots);
  const folder = await mkdtemp(path.join(parent, `${i.name.slice(0, 60)}.`));
  const table = await x.segments.table(i.resource);
  const columns = new Map(table.schema.columns.map((c) => [c.name.toLowerCase(), c.name]));
  const parts = i.partitionBy.map((p) => {
    const name = columns.get(p.toLowerCase());
    if (name === undefined) throw new Error(`partitionBy: the table has no column ${p}`);
    return name;
  });
  const { segment } = stored;
  const all = `SELECT ${columnsOf(table.schema, segment.schemaVersion).join(', ')} FROM read_parquet(${quotePath(x.segments.pathOf(segment))})`;
  // The columns themselves stay in the files.
  const select = parts.length === 0 ? all : `SELECT *, ${parts.map((c, n) => `${partLabel(c)} AS ${quoteName(partName(n))}`).join(', ')} FROM (${all})`;
  const form = i.format === 'parquet' ? 'FORMAT parquet, COMPRESSION zstd' : 'FORMAT csv, HEADER true';
  // A pattern for names of files has no quoting: names of segments are letters, digits, `_`, `.` and `-`.
  const to =
    parts.length === 0
      ? `${quotePath(path.join(folder, `${i.name}.${i.format}`))} (${form})`
      : `${quotePath(folder)} (${form}, PARTITION_BY (${parts.map((_, n) => quoteName(partName(n))).join(', ')}), OVERWRITE_OR_IGNORE true, FILENAME_PATTERN ${quoteText(`${i.name}-{i}`)})`;
  const rows = await x.segments.reading([segment], () => x.duck.run(`COPY (${select}) TO ${to}`, [], { signal }));
  const files: StagedFile[] = [];
  const folders = new Set([folder]);
  for (const file of await filesBelow(folder)) {
    const named = file.replace(/(?<=^|\/)p-(\d+)(?==)/g, (_, n: string) => parts[Number(n)]);
    files.push({ path: named, from: file, bytes: await syncFile(path.join(folder, file)) });
    for (let at = path.dirname(path.join(folder, file)); at !== folder; at = path.dirname(at)) folders.add(at);
  }
  for (const f of folders) await syncFolder(f);
  await writeWhole(path.join(folder, LIST), JSON.stringify(files));
  await syncFolder(parent);
  return { kind: 'stage', staged: path.relative(i.root, folder).split(path.sep).join('/'), rows, bytes: files.reduce((sum, f) => sum + f.bytes, 0) };
}

export const manifestName = (n: number): string => `manifest-${String(n).padStart(6, '0')}.json`;

export interface Manifest {
  table: string;
  manifest: number;
  format: ExportFormat;
  partitionBy: string[];
  /** When its commit was asked for. */
  createdAt: string;
  rows: number;
  segments: { name: string; rows: number }[];
  /** Below the folder of the manifest. */
  files: Listed[];
}

export async function commitExport(x: Pick<TableTaskContext, 'outputRoots'>, i: CommitInput, pending: PendingCommit | null): Promise<CommitResult> {
  const manifest = path.join(i.root, manifestName(i.n));
  const written = await readJson<Manifest>(manifest);
  if (pending === null) {
    if (written === null) throw new Error(`${manifestName(i.n)}: what was to be committed is gone`);
    return { kind: 'commit', files: written.files.length, rows: written.rows };
  }
  const files: Listed[] = [];
  await existingFolder('outputDirURI', i.root, x.outputRoots);
  if (written === null) {
    // The folder itself may be as new as what is in it.
    const folders = new Set<string>([i.root, path.dirname(i.root)]);
    const made = new Set<string>([i.root]);
    for (const { name, staged } of pending.segments) {
      const from = path.join(i.root, staged);
      const list = await readJson<StagedFile[]>(path.join(from, LIST));
      if (list === null) throw new Error(`${manifestName(i.n)}: the staged files of segment ${name} are gone from ${staged}`);
      for (const f of list) {
        const to = path.join(i.root, f.path);
        const folder = path.dirname(to);
        if (!made.has(folder)) await makeTarget('outputDirURI', folder, x.outputRoots);
        made.add(folder);
        await moveFile(path.join(from, f.from ?? f.path), to, f.bytes);
        for (let at = folder; at.startsWith(i.root); at = path.dirname(at)) folders.add(at);
        files.push({ path: f.path, bytes: f.bytes });
      }
    }
    for (const f of folders) await syncFolder(f);
    const body: Manifest = {
      table: i.resource,
      manifest: i.n,
      format: pending.format,
      partitionBy: pending.partitionBy,
      createdAt: new Date(pending.at).toISOString(),
      rows: pending.segments.reduce((sum, s) => sum + s.rows, 0),
      segments: pending.segments.map(({ name, rows }) => ({ name, rows })),
      files,
    };
    await writeWhole(manifest, `${JSON.stringify(body, null, 1)}\n`);
  } else files.push(...written.files);
  for (const { staged } of pending.segments) {
    const folder = path.join(i.root, staged);
    await rm(folder, { recursive: true, force: true });
    // The last one of its plan takes the plan's folder along.
    await rmdir(path.dirname(folder)).catch(() => {});
  }
  return { kind: 'commit', files: files.length, rows: pending.segments.reduce((sum, s) => sum + s.rows, 0) };
}

/** Done already where the file stands there: an earlier try has moved it. */
async function moveFile(from: string, to: string, bytes: number): Promise<void> {
  try {
    await rename(from, to);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw e;
    const there = await lstat(to).catch(() => null);
    if (there === null || there.size !== bytes) throw new Error(`${to}: neither there nor staged`, { cause: e });
  }
}

async function readJson<T>(file: string): Promise<T | null> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw e;
  }
  return JSON.parse(text) as T;
}
