/**
 * SegmentPurgeTask: segment by segment, the rows that a condition names are left out. A segment goes on under its name with another file,
 * if it is still what the subtask read; which segments there are to look at is fixed when the plan begins.
 */
import { oneTry } from '../../sdk/plans/one-try.ts';
import { type NextAnswer, type PlanContext, type TaskTypeDefinition, defineTaskType } from '../../sdk/plans/task-type.ts';
import { isTuttiError } from '../../core/errors.ts';
import { isVisible, type SegmentFile, type StoredSegment, type TableData } from '../segments.ts';
import { quotePath } from '../sql-text.ts';
import { columnsOf } from '../table-schema.ts';
import { attemptsOf, type FailedInputs, failedCount, failureStats, noFailures, showFailures, withFailure, withoutFailure } from './failed-inputs.ts';
import { LOST_TRIES } from './lost-tries.ts';
import { checkPredicate, type PurgeCondition, retentionCondition } from './purge-condition.ts';
import { SettingReader, type Settings } from './setting-reader.ts';
import { counted, currentSwap, type ItemWrites, removeSegment, replaceSegment, segmentNow, segmentsOf, type TableTaskContext } from './table-task-context.ts';

export interface PurgeState {
  condition: PurgeCondition | null;
  /** Why there is none, or the plan cannot be. */
  problem: string | null;
  /** Segments that were last looked at within [from, to), oldest first; those never looked at have 0. */
  groups: readonly (readonly [from: number, to: number])[];
  group: number;
  after: string | null;
  round: number;
  again: boolean;
  /** Others replaced segments while they were looked at: that is no failure, and ends when they do. */
  contended: boolean;
  failed: FailedInputs;
  segments: number;
  rewritten: number;
  emptied: number;
  rows: number;
}

export interface PurgeInput {
  resource: string;
  name: string;
  /** Of the item: what is written afterwards depends on it. */
  version: number;
  condition: PurgeCondition;
  round: number;
}

export type PurgeResult =
  | { kind: 'kept' }
  | { kind: 'rewritten'; file: SegmentFile; schemaVersion: number; rows: number }
  | { kind: 'emptied'; rows: number }
  /** Somebody else has replaced it. */
  | { kind: 'changed' };

/** Passes through the segments, one for each group. */
const MAX_GROUPS = 20;
const MAX_ROUNDS = 1_000;

interface PurgeSettings {
  predicate: string | null;
  thresholdMs: number;
  batchSize: number;
  maxAttempts: number;
}

function purgeSettings(settings: Settings): { settings: PurgeSettings; problems: string[] } {
  const r = new SettingReader(settings);
  const result = {
    predicate: r.text('purgePredicate') ?? null,
    thresholdMs: r.duration('lastPurgeTimeThresholdPeriod', 0),
    batchSize: r.batchSize(),
    maxAttempts: r.whole('maxAttemptsPerSegment', 3, 1, 100),
  };
  r.refuseMisspelt();
  return { settings: result, problems: r.problems };
}

export function segmentPurge(x: TableTaskContext): TaskTypeDefinition<PurgeState, PurgeInput, PurgeResult> {
  const tableOf = async (id: string): Promise<TableData | null> => {
    try {
      return await x.segments.table(id);
    } catch (e) {
      // A config may be looked at before its table is made.
      if (isTuttiError(e) && e.code === 'NOT_FOUND') return null;
      throw e;
    }
  };
  const problemOf = async (predicate: string, table: TableData | null): Promise<string | null> => {
    try {
      await checkPredicate(x.duck, predicate, table?.schema ?? null);
      return null;
    } catch (e) {
      if (isTuttiError(e) && e.code === 'INVALID_INPUT') return e.message;
      throw e;
    }
  };

  return defineTaskType<PurgeState, PurgeInput, PurgeResult>({
    name: 'SegmentPurgeTask',
    description: 'Rewrites segments without the rows that a predicate names, or those older than the table keeps them.',
    inputUnit: 'segments',
    callTimeout: '10m',

    async validate(given, resource) {
      const { settings, problems } = purgeSettings(given);
      if (settings.predicate === null || problems.length > 0) return problems;
      const problem = await problemOf(settings.predicate, await tableOf(resource));
      return problem === null ? [] : [problem];
    },

    async startPlan(ctx) {
      const { settings: o } = purgeSettings(ctx.properties);
      const table = await x.segments.table(ctx.resource);
      const state: PurgeState = {
        condition: null,
        problem: null,
        groups: [],
        group: 0,
        after: null,
        round: 1,
        again: false,
        contended: false,
        failed: noFailures(),
        segments: 0,
        rewritten: 0,
        emptied: 0,
        rows: 0,
      };
      if (o.predicate === null) {
        const retention = retentionCondition(table, ctx.createdAt);
        if (typeof retention === 'string') state.problem = retention;
        else state.condition = retention;
      } else {
        state.problem = await problemOf(o.predicate, table);
        state.condition = { sql: o.predicate, before: null };
      }
      if (state.condition === null || state.problem !== null) return { state, inputsToProcess: 0 };
      const swap = await currentSwap(ctx);
      const times = new Map<number, number>();
      for await (const { segment } of segmentsOf(ctx)) {
        const at = segment.purgedAt ?? 0;
        if (isVisible(segment, swap) && segment.createdAt <= ctx.createdAt && at < ctx.createdAt - o.thresholdMs) times.set(at, (times.get(at) ?? 0) + 1);
      }
      const groups = groupsOf([...times.keys()]);
      return { state: { ...state, groups }, inputsToProcess: [...times.values()].reduce((sum, n) => sum + n, 0) };
    },

    async nextBatch(ctx) {
      const { settings: o } = purgeSettings(ctx.properties);
      const s = ctx.state;
      if (s.problem !== null) return { kind: 'abort', reason: s.problem };
      if (s.condition === null)
        return { kind: 'done', message: 'There is no purgePredicate, and the table has no retention (segmentsConfig.retentionTimeValue): nothing to purge.' };
      return pick(ctx, s, s.condition, o);
    },

    async onBatchFinished(ctx, batch) {
      let s: PurgeState = { ...ctx.state };
      const w: ItemWrites = { put: [], remove: [] };
      let processed = 0;
      for await (const t of batch.subtasks) {
        const { name, version } = t.input;
        if (t.state !== 'complete') {
          s = { ...s, again: true, failed: withFailure(s.failed, name, `segment ${name}: ${t.error.message}`) };
          continue;
        }
        const now = await segmentNow(ctx, name);
        // Whoever replaced it has not necessarily left these rows out: it is looked at once more.
        if (t.result.kind === 'changed' || (now !== null && now.version !== version)) {
          s = { ...s, again: true, contended: true };
          continue;
        }
        s.failed = withoutFailure(s.failed, name);
        processed++;
        if (now === null) continue;
        s.segments++;
        addPurged(w, x.now(), ctx, now, t.result);
        if (t.result.kind === 'kept') continue;
        s.rows += t.result.rows;
        if (t.result.kind === 'emptied') s.emptied++;
        else s.rewritten++;
      }
      if (batch.counts.complete < batch.counts.total) s.again = true;
      return { state: s, processed, customStats: statsOf(s), changes: w };
    },

    retry: LOST_TRIES,
    subtask: oneTry(({ input, signal }) => purgeSegment(x, input, signal)),
  });
}

/** Whether the segment is still to be looked at in this pass. */
function isDue(ctx: PlanContext<PurgeState>, s: PurgeState, o: PurgeSettings, { name, segment }: StoredSegment): boolean {
  if (segment.createdAt > ctx.createdAt || segment.lineage.purgedBy === ctx.planId || attemptsOf(s.failed, name) >= o.maxAttempts) return false;
  const at = segment.purgedAt ?? 0;
  // Later rounds are for what failed, and for what others have replaced, or looked at for other rows, since this plan began.
  if (s.round > 1) return at < ctx.createdAt - o.thresholdMs || at >= ctx.createdAt;
  const [from, to] = s.groups[s.group];
  return at >= from && at < to;
}

async function pick(ctx: PlanContext<PurgeState>, given: PurgeState, condition: PurgeCondition, o: PurgeSettings): Promise<NextAnswer<PurgeState, PurgeInput>> {
  const limit = Math.min(o.batchSize, ctx.maxSubtasks);
  const swap = await currentSwap(ctx);
  let s = given;
  for (;;) {
    for (; s.group < (s.round > 1 ? 1 : s.groups.length); s = { ...s, group: s.group + 1, after: null }) {
      const picked: StoredSegment[] = [];
      for await (const stored of segmentsOf(ctx, s.after)) {
        if (!isDue(ctx, s, o, stored) || !isVisible(stored.segment, swap)) continue;
        picked.push(stored);
        if (picked.length === limit) break;
      }
      if (picked.length === 0) continue;
      const subtasks = picked.map(({ name, version }, i) => ({
        name: `segment-${i}`,
        input: { resource: ctx.resource, name, version, condition, round: s.round },
      }));
      return {
        kind: 'batch',
        subtasks,
        state: { ...s, after: picked.at(-1)!.name },
        countFailures: s.round === 1,
        message: `Purges ${counted(picked.length, 'segment')}, ${picked[0].name} and on${s.round > 1 ? `, round ${s.round}` : ''}.`,
      };
    }
    if (!s.again || (s.round >= o.maxAttempts && !s.contended) || s.round >= MAX_ROUNDS) break;
    s = { ...s, round: s.round + 1, again: false, contended: false, group: 0, after: null };
  }
  const parts = [`${counted(s.segments, 'segment')} looked at: ${counted(s.rows, 'row')} removed from ${s.rewritten}, ${s.emptied} emptied and removed`];
  if (failedCount(s.failed) > 0) parts.push(showFailures(s.failed, 'segment'));
  return { kind: 'done', message: `${parts.join('; ')}.`, customStats: statsOf(s) };
}

const statsOf = (s: PurgeState): Record<string, string> => ({
  segments: String(s.segments),
  rewrittenSegments: String(s.rewritten),
  emptiedSegments: String(s.emptied),
  removedRows: String(s.rows),
  ...failureStats(s.failed, 'Segments'),
});

/** Never looked at comes first, then the oldest look. Many different times are put together, so that there are few passes. */
function groupsOf(times: number[]): [number, number][] {
  const sorted = times.toSorted((a, b) => a - b);
  const size = Math.ceil(sorted.length / MAX_GROUPS);
  const groups: [number, number][] = [];
  for (let i = 0; i < sorted.length; i += size) groups.push([sorted[i], sorted[Math.min(i + size, sorted.length) - 1] + 1]);
  return groups;
}

/** The time of the plan, not of the moment: a plan that begins later looks at it again. */
function addPurged(w: ItemWrites, now: number, ctx: PlanContext<PurgeState>, old: StoredSegment, result: Exclude<PurgeResult, { kind: 'changed' }>): void {
  const looked = { ...old.segment, purgedAt: ctx.createdAt, lineage: { ...old.segment.lineage, purgedBy: ctx.planId } };
  switch (result.kind) {
    case 'kept':
      replaceSegment(w, old, looked, now);
      return;
    case 'rewritten':
      replaceSegment(w, old, { ...looked, ...result.file, schemaVersion: result.schemaVersion }, now);
      return;
    case 'emptied':
      removeSegment(w, old, now);
      return;
    default:
      result satisfies never;
  }
}

async function purgeSegment(x: TableTaskContext, i: PurgeInput, signal: AbortSignal): Promise<PurgeResult> {
  const stored = await x.segments.one(i.resource, i.name);
  if (stored === null || stored.version !== i.version) return { kind: 'changed' };
  const { segment } = stored;
  const { sql, before } = i.condition;
  if (before !== null && segment.minTime !== null && segment.minTime >= before) return { kind: 'kept' };
  const table = await x.segments.table(i.resource);
  return x.segments.reading([segment], () =>
    x.duck.session(
      async (s): Promise<PurgeResult> => {
        const source = `(SELECT ${columnsOf(table.schema, segment.schemaVersion).join(', ')} FROM read_parquet(${quotePath(x.segments.pathOf(segment))})) AS t`;
        const [{ n }] = await s.rows(`SELECT count(*) FILTER (WHERE (${sql}\n)) AS n FROM ${source}`);
        const rows = Number(n);
        if (rows === 0) return { kind: 'kept' };
        // Where the condition is neither true nor false, the row stays.
        const file =
          rows === segment.rows
            ? null
            : await x.segments.write(table, { name: i.name, select: `SELECT * FROM ${source} WHERE (${sql}\n) IS NOT TRUE`, signal, session: s });
        return file === null ? { kind: 'emptied', rows } : { kind: 'rewritten', file, schemaVersion: table.schema.version, rows };
      },
      { signal },
    ),
  );
}
