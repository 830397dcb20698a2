/** What the embedding process occupies right after a fan-out of 10,000; a process that did nothing else. */
import { Diamonds } from '../bed.ts';
import { FanOut } from '../fan-out.ts';
import { atMost, type Workload } from '../workload.ts';

const WIDTH = 10_000;

export const memoryWorkload: Workload = {
  name: 'memory',
  about: `resident memory of the embedding process after a fan-out of ${WIDTH}`,
  floor: 'node',
  slots: 'one',
  repetitions: { quick: 1, full: 3 },
  limit: 60,
  lines: [
    { metric: 'rss', unit: 'MB', floor: (node) => node['rss'], budget: () => atMost(200) },
    { metric: 'rss_peak', unit: 'MB', floor: (node) => node['rss'] },
  ],
  async run(bed) {
    const warm = new Diamonds(30);
    const wide = new FanOut(WIDTH, 1);
    const tutti = await bed.open([warm.template, wide.template]);
    await warm.run(tutti, 30);
    await wide.run(tutti);
    return { rss: process.memoryUsage.rss() / 2 ** 20, rss_peak: process.resourceUsage().maxRSS / 1024 };
  },
};
