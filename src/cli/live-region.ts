/** The last lines of a terminal, redrawn in place. Text printed with `above` scrolls by over them. */
import type { Terminal } from './terminal.ts';

export class LiveRegion {
  #terminal: Terminal;
  #drawn = 0;
  #last = '';

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Replaces the region. Lines must be no wider than the terminal. */
  draw(lines: readonly string[]): void {
    const text = lines.map((l) => `${l}\u001b[K\n`).join('');
    if (text === this.#last) return;
    this.#terminal.write(`${this.#up()}${text}\u001b[J`);
    this.#drawn = lines.length;
    this.#last = text;
  }

  /** Prints lines above the region, which is drawn again at the next `draw`. */
  above(lines: readonly string[]): void {
    this.#terminal.write(`${this.#up()}\u001b[J${lines.map((l) => `${l}\n`).join('')}`);
    this.#drawn = 0;
    const last = this.#last;
    this.#last = '';
    if (last !== '') {
      this.#terminal.write(last);
      this.#drawn = last.split('\n').length - 1;
      this.#last = last;
    }
  }

  /** Leaves what is drawn where it is; the next draw starts below. */
  keep(): void {
    this.#drawn = 0;
    this.#last = '';
  }

  #up(): string {
    return this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A\r`;
  }
}
