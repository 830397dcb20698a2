/** kill -9 anywhere in an ingestion: every file is in the table exactly once, and a full swap switches exactly once. TUTTI_KILLS=n, TUTTI_SEED. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, watch, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { PlanView } from '../../../src/engine/plan-views.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { testFolder } from '../open-duck.ts';

const FILES = 40;
const kills = Number(process.env.TUTTI_KILLS ?? 4);
const seed = Number(process.env.TUTTI_SEED ?? 1);

interface End {
  kind: 'end';
  view: PlanView;
  row: number[];
  keys: string[];
}

for (const settings of [{ mode: 'append' }, { consistentPushEnabled: 'true' }, { consistentPushSwapEnabled: 'true' }] as Record<string, string>[]) {
  test(`${kills} kills while ${FILES} files are loaded: ${JSON.stringify(settings)}, seed ${seed}`, { timeout: 110_000 }, async (t) => {
    const folder = testFolder(t);
    const [input, tables] = [path.join(folder, 'in'), path.join(folder, 'tables')];
    mkdirSync(input);
    mkdirSync(tables);
    for (let i = 0; i < FILES; i++) writeFileSync(path.join(input, `f${i}.csv`), `id\n${i}\n${i + FILES}\n`);
    const rnd = new SeededRandom(seed);
    let child: ChildProcess | undefined;
    t.after(() => void child?.kill('SIGKILL'));
    const start = (): ChildProcess =>
      fork(
        new URL('./ingesting-process.ts', import.meta.url).pathname,
        [path.join(folder, 'tasks.db'), tables, JSON.stringify({ inputDirURI: input, tableMaxNumTasks: '2', ...settings })],
        { execArgv: ['--disable-warning=ExperimentalWarning', '--conditions=tutti-source'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
      );
    for (let i = 0; i < kills; i++) {
      const life = start();
      child = life;
      // What it does to its files is the sign by which it is killed.
      let left = rnd.int(1, Math.ceil((FILES * 4) / kills));
      const watcher = watch(tables, { recursive: true }, () => {
        if (--left === 0) life.kill('SIGKILL');
      });
      const [code, signal] = (await once(life, 'exit')) as [number | null, string | null];
      watcher.close();
      assert.ok(signal === 'SIGKILL' || code === 0, `life ${i} ended by itself: ${code}`);
    }
    const last = start();
    child = last;
    const { view, row, keys } = await new Promise<End>((resolve, reject) => {
      last.on('message', (m: End) => resolve(m));
      last.once('exit', (code) => reject(new Error(`the last life ended by itself: ${code}`)));
    });
    assert.equal(view.status, 'COMPLETED', view.statusMessage);
    assert.deepEqual(row, [2 * FILES, 2 * FILES, FILES * (2 * FILES - 1)], 'every row once');
    assert.equal(keys.filter((k) => k.startsWith('segment/')).length, FILES);
    assert.equal(keys.filter((k) => k.startsWith('file/')).length, FILES);
    assert.deepEqual(
      keys.filter((k) => k.startsWith('current-swap')),
      'consistentPushSwapEnabled' in settings ? ['current-swap 1'] : [],
      'one switch',
    );
  });
}
