/** Queries of callers: one SELECT over one table's visible segments, in a sandbox that sees their files and nothing else. */
import { TuttiError } from '../core/errors.ts';
import type { Duck, DuckSession } from './duckdb.ts';
import type { Segments, StoredSegment, TableData } from './segments.ts';
import { guardSelect } from './sql-guard.ts';
import { quoteName, quotePaths } from './sql-text.ts';
import { columnsOf } from './table-schema.ts';
import { QUERY_ROWS, type QueryResult, type TableSchema } from './tables.ts';

export const QUERY_MS = 30_000;
/** Characters of JSON that an answer may have. */
const MAX_ANSWER = 64 * 2 ** 20;

export interface QueryOptions {
  duck: Duck;
  segments: Segments;
  timer(ms: number, fn: () => void): () => void;
  timeMs?: number;
}

/** `names`: under which the table is known in the text. */
export async function queryTable(
  t: TableData,
  names: readonly string[],
  sql: string,
  o: { limit?: number; signal?: AbortSignal },
  parts: QueryOptions,
): Promise<QueryResult> {
  const limit = o.limit ?? QUERY_ROWS.default;
  if (!Number.isInteger(limit) || limit < 1 || limit > QUERY_ROWS.max)
    throw new TuttiError('INVALID_INPUT', `limit must be a whole number from 1 to ${QUERY_ROWS.max}.`, { field: 'limit' });
  const ms = parts.timeMs ?? QUERY_MS;
  const late = new AbortController();
  const cancel = parts.timer(ms, () => late.abort(new TuttiError('INVALID_INPUT', `The query took longer than ${ms / 1000} s.`, { field: 'sql' })));
  const signal = o.signal === undefined ? late.signal : AbortSignal.any([o.signal, late.signal]);
  try {
    const visible = await parts.segments.visible(t.id);
    // After the segments: a schema that is newer than they are can be mapped to them, an older one cannot.
    const { schema } = await parts.segments.table(t.id);
    const files = visible.map((s) => s.segment);
    return await parts.segments.reading(files, () =>
      parts.duck.sandbox(
        { files: files.map((f) => parts.segments.pathOf(f)) },
        async (s) => {
          await guardSelect(s, sql, names);
          return s.only(sql, async (prepared, duck) => {
            // The tree has said so already; this is DuckDB's own word for it.
            if (prepared.statementType !== duck.StatementType.SELECT) throw new TuttiError('INVALID_INPUT', 'sql must be a SELECT.', { field: 'sql' });
            return s.read(prepared, [], { limit, maxBytes: MAX_ANSWER });
          });
        },
        { signal, before: (s) => makeViews(s, schema, names, visible, parts.segments) },
      ),
    );
  } catch (e) {
    throw asInvalid(e);
  } finally {
    cancel();
  }
}

/** A SELECT of everything in these segments, as the schema is now. */
export function selectSegments(schema: TableSchema, segments: readonly StoredSegment[], pathOf: (s: { file: string }) => string): string {
  const byVersion = new Map<number, string[]>();
  for (const { segment } of segments) {
    const files = byVersion.get(segment.schemaVersion) ?? [];
    files.push(pathOf(segment));
    byVersion.set(segment.schemaVersion, files);
  }
  if (byVersion.size === 0) return `SELECT ${schema.columns.map((c) => `CAST(NULL AS ${c.type}) AS ${quoteName(c.name)}`).join(', ')} WHERE false`;
  // All files of one version have the same columns.
  return [...byVersion]
    .map(([version, files]) => `SELECT ${columnsOf(schema, version).join(', ')} FROM read_parquet(${quotePaths(files)}, union_by_name = false)`)
    .join('\nUNION ALL\n');
}

async function makeViews(s: DuckSession, schema: TableSchema, names: readonly string[], visible: readonly StoredSegment[], segments: Segments): Promise<void> {
  const select = selectSegments(schema, visible, (f) => segments.pathOf(f));
  for (const name of names) await s.run(`CREATE VIEW ${quoteName(name)} AS ${select}`);
}

/** DuckDB's errors of a stranger's SQL are the stranger's; ours are ours. */
function asInvalid(e: unknown): unknown {
  if (!(e instanceof Error) || e instanceof TuttiError || 'code' in e) return e;
  if (/^(?:INTERNAL|IO) Error/.test(e.message)) return e;
  return new TuttiError('INVALID_INPUT', e.message, { field: 'sql', cause: e });
}
