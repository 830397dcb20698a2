/** Whether a store full of finished work slows the work that is new. */
import type { Tutti } from '../../src/main.ts';
import { Diamonds } from '../bed.ts';
import { seedHistory } from '../history-seed.ts';
import { median } from '../statistics.ts';
import { atLeast, type Workload } from '../workload.ts';

const TASKS = 1000;

export const historyWorkload: Workload = {
  name: 'history',
  about: 'throughput with 1,000,000 finished steps in the store over throughput without (quick: 200,000)',
  slots: 'one',
  repetitions: { quick: 1, full: 3 },
  limit: 240,
  lines: [
    { metric: 'ratio', unit: 'x', floor: () => 1, budget: () => atLeast(0.8) },
    { metric: 'steps_per_s', unit: 'steps/s', floor: (_, self) => self['steps_per_s_fresh'] },
  ],
  async run(bed) {
    const runs = bed.pick(2, 5);
    const diamonds = new Diamonds(2 * (30 + TASKS * (runs + 1)));
    const rate = async (tutti: Tutti): Promise<number> => {
      await diamonds.run(tutti, 30);
      // The first burst of a process is slower, with or without history.
      await diamonds.run(tutti, TASKS);
      const rates: number[] = [];
      for (let i = 0; i < runs; i++) rates.push(await diamonds.run(tutti, TASKS));
      return median(rates);
    };
    const fresh = await rate(await bed.open([diamonds.template]));
    await bed.close();
    seedHistory(bed.file, bed.pick(200_000, 1_000_000));
    const aged = await rate(await bed.open([diamonds.template]));
    return { ratio: aged / fresh, steps_per_s: aged, steps_per_s_fresh: fresh };
  },
};
