/** One wide task: 10,000 independent steps and a join over all their results. */
import { Diamonds } from '../bed.ts';
import { FanOut } from '../fan-out.ts';
import { median } from '../statistics.ts';
import { atLeast, type Workload } from '../workload.ts';

const WIDTH = 10_000;

export const fanoutWorkload: Workload = {
  name: 'fanout',
  about: `one task of ${WIDTH} steps and a join of their results: steps per second`,
  floor: 'step_life',
  slots: 'one',
  repetitions: { quick: 1, full: 5 },
  limit: 60,
  lines: [
    { metric: 'steps_per_s', unit: 'steps/s', floor: (life) => life['per_s'], budget: () => atLeast(50_000) },
    { metric: 'steps_per_s_first', unit: 'steps/s', floor: (life) => life['per_s'] },
  ],
  async run(bed) {
    const runs = 3;
    const warm = new Diamonds(30);
    const wide = new FanOut(WIDTH, runs + 3);
    const tutti = await bed.open([warm.template, wide.template]);
    await warm.run(tutti, 30);
    const rate = async (): Promise<number> => ((WIDTH + 1) / (await wide.run(tutti))) * 1000;
    const first = await rate();
    // Two more until the code is compiled, as for diamonds.
    for (let i = 0; i < 2; i++) await rate();
    const rates: number[] = [];
    for (let i = 0; i < runs; i++) rates.push(await rate());
    return { steps_per_s: median(rates), steps_per_s_first: first };
  },
};
