/** 1,000 small graphs at once. */
import { Diamonds } from '../bed.ts';
import { median } from '../statistics.ts';
import { atLeast, bySlots, type Workload } from '../workload.ts';

const TASKS = 1000;

export const diamondsWorkload: Workload = {
  name: 'diamonds',
  about: `${TASKS} diamonds of 6 steps submitted by 50 callers: steps per second`,
  floor: 'step_life',
  slots: 'every',
  repetitions: { quick: 1, full: 5 },
  limit: 60,
  lines: [
    { metric: 'steps_per_s', unit: 'steps/s', floor: (life) => life['per_s'], budget: bySlots(atLeast(35_000), atLeast(45_000)) },
    { metric: 'steps_per_s_first', unit: 'steps/s', floor: (life) => life['per_s'] },
  ],
  async run(bed) {
    const runs = 5;
    const diamonds = new Diamonds(30 + (runs + 3) * TASKS);
    const tutti = await bed.open([diamonds.template]);
    await diamonds.run(tutti, 30);
    const first = await diamonds.run(tutti, TASKS);
    // Two more until the code is compiled; a process that serves has long passed them.
    for (let i = 0; i < 2; i++) await diamonds.run(tutti, TASKS);
    const rates: number[] = [];
    for (let i = 0; i < runs; i++) rates.push(await diamonds.run(tutti, TASKS));
    return { steps_per_s: median(rates), steps_per_s_first: first };
  },
};
