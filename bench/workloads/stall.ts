/** How long the event loop of the embedding process is kept from its own work while the engine takes large submissions and runs load. */
import type { Tutti } from '../../src/main.ts';
import { Diamonds } from '../bed.ts';
import { FanOut } from '../fan-out.ts';
import { single, Tally } from '../graphs.ts';
import { type Pings, pingFor } from '../ping.ts';
import { atMost, type Budget, type Workload } from '../workload.ts';

/**
 * What docs/tuning.md advises to a host that minds pauses: V8 copies what survives in its young space at once, and lets that space
 * grow to 16 MB, so a flood of submissions, which all survive, means single pauses of 10 to 25 ms. Measured without the flag as well.
 */
const ADVISED = ['--max-semi-space-size=4'];

const stall = (name: string, nodeFlags: readonly string[], budgets: { p99?: Budget; max: Budget }): Workload => ({
  name,
  nodeFlags,
  about: `waiting time of a ping to the embedding process's event loop, under load (node ${nodeFlags.join(' ') || 'without flags'})`,
  floor: 'loop',
  slots: 'one',
  repetitions: { quick: 1, full: 3 },
  limit: 180,
  lines: [
    { metric: 'p99', unit: 'ms', floor: (loop) => loop['p99'], budget: () => budgets.p99 },
    { metric: 'max', unit: 'ms', floor: (loop) => loop['max'], budget: () => budgets.max },
    ...['diamonds', 'many', 'fanout', 'big'].flatMap((phase) => [
      { metric: `p99_${phase}`, unit: 'ms' },
      { metric: `max_${phase}`, unit: 'ms' },
    ]),
    { metric: 'max_monitor', unit: 'ms' },
  ],
  async run(bed) {
    const big = new FanOut(bed.pick(30_000, 100_000), 1);
    const wide = new FanOut(10_000, 2);
    const diamonds = new Diamonds(30 + 2000 + 100_000);
    const many = single(new Tally(10_000, 1));
    const tutti = await bed.open([big.template, wide.template, diamonds.template, many]);
    await diamonds.run(tutti, 30);
    await wide.run(tutti);

    const phases: Record<string, Pings> = {
      diamonds: await pingFor(() => diamonds.run(tutti, 2000)),
      many: await pingFor(() =>
        beside(diamonds, tutti, async () => {
          for (const task of await bed.submitMany(many, 10_000, 0)) await task.done();
        }),
      ),
      fanout: await pingFor(() => beside(diamonds, tutti, () => wide.run(tutti))),
      big: await pingFor(() => beside(diamonds, tutti, () => big.run(tutti))),
    };
    const all = Object.values(phases);
    return {
      // The worst phase, not the average over them: each is a load that a host may see for minutes.
      p99: Math.max(...all.map((pings) => pings.p99)),
      max: Math.max(...all.map((pings) => pings.max)),
      max_monitor: Math.max(...all.map((pings) => pings.monitorMax)),
      ...Object.fromEntries(
        Object.entries(phases).flatMap(([name, pings]) => [
          [`p99_${name}`, pings.p99],
          [`max_${name}`, pings.max],
        ]),
      ),
    };
  },
});

export const stallWorkload = stall('stall', ADVISED, { p99: atMost(10), max: atMost(50) });
/** The same in a process that was started as it comes. The second limit holds for it too. */
export const stallPlainWorkload = stall('stall_no_flag', [], { max: atMost(50) });

/** Small tasks go on arriving, 50 at a time, until `work` is done. */
async function beside(diamonds: Diamonds, tutti: Tutti, work: () => Promise<unknown>): Promise<void> {
  let busy = true;
  const load = (async () => {
    while (busy) await diamonds.run(tutti, 50);
  })();
  try {
    await work();
  } finally {
    busy = false;
    await load;
  }
}
