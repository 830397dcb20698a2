/** Queries of callers: one SELECT over one table's visible segments, in a process that sees their files and nothing else. */
import { TuttiError } from '../core/errors.ts';
import type { QueryProcesses } from './query-processes.ts';
import { type QuerySource, selectSources } from './run-query.ts';
import type { Segments, StoredSegment, TableData } from './segments.ts';
import { quoteName } from './sql-text.ts';
import { columnsOf } from './table-schema.ts';
import { QUERY_ROWS, type QueryResult, type TableSchema } from './tables.ts';

/** Characters of JSON that an answer may have: it is held as a whole. */
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
  // Its files are looked up in its turn: those that wait hold nothing, and see what is there when they begin.
  return await queries.turn(async (ask) => {
    const visible = await segments.visible(t.id);
    const job = { folder: segments.folder, sources: sourcesOf(t.schema, visible), names: [...names], sql, limit, maxBytes: MAX_ANSWER };
    return await segments.reading(
      visible.map((s) => s.segment),
      () => ask(job),
    );
  }, o.signal);
}

/** Everything in these segments, as the schema is now. */
function sourcesOf(schema: TableSchema, segments: readonly StoredSegment[]): QuerySource[] {
  const byVersion = new Map<number, string[]>();
  for (const { segment } of segments) {
    const files = byVersion.get(segment.schemaVersion) ?? [];
    files.push(segment.file);
    byVersion.set(segment.schemaVersion, files);
  }
  if (byVersion.size === 0)
    return [{ select: `SELECT ${schema.columns.map((c) => `CAST(NULL AS ${c.type}) AS ${quoteName(c.name)}`).join(', ')} WHERE false`, files: [] }];
  // All files of one version have the same columns.
  return [...byVersion].map(([version, files]) => ({ select: `SELECT ${columnsOf(schema, version).join(', ')}`, files }));
}

/** The same as one SELECT. */
export const selectSegments = (schema: TableSchema, segments: readonly StoredSegment[], pathOf: (s: { file: string }) => string): string =>
  selectSources(sourcesOf(schema, segments), (file) => pathOf({ file }));
