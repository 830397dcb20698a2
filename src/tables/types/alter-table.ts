/**
 * StarTreeAlterTableTask: a column is added, dropped, renamed or given another type. The schema changes in one commit, from which on readers
 * see every segment through it, whatever it was written with; then the segments are rewritten, batch by batch, until none is older. A new
 * type is tried on every segment before that, so that no value is lost that was not given up.
 */
import type { Json } from '../../core/definition.ts';
import { PermanentError } from '../../sdk/handler-errors.ts';
import { oneTry } from '../../sdk/plans/one-try.ts';
import { type NextAnswer, type PlanContext, type TaskTypeDefinition, defineTaskType } from '../../sdk/plans/task-type.ts';
import { isVisible, type StoredSegment, type TableBody, type TableData } from '../segments.ts';
import { SCHEMA_KEY, currentSchema } from '../table-schema.ts';
import type { TableSchema } from '../tables.ts';
import { type AlterOperation, alterSettings, applyOperation } from './alter-operation.ts';
import { type AlterInput, alterSegment, type AlterResult, type Cast, castProblem } from './alter-segment.ts';
import { attemptsOf, type FailedInputs, failedCount, failureStats, isFull, noFailures, showFailures, withFailure, withoutFailure } from './failed-inputs.ts';
import { LOST_TRIES } from './lost-tries.ts';
import { counted, currentSwap, type ItemWrites, replaceSegment, segmentNow, segmentsOf, type TableTaskContext } from './table-task-context.ts';

export interface AlterState {
  operation: AlterOperation;
  phase: 'check' | 'switch' | 'rewrite';
  /** Version of the schema when the change is made. */
  version: number;
  /** Null: no value can get lost, or it may. */
  cast: Cast | null;
  /** Why the plan cannot be, or go on. */
  problem: string | null;
  after: string | null;
  /** Newest segment that was tried, and of those of this pass: what comes meanwhile is tried too. */
  tried: number;
  newest: number;
  again: boolean;
  failed: FailedInputs;
  checked: number;
  rewritten: number;
}

type Context = PlanContext<AlterState>;

export function alterTable(x: TableTaskContext): TaskTypeDefinition<AlterState, AlterInput, AlterResult> {
  return defineTaskType<AlterState, AlterInput, AlterResult>({
    name: 'StarTreeAlterTableTask',
    aliases: ['AlterTableTask'],
    description: 'Adds, drops, renames or retypes a column across all segments of a table.',
    orchestratedOnly: true,
    inputUnit: 'segments',
    callTimeout: '10m',

    async validate(settings, resource) {
      const { settings: o, problems } = alterSettings(settings);
      if (problems.length > 0) return problems;
      const table = await x.segments.table(resource).catch(() => null);
      const problem = table === null ? null : await problemOf(x, table, o.operation);
      return problem === null ? [] : [problem];
    },

    async startPlan(ctx) {
      const { settings: o } = alterSettings(ctx.properties);
      const { operation } = o;
      const table = await x.segments.table(ctx.resource);
      const problem = await problemOf(x, table, operation);
      const version = table.schema.version + (operation.op === 'rewrite' ? 0 : 1);
      const column = operation.op === 'retype' ? table.schema.columns.find((c) => c.name.toLowerCase() === operation.column.toLowerCase()) : undefined;
      const cast =
        operation.op === 'retype' && column !== undefined && o.onCastError === 'fail'
          ? { column: column.name, from: column.type, to: operation.type, version }
          : null;
      const swap = await currentSwap(ctx);
      let segments = 0;
      for await (const { segment } of segmentsOf(ctx)) if (isVisible(segment, swap) && segment.schemaVersion < version) segments++;
      return {
        state: {
          operation,
          phase: operation.op === 'rewrite' ? 'rewrite' : cast === null ? 'switch' : 'check',
          version,
          cast,
          problem,
          after: null,
          tried: -1,
          newest: -1,
          again: false,
          failed: noFailures(),
          checked: 0,
          rewritten: 0,
        },
        inputsToProcess: segments,
      };
    },

    async nextBatch(ctx): Promise<NextAnswer<AlterState, AlterInput>> {
      const { settings: o } = alterSettings(ctx.properties);
      const limit = Math.min(o.batchSize, ctx.maxSubtasks);
      let s = ctx.state;
      if (s.problem !== null) return { kind: 'abort', reason: s.problem };
      if (isFull(s.failed)) return { kind: 'abort', reason: `Too many segments failed: ${showFailures(s.failed, 'segment')}` };
      for (;;) {
        switch (s.phase) {
          case 'check': {
            const picked = await pick(ctx, s, limit, ({ segment }) => segment.createdAt > s.tried, o.maxAttempts);
            if (picked.length > 0) return batchOf(ctx, s, picked);
            const given = failedCount(s.failed);
            if (s.again && retries(s, o.maxAttempts)) s = { ...s, after: null, again: false, tried: s.newest };
            else if (given > 0) return { kind: 'abort', reason: `The schema is as it was: ${showFailures(s.failed, 'segment')}` };
            else if (s.newest > s.tried) s = { ...s, after: null, tried: s.newest };
            else s = { ...s, phase: 'switch', after: null };
            continue;
          }
          case 'switch':
            return {
              kind: 'batch',
              subtasks: [{ name: 'switch', units: 0, input: { kind: 'switch', resource: ctx.resource } }],
              state: s,
              message: `Changes the schema: ${told(s.operation)}.`,
            };
          case 'rewrite': {
            const picked = await pick(ctx, s, limit, ({ segment }) => segment.schemaVersion < s.version, o.maxAttempts);
            if (picked.length > 0) return batchOf(ctx, s, picked);
            // Once more from the beginning, until there is none: others may have made some meanwhile.
            if (s.after !== null || s.again) s = { ...s, after: null, again: false };
            else return end(ctx, s);
            continue;
          }
          default:
            return s.phase satisfies never;
        }
      }
    },

    generateOnce: () => {
      throw new PermanentError('StarTreeAlterTableTask runs as a plan only: one batch would leave the table half rewritten', { code: 'orchestrated_only' });
    },

    async onBatchFinished(ctx, batch) {
      let s: AlterState = { ...ctx.state };
      const w: ItemWrites = { put: [], remove: [] };
      let processed = 0;
      for await (const t of batch.subtasks) {
        const { input } = t;
        if (t.state !== 'complete') {
          if (input.kind !== 'switch')
            s = {
              ...s,
              again: true,
              failed: withFailure(s.failed, input.name, t.error.message.startsWith('segment ') ? t.error.message : `segment ${input.name}: ${t.error.message}`),
            };
          continue;
        }
        if (input.kind === 'switch') {
          s = await addSwitch(ctx, s, w);
          continue;
        }
        s.failed = withoutFailure(s.failed, input.name);
        if (t.result.kind === 'check') {
          s.checked++;
          if (t.result.bad > 0) s.problem ??= `The schema is as it was: ${castProblem(s.cast!, input.name, t.result.bad, t.result.example)}`;
          continue;
        }
        const now = await segmentNow(ctx, input.name);
        if (input.kind !== 'rewrite' || t.result.kind !== 'rewritten' || now === null || now.version !== input.version) {
          s.again = true;
          if (now === null) processed++;
          continue;
        }
        const segment = { ...now.segment, ...t.result.file, schemaVersion: t.result.schemaVersion, lineage: { ...now.segment.lineage, alteredBy: ctx.planId } };
        replaceSegment(w, now, segment, x.now());
        s.rewritten++;
        processed++;
      }
      if (batch.counts.complete < batch.counts.total) s.again = true;
      return { state: s, processed, customStats: statsOf(s), changes: w };
    },

    onPlanEnd(ctx, status, message) {
      const s: AlterState | null = ctx.state;
      if (s === null || status === 'COMPLETED') return;
      const rest = 'The schema is changed, and older segments are read through it; the operation "rewrite" brings them up to date.';
      return { message: s.phase === 'rewrite' && s.operation.op !== 'rewrite' ? `${message} ${rest}` : message };
    },

    retry: LOST_TRIES,
    subtask: oneTry(({ input, signal }) => alterSegment(x, input, signal)),
  });
}

async function problemOf(x: TableTaskContext, table: TableData, o: AlterOperation): Promise<string | null> {
  const next = applyOperation(table.schema, o);
  if (typeof next === 'string') return `column: ${next}`;
  const named = (table.config.segmentsConfig as { timeColumnName?: unknown } | undefined)?.timeColumnName;
  if (o.op === 'rename' && named === table.schema.timeColumn && named !== next.timeColumn)
    return `column: ${o.column} is named in the table's config, segmentsConfig.timeColumnName: take it out first`;
  const change = next.changes.at(-1);
  if (o.op !== 'add' || change?.op !== 'add' || change.default === null) return null;
  try {
    await x.duck.rows(`SELECT ${change.default} AS value`);
    return null;
  } catch (e) {
    return `default: ${(e instanceof Error ? e.message : String(e)).split('\n')[0]}`;
  }
}

/** Segments behind the cursor that are due, and have not failed too often. */
async function pick(ctx: Context, s: AlterState, limit: number, due: (stored: StoredSegment) => boolean, maxAttempts: number): Promise<StoredSegment[]> {
  const swap = await currentSwap(ctx);
  const picked: StoredSegment[] = [];
  for await (const stored of segmentsOf(ctx, s.after)) {
    const attempts = attemptsOf(s.failed, stored.name);
    // A check is not made twice, but of what failed.
    const wanted = due(stored) || (s.phase === 'check' && attempts > 0);
    if (!wanted || attempts >= maxAttempts || !isVisible(stored.segment, swap)) continue;
    picked.push(stored);
    if (picked.length === limit) break;
  }
  return picked;
}

function batchOf(ctx: Context, s: AlterState, picked: readonly StoredSegment[]): NextAnswer<AlterState, AlterInput> {
  const rewrite = s.phase === 'rewrite';
  const subtasks = picked.map(({ name, version }, i) => {
    const attempt = attemptsOf(s.failed, name) + 1;
    const about = { resource: ctx.resource, name, attempt };
    const input: AlterInput = rewrite ? { kind: 'rewrite', ...about, version, cast: s.cast } : { kind: 'check', ...about, cast: s.cast! };
    return { name: `segment-${i}`, units: rewrite ? 1 : 0, input };
  });
  const newest = Math.max(s.newest, ...picked.map((p) => p.segment.createdAt));
  return {
    kind: 'batch',
    subtasks,
    state: { ...s, after: picked.at(-1)!.name, newest },
    countFailures: picked.some((p) => attemptsOf(s.failed, p.name) === 0),
    message: `${rewrite ? 'Rewrites' : 'Tries the new type on'} ${counted(picked.length, 'segment')}, ${picked[0].name} and on.`,
  };
}

const retries = (s: AlterState, maxAttempts: number): boolean => Object.values(s.failed.known).some((f) => f.attempts < maxAttempts);

/** The one moment in which the schema changes: with the commit that this answer is part of. */
async function addSwitch(ctx: Context, s: AlterState, w: ItemWrites): Promise<AlterState> {
  const item = await ctx.item(SCHEMA_KEY);
  const first = ((await ctx.resourceBody()) as TableBody).schema;
  const schema = currentSchema(first, item);
  const next: TableSchema | string = applyOperation(schema, s.operation);
  if (typeof next === 'string') return { ...s, problem: `column: ${next}` };
  w.put.push({ key: SCHEMA_KEY, body: next as unknown as Json, expect: item?.version ?? null });
  const cast = s.cast === null ? null : { ...s.cast, version: next.version };
  return { ...s, phase: 'rewrite', version: next.version, cast, after: null, again: false, failed: noFailures() };
}

function end(ctx: Context, s: AlterState): NextAnswer<AlterState, AlterInput> {
  if (failedCount(s.failed) > 0) return { kind: 'abort', reason: showFailures(s.failed, 'segment') };
  if (ctx.batches === 0) return { kind: 'done', message: 'No segment is older than the schema.' };
  return { kind: 'done', message: `${told(s.operation)}: ${counted(s.rewritten, 'segment')} rewritten.`, customStats: statsOf(s) };
}

const statsOf = (s: AlterState): Record<string, string> => ({
  checkedSegments: String(s.checked),
  rewrittenSegments: String(s.rewritten),
  schemaVersion: String(s.version),
  ...failureStats(s.failed, 'Segments'),
});

function told(o: AlterOperation): string {
  switch (o.op) {
    case 'add':
      return `column ${o.column} added as ${o.type}`;
    case 'drop':
      return `column ${o.column} dropped`;
    case 'rename':
      return `column ${o.column} renamed to ${o.to}`;
    case 'retype':
      return `column ${o.column} made ${o.type}`;
    case 'rewrite':
      return 'older segments brought up to date';
    default:
      return o satisfies never;
  }
}
