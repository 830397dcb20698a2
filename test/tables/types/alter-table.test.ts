import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyOperation } from '../../../src/tables/types/alter-operation.ts';
import { alterTable } from '../../../src/tables/types/alter-table.ts';
import { segmentPurge } from '../../../src/tables/types/segment-purge.ts';
import type { TableSchema } from '../../../src/tables/tables.ts';
import { type DrivenPlan, type RunOptions, drivePlan } from './plan-driver.ts';
import { type TaskTable, taskTable } from './task-table.ts';

const COLUMNS = { id: 'BIGINT', name: 'VARCHAR', at: 'TIMESTAMP' };
const INSERT = `SELECT i AS id, 'n' || i AS name, TIMESTAMP '2026-01-01' AS at FROM range(1, 3) r(i)`;

const alter = (t: TaskTable, settings: Record<string, string>, run: RunOptions = {}): Promise<DrivenPlan> => {
  t.clock.now += 1_000;
  return drivePlan(
    { resources: t.resources, type: alterTable(t.x), resource: t.id, settings: { tableMaxNumTasks: '2', ...settings }, createdAt: t.clock.now },
    run,
  );
};

async function filled(t: TaskTable, count: number): Promise<TaskTable> {
  for (let i = 0; i < count; i++) await t.addSegment(`s${i}`, INSERT);
  return t;
}

const versions = async (t: TaskTable): Promise<number[]> => (await t.visible()).map((s) => s.segment.schemaVersion);
const kinds = (plan: DrivenPlan): string[] => plan.batches.map((b) => b.inputs.map((i) => (i as { kind: string }).kind).join(' '));
const columns = async (t: TaskTable): Promise<string[]> => (await t.segments.table(t.id)).schema.columns.map((c) => `${c.name} ${c.type}`);

interface Case {
  settings: Record<string, string>;
  kinds: string[];
  columns: string[];
  row: Record<string, unknown>;
}

const CASES: Case[] = [
  {
    settings: { operation: 'add', column: 'tip', type: 'double', default: '1.5' },
    kinds: ['switch', 'rewrite rewrite', 'rewrite'],
    columns: ['id BIGINT', 'name VARCHAR', 'at TIMESTAMP', 'tip DOUBLE'],
    row: { id: 1, name: 'n1', at: '2026-01-01T00:00:00', tip: 1.5 },
  },
  {
    settings: { operation: 'ADD_COLUMN', column: 'tip', type: 'INT' },
    kinds: ['switch', 'rewrite rewrite', 'rewrite'],
    columns: ['id BIGINT', 'name VARCHAR', 'at TIMESTAMP', 'tip INTEGER'],
    row: { id: 1, name: 'n1', at: '2026-01-01T00:00:00', tip: null },
  },
  {
    settings: { operation: 'drop', column: 'NAME' },
    kinds: ['switch', 'rewrite rewrite', 'rewrite'],
    columns: ['id BIGINT', 'at TIMESTAMP'],
    row: { id: 1, at: '2026-01-01T00:00:00' },
  },
  {
    settings: { operation: 'rename', column: 'at', newName: 'seen' },
    kinds: ['switch', 'rewrite rewrite', 'rewrite'],
    columns: ['id BIGINT', 'name VARCHAR', 'seen TIMESTAMP'],
    row: { id: 1, name: 'n1', seen: '2026-01-01T00:00:00' },
  },
  {
    settings: { operation: 'retype', column: 'id', type: 'VARCHAR' },
    kinds: ['check check', 'check', 'switch', 'rewrite rewrite', 'rewrite'],
    columns: ['id VARCHAR', 'name VARCHAR', 'at TIMESTAMP'],
    row: { id: '1', name: 'n1', at: '2026-01-01T00:00:00' },
  },
  {
    settings: { operation: 'retype', column: 'name', type: 'BIGINT', onCastError: 'null' },
    kinds: ['switch', 'rewrite rewrite', 'rewrite'],
    columns: ['id BIGINT', 'name BIGINT', 'at TIMESTAMP'],
    row: { id: 1, name: null, at: '2026-01-01T00:00:00' },
  },
];

for (const twice of [false, true]) {
  for (const c of CASES) {
    test(`${JSON.stringify(c.settings)}${twice ? ', with every call made twice' : ''}: readers see one schema at every moment`, async (t) => {
      const table = await filled(await taskTable(t, COLUMNS, { timeColumn: 'at' }), 3);
      const before = await columns(table);
      const seen = new Set<string>();
      const look = async (): Promise<void> => {
        const now = await columns(table);
        seen.add(now.join());
        const [row, ...more] = await table.rows("SELECT * FROM t WHERE id::VARCHAR = '1'");
        assert.equal(more.length, 2);
        if (now.join() === c.columns.join()) assert.deepEqual(row, c.row);
        else assert.deepEqual(row, { id: 1, name: 'n1', at: '2026-01-01T00:00:00' });
      };
      const plan = await alter(table, c.settings, { twice, onBatch: look, beforeFinish: look });
      await look();
      assert.equal(plan.status, 'COMPLETED', plan.message);
      assert.deepEqual(kinds(plan), c.kinds);
      assert.deepEqual([...seen], [before.join(), c.columns.join()]);
      assert.deepEqual(await versions(table), [2, 2, 2]);
      assert.deepEqual([plan.total, plan.processed], [3, 3]);
      // What is in the files needs no mapping any more.
      const { schema } = await table.segments.table(table.id);
      const [one] = await table.visible();
      assert.deepEqual(
        await table.duck.describe(`read_parquet('${table.segments.pathOf(one.segment)}')`),
        schema.columns.map(({ name, type }) => ({ name, type })),
      );
    });
  }
}

test('values that the new type cannot hold stop the plan before the schema changes', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 3);
  await table.addSegment('s4', `SELECT 7 AS id, '12' AS name, NULL AS at`);
  const plan = await alter(table, { operation: 'retype', column: 'name', type: 'BIGINT' });
  assert.equal(plan.status, 'FAILED');
  assert.match(plan.message, /^The schema is as it was: segment s0: 2 values of name cannot be BIGINT, "n[12]" among them: set onCastError/);
  assert.deepEqual(await versions(table), [1, 1, 1, 1]);
  assert.deepEqual((await columns(table))[1], 'name VARCHAR');
});

/** A segment of somebody who read the schema before it changed. Its name lies before those of the others. */
async function addOld(t: TaskTable, name: string, id: number): Promise<void> {
  const old: TableSchema = { version: 1, columns: Object.entries(COLUMNS).map(([n, type]) => ({ name: n, type })), timeColumn: null, changes: [] };
  const data = await t.segments.table(t.id);
  const file = await t.segments.write({ ...data, schema: old }, { name, select: `SELECT ${id} AS id, 'x' AS name, NULL AS at` });
  t.clock.now++;
  await t.resources.change(t.id, t.segments.changes({ put: [{ name, segment: t.segments.segment(file!, { schemaVersion: 1 }) }] }));
}

test('segments made meanwhile are tried and rewritten before the end', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 3);
  const during = { check: 2, switch: 1, rewrite: 2 };
  const plan = await alter(
    table,
    { operation: 'retype', column: 'id', type: 'INTEGER' },
    {
      onBatch: async (no, inputs) => {
        const { kind } = inputs[0] as { kind: string };
        const left = (during[kind as keyof typeof during] ?? 0) - 1;
        if (left < 0) return;
        during[kind as keyof typeof during] = left;
        await addOld(table, `a${9 - no}`, 50);
      },
    },
  );
  assert.equal(plan.status, 'COMPLETED', plan.message);
  assert.deepEqual(during, { check: 0, switch: 0, rewrite: 0 });
  assert.deepEqual(await versions(table), [2, 2, 2, 2, 2, 2, 2, 2]);
  assert.deepEqual(await table.rows('SELECT count(*) AS n FROM t WHERE id = 50'), [{ n: 5 }]);
});

for (const when of ['check', 'rewrite']) {
  test(`a value that cannot be, in a segment made during the ${when}, is not lost`, async (t) => {
    const table = await filled(await taskTable(t, COLUMNS), 3);
    let added = false;
    const plan = await alter(
      table,
      { operation: 'retype', column: 'id', type: 'TINYINT', maxAttemptsPerSegment: '2' },
      {
        onBatch: async (no, inputs) => {
          if (added || no === 0 || (inputs[0] as { kind: string }).kind !== when) return;
          added = true;
          await addOld(table, 'a', 1_000);
        },
      },
    );
    assert.equal(plan.status, 'FAILED');
    assert.match(plan.message, /segment a: 1 value of id cannot be TINYINT, "1000" among them/);
    const late = (await table.visible()).find((s) => s.name === 'a')!;
    assert.equal(late.segment.schemaVersion, 1, 'its file still has the value');
    assert.deepEqual((await columns(table))[0], when === 'check' ? 'id BIGINT' : 'id TINYINT');
  });
}

test('a segment that is purged meanwhile is rewritten as it is then', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 2);
  const plan = await alter(
    table,
    { operation: 'add', column: 'x', type: 'INTEGER', default: '9' },
    {
      beforeFinish: async (no) => {
        if (no !== 1) return;
        await drivePlan({
          resources: table.resources,
          type: segmentPurge(table.x),
          resource: table.id,
          settings: { purgePredicate: 'id = 1' },
          createdAt: table.clock.now,
        });
      },
    },
  );
  assert.equal(plan.status, 'COMPLETED');
  assert.deepEqual(await table.rows('SELECT id, x FROM t'), [
    { id: 2, x: 9 },
    { id: 2, x: 9 },
  ]);
  assert.deepEqual(await versions(table), [2, 2]);
});

test('a plan that ends half way leaves a table that is whole; "rewrite" finishes the work', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 3);
  const aborted = await alter(table, { operation: 'rename', column: 'name', newName: 'label' }, { abortAfter: 2 });
  assert.match(aborted.message, /the operation "rewrite" brings them up to date/);
  assert.deepEqual(await versions(table), [2, 2, 1]);
  assert.deepEqual(await table.rows(`SELECT count(*) AS n FROM t WHERE label = 'n1'`), [{ n: 3 }]);
  const rewritten = await alter(table, { operation: 'rewrite' });
  assert.deepEqual([kinds(rewritten), rewritten.total], [['rewrite'], 1]);
  assert.deepEqual(await versions(table), [2, 2, 2]);
  assert.equal((await alter(table, { operation: 'rewrite' })).batches.length, 0);
  const failed = await alter(
    table,
    { operation: 'drop', column: 'label', maxAttemptsPerSegment: '2' },
    {
      failing: (input: { name?: string }) => {
        if (input.name === 's1') throw new Error('no disk');
      },
    },
  );
  assert.equal(failed.status, 'FAILED');
  assert.match(failed.message, /^1 segment given up: segment s1: no disk The schema is changed/);
  assert.deepEqual(await versions(table), [3, 2, 3]);
  assert.equal((await table.rows()).length, 6);
});

test('a table without segments changes its schema all the same', async (t) => {
  const table = await taskTable(t, COLUMNS);
  assert.deepEqual(kinds(await alter(table, { operation: 'retype', column: 'id', type: 'INTEGER' }, { twice: true })), ['switch']);
  assert.deepEqual(await columns(table), ['id INTEGER', 'name VARCHAR', 'at TIMESTAMP']);
});

test('many changes one after the other, read from the oldest segment', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 1);
  const steps: Record<string, string>[] = [
    { operation: 'add', column: 'x', type: 'INTEGER', default: '7' },
    { operation: 'rename', column: 'x', newName: 'y' },
    { operation: 'retype', column: 'y', type: 'VARCHAR' },
    { operation: 'drop', column: 'name' },
    { operation: 'add', column: 'name', type: 'DATE', default: '2026-02-03' },
    { operation: 'retype', column: 'y', type: 'DOUBLE' },
    { operation: 'rename', column: 'id', newName: 'x' },
  ];
  // Switched, but never rewritten.
  for (const s of steps) await alter(table, s, { abortAfter: s.operation === 'retype' ? 2 : 1 });
  assert.deepEqual(await versions(table), [1]);
  const rows = await table.rows('SELECT * FROM t WHERE x = 1');
  assert.deepEqual(rows, [{ x: 1, at: '2026-01-01T00:00:00', y: 7, name: '2026-02-03' }]);
  await alter(table, { operation: 'rewrite' });
  assert.deepEqual(await versions(table), [8]);
  assert.deepEqual(await table.rows('SELECT * FROM t WHERE x = 1'), rows);
});

test('what cannot be done is refused by name', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS, { timeColumn: 'at', config: { segmentsConfig: { timeColumnName: 'at' } } }), 1);
  const type = alterTable(table.x);
  const cases: [Record<string, string>, RegExp][] = [
    [{}, /^operation is missing: one of add, drop, rename, retype, rewrite$/],
    [{ operation: 'swap' }, /^operation must be one of/],
    [{ operation: 'add', column: 'x' }, /^type is missing/],
    [{ operation: 'add', column: 'x', type: 'BLOB' }, /^type must be one of BOOLEAN/],
    [{ operation: 'add', column: '1x', type: 'DATE' }, /^column must be 1 to 128 letters/],
    [{ operation: 'add', column: 'ID', type: 'DATE' }, /^column: there is a column id already$/],
    [{ operation: 'add', column: 'x', type: 'DATE', default: 'soon' }, /^default: Conversion Error: .*"soon"/],
    [{ operation: 'add', column: 'x', type: 'DATE', newName: 'y' }, /^newName is nothing that the operation add has$/],
    [{ operation: 'drop', column: 'nosuch' }, /^column: there is no column nosuch; there are id, name, at$/],
    [{ operation: 'drop', column: 'at' }, /^column: at is the table's time column$/],
    [{ operation: 'rename', column: 'id', newName: 'NAME' }, /^column: there is a column NAME already$/],
    [{ operation: 'rename', column: 'at', newName: 'seen' }, /^column: at is named in the table's config, segmentsConfig\.timeColumnName/],
    [{ operation: 'retype', column: 'id', type: 'bigint' }, /^column: id is of BIGINT already$/],
    [{ operation: 'retype', column: 'at', type: 'VARCHAR' }, /^column: at is the table's time column: its type must be/],
    [{ operation: 'rewrite', column: 'id' }, /^column is nothing that the operation rewrite has$/],
  ];
  for (const [settings, says] of cases) assert.match((await type.validate?.(settings, table.id))?.join('\n') ?? '', says, JSON.stringify(settings));
  assert.deepEqual([type.orchestratedOnly, type.aliases], [true, ['AlterTableTask']]);
  assert.throws(() => type.generateOnce?.({} as never), /runs as a plan only/);
  assert.equal(
    applyOperation({ version: 1, columns: [{ name: 'a', type: 'DATE' }], timeColumn: null, changes: [] }, { op: 'drop', column: 'a' }),
    'a is the only column',
  );
});
