/** What the embedding process occupies right after a fan-out of 10,000; a process that did nothing else. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FanOut } from '../fan-out.ts';
import { BUILT } from '../served.ts';
import { atMost, verify, type Workload } from '../workload.ts';

const WIDTH = 10_000;
const MIB = 2 ** 20;
const PROCESS = fileURLToPath(new URL('../memory-process.mjs', import.meta.url));

export const memoryWorkload: Workload = {
  name: 'memory',
  about: `resident memory of the embedding process after a fan-out of ${WIDTH}, built form`,
  floor: 'node',
  slots: 'one',
  repetitions: { quick: 1, full: 3 },
  limit: 60,
  lines: [
    { metric: 'rss', unit: 'MB', floor: (node) => node['rss'], budget: () => atMost(200) },
    { metric: 'rss_peak', unit: 'MB', floor: (node) => node['rss'] },
    { metric: 'rss_imported', unit: 'MB', floor: (node) => node['rss'] },
    { metric: 'rss_unbuilt', unit: 'MB', floor: (node) => node['rss'] },
  ],
  async run(bed) {
    verify(existsSync(BUILT), `${BUILT} is not there: run npm run build first`);
    const child = fork(PROCESS, [`${bed.file}-built`, String(bed.slots), String(WIDTH)], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 2, 2, 'ipc'],
    });
    const exit = once(child, 'exit').then(([code]) => {
      throw new Error(`the measured process ended with ${code}`);
    });
    exit.catch(() => undefined);
    const [built] = (await Promise.race([once(child, 'message'), exit])) as [{ rss: number; imported: number; peak: number }];
    const wide = new FanOut(WIDTH, 1);
    await wide.run(await bed.open([wide.template]));
    return { rss: built.rss / MIB, rss_peak: built.peak / MIB, rss_imported: built.imported / MIB, rss_unbuilt: process.memoryUsage.rss() / MIB };
  },
};
