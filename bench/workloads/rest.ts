/** POST /v1/tasks over HTTP to a server in its own process; nothing runs meanwhile, as in `submit`. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { hammer } from '../http-load.ts';
import { input } from '../graphs.ts';
import { serve } from '../served.ts';
import { quantile } from '../statistics.ts';
import type { Workload } from '../workload.ts';

const TEMPLATES = fileURLToPath(new URL('../served-templates.ts', import.meta.url));

export const restWorkload: Workload = {
  name: 'rest',
  about: 'POST /v1/tasks, 50 kept-alive connections: requests per second; and one connection: milliseconds',
  floor: 'http',
  slots: 'one',
  repetitions: { quick: 1, full: 5 },
  limit: 60,
  lines: [
    { metric: 'tasks_per_s', unit: 'tasks/s', floor: (http) => http['per_s'] },
    { metric: 'p50_one_caller', unit: 'ms', floor: (http) => http['p50'] },
    { metric: 'p99_50_callers', unit: 'ms' },
  ],
  async run(bed) {
    const server = await serve({ file: bed.file, dir: bed.dir, built: false, templates: [TEMPLATES], slots: 0 });
    const body = (i: number): string => JSON.stringify({ namespace: 'bench', name: 'single', version: '1.0.0', context: input(i) });
    const request = { port: server.port, path: '/v1/tasks', headers: {}, body, expect: 201 };
    await hammer({ ...request, count: 1000, connections: 50 });
    const load = await hammer({ ...request, count: bed.pick(5000, 10_000), connections: 50 });
    const one = await hammer({ ...request, count: 300, connections: 1 });
    server.child.kill('SIGTERM');
    await once(server.child, 'exit');
    return { tasks_per_s: load.perSecond, p50_one_caller: quantile(one.latencies, 0.5), p99_50_callers: quantile(load.latencies, 0.99) };
  },
};
