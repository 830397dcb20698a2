/**
 * kill -9 anywhere in a plan of the built-in types: every file is in the table exactly once, a full swap switches exactly once, every segment
 * is exported, purged and altered exactly once. TUTTI_KILLS=n, TUTTI_SEED=n.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { Tutti } from '../../../src/main.ts';
import type { PlanView } from '../../../src/engine/plan-views.ts';
import type { Manifest } from '../../../src/tables/types/export-files.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { testFolder } from '../open-duck.ts';

const COUNT = 30;
const kills = Number(process.env.TUTTI_KILLS ?? 3);
const seed = Number(process.env.TUTTI_SEED ?? 1);

interface End {
  kind: 'end';
  view: PlanView;
  /** Rows of the table, different ids among them, and their sum. */
  row: number[];
  keys: string[];
}

interface Lives {
  folder: string;
  table: string;
  type: string;
  settings: Record<string, string>;
  /** What happens below it is the sign by which a life ends. */
  watched: string;
}

const paths = (folder: string): { store: string; tables: string } => ({ store: path.join(folder, 'tasks.db'), tables: path.join(folder, 'tables') });

async function killed(t: TestContext, l: Lives): Promise<End> {
  const { store, tables } = paths(l.folder);
  const rnd = new SeededRandom(seed);
  let child: ChildProcess | undefined;
  t.after(() => void child?.kill('SIGKILL'));
  const start = (): ChildProcess =>
    fork(new URL('./plan-process.ts', import.meta.url).pathname, [store, tables, l.table, l.type, JSON.stringify({ tableMaxNumTasks: '2', ...l.settings })], {
      execArgv: ['--disable-warning=ExperimentalWarning', '--conditions=tutti-source'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
  for (let i = 0; i < kills; i++) {
    const life = start();
    child = life;
    let left = rnd.int(1, Math.ceil((COUNT * 4) / kills));
    const watcher = watch(l.watched, { recursive: true }, () => {
      if (--left === 0) life.kill('SIGKILL');
    });
    const [code, signal] = (await once(life, 'exit')) as [number | null, string | null];
    watcher.close();
    assert.ok(signal === 'SIGKILL' || code === 0, `life ${i} ended by itself: ${code}`);
  }
  const last = start();
  child = last;
  const end = await new Promise<End>((resolve, reject) => {
    last.on('message', (m: End) => resolve(m));
    last.once('exit', (code) => reject(new Error(`the last life ended by itself: ${code}`)));
  });
  assert.equal(end.view.status, 'COMPLETED', end.view.statusMessage);
  return end;
}

/** A table, and what `fill` does to it, before the first life. */
async function prepared(t: TestContext, type: 'OFFLINE' | 'REALTIME', fill: (tutti: Tutti, folder: string) => Promise<void>): Promise<string> {
  const folder = testFolder(t);
  const { store, tables } = paths(folder);
  for (const f of [tables, path.join(folder, 'in'), path.join(folder, 'out')]) mkdirSync(f);
  for (let i = 0; i < COUNT; i++) writeFileSync(path.join(folder, 'in', `f${i}.csv`), `id\n${i}\n${i + COUNT}\n`);
  const tutti = await Tutti.open({ store, tables: { folder: tables, memory: '128MB', threads: 2 } });
  await tutti.tables.create({ name: 'trips', type, schema: { columns: [{ name: 'id', type: 'BIGINT' }] } });
  await fill(tutti, folder);
  await tutti.close();
  return folder;
}

const ALL = [2 * COUNT, 2 * COUNT, COUNT * (2 * COUNT - 1)];
const title = (what: string): string => `${kills} kills while ${what} (seed ${seed})`;

for (const settings of [{ mode: 'append' }, { filesPerTask: '2' }, { consistentPushEnabled: 'true' }, { consistentPushSwapEnabled: 'true' }] as Record<
  string,
  string
>[]) {
  test(title(`files are loaded with ${JSON.stringify(settings)}`), { timeout: 110_000 }, async (t) => {
    const folder = await prepared(t, 'OFFLINE', async () => {});
    const input = { inputDirURI: path.join(folder, 'in'), ...settings };
    const { row, keys } = await killed(t, { folder, table: 'trips_OFFLINE', type: 'FileIngestionTask', settings: input, watched: paths(folder).tables });
    assert.deepEqual(row, ALL, 'every row once');
    const segments = keys.filter((k) => k.startsWith('segment/')).length;
    // A group that lost all its attempts came one by one.
    if ('filesPerTask' in settings) assert.ok(segments >= COUNT / 2 && segments < COUNT, `${segments} segments`);
    else assert.equal(segments, COUNT);
    assert.equal(keys.filter((k) => k.startsWith('file/')).length, COUNT);
    assert.deepEqual(
      keys.filter((k) => k.startsWith('current-swap')),
      'consistentPushSwapEnabled' in settings ? ['current-swap 1'] : [],
      'one switch',
    );
  });
}

test(title('segments are exported'), { timeout: 110_000 }, async (t) => {
  const folder = await prepared(t, 'REALTIME', async (tutti) => {
    for (let i = 0; i < COUNT; i++) {
      await tutti.tables.addRows('trips', [{ id: i }, { id: i + COUNT }]);
      await tutti.tables.seal('trips');
    }
  });
  const out = path.join(folder, 'out');
  const { view, keys } = await killed(t, {
    folder,
    table: 'trips_REALTIME',
    type: 'DataExportTask',
    settings: { outputDirURI: out, outputFormat: 'csv' },
    watched: out,
  });
  assert.equal(view.inputsProcessed, COUNT);
  const root = path.join(out, 'trips_REALTIME');
  const manifests = globSync('manifest-*.json', { cwd: root }).map((f) => JSON.parse(readFileSync(path.join(root, f), 'utf8')) as Manifest);
  const segments = manifests.flatMap((m) => m.segments.map((s) => s.name));
  assert.deepEqual([segments.length, new Set(segments).size], [COUNT, COUNT], 'every segment is in one manifest');
  const ids = manifests.flatMap((m) => m.files.flatMap((f) => readFileSync(path.join(root, f.path), 'utf8').trim().split('\n').slice(1).map(Number)));
  assert.deepEqual(
    ids.toSorted((a, b) => a - b),
    Array.from({ length: 2 * COUNT }, (_, i) => i),
  );
  assert.equal(keys.filter((k) => k.startsWith('exported/')).length, COUNT);
  assert.deepEqual(
    keys.filter((k) => k.startsWith('export-pending/')),
    [],
  );
  assert.deepEqual(globSync('_staging/**/*.csv', { cwd: root }), []);
});

for (const [type, settings, expected] of [
  ['SegmentPurgeTask', { purgePredicate: `id >= ${COUNT}` }, [COUNT, COUNT, (COUNT * (COUNT - 1)) / 2]],
  ['StarTreeAlterTableTask', { operation: 'retype', column: 'id', type: 'INTEGER' }, ALL],
] as const) {
  test(title(`${type} rewrites segments`), { timeout: 110_000 }, async (t) => {
    const folder = await prepared(t, 'OFFLINE', async (tutti, f) => {
      const load = await tutti.plans.run('FileIngestionTask', 'trips', { inputDirURI: path.join(f, 'in'), tableMaxNumTasks: 100 });
      await load!.done();
    });
    const { view, row, keys } = await killed(t, { folder, table: 'trips_OFFLINE', type, settings, watched: paths(folder).tables });
    assert.equal(view.taskType, type);
    assert.deepEqual(row, expected);
    assert.ok(
      keys.filter((k) => k.startsWith('segment/')).every((k) => k.endsWith(' 2')),
      'every segment is written once',
    );
    assert.equal(keys.filter((k) => k.startsWith('garbage/')).length, COUNT, 'and its old file is garbage once');
  });
}
