/** Log lines of a server where a person looks: JSON objects in, one line of words each out. Anything else goes through as it is. */
import { type Colour, clockTime, type Paint, printable } from './terminal.ts';

const LEVELS: readonly [level: number, word: string, colour: Colour][] = [
  [50, 'error', 'red'],
  [40, 'warn', 'yellow'],
  [30, 'info', 'blue'],
  [0, 'debug', 'dim'],
];
/** The command says where it listens, and what else there is to know. */
const SAID_BETTER = /^Server listening at /;

export class ReadableLog {
  readonly #to: { write(text: string): unknown };
  readonly #paint: Paint;

  constructor(to: { write(text: string): unknown }, paint: Paint) {
    this.#to = to;
    this.#paint = paint;
  }

  /** One line, as pino gives it. */
  write(text: string): void {
    const shown = this.#shown(text);
    if (shown !== null) this.#to.write(shown);
  }

  #shown(text: string): string | null {
    let entry: unknown;
    try {
      entry = JSON.parse(text);
    } catch {
      return text;
    }
    if (typeof entry !== 'object' || entry === null) return text;
    const { level, time, msg, err, error, ...details } = entry as Record<string, unknown>;
    if (typeof msg === 'string' && SAID_BETTER.test(msg)) return null;
    const [, word, colour] = LEVELS.find(([least]) => typeof level === 'number' && level >= least) ?? LEVELS[2];
    const at = typeof time === 'string' || typeof time === 'number' ? clockTime(new Date(time).getTime()) : '';
    const more = Object.keys(details).length === 0 ? '' : ` ${this.#paint('dim', printable(JSON.stringify(details)))}`;
    const line = `${this.#paint('dim', at)} ${this.#paint(colour, word.padEnd(5))} ${printable(typeof msg === 'string' ? msg : '')}${more}\n`;
    return line + stackOf(err ?? error);
  }
}

/** Line by line below the message; of a stack the first line repeats it where there is more. */
function stackOf(error: unknown): string {
  const text = typeof error === 'object' && error !== null ? ((error as { stack?: unknown }).stack ?? (error as { message?: unknown }).message) : error;
  if (typeof text !== 'string') return '';
  return text
    .split('\n')
    .map((l) => `    ${printable(l.trim())}\n`)
    .join('');
}
