/** A `tutti serve` of our own: another process on a free port, its store in the folder of the measurement. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

/** The built package. */
export const BUILT = fileURLToPath(new URL('../dist/main.js', import.meta.url));
export const SERVER_BUILT = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const SERVER_SOURCE = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));

export interface Served {
  child: ChildProcess;
  port: number;
}

/** Resolves when /health/ready answers 200; asked every 2 ms. */
export async function serve(o: { file: string; dir: string; built: boolean; templates: readonly string[]; slots: number }): Promise<Served> {
  const port = await freePort();
  const args = o.built ? [SERVER_BUILT, 'serve'] : ['--conditions=tutti-source', '--disable-warning=ExperimentalWarning', SERVER_SOURCE, 'serve'];
  const child = spawn(process.execPath, args, {
    cwd: o.dir,
    stdio: ['ignore', 'ignore', 2],
    env: {
      PATH: process.env['PATH'],
      TUTTI_STORE_PATH: o.file,
      TUTTI_WEB_PORT: String(port),
      TUTTI_WORKER_SLOTS: String(o.slots),
      TUTTI_TEMPLATES_PATHS: o.templates.join(','),
      TUTTI_LOG_LEVEL: 'warn',
    },
  });
  const exited = once(child, 'exit').then(([code]) => {
    throw new Error(`the server ended with ${code} before it was ready`);
  });
  exited.catch(() => undefined);
  while (!(await Promise.race([ready(port), exited]))) await new Promise((next) => setTimeout(next, 2));
  return { child, port };
}

function ready(port: number): Promise<boolean> {
  return new Promise((done) => {
    request({ host: '127.0.0.1', port, path: '/health/ready' }, (answer) => {
      answer.resume().on('end', () => done(answer.statusCode === 200));
    })
      .on('error', () => done(false))
      .end();
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
