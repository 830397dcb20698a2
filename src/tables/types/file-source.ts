/** A file of any of the formats as something to select a table's columns from. What is missing in the file is NULL, what is more is left out. */
import type { DuckSession } from '../duckdb.ts';
import type { TableColumn } from '../tables.ts';
import { quoteName, quotePath, quoteText } from '../sql-text.ts';
import { type CsvHeader, readCsvHeader } from './csv-header.ts';

export const INPUT_FORMATS = ['auto', 'csv', 'json', 'jsonl', 'parquet'] as const;
export type InputFormat = (typeof INPUT_FORMATS)[number];

export interface FileOptions {
  format: InputFormat;
  /** Of CSV; null: the likeliest one in the header. */
  delimiter: string | null;
  /** Whether the first line of CSV names the columns; if not, they are the table's, in their order. */
  header: boolean;
  /** As strftime writes them; null: ISO. */
  timestampFormat: string | null;
  dateFormat: string | null;
}

export interface FileSource {
  format: Exclude<InputFormat, 'auto'>;
  /** Stands behind FROM. */
  from: string;
  /** In the order of the table's columns. */
  select: string;
}

const BY_EXTENSION: Record<string, Exclude<InputFormat, 'auto'>> = {
  csv: 'csv',
  tsv: 'csv',
  txt: 'csv',
  json: 'json',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  parquet: 'parquet',
};

/** Null: its name does not say. */
export function formatOf(file: string, format: InputFormat): Exclude<InputFormat, 'auto'> | null {
  if (format !== 'auto') return format;
  const match = /\.([a-z]+)(\.gz)?$/.exec(file.toLowerCase());
  const found = match === null ? undefined : BY_EXTENSION[match[1]];
  return found === undefined || (found === 'parquet' && match![2] !== undefined) ? null : found;
}

const sameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** DuckDB's own sizes, for files that are large or compressed; beside them what the longest line or record may have. */
const CSV_BUFFER = { least: 2_097_152, most: 32_000_000 };
const JSON_OBJECT = { least: 1_048_576, most: 16_777_216 };

/** Each reader takes its buffer whole: 32 MB for a file of a few lines would leave no memory for those beside it. */
const sized = (file: string, bytes: number, { least, most }: { least: number; most: number }): number =>
  file.toLowerCase().endsWith('.gz') ? most : Math.min(most, Math.max(least, bytes + 1_024));

/** A file whose beginning has been read. */
export interface OpenedFile {
  /** A path that DuckDB can open. */
  file: string;
  size: number;
  format: FileSource['format'];
  /** Of CSV; null: there is no line in it. */
  header: CsvHeader | null;
}

/** What is known before DuckDB looks: done outside of its sessions, which are few. `name` is what people call the file. */
export async function openFile(file: string, name: string, size: number, o: FileOptions, signal?: AbortSignal): Promise<OpenedFile> {
  const format = formatOf(name, o.format);
  if (format === null) throw new Error('its name does not say its format: set inputFormat to csv, json, jsonl or parquet');
  return { file, size, format, header: format === 'csv' && size > 0 ? await readCsvHeader(file, o.delimiter, signal) : null };
}

/** Null: there is nothing in the file. */
export async function fileSource(s: DuckSession, opened: OpenedFile, columns: readonly TableColumn[], o: FileOptions): Promise<FileSource | null> {
  const { file, size, format } = opened;
  if (size === 0) return null;
  switch (format) {
    case 'csv':
      return opened.header === null ? null : csvSource(file, size, opened.header, columns, o);
    case 'json':
    case 'jsonl': {
      // Left to guess, DuckDB may take a record for a value; told the columns, it takes what it finds under their names.
      const types = columns.map((c) => `${quoteText(c.name)}: ${quoteText(c.type)}`).join(', ');
      const from = `read_json(${quotePath(file)}, format=${format === 'json' ? `'auto'` : `'newline_delimited'`}, columns={${types}}, maximum_object_size=${sized(file, size, JSON_OBJECT)}${formatsOf(o)})`;
      return { format, from, select: columns.map((c) => quoteName(c.name)).join(', ') };
    }
    case 'parquet': {
      const from = `read_parquet(${quotePath(file)})`;
      const has = await s.describe(from);
      if (!columns.some((c) => has.some((h) => sameName(h.name, c.name))))
        throw new Error(`it has none of the table's columns, which are ${columns.map((c) => c.name).join(', ')}`);
      const select = columns.map((c) => {
        const found = has.find((h) => sameName(h.name, c.name));
        const value = found === undefined ? 'NULL' : quoteName(found.name);
        return `CAST(${value} AS ${c.type}) AS ${quoteName(c.name)}`;
      });
      return { format, from, select: select.join(', ') };
    }
    default:
      return format satisfies never;
  }
}

const formatsOf = (o: FileOptions): string =>
  (o.timestampFormat === null ? '' : `, timestampformat=${quoteText(o.timestampFormat)}`) +
  (o.dateFormat === null ? '' : `, dateformat=${quoteText(o.dateFormat)}`);

function csvSource(file: string, size: number, first: CsvHeader, columns: readonly TableColumn[], o: FileOptions): FileSource {
  const names = o.header ? first.names : first.names.map((_, i) => columns[i]?.name ?? `field ${i + 1}`);
  const seen = new Set<string>();
  const types: string[] = [];
  names.forEach((given, i) => {
    const found = columns.find((c) => sameName(c.name, given));
    const used = found?.name ?? (given === '' || given.includes('\0') ? `field ${i + 1}` : given);
    if (seen.has(used.toLowerCase())) {
      if (found !== undefined) throw new Error(`line 1: the header names column ${used} twice`);
      // Nobody reads it: any name of its own will do.
      types.push(`${quoteText(`${used} (field ${i + 1})`)}: 'VARCHAR'`);
      return;
    }
    seen.add(used.toLowerCase());
    types.push(`${quoteText(used)}: ${quoteText(found?.type ?? 'VARCHAR')}`);
  });
  // Another delimiter, another encoding, another file: rows of nothing but NULL would look as if they had been loaded.
  if (!columns.some((c) => seen.has(c.name.toLowerCase())))
    throw new Error(`line 1: the header names none of the table's columns, which are ${columns.map((c) => c.name).join(', ')}`);
  const from =
    `read_csv(${quotePath(file)}, auto_detect=false, header=${o.header}, delim=${quoteText(first.delimiter)}, quote='"', escape='"', ` +
    `columns={${types.join(', ')}}, buffer_size=${sized(file, size, CSV_BUFFER)}${formatsOf(o)})`;
  const select = columns.map((c) => (seen.has(c.name.toLowerCase()) ? quoteName(c.name) : `CAST(NULL AS ${c.type}) AS ${quoteName(c.name)}`));
  return { format: 'csv', from, select: select.join(', ') };
}
