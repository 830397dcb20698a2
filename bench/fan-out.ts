/** One task of n independent steps and a join, run to its end. Shared by fanout, memory, big_graph and stall. */
import type { Tutti, UntypedTemplate } from '../src/main.ts';
import { fan, fanSum, input, Tally } from './graphs.ts';
import { verify } from './workload.ts';

export class FanOut {
  readonly template: UntypedTemplate;
  readonly n: number;
  readonly #tally: Tally;
  #next = 0;

  constructor(n: number, tasks: number) {
    this.n = n;
    this.#tally = new Tally(tasks, n + 1);
    this.template = fan(n, this.#tally);
  }

  /** Milliseconds from the submission to the durable end. */
  async run(tutti: Tutti): Promise<number> {
    const i = this.#next++;
    const start = performance.now();
    const task = await tutti.submit(this.template, input(i));
    const { join } = (await task.result()) as { join: { v: number; count: number } };
    const ms = performance.now() - start;
    verify(join.v === fanSum(this.n) && join.count === this.n, `the fan-out of ${this.n} gave ${JSON.stringify(join)}`);
    this.#tally.verifyOnce(i, i + 1);
    return ms;
  }
}
