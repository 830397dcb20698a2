/** Lines that a process appends and another reads after it was killed: one write each, so a kill leaves at most the last line torn. */
import { appendFileSync, closeSync, openSync, readFileSync, writeSync } from 'node:fs';

export class LineLog {
  readonly #fd: number;
  constructor(path: string) {
    this.#fd = openSync(path, 'a');
  }
  write(...fields: (string | number)[]): void {
    writeSync(this.#fd, `${fields.join(' ')}\n`);
  }
  close(): void {
    closeSync(this.#fd);
  }
}

/** Whole lines only. */
export function readLines(path: string): string[][] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((l) => l !== '')
    .map((l) => l.split(' '));
}

/** Ends a torn line, so that the next writer begins on a fresh one. */
export function mend(path: string): void {
  try {
    const text = readFileSync(path, 'utf8');
    if (text !== '' && !text.endsWith('\n')) appendFileSync(path, ' torn\n');
  } catch {
    // Nothing was written yet.
  }
}
