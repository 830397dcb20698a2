/**
 * files/csv_inventory@1.0.0: analyse → one worker for each 200 rows → aggregate. `npm run example csv` runs it over the 1,000 rows of
 * examples/data/inventory.csv and prints the totals; it exits with 0 if every row was counted.
 *
 * Cursors are places in the file, in bytes: a worker reads its own part of it and nothing else, so the file may be of any size.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { batches, type Cursor, noBatches, PermanentError, template, Tutti } from 'tutti';
import { z } from 'zod';

const DATA = join(import.meta.dirname, 'data');
const COLUMNS = ['id', 'name', 'category', 'quantity', 'price_cents', 'warehouse'] as const;
const CHUNK = 64 * 1024;
const [QUOTE, NEWLINE] = [0x22, 0x0a];

const input = z.object({
  file: z.string().default('inventory.csv').describe('A file in examples/data'),
  batch_rows: z.int().min(1).max(10_000).default(200).describe('Rows that one worker takes'),
});

export interface Totals {
  rows: number;
  quantity: number;
  value_cents: number;
  categories: Record<string, { rows: number; quantity: number; value_cents: number }>;
  dearest: { id: string; name: string; value_cents: number } | null;
}

const noTotals = (): Totals => ({ rows: 0, quantity: 0, value_cents: 0, categories: {}, dearest: null });

async function withFile<T>(name: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  // A task comes from outside: it may name a file of the samples, not a path.
  if (name !== basename(name)) throw new PermanentError(`file must be the name of a file in examples/data, not ${JSON.stringify(name)}`);
  let file: FileHandle;
  try {
    file = await open(join(DATA, name));
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') throw new PermanentError(`there is no file ${name} in examples/data`);
    throw e;
  }
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

async function textOf(file: FileHandle, from: number, to: number): Promise<string> {
  // Of no bytes nothing can be read.
  if (to <= from) return '';
  const { buffer, bytesRead } = await file.read(Buffer.alloc(to - from), 0, to - from, from);
  return buffer.toString('utf8', 0, bytesRead);
}

/** Where each row begins, and after the last one where the file ends. A line break in quotes is none. */
async function* rowStarts(file: FileHandle): AsyncGenerator<number> {
  const buffer = Buffer.allocUnsafe(CHUNK);
  let at = 0;
  let begun = false;
  let quoted = false;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK, at);
    if (bytesRead === 0) break;
    for (let i = 0; i < bytesRead; i++) {
      if (!begun) yield at + i;
      begun = true;
      if (buffer[i] === QUOTE) quoted = !quoted;
      else if (buffer[i] === NEWLINE && !quoted) begun = false;
    }
    at += bytesRead;
  }
  yield at;
}

/** Rows of comma-separated text; a field in quotes may hold commas, line breaks and doubled quotes. */
function* rowsOf(text: string): Generator<string[]> {
  let fields: string[] = [];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    if (quoted === undefined && plain === '' && end === '' && fields.length === 0) return;
    fields.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ',') continue;
    yield fields;
    fields = [];
  }
}

function add(totals: Totals, [id, name, category, quantity, price]: readonly string[], row: string): void {
  const [n, cents] = [Number(quantity), Number(price)];
  if (!Number.isSafeInteger(n) || !Number.isSafeInteger(cents)) throw new PermanentError(`${row}: quantity and price_cents must be whole numbers`);
  const value_cents = n * cents;
  const own = (totals.categories[category] ??= { rows: 0, quantity: 0, value_cents: 0 });
  for (const sum of [totals, own]) {
    sum.rows++;
    sum.quantity += n;
    sum.value_cents += value_cents;
  }
  if (totals.dearest === null || value_cents > totals.dearest.value_cents) totals.dearest = { id, name, value_cents };
}

function merge(parts: readonly Totals[]): Totals {
  const all = noTotals();
  for (const part of parts) {
    all.rows += part.rows;
    all.quantity += part.quantity;
    all.value_cents += part.value_cents;
    if (part.dearest !== null && part.dearest.value_cents > (all.dearest?.value_cents ?? -1)) all.dearest = part.dearest;
    for (const [name, c] of Object.entries(part.categories)) {
      const own = (all.categories[name] ??= { rows: 0, quantity: 0, value_cents: 0 });
      own.rows += c.rows;
      own.quantity += c.quantity;
      own.value_cents += c.value_cents;
    }
  }
  return all;
}

export const csvInventory = template('files/csv_inventory@1.0.0', { description: 'Counts an inventory, many rows at a time.', input })
  .batchable('analyse', { batchSize: 200, parallelism: 5, onFailure: 'isolate', cursorField: 'byte', timeout: '60s' }, ({ input }) =>
    withFile(input.file, async (file) => {
      const cursors: Cursor<number>[] = [];
      const starts: number[] = [];
      for await (const start of rowStarts(file)) starts.push(start);
      const end = starts.pop() ?? 0;
      const rows = starts.slice(1);
      const header = [...rowsOf(await textOf(file, 0, rows[0] ?? end))][0] ?? [];
      if (header.join() !== COLUMNS.join()) throw new PermanentError(`${input.file} must have the columns ${COLUMNS.join(', ')}, not ${header.join(', ')}`);
      for (let at = 0; at < rows.length; at += input.batch_rows) {
        const size = Math.min(input.batch_rows, rows.length - at);
        cursors.push({ batch_id: String(cursors.length + 1).padStart(3, '0'), start_cursor: rows[at], end_cursor: rows[at + size] ?? end, batch_size: size });
      }
      return cursors.length === 0 ? noBatches() : batches(cursors, { totalItems: rows.length });
    }),
  )
  .batchWorker('count_rows', { of: 'analyse', timeout: '60s' }, ({ input, cursor, stepName, progress }) =>
    withFile(input.file, async (file) => {
      const text = await textOf(file, cursor.start_cursor, cursor.end_cursor);
      const totals = noTotals();
      for (const fields of rowsOf(text)) {
        const row = `${input.file}, ${stepName}, row ${totals.rows + 1} of it`;
        if (fields.length !== COLUMNS.length) throw new PermanentError(`${row}: has ${fields.length} fields instead of ${COLUMNS.length}`);
        add(totals, fields, row);
        progress({ items: totals.rows, total: cursor.batch_size });
      }
      if (totals.rows !== cursor.batch_size)
        throw new PermanentError(`${stepName} found ${totals.rows} rows where ${cursor.batch_size} were: the file has changed`);
      return totals;
    }),
  )
  .step('aggregate', { after: ['count_rows'] }, ({ results }) => ({ ...merge(results.count_rows), workers: results.count_rows.length }))
  .returns('aggregate');

const number = (n: number): string => n.toLocaleString('en-US');
const euros = (cents: number): string => `${number(Math.trunc(cents / 100))}.${String(cents % 100).padStart(2, '0')} EUR`;

/** `npm run example csv`: 0 if the totals are those of every row of the file. */
export async function run(args: readonly string[]): Promise<number> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  await using tutti = await Tutti.open({ store: ':memory:', templates: [csvInventory] });
  const task = await tutti.submit(csvInventory, args[0] === undefined ? {} : { file: args[0] });
  const end = await task.done();
  for (const step of await task.steps()) say(`${step.state === 'complete' ? '✔' : '✘'} ${step.name}${step.error === null ? '' : `: ${step.error.message}`}`);
  if (end.state !== 'complete') return 1;
  const totals = await task.result();
  say(`\n${number(totals.rows)} rows by ${totals.workers} workers: ${number(totals.quantity)} pieces worth ${euros(totals.value_cents)}`);
  for (const [name, c] of Object.entries(totals.categories).sort(([a], [b]) => (a < b ? -1 : 1))) {
    say(`  ${name.padEnd(10)} ${number(c.rows).padStart(5)} rows ${number(c.quantity).padStart(8)} pieces ${euros(c.value_cents).padStart(18)}`);
  }
  if (totals.dearest !== null) say(`most of it lies in ${totals.dearest.name}: ${euros(totals.dearest.value_cents)}`);
  return 0;
}
