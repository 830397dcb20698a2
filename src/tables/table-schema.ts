/** Schemas of tables: what may be one, and how data written under an older version is read as the one there is now. */
import { TuttiError } from '../core/errors.ts';
import type { ResourceItem } from '../engine/resource-port.ts';
import { COLUMN_TYPES, columnType, isTimeType } from './column-types.ts';
import { quoteName } from './sql-text.ts';
import type { SchemaChange, TableColumn, TableSchema } from './tables.ts';

export const MAX_COLUMNS = 1000;
/** Item of a table whose schema was changed since it was made; its body is a TableSchema. */
export const SCHEMA_KEY = 'schema';

const COLUMN_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

const invalid = (field: string, problem: string): TuttiError => new TuttiError('INVALID_INPUT', `${field} ${problem}`, { field });

/** What a caller gave as a new table's schema. */
export function readSchema(value: { columns: readonly { name: string; type: string }[]; timeColumn?: string | null }): TableSchema {
  const columns: TableColumn[] = [];
  if (!Array.isArray(value.columns) || value.columns.length === 0) throw invalid('schema.columns', 'must name at least one column.');
  if (value.columns.length > MAX_COLUMNS) throw invalid('schema.columns', `has ${value.columns.length} columns; ${MAX_COLUMNS} is the limit.`);
  const seen = new Map<string, number>();
  for (const [i, { name, type }] of value.columns.entries()) {
    const at = `schema.columns[${i}]`;
    checkColumnName(name, `${at}.name`);
    const double = seen.get(name.toLowerCase());
    if (double !== undefined)
      throw invalid(`${at}.name`, `is ${JSON.stringify(name)}, as is columns[${double}]: names of columns differ by more than their case.`);
    seen.set(name.toLowerCase(), i);
    columns.push({ name, type: readType(type, `${at}.type`) });
  }
  const timeColumn = value.timeColumn ?? null;
  if (timeColumn !== null) {
    const column = columns.find((c) => c.name === timeColumn);
    if (column === undefined) throw invalid('schema.timeColumn', `names ${JSON.stringify(timeColumn)}, which is no column.`);
    if (!isTimeType(column.type)) throw invalid('schema.timeColumn', `is of ${column.type}; DATE, TIMESTAMP or BIGINT (milliseconds since 1970) is needed.`);
  }
  return { version: 1, columns, timeColumn, changes: [] };
}

export function checkColumnName(name: unknown, field: string): asserts name is string {
  if (typeof name !== 'string' || !COLUMN_NAME.test(name)) {
    throw invalid(field, `must be 1 to 128 letters, digits or underscores, first no digit: ${JSON.stringify(name)?.slice(0, 200)}.`);
  }
}

export function readType(type: unknown, field: string): string {
  const known = typeof type === 'string' ? columnType(type) : null;
  if (known === null) throw invalid(field, `must be one of ${COLUMN_TYPES}, or one of these with [] behind it: ${JSON.stringify(type)?.slice(0, 200)}.`);
  return known;
}

/** The schema there is now, from a table's own record and its item `schema`. */
export const currentSchema = (first: TableSchema, item: ResourceItem | null): TableSchema => (item === null ? first : (item.body as unknown as TableSchema));

/**
 * One SQL expression for each column there is now, over data that was written under `version`. What was added since has its default, what
 * was renamed goes by its old name, and what was retyped is cast (NULL where that fails).
 */
export function columnsOf(schema: TableSchema, version: number): string[] {
  const since = schema.changes.filter((c) => c.version > version).toReversed();
  return schema.columns.map(({ name, type }) => {
    const source = sourceOf(name, since);
    const sql = 'default' in source ? (source.default ?? 'NULL') : quoteName(source.column);
    // Step by step: not every type can be cast to every other, and what was lost on the way stays lost.
    const cast = source.types.reduce((inner, t) => `TRY_CAST(${inner} AS ${t})`, sql);
    return `CAST(${cast} AS ${type}) AS ${quoteName(name)}`;
  });
}

/** `types`: what the column became one after the other. */
type Source = { types: string[] } & ({ column: string } | { default: string | null });

/** Back through the changes, newest first, to what the column was called then. */
function sourceOf(name: string, since: readonly SchemaChange[]): Source {
  let column = name;
  const types: string[] = [];
  for (const change of since) {
    switch (change.op) {
      case 'add':
        if (change.column === column) return { default: change.default, types };
        break;
      case 'rename':
        if (change.to === column) column = change.from;
        break;
      case 'retype':
        if (change.column === column) types.unshift(change.type);
        break;
      case 'drop':
        break;
      default:
        change satisfies never;
    }
  }
  return { column, types };
}
