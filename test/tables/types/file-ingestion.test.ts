import assert from 'node:assert/strict';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileIngestion } from '../../../src/tables/types/file-ingestion.ts';
import { COLUMNS, ids, ingest, names, touch, two } from './ingest.ts';
import { type DrivenPlan, drivePlan } from './plan-driver.ts';
import { taskTable } from './task-table.ts';

for (const twice of [false, true]) {
  test(`§14.13: 25 files in batches of 10 are loaded once each${twice ? ', with every call made twice' : ''}`, async (t) => {
    const table = await taskTable(t, COLUMNS);
    for (let i = 0; i < 25; i++) table.file(`f${String(i).padStart(2, '0')}.csv`, `id,name\n${i},n${i}\n`);
    const plan = await ingest(table, {}, { twice });
    assert.equal(plan.status, 'COMPLETED', plan.message);
    assert.deepEqual(
      plan.batches.map((b) => b.inputs.length),
      [10, 10, 5],
    );
    assert.deepEqual([plan.total, plan.processed], [25, 25]);
    assert.deepEqual(
      await ids(table),
      Array.from({ length: 25 }, (_, i) => i),
    );
    const again = await ingest(table, {}, { twice });
    assert.deepEqual([again.batches.length, again.total], [0, 0], 'what is loaded is not loaded again');
  });
}

test('a bad file is tried again in later batches and ends in the failures with file, line and column; the others are loaded (§14.34)', async (t) => {
  const table = await taskTable(t, COLUMNS);
  table.file('a.csv', 'id,name\n1,a\n');
  table.file('bad.csv', 'id,name\n2,b\n3,c\nx,d\n');
  table.file('c.csv', 'id,name\n4,d\n');
  const plan = await ingest(table, { maxAttemptsPerFile: '2' });
  assert.equal(plan.status, 'COMPLETED');
  assert.deepEqual(
    plan.batches.map((b) => [b.inputs.length, b.failed, b.countFailures]),
    [
      [3, 1, true],
      [1, 1, false],
    ],
  );
  assert.deepEqual(await ids(table), [1, 4]);
  assert.match(plan.message, /2 files loaded \(2 rows\); 1 file given up: bad\.csv, line 4, column id: Could not convert string "x" to 'BIGINT'/);
  assert.equal(plan.stats.failedFiles, '1');
});

test('append takes files that are new, and leaves alone what has changed or is gone', async (t) => {
  const table = await taskTable(t, COLUMNS);
  const a = table.file('a.csv', 'id\n1\n');
  const b = table.file('b.csv', 'id\n2\n');
  await ingest(table);
  writeFileSync(a, 'id\n10\n11\n');
  rmSync(b);
  table.file('deep/c.csv', 'id\n3\n');
  const plan = await ingest(table);
  assert.deepEqual(names(plan), [['deep/c.csv']]);
  assert.deepEqual(await ids(table), [1, 2, 3]);
});

for (const twice of [false, true]) {
  test(`sync mirrors the folder: new, changed and removed files${twice ? ', with every call made twice' : ''}`, async (t) => {
    const table = await taskTable(t, COLUMNS);
    const sync = { mode: 'sync', ...two };
    const a = table.file('a.csv', 'id\n1\n');
    const b = table.file('b.csv', 'id\n2\n');
    table.file('c.csv', 'id\n3\n');
    await ingest(table, sync, { twice });
    writeFileSync(a, 'id\n10\n11\n');
    rmSync(b);
    table.file('d.csv', 'id\n4\n');
    const plan = await ingest(table, sync, { twice });
    assert.deepEqual(names(plan), [['a.csv', 'd.csv'], ['removal']]);
    assert.deepEqual([plan.processed, plan.stats.files, plan.stats.removedFiles], [3, '2', '1']);
    assert.deepEqual(await ids(table), [3, 4, 10, 11]);
    const garbage = await table.resources.items(table.id, { prefix: 'garbage/' });
    assert.equal(garbage.length, 2, 'the files of a and b are garbage, once each');
    assert.equal((await ingest(table, sync, { twice })).batches.length, 0);
  });
}

test('a changed file of the same size is known by its time', async (t) => {
  const table = await taskTable(t, COLUMNS);
  const a = table.file('a.csv', 'id\n1\n');
  touch(a, 1_700_000_000);
  await ingest(table, { mode: 'sync' });
  writeFileSync(a, 'id\n2\n');
  touch(a, 1_700_000_001);
  await ingest(table, { mode: 'sync' });
  assert.deepEqual(await ids(table), [2]);
});

test('a folder that is gone or empty empties no table', async (t) => {
  const table = await taskTable(t, COLUMNS);
  const a = table.file('a.csv', 'id\n1\n');
  await ingest(table, { mode: 'sync' });
  rmSync(a);
  const refused = await ingest(table, { mode: 'sync' });
  assert.equal(refused.status, 'FAILED');
  assert.match(refused.message, /^No file of .* matches \*, and the table has 1 file or more: set syncEmptyFolder/);
  assert.deepEqual(await ids(table), [1]);
  rmSync(table.input, { recursive: true });
  await assert.rejects(ingest(table, { mode: 'sync', syncEmptyFolder: 'true' }), /inputDirURI: the folder .* cannot be read \(ENOENT\)/);
  assert.deepEqual(await ids(table), [1]);
  table.file('b.txt', '');
  rmSync(path.join(table.input, 'b.txt'));
  await ingest(table, { mode: 'sync', syncEmptyFolder: 'true' });
  assert.deepEqual(await ids(table), []);
});

test('patterns choose files; links, hidden files and what lies outside are left alone', async (t) => {
  const table = await taskTable(t, COLUMNS);
  table.file('a.csv', 'id\n1\n');
  table.file('deep/b.csv', 'id\n2\n');
  table.file('deep/c.json', '{"id":3}');
  table.file('.hidden.csv', 'id\n4\n');
  table.file('_staging/d.csv', 'id\n5\n');
  writeFileSync(path.join(table.folder, 'outside.csv'), 'id\n6\n');
  symlinkSync(path.join(table.folder, 'outside.csv'), path.join(table.input, 'link.csv'));
  symlinkSync(table.folder, path.join(table.input, 'loop'));
  assert.deepEqual(names(await ingest(table, { includeFileNamePattern: 'glob:**/*.{csv,json}', excludeFileNamePattern: 'deep/*.json' })), [
    ['a.csv', 'deep/b.csv'],
  ]);
  assert.deepEqual(names(await ingest(table, { includeFileNamePattern: '*.json' })), [['deep/c.json']]);
  assert.deepEqual(await ids(table), [1, 2, 3]);
  const input = {
    kind: 'load',
    resource: table.id,
    folder: table.input,
    files: [{ path: '../outside.csv', size: 5, mtimeMs: 0 }],
    name: 'n',
    round: 1,
    maxRows: 5,
    file: { format: 'auto' },
  };
  await assert.rejects(
    async () => fileIngestion(table.x).subtask({ input, signal: new AbortController().signal } as never),
    /outside\.csv: it lies outside of/,
  );
});

test('a file that is still being written is left for later', async (t) => {
  const table = await taskTable(t, COLUMNS);
  touch(table.file('old.csv', 'id\n1\n'), table.clock.now / 1000 - 100);
  touch(table.file('new.csv', 'id\n2\n'), table.clock.now / 1000 - 10);
  assert.deepEqual(names(await ingest(table, { minFileAgeSeconds: '60' })), [['old.csv']]);
  table.clock.now += 60_000;
  assert.deepEqual(names(await ingest(table, { minFileAgeSeconds: '60' })), [['new.csv']]);
  const changing = table.file('c.csv', 'id\n3\n');
  const plan = await ingest(table, {}, { onBatch: (no) => void (no === 0 && writeFileSync(changing, 'id\n3\n4\n')) });
  assert.deepEqual(
    plan.batches.map((b) => b.errors.length),
    [1, 0],
    'one that changes under the hand of its subtask is read again',
  );
  assert.match(plan.batches[0].errors[0], /c\.csv: it has changed since it was listed/);
  assert.deepEqual(await ids(table), [1, 2, 3, 4]);
});

test('a file that changes while it is read is not half one and half the other', async (t) => {
  const table = await taskTable(t, COLUMNS);
  const a = table.file('a.csv', 'id\n1\n');
  const { segments } = table;
  const write = segments.write.bind(segments);
  let once = true;
  segments.write = async (...args) => {
    const written = await write(...args);
    if (once) writeFileSync(a, 'id\n5\n6\n');
    once = false;
    return written;
  };
  const plan = await ingest(table);
  assert.deepEqual(
    plan.batches.map((b) => b.failed),
    [1, 0],
  );
  assert.deepEqual(await ids(table), [5, 6]);
});

test('consistent push: the segments of a batch are seen together or not at all', async (t) => {
  const table = await taskTable(t, COLUMNS);
  for (const n of [1, 2, 3, 4, 5]) table.file(`f${n}.csv`, `id\n${n === 2 ? 'x' : n}\n`);
  const seen: unknown[][] = [];
  const plan = await ingest(
    table,
    { consistentPushEnabled: 'true', consistentPushMaxRetries: '1', tableMaxNumTasks: '3' },
    { twice: true, beforeFinish: async () => void seen.push(await ids(table)) },
  );
  assert.deepEqual(
    names(plan),
    [['f1.csv', 'f2.csv', 'f3.csv'], ['f4.csv', 'f5.csv'], ['f1.csv', 'f3.csv'], ['f2.csv']],
    'the bad one comes again alone, the others without it',
  );
  assert.deepEqual(seen, [[], [], [4, 5], [1, 3, 4, 5]]);
  assert.deepEqual(
    plan.batches.map((b) => b.processed),
    [0, 2, 2, 0],
  );
  assert.equal(plan.status, 'COMPLETED');
  assert.match(plan.message, /4 files loaded \(4 rows\); 1 file given up: f2\.csv, line 2, column id/);
});

test('two one-shot runs over the same files load them once', async (t) => {
  const table = await taskTable(t, COLUMNS);
  table.file('a.csv', 'id\n1\n');
  let inner = false;
  const plan = await ingest(
    table,
    {},
    {
      once: true,
      beforeFinish: async () => {
        if (inner) return;
        inner = true;
        await ingest(table, {}, { once: true });
      },
    },
  );
  assert.equal(plan.processed, 1);
  assert.deepEqual(await ids(table), [1]);
  assert.equal((await table.resources.item(table.id, 'file/base/a.csv'))?.version, 1, 'the second one leaves it as it is');
});

test('a batch that nobody saw the end of is loaded again', async (t) => {
  const table = await taskTable(t, COLUMNS);
  for (const n of [1, 2, 3]) table.file(`f${n}.csv`, `id\n${n}\n`);
  const plan = await ingest(table, two, {
    failing: (_, batch) => {
      if (batch === 0) throw new Error('attempt lost');
    },
  });
  assert.deepEqual(names(plan), [['f1.csv', 'f2.csv'], ['f3.csv'], ['f1.csv', 'f2.csv']]);
  assert.deepEqual(await ids(table), [1, 2, 3]);
  assert.equal(plan.stats.failedFiles, '0');
});

test('a link in an allowed folder leads to no other', async (t) => {
  const table = await taskTable(t, COLUMNS);
  symlinkSync(table.folder, path.join(table.input, 'out'));
  symlinkSync(table.input, path.join(table.folder, 'in'));
  table.file('a.csv', 'id\n1\n');
  const type = fileIngestion({ ...table.x, inputRoots: [path.join(table.folder, 'in')] });
  const run = (inputDirURI: string): Promise<DrivenPlan> => drivePlan({ resources: table.resources, type, resource: table.id, settings: { inputDirURI } });
  await assert.rejects(run(path.join(table.folder, 'in', 'out')), /inputDirURI: .* leads to .*, which lies below none of the folders that may be used$/);
  assert.equal((await run(path.join(table.folder, 'in'))).stats.files, '1');
});

test('settings that cannot be are refused by name', async (t) => {
  const table = await taskTable(t, COLUMNS);
  const type = fileIngestion({ ...table.x, inputRoots: [table.input] });
  const cases: [Record<string, string>, RegExp][] = [
    [{}, /^inputDirURI is missing: the folder to read from$/],
    [{ inputDirURI: 's3://bucket/x' }, /^inputDirURI must be a folder of this machine, .*, not "s3:\/\/bucket\/x"$/],
    [{ inputDirURI: '/etc' }, /^inputDirURI names \/etc, which lies below none of the folders/],
    [{ inputDirURI: `${table.input}/../..` }, /which lies below none/],
    [{ inputDirURI: table.input, mode: 'both' }, /^mode must be one of sync, append, not "both"$/],
    [{ inputDirURI: table.input, inputFormat: 'xml' }, /^inputFormat must be one of auto, csv, json, jsonl, parquet/],
    [{ inputDirURI: table.input, consistentPushEnabled: 'yes' }, /^consistentPushEnabled must be "true" or "false", not "yes"$/],
    [{ inputDirURI: table.input, tableMaxNumTasks: '0' }, /^tableMaxNumTasks must be a whole number from 1 to 1000000, not "0"$/],
    [{ inputDirURI: table.input, maxAttemptsPerFile: '1.5' }, /^maxAttemptsPerFile must be a whole number/],
    [{ inputDirURI: table.input, csvDelimiter: 'ab' }, /^csvDelimiter must be one character/],
    [{ inputDirURI: table.input, inputDirUri: 'x' }, /^inputDirUri is no setting of this type; did you mean inputDirURI\?$/],
  ];
  for (const [settings, says] of cases) {
    const problems = await type.validate?.(settings, table.id);
    assert.equal(problems?.length, 1, JSON.stringify([settings, problems]));
    assert.match(problems![0], says);
  }
  const fine = { inputDirURI: `${table.input}/x`, schedule: '0 0 2 * * ?', enableTaskOrchestration: 'true', someBodysOwn: 'z', MODE: 'append' };
  assert.deepEqual(await type.validate?.(fine, table.id), ['MODE is no setting of this type; did you mean mode?']);
  assert.match((await type.validate?.({ inputDirURI: table.input }, 'a_REALTIME'))?.[0] ?? '', /^a_REALTIME is filled row by row/);
});

test('a file that failed and is gone afterwards keeps no plan from its end', async (t) => {
  for (const consistentPushEnabled of ['true', 'false']) {
    const table = await taskTable(t, COLUMNS);
    table.file('a.csv', 'id\n1\n');
    const bad = table.file('bad.csv', 'id\nx\n');
    const plan = await ingest(table, { consistentPushEnabled }, { beforeFinish: (no) => void (no === 0 && rmSync(bad)) });
    assert.equal(plan.status, 'COMPLETED');
    assert.deepEqual(await ids(table), [1]);
  }
});
