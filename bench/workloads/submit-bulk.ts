/** Durable submission of many tasks in one call; nothing runs meanwhile. */
import { single, Tally } from '../graphs.ts';
import { median } from '../statistics.ts';
import { atLeast, verify, type Workload } from '../workload.ts';

const TASKS = 10_000;

export const submitBulkWorkload: Workload = {
  name: 'submit_bulk',
  about: `durable submissions of ${TASKS} tasks in one call, no worker: tasks per second`,
  floor: 'submit_bulk',
  slots: 'one',
  repetitions: { quick: 1, full: 5 },
  limit: 60,
  lines: [
    { metric: 'tasks_per_s', unit: 'tasks/s', floor: (rows) => rows['per_s'], budget: () => atLeast(50_000) },
    { metric: 'tasks_per_s_first', unit: 'tasks/s', floor: (rows) => rows['per_s'] },
  ],
  async run(bed) {
    const warm = 1000;
    const runs = 6;
    const template = single(new Tally(warm + runs * TASKS, 1));
    await bed.open([template], 0);
    await bed.submitMany(template, warm, 0);
    const rates: number[] = [];
    for (let run = 0; run < runs; run++) {
      const start = performance.now();
      const tasks = await bed.submitMany(template, TASKS, warm + run * TASKS);
      rates.push((TASKS / (performance.now() - start)) * 1000);
      verify(new Set(tasks.map((task) => task.id)).size === TASKS, 'ids repeat');
    }
    verify(bed.stored === warm + runs * TASKS, `${bed.stored} tasks in the file, not ${warm + runs * TASKS}`);
    return { tasks_per_s: median(rates.slice(1)), tasks_per_s_first: rates[0] };
  },
};
