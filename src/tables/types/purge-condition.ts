/** Which rows SegmentPurgeTask removes: those a predicate names or, without one, those older than the table keeps them. */
import { TuttiError } from '../../core/errors.ts';
import { showValue } from '../../core/show-value.ts';
import { isTimeType, timeMs } from '../column-types.ts';
import type { Duck } from '../duckdb.ts';
import type { TableData } from '../segments.ts';
import { guardCondition } from '../sql-guard.ts';
import { quoteName } from '../sql-text.ts';
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
    if (type !== 'BOOLEAN') throw new TuttiError('INVALID_INPUT', `purgePredicate is of ${type}; a condition is needed, true for the rows that go`, { field: 'purgePredicate' });
  });
}

const UNITS: Record<string, number> = { MILLISECONDS: 1, SECONDS: 1_000, MINUTES: 60_000, HOURS: 3_600_000, DAYS: 86_400_000 };

/** What the table's config says of retention; null: nothing, a text: something that cannot be used. */
export function retentionOf(table: Pick<TableData, 'schema' | 'config'>, now: number): PurgeCondition | null | string {
  const config = table.config.segmentsConfig;
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return null;
  const { retentionTimeUnit: unit, retentionTimeValue: value, timeColumnName } = config;
  if (value === undefined || value === null || value === '') return null;
  const ms = UNITS[String(unit ?? 'DAYS').toUpperCase()];
  if (ms === undefined) return `segmentsConfig.retentionTimeUnit must be one of ${Object.keys(UNITS).join(', ')}, not ${showValue(unit)}`;
  const n = Number(value);
  if (!Number.isSafeInteger(n * ms) || n < 1) return `segmentsConfig.retentionTimeValue must be a whole number of 1 or more, not ${showValue(value)}`;
  const name = table.schema.timeColumn ?? (typeof timeColumnName === 'string' ? timeColumnName : null);
  const column = table.schema.columns.find((c) => c.name === name);
  if (column === undefined || !isTimeType(column.type)) return `the table has a retention, and no time column to go by${name === null ? '' : `: ${name}`}`;
  const before = now - n * ms;
  return { sql: `${timeMs(column.type, quoteName(column.name))} < ${before}`, before: column.name === table.schema.timeColumn ? before : null };
}
