import { ChangeSet, type TickWrite } from '../core/changes.ts';
import type { Host } from './host.ts';

/** Outcomes of ticks that make nothing, gathered: thousands that are skipped at one moment are a few commits. */
export class TickMarks {
  readonly #host: Host;
  readonly #commit: (changes: ChangeSet) => Promise<boolean>;
  #waiting: { write: TickWrite; done: (written: boolean) => void }[] = [];

  constructor(o: { host: Host; commit: (changes: ChangeSet) => Promise<boolean> }) {
    this.#host = o.host;
    this.#commit = o.commit;
  }

  /** Resolves with whether it was written. */
  write(write: TickWrite): Promise<boolean> {
    return new Promise((done) => {
      this.#waiting.push({ write, done });
      if (this.#waiting.length === 1) this.#host.soon(() => void this.#flush());
    });
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    const all = new ChangeSet();
    for (const { write } of batch) all.ticks.push(write);
    if (await this.#commit(all)) {
      for (const { done } of batch) done(true);
      return;
    }
    // One that has lost its race refuses all of them.
    for (const { write, done } of batch) {
      const one = new ChangeSet();
      one.ticks.push(write);
      done(batch.length > 1 && (await this.#commit(one)));
    }
  }
}
