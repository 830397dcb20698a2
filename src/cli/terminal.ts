/** What the terminal can show: colour only where a person looks, widths, and how times read. */
import type { WriteStream } from 'node:tty';

export type Colour = 'red' | 'green' | 'yellow' | 'blue' | 'cyan' | 'dim' | 'bold';
export type Paint = (colour: Colour, text: string) => string;

const CODES: Readonly<Record<Colour, [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  cyan: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
};

export const paintWith = (enabled: boolean): Paint =>
  enabled ? (colour, text) => `\u001b[${CODES[colour][0]}m${text}\u001b[${CODES[colour][1]}m` : (_, text) => text;

export interface Terminal {
  /** A person is looking: redraw is possible. */
  live: boolean;
  columns: number;
  rows: number;
  paint: Paint;
  write(text: string): void;
}

export const terminalOf = (stream: Pick<WriteStream, 'write'> & Partial<WriteStream>, noColor: boolean): Terminal => {
  const live = stream.isTTY === true;
  return {
    live,
    get columns() {
      // A terminal that nobody has told its size says 0.
      return stream.columns || 80;
    },
    get rows() {
      return stream.rows || 24;
    },
    paint: paintWith(live && !noColor),
    write: (text) => void stream.write(text),
  };
};

/** Control characters of stored text must not reach the terminal: a step's message could otherwise move the cursor or forge lines. */
export const printable = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (c) => (c === '\n' || c === '\t' ? ' ' : '\ufffd'));

/** Cut to a width, with an ellipsis. Counts code points: names and messages here are nearly always of single width. */
export const fit = (text: string, width: number): string => {
  if (text.length <= width) return text;
  const points = [...text];
  return points.length <= width ? text : width < 1 ? '' : `${points.slice(0, width - 1).join('')}…`;
};

export const pad = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - [...text].length));

/** `7 ms`, `1.2 s`, `3 m 05 s`, `2 h 04 m`, `3 d 2 h`. */
export const duration = (ms: number): string => {
  const t = Math.max(0, ms);
  if (t < 1000) return `${Math.round(t)} ms`;
  if (t < 59_950) return `${(t / 1000).toFixed(1)} s`;
  const s = Math.round(t / 1000);
  const two = (n: number): string => String(n).padStart(2, '0');
  if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
  const m = Math.floor(s / 60);
  if (m < 1440) return `${Math.floor(m / 60)} h ${two(m % 60)} m`;
  return `${Math.floor(m / 1440)} d ${Math.floor((m % 1440) / 60)} h`;
};

/** `15:04:05.123` in local time. */
export const clockTime = (at: number): string => {
  const d = new Date(at);
  const p = (n: number, w = 2): string => String(n).padStart(w, '0');
  return `${p(d.getHours())}:${p(d.getMinutes())}:${p(d.getSeconds())}.${p(d.getMilliseconds(), 3)}`;
};

/** A table with two spaces between columns; the last column is not padded. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[], paint: Paint): string[] => {
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map((r) => [...(r[i] ?? '')].length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((c, i) => (i === cells.length - 1 ? c : pad(c, widths[i])))
      .join('  ')
      .trimEnd();
  return [paint('dim', line(head)), ...rows.map(line)];
};
