/** Durable submissions by 50 callers, each waiting for its own; nothing runs meanwhile. */
import { CALLERS, pool } from '../bed.ts';
import { input, single, Tally } from '../graphs.ts';
import { median } from '../statistics.ts';
import { atLeast, verify, type Workload } from '../workload.ts';

const TASKS = 5000;

export const submitWorkload: Workload = {
  name: 'submit',
  about: `durable submissions by ${CALLERS} callers, no worker: tasks per second`,
  floor: 'submit_single',
  slots: 'one',
  repetitions: { quick: 1, full: 5 },
  limit: 60,
  lines: [
    { metric: 'tasks_per_s', unit: 'tasks/s', floor: (rows) => rows['per_s'], budget: () => atLeast(25_000) },
    { metric: 'tasks_per_s_first', unit: 'tasks/s', floor: (rows) => rows['per_s'] },
  ],
  async run(bed) {
    const runs = 5;
    const template = single(new Tally((runs + 1) * TASKS, 1));
    const tutti = await bed.open([template], 0);
    const ids = new Set<string>();
    let next = 0;
    const rate = async (): Promise<number> => {
      const start = performance.now();
      await pool(TASKS, CALLERS, async () => void ids.add((await tutti.submit(template, input(next++))).id));
      return (TASKS / (performance.now() - start)) * 1000;
    };
    const first = await rate();
    const rates: number[] = [];
    for (let run = 0; run < runs; run++) rates.push(await rate());
    verify(ids.size === next, `${ids.size} different ids for ${next} tasks`);
    verify(bed.stored === next, `${bed.stored} tasks in the file, not ${next}`);
    return { tasks_per_s: median(rates), tasks_per_s_first: first };
  },
};
