/** What a batch of FileIngestionTask did: its segments and its files in the registry, written with the commit that ends the batch. */
import type { Json } from '../../core/definition.ts';
import type { BatchOutcome, FinishAnswer, PlanContext } from '../../sdk/plans/task-type.ts';
import { type FailedInputs, withFailure, withoutFailure } from './failed-inputs.ts';
import { showFiles } from './file-groups.ts';
import { fileBody, fileKey, foreignFiles, loadedFile } from './file-registry.ts';
import { type IngestionInput, type IngestionResult, type IngestionState, ingestionStats } from './ingestion-state.ts';
import type { IngestionSettings } from './ingestion-settings.ts';
import type { LoadInput, LoadResult } from './load-file.ts';
import {
  addSegment,
  countOf,
  currentSwap,
  type ItemWrites,
  MAX_WRITES,
  removeSegment,
  segmentNow,
  segmentsOf,
  type TableTaskContext,
} from './table-task-context.ts';

/** Segments of dead swaps that one commit removes beside its own work. */
const LEFTOVERS_AT_ONCE = 500;
/** Younger ones may be of a run that goes on. */
const LEFTOVER_AGE_MS = 24 * 3_600_000;

type Context = PlanContext<IngestionState>;

export async function finishIngestion(
  x: TableTaskContext,
  o: IngestionSettings,
  ctx: Context,
  batch: BatchOutcome<IngestionInput, IngestionResult>,
): Promise<FinishAnswer<IngestionState>> {
  const loads: { input: LoadInput; result: LoadResult }[] = [];
  const gone: string[] = [];
  let s: IngestionState = { ...ctx.state };
  for await (const t of batch.subtasks) {
    if (t.state === 'complete') {
      if (t.result.kind === 'remove') gone.push(...t.result.gone);
      else loads.push({ input: t.input as LoadInput, result: t.result });
    } else if (t.input.kind === 'load' && t.input.files.length === 1) {
      // Of a group that failed nobody knows yet who is to blame: they come again one by one.
      const [{ path }] = t.input.files;
      s.failed = withFailure(s.failed, path, failureText(path, t.error.message));
    }
  }
  const allDone = batch.counts.complete === batch.counts.total;
  if (!allDone) s = { ...s, again: true, complete: false };
  const w: ItemWrites = { put: [], remove: [] };
  let processed = 0;
  // Together or not at all: what the others loaded is loaded again without the one that failed.
  if (o.consistency !== 'batch' || allDone) {
    // What is said where none of the batch may be seen: nothing of it is written, and nothing counted.
    const nothing = (failed: FailedInputs): FinishAnswer<IngestionState> => ({ state: { ...before, again: true, complete: false, failed }, processed: 0 });
    const before = s;
    for (const { input, result } of loads) {
      const { files } = input;
      if (countOf(w) + files.length + 3 * result.segments.length > MAX_WRITES) {
        const why = `${showFiles(files)}: the batch has too many segments for one commit: lower tableMaxNumTasks or raise maxRowsPerSegment`;
        if (o.consistency === 'batch') return nothing(withFailure(before.failed, files[0].path, why));
        // Counted, or a plan could end as if they were in: a swap would switch without them.
        s = { ...s, again: true, complete: false };
        for (const { path } of files) s.failed = withFailure(s.failed, path, why);
        continue;
      }
      const added = files.length === 1 ? await addFile(x, ctx, s, w, input, result) : await addGroup(x, ctx, s, w, input, result);
      if (added) s = { ...s, files: s.files + files.length, rows: s.rows + result.rows };
      else if (files.length > 1) {
        if (o.consistency === 'batch') return nothing(before.failed);
        s = { ...s, again: true, complete: false };
        continue;
      }
      for (const { path } of files) s.failed = withoutFailure(s.failed, path);
      processed += files.length;
    }
  }
  for (const key of gone) {
    if (await removeFile(x, ctx, w, key)) s.removed++;
    processed++;
  }
  if (s.leftovers) s.leftovers = await addLeftovers(x, ctx, s, w);
  return { state: s, processed, customStats: ingestionStats(s), changes: w };
}

/** Messages of subtasks begin with the file; those of the engine (a lost attempt) do not. */
const failureText = (path: string, message: string): string => (message.startsWith(path) ? message : `${path}: ${message}`);

/** False: somebody else has loaded it, as it is, since it was looked at. */
async function addFile(x: TableTaskContext, ctx: Context, s: IngestionState, w: ItemWrites, i: LoadInput, result: LoadResult): Promise<boolean> {
  const [{ path, size, mtimeMs }] = i.files;
  const key = fileKey(s.set, path);
  const item = await ctx.item(key);
  const old = item === null ? null : loadedFile(item);
  if (old !== null && old.size === size && old.mtimeMs === mtimeMs) return false;
  // Its old rows cannot be taken out of segments that others share.
  if (old?.sharedBy !== undefined) return false;
  const segments = result.segments.map((f) => f.name);
  w.put.push({ key, body: fileBody({ path, size, mtimeMs, rows: result.rows, segments, at: x.now() }), expect: item?.version ?? null });
  addSegments(x, w, s, result, { plan: ctx.planId, source: path });
  await removeSegments(x, ctx, w, old?.segments ?? []);
  return true;
}

/** False: somebody else has loaded one of them since they were looked at, and its rows cannot be left out any more. */
async function addGroup(x: TableTaskContext, ctx: Context, s: IngestionState, w: ItemWrites, i: LoadInput, result: LoadResult): Promise<boolean> {
  for (const { path } of i.files) if ((await ctx.item(fileKey(s.set, path))) !== null) return false;
  const segments = result.segments.map((f) => f.name);
  const at = x.now();
  for (const { path, size, mtimeMs } of i.files) {
    const body = fileBody({ path, size, mtimeMs, rows: null, segments, sharedBy: i.files.length, at });
    w.put.push({ key: fileKey(s.set, path), body, expect: null });
  }
  addSegments(x, w, s, result, { plan: ctx.planId, source: i.files[0].path, files: i.files.length });
  return true;
}

function addSegments(x: TableTaskContext, w: ItemWrites, s: IngestionState, result: LoadResult, lineage: Record<string, Json>): void {
  for (const { name, file } of result.segments) addSegment(w, name, x.segments.segment(file, { schemaVersion: result.schemaVersion, swap: s.set, lineage }));
}

async function removeFile(x: TableTaskContext, ctx: Context, w: ItemWrites, key: string): Promise<boolean> {
  const item = await ctx.item(key);
  if (item === null) return false;
  w.remove.push({ key, expect: item.version });
  await removeSegments(x, ctx, w, loadedFile(item).segments);
  return true;
}

async function removeSegments(x: TableTaskContext, ctx: Context, w: ItemWrites, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const stored = await segmentNow(ctx, name);
    // Purged until nothing was left of it.
    if (stored !== null) removeSegment(w, stored, x.now());
  }
}

/** Returns whether there may be more. */
async function addLeftovers(x: TableTaskContext, ctx: Context, s: IngestionState, w: ItemWrites): Promise<boolean> {
  const current = await currentSwap(ctx);
  let found = 0;
  for await (const stored of segmentsOf(ctx)) {
    const { swap, createdAt } = stored.segment;
    if (swap === current || swap === s.set || createdAt > ctx.createdAt - LEFTOVER_AGE_MS) continue;
    if (found === LEFTOVERS_AT_ONCE || countOf(w) + 2 > MAX_WRITES) return true;
    removeSegment(w, stored, x.now());
    found++;
  }
  for await (const item of foreignFiles(ctx, [current, s.set])) {
    if (loadedFile(item).at > ctx.createdAt - LEFTOVER_AGE_MS) continue;
    if (countOf(w) === MAX_WRITES) return true;
    w.remove.push({ key: item.key, expect: item.version });
  }
  return false;
}
