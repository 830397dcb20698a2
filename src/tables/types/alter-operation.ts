/** What StarTreeAlterTableTask may do to a schema, as its settings say it and as one step of the schema. Pure. */
import { showValue } from '../../core/show-value.ts';
import { COLUMN_TYPES, columnType, isTimeType } from '../column-types.ts';
import { quoteText } from '../sql-text.ts';
import type { SchemaChange, TableSchema } from '../tables.ts';
import { SettingReader, type Settings } from './setting-reader.ts';

export type AlterOperation =
  | { op: 'add'; column: string; type: string; default: string | null }
  | { op: 'drop'; column: string }
  | { op: 'rename'; column: string; to: string }
  | { op: 'retype'; column: string; type: string }
  /** Nothing is changed: segments of older schemas are brought up to date. */
  | { op: 'rewrite' };

export interface AlterSettings {
  operation: AlterOperation;
  /** What a value becomes that the new type cannot hold. */
  onCastError: 'fail' | 'null';
  batchSize: number;
  maxAttempts: number;
}

const OPERATIONS = ['add', 'drop', 'rename', 'retype', 'rewrite'] as const;
const COLUMN_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

export function alterSettings(settings: Settings): { settings: AlterSettings; problems: string[] } {
  // ADD_COLUMN and the like are the same thing.
  const given = settings.operation
    ?.trim()
    .toLowerCase()
    .replace(/[_ ]?column$/, '');
  const r = new SettingReader(given === undefined ? settings : { ...settings, operation: given });
  r.required('operation', `one of ${OPERATIONS.join(', ')}`);
  const op = given === undefined || given === '' ? null : r.choice('operation', OPERATIONS, 'rewrite');
  const column = op === null || op === 'rewrite' ? (r.text('column') ?? '') : r.required('column', `the column to ${op}`);
  const to = op === 'rename' ? r.required('newName', 'what the column is to be called') : (r.text('newName') ?? '');
  const typeText = op === 'add' || op === 'retype' ? r.required('type', `one of ${COLUMN_TYPES}`) : (r.text('type') ?? '');
  const type = columnType(typeText);
  if (typeText !== '' && type === null) r.refuse(`type must be one of ${COLUMN_TYPES}, or one of these with [] behind it, not ${showValue(typeText)}`);
  for (const [key, name] of [['newName', to], ...(op === 'add' ? [['column', column]] : [])]) {
    if (name !== '' && !COLUMN_NAME.test(name)) r.refuse(`${key} must be 1 to 128 letters, digits or underscores, first no digit, not ${showValue(name)}`);
  }
  // An empty text is a default, too.
  r.text('default');
  const otherwise = settings.default ?? null;
  const foreign: [string, boolean][] = [
    ['newName', op === 'rename'],
    ['type', op === 'add' || op === 'retype'],
    ['default', op === 'add'],
    ['column', op !== 'rewrite'],
  ];
  for (const [key, fits] of foreign) if (op !== null && !fits && settings[key] !== undefined) r.refuse(`${key} is nothing that the operation ${op} has`);
  const known = type ?? '';
  const operation: AlterOperation =
    op === 'add'
      ? { op, column, type: known, default: otherwise }
      : op === 'drop'
        ? { op, column }
        : op === 'rename'
          ? { op, column, to }
          : op === 'retype'
            ? { op, column, type: known }
            : { op: 'rewrite' };
  const result: AlterSettings = {
    operation,
    onCastError: r.choice('onCastError', ['fail', 'null'], 'fail'),
    batchSize: r.batchSize(),
    maxAttempts: r.whole('maxAttemptsPerSegment', 3, 1, 100),
  };
  r.refuseMisspelt();
  return { settings: result, problems: r.problems };
}

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** The schema after the operation; a text says why it cannot be. Names are compared as DuckDB does, without regard to case. */
export function applyOperation(schema: TableSchema, o: AlterOperation): TableSchema | string {
  const { columns, timeColumn } = schema;
  if (o.op === 'rewrite') return schema;
  const version = schema.version + 1;
  const next = (changed: TableSchema['columns'], change: SchemaChange, time = timeColumn): TableSchema => ({
    version,
    columns: changed,
    timeColumn: time,
    changes: [...schema.changes, change],
  });
  const at = columns.findIndex((c) => same(c.name, o.column));
  if (o.op === 'add') {
    if (at >= 0) return `there is a column ${columns[at].name} already`;
    const value = o.default === null ? null : `CAST(${quoteText(o.default)} AS ${o.type})`;
    return next([...columns, { name: o.column, type: o.type }], { version, op: 'add', column: o.column, default: value });
  }
  if (at < 0) return `there is no column ${o.column}; there are ${columns.map((c) => c.name).join(', ')}`;
  const { name, type } = columns[at];
  const isTime = timeColumn === name;
  switch (o.op) {
    case 'drop':
      if (isTime) return `${name} is the table's time column`;
      if (columns.length === 1) return `${name} is the only column`;
      return next(columns.toSpliced(at, 1), { version, op: 'drop', column: name });
    case 'rename':
      if (columns.some((c, i) => i !== at && same(c.name, o.to))) return `there is a column ${o.to} already`;
      if (name === o.to) return `${name} is called so already`;
      return next(columns.with(at, { name: o.to, type }), { version, op: 'rename', from: name, to: o.to }, isTime ? o.to : timeColumn);
    case 'retype':
      if (type === o.type) return `${name} is of ${type} already`;
      if (isTime && !isTimeType(o.type)) return `${name} is the table's time column: its type must be DATE, TIMESTAMP or BIGINT, not ${o.type}`;
      return next(columns.with(at, { name, type: o.type }), { version, op: 'retype', column: name, type: o.type });
    default:
      return o satisfies never;
  }
}
