import { ChangeSet, type AttemptLogLine } from '../core/changes.ts';
import type { Host } from './host.ts';

const FLUSH_MS = 500;
/** Lines that wait for the store; above it the oldest are dropped, so that a chatty handler cannot fill the memory (I11). */
const MAX_WAITING = 20_000;
const PER_COMMIT = 500;

/** Lines that handlers log, written outside the hot commit: at most two commits a second. */
export class AttemptLog {
  readonly #host: Host;
  readonly #commit: (changes: ChangeSet) => Promise<boolean>;
  #lines: AttemptLogLine[] = [];
  #armed = false;
  dropped = 0;

  constructor(o: { host: Host; commit: (changes: ChangeSet) => Promise<boolean> }) {
    this.#host = o.host;
    this.#commit = o.commit;
  }

  add(line: Omit<AttemptLogLine, 'at'>): void {
    if (this.#lines.length >= MAX_WAITING) {
      this.#lines.shift();
      this.dropped++;
    }
    this.#lines.push({ ...line, at: this.#host.now() });
    if (this.#armed) return;
    this.#armed = true;
    this.#host.timer(FLUSH_MS, () => void this.flush());
  }

  async flush(): Promise<void> {
    while (this.#lines.length > 0) {
      const changes = new ChangeSet();
      changes.logLines.push(...this.#lines.splice(0, PER_COMMIT));
      // A line that cannot be written is lost: its task may be gone, and lines are no promise.
      if (!(await this.#commit(changes))) this.dropped += changes.logLines.length;
    }
    this.#armed = false;
  }
}
