/** Durable submission of many tasks in one call; nothing runs meanwhile. */
import { payload, single, Tally } from '../graphs.ts';
import { atLeast, verify, type Workload } from '../workload.ts';

export const submitBulkWorkload: Workload = {
  name: 'submit_bulk',
  about: 'durable submissions of 10,000 tasks in one call, no worker: tasks per second',
  floor: 'submit_bulk',
  slots: 'one',
  repetitions: { quick: 3, full: 5 },
  limit: 60,
  lines: [{ metric: 'tasks_per_s', unit: 'tasks/s', floor: (rows) => rows['per_s'], budget: () => atLeast(50_000) }],
  async run(bed) {
    const warm = 1000;
    const count = 10_000;
    const template = single(new Tally(warm + count, 1));
    const tutti = await bed.open([template], 0);
    await bed.submitMany(template, warm, 0);
    const start = performance.now();
    const ids = await bed.submitMany(template, count, warm);
    const ms = performance.now() - start;
    verify(new Set(ids).size === count, 'ids repeat');
    verify(await bed.stored(warm + count), 'not every task is in the store');
    return { tasks_per_s: (count / ms) * 1000 };
  },
};
