/** A backlog of 20,000 tasks of one step, stored before, run to the end by a process that opens the store. Results are kept. */
import { payload, single, Tally } from '../graphs.ts';
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
    const warm = 1000;
    const tally = new Tally(warm + TASKS, 1);
    let began = Number.POSITIVE_INFINITY;
    const template = single(tally, () => { began = Math.min(began, performance.now()); });
    let tutti = await bed.open([template]);
    const warmIds = await bed.submitMany(template, warm, 0);
    for (const id of warmIds) await tutti.get(id).then((task) => task.done());
    await bed.close();
    tutti = await bed.open([template], 0);
    const ids = await bed.submitMany(template, TASKS, warm);
    await bed.close();

    began = Number.POSITIVE_INFINITY;
    const opening = performance.now();
    tutti = await bed.open([template]);
    const opened = performance.now();
    await bed.finished(TASKS);
    const ended = performance.now();
    tally.verifyOnce(0, warm + TASKS);
    for (const i of [0, 1, TASKS - 1]) {
      const task = await tutti.get(ids[i]);
      const result = (await task.result()) as { only: { v: number } };
      verify(result.only.v === warm + i, `task ${i} gave ${result.only.v}`);
    }
    // From the first handler or the open engine, whichever came first: recovery before that is the other line.
    return { tasks_per_s: (TASKS / (ended - Math.min(began, opened))) * 1000, tasks_per_s_with_open: (TASKS / (ended - opening)) * 1000 };
  },
};
