/** Whether a completion costs the same in an ad hoc tree of 100,000 elements as in one of 1,000. The elements are streamed in. */
import { handler, type TreeElement, type Tutti } from '../../src/main.ts';
import { median } from '../statistics.ts';
import { atMost, verify, type Workload } from '../workload.ts';

const SMALL = 1000;
const BIG = 100_000;

function* elements(n: number): Generator<TreeElement> {
  yield { name: 'root' };
  for (let i = 0; i < n; i++) yield { name: `n${i}`, parent_id: 'root', params: { executor_id: 'bench.element' }, inputs: { i, pad: 'x'.repeat(180) } };
}

/** Microseconds per element: taken in, and run to the durable end. */
async function run(tutti: Tutti, n: number): Promise<{ intake: number; completion: number }> {
  const start = performance.now();
  const task = await tutti.submitTree(elements(n));
  const stored = performance.now();
  const { state } = await task.done();
  const end = performance.now();
  const { completedSteps } = await task.view();
  verify(state === 'complete' && completedSteps === n + 1, `a tree of ${n} ended ${state} with ${completedSteps} steps complete`);
  return { intake: ((stored - start) / n) * 1000, completion: ((end - stored) / n) * 1000 };
}

export const bigTreeWorkload: Workload = {
  name: 'big_tree',
  about: `cost per completion in an ad hoc tree of ${BIG} elements over one of ${SMALL}`,
  slots: 'one',
  repetitions: { quick: 1, full: 3 },
  limit: 180,
  lines: [
    { metric: 'ratio', unit: 'x', floor: () => 1, budget: () => atMost(1.3) },
    { metric: 'us_per_completion', unit: 'us', floor: (_, self) => self['us_per_completion_small'] },
    { metric: 'us_per_element_taken_in', unit: 'us' },
  ],
  async run(bed) {
    const runs = bed.pick(8, 20);
    const tutti = await bed.open([]);
    const work = handler('bench.element', (ctx) => ({ v: (ctx.input as { i: number }).i }));
    tutti.handler(work.name, work.code, work.meta);
    for (let i = 0; i < 5; i++) await run(tutti, SMALL);
    const small: number[] = [];
    for (let i = 0; i < runs / 2; i++) small.push((await run(tutti, SMALL)).completion);
    const large = [];
    for (let i = 0; i < bed.pick(1, 2); i++) large.push(await run(tutti, BIG));
    for (let i = 0; i < runs / 2; i++) small.push((await run(tutti, SMALL)).completion);
    const completion = median(large.map((l) => l.completion));
    return {
      ratio: completion / median(small),
      us_per_completion: completion,
      us_per_completion_small: median(small),
      us_per_element_taken_in: median(large.map((l) => l.intake)),
    };
  },
};
