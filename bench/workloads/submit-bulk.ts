/** Durable submission of many tasks in one call; nothing runs meanwhile. */
import { single, Tally } from '../graphs.ts';
import { atLeast, verify, type Workload } from '../workload.ts';

export const submitBulkWorkload: Workload = {
  name: 'submit_bulk',
  about: 'durable submissions of 10,000 tasks in one call, no worker: tasks per second',
  floor: 'submit_bulk',
  slots: 'one',
  repetitions: { quick: 1, full: 5 },
  limit: 60,
  lines: [{ metric: 'tasks_per_s', unit: 'tasks/s', floor: (rows) => rows['per_s'], budget: () => atLeast(50_000) }],
  async run(bed) {
    const warm = 5000;
    const count = 10_000;
    const template = single(new Tally(warm + count, 1));
    await bed.open([template], 0);
    await bed.submitMany(template, warm, 0);
    const start = performance.now();
    const tasks = await bed.submitMany(template, count, warm);
    const ms = performance.now() - start;
    verify(new Set(tasks.map((task) => task.id)).size === count, 'ids repeat');
    verify(bed.stored === warm + count, `${bed.stored} tasks in the file, not ${warm + count}`);
    return { tasks_per_s: (count / ms) * 1000 };
  },
};
