/** Whether a tied child costs the same among 100,000 under one parent as among 1,000: spawned, run, and seen by the finalizer. */
import { handler, type Tutti, template } from '../../src/main.ts';
import { median } from '../statistics.ts';
import { atMost, verify, type Workload } from '../workload.ts';

const SMALL = 1000;
const BIG = 100_000;

const part = handler('bench.part', (ctx) => ({ v: (ctx.input as { i: number }).i * 3 }));
const whole = handler('bench.whole', {
  async call(ctx: { input: { n: number }; spawnAll: (items: Iterable<object>) => Promise<unknown[]> }) {
    const { n } = ctx.input;
    await ctx.spawnAll(parts(n));
    return { n };
  },
  async finalize(ctx: { children: AsyncIterable<{ state: string; value?: { v: number } }> }) {
    let sum = 0;
    let count = 0;
    for await (const child of ctx.children) {
      sum += child.value?.v ?? 0;
      count++;
    }
    return { sum, count };
  },
});

function* parts(n: number): Generator<{ handler: string; inputs: { i: number; pad: string } }> {
  for (let i = 0; i < n; i++) yield { handler: 'bench.part', inputs: { i, pad: 'x'.repeat(180) } };
}

const family = template('bench/family@1.0.0').step('whole', { handler: 'bench.whole' }).returns('whole');

/** Microseconds per child, from the submission to the durable end. */
async function run(tutti: Tutti, n: number): Promise<number> {
  const start = performance.now();
  const task = await tutti.submit(family, { n });
  const result = (await task.result()) as { sum: number; count: number };
  const ms = performance.now() - start;
  verify(result.count === n && result.sum === (3 * n * (n - 1)) / 2, `${n} children gave ${JSON.stringify(result)}`);
  return (ms / n) * 1000;
}

export const childrenWorkload: Workload = {
  name: 'children',
  about: `cost per tied child among ${BIG} of one parent over one among ${SMALL}`,
  slots: 'one',
  repetitions: { quick: 1, full: 3 },
  limit: 180,
  lines: [
    { metric: 'ratio', unit: 'x', floor: () => 1, budget: () => atMost(1.3) },
    { metric: 'us_per_child', unit: 'us', floor: (_, self) => self['us_per_child_small'] },
  ],
  async run(bed) {
    const runs = bed.pick(8, 20);
    const tutti = await bed.open([family.untyped()]);
    tutti.handler(part.name, part.code, part.meta).handler(whole.name, whole.code, whole.meta);
    for (let i = 0; i < 5; i++) await run(tutti, SMALL);
    const small: number[] = [];
    for (let i = 0; i < runs / 2; i++) small.push(await run(tutti, SMALL));
    const large: number[] = [];
    for (let i = 0; i < bed.pick(1, 2); i++) large.push(await run(tutti, BIG));
    for (let i = 0; i < runs / 2; i++) small.push(await run(tutti, SMALL));
    return { ratio: median(large) / median(small), us_per_child: median(large), us_per_child_small: median(small) };
  },
};
