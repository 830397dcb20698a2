import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { Json } from '../../../src/core/definition.ts';
import { fileIngestion } from '../../../src/tables/types/file-ingestion.ts';
import { finishIngestion } from '../../../src/tables/types/finish-ingestion.ts';
import { ingestionSettings } from '../../../src/tables/types/ingestion-settings.ts';
import { COLUMNS, ids, ingest, names, two } from './ingest.ts';
import { drivePlan } from './plan-driver.ts';
import { taskTable } from './task-table.ts';

const swap = { consistentPushSwapEnabled: 'true', ...two };

for (const twice of [false, true]) {
  test(`§14.20: a full swap switches the whole table once, at the plan's end${twice ? ', with every call made twice' : ''}`, async (t) => {
    const table = await taskTable(t, COLUMNS);
    table.file('old.csv', 'id\n1\n2\n');
    await ingest(table, { mode: 'sync' });
    rmSync(path.join(table.input, 'old.csv'));
    for (const n of [5, 6, 7]) table.file(`f${n}.csv`, `id\n${n}\n`);
    const seen: unknown[][] = [];
    const look = async (): Promise<void> => void seen.push(await ids(table));
    const plan = await ingest(table, swap, { twice, beforeFinish: look, beforeEnd: look });
    assert.deepEqual(
      seen,
      [
        [1, 2],
        [1, 2],
        [1, 2],
      ],
      'the old table is seen until the end',
    );
    assert.equal(plan.status, 'COMPLETED');
    assert.match(plan.message, /3 files loaded \(3 rows\)\. The table has switched to swap /);
    assert.deepEqual(await ids(table), [5, 6, 7]);
    const items = await table.resources.items(table.id);
    assert.equal(items.filter((i) => i.key.startsWith('segment/')).length, 3);
    assert.equal(items.find((i) => i.key === 'current-swap')?.version, 1, 'one switch');
    assert.equal(items.filter((i) => i.key.startsWith('file/')).length, 3, 'and the registry with it');
    // A mirror that comes after goes on from the swap.
    rmSync(path.join(table.input, 'f5.csv'));
    table.file('f8.csv', 'id\n8\n');
    const later = await ingest(table, { mode: 'sync' }, { twice });
    assert.deepEqual(names(later), [['f8.csv'], ['removal']]);
    assert.deepEqual(await ids(table), [6, 7, 8]);
    await ingest(table, swap, { twice });
    assert.deepEqual(await ids(table), [6, 7, 8]);
    assert.equal((await table.resources.item(table.id, 'current-swap'))?.version, 2);
  });
}

test('a swap whose end is asked for again after its commit does not happen twice', async (t) => {
  const table = await taskTable(t, COLUMNS);
  table.file('a.csv', 'id\n1\n');
  const type = fileIngestion(table.x);
  const uuid = 'same-uuid';
  await drivePlan({ resources: table.resources, type, resource: table.id, settings: { inputDirURI: table.input, ...swap }, uuid });
  const state = { round: 1, set: uuid, swap: true, complete: true, failed: { known: {}, more: 0 }, files: 1 };
  const ctx = {
    planId: `x__${type.name}__${uuid}`,
    state,
    item: (key: string) => table.resources.item(table.id, key),
    items: (q: never) => table.resources.items(table.id, q),
  };
  assert.equal(await type.onPlanEnd?.(ctx as never, 'COMPLETED', 'm'), undefined);
});

for (const how of ['aborted', 'failed', 'once'] as const) {
  test(`a swap that is not whole (${how}) leaves the table as it was, and nothing of itself`, async (t) => {
    const table = await taskTable(t, COLUMNS);
    table.file('old.csv', 'id\n1\n');
    await ingest(table);
    for (const n of [2, 3, 4]) table.file(`f${n}.csv`, `id\n${n === 4 && how === 'failed' ? 'x' : n}\n`);
    const plan = await ingest(table, swap, how === 'aborted' ? { abortAfter: 1 } : how === 'once' ? { once: true } : {});
    assert.equal(plan.status, { aborted: 'CANCELLED', failed: 'FAILED', once: 'COMPLETED' }[how]);
    if (how === 'failed') assert.match(plan.message, /^No swap: 1 file given up: f4\.csv, line 2/);
    assert.deepEqual(await ids(table), [1]);
    const items = await table.resources.items(table.id);
    assert.deepEqual(
      items.map((i) => i.key.split('/')[0]),
      ['file', 'garbage', 'garbage', ...(how === 'failed' ? ['garbage'] : []), 'segment'],
    );
  });
}

test('a one-shot swap of a folder that fits one batch switches', async (t) => {
  const table = await taskTable(t, COLUMNS);
  table.file('a.csv', 'id\n1\n');
  table.file('b.csv', 'id\n2\n');
  await ingest(table, swap, { once: true });
  assert.deepEqual(await ids(table), [1, 2]);
});

test('what an older swap left behind is removed by a later plan, once it is a day old', async (t) => {
  const table = await taskTable(t, COLUMNS);
  await table.addSegment('dead', 'SELECT 99 AS id, NULL AS name', { swap: 'dead-swap', createdAt: table.clock.now });
  await table.resources.change(table.id, {
    put: [{ key: 'file/dead-swap/a.csv', body: { path: 'a.csv', size: 1, mtimeMs: 1, rows: 1, segments: ['dead'], at: table.clock.now } }],
  });
  table.file('a.csv', 'id\n1\n');
  await ingest(table);
  assert.ok(await table.resources.item(table.id, 'segment/dead'), 'it may be of a run that goes on');
  table.clock.now += 25 * 3_600_000;
  table.file('b.csv', 'id\n2\n');
  await ingest(table);
  assert.equal(await table.resources.item(table.id, 'segment/dead'), null);
  assert.equal(await table.resources.item(table.id, 'file/dead-swap/a.csv'), null);
  assert.deepEqual(await ids(table), [1, 2]);
});

test('a swap of more segments than one commit can remove switches at once; later plans remove the rest', async (t) => {
  const table = await taskTable(t, COLUMNS);
  table.file('a.csv', 'id\n1\n');
  await ingest(table);
  const [one] = await table.visible();
  const old = Array.from({ length: 6_000 }, (_, i) => ({ key: `segment/old-${i}`, body: { ...one.segment, file: `x/old-${i}.parquet` } as unknown as Json }));
  await table.resources.change(table.id, { put: old });
  const plan = await ingest(table, swap);
  assert.match(plan.message, /The rest of the old segments are hidden, and removed by later plans\.$/);
  assert.deepEqual(await ids(table), [1]);
  const left = async (): Promise<number> => (await table.resources.items(table.id, { prefix: 'segment/', limit: 10_000 })).length - 1;
  assert.ok((await left()) > 1_000);
  table.clock.now += 25 * 3_600_000;
  for (let i = 0; i < 4; i++) {
    table.file(`b${i}.csv`, 'id\n2\n');
    await ingest(table, { mode: 'sync' });
  }
  assert.ok((await left()) <= 4, 'five hundred of them with each batch');
});

test('files for whose segments a commit has no room have failed: a swap does not switch without them', async (t) => {
  const table = await taskTable(t, COLUMNS);
  const file = { file: 'x.parquet', rows: 1, bytes: 1, minTime: null, maxTime: null };
  const loaded = Array.from({ length: 8 }, (_, f) => ({
    name: `file-${f}`,
    state: 'complete' as const,
    units: 1,
    input: { kind: 'load', files: [{ path: `f${f}.csv`, size: 1, mtimeMs: 1 }], name: `n${f}` },
    result: { kind: 'load', rows: 990, schemaVersion: 1, segments: Array.from({ length: 990 }, (_, i) => ({ name: `n${f}-${i}`, file })) },
  }));
  const o = ingestionSettings({ inputDirURI: table.input, consistentPushSwapEnabled: 'true' }, null).settings;
  const state = { set: 'swap', swap: true, round: 1, complete: true, failed: { known: {}, more: 0 }, files: 0, rows: 0, leftovers: false };
  const ctx = { planId: 'x__y__z', state, createdAt: 0, item: async () => null, items: async () => [] };
  const batch = {
    counts: { total: 8, complete: 8, failed: 0 },
    subtasks: (async function* () {
      yield* loaded;
    })(),
  };
  const done = await finishIngestion(table.x, o, ctx as never, batch as never);
  const { failed, complete, again, files } = done.state!;
  // 9,000 writes, of which each file may take three a segment.
  assert.deepEqual([done.processed, files, complete, again, Object.keys(failed.known)], [7, 7, false, true, ['f7.csv']]);
  assert.match(failed.known['f7.csv'].message, /^f7\.csv: the batch has too many segments for one commit: lower tableMaxNumTasks or raise maxRowsPerSegment$/);
});
