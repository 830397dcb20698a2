/** A plan of many batches: whether the chain keeps up with one wide task, and how long nothing runs between two batches. */
import { defineTaskType } from '../../src/main.ts';
import { FanOut } from '../fan-out.ts';
import { median, quantile } from '../statistics.ts';
import { atLeast, atMost, verify, type Workload } from '../workload.ts';

const SUBTASKS = 100;
const WIDTH = 10_000;

export const planChainWorkload: Workload = {
  name: 'plan_chain',
  about: `a plan of 1,000 batches of ${SUBTASKS} subtasks that do nothing, against the rate of one fan-out of ${WIDTH}`,
  slots: 'one',
  repetitions: { quick: 1, full: 3 },
  limit: 120,
  lines: [
    { metric: 'ratio', unit: 'x', floor: () => 1, budget: () => atLeast(0.6) },
    { metric: 'subtasks_per_s', unit: 'steps/s', floor: (_, self) => self['fanout_per_s'] },
    { metric: 'gap_p99_ms', unit: 'ms', budget: () => atMost(10) },
    { metric: 'gap_p50_ms', unit: 'ms' },
  ],
  async run(bed) {
    const batches = bed.pick(200, 1000);
    const wide = new FanOut(WIDTH, 8);
    const tutti = await bed.open([wide.template]);
    tutti.engine.addResourceKind({ name: 'bench', exists: () => true, expand: (id) => [id] });
    /** When the last subtask of each batch returned, and the first of each began. */
    const ended: number[] = [];
    const begun: number[] = [];
    let ran = 0;
    let planned = 0;
    tutti.plans.register(
      defineTaskType({
        name: 'Bench',
        startPlan: () => ({ state: 0, inputsToProcess: planned * SUBTASKS }),
        nextBatch: (ctx) =>
          ctx.state >= planned
            ? { kind: 'done' as const }
            : { kind: 'batch' as const, subtasks: Array.from({ length: SUBTASKS }, (_, i) => ({ input: { i, batch: ctx.state } })), state: ctx.state + 1 },
        subtask: () => {
          const at = ran++;
          if (at % SUBTASKS === 0) begun.push(performance.now());
          if (at % SUBTASKS === SUBTASKS - 1) ended.push(performance.now());
          return null;
        },
      }),
    );
    const chain = async (n: number): Promise<number> => {
      [planned, ran, begun.length, ended.length] = [n, 0, 0, 0];
      const start = performance.now();
      const plan = await tutti.plans.run('Bench', 'bench');
      const view = await plan!.done();
      const ms = performance.now() - start;
      verify(view.status === 'COMPLETED' && view.batches.length === n && view.inputsProcessed === n * SUBTASKS && ran === n * SUBTASKS, view.statusMessage);
      return ((n * SUBTASKS) / ms) * 1000;
    };
    const fan = async (): Promise<number> => ((WIDTH + 1) / (await wide.run(tutti))) * 1000;
    for (let i = 0; i < 3; i++) await fan();
    await chain(50);
    const fans = [await fan(), await fan()];
    const rate = await chain(batches);
    const gaps = begun.slice(1).map((at, i) => at - ended[i]);
    fans.push(await fan());
    const fanoutPerS = median(fans);
    return {
      ratio: rate / fanoutPerS,
      subtasks_per_s: rate,
      fanout_per_s: fanoutPerS,
      gap_p99_ms: quantile(gaps, 0.99),
      gap_p50_ms: quantile(gaps, 0.5),
    };
  },
};
