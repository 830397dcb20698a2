/**
 * kill -9 anywhere in a plan of 200 batches: no batch is lost, repeated or overlapped, and every input is in the resource's items exactly once.
 * 8 kills by default, TUTTI_KILLS=n for more; TUTTI_SEED chooses where they fall.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { PlanView } from '../../src/engine/plan-views.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const BATCHES = 200;
const SIZE = 5;
const kills = Number(process.env.TUTTI_KILLS ?? (process.env.TUTTI_SOAK === undefined ? 8 : 50));
const seed = Number(process.env.TUTTI_SEED ?? 1);

interface End {
  kind: 'end';
  view: PlanView;
  plans: number;
  tasks: number;
  items: [key: string, version: number, body: { batch?: number; result?: number }][];
}

test(`${kills} kills in a plan of ${BATCHES} batches (seed ${seed})`, { timeout: 300_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tutti-plan-'));
  const rnd = new SeededRandom(seed);
  let child: ChildProcess | undefined;
  t.after(() => {
    child?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const start = (): ChildProcess =>
    fork(new URL('./plan-process.ts', import.meta.url).pathname, [join(folder, 'tasks.db'), String(BATCHES), String(SIZE)], {
      execArgv: ['--disable-warning=ExperimentalWarning', '--conditions=tutti-source'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  const begun: string[] = [];
  // Each life tells of about seven things a batch; all of them together get well into the plan, and no life to its end.
  const most = Math.floor((BATCHES * 7 * 1.6) / Math.max(1, kills));
  for (let i = 0; i < kills; i++) {
    const life = start();
    child = life;
    let left = rnd.int(1, most);
    let ended = false;
    life.on('message', (m: { kind: string; batch?: number }) => {
      if (m.kind === 'finish') begun.push(`${i}:${m.batch}`);
      ended ||= m.kind === 'end';
      if (--left === 0) life.kill('SIGKILL');
    });
    const [code, signal] = (await once(life, 'exit')) as [number | null, string | null];
    assert.ok(ended || signal === 'SIGKILL', `life ${i} ended by itself: ${code}`);
  }
  const last = start();
  child = last;
  const end = await new Promise<End>((resolve, reject) => {
    last.on('message', (m: End) => m.kind === 'end' && resolve(m));
    last.once('exit', (code) => reject(new Error(`the last life ended by itself: ${code}`)));
  });
  const { view, items } = end;
  assert.equal(end.plans, 1);
  assert.equal(view.status, 'COMPLETED', view.statusMessage);
  assert.deepEqual([view.inputsToProcess, view.inputsBeingProcessed, view.inputsProcessed], [BATCHES * SIZE, 0, BATCHES * SIZE]);
  assert.equal(end.tasks, BATCHES, 'a task per batch and no other');
  assert.deepEqual(
    view.batches.map((b) => [b.batchSequence, b.taskState]),
    Array.from({ length: BATCHES }, (_, i) => [i, 'COMPLETED']),
  );
  view.batches.slice(1).forEach((b, i) => assert.ok(b.submittedAtMs >= view.batches[i].finishedAtMs!, `batch ${i + 1} overlaps ${i}`));
  const done = items.filter(([key]) => key.startsWith('done/'));
  assert.equal(done.length, BATCHES * SIZE);
  for (const [key, version, body] of done) {
    const n = Number(key.slice(5));
    assert.deepEqual([version, body], [1, { batch: Math.floor(n / SIZE), result: n * 2 }], key);
  }
  assert.equal(items.filter(([key]) => key.startsWith('end/')).length, 1);
  t.diagnostic(`batches ended in lives: ${begun.length}`);
});
