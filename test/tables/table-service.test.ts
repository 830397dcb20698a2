import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import type { JsonObject } from '../../src/core/definition.ts';
import { TuttiError } from '../../src/core/errors.ts';
import type { ScheduleRequest } from '../../src/core/schedule.ts';
import { CronExpressions } from '../../src/cron/cron-expressions.ts';
import type { PlanView } from '../../src/engine/plan-views.ts';
import { TableService } from '../../src/tables/table-service.ts';
import type { NewTable } from '../../src/tables/tables.ts';
import { planView, traits } from '../support/fake-plans.ts';
import type { MemoryResources } from './memory-resources.ts';
import { openQueries, openSegments, realSoon, type TestSegments } from './open-duck.ts';

interface Fixture extends TestSegments {
  tables: TableService;
  schedules: Map<string, ScheduleRequest>;
  /** What a task type says of settings. */
  problems: string[];
  /** What it waits for before it says so. */
  checking: Promise<void>;
  /** What a schedule waits for before it is stored. */
  putting: () => Promise<void>;
  active: PlanView[];
  /** Timers by delay; a test fires them. */
  timers: { ms: number; fn: () => void }[];
  warnings: string[];
  again(): TableService;
}

const TYPES = ['SegmentPurgeTask', 'DataExportTask', 'StarTreeAlterTableTask'];

function open(t: TestContext): Fixture {
  const parts = openSegments(t);
  const schedules = new Map<string, ScheduleRequest>();
  const f = {
    problems: [] as string[],
    checking: Promise.resolve(),
    putting: async () => {},
    active: [] as PlanView[],
    timers: [] as Fixture['timers'],
    warnings: [] as string[],
  };
  const cron = new CronExpressions();
  const again = (): TableService => {
    const tables = new TableService({
      ...parts,
      queries: openQueries(t, parts.folder),
      plans: {
        active: async ({ resource } = {}) => f.active.filter((p) => p.resource === resource),
        taskType: (name) => {
          const found = name === 'AlterTableTask' ? 'StarTreeAlterTableTask' : name;
          if (!TYPES.includes(found)) throw new TuttiError('NOT_FOUND', `there is no task type ${name}`);
          return traits(found);
        },
        checkSettings: async () => {
          await f.checking;
          return f.problems;
        },
      },
      schedules: {
        put: async (r) => {
          await f.putting();
          schedules.set(r.key, r);
        },
        remove: async (prefix) => [...schedules.keys()].filter((k) => k.startsWith(prefix)).forEach((k) => schedules.delete(k)),
        list: () => [...schedules.values()].map((s) => s.target as { resource: string; taskType: string }),
      },
      tempFolder: path.join(parts.folder, 'work'),
      checkCron: (text, zone) => cron.problem({ kind: 'cron', cron: text, dialect: 'quartz', zone }),
      now: () => parts.clock.now,
      uuid: () => crypto.randomUUID(),
      timer: (ms, fn) => {
        const timer = { ms, fn };
        f.timers.push(timer);
        return () => f.timers.splice(0, f.timers.length, ...f.timers.filter((other) => other !== timer));
      },
      soon: realSoon,
      log: (_, message, details) => f.warnings.push(`${message} ${String(details.error)}`),
    });
    (parts.resources as MemoryResources).onDrop = (id) => tables.kind.onDrop?.(id);
    return tables;
  };
  return Object.assign(f, parts, { schedules, again, tables: again() });
}

const COLUMNS = [
  { name: 'id', type: 'LONG' },
  { name: 'city', type: 'STRING' },
  { name: 'fare', type: 'DECIMAL(8,2)' },
  { name: 'seen', type: 'TIMESTAMP' },
  { name: 'tags', type: 'VARCHAR[]' },
];
const trips = (o: Partial<NewTable> = {}): NewTable => ({ name: 'trips', type: 'REALTIME', schema: { columns: COLUMNS, timeColumn: 'seen' }, ...o });
const row = (id: number, o: object = {}): object => ({ id, city: `city ${id}`, fare: 2.5, seen: '2026-01-02T03:04:05.678Z', ...o });

test('a table is made, found by id and name, and lists what it is', async (t) => {
  const { tables } = open(t);
  const made = await tables.create(trips({ config: { anything: { else: [1] } } }));
  assert.deepEqual(
    { ...made, createdAtMs: 0 },
    {
      id: 'trips_REALTIME',
      name: 'trips',
      type: 'REALTIME',
      schema: {
        version: 1,
        timeColumn: 'seen',
        columns: [
          { name: 'id', type: 'BIGINT' },
          { name: 'city', type: 'VARCHAR' },
          { name: 'fare', type: 'DECIMAL(8,2)' },
          { name: 'seen', type: 'TIMESTAMP' },
          { name: 'tags', type: 'VARCHAR[]' },
        ],
      },
      config: { anything: { else: [1] } },
      createdAtMs: 0,
    },
  );
  assert.equal(await tables.idOf('trips'), 'trips_REALTIME');
  await assert.rejects(tables.create(trips()), { code: 'ALREADY_EXISTS' });
  await tables.create(trips({ type: 'OFFLINE' }));
  await assert.rejects(tables.get('trips'), { code: 'INVALID_INPUT', message: /trips_OFFLINE or trips_REALTIME/ });
  assert.deepEqual(await tables.kind.expand('trips'), ['trips_OFFLINE', 'trips_REALTIME']);
  assert.deepEqual(
    (await tables.list()).map((v) => v.id),
    ['trips_OFFLINE', 'trips_REALTIME'],
  );
  for (const name of ['', 'nothing', 'nothing_OFFLINE', '../etc', 'trips_offline']) await assert.rejects(tables.get(name), { code: 'NOT_FOUND' }, name);
});

test('bad tables are refused with what is wrong, and nothing is kept', async (t) => {
  const { tables, resources } = open(t);
  const one = [{ name: 'a', type: 'BIGINT' }];
  for (const [bad, field] of [
    [{ name: '' }, 'name'],
    [{ name: '../x' }, 'name'],
    [{ name: 'a/b' }, 'name'],
    [{ name: 'a__b' }, 'name'],
    [{ name: 'a_' }, 'name'],
    [{ name: '1a' }, 'name'],
    [{ name: 'a_OFFLINE' }, 'name'],
    [{ name: 'x'.repeat(121) }, 'name'],
    [{ name: 'ta\0ble' }, 'name'],
    [{ type: 'HYBRID' as never }, 'type'],
    [{ schema: { columns: [] } }, 'schema.columns'],
    [{ schema: { columns: [...one, { name: 'A', type: 'BIGINT' }] } }, 'schema.columns[1].name'],
    [{ schema: { columns: [{ name: 'a b', type: 'BIGINT' }] } }, 'schema.columns[0].name'],
    [{ schema: { columns: [{ name: 'a', type: 'BLOB); DROP' }] } }, 'schema.columns[0].type'],
    [{ schema: { columns: [{ name: 'a', type: 'DECIMAL(39,1)' }] } }, 'schema.columns[0].type'],
    [{ schema: { columns: one, timeColumn: 'b' } }, 'schema.timeColumn'],
    [{ schema: { columns: [{ name: 'a', type: 'DOUBLE' }], timeColumn: 'a' } }, 'schema.timeColumn'],
    [{ schema: { columns: Array.from({ length: 1001 }, (_, i) => ({ name: `c${i}`, type: 'INT' })) } }, 'schema.columns'],
  ] as [Partial<NewTable>, string][]) {
    await assert.rejects(tables.create(trips(bad)), { code: 'INVALID_INPUT', field }, JSON.stringify(bad).slice(0, 100));
  }
  assert.deepEqual(await resources.list(), []);
});

const purge = (settings: JsonObject): JsonObject => ({ task: { taskTypeConfigsMap: { SegmentPurgeTask: settings } } });

test('configs: settings become texts, schedules follow, what is bad is refused key by key and changes nothing', async (t) => {
  const f = open(t);
  const { tables, schedules } = f;
  await tables.create(trips({ config: purge({ schedule: '0 0 2 * * ?', enableTaskOrchestration: true, tableMaxNumTasks: 5 }) }));
  assert.deepEqual(await tables.kind.settings?.('trips_REALTIME', 'SegmentPurgeTask'), {
    schedule: '0 0 2 * * ?',
    enableTaskOrchestration: 'true',
    tableMaxNumTasks: '5',
  });
  assert.deepEqual(await tables.kind.configuredTypes?.('trips_REALTIME'), ['SegmentPurgeTask']);
  assert.deepEqual(
    [...schedules.values()],
    [
      {
        key: 'table/trips_REALTIME/SegmentPurgeTask',
        cron: '0 0 2 * * ?',
        dialect: 'quartz',
        timeZone: 'UTC',
        target: { kind: 'plan', resource: 'trips_REALTIME', taskType: 'SegmentPurgeTask' },
      },
    ],
  );
  const before = await tables.get('trips');
  for (const [bad, message] of [
    [purge({ schedule: 'every night' }), /taskTypeConfigsMap\.SegmentPurgeTask\.schedule: "every night" is not valid/],
    [purge({ schedule: '0 0 2 * * ?', timezone: 'Mars/Olympus' }), /SegmentPurgeTask\.timezone: .*IANA/],
    [purge({ nested: { a: 1 } }), /SegmentPurgeTask\.nested must be a text/],
    [{ task: { taskTypeConfigsMap: { NoSuchTask: {} } } }, /taskTypeConfigsMap\.NoSuchTask: there is no task type/],
    [{ task: { taskTypeConfigsMap: { AlterTableTask: {}, StarTreeAlterTableTask: {} } } }, /are the same task type/],
    [{ task: { taskTypeConfigsMap: [] } }, /taskTypeConfigsMap must be an object/],
    [{ task: 'x' }, /task must be an object/],
    [{ segmentsConfig: { retentionTimeUnit: 'FORTNIGHTS', retentionTimeValue: '3' } }, /retentionTimeUnit must be one of/],
    [{ segmentsConfig: { retentionTimeUnit: 'DAYS', retentionTimeValue: '-3' } }, /retentionTimeValue must be/],
    [{ segmentsConfig: { retentionTimeUnit: 'DAYS' } }, /go together/],
    [{ segmentsConfig: { timeColumnName: 'other' } }, /timeColumnName is "other"/],
    [{ realtime: { flushRows: 0 } }, /realtime\.flushRows must be/],
    [[], /config must be an object/],
  ] as [JsonObject, RegExp][]) {
    await assert.rejects(tables.setConfig('trips', bad), { code: 'INVALID_INPUT', message, field: 'config' });
  }
  let deep: JsonObject = {};
  for (let i = 0; i < 10_000; i++) deep = { deep };
  await assert.rejects(tables.setConfig('trips', deep), { code: 'UNSTORABLE_VALUE', message: /^config\..* is nested deeper than 500 levels/ });
  f.problems.push('purgePredicate: no such column', 'tableMaxNumTasks must be a whole number');
  await assert.rejects(tables.setConfig('trips', purge({})), {
    message: /2 things are wrong.*SegmentPurgeTask: purgePredicate: no such column; .*tableMaxNumTasks/,
  });
  await assert.rejects(tables.create(trips({ name: 'other', config: purge({}) })), { code: 'INVALID_INPUT' });
  await assert.rejects(tables.get('other'), { code: 'NOT_FOUND' }, 'nothing of it is kept');
  f.problems.length = 0;
  assert.deepEqual(await tables.get('trips'), before);

  await tables.setConfig('trips', {
    task: { taskTypeConfigsMap: { DataExportTask: { schedule: '0 30 * * * ?', timezone: 'Europe/Rome' }, SegmentPurgeTask: { schedule: ' ' } } },
  });
  assert.deepEqual(
    [...schedules.values()].map((s) => [s.key, s.timeZone]),
    [['table/trips_REALTIME/DataExportTask', 'Europe/Rome']],
  );
  await tables.drop('trips');
  assert.equal(schedules.size, 0);
});

test('configs whose settings are looked at are bounded in number, and the next is told to come again', async (t) => {
  const f = open(t);
  await f.tables.create(trips());
  const held = Promise.withResolvers<void>();
  f.checking = held.promise;
  const asked = Array.from({ length: 100 }, () => f.tables.setConfig('trips', purge({ tableMaxNumTasks: 5 })));
  const refused = asked.map((a) =>
    a.then(
      () => '',
      (e: unknown) => (e as TuttiError).code,
    ),
  );
  // Those that have no place are told at once; the others wait for what is held.
  await Promise.all(refused.slice(68));
  held.resolve();
  const codes = await Promise.all(refused);
  assert.equal(codes.filter((c) => c === 'BACKPRESSURE').length, 100 - 68);
  assert.equal(codes.filter((c) => c === '').length, 1);
  assert.equal(codes.filter((c) => c === 'CONFLICT').length, 67, 'one of them was the first');
});

test('somebody else changed the config meanwhile', async (t) => {
  const { tables } = open(t);
  await tables.create(trips());
  const both = await Promise.allSettled([tables.setConfig('trips', { a: 1 }), tables.setConfig('trips', { b: 1 })]);
  assert.deepEqual(both.map((r) => r.status).sort(), ['fulfilled', 'rejected']);
  const [lost] = both.filter((r) => r.status === 'rejected');
  assert.equal((lost.reason as TuttiError).code, 'CONFLICT');
});

test('a schedule that is stored late is not left behind by a config that has gone on without it', async (t) => {
  const f = open(t);
  await f.tables.create(trips());
  const asked = Promise.withResolvers<void>();
  const stored = Promise.withResolvers<void>();
  f.putting = () => (asked.resolve(), stored.promise);
  const first = f.tables.setConfig('trips', purge({ schedule: '0 0 2 * * ?' }));
  await asked.promise;
  const second = f.tables.setConfig('trips', purge({}));
  const third = f.tables.drop('trips');
  // Whatever they can do without waiting, they have done.
  for (let i = 0; i < 100; i++) await Promise.resolve();
  stored.resolve();
  await Promise.allSettled([first, second, third]);
  assert.deepEqual([...f.schedules.keys()], []);
});

test('rows are kept at once, sealed on demand, and read back as they were given', async (t) => {
  const { tables, resources, segments } = open(t);
  await tables.create(trips());
  const added = await tables.addRows('trips', [
    row(1, { tags: ['a', null, 'b"c'] }),
    { id: '9223372036854775807', city: 'Zürich 🚲\n', fare: '-999999.99', seen: 1767323045678 },
    { seen: '2026-01-02T05:04:05.678901+02:00' },
    {},
  ]);
  assert.deepEqual(added, { added: 4, unsealedRows: 4 });
  assert.equal((await resources.items('trips_REALTIME', { prefix: 'rows/' })).length, 1);
  assert.deepEqual((await tables.query('trips', 'SELECT count(*) FROM trips')).rows, [[0]]);
  const sealed = await tables.seal('trips');
  assert.deepEqual([sealed.rows, sealed.segments.length], [4, 1]);
  assert.deepEqual(await resources.items('trips_REALTIME', { prefix: 'rows/' }), []);
  assert.deepEqual((await tables.query('trips', 'SELECT * FROM trips ORDER BY id NULLS LAST, seen NULLS LAST')).rows, [
    [1, 'city 1', 2.5, '2026-01-02T03:04:05.678', ['a', null, 'b"c']],
    ['9223372036854775807', 'Zürich 🚲\n', -999999.99, '2026-01-02T03:04:05.678', null],
    [null, null, null, '2026-01-02T03:04:05.678901', null],
    [null, null, null, null, null],
  ]);
  const {
    segments: [view],
    next,
  } = await tables.segments('trips');
  assert.equal(next, null);
  assert.deepEqual([view.rows, view.visible, view.minTimeMs, view.maxTimeMs, view.lineage], [4, true, 1767323045678, 1767323045678, { sealed: 4 }]);
  assert.ok(view.uri.startsWith('file:///') && existsSync(new URL(view.uri)));
  assert.deepEqual(await tables.seal('trips'), { segments: [], rows: 0 });
  const { unsealedRows, rows, segments: n } = await tables.get('trips');
  assert.deepEqual([unsealedRows, rows, n], [0, 4, 1]);
  assert.ok(segments.folder.length > 0);
});

test('rows that do not fit the schema are refused, all of the request', async (t) => {
  const { tables, resources } = open(t);
  await tables.create(trips());
  for (const [bad, field] of [
    [{ id: 'x' }, 'rows[1].id'],
    [{ id: 1.5 }, 'rows[1].id'],
    [{ id: 2 ** 60 }, 'rows[1].id'],
    [{ id: '9223372036854775808' }, 'rows[1].id'],
    [{ city: 5 }, 'rows[1].city'],
    [{ city: 'a\0' }, 'rows[1].city'],
    [{ fare: '1.234' }, 'rows[1].fare'],
    [{ fare: 1e7 }, 'rows[1].fare'],
    [{ fare: 1e21 }, 'rows[1].fare'],
    [{ fare: '' }, 'rows[1].fare'],
    [{ seen: '2026-02-30' }, 'rows[1].seen'],
    [{ seen: 'yesterday' }, 'rows[1].seen'],
    [{ seen: 1e300 }, 'rows[1].seen'],
    [{ tags: 'a' }, 'rows[1].tags'],
    [{ tags: [1] }, 'rows[1].tags'],
    [{ other: 1 }, 'rows[1].other'],
    [[1], 'rows[1]'],
    [null, 'rows[1]'],
  ] as [unknown, string][]) {
    await assert.rejects(tables.addRows('trips', [row(1), bad]), { code: 'INVALID_INPUT', field }, JSON.stringify(bad));
  }
  await tables.create(trips({ name: 'texts', schema: { columns: [{ name: 'doc', type: 'JSON' }] } }));
  let deep: unknown[] = [];
  for (let i = 0; i < 20_000; i++) deep = [deep];
  await assert.rejects(tables.addRows('texts', [{ doc: deep }]), { field: 'rows[0].doc', message: /rows\[0\]\.doc is nested deeper than 500 levels/ });
  await assert.rejects(tables.addRows('trips', []), { code: 'INVALID_INPUT', field: 'rows' });
  await assert.rejects(tables.addRows('trips', [row(1, { city: 'x'.repeat(400_000) })]), { code: 'VALUE_TOO_LARGE' });
  await assert.rejects(
    tables.addRows(
      'trips',
      Array.from({ length: 100_001 }, () => ({})),
    ),
    { code: 'INVALID_INPUT', field: 'rows' },
  );
  assert.deepEqual(await resources.items('trips_REALTIME'), []);
  await tables.create(trips({ type: 'OFFLINE' }));
  await assert.rejects(tables.addRows('trips_OFFLINE', [row(1)]), { code: 'ILLEGAL_STATE' });
  await assert.rejects(tables.seal('trips_OFFLINE'), { code: 'ILLEGAL_STATE' });
});

test('rows are sealed by number and by time, and by the next process where one ended', async (t) => {
  const f = open(t);
  const { tables, timers } = f;
  await tables.create(trips({ config: { realtime: { flushRows: 10, flushSeconds: 7 } } }));
  await tables.addRows('trips', [row(1)]);
  assert.deepEqual(
    timers.map((x) => x.ms),
    [7000],
  );
  timers.shift()?.fn();
  await until(async () => (await tables.get('trips')).segments === 1);
  await tables.addRows(
    'trips',
    Array.from({ length: 10 }, (_, i) => row(i)),
  );
  await until(async () => (await tables.get('trips')).segments === 2);
  await tables.close();
  await tables.addRows('trips', [row(1), row(2)]);
  // Another process: what waits is known, and armed.
  timers.length = 0;
  const next = f.again();
  await next.start();
  assert.equal((await next.get('trips')).unsealedRows, 2);
  assert.ok(timers.some((x) => x.ms === 7000));
  assert.equal((await next.seal('trips')).rows, 2);
  assert.deepEqual((await next.query('trips', 'SELECT count(*), count(DISTINCT id) FROM trips')).rows, [[13, 10]]);
});

test('a seal that fails loses no row and doubles none', async (t) => {
  const { tables, resources, timers } = open(t);
  await tables.create(trips());
  await tables.addRows('trips', [row(1), row(2)]);
  let fail = 'refused';
  resources.beforeChange = (_, c) => {
    if (fail === '' || (c.remove ?? []).length === 0) return;
    throw new TuttiError('STORE_UNAVAILABLE', fail);
  };
  await assert.rejects(tables.seal('trips'), /refused/);
  assert.deepEqual([(await tables.get('trips')).unsealedRows, (await tables.get('trips')).sealError], [2, 'The rows could not be sealed: refused']);
  assert.ok(
    timers.some((x) => x.ms === 30_000),
    'it is tried again',
  );
  // Carried out, and reported as failed.
  resources.beforeChange = async (id, c) => {
    if ((c.remove ?? []).length === 0) return;
    resources.beforeChange = () => {};
    await resources.change(id, c);
    throw new TuttiError('STORE_UNAVAILABLE', 'nobody knows');
  };
  fail = '';
  assert.equal((await tables.seal('trips')).rows, 2);
  assert.deepEqual((await tables.query('trips', 'SELECT count(*) FROM trips')).rows, [[2]]);
  assert.deepEqual([(await tables.get('trips')).unsealedRows, (await tables.get('trips')).sealError], [0, null]);
});

test('many requests at once lose and double nothing', async (t) => {
  const { tables } = open(t);
  await tables.create(trips({ config: { realtime: { flushRows: 50 } } }));
  const adding = Array.from({ length: 60 }, (_, i) => tables.addRows('trips', [row(2 * i), row(2 * i + 1)]));
  await Promise.all([...adding, tables.seal('trips'), tables.seal('trips')]);
  await tables.seal('trips');
  assert.deepEqual((await tables.query('trips', 'SELECT count(*), count(DISTINCT id), max(id) FROM trips')).rows, [[120, 120, 119]]);
  assert.equal((await tables.get('trips')).unsealedRows, 0);
});

test('a drop refuses while subtasks run, and takes files and schedules with it', async (t) => {
  const f = open(t);
  const { tables, segments } = f;
  await tables.create(trips({ config: purge({ schedule: '0 0 2 * * ?' }) }));
  await tables.addRows('trips', [row(1)]);
  await tables.seal('trips');
  await tables.addRows('trips', [row(2)]);
  const running = planView(1, { resource: 'trips_REALTIME' });
  f.active = [{ ...running, batches: [{ ...running.batches[0], subtasks: { total: 3, complete: 1, failed: 0, running: 2 } }] }];
  await assert.rejects(tables.drop('trips'), { code: 'ILLEGAL_STATE', message: /2 subtasks.*ignoreActiveTasks=true/ });
  assert.equal((await tables.get('trips')).segments, 1);
  await tables.drop('trips', { ignoreActiveTasks: true });
  assert.deepEqual([readdirSync(segments.folder), f.schedules.size], [['owner.json'], 0]);
  await assert.rejects(tables.get('trips'), { code: 'NOT_FOUND' });
  await tables.create(trips());
  const { segments: n, unsealedRows } = await tables.get('trips');
  assert.deepEqual([n, unsealedRows], [0, 0], 'the new one inherits nothing');
  assert.equal((await tables.addRows('trips', [row(3)])).unsealedRows, 1);
});

test('a start puts right what a crash left between configs and schedules', async (t) => {
  const f = open(t);
  await f.tables.create(trips({ config: purge({ schedule: '0 0 2 * * ?' }) }));
  const [kept] = f.schedules.values();
  f.schedules.clear();
  f.schedules.set('table/gone_OFFLINE/SegmentPurgeTask', {
    ...kept,
    key: 'table/gone_OFFLINE/SegmentPurgeTask',
    target: { kind: 'plan', resource: 'gone_OFFLINE', taskType: 'SegmentPurgeTask' },
  });
  await f.again().start();
  assert.deepEqual([...f.schedules.keys()], [kept.key]);
});

test('segments come page by page', async (t) => {
  const { tables } = open(t);
  await tables.create(trips());
  for (let i = 0; i < 3; i++) {
    await tables.addRows('trips', [row(i)]);
    await tables.seal('trips');
  }
  const first = await tables.segments('trips', { limit: 2 });
  const second = await tables.segments('trips', { limit: 2, after: first.next ?? '' });
  assert.deepEqual([first.segments.length, second.segments.length, second.next], [2, 1, null]);
  assert.equal(new Set([...first.segments, ...second.segments].map((s) => s.name)).size, 3);
  for (const limit of [0, 1001, 1.5]) await assert.rejects(tables.segments('trips', { limit }), { code: 'INVALID_INPUT', field: 'limit' });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise<void>((resolve) => setImmediate(resolve));
}
