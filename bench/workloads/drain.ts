/** A backlog of 20,000 tasks of one step, stored before, run to the end by a process that opens the store. Results are kept. */
import { single, Tally, valueOf } from '../graphs.ts';
import { atLeast, bySlots, verify, type Workload } from '../workload.ts';

const TASKS = 20_000;

export const drainWorkload: Workload = {
  name: 'drain',
  about: `${TASKS} queued tasks of one step run to the end: tasks per second`,
  floor: 'step_end',
  slots: 'every',
  repetitions: { quick: 1, full: 5 },
  limit: 120,
  lines: [
    { metric: 'tasks_per_s', unit: 'tasks/s', floor: (ends) => ends['per_s'], budget: bySlots(atLeast(25_000), atLeast(32_000)) },
    { metric: 'tasks_per_s_with_open', unit: 'tasks/s', floor: (ends) => ends['per_s'] },
  ],
  async run(bed) {
    const warm = 10_000;
    const tally = new Tally(warm + TASKS, 1);
    let began = Number.POSITIVE_INFINITY;
    const template = single(tally, () => {
      began = Math.min(began, performance.now());
    });
    await bed.open([template]);
    for (const task of await bed.submitMany(template, warm, 0)) await task.done();
    await bed.close();
    await bed.open([template], 0);
    const tasks = await bed.submitMany(template, TASKS, warm);
    await bed.close();

    began = Number.POSITIVE_INFINITY;
    const opening = performance.now();
    const tutti = await bed.open([template]);
    const opened = performance.now();
    await bed.completed(TASKS);
    const ended = performance.now();
    tally.verifyOnce(0, warm + TASKS);
    for (const i of [0, 1, TASKS - 1]) {
      const result = await (await tutti.get(tasks[i].id)).result();
      verify(valueOf(result, 'only') === warm + i, `task ${i} gave ${JSON.stringify(result)}`);
    }
    // From the first handler or the open engine, whichever came first: recovery before that is the other line.
    return { tasks_per_s: (TASKS / (ended - Math.min(began, opened))) * 1000, tasks_per_s_with_open: (TASKS / (ended - opening)) * 1000 };
  },
};
