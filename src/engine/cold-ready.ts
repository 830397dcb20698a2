/**
 * Ready steps that wait in the store: tasks that were never begun when the process started, or that did not fit the cache. They are
 * fetched by rank, a batch ahead of the slots, so that no turn reads (spec/turn-loop.md §7).
 */
import type { EngineParts } from './engine-parts.ts';

const BATCH = 500;
const BATCH_WHILE_TIGHT = 32;

export class ColdReady {
  readonly #p: EngineParts;
  readonly #adopt: (ids: number[]) => Promise<void>;
  readonly #wake: () => void;
  #after: { rank: number; task: number; no: number } | undefined;
  #more = true;
  /** Lowest rank left behind while a fetch is under way. */
  #lowest = Number.POSITIVE_INFINITY;
  #fetching = false;
  /** Steps started when the last fetch began. */
  #startedAtFetch = -1;
  readonly #started: () => number;
  /** Graphs with ready steps have had to leave memory. */
  #tight = false;

  constructor(o: { parts: EngineParts; adopt: (ids: number[]) => Promise<void>; wake: () => void; started: () => number }) {
    this.#p = o.parts;
    this.#adopt = o.adopt;
    this.#wake = o.wake;
    this.#started = o.started;
  }

  /** A ready step of this rank was left in the store. */
  left(rank: number): void {
    this.#tight = true;
    if (this.#fetching) this.#lowest = Math.min(this.#lowest, rank);
    else if (this.#after !== undefined && rank <= this.#after.rank) this.#after = undefined;
    this.#more = true;
  }

  /** Handlers came: what was passed over may run now. */
  reset(): void {
    this.#after = undefined;
    this.#lowest = Number.NEGATIVE_INFINITY;
    this.#more = true;
  }

  /** Fetches the next batch when the queue runs low, or when what is left in the store may go before what is in it. Call after each turn; costs nothing when nothing is cold. */
  topUp(): void {
    if (!this.#more || this.#fetching) return;
    const { total } = this.#p.dispatcher.slots;
    if (total === 0) return;
    // Ahead of the slots at most once per start: in a tight cache what is fetched leaves it again, and would be fetched for ever.
    const started = this.#started();
    if (!this.#p.dispatcher.anyFree && started === this.#startedAtFetch) return;
    this.#startedAtFetch = started;
    const top = this.#p.queue.peek();
    if (top !== undefined && this.#after !== undefined && top.rank <= this.#after.rank && this.#p.queue.size >= total * 2 + 64) return;
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
    this.#lowest = Number.POSITIVE_INFINITY;
    const limit = this.#tight ? BATCH_WHILE_TIGHT : BATCH;
    const rows = await this.#p.store.readySteps({ limit, after: this.#after });
    if (rows.length < limit) this.#more = false;
    if (rows.length === 0) return;
    const ids = [...new Set(rows.map((r) => r.task))].filter((id) => this.#p.graphs.get(id) === undefined);
    await this.#adopt(ids);
    await this.#fetchInputs(ids);
    const last = rows[rows.length - 1];
    this.#after = this.#lowest <= last.rank ? undefined : last;
    if (this.#after === undefined) this.#more = true;
  }

  /** In one go, so that their first steps are handed out with everything from memory. */
  async #fetchInputs(ids: readonly number[]): Promise<void> {
    const { store, payloads, graphs } = this.#p;
    const wanted = ids.filter((id) => graphs.get(id) !== undefined && payloads.input(id) === undefined);
    const bodies = await store.payloads(wanted.map((task) => ({ task, no: -1, token: 0 })));
    for (const [i, body] of bodies.entries()) if (body !== null && graphs.get(wanted[i]) !== undefined) payloads.putInput(wanted[i], body);
  }
}
