/** Types that a column of a table may have: those that a JSON row can carry without doubt. */
import { MAX_VALUE_DEPTH } from '../core/values.ts';

const INTEGERS: Record<string, [bigint, bigint]> = {
  TINYINT: [-128n, 127n],
  SMALLINT: [-32_768n, 32_767n],
  INTEGER: [-(2n ** 31n), 2n ** 31n - 1n],
  BIGINT: [-(2n ** 63n), 2n ** 63n - 1n],
  HUGEINT: [-(2n ** 127n), 2n ** 127n - 1n],
  UTINYINT: [0n, 255n],
  USMALLINT: [0n, 65_535n],
  UINTEGER: [0n, 2n ** 32n - 1n],
  UBIGINT: [0n, 2n ** 64n - 1n],
};
const OTHERS = ['BOOLEAN', 'FLOAT', 'DOUBLE', 'VARCHAR', 'DATE', 'TIME', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE', 'UUID', 'JSON'] as const;

/** Other names, DuckDB's own and those of Pinot's schemas. */
const ALIASES: Record<string, string> = {
  BOOL: 'BOOLEAN',
  INT: 'INTEGER',
  INT4: 'INTEGER',
  INT8: 'BIGINT',
  LONG: 'BIGINT',
  REAL: 'FLOAT',
  TEXT: 'VARCHAR',
  STRING: 'VARCHAR',
  DATETIME: 'TIMESTAMP',
  TIMESTAMPTZ: 'TIMESTAMP WITH TIME ZONE',
  NUMERIC: 'DECIMAL',
  BIG_DECIMAL: 'DECIMAL(38,9)',
};

/** What messages offer. */
export const COLUMN_TYPES = [...OTHERS, ...Object.keys(INTEGERS), 'DECIMAL(p,s)'].join(', ');

/** The type as DuckDB writes it; null: a column cannot have it. */
export function columnType(text: string): string | null {
  const list = /^(.*)\[\]$/s.exec(text.trim());
  if (list !== null) {
    const inner = columnType(list[1]);
    return inner === null || inner.endsWith('[]') ? null : `${inner}[]`;
  }
  const plain = text.trim().toUpperCase().replaceAll(/\s+/g, ' ');
  const name = ALIASES[plain] ?? plain;
  if (name in INTEGERS || (OTHERS as readonly string[]).includes(name)) return name;
  const decimal = /^(?:DECIMAL|NUMERIC)(?: ?\( ?(\d{1,2}) ?(?:, ?(\d{1,2}) ?)?\))?$/.exec(name);
  if (decimal === null) return null;
  const [width, scale] = decimal[1] === undefined ? [18, 3] : [Number(decimal[1]), Number(decimal[2] ?? 0)];
  return width >= 1 && width <= 38 && scale <= width ? `DECIMAL(${width},${scale})` : null;
}

/** Whether a column of this type can say when its row was: times, and whole numbers as milliseconds since 1970. */
export const isTimeType = (type: string): boolean => type === 'BIGINT' || type === 'DATE' || type.startsWith('TIMESTAMP');

/** SQL for milliseconds since 1970 of such a column. */
export const timeMs = (type: string, sql: string): string => (type === 'BIGINT' ? sql : `epoch_ms(${sql})`);

export type CellText = string | null | (string | null)[];
/** A value as a text that DuckDB casts to the type without fail, or what is wrong with it. */
export type CellCheck = { ok: true; value: CellText } | { ok: false; problem: string };

const good = (value: CellText): CellCheck => ({ ok: true, value });
const bad = (problem: string): CellCheck => ({ ok: false, problem });

/** Whether a JSON value may stand in a column of this type. */
export function checkCell(type: string, value: unknown): CellCheck {
  if (value === null || value === undefined) return good(null);
  if (!type.endsWith('[]')) return checkScalar(type, value);
  if (!Array.isArray(value)) return bad(`must be an array for ${type}`);
  const inner: (string | null)[] = [];
  for (const [i, item] of value.entries()) {
    const cell = item === null ? good(null) : checkScalar(type.slice(0, -2), item);
    if (!cell.ok) return bad(`[${i}] ${cell.problem}`);
    inner.push(cell.value as string | null);
  }
  return good(inner);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const TIME = /^([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?$/;
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const TIMESTAMP = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(Z|[+-]\d{2}:?\d{2})?)?$/;
const MAX_MS = 253_402_300_799_999;

function checkScalar(type: string, value: unknown): CellCheck {
  if (type in INTEGERS) return checkInteger(type, value);
  if (type.startsWith('DECIMAL')) return checkDecimal(type, value);
  switch (type) {
    case 'BOOLEAN':
      return typeof value === 'boolean' ? good(String(value)) : bad('must be true or false');
    case 'FLOAT':
    case 'DOUBLE':
      if (typeof value !== 'number' || !Number.isFinite(value)) return bad(`must be a number for ${type}`);
      return type === 'FLOAT' && !Number.isFinite(Math.fround(value)) ? bad('is out of the range of FLOAT') : good(String(value));
    case 'VARCHAR':
      return typeof value === 'string' ? checkText(value) : bad('must be a text');
    case 'UUID':
      return typeof value === 'string' && UUID.test(value) ? good(value) : bad('must be a UUID');
    case 'TIME':
      return typeof value === 'string' && TIME.test(value) ? good(value) : bad('must be a time such as 23:59:59.5');
    case 'DATE':
      return typeof value === 'string' && isDay(value) ? good(value) : bad('must be a date such as 2026-01-31');
    case 'JSON':
      return isDeeper(value, MAX_VALUE_DEPTH) ? bad(`is nested deeper than ${MAX_VALUE_DEPTH} levels`) : checkText(JSON.stringify(value));
    default:
      return checkTimestamp(value);
  }
}

function checkInteger(type: string, value: unknown): CellCheck {
  const exact = typeof value === 'number' ? Number.isSafeInteger(value) : typeof value === 'string' && /^-?\d{1,39}$/.test(value);
  if (!exact) return bad(typeof value === 'number' && Number.isInteger(value) ? 'is beyond 2^53: write it as a text' : `must be a whole number for ${type}`);
  const n = BigInt(value as number | string);
  const [low, high] = INTEGERS[type];
  return n >= low && n <= high ? good(String(n)) : bad(`is out of the range of ${type}, ${low} to ${high}`);
}

function checkDecimal(type: string, value: unknown): CellCheck {
  const [width, scale] = type.slice('DECIMAL('.length, -1).split(',').map(Number);
  const match = /^-?0*(\d*)(?:\.(\d+?)0*)?$/.exec(typeof value === 'number' ? String(value) : typeof value === 'string' && /\d/.test(value) ? value : 'x');
  if (match === null) return bad(`must be a decimal number for ${type}`);
  const fraction = (match[2] ?? '').replace(/0+$/, '');
  if (match[1].length > width - scale || fraction.length > scale) return bad(`has more digits than ${type}`);
  return good(String(value));
}

// DuckDB keeps it, but what compares or prints it would stop there.
const checkText = (text: string): CellCheck =>
  text.includes('\0') ? bad('has a character U+0000') : !text.isWellFormed() ? bad('has half of a surrogate pair') : good(text);

const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' && value !== null && (levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1)));

function isDay(text: string): boolean {
  const match = DATE.exec(text);
  if (match === null || match[1] === '0000') return false;
  const ms = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}

function checkTimestamp(value: unknown): CellCheck {
  const problem = 'must be a time such as 2026-01-31T23:59:59.5Z, or milliseconds since 1970';
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || Math.abs(value) > MAX_MS) return bad(problem);
    const iso = new Date(value).toISOString();
    return /^\d{4}-/.test(iso) && !iso.startsWith('0000') ? good(iso.slice(0, -1).replace('T', ' ')) : bad(problem);
  }
  const match = typeof value === 'string' ? TIMESTAMP.exec(value) : null;
  if (match === null || !isDay(match[1])) return bad(problem);
  const [, day, clock = '00:00:00', zone = 'Z'] = match;
  const [seconds, fraction] = clock.split('.');
  const ms = Date.parse(`${day}T${seconds}${zone}`);
  if (Number.isNaN(ms)) return bad(problem);
  const iso = new Date(ms).toISOString();
  // Zones can carry it out of the years that have four digits.
  if (!/^\d{4}-/.test(iso) || iso.startsWith('0000')) return bad(problem);
  // Everything is kept as UTC. Zones have no fractions of seconds, so these are carried over as they are.
  return good(`${iso.slice(0, 19).replace('T', ' ')}${fraction === undefined ? '' : `.${fraction}`}`);
}
