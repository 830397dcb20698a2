/**
 * FileIngestionTask: the files of a folder become segments, one file to a subtask unless small ones are to share. What a batch loaded is
 * seen with the commit that ends the batch; a full swap is seen with the commit that ends the plan, which names it as the table's current swap.
 */
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { PermanentError } from '../../sdk/handler-errors.ts';
import { oneTry } from '../../sdk/plans/one-try.ts';
import { type NextAnswer, type PlanContext, type Subtask, type TaskTypeDefinition, defineTaskType } from '../../sdk/plans/task-type.ts';
import { endSwap } from './end-swap.ts';
import { attemptsOf, failedCount, isFull, noFailures, showFailures } from './failed-inputs.ts';
import { groupFiles } from './file-groups.ts';
import { fileKey, filePrefix, foreignFiles, loadedFile, SHARED } from './file-registry.ts';
import { finishIngestion } from './finish-ingestion.ts';
import { FolderListings, placeAfter } from './folder-listings.ts';
import { type IngestionSettings, ingestionSettings } from './ingestion-settings.ts';
import { type IngestionInput, type IngestionResult, type IngestionState, ingestionStats } from './ingestion-state.ts';
import { type InputFile, loadFiles } from './load-file.ts';
import { existingFolder } from './local-folder.ts';
import { missingFiles } from './missing-files.ts';
import { LOST_TRIES } from './lost-tries.ts';
import { counted, currentSwap, itemsOf, MAX_WRITES, planUuid, segmentsOf, type TableTaskContext } from './table-task-context.ts';

/** Files that one subtask takes out of the table. */
const REMOVED_AT_ONCE = 500;
/** Files looked at together. */
const LOOK = 64;
/** Files of one batch: each is an entry of the registry in the commit that ends it. */
const MAX_FILES = 3_000;

type Context = PlanContext<IngestionState>;
type Answer = NextAnswer<IngestionState, IngestionInput>;

export function fileIngestion(x: TableTaskContext): TaskTypeDefinition<IngestionState, IngestionInput, IngestionResult> {
  const listings = new FolderListings();
  const settingsOf = (ctx: Pick<PlanContext, 'properties'>): IngestionSettings => ingestionSettings(ctx.properties, x.inputRoots).settings;
  const list = (ctx: Pick<PlanContext, 'planId' | 'signal'>, o: IngestionSettings, folder: string, round: string): Promise<readonly string[]> =>
    listings.files(`${ctx.planId} ${round}`, { folder, include: o.include, exclude: o.exclude }, ctx.signal);

  /** A file that is to be loaded; null: it is loaded, gone or too young. */
  const look = async (
    ctx: Context | PlanContext<null>,
    o: IngestionSettings,
    folder: string,
    set: string | null,
    swap: boolean,
    file: string,
  ): Promise<InputFile | null> => {
    let found: { isFile(): boolean; size: number; mtimeMs: number };
    try {
      found = await lstat(path.join(folder, file));
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw e;
    }
    // Without a limit, clocks that differ are nothing to wait for.
    if (!found.isFile() || (o.minAgeMs > 0 && x.now() - found.mtimeMs < o.minAgeMs)) return null;
    const item = await ctx.item(fileKey(set, file));
    if (item !== null) {
      const known = loadedFile(item);
      if ((o.mode === 'append' && !swap) || (known.size === found.size && known.mtimeMs === found.mtimeMs)) return null;
      if (known.sharedBy !== undefined) throw new PermanentError(`${file} has changed. ${SHARED}`);
    }
    return { path: file, size: found.size, mtimeMs: found.mtimeMs };
  };

  return defineTaskType<IngestionState, IngestionInput, IngestionResult>({
    name: 'FileIngestionTask',
    description: 'Loads files of a folder into a table, as they come or as its mirror image.',
    inputUnit: 'files',
    callTimeout: '10m',
    validate: (settings, resource) => {
      const { problems } = ingestionSettings(settings, x.inputRoots);
      if (resource.endsWith('_REALTIME')) problems.push(`${resource} is filled row by row: FileIngestionTask fills OFFLINE tables`);
      return problems;
    },

    async startPlan(ctx) {
      const o = settingsOf(ctx);
      const folder = await existingFolder('inputDirURI', o.folder, x.inputRoots);
      const swap = o.consistency === 'swap';
      const current = await currentSwap(ctx);
      const set = swap ? planUuid(ctx.planId) : current;
      const files = await list(ctx, o, folder, '1');
      let due = 0;
      for (let at = 0; at < files.length; at += LOOK) {
        ctx.signal.throwIfAborted();
        const looked = await Promise.all(files.slice(at, at + LOOK).map((f) => look(ctx, o, folder, set, swap, f)));
        due += looked.filter((f) => f !== null).length;
      }
      let leftovers = (await foreignFiles(ctx, [current, set]).next()).done !== true;
      for await (const { segment } of segmentsOf(ctx)) {
        if (segment.swap === current) continue;
        leftovers = true;
        break;
      }
      return {
        state: {
          folder,
          set,
          swap,
          phase: 'load',
          round: 1,
          after: null,
          alone: false,
          again: false,
          complete: false,
          failed: noFailures(),
          files: 0,
          rows: 0,
          removed: 0,
          leftovers,
        },
        inputsToProcess: due,
      };
    },

    async nextBatch(ctx) {
      const o = settingsOf(ctx);
      const limit = Math.min(o.batchSize, ctx.maxSubtasks);
      let s = ctx.state;
      for (;;) {
        ctx.signal.throwIfAborted();
        switch (s.phase) {
          case 'load': {
            const picked = await pickFiles(ctx, o, s, s.alone ? 1 : limit);
            if (picked.answer !== null) return picked.answer;
            s = afterRound(o, s);
            continue;
          }
          case 'remove': {
            const removal = await pickRemoved(ctx, o, s);
            if (removal !== null) return removal;
            s = { ...s, phase: 'done' };
            continue;
          }
          case 'done':
            return end(ctx, o, s);
          default:
            return s.phase satisfies never;
        }
      }
    },

    onBatchFinished: (ctx, batch) => finishIngestion(x, settingsOf(ctx), ctx, batch),

    onPlanEnd(ctx, status, message) {
      const s: IngestionState | null = ctx.state;
      for (let round = 1; round <= (s?.round ?? 0); round++) listings.forget(`${ctx.planId} ${round}`);
      listings.forget(`${ctx.planId} remove`);
      return s === null || !s.swap ? undefined : endSwap(x, ctx, status, message);
    },

    retry: LOST_TRIES,
    subtask: oneTry(async ({ input, signal }) =>
      input.kind === 'load' ? loadFiles(x, input, signal) : { kind: 'remove', gone: await missingFiles(x, input) },
    ),
  });

  async function pickFiles(ctx: Context, o: IngestionSettings, s: IngestionState, limit: number): Promise<{ answer: Answer | null }> {
    const files = await list(ctx, o, s.folder, String(s.round));
    // One by one again, if anything of a group failed: then it is the bad file that fails, and no other.
    const shared = s.round === 1 ? o.filesPerTask : 1;
    const most = Math.min(limit * shared, MAX_FILES);
    const picked: InputFile[] = [];
    // One more than is taken says whether there is more.
    for (let at = placeAfter(files, s.after); at < files.length && picked.length <= most; at += LOOK) {
      ctx.signal.throwIfAborted();
      const eligible = files.slice(at, at + LOOK).filter((f) => isDue(o, s, f));
      const looked = await Promise.all(eligible.map((f) => look(ctx, o, s.folder, s.set, s.swap, f)));
      for (const f of looked) if (f !== null && picked.length <= most) picked.push(f);
    }
    if (picked.length === 0) return { answer: null };
    const groups = groupFiles(picked.slice(0, most), shared).slice(0, limit);
    const taken = groups.flat();
    const last = picked.length === taken.length;
    const base = `${planUuid(ctx.planId)}-${ctx.batches}`;
    const subtasks = groups.map(
      (group, i): Subtask<IngestionInput> => ({
        name: `file-${i}`,
        units: group.length,
        input: {
          kind: 'load',
          resource: ctx.resource,
          folder: s.folder,
          files: group,
          name: `${base}-${i}`,
          round: s.round,
          maxRows: o.maxRowsPerSegment,
          file: o.file,
        },
      }),
    );
    const again = s.round > 1;
    return {
      answer: {
        kind: 'batch',
        subtasks,
        state: { ...s, after: taken.at(-1)!.path, complete: last },
        // A group fails with the one bad file in it, and in repeats only bad ones are left: neither says much of the folder.
        countFailures: s.round === firstAlone(o),
        message: `Loads ${counted(taken.length, 'file')}, ${taken[0].path} and on${again ? `, round ${s.round}` : ''}.`,
      },
    };
  }

  async function pickRemoved(ctx: Context, o: IngestionSettings, s: IngestionState): Promise<Answer | null> {
    const files = await list(ctx, o, s.folder, 'remove');
    const picked: { key: string; path: string }[] = [];
    let writes = 0;
    for await (const item of itemsOf(ctx, filePrefix(s.set), s.after ?? undefined)) {
      const { path: known, segments, sharedBy } = loadedFile(item);
      const at = placeAfter(files, known) - 1;
      if (files[at] === known) continue;
      if (sharedBy !== undefined) return { kind: 'abort', reason: `${known} is gone. ${SHARED}` };
      // Each segment goes, and its file is noted as garbage.
      const own = 1 + 2 * segments.length;
      if (picked.length > 0 && (picked.length >= REMOVED_AT_ONCE || writes + own > MAX_WRITES)) break;
      picked.push({ key: item.key, path: known });
      writes += own;
    }
    if (picked.length === 0) return null;
    if (files.length === 0 && !o.mayEmpty) {
      return {
        kind: 'abort',
        reason: `No file of ${s.folder} matches ${o.include}, and the table has ${counted(picked.length, 'file')} or more: set syncEmptyFolder to "true" if it is to be emptied.`,
      };
    }
    return {
      kind: 'batch',
      subtasks: [
        {
          name: 'removed-files',
          units: picked.length,
          input: { kind: 'remove', folder: s.folder, include: o.include, exclude: o.exclude, round: s.round, files: picked },
        },
      ],
      state: { ...s, after: picked.at(-1)!.key },
      message: `Takes out ${counted(picked.length, 'file')} that ${picked.length === 1 ? 'is' : 'are'} gone.`,
    };
  }
}

/** Whether a file is looked at in this pass of this round. */
function isDue(o: IngestionSettings, s: IngestionState, file: string): boolean {
  const attempts = attemptsOf(s.failed, file);
  if (attempts >= o.maxAttempts) return false;
  return o.consistency !== 'batch' || attempts > 0 === s.alone;
}

/** The round in which each file is a subtask of its own. */
const firstAlone = (o: IngestionSettings): number => (o.filesPerTask > 1 ? 2 : 1);

/** The folder was gone through: what comes now. */
function afterRound(o: IngestionSettings, s: IngestionState): IngestionState {
  const retries = Object.values(s.failed.known).some((f) => f.attempts < o.maxAttempts);
  if (o.consistency === 'batch') {
    if (!s.alone && s.again && !isFull(s.failed)) return { ...s, round: s.round + 1, after: null, again: false };
    // What failed before may be gone from the folder: only a failure of this pass is a reason for another.
    if (retries && (!s.alone || s.again)) return { ...s, round: s.round + 1, after: null, again: false, alone: true };
  } else if (s.again && s.round < o.maxAttempts + firstAlone(o) - 1) return { ...s, round: s.round + 1, after: null, again: false };
  const mirrors = o.mode === 'sync' && !s.swap;
  return { ...s, phase: mirrors ? 'remove' : 'done', after: null, alone: false };
}

function end(ctx: Context, o: IngestionSettings, s: IngestionState): Answer {
  const failed = failedCount(s.failed);
  const stats = ingestionStats(s);
  if (failed > 0 && s.swap) return { kind: 'abort', reason: `No swap: ${showFailures(s.failed, 'file')}` };
  if (o.consistency === 'batch' && isFull(s.failed)) return { kind: 'abort', reason: `Too many files failed: ${showFailures(s.failed, 'file')}` };
  if (ctx.batches === 0) return { kind: 'done', message: `Nothing to load: no file of ${s.folder} that matches ${o.include} is new.` };
  const parts = [`${counted(s.files, 'file')} loaded (${counted(s.rows, 'row')})`];
  if (s.removed > 0) parts.push(`${counted(s.removed, 'file')} taken out`);
  if (failed > 0) parts.push(showFailures(s.failed, 'file'));
  return { kind: 'done', message: `${parts.join('; ')}.`, state: { ...s, complete: true }, customStats: stats };
}
