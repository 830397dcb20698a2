/** A task of 200 steps, each needing the one before: nothing can be grouped, so every hop pays for a commit. */
import { chain, input, Tally, valueOf } from '../graphs.ts';
import { Diamonds } from '../bed.ts';
import { median } from '../statistics.ts';
import { atMost, verify, type Workload } from '../workload.ts';

const HOPS = 200;

export const chainWorkload: Workload = {
  name: 'chain',
  about: `one task of ${HOPS} steps in a row: milliseconds per hop`,
  floor: 'commit',
  slots: 'one',
  repetitions: { quick: 2, full: 5 },
  limit: 60,
  lines: [
    { metric: 'ms_per_hop', unit: 'ms', floor: (commit) => commit['ms'], budget: () => atMost(2, 'ratio') },
    { metric: 'ms_per_hop_first', unit: 'ms', floor: (commit) => commit['ms'] },
  ],
  async run(bed) {
    const warmUp = 5;
    const runs = 10;
    const tally = new Tally(warmUp + runs, HOPS);
    const template = chain(HOPS, tally);
    const warm = new Diamonds(30);
    const tutti = await bed.open([template, warm.template]);
    await warm.run(tutti, 30);
    const hops: number[] = [];
    for (let i = 0; i < warmUp + runs; i++) {
      const start = performance.now();
      const task = await tutti.submit(template, input(i));
      const result = await task.result();
      hops.push((performance.now() - start) / HOPS);
      verify(valueOf(result, `s${HOPS - 1}`) === HOPS, `the chain gave ${JSON.stringify(result).slice(0, 80)}`);
    }
    tally.verifyOnce(0, warmUp + runs);
    return { ms_per_hop: median(hops.slice(warmUp)), ms_per_hop_first: hops[0] };
  },
};
