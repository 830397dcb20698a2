/**
 * Newline-delimited JSON as it arrives: chunks in, whole lines out. Holds at most one unfinished line, so a body of any size passes
 * through in bounded memory. Blank lines are skipped and counted.
 */
import { TuttiError } from './errors.ts';

export interface NdjsonLine {
  /** From 1, as an editor counts. */
  no: number;
  /** Without its line end. */
  text: string;
}

/** An element of a tree may hold inputs of 1 MiB, and JSON may spell a character in six. */
export const MAX_NDJSON_LINE = 2 * 1_048_576;

export class NdjsonSplitter {
  readonly #maxLine: number;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #rest = '';
  #seen = 0;

  /** `maxLine`: characters (UTF-16 units) of one line. Default 2 Mi. */
  constructor({ maxLine = MAX_NDJSON_LINE }: { maxLine?: number } = {}) {
    this.#maxLine = maxLine;
  }

  /** The lines that this chunk ends. Throws TuttiError VALUE_TOO_LARGE (a line above the limit) or INVALID_JSON (not UTF-8). */
  push(chunk: Uint8Array | string): NdjsonLine[] {
    const text = typeof chunk === 'string' ? chunk : this.#decode(chunk);
    const lines: NdjsonLine[] = [];
    let from = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      this.#take(this.#rest + text.slice(from, end), lines);
      this.#rest = '';
      from = end + 1;
    }
    this.#rest += text.slice(from);
    if (this.#rest.length > this.#maxLine + 1) throw this.#tooLong();
    return lines;
  }

  /** What stands behind the last line end: one line or none. Throws as `push` does. */
  end(): NdjsonLine[] {
    const lines: NdjsonLine[] = [];
    this.#take(this.#rest + this.#decode(undefined), lines);
    this.#rest = '';
    return lines;
  }

  #take(line: string, lines: NdjsonLine[]): void {
    const text = line.endsWith('\r') ? line.slice(0, -1) : line;
    if (text.length > this.#maxLine) throw this.#tooLong();
    this.#seen++;
    if (text.trim() !== '') lines.push({ no: this.#seen, text });
  }

  #decode(bytes: Uint8Array | undefined): string {
    try {
      return this.#decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (e) {
      throw new TuttiError('INVALID_JSON', `${this.#seen === 0 ? 'the body' : `the text after line ${this.#seen}`} is not UTF-8`, { cause: e });
    }
  }

  #tooLong(): TuttiError {
    return new TuttiError('VALUE_TOO_LARGE', `line ${this.#seen + 1} is longer than ${this.#maxLine} characters`, {
      field: `line ${this.#seen + 1}`,
      details: { limit: this.#maxLine },
    });
  }
}
