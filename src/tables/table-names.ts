/** Names of tables and the ids they stand for. */
import { TuttiError } from '../core/errors.ts';
import { showValue } from '../core/show-value.ts';
import { TABLE_TYPES, type TableType } from './tables.ts';

const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,119}$/;
const TYPED = /^(.+)_(OFFLINE|REALTIME)$/;

export const tableId = (name: string, type: TableType): string => `${name}_${type}`;

/** `trips_OFFLINE` is `trips`, `OFFLINE`; null: it is no id. */
export function partsOfId(id: string): { name: string; type: TableType } | null {
  const match = TYPED.exec(id);
  return match !== null && NAME.test(match[1]) ? { name: match[1], type: match[2] as TableType } : null;
}

/** Ids that a name may stand for: itself, or both halves. Without regard to whether there are such tables. */
export function idsOf(name: string): string[] {
  if (partsOfId(name) !== null) return [name];
  return NAME.test(name) ? TABLE_TYPES.map((type) => tableId(name, type)) : [];
}

/** Throws INVALID_INPUT. Names become folders, ids of resources and names in SQL, and two `_` end the first part of a plan's id. */
export function checkTableName(name: unknown): asserts name is string {
  const refuse = (problem: string): never => {
    throw new TuttiError('INVALID_INPUT', `name ${problem}: ${showValue(name)}`, { field: 'name' });
  };
  if (typeof name !== 'string' || !NAME.test(name)) refuse('must be 1 to 120 letters, digits, - or _, first a letter');
  else if (name.includes('__') || name.endsWith('_')) refuse('must not have two _ beside each other, nor one at its end');
  else if (TYPED.test(name)) refuse('must not end with _OFFLINE or _REALTIME, which the type adds');
}
