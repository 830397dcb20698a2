/**
 * Ready steps that wait in the store: tasks that were never begun when the process started, or that did not fit the cache. They are
 * fetched by rank, a batch ahead of the slots, so that no turn reads (spec/turn-loop.md §7).
 */
import type { EngineParts } from './engine-parts.ts';

const BATCH = 500;

export class ColdReady {
  readonly #p: EngineParts;
  readonly #adopt: (ids: number[]) => Promise<void>;
  readonly #wake: () => void;
  #after: { rank: number; task: number; no: number } | undefined;
  #more = true;
  #fetching = false;

  constructor(o: { parts: EngineParts; adopt: (ids: number[]) => Promise<void>; wake: () => void }) {
    this.#p = o.parts;
    this.#adopt = o.adopt;
    this.#wake = o.wake;
  }

  /** A ready step of this rank was left in the store. */
  left(rank: number): void {
    if (this.#after !== undefined && rank <= this.#after.rank) this.#after = undefined;
    this.#more = true;
  }

  /** Fetches the next batch when the queue runs low. Call after each turn; costs nothing when nothing is cold. */
  topUp(): void {
    if (!this.#more || this.#fetching || this.#p.queue.size >= this.#p.dispatcher.slots.total * 2 + 64) return;
    if (this.#p.dispatcher.slots.total === 0) return;
    this.#fetching = true;
    this.#fetch().then(
      () => {
        this.#fetching = false;
        this.#wake();
      },
      () => {
        this.#fetching = false;
        this.#p.host.timer(200, () => this.topUp());
      },
    );
  }

  async #fetch(): Promise<void> {
    const rows = await this.#p.store.readySteps({ limit: BATCH, after: this.#after });
    if (rows.length < BATCH) this.#more = false;
    if (rows.length === 0) return;
    const ids = [...new Set(rows.map((r) => r.task))].filter((id) => this.#p.graphs.get(id) === undefined);
    await this.#adopt(ids);
    await this.#fetchInputs(ids);
    this.#after = rows[rows.length - 1];
  }

  /** In one go, so that their first steps are handed out with everything from memory. */
  async #fetchInputs(ids: readonly number[]): Promise<void> {
    const { store, payloads, graphs } = this.#p;
    const wanted = ids.filter((id) => graphs.get(id) !== undefined && payloads.input(id) === undefined);
    const bodies = await store.payloads(wanted.map((task) => ({ task, no: -1, token: 0 })));
    for (const [i, body] of bodies.entries()) if (body !== null && graphs.get(wanted[i]) !== undefined) payloads.putInput(wanted[i], body);
  }
}
