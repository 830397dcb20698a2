/** Whether a completion costs the same in a graph of 100,000 steps as in one of 1,000. */
import { FanOut } from '../fan-out.ts';
import { median } from '../statistics.ts';
import { atMost, type Workload } from '../workload.ts';

const SMALL = 1000;
const BIG = 100_000;

export const bigGraphWorkload: Workload = {
  name: 'big_graph',
  about: `cost per completion in a graph of ${BIG} steps over one of ${SMALL}`,
  slots: 'one',
  repetitions: { quick: 1, full: 3 },
  limit: 120,
  lines: [
    { metric: 'ratio', unit: 'x', floor: () => 1, budget: () => atMost(1.3) },
    { metric: 'us_per_completion', unit: 'us', floor: (_, self) => self['us_per_completion_small'] },
  ],
  async run(bed) {
    const runs = bed.pick(8, 20);
    const bigRuns = bed.pick(1, 3);
    const small = new FanOut(SMALL, runs + 5);
    const big = new FanOut(BIG, bigRuns);
    const tutti = await bed.open([small.template, big.template]);
    for (let i = 0; i < 5; i++) await small.run(tutti);
    const cost = async (fanOut: FanOut, count: number): Promise<number[]> => {
      const costs: number[] = [];
      for (let i = 0; i < count; i++) costs.push(((await fanOut.run(tutti)) / (fanOut.n + 1)) * 1000);
      return costs;
    };
    // Half of the small ones before, half after, so that neither has the better place.
    const before = await cost(small, runs / 2);
    const large = median(await cost(big, bigRuns));
    const little = median([...before, ...(await cost(small, runs / 2))]);
    return { ratio: large / little, us_per_completion: large, us_per_completion_small: little };
  },
};
