/** What is wrong with a file, in a sentence that names its line and column. DuckDB's own text says it at length and with hints for its console. */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import type { DuckSession } from '../duckdb.ts';
import type { TableColumn } from '../tables.ts';
import { quoteName, quotePath, quoteText } from '../sql-text.ts';
import type { FileSource } from './file-source.ts';

const MOST = 300;
const [NEWLINE, SPACE, QUOTE] = [10, 32, 34];

export interface FileProblem {
  /** From 1; of Parquet and of JSON that is no JSON lines, the record. Null: it is about the whole file. */
  line: number | null;
  column: string | null;
  message: string;
}

export const showProblem = (file: string, p: FileProblem): string =>
  `${file}${p.line === null ? '' : `, line ${p.line}`}${p.column === null ? '' : `, column ${p.column}`}: ${p.message}`;

/** Looks at the file again where the text does not say enough: reading it is done once more, and only of bad files. */
export async function fileProblem(e: unknown, s: DuckSession, file: string, source: FileSource | null, columns: readonly TableColumn[]): Promise<FileProblem> {
  const text = (e instanceof Error ? e.message : String(e)).trim();
  const found = readProblem(text);
  if (source === null) return found;
  if (source.format === 'csv') return found.line === null ? found : { ...found, line: await lineOf(file, found.line, true) };
  if (source.format === 'parquet') return { ...found, ...(await castOf(s, file, columns)) };
  if (found.line === null) return found;
  const column = await fieldOf(s, source.from, found.line, columns);
  return { ...found, column, line: source.format === 'jsonl' ? await lineOf(file, found.line, false) : found.line };
}

/** Pure: the parts of DuckDB's message. */
export function readProblem(text: string): FileProblem {
  const lines = text.split('\n').map((l) => l.trim());
  const csv = /CSV Error on Line: (\d+)/.exec(lines[0]);
  if (csv !== null) {
    const original = lines.findIndex((l) => l.startsWith('Original Line:'));
    const said = lines.slice(1).find((l, i) => i + 1 !== original && /^(?:Error|Expected|Value|Maximum|Invalid|Missing|The )/.test(l)) ?? lines[1] ?? '';
    const conversion = /^Error when converting column "(.*)"\. (.*)$/.exec(said);
    return { line: Number(csv[1]), column: conversion?.[1] ?? null, message: cut(conversion?.[2] ?? said) };
  }
  const json = /^(?:\w+ )*Error: (.*?) in file ".*", (?:at byte \d+ )?in (?:line|record\/value) (\d+): (.*)$/.exec(lines[0]);
  if (json !== null) return { line: Number(json[2]), column: null, message: cut(json[1] === 'Malformed JSON' ? `malformed JSON: ${json[3]}` : json[3]) };
  const own = /^line (\d+): (.*)$/.exec(lines[0]);
  if (own !== null) return { line: Number(own[1]), column: null, message: cut(own[2]) };
  return { line: null, column: null, message: cut(lines[0].replace(/^(?:\w+ )*Error: /, '')) };
}

const cut = (text: string): string => (text.length > MOST ? `${text.slice(0, MOST - 1)}…` : text);

/** The first value of a Parquet file that its column cannot take. */
async function castOf(s: DuckSession, file: string, columns: readonly TableColumn[]): Promise<Partial<FileProblem>> {
  try {
    const from = `read_parquet(${quotePath(file)}, file_row_number=true)`;
    const has = new Map((await s.describe(from)).map((c) => [c.name.toLowerCase(), c.name]));
    for (const { name, type } of columns) {
      const own = has.get(name.toLowerCase());
      if (own === undefined) continue;
      const value = quoteName(own);
      const [bad] = await s.rows(
        `SELECT file_row_number AS n, left(${value}::VARCHAR, 60) AS shown FROM ${from} WHERE TRY_CAST(${value} AS ${type}) IS NULL AND ${value} IS NOT NULL LIMIT 1`,
      );
      if (bad !== undefined) return { line: Number(bad.n) + 1, column: name, message: `Could not convert ${JSON.stringify(bad.shown)} to ${type}` };
    }
  } catch {
    // A file that cannot be read at all: what was said first stands.
  }
  return {};
}

/** Which field of a record does not fit. */
async function fieldOf(s: DuckSession, from: string, record: number, columns: readonly TableColumn[]): Promise<string | null> {
  try {
    const raw = from.replace(/columns=\{.*?\}(?=[,)])/, () => `columns={${columns.map((c) => `${quoteText(c.name)}: 'JSON'`).join(', ')}}`);
    const tests = columns.map((c, i) => {
      const field = quoteName(c.name);
      return `(${field} IS NOT NULL AND ${field}::VARCHAR <> 'null' AND TRY_CAST(${field} AS ${c.type}) IS NULL) AS "${i}"`;
    });
    const [bad] = await s.rows(`SELECT ${tests.join(', ')} FROM ${raw} LIMIT 1 OFFSET ${record - 1}`);
    const at = bad === undefined ? -1 : columns.findIndex((_, i) => bad[String(i)] === true);
    return at < 0 ? null : columns[at].name;
  } catch {
    return null;
  }
}

/**
 * The line a record begins with. DuckDB counts records: in CSV one may have several lines within quotes, in JSON lines it leaves out
 * those that are empty. What lies behind the end is the last one.
 */
async function lineOf(file: string, record: number, csv: boolean): Promise<number> {
  const raw = createReadStream(file);
  const stream = file.toLowerCase().endsWith('.gz') ? raw.pipe(createGunzip()) : raw;
  raw.on('error', (e) => stream.destroy(e));
  let line = 1;
  let begin = 1;
  let records = 0;
  let quoted = false;
  let empty = true;
  let last = 1;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      for (const c of chunk) {
        if (c === NEWLINE) {
          line++;
          if (quoted) continue;
          if (csv || !empty) {
            last = begin;
            if (++records === record) return begin;
          }
          begin = line;
          empty = true;
        } else if (c === QUOTE && csv) quoted = !quoted;
        else if (c > SPACE) empty = false;
      }
    }
    return empty ? last : begin;
  } finally {
    raw.destroy();
  }
}
