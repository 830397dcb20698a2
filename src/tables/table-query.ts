/** Queries of callers: one SELECT over one table's visible segments, in a process that sees their files and nothing else. */
import { TuttiError } from '../core/errors.ts';
import type { QueryProcesses } from './query-processes.ts';
import type { Segments, StoredSegment, TableData } from './segments.ts';
import { quoteName, quotePaths } from './sql-text.ts';
import { columnsOf } from './table-schema.ts';
import { QUERY_ROWS, type QueryResult, type TableSchema } from './tables.ts';

/** Characters of JSON that an answer may have: it is read at one go, and nothing else happens meanwhile. */
const MAX_ANSWER = 8 * 2 ** 20;

export interface QueryParts {
  segments: Segments;
  queries: QueryProcesses;
}

/** `names`: under which the table is known in the text. */
export async function queryTable(
  t: TableData,
  names: readonly string[],
  sql: string,
  o: { limit?: number; signal?: AbortSignal },
  { segments, queries }: QueryParts,
): Promise<QueryResult> {
  const limit = o.limit ?? QUERY_ROWS.default;
  if (!Number.isInteger(limit) || limit < 1 || limit > QUERY_ROWS.max)
    throw new TuttiError('INVALID_INPUT', `limit must be a whole number from 1 to ${QUERY_ROWS.max}.`, { field: 'limit' });
  if (typeof sql !== 'string') throw new TuttiError('INVALID_INPUT', 'sql must be a text.', { field: 'sql' });
  const visible = await segments.visible(t.id);
  const files = visible.map((s) => segments.pathOf(s.segment));
  const select = selectSegments(t.schema, visible, (f) => segments.pathOf(f));
  return await segments.reading(
    visible.map((s) => s.segment),
    () => queries.run({ files, select, names: [...names], sql, limit, maxBytes: MAX_ANSWER }, o.signal),
  );
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
