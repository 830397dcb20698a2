import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { Json } from '../../../src/core/definition.ts';
import { segmentPurge } from '../../../src/tables/types/segment-purge.ts';
import { type DrivenPlan, type RunOptions, drivePlan } from './plan-driver.ts';
import { type TaskTable, taskTable } from './task-table.ts';

const COLUMNS = { id: 'BIGINT', name: 'VARCHAR', at: 'TIMESTAMP' };
const DAY = 86_400_000;

const purge = (t: TaskTable, settings: Record<string, string> = {}, run: RunOptions = {}): Promise<DrivenPlan> => {
  t.clock.now += 1_000;
  return drivePlan({ resources: t.resources, type: segmentPurge(t.x), resource: t.id, settings, createdAt: t.clock.now }, run);
};

const names = (plan: DrivenPlan): string[][] => plan.batches.map((b) => b.inputs.map((i) => (i as { name: string }).name));
const ids = async (t: TaskTable): Promise<unknown[]> => (await t.rows('SELECT id FROM t ORDER BY id')).map((r) => r.id);

/** Segments s0, s1, … of ten rows each: 0 to 9, 10 to 19, … */
async function filled(t: TaskTable, count: number): Promise<TaskTable> {
  for (let i = 0; i < count; i++) {
    await t.addSegment(
      `s${String(i).padStart(2, '0')}`,
      `SELECT i AS id, if(i % 3 = 0, NULL, 'n' || i) AS name, TIMESTAMP '2026-01-01' + INTERVAL (i) DAY AS at FROM range(${i * 10}, ${i * 10 + 10}) r(i)`,
    );
  }
  return t;
}

for (const twice of [false, true]) {
  test(`§14.13: 25 segments are purged in batches of 10${twice ? ', with every call made twice' : ''}`, async (t) => {
    const table = await filled(await taskTable(t, COLUMNS, { timeColumn: 'at' }), 25);
    const before = await table.visible();
    const plan = await purge(table, { purgePredicate: "id < 15 OR id = 100 OR name = 'n149' -- and no more" }, { twice });
    assert.equal(plan.status, 'COMPLETED', plan.message);
    assert.deepEqual(
      plan.batches.map((b) => b.inputs.length),
      [10, 10, 5],
    );
    assert.deepEqual([plan.total, plan.processed], [25, 25]);
    assert.match(plan.message, /^25 segments looked at: 17 rows removed from 3, 1 emptied and removed\.$/);
    assert.deepEqual(
      await ids(table),
      Array.from({ length: 250 }, (_, i) => i).filter((i) => !(i < 15 || i === 100 || i === 149)),
    );
    const after = await table.visible();
    assert.equal(after.length, 24);
    const kept = after.find((s) => s.name === 's05')!;
    assert.deepEqual(kept.segment.file, before.find((s) => s.name === 's05')!.segment.file, 'a segment without such rows keeps its file');
    const rewritten = after.find((s) => s.name === 's01')!.segment;
    const old = before.find((s) => s.name === 's01')!.segment;
    assert.deepEqual([rewritten.rows, rewritten.createdAt, rewritten.minTime], [5, old.createdAt, Date.parse('2026-01-16')]);
    assert.equal((await table.resources.items(table.id, { prefix: 'garbage/' })).length, 4, 'the files of s00, s01, s10 and s14 are garbage');
  });
}

test('a row of which the condition is unknown stays', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 1);
  await purge(table, { purgePredicate: "name <> 'n1'" });
  assert.deepEqual(await ids(table), [0, 1, 3, 6, 9]);
});

test('the cutoff is that of the plan: what is made or purged later is not looked at; the next plan looks at the oldest first', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 3);
  const settings = { purgePredicate: 'id = 5', tableMaxNumTasks: '2' };
  let added = 0;
  const first = await purge(table, settings, {
    beforeFinish: async () => {
      table.clock.now += 10;
      await table.addSegment(`t${added++}`, `SELECT 5 AS id, NULL AS name, NULL AS at`);
    },
  });
  assert.deepEqual(names(first), [['s00', 's01'], ['s02']]);
  const second = await purge(table, settings);
  assert.deepEqual(names(second), [['t0', 't1'], ['s00', 's01'], ['s02']]);
  assert.deepEqual([second.total, second.stats.emptiedSegments], [5, '2']);
  await table.addSegment('u', 'SELECT 5 AS id, NULL AS name, NULL AS at');
  const third = await purge(table, { ...settings, lastPurgeTimeThresholdPeriod: '1h' });
  assert.deepEqual(names(third), [['u']], 'those of the last hour are left alone');
});

test('a segment that somebody else replaces meanwhile is not overwritten, and looked at again in the same plan', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 2);
  const other = segmentPurge(table.x);
  const plan = await purge(
    table,
    { purgePredicate: 'id = 1' },
    {
      beforeFinish: async (no) => {
        if (no > 0) return;
        await drivePlan({
          resources: table.resources,
          type: other,
          resource: table.id,
          settings: { purgePredicate: 'id = 2' },
          createdAt: table.clock.now + 1,
        });
        await table.resources.change(table.id, { remove: [{ key: 'segment/s01' }] });
      },
    },
  );
  assert.deepEqual(names(plan), [['s00', 's01'], ['s00']]);
  assert.deepEqual(
    plan.batches.map((b) => b.processed),
    [1, 1],
    's01 is gone: nothing is left to do of it',
  );
  assert.deepEqual(await ids(table), [0, 3, 4, 5, 6, 7, 8, 9]);
});

test('a commit that finds a segment changed at the last moment is decided again', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 1);
  let once = true;
  table.resources.beforeChange = async (id) => {
    if (!once) return;
    once = false;
    const item = (await table.resources.item(id, 'segment/s00'))!;
    await table.resources.change(id, { put: [{ key: item.key, body: item.body }] });
  };
  const plan = await purge(table, { purgePredicate: 'id = 1' });
  assert.deepEqual(names(plan), [['s00'], ['s00']]);
  assert.deepEqual(await ids(table), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a segment whose subtask fails comes again in a later batch and is given up in the end (§14.34)', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 3);
  const plan = await purge(
    table,
    { purgePredicate: 'id % 10 = 1', maxAttemptsPerSegment: '3' },
    {
      failing: (input: { name: string }, batch) => {
        if (input.name === 's02' || (input.name === 's00' && batch === 0)) throw new Error('no disk');
      },
    },
  );
  assert.deepEqual(names(plan), [['s00', 's01', 's02'], ['s00', 's02'], ['s02']]);
  assert.deepEqual(
    plan.batches.map((b) => b.countFailures),
    [true, false, false],
  );
  assert.equal(plan.status, 'COMPLETED');
  assert.match(plan.message, /1 segment given up: segment s02: no disk\.$/);
  assert.equal(new Set(plan.batches.flatMap((b) => b.inputs.map((i) => JSON.stringify(i)))).size, 6, 'no two subtasks are the same work');
});

test('hidden segments are left alone', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 1);
  await table.addSegment('hidden', 'SELECT 1 AS id, NULL AS name, NULL AS at', { swap: 'coming' });
  assert.deepEqual(names(await purge(table, { purgePredicate: 'true' })), [['s00']]);
});

test('without a predicate it purges by the retention, and says so when there is none', async (t) => {
  const none = await purge(await filled(await taskTable(t, COLUMNS, { timeColumn: 'at' }), 1));
  assert.deepEqual([none.status, none.batches.length], ['COMPLETED', 0]);
  assert.match(none.message, /^There is no purgePredicate, and the table has no retention/);
  for (const timeType of ['TIMESTAMP', 'DATE', 'BIGINT']) {
    const config = { segmentsConfig: { retentionTimeUnit: 'DAYS', retentionTimeValue: '10' } };
    const table = await taskTable(t, { id: 'BIGINT', at: timeType }, { timeColumn: 'at', config: config as unknown as Json });
    table.clock.now = Date.parse('2026-02-01T00:00:00Z') - 1_000;
    const at = (i: string): string =>
      timeType === 'BIGINT' ? `epoch_ms(TIMESTAMP '2026-01-01' + INTERVAL (${i}) DAY)` : `TIMESTAMP '2026-01-01' + INTERVAL (${i}) DAY`;
    await table.addSegment('old', `SELECT i AS id, ${at('i')} AS at FROM range(0, 5) r(i)`);
    await table.addSegment('mixed', `SELECT i AS id, if(i = 25, NULL, ${at('i')}) AS at FROM range(18, 26) r(i)`);
    await table.addSegment('young', `SELECT i AS id, ${at('i')} AS at FROM range(26, 28) r(i)`);
    const plan = await purge(table);
    assert.match(plan.message, /^3 segments looked at: 8 rows removed from 1, 1 emptied and removed\.$/, timeType);
    assert.deepEqual(await ids(table), [21, 22, 23, 24, 25, 26, 27]);
  }
  const timeless = await taskTable(t, { id: 'BIGINT' }, { config: { segmentsConfig: { retention_ms: DAY } } });
  const failed = await purge(timeless);
  assert.equal(failed.status, 'FAILED');
  assert.match(failed.message, /^the table has a retention \(segmentsConfig\), and no timeColumn/);
});

test('a predicate that cannot be is refused with its reason, before anything runs', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 1);
  const type = segmentPurge(table.x);
  const cases: [string, RegExp][] = [
    ['id >', /^purgePredicate: .*syntax error/],
    ['nosuch = 1', /^purgePredicate: Binder Error: .*nosuch/],
    ['id + 1', /^purgePredicate is of BIGINT; a condition is needed/],
    ['id IN (SELECT 1)', /^purgePredicate has a subquery/],
    ["exists(SELECT * FROM read_csv('/etc/passwd'))", /^purgePredicate/],
    ['true) OR (true', /^purgePredicate: .*syntax error/],
    ['true) LIMIT (1', /^purgePredicate is not one condition/],
    ["true); COPY (SELECT 1) TO '/tmp/x", /^purgePredicate/],
    ['true) UNION ALL SELECT * FROM t WHERE (true', /^purgePredicate is not one condition/],
    ["getenv('HOME') = 'x'", /^purgePredicate may not use getenv/],
    ['id = $1', /^purgePredicate is not one condition/],
  ];
  for (const [purgePredicate, says] of cases) {
    const problems = await type.validate?.({ purgePredicate }, table.id);
    assert.match(problems?.join('\n') ?? '', says, purgePredicate);
  }
  assert.deepEqual(
    await type.validate?.({ purgePredicate: 'anything = 1' }, 'not_yet_OFFLINE'),
    [],
    'a table that is still to be made: only the form is looked at',
  );
  assert.match((await type.validate?.({ purgePredicat: 'id = 1' }, table.id))?.[0] ?? '', /did you mean purgePredicate\?/);
  await table.resources.change(table.id, {
    put: [{ key: 'schema', body: { version: 2, columns: [{ name: 'other', type: 'BIGINT' }], timeColumn: null, changes: [] } }],
  });
  const ctx = { resource: table.id, properties: { purgePredicate: 'id = 1' }, createdAt: 0, items: async () => [], item: async () => null };
  const started = await type.startPlan?.(ctx as never);
  assert.match(started?.state.problem ?? '', /^purgePredicate: Binder Error/);
  assert.deepEqual((await type.nextBatch({ ...ctx, state: started?.state } as never)).kind, 'abort');
});

test('no files are left lying about by a purge', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 2);
  await purge(table, { purgePredicate: 'id = 1' });
  const named = [
    ...(await table.visible()).map((s) => s.segment.file),
    ...(await table.resources.items(table.id, { prefix: 'garbage/' })).map((i) => (i.body as { file: string }).file),
  ];
  const data = await table.segments.table(table.id);
  assert.deepEqual(readdirSync(table.segments.folderOf(data)).toSorted(), named.map((f) => path.basename(f)).toSorted());
});

test('a segment that others replace again and again is looked at when they have done', async (t) => {
  const table = await filled(await taskTable(t, COLUMNS), 1);
  let left = 6;
  const plan = await purge(
    table,
    { purgePredicate: 'id = 1', maxAttemptsPerSegment: '2' },
    {
      beforeFinish: async () => {
        if (left-- <= 0) return;
        const item = (await table.resources.item(table.id, 'segment/s00'))!;
        await table.resources.change(table.id, { put: [{ key: item.key, body: item.body }] });
      },
    },
  );
  assert.equal(plan.batches.length, 7);
  assert.deepEqual(await ids(table), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
});
