/**
 * Texts that will probably be wanted soon: inputs of live tasks and results just returned. Bounded in bytes (I11), oldest task out
 * first; what is missing is read from the store. Graphs themselves hold no payloads (design.md §5).
 */
interface TaskTexts {
  input: string | undefined;
  results: Map<number, { token: number; body: string }> | undefined;
  bytes: number;
}

export class PayloadCache {
  readonly #limit: number;
  readonly #tasks = new Map<number, TaskTexts>();
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#bytes;
  }

  input(task: number): string | undefined {
    return this.#tasks.get(task)?.input;
  }

  result(task: number, no: number, token: number): string | undefined {
    const r = this.#tasks.get(task)?.results?.get(no);
    return r !== undefined && r.token === token ? r.body : undefined;
  }

  putInput(task: number, body: string): void {
    const t = this.#of(task);
    if (t.input !== undefined) return;
    t.input = body;
    this.#grow(t, body.length);
  }

  putResult(task: number, no: number, token: number, body: string): void {
    const t = this.#of(task);
    t.results ??= new Map();
    t.results.set(no, { token, body });
    this.#grow(t, body.length);
  }

  drop(task: number): void {
    const t = this.#tasks.get(task);
    if (t === undefined) return;
    this.#bytes -= t.bytes;
    this.#tasks.delete(task);
  }

  #of(task: number): TaskTexts {
    let t = this.#tasks.get(task);
    if (t === undefined) {
      t = { input: undefined, results: undefined, bytes: 0 };
      this.#tasks.set(task, t);
    }
    return t;
  }

  /** Counts a text and what holds it, roughly. */
  #grow(t: TaskTexts, length: number): void {
    const cost = length + 64;
    t.bytes += cost;
    this.#bytes += cost;
    if (this.#bytes <= this.#limit) return;
    for (const oldest of this.#tasks.keys()) {
      this.drop(oldest);
      if (this.#bytes <= this.#limit * 0.9) return;
    }
  }
}
