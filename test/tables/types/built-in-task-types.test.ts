/** The four types as users have them: on a real engine, with its plans, its store and its subtasks. */
import assert from 'node:assert/strict';
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { Tutti } from '../../../src/main.ts';
import type { PlanView } from '../../../src/engine/plan-views.ts';
import { testFolder } from '../open-duck.ts';

interface Opened {
  folder: string;
  input: string;
  tutti: Tutti;
}

const open = async (folder: string, store = path.join(folder, 'tutti.db')): Promise<Tutti> =>
  Tutti.open({ store, templates: [], slots: 4, plans: { poll: '50ms' }, tables: { folder: path.join(folder, 'tables'), memory: '256MB', threads: 2 } });

async function opened(t: TestContext): Promise<Opened> {
  const folder = testFolder(t);
  const tutti = await open(folder);
  t.after(() => tutti.close());
  await tutti.tables.create({
    name: 'trips',
    type: 'OFFLINE',
    schema: {
      columns: [
        { name: 'id', type: 'BIGINT' },
        { name: 'name', type: 'VARCHAR' },
      ],
    },
  });
  const input = path.join(folder, 'in');
  return { folder, input, tutti };
}

async function run(tutti: Tutti, type: string, table: string, settings: Record<string, string>): Promise<PlanView | null> {
  const plan = await tutti.plans.run(type, table, settings);
  return plan === null ? null : plan.done();
}

const rows = async (tutti: Tutti, sql: string): Promise<unknown[][]> => (await tutti.tables.query('trips_OFFLINE', sql)).rows;

async function fill(o: Opened, count: number): Promise<void> {
  mkdirSync(o.input, { recursive: true });
  for (let i = 0; i < count; i++) writeFileSync(path.join(o.input, `f${String(i).padStart(3, '0')}.csv`), `id,name\n${i},n${i}\n${i + 1000},m\n`);
}

test('files are loaded, purged and altered by plans; the numbers add up', async (t) => {
  const o = await opened(t);
  const { tutti } = o;
  await fill(o, 25);
  writeFileSync(path.join(o.input, 'f007.csv'), 'id,name\nseven,n7\n');
  const ingested = await run(tutti, 'FileIngestionTask', 'trips', { inputDirURI: o.input, maxAttemptsPerFile: '2' });
  assert.equal(ingested?.status, 'COMPLETED', ingested?.statusMessage);
  assert.deepEqual(
    ingested.batches.map((b) => [b.subtasks.total, b.subtasks.failed]),
    [
      [10, 1],
      [10, 0],
      [5, 0],
      [1, 1],
    ],
  );
  assert.deepEqual([ingested.inputsToProcess, ingested.inputsProcessed, ingested.inputsBeingProcessed, ingested.inputUnit], [25, 24, 0, 'files']);
  assert.match(
    ingested.statusMessage,
    /24 files loaded \(48 rows\); 1 file given up: f007\.csv, line 2, column id: Could not convert string "seven" to 'BIGINT'\.$/,
  );
  assert.equal(ingested.customStats?.failedFiles, '1');
  assert.deepEqual(await rows(tutti, 'SELECT count(*), count(DISTINCT id) FROM trips'), [[48, 48]]);

  const purged = await run(tutti, 'SegmentPurgeTask', 'trips', { purgePredicate: 'id >= 1000' });
  assert.match(purged?.statusMessage ?? '', /^24 segments looked at: 24 rows removed from 24, 0 emptied/);
  assert.deepEqual(await rows(tutti, 'SELECT count(*), max(id) FROM trips'), [[24, 24]]);

  await assert.rejects(tutti.plans.runOnce('AlterTableTask', 'trips', { operation: 'drop', column: 'name' }), { code: 'ORCHESTRATED_ONLY' });
  const altered = await run(tutti, 'AlterTableTask', 'trips', { operation: 'add', column: 'fare', type: 'DOUBLE', default: '2.5' });
  assert.deepEqual([altered?.status, altered?.taskType], ['COMPLETED', 'StarTreeAlterTableTask']);
  assert.match(altered!.planId, /^trips_OFFLINE__StarTreeAlterTableTask__/);
  assert.deepEqual(await rows(tutti, 'SELECT sum(fare) FROM trips'), [[60]]);
  assert.equal(await run(tutti, 'FileIngestionTask', 'trips', { inputDirURI: o.input, includeFileNamePattern: 'f00[0-6].csv' }), null, 'nothing is new');
  await assert.rejects(
    run(tutti, 'SegmentPurgeTask', 'trips', { purgePredicate: 'nosuch = 1' }),
    (e: Error & { code?: string }) => e.code === 'INVALID_INPUT' && /nosuch/.test(e.message),
  );
});

test('first tries that all fail end the plan by the failure policy', async (t) => {
  const o = await opened(t);
  await fill(o, 8);
  for (let i = 0; i < 6; i++) writeFileSync(path.join(o.input, `f00${i}.csv`), 'id\nx\n');
  const plan = await run(o.tutti, 'FileIngestionTask', 'trips', { inputDirURI: o.input, tableMaxNumTasks: '2' });
  assert.equal(plan?.status, 'FAILED');
  assert.match(plan.statusMessage, /^3 batches in a row failed outright\.$/);
  assert.deepEqual(await rows(o.tutti, 'SELECT count(*) FROM trips'), [[0]]);
  const other = await run(o.tutti, 'FileIngestionTask', 'trips', { inputDirURI: o.input, tableMaxNumTasks: '8', taskPlanFailureThresholdPercent: '50' });
  assert.match(other?.statusMessage ?? '', /^6 of 8 subtasks failed in batch 0, more than 50 %\.$/);
  assert.deepEqual(await rows(o.tutti, 'SELECT count(*) FROM trips'), [[4]], 'what that batch loaded is loaded');
});

test('one bad file alone is tried again and given up: the plan is complete', async (t) => {
  const o = await opened(t);
  await fill(o, 0);
  writeFileSync(path.join(o.input, 'bad.csv'), 'id\nx\n');
  const plan = await run(o.tutti, 'FileIngestionTask', 'trips', { inputDirURI: o.input });
  assert.deepEqual([plan?.status, plan?.batches.length], ['COMPLETED', 3], plan?.statusMessage);
});

test('a full swap and a mirror on the real store', async (t) => {
  const o = await opened(t);
  await fill(o, 5);
  const swap = { inputDirURI: o.input, consistentPushSwapEnabled: 'true', tableMaxNumTasks: '2' };
  assert.equal((await run(o.tutti, 'FileIngestionTask', 'trips', { inputDirURI: o.input }))?.status, 'COMPLETED');
  rmSync(path.join(o.input, 'f000.csv'));
  writeFileSync(path.join(o.input, 'f001.csv'), 'id,name\n77,x\n');
  const swapped = await run(o.tutti, 'FileIngestionTask', 'trips', swap);
  assert.match(swapped?.statusMessage ?? '', /The table has switched to swap /);
  assert.deepEqual(await rows(o.tutti, 'SELECT count(*), min(id) FROM trips'), [[7, 2]]);
  rmSync(path.join(o.input, 'f002.csv'));
  const mirrored = await run(o.tutti, 'FileIngestionTask', 'trips', { inputDirURI: o.input, mode: 'sync' });
  assert.equal(mirrored?.customStats?.removedFiles, '1');
  assert.deepEqual(await rows(o.tutti, 'SELECT count(*), min(id) FROM trips'), [[5, 3]]);
});

test('an export of a REALTIME table on the real store', async (t) => {
  const o = await opened(t);
  const { tutti } = o;
  await tutti.tables.create({ name: 'events', type: 'REALTIME', schema: { columns: [{ name: 'id', type: 'BIGINT' }] } });
  for (let i = 0; i < 5; i++) {
    await tutti.tables.addRows('events', [{ id: i }, { id: i + 100 }]);
    await tutti.tables.seal('events');
  }
  await tutti.tables.addRows('events', [{ id: 7 }]);
  const out = path.join(o.folder, 'out');
  const plan = await run(tutti, 'DataExportTask', 'events', { outputDirURI: out, tableMaxNumTasks: '2' });
  assert.equal(plan?.status, 'COMPLETED', plan?.statusMessage);
  assert.deepEqual([plan.inputsToProcess, plan.inputsProcessed], [5, 5]);
  assert.deepEqual(
    globSync('events_REALTIME/manifest-*.json', { cwd: out })
      .map((f) => (JSON.parse(readFileSync(path.join(out, f), 'utf8')) as { rows: number }).rows)
      .reduce((a, b) => a + b),
    10,
  );
  assert.equal(await run(tutti, 'DataExportTask', 'events', { outputDirURI: out }), null);
});

test('a process that ends between two batches goes on where it was: every file is in the table once', async (t) => {
  const folder = testFolder(t);
  const input = path.join(folder, 'in');
  let tutti = await open(folder);
  await tutti.tables.create({
    name: 'trips',
    type: 'OFFLINE',
    schema: {
      columns: [
        { name: 'id', type: 'BIGINT' },
        { name: 'name', type: 'VARCHAR' },
      ],
    },
  });
  await fill({ folder, input, tutti }, 30);
  const started = await tutti.plans.run('FileIngestionTask', 'trips', { inputDirURI: input, tableMaxNumTasks: '2' });
  assert.ok(started !== null);
  for (let i = 0; i < 4; i++) {
    await tutti.close();
    tutti = await open(folder);
  }
  t.after(() => tutti.close());
  const plan = await (await tutti.plans.get(started.id)).done();
  assert.equal(plan.status, 'COMPLETED', plan.statusMessage);
  assert.deepEqual(await rows(tutti, 'SELECT count(*), count(DISTINCT id) FROM trips'), [[60, 60]]);
});
