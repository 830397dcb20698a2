/** One task at a time on an idle engine, from submit to its result. */
import { Diamonds } from '../bed.ts';
import { input, single, Tally, valueOf } from '../graphs.ts';
import { quantile } from '../statistics.ts';
import { atMost, verify, type Workload } from '../workload.ts';

export const latencyWorkload: Workload = {
  name: 'latency',
  about: 'submit to complete of one step, idle engine, one after the other',
  floor: 'commit',
  slots: 'one',
  repetitions: { quick: 2, full: 5 },
  limit: 60,
  lines: [
    // Two commits at least: the task with its started step, and the step's end with the task's.
    { metric: 'p50', unit: 'ms', floor: (commit) => 2 * commit['p50'], budget: () => atMost(0.6) },
    { metric: 'p99', unit: 'ms', floor: (commit) => 2 * commit['p99'], budget: () => atMost(4) },
    { metric: 'max', unit: 'ms' },
  ],
  async run(bed) {
    const warmUp = 200;
    const count = bed.pick(500, 1000);
    const tally = new Tally(warmUp + count, 1);
    const template = single(tally);
    const warm = new Diamonds(30);
    const tutti = await bed.open([template, warm.template]);
    await warm.run(tutti, 30);
    const waited: number[] = [];
    for (let i = 0; i < warmUp + count; i++) {
      const start = performance.now();
      const task = await tutti.submit(template, input(i));
      const result = await task.result();
      if (i >= warmUp) waited.push(performance.now() - start);
      verify(valueOf(result, 'only') === i, `task ${i} gave ${JSON.stringify(result)}`);
    }
    tally.verifyOnce(0, warmUp + count);
    return { p50: quantile(waited, 0.5), p99: quantile(waited, 0.99), max: quantile(waited, 1) };
  },
};
