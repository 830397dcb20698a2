/** Which rows SegmentPurgeTask removes: those a predicate names or, without one, those older than the table keeps them. */
import { TuttiError } from '../../core/errors.ts';
import { timeMs } from '../column-types.ts';
import type { Duck } from '../duckdb.ts';
import type { TableData } from '../segments.ts';
import { guardCondition } from '../sql-guard.ts';
import { quoteName } from '../sql-text.ts';
import { retentionOf } from '../table-config.ts';
import type { TableSchema } from '../tables.ts';

export interface PurgeCondition {
  /** Over the columns there are now. */
  sql: string;
  /** Of retention: milliseconds before which a row goes; null: it is a predicate. */
  before: number | null;
}

/** Throws INVALID_INPUT with what is wrong with the text: its syntax, what it may not use, a column that is not there. `schema` null: nobody knows the columns. */
export async function checkPredicate(duck: Duck, predicate: string, schema: TableSchema | null): Promise<void> {
  await duck.session(async (s) => {
    await guardCondition(s, predicate, 'purgePredicate');
    if (schema === null) return;
    const empty = `(SELECT ${schema.columns.map((c) => `CAST(NULL AS ${c.type}) AS ${quoteName(c.name)}`).join(', ')} WHERE false)`;
    let type: string;
    try {
      [{ type }] = await s.describe(`(SELECT (${predicate}\n) AS purged FROM ${empty} AS t)`);
    } catch (e) {
      const text = (e instanceof Error ? e.message : String(e)).split('\n')[0];
      throw new TuttiError('INVALID_INPUT', `purgePredicate: ${text}`, { field: 'purgePredicate', cause: e });
    }
    if (type !== 'BOOLEAN')
      throw new TuttiError('INVALID_INPUT', `purgePredicate is of ${type}; a condition is needed, true for the rows that go`, { field: 'purgePredicate' });
  });
}

/** What the table's config says of retention; null: nothing, a text: why it cannot be used. */
export function retentionCondition(table: Pick<TableData, 'schema' | 'config'>, now: number): PurgeCondition | null | string {
  const ms = retentionOf(table.config);
  if (ms === null) return null;
  const column = table.schema.columns.find((c) => c.name === table.schema.timeColumn);
  if (column === undefined) return 'the table has a retention (segmentsConfig), and no timeColumn in its schema to go by';
  return { sql: `${timeMs(column.type, quoteName(column.name))} < ${now - ms}`, before: now - ms };
}
