/** Rows that callers add, as items of the table until they are sealed: each item has a part of one request's rows, and the schema they were checked against. */
import type { Json } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import { showValue } from '../core/show-value.ts';
import type { ResourceItem } from '../engine/resource-port.ts';
import { type CellText, checkCell } from './column-types.ts';
import { MAX_ROWS, type TableColumn, type TableSchema } from './tables.ts';

export const ROWS_PREFIX = 'rows/';

/** Body of an item `rows/<n>`. */
export interface RowItem {
  schemaVersion: number;
  columns: TableColumn[];
  timeColumn: string | null;
  /** About as many characters of JSON are in `rows`. */
  chars: number;
  /** Cells in the order of the columns, as texts that cast to their types without fail. */
  rows: CellText[][];
}

/** Below the limit of one item. */
const ITEM_CHARS = 300_000;
/** Characters of JSON of one row: three bytes each fit into an item. */
const ROW_CHARS = 300_000;
const PROBLEMS = 10;
/** What is checked at one go: a few milliseconds. A cell takes its time however short it is. */
const SLICE_CHARS = 200_000;
const CHARS_PER_CELL = 20;

export const rowKey = (n: number): string => ROWS_PREFIX + String(n).padStart(16, '0');
export const rowNumber = (key: string): number => Number(key.slice(ROWS_PREFIX.length));
export const rowItem = (i: ResourceItem): RowItem => i.body as unknown as RowItem;

/**
 * Bodies of items for these rows. Throws INVALID_INPUT, VALUE_TOO_LARGE, with the first rows that are wrong. `pause` lets others have the loop:
 * a hundred thousand rows take a while.
 */
export async function packRows(rows: readonly unknown[], schema: TableSchema, pause: () => Promise<unknown>): Promise<Json[]> {
  if (rows.length === 0) throw new TuttiError('INVALID_INPUT', 'There are no rows.', { field: 'rows' });
  if (rows.length > MAX_ROWS)
    throw new TuttiError('INVALID_INPUT', `There are ${rows.length} rows; ${MAX_ROWS} is the limit of one request.`, { field: 'rows' });
  const known = new Map(schema.columns.map((c, i) => [c.name, i]));
  const problems: { at: string; problem: string }[] = [];
  const bodies: Json[] = [];
  let part: CellText[][] = [];
  let chars = 0;
  let work = 0;
  const flush = (): void => {
    const body: RowItem = { schemaVersion: schema.version, columns: schema.columns, timeColumn: schema.timeColumn, chars, rows: part };
    if (part.length > 0) bodies.push(body as unknown as Json);
    part = [];
    chars = 0;
  };
  for (const [i, row] of rows.entries()) {
    const cells = checkRow(row, i, schema, known, problems);
    if (problems.length >= PROBLEMS) break;
    if (cells === null) continue;
    const size = JSON.stringify(cells).length;
    if (size > ROW_CHARS)
      throw new TuttiError('VALUE_TOO_LARGE', `rows[${i}] has ${size} characters; ${ROW_CHARS} is the limit.`, {
        field: `rows[${i}]`,
        details: { limit: ROW_CHARS },
      });
    if (chars + size > ITEM_CHARS) flush();
    part.push(cells);
    chars += size;
    work += size + CHARS_PER_CELL * cells.length;
    if (work >= SLICE_CHARS) {
      work = 0;
      await pause();
    }
  }
  if (problems.length > 0) {
    const list = problems.map((p) => `${p.at} ${p.problem}`);
    throw new TuttiError('INVALID_INPUT', list.join('; '), { field: problems[0].at, details: { problems: list } });
  }
  flush();
  return bodies;
}

function checkRow(
  row: unknown,
  i: number,
  schema: TableSchema,
  known: ReadonlyMap<string, number>,
  problems: { at: string; problem: string }[],
): CellText[] | null {
  const at = `rows[${i}]`;
  if (typeof row !== 'object' || row === null || Array.isArray(row)) {
    problems.push({ at, problem: `must be an object, not ${showValue(row)}` });
    return null;
  }
  const cells: CellText[] = schema.columns.map(() => null);
  for (const [name, value] of Object.entries(row)) {
    const index = known.get(name);
    if (index === undefined) {
      problems.push({ at: `${at}.${name.slice(0, 128)}`, problem: 'is no column' });
      continue;
    }
    const { type } = schema.columns[index];
    const cell = checkCell(type, value);
    if (cell.ok) cells[index] = cell.value;
    else problems.push({ at: `${at}.${name}`, problem: `${cell.problem}, not ${showValue(value)}` });
  }
  return cells;
}
