/** From the start of the built server on a new store to its first answer that it is ready. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { serve, SERVER_BUILT } from '../served.ts';
import { atMost, verify, type Workload } from '../workload.ts';

export const startupWorkload: Workload = {
  name: 'startup',
  about: 'start of `tutti serve`, built form, new store, until /health/ready answers 200',
  floor: 'node',
  slots: 'one',
  repetitions: { quick: 1, full: 5 },
  limit: 60,
  lines: [{ metric: 'ms', unit: 'ms', floor: (node) => node['ms'], budget: () => atMost(1000) }],
  async run(bed) {
    verify(existsSync(SERVER_BUILT), `${SERVER_BUILT} is not there: run npm run build first`);
    const start = performance.now();
    const server = await serve({ file: bed.file, dir: bed.dir, built: true, templates: [], slots: bed.slots });
    const ms = performance.now() - start;
    server.child.kill('SIGTERM');
    await once(server.child, 'exit');
    return { ms };
  },
};
