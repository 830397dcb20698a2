/** Durable submissions by 50 callers, each waiting for its own; nothing runs meanwhile. */
import { CALLERS, pool } from '../bed.ts';
import { input, single, Tally } from '../graphs.ts';
import { atLeast, verify, type Workload } from '../workload.ts';

export const submitWorkload: Workload = {
  name: 'submit',
  about: `durable submissions by ${CALLERS} callers, no worker: tasks per second`,
  floor: 'submit_single',
  slots: 'one',
  repetitions: { quick: 1, full: 5 },
  limit: 60,
  lines: [{ metric: 'tasks_per_s', unit: 'tasks/s', floor: (rows) => rows['per_s'], budget: () => atLeast(25_000) }],
  async run(bed) {
    const warm = 5000;
    const count = 10_000;
    const template = single(new Tally(warm + count, 1));
    const tutti = await bed.open([template], 0);
    const ids = new Set<string>();
    const submit = async (i: number): Promise<void> => void ids.add((await tutti.submit(template, input(i))).id);
    await pool(warm, CALLERS, submit);
    const start = performance.now();
    await pool(count, CALLERS, (i) => submit(warm + i));
    const ms = performance.now() - start;
    verify(ids.size === warm + count, `${ids.size} different ids for ${warm + count} tasks`);
    verify(bed.stored === warm + count, `${bed.stored} tasks in the file, not ${warm + count}`);
    return { tasks_per_s: (count / ms) * 1000 };
  },
};
