/**
 * Rows that callers add, as items of the table until they are sealed. An item has the lines that DuckDB reads, checked against the schema
 * of their time: whoever seals them writes them to a file and looks at none.
 */
import type { ByteShare } from '../core/byte-budget.ts';
import type { Json } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import { showValue } from '../core/show-value.ts';
import type { ResourceItem } from '../engine/resource-port.ts';
import { type CellText, checkCell } from './column-types.ts';
import { MAX_ROWS, type NewRows, type TableColumn, type TableSchema } from './tables.ts';

export const ROWS_PREFIX = 'rows/';
/** `rows-part/<name>/<n>`: lines of a request that has too many for one commit. An item `rows/<n>` names them once all are there. */
export const PART_PREFIX = 'rows-part/';

/** Body of an item `rows/<n>`. */
export interface RowItem {
  schemaVersion: number;
  columns: TableColumn[];
  timeColumn: string | null;
  rows: number;
  /** One object a line: under `c<number of the column>` its cell, a text (or an array of texts) that casts to the column's type without fail. */
  lines: string;
  /** Name of the parts that have the lines instead. */
  parts?: string;
}

/** Lines that fit into one item. */
export interface RowPiece {
  rows: number;
  lines: string;
}

/** Characters of an item: three bytes each are below its limit, and so are quotes, which are written as two. */
const ITEM_CHARS = 300_000;
/** Characters of all items of one request: it holds them until all are there. */
export const REQUEST_CHARS = 64 * 2 ** 20;
/** Characters of JSON of one row. */
const ROW_CHARS = 300_000;
const PROBLEMS = 10;
/** What is checked at one go: a few milliseconds. A cell takes its time however short it is. */
const SLICE_CHARS = 100_000;
const CHARS_PER_CELL = 20;

export const rowKey = (n: number): string => ROWS_PREFIX + String(n).padStart(16, '0');
export const rowNumber = (key: string): number => Number(key.slice(ROWS_PREFIX.length));
export const rowItem = (i: ResourceItem): RowItem => i.body as unknown as RowItem;
export const partPrefix = (parts: string): string => `${PART_PREFIX}${parts}/`;
export const partKey = (parts: string, n: number): string => partPrefix(parts) + String(n).padStart(6, '0');
/** There until an item names the parts, in whose commit it goes: so a table that was dropped meanwhile, and made again, is not told of parts it never had. */
export const openKey = (parts: string): string => `${partPrefix(parts)}open`;
/** Of an item, or of a part of one. */
export const linesOf = (i: ResourceItem): string => rowItem(i).lines;

export function rowBody(schema: TableSchema, rows: number, of: { lines: string } | { parts: string }): Json {
  const body: RowItem = { schemaVersion: schema.version, columns: schema.columns, timeColumn: schema.timeColumn, rows, lines: '', ...of };
  return body as unknown as Json;
}

/**
 * Throws INVALID_INPUT, VALUE_TOO_LARGE, with the first rows that are wrong; BACKPRESSURE where there is no room for them. `pause` lets
 * others have the loop: a hundred thousand rows take a while.
 */
export async function packRows(rows: NewRows, schema: TableSchema, o: { pause: () => Promise<unknown>; share: ByteShare }): Promise<RowPiece[]> {
  if (Array.isArray(rows) && rows.length > MAX_ROWS) throw tooMany(`There are ${rows.length} rows; ${MAX_ROWS} is the limit of one request.`);
  const packer = new RowPacker(schema, o.share);
  if (Symbol.asyncIterator in rows) {
    for await (const row of rows) if (packer.add(row)) await o.pause();
  } else for (const row of rows) if (packer.add(row)) await o.pause();
  return packer.end();
}

const tooMany = (problem: string): TuttiError => new TuttiError('INVALID_INPUT', problem, { field: 'rows' });

class RowPacker {
  readonly #schema: TableSchema;
  readonly #share: ByteShare;
  readonly #known: ReadonlyMap<string, number>;
  readonly #keys: readonly string[];
  readonly #problems: { at: string; problem: string }[] = [];
  readonly #pieces: RowPiece[] = [];
  #piece: RowPiece = { rows: 0, lines: '' };
  #rows = 0;
  #chars = 0;
  #work = 0;

  constructor(schema: TableSchema, share: ByteShare) {
    this.#schema = schema;
    this.#share = share;
    this.#known = new Map(schema.columns.map((c, i) => [c.name, i]));
    this.#keys = schema.columns.map((_, i) => `"c${i}":`);
  }

  /** True: others should have the loop now. */
  add(row: unknown): boolean {
    const i = this.#rows++;
    if (i >= MAX_ROWS) throw tooMany(`There are more rows than ${MAX_ROWS}, the limit of one request.`);
    const cells = checkRow(row, i, this.#schema, this.#known, this.#problems);
    if (this.#problems.length >= PROBLEMS) this.#refuse();
    if (cells === null) return false;
    const line = `{${cells.flatMap((cell, c) => (cell === null ? [] : [this.#keys[c] + JSON.stringify(cell)])).join(',')}}\n`;
    if (line.length > ROW_CHARS)
      throw new TuttiError('VALUE_TOO_LARGE', `rows[${i}] has ${line.length} characters; ${ROW_CHARS} is the limit.`, {
        field: `rows[${i}]`,
        details: { limit: ROW_CHARS },
      });
    this.#chars += line.length;
    if (this.#chars > REQUEST_CHARS)
      throw new TuttiError('VALUE_TOO_LARGE', `the rows up to rows[${i}] have ${this.#chars} characters; ${REQUEST_CHARS} is the limit of one request.`, {
        field: 'rows',
        details: { limit: REQUEST_CHARS },
      });
    if (this.#piece.lines.length + line.length > ITEM_CHARS) this.#flush();
    this.#piece.rows++;
    this.#piece.lines += line;
    this.#work += line.length + CHARS_PER_CELL * cells.length;
    if (this.#work < SLICE_CHARS) return false;
    this.#work = 0;
    return true;
  }

  end(): RowPiece[] {
    if (this.#rows === 0) throw new TuttiError('INVALID_INPUT', 'There are no rows.', { field: 'rows' });
    if (this.#problems.length > 0) this.#refuse();
    this.#flush();
    return this.#pieces;
  }

  #refuse(): never {
    const list = this.#problems.map((p) => `${p.at} ${p.problem}`);
    throw new TuttiError('INVALID_INPUT', list.join('; '), { field: this.#problems[0].at, details: { problems: list } });
  }

  #flush(): void {
    if (this.#piece.rows === 0) return;
    this.#share.grow(this.#piece.lines.length);
    this.#pieces.push(this.#piece);
    this.#piece = { rows: 0, lines: '' };
  }
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
