/** kill -9 in the middle of firing 150 schedules, again and again: every tick that was due has exactly one task, and no task is without a tick. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

interface Counted {
  ticks: { key: string; at: number; state: string; task: string | null }[];
  tasks: { id: string; of: string }[];
  waiting: string[];
  repairs: number;
}

test('killed in the middle of firing, four times: one tick, one task', { timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tutti-schedules-'));
  const children: ChildProcess[] = [];
  const start = (life: number, deadly: number): ChildProcess => {
    const child = fork(new URL('./schedules-process.ts', import.meta.url).pathname, [join(folder, 'tasks.db'), String(life), String(deadly)], {
      execArgv: ['--disable-warning=ExperimentalWarning', '--conditions=tutti-source'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    children.push(child);
    return child;
  };
  try {
    for (const [life, deadly] of [1, 70, 149, 260].entries()) {
      const [, signal] = (await once(start(life, deadly), 'exit')) as [number | null, string | null];
      assert.equal(signal, 'SIGKILL', 'it died where it should');
    }
    const last = start(9, 0);
    const [{ ticks, tasks, waiting, repairs }] = (await Promise.race([
      once(last, 'message'),
      // Comes after every message, as the end of the process need not.
      once(last, 'disconnect').then(() => Promise.reject(new Error('the last process ended and said nothing'))),
    ])) as [Counted];
    assert.equal(repairs, 0);
    assert.ok(ticks.length >= 300, `${ticks.length} ticks`);
    // Those that fell while it was being paused may wait; all others were fired.
    assert.deepEqual(new Set(ticks.map((t) => t.state)), new Set(waiting.length > 0 ? ['fired', 'pending'] : ['fired']));
    const fired = ticks.filter((t) => t.state === 'fired');
    assert.equal(new Set(fired.map((t) => t.task)).size, fired.length, 'no two ticks have one task');
    assert.equal(new Set(tasks.map((t) => t.of)).size, tasks.length, 'no tick has two tasks');
    assert.deepEqual(new Set(tasks.map((t) => t.id)), new Set(fired.map((t) => t.task)), 'every task is the task of a tick, and is there');
    // No second is missing between the first tick of a schedule and its last: catch-up made up for all.
    for (const key of new Set(ticks.map((t) => t.key))) {
      const at = ticks.filter((t) => t.key === key).map((t) => t.at / 1000);
      assert.equal(Math.max(...at) - Math.min(...at) + 1, at.length, `${key}: ${at.join(' ')}`);
    }
  } finally {
    for (const c of children) c.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});
