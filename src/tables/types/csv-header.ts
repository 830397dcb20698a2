/**
 * The first line of a CSV file. DuckDB's guess at a dialect is made from a sample and may leave out lines that do not fit it; ours is
 * made from the header alone, and a line that does not fit is an error with its number.
 */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';

/** A header longer than this is none. */
const MOST = 1_048_576;
const CHUNK = 65_536;
const DELIMITERS = [',', '\t', ';', '|'] as const;

export interface CsvHeader {
  delimiter: string;
  names: string[];
}

/** Null: the file has no line. */
export async function readCsvHeader(file: string, delimiter: string | null, signal?: AbortSignal): Promise<CsvHeader | null> {
  const raw = createReadStream(file, { signal, highWaterMark: CHUNK });
  const stream = file.toLowerCase().endsWith('.gz') ? raw.pipe(createGunzip()) : raw;
  raw.on('error', (e) => stream.destroy(e));
  const decoder = new TextDecoder();
  let text = '';
  let end = -1;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    text += decoder.decode(chunk, { stream: true });
    end = endOfRecord(text);
    if (end >= 0) break;
    if (text.length > MOST) throw new Error(`line 1: the header is longer than ${MOST} characters`);
  }
  raw.destroy();
  const record = end < 0 ? text : text.slice(0, end);
  if (record.trim() === '') {
    // `text` may be no more than the beginning of it.
    if (end >= 0 && (text.trim() !== '' || text.length >= CHUNK / 2)) throw new Error('line 1: it is empty, where the header should be');
    return null;
  }
  const used = delimiter ?? likelyDelimiter(record);
  return { delimiter: used, names: splitRecord(record, used) };
}

/** Where the first line ends that is not within quotes; -1: not yet. */
function endOfRecord(text: string): number {
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') quoted = !quoted;
    else if (!quoted && (c === '\n' || c === '\r')) return i;
  }
  return -1;
}

function likelyDelimiter(record: string): string {
  const outside = record.replace(/"(?:[^"]|"")*"/g, '');
  let best: string = DELIMITERS[0];
  let most = 0;
  for (const d of DELIMITERS) {
    const count = outside.split(d).length - 1;
    if (count > most) [best, most] = [d, count];
  }
  return best;
}

function splitRecord(record: string, delimiter: string): string[] {
  const fields: string[] = [];
  let field = '';
  let quoted = false;
  for (let i = 0; i < record.length; i++) {
    const c = record[i];
    if (c === '"') {
      if (quoted && record[i + 1] === '"') {
        field += '"';
        i++;
      } else quoted = !quoted;
    } else if (c === delimiter && !quoted) {
      fields.push(field);
      field = '';
    } else field += c;
  }
  fields.push(field);
  return fields.map((f) => f.trim());
}
