/** What the parent asks of one measuring process and what it gets back. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Numbers, Size } from './workload.ts';

export interface Order {
  kind: 'workload' | 'floor';
  name: string;
  /** Fresh and empty; removed afterwards. */
  dir: string;
  size: Size;
  slots: number;
}

export interface Facts {
  /** The store's own description: version, journal, synchronous mode, page size. */
  store?: string;
  /** Durable flushes of the whole process. */
  flushes?: number;
}

export type Answer = { numbers: Numbers; facts: Facts } | { error: string };

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));
const running = new Set<ChildProcess>();

/** `profile`: a folder for V8 CPU profiles of the measuring process. */
export async function carryOut(
  order: Omit<Order, 'dir'>,
  o: { root: string; limitSeconds: number; profile: string | null; nodeFlags?: readonly string[] },
): Promise<Answer> {
  mkdirSync(o.root, { recursive: true });
  const dir = mkdtempSync(join(o.root, `${order.name}-`));
  const execArgv = [...(o.nodeFlags ?? []), '--conditions=tutti-source', '--disable-warning=ExperimentalWarning'];
  if (o.profile !== null && order.kind === 'workload')
    execArgv.push('--cpu-prof', `--cpu-prof-dir=${o.profile}`, `--cpu-prof-name=${order.name}-${order.slots}-${Date.now()}.cpuprofile`);
  const child = fork(CHILD, [JSON.stringify({ ...order, dir })], { execArgv, stdio: ['ignore', 2, 2, 'ipc'] });
  running.add(child);
  const timer = setTimeout(() => child.kill('SIGKILL'), o.limitSeconds * 1000);
  try {
    return await new Promise<Answer>((done) => {
      let answer: Answer | undefined;
      child.on('message', (message) => {
        answer = message as Answer;
      });
      child.on('error', (error) => done({ error: error.message }));
      child.on('exit', (code, signal) =>
        done(answer ?? { error: signal === 'SIGKILL' ? `no result within ${o.limitSeconds} s` : `the process ended with ${signal ?? code} and no result` }),
      );
    });
  } finally {
    clearTimeout(timer);
    running.delete(child);
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Ends what is being measured: the bench itself was told to stop. */
export function stopMeasuring(): void {
  for (const child of running) child.kill('SIGKILL');
}
