import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import type { AnyTaskType } from '../../../src/sdk/plans/task-type.ts';
import { dataExport } from '../../../src/tables/types/data-export.ts';
import type { Manifest } from '../../../src/tables/types/export-files.ts';
import { segmentPurge } from '../../../src/tables/types/segment-purge.ts';
import { type DrivenPlan, type RunOptions, drivePlan } from './plan-driver.ts';
import { type TaskTable, taskTable } from './task-table.ts';

const ID = 'events_REALTIME';
const COLUMNS = { id: 'BIGINT', kind: 'VARCHAR' };

async function sealed(t: TestContext, count: number): Promise<TaskTable> {
  const table = await taskTable(t, COLUMNS, { id: ID });
  for (let i = 0; i < count; i++) await addSealed(table, i);
  return table;
}

const addSealed = (t: TaskTable, i: number): Promise<void> =>
  t.addSegment(`s${String(i).padStart(2, '0')}`, `SELECT i AS id, if(i % 2 = 0, 'even', 'o/d d') AS kind FROM range(${i * 4}, ${i * 4 + 4}) r(i)`);

const target = (t: TaskTable): string => path.join(t.folder, 'out');
const root = (t: TaskTable): string => path.join(target(t), ID);
const run = (t: TaskTable, settings: Record<string, string> = {}, o: RunOptions = {}): Promise<DrivenPlan> =>
  drivePlan({ resources: t.resources, type: dataExport(t.x), resource: t.id, settings: { outputDirURI: target(t), ...settings } }, o);

function manifests(t: TaskTable): Manifest[] {
  return globSync('manifest-*.json', { cwd: root(t) })
    .toSorted()
    .map((f) => JSON.parse(readFileSync(path.join(root(t), f), 'utf8')) as Manifest);
}

/** What a reader that goes by the manifests has. Throws where one names a file that is not there whole. */
async function read(t: TaskTable): Promise<number[]> {
  const ids: number[] = [];
  for (const m of manifests(t)) {
    for (const f of m.files) {
      const from =
        m.format === 'parquet'
          ? `read_parquet('${path.join(root(t), f.path)}', hive_partitioning=false)`
          : `read_csv('${path.join(root(t), f.path)}', header=true, hive_partitioning=false)`;
      for (const r of await t.duck.rows(`SELECT id FROM ${from}`)) ids.push(Number(r.id));
    }
  }
  return ids.toSorted((a, b) => a - b);
}

const shape = (plan: DrivenPlan): string[] =>
  plan.batches.map((b) => {
    const kinds = b.inputs.map((i) => (i as { kind: string }).kind);
    return `${kinds.filter((k) => k === 'commit').length}+${kinds.filter((k) => k === 'stage').length}`;
  });

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

for (const twice of [false, true]) {
  test(`§14.19: segments beyond a batch and pending commits flow into later ones until both are drained${twice ? ', with every call made twice' : ''}`, async (t) => {
    const table = await sealed(t, 25);
    const plan = await run(table, {}, { twice });
    assert.equal(plan.status, 'COMPLETED', plan.message);
    assert.deepEqual(shape(plan), ['0+10', '1+9', '1+6', '1+0'], 'the last batch has a commit and no segments');
    assert.deepEqual([plan.total, plan.processed], [25, 25]);
    assert.deepEqual(await read(table), upTo(100));
    assert.deepEqual(
      manifests(table).map((m) => [m.manifest, m.segments.length, m.rows]),
      [
        [1, 10, 40],
        [2, 9, 36],
        [3, 6, 24],
      ],
    );
    assert.equal(existsSync(path.join(root(table), '_staging', 'x')), false);
    assert.deepEqual(globSync('_staging/**/*.parquet', { cwd: root(table) }), []);
    await addSealed(table, 25);
    assert.deepEqual(shape(await run(table, {}, { twice })), ['0+1', '1+0'], 'nothing is exported twice');
    assert.deepEqual(await read(table), upTo(104));
    assert.equal((await run(table, {}, { twice })).batches.length, 0);
  });
}

test('what is staged is seen by no reader before the manifest of its commit, and then whole', async (t) => {
  const table = await sealed(t, 5);
  const seen: number[] = [];
  const look = async (): Promise<void> => void seen.push((await read(table)).length);
  await run(table, { tableMaxNumTasks: '2' }, { onBatch: look, beforeFinish: look });
  assert.deepEqual(seen, [0, 0, 0, 8, 8, 12, 12, 16, 16, 20]);
});

test('a limit of one takes segments and commits in turn', async (t) => {
  const table = await sealed(t, 3);
  assert.deepEqual(shape(await run(table, { tableMaxNumTasks: '1' })), ['0+1', '1+0', '0+1', '1+0', '0+1', '1+0']);
  assert.deepEqual(await read(table), upTo(12));
});

for (const format of ['parquet', 'csv']) {
  test(`partitions of ${format}: the columns stay in the files`, async (t) => {
    const table = await sealed(t, 3);
    await run(table, { outputFormat: format, partitionBy: 'KIND' });
    const files = manifests(table).flatMap((m) => m.files.map((f) => f.path));
    assert.equal(files.length, 6);
    assert.ok(
      files.every((f) => new RegExp(`^kind=(even|o%2Fd%20d)/s0[012]-0\\.${format}$`).test(f)),
      files.join(' '),
    );
    assert.deepEqual(await read(table), upTo(12));
    const all = `${root(table)}/*/*.${format}`;
    assert.deepEqual(await table.duck.rows(`SELECT kind, count(*) AS n FROM '${all}' GROUP BY ALL ORDER BY kind`), [
      { kind: 'even', n: 6 },
      { kind: 'o/d d', n: 6 },
    ]);
  });
}

test('segments that are sealed during the plan are exported by it, wherever their names lie', async (t) => {
  const table = await sealed(t, 0);
  for (const i of [5, 6, 7]) await addSealed(table, i);
  const more = [1, 9, 0];
  const plan = await run(table, { tableMaxNumTasks: '2' }, { beforeFinish: async () => void (more.length > 0 && (await addSealed(table, more.shift()!))) });
  assert.equal(plan.processed, 6);
  assert.ok(plan.total >= 6);
  assert.equal((await read(table)).length, 24);
});

test('a commit that crashes half way is done again and ends in one manifest', async (t) => {
  const table = await sealed(t, 3);
  const type = dataExport(table.x);
  let crashes = 3;
  const crashing: AnyTaskType = {
    ...type,
    subtask: async (ctx) => {
      const input = ctx.input as { kind: string; root: string };
      if (input.kind !== 'commit' || crashes === 0) return type.subtask(ctx);
      crashes--;
      const staged = globSync('_staging/*/*/*.parquet', { cwd: input.root });
      // As if the process had died after it had moved the first file, and then after the manifest.
      if (crashes === 2) {
        const first = staged.toSorted()[0];
        writeFileSync(path.join(input.root, path.basename(first)), readFileSync(path.join(input.root, first)));
        rmSync(path.join(input.root, first));
      } else await type.subtask(ctx);
      throw new Error('killed');
    },
  };
  const plan = await drivePlan({
    resources: table.resources,
    type: crashing,
    resource: ID,
    settings: { outputDirURI: target(table), maxAttemptsPerSegment: '9' },
  });
  assert.deepEqual(shape(plan), ['0+3', '1+0', '1+0', '1+0', '1+0']);
  assert.deepEqual([plan.status, manifests(table).length], ['COMPLETED', 1]);
  assert.deepEqual(await read(table), upTo(12));
});

test('a commit that never succeeds ends the plan; the next one commits what waits, and stages nothing twice', async (t) => {
  const table = await sealed(t, 3);
  const failing = (input: { kind: string }): void => {
    if (input.kind === 'commit') throw new Error('disk full');
  };
  const plan = await run(table, { tableMaxNumTasks: '2' }, { failing });
  assert.equal(plan.status, 'FAILED');
  assert.match(plan.message, /^manifest-000001\.json could not be committed: disk full$/);
  assert.deepEqual(await read(table), []);
  const next = await run(table, { tableMaxNumTasks: '5' });
  assert.deepEqual([shape(next)[0], next.total, next.processed], ['2+0', 3, 3]);
  assert.deepEqual(await read(table), upTo(12));
  assert.deepEqual(globSync('_staging/*', { cwd: root(table) }), []);
});

test('a segment that fails is staged again later, and given up in the end (§14.34)', async (t) => {
  const table = await sealed(t, 4);
  const plan = await run(
    table,
    { tableMaxNumTasks: '10' },
    {
      failing: (input: { kind: string; name?: string }, batch) => {
        if (input.name === 's01' || (input.name === 's00' && batch === 0)) throw new Error('no disk');
      },
    },
  );
  assert.equal(plan.status, 'COMPLETED');
  assert.deepEqual(shape(plan), ['0+4', '1+2', '1+1', '0+0'].slice(0, 3));
  assert.match(plan.message, /^3 segments exported \(12 rows\) to .*; 1 segment given up: segment s01: no disk\.$/);
  assert.deepEqual(await read(table), [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15]);
});

test('a segment that was purged after its export is not exported again; one that was emptied before is none', async (t) => {
  const table = await sealed(t, 2);
  await run(table);
  const purge = (purgePredicate: string): Promise<DrivenPlan> =>
    drivePlan({ resources: table.resources, type: segmentPurge(table.x), resource: ID, settings: { purgePredicate }, createdAt: Date.now() + 60_000 });
  await purge('id = 1');
  assert.equal((await run(table)).batches.length, 0);
  await addSealed(table, 2);
  const plan = await run(table, {}, { onBatch: async (no) => void (no === 0 && (await purge('id BETWEEN 8 AND 11'))) });
  assert.deepEqual([plan.status, plan.processed, manifests(table).length], ['COMPLETED', 1, 1]);
});

test('two one-shot runs at the same segments export them once', async (t) => {
  const table = await sealed(t, 2);
  let inner = false;
  await run(
    table,
    {},
    {
      once: true,
      beforeFinish: async () => {
        if (inner) return;
        inner = true;
        await run(table, {}, { once: true });
      },
    },
  );
  await run(table);
  assert.deepEqual(await read(table), upTo(8));
  assert.deepEqual(manifests(table).length, 1);
});

test('two folders are two exports, and two tables in one folder keep apart', async (t) => {
  const table = await sealed(t, 1);
  await run(table);
  const other = path.join(table.folder, 'other');
  await run(table, { outputDirURI: `file://${other}` });
  assert.deepEqual(
    readdirSync(path.join(other, ID))
      .filter((f) => !f.startsWith('_'))
      .toSorted(),
    ['manifest-000001.json', 's00.parquet'],
  );
});

test('settings that cannot be are refused by name', async (t) => {
  const table = await sealed(t, 0);
  const type = dataExport({ ...table.x, outputRoots: [target(table)] });
  const outputDirURI = target(table);
  const cases: [Record<string, string>, RegExp][] = [
    [{}, /^outputDirURI is missing: the folder to write to$/],
    [{ outputDirURI: 'https://x/y' }, /^outputDirURI must be a folder of this machine/],
    [{ outputDirURI: table.folder }, /which lies below none of the folders that may be written$/],
    [{ outputDirURI, outputFormat: 'orc' }, /^outputFormat must be one of parquet, csv, not "orc"$/],
    [{ outputDirURI, partitionBy: 'nosuch' }, /^partitionBy: the table has no column nosuch; there are id, kind$/],
    [{ outputDirURI, partitionBy: 'id,ID' }, /^partitionBy names a column twice$/],
    [{ outputDirURI, partitionBy: 'id,kind' }, /^partitionBy must leave a column$/],
  ];
  for (const [settings, says] of cases) assert.match((await type.validate?.(settings, ID))?.join('\n') ?? '', says);
  assert.match((await type.validate?.({ outputDirURI }, 'a_OFFLINE'))?.[0] ?? '', /^a_OFFLINE has no segments that are sealed/);
});

test('where the target cannot be a folder the plan does not begin, and the setting is named', async (t) => {
  const table = await sealed(t, 1);
  writeFileSync(target(table), '');
  await assert.rejects(run(table), { name: 'PermanentError', message: /^outputDirURI: the folder .*events_REALTIME cannot be written \(ENOTDIR\)$/ });
});

test('where it becomes a file meanwhile the segments are given up, and the plan ends', async (t) => {
  const table = await sealed(t, 1);
  const plan = await run(table, { maxAttemptsPerSegment: '1' }, { onBatch: () => writeFileSync(target(table), '') });
  assert.match(plan.message, /^0 segments exported .*1 segment given up: segment s00: outputDirURI: the folder .* cannot be written \(ENOTDIR\)/);
});

test('links below the target that lead out of output_roots: no folder is made there and no file lands there, at any step', async (t) => {
  const table = await sealed(t, 1);
  const outside = path.join(table.folder, 'outside');
  mkdirSync(outside);
  const type = dataExport({ ...table.x, outputRoots: [target(table)] });
  const settings = { outputDirURI: target(table), partitionBy: 'kind', maxAttemptsPerSegment: '1' };
  const tried = (o: RunOptions = {}): Promise<DrivenPlan> => drivePlan({ resources: table.resources, type, resource: ID, settings }, o);
  const link = (name: string) => (): void => {
    mkdirSync(path.dirname(path.join(root(table), name)), { recursive: true });
    symlinkSync(outside, path.join(root(table), name));
  };
  link('')();
  await assert.rejects(tried(), {
    code: 'folder_forbidden',
    message: /^outputDirURI: .* leads to .*outside, which lies below none of the folders that may be used$/,
  });
  rmSync(root(table));
  const staging = await tried({ onBatch: link('_staging') });
  assert.match(staging.message, /1 segment given up: segment s00: outputDirURI: .*_staging.* leads to .*outside/);
  rmSync(path.join(root(table), '_staging'));
  const commit = await tried({ onBatch: (no) => (no === 1 ? link('kind=even')() : undefined) });
  assert.match(commit.message, /^manifest-000001\.json could not be committed: outputDirURI: .*kind=even leads to .*outside/);
  assert.deepEqual(readdirSync(outside), []);
  rmSync(path.join(root(table), 'kind=even'));
  assert.equal((await tried()).status, 'COMPLETED');
  assert.deepEqual(await read(table), upTo(4));
});

for (const format of ['parquet', 'csv']) {
  test(`values too long for a folder's name, in ${format}: their partition's folder is cut short and told apart by a hash, the files have them whole`, async (t) => {
    const table = await sealed(t, 0);
    // As a folder's name 250 bytes, 251, and far more: only what does not fit is cut.
    const values = ["repeat('x', 250)", "repeat('x', 251)", "repeat('x', 250) || 'y'", "repeat('é', 300)", "'a'", 'NULL'];
    await table.addSegment('s00', values.map((v, i) => `SELECT ${i} AS id, ${v} AS kind`).join(' UNION ALL '));
    await run(table, { outputFormat: format, partitionBy: 'kind' });
    await table.addSegment('s01', "SELECT 6 AS id, repeat('é', 300) AS kind");
    await run(table, { outputFormat: format, partitionBy: 'kind' });
    const folders = manifests(table).map((m) => m.files.map((f) => path.dirname(f.path)).toSorted());
    const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);
    const cut = (first: string, text: string): string => `kind=${first}~${hash(text)}`;
    const long = cut('%C3%A9'.repeat(18), 'é'.repeat(300));
    const wanted = [`kind=${'x'.repeat(250)}`, 'kind=a', 'kind=__HIVE_DEFAULT_PARTITION__', long];
    wanted.push(cut('x'.repeat(18), 'x'.repeat(251)), cut('x'.repeat(18), `${'x'.repeat(250)}y`));
    assert.deepEqual(folders, [wanted.toSorted(), [long]]);
    assert.deepEqual(await read(table), upTo(7));
    const from = `read_${format}('${root(table)}/*/*.${format}', hive_partitioning=false)`;
    assert.deepEqual(await table.duck.rows(`SELECT id::INT AS id, length(kind) AS n FROM ${from} ORDER BY id`), [
      { id: 0, n: 250 },
      { id: 1, n: 251 },
      { id: 2, n: 251 },
      { id: 3, n: 300 },
      { id: 4, n: 1 },
      { id: 5, n: null },
      { id: 6, n: 300 },
    ]);
    assert.deepEqual(Object.keys(manifests(table)[0].files[0]).toSorted(), ['bytes', 'path']);
    assert.deepEqual(
      (await table.duck.describe(from)).map((c) => c.name),
      ['id', 'kind'],
    );
  });
}
