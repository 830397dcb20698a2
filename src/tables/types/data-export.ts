/**
 * DataExportTask: sealed segments of a REALTIME table become files of an external folder. A batch stages segments; what it staged is
 * committed by a later batch. The plan is complete when nothing is left to stage and nothing waits for its commit.
 */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { Json } from '../../core/definition.ts';
import type { ResourceItem } from '../../engine/resource-port.ts';
import { oneTry } from '../../sdk/plans/one-try.ts';
import { type NextAnswer, type PlanContext, type Subtask, type TaskTypeDefinition, defineTaskType } from '../../sdk/plans/task-type.ts';
import { isVisible } from '../segments.ts';
import {
  type CommitInput,
  type CommitResult,
  EXPORT_FORMATS,
  type ExportFormat,
  type PendingCommit,
  type StageInput,
  type StageResult,
  commitExport,
  manifestName,
  stageSegment,
} from './export-files.ts';
import { attemptsOf, type FailedInputs, failedCount, failureStats, isFull, noFailures, showFailures, withFailure, withoutFailure } from './failed-inputs.ts';
import { NOT_LOCAL, checkTarget, folderProblem, localPath } from './local-folder.ts';
import { LOST_TRIES } from './lost-tries.ts';
import { SettingReader, type Settings } from './setting-reader.ts';
import { counted, countOf, currentSwap, type ItemWrites, itemsOf, MAX_WRITES, planUuid, segmentsOf, type TableTaskContext } from './table-task-context.ts';

export interface ExportState {
  root: string;
  /** Stands for the folder in keys of items: a table may be exported to several. */
  target: string;
  after: string | null;
  /** This pass through the segments has found some, or something of it failed: there is another. */
  again: boolean;
  /** By segment. */
  failed: FailedInputs;
  /** By number of manifest. */
  failedCommits: FailedInputs;
  staged: number;
  committed: number;
  rows: number;
}

type Input = StageInput | CommitInput;
type Result = StageResult | CommitResult;
type Context = PlanContext<ExportState>;

interface ExportSettings {
  folder: string;
  format: ExportFormat;
  partitionBy: string[];
  batchSize: number;
  maxAttempts: number;
}

const COMMIT = 'manifest ';
/** Segments of one manifest: its item has them all. */
const SEGMENTS_PER_COMMIT = 1_000;
const LOOK = 64;

function exportSettings(settings: Settings, roots: readonly string[] | null): { settings: ExportSettings; problems: string[] } {
  const r = new SettingReader(settings);
  const uri = r.required('outputDirURI', 'the folder to write to');
  const folder = uri === '' ? '' : localPath(uri);
  const forbidden = folder === null || uri === '' ? null : folderProblem('outputDirURI', folder, roots);
  if (folder === null) r.refuse(`outputDirURI ${NOT_LOCAL}, not ${JSON.stringify(uri)}`);
  else if (forbidden !== null) r.refuse(forbidden);
  else if (/[*?[\]]/.test(folder)) r.refuse(`outputDirURI must not have any of * ? [ ] in its path: ${folder}`);
  const partitionBy = (r.text('partitionBy') ?? '')
    .split(',')
    .map((p) => p.trim())
    .filter((p) => p !== '');
  if (new Set(partitionBy.map((p) => p.toLowerCase())).size < partitionBy.length) r.refuse('partitionBy names a column twice');
  const result = {
    folder: folder ?? '',
    format: r.choice('outputFormat', EXPORT_FORMATS, 'parquet'),
    partitionBy,
    batchSize: r.batchSize(),
    maxAttempts: r.whole('maxAttemptsPerSegment', 3, 1, 100),
  };
  r.refuseMisspelt();
  return { settings: result, problems: r.problems };
}

const pendingPrefix = (target: string): string => `export-pending/${target}/`;
const pendingKey = (target: string, n: number): string => `${pendingPrefix(target)}${String(n).padStart(9, '0')}`;
const nextKey = (target: string): string => `export-next/${target}`;
export const exportedKey = (target: string, segment: string): string => `exported/${target}/${segment}`;
export const targetOf = (root: string): string => createHash('sha256').update(root).digest('hex').slice(0, 12);
const pendingOf = (i: ResourceItem): PendingCommit => i.body as unknown as PendingCommit;

async function pendings(ctx: Pick<Context, 'items' | 'item'>, target: string): Promise<ResourceItem[]> {
  const found: ResourceItem[] = [];
  for await (const i of itemsOf(ctx, pendingPrefix(target))) found.push(i);
  return found;
}

export function dataExport(x: TableTaskContext): TaskTypeDefinition<ExportState, Input, Result> {
  const settingsOf = (ctx: Pick<PlanContext, 'properties'>): ExportSettings => exportSettings(ctx.properties, x.outputRoots).settings;

  /** Segments behind a name that are neither exported nor waiting for it, at most so many. */
  const unexported = async (
    ctx: Context | PlanContext<null>,
    target: string,
    o: { after: string | null; limit: number; skip: (name: string) => boolean },
  ): Promise<string[]> => {
    const waiting = new Set((await pendings(ctx, target)).flatMap((i) => pendingOf(i).segments.map((s) => s.name)));
    const swap = await currentSwap(ctx);
    const found: string[] = [];
    let looking: string[] = [];
    const look = async (): Promise<void> => {
      ctx.signal.throwIfAborted();
      const items = await Promise.all(looking.map((name) => ctx.item(exportedKey(target, name))));
      found.push(...looking.filter((_, i) => items[i] === null));
      looking = [];
    };
    for await (const { name, segment } of segmentsOf(ctx, o.after)) {
      if (!isVisible(segment, swap) || waiting.has(name) || o.skip(name)) continue;
      looking.push(name);
      if (looking.length === LOOK) await look();
      if (found.length >= o.limit) break;
    }
    await look();
    return found.slice(0, o.limit);
  };

  return defineTaskType<ExportState, Input, Result>({
    name: 'DataExportTask',
    description: 'Copies sealed segments of a REALTIME table to a folder, as Parquet or CSV, with a manifest for each commit.',
    inputUnit: 'segments',
    callTimeout: '10m',

    async validate(settings, resource) {
      const { settings: o, problems } = exportSettings(settings, x.outputRoots);
      if (resource.endsWith('_OFFLINE')) problems.push(`${resource} has no segments that are sealed: DataExportTask reads REALTIME tables`);
      const table = o.partitionBy.length === 0 ? null : await x.segments.table(resource).catch(() => null);
      for (const p of table === null ? [] : o.partitionBy) {
        if (!table!.schema.columns.some((c) => c.name.toLowerCase() === p.toLowerCase()))
          problems.push(`partitionBy: the table has no column ${p}; there are ${table!.schema.columns.map((c) => c.name).join(', ')}`);
      }
      if (problems.length === 0 && table !== null && o.partitionBy.length >= table.schema.columns.length) problems.push('partitionBy must leave a column');
      return problems;
    },

    async startPlan(ctx) {
      const o = settingsOf(ctx);
      // A folder of its own in the target: two tables that are exported to one place do not write over each other's manifests.
      const root = path.join(o.folder, ctx.resource);
      await checkTarget('outputDirURI', root, x.outputRoots);
      const target = targetOf(root);
      const due = await unexported(ctx, target, { after: null, limit: Number.MAX_SAFE_INTEGER, skip: () => false });
      const waiting = (await pendings(ctx, target)).reduce((sum, i) => sum + pendingOf(i).segments.length, 0);
      return {
        state: { root, target, after: null, again: false, failed: noFailures(), failedCommits: noFailures(), staged: 0, committed: 0, rows: 0 },
        inputsToProcess: due.length + waiting,
      };
    },

    async nextBatch(ctx): Promise<NextAnswer<ExportState, Input>> {
      const o = settingsOf(ctx);
      let s = ctx.state;
      const limit = Math.min(o.batchSize, ctx.maxSubtasks);
      const commits = (await pendings(ctx, s.target)).slice(0, limit).map(pendingOf);
      const stuck = commits.find((c) => attemptsOf(s.failedCommits, `${COMMIT}${c.n}`) >= o.maxAttempts);
      if (stuck !== undefined)
        return { kind: 'abort', reason: `${manifestName(stuck.n)} could not be committed: ${s.failedCommits.known[`${COMMIT}${stuck.n}`].message}` };
      if (isFull(s.failed)) return { kind: 'abort', reason: `Too many segments failed: ${showFailures(s.failed, 'segment')}` };
      const room = limit - commits.length;
      const skip = (name: string): boolean => attemptsOf(s.failed, name) >= o.maxAttempts;
      let names = room === 0 ? [] : await unexported(ctx, s.target, { after: s.after, limit: room, skip });
      if (names.length === 0 && room > 0 && (s.again || s.after !== null)) {
        // Segments that were sealed since, or failed, may have names that lie behind.
        s = { ...s, again: false, after: null };
        names = await unexported(ctx, s.target, { after: null, limit: room, skip });
      }
      if (names.length === 0 && commits.length === 0) return finished(ctx, s);
      const plan = planUuid(ctx.planId);
      const subtasks: Subtask<Input>[] = [
        ...commits.map((c) => ({
          name: `commit-${c.n}`,
          // They were inputs of the batch that staged them.
          units: 0,
          priority: 0,
          input: {
            kind: 'commit' as const,
            resource: ctx.resource,
            root: s.root,
            key: pendingKey(s.target, c.n),
            n: c.n,
            attempt: attemptsOf(s.failedCommits, `${COMMIT}${c.n}`) + 1,
          },
        })),
        ...names.map((name, i) => ({
          name: `segment-${i}`,
          input: {
            kind: 'stage' as const,
            resource: ctx.resource,
            name,
            root: s.root,
            plan,
            format: o.format,
            partitionBy: o.partitionBy,
            attempt: attemptsOf(s.failed, name) + 1,
          },
        })),
      ];
      return {
        kind: 'batch',
        subtasks,
        state: { ...s, after: names.at(-1) ?? s.after },
        countFailures: subtasks.some((t) => t.input.attempt === 1),
        message: `Stages ${counted(names.length, 'segment')}, commits ${counted(commits.length, 'manifest')}.`,
      };
    },

    async onBatchFinished(ctx, batch) {
      const o = settingsOf(ctx);
      let s: ExportState = { ...ctx.state };
      const w: ItemWrites = { put: [], remove: [] };
      const staged: PendingCommit['segments'] = [];
      let processed = 0;
      for await (const t of batch.subtasks) {
        const { input } = t;
        if (t.state !== 'complete') {
          if (input.kind === 'stage') s = { ...s, again: true, failed: withFailure(s.failed, input.name, `segment ${input.name}: ${t.error.message}`) };
          else s.failedCommits = withFailure(s.failedCommits, `${COMMIT}${input.n}`, t.error.message);
        } else if (input.kind === 'commit') {
          s.failedCommits = withoutFailure(s.failedCommits, `${COMMIT}${input.n}`);
          const done = await addCommitted(ctx, s.target, w, input, x.now());
          processed += done;
          s = { ...s, committed: s.committed + done, rows: s.rows + (done > 0 ? (t.result as CommitResult).rows : 0) };
        } else {
          const result = t.result as StageResult;
          s.failed = withoutFailure(s.failed, input.name);
          if (result.staged === null) processed++;
          else staged.push({ name: input.name, staged: result.staged, rows: result.rows });
        }
      }
      if (batch.counts.complete < batch.counts.total) s.again = true;
      s.staged += staged.length;
      await addPending(ctx, s.target, w, { at: x.now(), format: o.format, partitionBy: o.partitionBy, segments: staged });
      return { state: s, processed, customStats: statsOf(s), changes: w };
    },

    async onPlanEnd(ctx) {
      const s: ExportState | null = ctx.state;
      if (s === null) return;
      // What the tries that failed have left. What still waits for its commit is of the next plan.
      const own = `_staging/${planUuid(ctx.planId)}`;
      const needed = (await pendings(ctx, s.target)).some((i) => pendingOf(i).segments.some((p) => p.staged.startsWith(`${own}/`)));
      if (needed) return;
      await rm(path.join(s.root, own), { recursive: true, force: true }).catch((e: NodeJS.ErrnoException) => {
        // A file stands where the folder should be: nothing was ever staged below it.
        if (e.code !== 'ENOTDIR') throw e;
      });
    },

    retry: LOST_TRIES,
    subtask: oneTry(async ({ input, signal }): Promise<Result> => {
      if (input.kind === 'stage') return stageSegment(x, input, signal);
      const item = await x.resources.item(input.resource, input.key);
      return commitExport(x, input, item === null ? null : pendingOf(item));
    }),
  });
}

function finished(ctx: Context, s: ExportState): NextAnswer<ExportState, Input> {
  if (ctx.batches === 0) return { kind: 'done', message: 'Every sealed segment is exported.' };
  const parts = [`${counted(s.committed, 'segment')} exported (${counted(s.rows, 'row')}) to ${s.root}`];
  if (failedCount(s.failed) > 0) parts.push(showFailures(s.failed, 'segment'));
  return { kind: 'done', message: `${parts.join('; ')}.`, customStats: statsOf(s) };
}

const statsOf = (s: ExportState): Record<string, string> => ({
  stagedSegments: String(s.staged),
  exportedSegments: String(s.committed),
  exportedRows: String(s.rows),
  ...failureStats(s.failed, 'Segments'),
});

/** Its segments are exported for good. 0: it is written already, or has to wait for a commit with more room. */
async function addCommitted(ctx: Context, target: string, w: ItemWrites, i: CommitInput, at: number): Promise<number> {
  const item = await ctx.item(i.key);
  if (item === null) return 0;
  const { segments } = pendingOf(item);
  if (countOf(w) + segments.length + 1 > MAX_WRITES) return 0;
  w.remove.push({ key: i.key, expect: item.version });
  for (const { name, rows } of segments) w.put.push({ key: exportedKey(target, name), body: { manifest: i.n, rows, at } });
  return segments.length;
}

async function addPending(ctx: Context, target: string, w: ItemWrites, p: Omit<PendingCommit, 'n'>): Promise<void> {
  const item = await ctx.item(nextKey(target));
  // Another run may have been at the same segments: the item of the next number, expected as it is, puts the two in an order.
  const waiting = new Set((await pendings(ctx, target)).flatMap((i) => pendingOf(i).segments.map((s) => s.name)));
  const segments: PendingCommit['segments'] = [];
  for (const s of p.segments) if (!waiting.has(s.name) && (await ctx.item(exportedKey(target, s.name))) === null) segments.push(s);
  if (segments.length === 0) return;
  let n = item === null ? 1 : (item.body as { next: number }).next;
  for (let at = 0; at < segments.length; at += SEGMENTS_PER_COMMIT) {
    const body: PendingCommit = { ...p, n, segments: segments.slice(at, at + SEGMENTS_PER_COMMIT) };
    w.put.push({ key: pendingKey(target, n++), body: body as unknown as Json, expect: null });
  }
  w.put.push({ key: nextKey(target), body: { next: n }, expect: item?.version ?? null });
}
