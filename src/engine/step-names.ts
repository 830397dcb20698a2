/**
 * What events call a step. A step of a template has its name there; one that was added to a task has it in the task's graph while that
 * is in memory, in the event that added it, and in the store: from there it is read for a page of events at a time.
 */
import type { LoggedEvent } from '../core/log.ts';
import type { Awaitable } from '../store/store.ts';

/** Names kept of added steps of tasks that are not in memory; above it all are read anew. */
const KEPT = 20_000;

export interface StepNamesParts {
  /** Name by the task's graph, while it is in memory. */
  inMemory: (task: number, no: number) => string | undefined;
  inTemplate: (template: number, no: number) => string | undefined;
  /** Stored names of added steps, in the order asked; null where there is none. */
  stored: (task: number, nos: readonly number[]) => Awaitable<readonly (string | null)[]>;
}

export class StepNames {
  readonly #p: StepNamesParts;
  readonly #added = new Map<string, string>();

  constructor(parts: StepNamesParts) {
    this.#p = parts;
  }

  /** Before these events of a task are spelt: reads the names that are not at hand. Undefined: all are. */
  learn(task: number, template: number | null, events: readonly LoggedEvent[]): Promise<void> | undefined {
    const missing = new Set<number>();
    for (const e of events) {
      if (e.kind === 'added') this.#keep(task, e.no, e.name);
      const no = e.kind === 'added' ? e.parent : e.kind === 'step' || e.kind === 'attempt' || e.kind === 'reset' ? e.no : null;
      if (no !== null && this.#find(task, template, no) === undefined) missing.add(no);
    }
    return missing.size === 0 ? undefined : this.#read(task, [...missing]);
  }

  /** The number as text where nobody knows a name, as for a task that was removed meanwhile. */
  of(task: number, template: number | null, no: number): string {
    return this.#find(task, template, no) ?? String(no);
  }

  #find(task: number, template: number | null, no: number): string | undefined {
    return this.#p.inMemory(task, no) ?? (template === null ? undefined : this.#p.inTemplate(template, no)) ?? this.#added.get(`${task}/${no}`);
  }

  async #read(task: number, nos: readonly number[]): Promise<void> {
    const found = await this.#p.stored(task, nos);
    nos.forEach((no, i) => {
      const name = found[i] ?? null;
      if (name !== null) this.#keep(task, no, name);
    });
  }

  #keep(task: number, no: number, name: string): void {
    if (this.#added.size >= KEPT) this.#added.clear();
    this.#added.set(`${task}/${no}`, name);
  }
}
