/** Values of DuckDB as JSON: whole numbers as numbers where JavaScript has them exactly and as text otherwise, times as ISO texts. */
import type { DuckDBType, DuckDBValue } from '@duckdb/node-api';
import type { Json } from '../core/definition.ts';
import type { DuckModule } from './duck-module.ts';

export type ToJson = (value: DuckDBValue, type: DuckDBType) => Json;

/** Digits that a double keeps exactly. */
const EXACT_DIGITS = 15;

export function jsonConverter(duck: DuckModule): ToJson {
  const { DuckDBTypeId: id, JsonDuckDBValueConverter: plain } = duck;
  const integers = new Set<number>([id.BIGINT, id.UBIGINT, id.HUGEINT, id.UHUGEINT, id.BIGNUM]);
  const timestamps = new Set<number>([id.TIMESTAMP, id.TIMESTAMP_S, id.TIMESTAMP_MS, id.TIMESTAMP_NS]);
  // It calls itself for what lies inside lists, structs and maps.
  const convert = (value: DuckDBValue, type: DuckDBType): Json => {
    if (value === null) return null;
    if (integers.has(type.typeId)) return exactNumber(String(value));
    if (type.typeId === id.DECIMAL) return exactNumber(String(value));
    if (timestamps.has(type.typeId)) return String(value).replace(' ', 'T');
    if (type.typeId === id.TIMESTAMP_TZ) return utcText(value as { micros: bigint }, String(value));
    return plain(value, type, convert as typeof plain) as Json;
  };
  return convert;
}

/** Text where a number would lose digits. */
function exactNumber(text: string): Json {
  const digits = text.replace(/[-.]/g, '').replace(/^0+/, '');
  if (digits.length <= EXACT_DIGITS) return Number(text);
  const n = Number(text);
  return Number.isSafeInteger(n) && String(n) === text ? n : text;
}

/** DuckDB shows such a time in the zone of the machine; a client elsewhere wants the instant. */
function utcText({ micros }: { micros: bigint }, shown: string): string {
  const ms = micros / 1000n - (micros % 1000n < 0n ? 1n : 0n);
  // Beyond what Date knows, and the two infinities.
  if (ms > 8_640_000_000_000_000n || ms < -8_640_000_000_000_000n) return shown;
  const rest = micros - ms * 1000n;
  const iso = new Date(Number(ms)).toISOString();
  return rest === 0n ? iso : `${iso.slice(0, -1)}${String(rest).padStart(3, '0')}Z`;
}
