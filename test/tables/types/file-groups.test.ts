import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { groupFiles } from '../../../src/tables/types/file-groups.ts';
import { ingestionSettings } from '../../../src/tables/types/ingestion-settings.ts';
import { COLUMNS, ids, ingest, names } from './ingest.ts';
import { taskTable } from './task-table.ts';

const MIB = 2 ** 20;
const inTwos = { filesPerTask: '2', tableMaxNumTasks: '2' };

test('neighbours share a segment, up to a number and a size; large files have their own', () => {
  const groups = (sizes: number[], most: number): number[][] =>
    groupFiles(
      sizes.map((size, i) => ({ path: `f${i}`, size, mtimeMs: 0 })),
      most,
    ).map((g) => g.map((f) => f.size));
  assert.deepEqual(groups([1, 2, 3, 4, 5], 2), [[1, 2], [3, 4], [5]]);
  assert.deepEqual(groups([1, 2], 1), [[1], [2]]);
  assert.deepEqual(groups([1, 9 * MIB, 2, 3], 10), [[1], [9 * MIB], [2, 3]], 'what comes after a large file begins anew');
  assert.deepEqual(
    groups(
      Array.from({ length: 9 }, () => 8 * MIB),
      100,
    ).map((g) => g.length),
    [8, 1],
  );
  assert.deepEqual(groups([], 5), []);
});

for (const twice of [false, true]) {
  test(`small files are loaded in groups, once each${twice ? ', with every call made twice' : ''}`, async (t) => {
    const table = await taskTable(t, COLUMNS);
    for (const n of [1, 2, 3, 4]) table.file(`f${n}.csv`, `id,name\n${n},n${n}\n`);
    // Of other formats, with other columns in another order, and with nothing in it.
    table.file('f5.jsonl', '{"name":"n5","id":5}\n');
    table.file('f6.csv', 'NAME;more;ID\nn6;x;6\n');
    table.file('f7.csv', '');
    const plan = await ingest(table, inTwos, { twice });
    assert.equal(plan.status, 'COMPLETED', plan.message);
    assert.deepEqual(names(plan), [
      ['f1.csv+f2.csv', 'f3.csv+f4.csv'],
      ['f5.jsonl+f6.csv', 'f7.csv'],
    ]);
    assert.deepEqual([plan.total, plan.processed, plan.stats.files, plan.stats.rows], [7, 7, '7', '6']);
    assert.deepEqual(
      (await table.rows()).map((r) => [r.id, r.name]),
      [1, 2, 3, 4, 5, 6].map((n) => [n, `n${n}`]),
    );
    assert.equal((await table.visible()).length, 3);
    const files = await table.resources.items(table.id, { prefix: 'file/' });
    assert.equal(files.length, 7);
    const [first, second] = files.map((f) => f.body as { segments: string[]; sharedBy?: number });
    assert.deepEqual(first.segments, second.segments);
    assert.equal(first.sharedBy, 2);
    assert.deepEqual((await ingest(table, inTwos, { twice })).batches, [], 'what is loaded is not loaded again');
  });
}

for (const maxAttemptsPerFile of ['1', '2']) {
  test(`a bad file makes its group come one by one, and alone is given up after ${maxAttemptsPerFile}`, async (t) => {
    const table = await taskTable(t, COLUMNS);
    for (const n of [1, 2, 4, 5, 6]) table.file(`f${n}.csv`, `id\n${n}\n`);
    table.file('f3.csv', 'id\nx\n');
    const plan = await ingest(table, { ...inTwos, maxAttemptsPerFile });
    assert.equal(plan.status, 'COMPLETED');
    assert.deepEqual(names(plan), [
      ['f1.csv+f2.csv', 'f3.csv+f4.csv'],
      ['f5.csv+f6.csv'],
      ['f3.csv', 'f4.csv'],
      ...(maxAttemptsPerFile === '2' ? [['f3.csv']] : []),
    ]);
    assert.deepEqual(
      plan.batches.map((b) => b.countFailures),
      [false, false, true, false].slice(0, plan.batches.length),
      'the share of bad files is that of the round in which they come alone',
    );
    assert.match(plan.batches[0].errors[0], /^f3\.csv and 1 more beside it: /);
    assert.match(plan.message, /5 files loaded \(5 rows\); 1 file given up: f3\.csv, line 2, column id: Could not convert/);
    assert.deepEqual(await ids(table), [1, 2, 4, 5, 6]);
    assert.equal(plan.processed, 5);
  });
}

test('consistent push: a batch of groups is seen together or not at all', async (t) => {
  const table = await taskTable(t, COLUMNS);
  for (const n of [1, 2, 4]) table.file(`f${n}.csv`, `id\n${n}\n`);
  table.file('f3.csv', 'id\nx\n');
  const seen: unknown[][] = [];
  const plan = await ingest(
    table,
    { ...inTwos, consistentPushEnabled: 'true', maxAttemptsPerFile: '2', tableMaxNumTasks: '4' },
    { onBatch: async () => void seen.push(await ids(table)) },
  );
  assert.equal(plan.status, 'COMPLETED');
  assert.deepEqual(names(plan), [['f1.csv+f2.csv', 'f3.csv+f4.csv'], ['f1.csv', 'f2.csv', 'f3.csv', 'f4.csv'], ['f1.csv', 'f2.csv', 'f4.csv'], ['f3.csv']]);
  assert.deepEqual(seen, [[], [], [], [1, 2, 4]]);
  assert.match(plan.message, /3 files loaded .* 1 file given up: f3\.csv, line 2/);
});

test('a group of which somebody else has loaded a file is not loaded twice', async (t) => {
  const table = await taskTable(t, COLUMNS);
  for (const n of [1, 2, 3]) table.file(`f${n}.csv`, `id\n${n}\n`);
  let others = 0;
  const plan = await ingest(table, inTwos, {
    beforeFinish: async () => void (others++ === 0 && (await ingest(table, { includeFileNamePattern: 'f2.csv' }, { once: true }))),
  });
  assert.equal(plan.status, 'COMPLETED');
  assert.deepEqual(names(plan), [['f1.csv+f2.csv', 'f3.csv'], ['f1.csv']]);
  assert.deepEqual(await ids(table), [1, 2, 3]);
});

test('consistent push: a group of which somebody else has loaded a file holds up its whole batch', async (t) => {
  const table = await taskTable(t, COLUMNS);
  for (const n of [1, 2, 3, 4]) table.file(`f${n}.csv`, `id\n${n}\n`);
  const seen: unknown[][] = [];
  let others = 0;
  const plan = await ingest(
    table,
    { ...inTwos, consistentPushEnabled: 'true', tableMaxNumTasks: '4' },
    {
      onBatch: async () => void seen.push(await ids(table)),
      beforeFinish: async () => void (others++ === 0 && (await ingest(table, { includeFileNamePattern: 'f1.csv' }, { once: true }))),
    },
  );
  assert.equal(plan.status, 'COMPLETED', plan.message);
  assert.deepEqual(seen, [[], [1]], 'nothing of the first batch is seen without f2');
  assert.deepEqual(await ids(table), [1, 2, 3, 4]);
  assert.match(plan.message, /^3 files loaded \(3 rows\)/);
});

test('a full swap may share segments; a mirror that would have to take a file out of one is refused', async (t) => {
  const table = await taskTable(t, COLUMNS);
  const f1 = table.file('f1.csv', 'id\n1\n');
  table.file('f2.csv', 'id\n2\n');
  const swap = await ingest(table, { ...inTwos, mode: 'sync', consistentPushSwapEnabled: 'true' });
  assert.equal(swap.status, 'COMPLETED', swap.message);
  assert.deepEqual(await ids(table), [1, 2]);
  table.file('f3.csv', 'id\n3\n');
  assert.equal((await ingest(table, { mode: 'sync' })).status, 'COMPLETED', 'what is new is no trouble');
  assert.deepEqual(await ids(table), [1, 2, 3]);
  writeFileSync(f1, 'id\n10\n');
  await assert.rejects(ingest(table, { mode: 'sync' }), /f1\.csv has changed\. It was loaded with filesPerTask/);
  rmSync(path.join(table.input, 'f1.csv'));
  const mirror = await ingest(table, { mode: 'sync' });
  assert.deepEqual([mirror.status, mirror.message.slice(0, 15)], ['FAILED', 'f1.csv is gone.']);
  assert.deepEqual(await ids(table), [1, 2, 3], 'and nothing was taken out');
  await ingest(table, { mode: 'sync', consistentPushSwapEnabled: 'true' });
  assert.deepEqual(await ids(table), [2, 3]);
});

test('how many files share is checked', () => {
  const problems = (s: Record<string, string>): string[] => ingestionSettings({ inputDirURI: '/in', ...s }, null).problems;
  assert.deepEqual(problems({ filesPerTask: '100' }), []);
  assert.match(problems({ filesPerTask: '0' })[0], /filesPerTask must be a whole number from 1 to 100/);
  assert.match(problems({ filesPerTask: '101' })[0], /filesPerTask must be a whole number from 1 to 100/);
  assert.match(problems({ filesPerTask: '2', mode: 'sync' })[0], /filesPerTask must be 1 where mode is sync/);
  assert.deepEqual(problems({ filesPerTask: '2', mode: 'sync', consistentPushSwapEnabled: 'true' }), []);
});
