/** What a batch of FileIngestionTask did: its segments and its files in the registry, written with the commit that ends the batch. */
import type { BatchOutcome, FinishAnswer, PlanContext } from '../../sdk/plans/task-type.ts';
import { withFailure, withoutFailure } from './failed-inputs.ts';
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
    } else if (t.input.kind === 'load') s.failed = withFailure(s.failed, t.input.path, failureText(t.input.path, t.error.message));
  }
  const allDone = batch.counts.complete === batch.counts.total;
  if (!allDone) s = { ...s, again: true, complete: false };
  const w: ItemWrites = { put: [], remove: [] };
  let processed = 0;
  // Together or not at all: what the others loaded is loaded again without the one that failed.
  if (o.consistency !== 'batch' || allDone) {
    for (const { input, result } of loads) {
      if (countOf(w) + 1 + 3 * result.segments.length > MAX_WRITES) {
        if (o.consistency === 'batch')
          return {
            state: {
              ...s,
              again: true,
              failed: withFailure(
                s.failed,
                input.path,
                `${input.path}: the batch has too many segments for one commit: lower tableMaxNumTasks or raise maxRowsPerSegment`,
              ),
            },
            processed: 0,
          };
        s = { ...s, again: true, complete: false };
        continue;
      }
      if (await addFile(x, ctx, s, w, input, result)) s = { ...s, files: s.files + 1, rows: s.rows + result.rows };
      s.failed = withoutFailure(s.failed, input.path);
      processed++;
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
  const key = fileKey(s.set, i.path);
  const item = await ctx.item(key);
  const old = item === null ? null : loadedFile(item);
  if (old !== null && old.size === i.size && old.mtimeMs === i.mtimeMs) return false;
  const names = result.segments.map((f) => f.name);
  w.put.push({
    key,
    body: fileBody({ path: i.path, size: i.size, mtimeMs: i.mtimeMs, rows: result.rows, segments: names, at: x.now() }),
    expect: item?.version ?? null,
  });
  for (const { name, file } of result.segments) {
    const lineage = { plan: ctx.planId, source: i.path };
    addSegment(w, name, x.segments.segment(file, { schemaVersion: result.schemaVersion, swap: s.set, lineage }));
  }
  await removeSegments(x, ctx, w, old?.segments ?? []);
  return true;
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
