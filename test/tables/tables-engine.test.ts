/** Tables on the real engine: over HTTP, by the command line and by the SDK. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { defineTaskType, isTuttiError, type OpenOptions, type TableOptions, Tutti } from '../../src/main.ts';
import { HttpClient } from '../../src/sdk/client/http-client.ts';
import { startHttpServer } from '../../src/server/http/server.ts';
import { cli } from '../cli/cli-harness.ts';
import { ask, type Answer, type Ask } from '../support/http-client.ts';
import { realTimer } from '../support/real-timer.ts';

const SCHEMA = {
  columns: [
    { name: 'id', type: 'BIGINT' },
    { name: 'city', type: 'VARCHAR' },
    { name: 'seen', type: 'TIMESTAMP' },
  ],
  timeColumn: 'seen',
};
const ROWS = [
  { id: 1, city: 'Rome', seen: '2026-01-02T03:04:05Z' },
  { id: 2, city: 'Oslo', seen: 1767323045678 },
];

interface World {
  tutti: Tutti;
  url: string;
  folder: string;
  ask(path: string, o?: Ask): Promise<Answer>;
}

function temporary(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'tutti-tables-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function world(t: TestContext, o: { apiKeys?: string[]; tables?: TableOptions; open?: Partial<OpenOptions> } = {}): Promise<World> {
  const folder = temporary(t);
  const tutti = await Tutti.open({ store: path.join(folder, 'tutti.db'), tables: { memory: '256MB', threads: 2, ...o.tables }, logger: () => {}, ...o.open });
  t.after(() => tutti.close({ drain: 0 }));
  const server = await startHttpServer({ engine: tutti.engine, tables: tutti.tables, port: 0, now: Date.now, timer: realTimer, apiKeys: o.apiKeys });
  t.after(() => server.close());
  return { tutti, url: server.url, folder, ask: (p, options) => ask(server.url + p, options) };
}

const create = (w: World, o: object = {}): Promise<Answer> =>
  w.ask('/tables', { method: 'POST', body: { name: 'trips', type: 'REALTIME', schema: SCHEMA, ...o } });
const sql = (text: string): string => `/tables/trips/query?sql=${encodeURIComponent(text)}`;

test('a table lives: created, filled, sealed, queried, listed, dropped', async (t) => {
  const w = await world(t);
  const made = await create(w);
  assert.deepEqual([made.status, made.headers.location], [201, '/tables/trips_REALTIME']);
  const added = await w.ask('/tables/trips/rows', { method: 'POST', body: ROWS });
  assert.deepEqual([added.status, added.json], [200, { added: 2, unsealedRows: 2 }]);
  const lines = await fetch(`${w.url}/tables/trips/rows`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: `{"id":3}\n\n{"id":4,"city":null}`,
  });
  assert.deepEqual(await lines.json(), { added: 2, unsealedRows: 4 });
  const sealed = await w.ask('/tables/trips/seal', { method: 'POST' });
  assert.equal((sealed.json as { rows: number }).rows, 4);
  const answer = await w.ask(sql('SELECT * FROM trips WHERE city IS NOT NULL ORDER BY id'));
  assert.deepEqual(answer.json, {
    columns: SCHEMA.columns,
    rows: [
      [1, 'Rome', '2026-01-02T03:04:05'],
      [2, 'Oslo', '2026-01-02T03:04:05.678'],
    ],
    truncated: false,
  });
  const long = await w.ask(`${sql('SELECT i, city FROM range(3000) r(i), trips WHERE id = 1 ORDER BY i')}`);
  assert.deepEqual(long.json, {
    columns: [
      { name: 'i', type: 'BIGINT' },
      { name: 'city', type: 'VARCHAR' },
    ],
    rows: Array.from({ length: 3000 }, (_, i) => [i, 'Rome']),
    truncated: false,
  });
  const segments = (await w.ask('/tables/trips_REALTIME/segments?limit=1')).json as { segments: { uri: string; rows: number }[]; next: null };
  assert.deepEqual([segments.segments.length, segments.segments[0].rows, segments.next], [1, 4, null]);
  assert.ok(existsSync(new URL(segments.segments[0].uri)));
  const shown = (await w.ask('/tables/trips')).json as Record<string, unknown>;
  assert.deepEqual([shown.segments, shown.rows, shown.unsealedRows, shown.sealError], [1, 4, 0, null]);
  assert.deepEqual(
    ((await w.ask('/tables')).json as { tables: { id: string }[] }).tables.map((x) => x.id),
    ['trips_REALTIME'],
  );
  const dropped = await w.ask('/tables/trips', { method: 'DELETE' });
  assert.deepEqual([dropped.status, dropped.json], [200, { status: 'Table trips_REALTIME dropped', table: 'trips_REALTIME' }]);
  assert.equal((await w.ask('/tables/trips')).status, 404);
  assert.equal(existsSync(new URL(segments.segments[0].uri)), false);
});

test('what is asked wrongly is told as a controller tells it', async (t) => {
  const w = await world(t);
  await create(w);
  await create(w, { type: 'OFFLINE' });
  for (const [status, code, path, o] of [
    [409, 'ALREADY_EXISTS', '/tables', { method: 'POST', body: { name: 'trips', type: 'REALTIME', schema: SCHEMA } }],
    [400, 'INVALID_INPUT', '/tables', { method: 'POST', body: { name: '../x', type: 'REALTIME', schema: SCHEMA } }],
    [400, 'INVALID_INPUT', '/tables', { method: 'POST', body: { name: 'x', type: 'HYBRID', schema: SCHEMA } }],
    [400, 'INVALID_INPUT', '/tables', { method: 'POST', body: { name: 'x', type: 'OFFLINE' } }],
    [400, 'INVALID_INPUT', '/tables', { method: 'POST', body: { name: 'x', type: 'OFFLINE', schema: SCHEMA, more: 1 } }],
    [400, 'INVALID_INPUT', '/tables/trips', {}],
    [404, 'NOT_FOUND', '/tables/none', {}],
    [404, 'NOT_FOUND', '/tables/..%2F..%2Fetc', {}],
    [
      400,
      'INVALID_INPUT',
      '/tables/trips_OFFLINE/config',
      { method: 'PUT', body: { task: { taskTypeConfigsMap: { SegmentPurgeTask: { schedule: 'tomorrow' } } } } },
    ],
    [
      400,
      'INVALID_INPUT',
      '/tables/trips_OFFLINE/config',
      { method: 'PUT', body: { task: { taskTypeConfigsMap: { SegmentPurgeTask: { schedule: '0 0 0 30 2 ?' } } } } },
    ],
    [400, 'INVALID_INPUT', '/tables/trips_OFFLINE/config', { method: 'PUT', body: { task: { taskTypeConfigsMap: { NoTask: {} } } } }],
    [400, 'INVALID_INPUT', '/tables/trips_OFFLINE/config', { method: 'PUT', body: [] }],
    [409, 'ILLEGAL_STATE', '/tables/trips_OFFLINE/rows', { method: 'POST', body: ROWS }],
    [400, 'INVALID_INPUT', '/tables/trips_REALTIME/rows', { method: 'POST', body: {} }],
    [400, 'INVALID_INPUT', '/tables/trips_REALTIME/rows', { method: 'POST', body: [{ id: 'x' }] }],
    [400, 'INVALID_INPUT', '/tables/trips_REALTIME/query', {}],
    [400, 'INVALID_INPUT', '/tables/trips_REALTIME/query?sql=SELECT+1&limit=0', {}],
    [400, 'INVALID_INPUT', '/tables/trips_REALTIME/query?sql=SELECT+no_such+FROM+trips_REALTIME', {}],
    [400, 'INVALID_INPUT', '/tables/trips_REALTIME/query?sql=DROP+VIEW+trips_REALTIME', {}],
    [400, 'INVALID_INPUT', '/tables/trips_REALTIME/segments?limit=1001', {}],
    [400, 'INVALID_INPUT', '/tables/trips_REALTIME?ignoreActiveTasks=yes', { method: 'DELETE' }],
    [405, 'METHOD_NOT_ALLOWED', '/tables/trips_REALTIME/query', { method: 'DELETE' }],
  ] as [number, string, string, Ask][]) {
    const answer = await w.ask(path, o);
    const body = answer.json as { code: number; error: string; error_code: string };
    assert.deepEqual([answer.status, body.code, body.error_code], [status, status, code], `${path} ${JSON.stringify(o)} ${JSON.stringify(body)}`);
    assert.ok(body.error.length > 5, body.error);
  }
  const told = (await w.ask('/tables/trips_REALTIME/query?sql=SELECT+no_such+FROM+trips_REALTIME')).json as { error: string };
  assert.match(told.error, /Referenced column "no_such" not found/, "DuckDB's own words");
});

test('keys and permissions: 401 without a key, 403 where a table says no, left out of lists', async (t) => {
  const w = await world(t, {
    apiKeys: ['one', 'two'],
    tables: { authorise: (caller, id, action) => caller === null || caller.name === 'key-1' || (id.startsWith('open') && action === 'read') },
  });
  const as = (key: string, p: string, o: Ask = {}): Promise<Answer> => w.ask(p, { ...o, headers: { 'x-api-key': key } });
  assert.equal((await w.ask('/tables')).status, 401);
  for (const name of ['open', 'closed'])
    assert.equal((await as('one', '/tables', { method: 'POST', body: { name, type: 'OFFLINE', schema: SCHEMA } })).status, 201);
  assert.equal((await as('two', '/tables', { method: 'POST', body: { name: 'mine', type: 'OFFLINE', schema: SCHEMA } })).status, 403);
  assert.deepEqual(
    ((await as('two', '/tables')).json as { tables: { id: string }[] }).tables.map((x) => x.id),
    ['open_OFFLINE'],
  );
  for (const [status, p, o] of [
    [200, '/tables/open', {}],
    [200, '/tables/open/query?sql=SELECT+1', {}],
    [403, '/tables/closed', {}],
    [403, '/tables/closed/query?sql=SELECT+1', {}],
    [403, '/tables/closed/segments', {}],
    [403, '/tables/open', { method: 'DELETE' }],
    [403, '/tables/open/config', { method: 'PUT', body: {} }],
    [403, '/tables/open/rows', { method: 'POST', body: [] }],
    [403, '/tables/open/seal', { method: 'POST' }],
    [404, '/tables/none', {}],
  ] as [number, string, Ask][]) {
    assert.equal((await as('two', p, o)).status, status, `${o.method ?? 'GET'} ${p}`);
  }
});

test('a config brings schedules, and takes them away; the table goes with its schedules', async (t) => {
  const w = await world(t);
  await create(w, { config: { task: { taskTypeConfigsMap: { SegmentPurgeTask: { schedule: '0 0 2 * * ?', enableTaskOrchestration: 'true' } } } } });
  const key = 'table/trips_REALTIME/SegmentPurgeTask';
  const schedule = await w.tutti.engine.schedules.get(key);
  assert.deepEqual([schedule.owner, schedule.trigger], ['table', { kind: 'cron', cron: '0 0 2 * * ?', dialect: 'quartz', zone: 'UTC' }]);
  assert.equal((await w.ask('/tables/trips/config', { method: 'PUT', body: { kept: true } })).status, 200);
  await assert.rejects(w.tutti.engine.schedules.get(key), { code: 'NOT_FOUND' });
  assert.equal(
    (await w.ask('/tables/trips/config', { method: 'PUT', body: { task: { taskTypeConfigsMap: { SegmentPurgeTask: { schedule: '0 0 2 * * ?' } } } } })).status,
    200,
  );
  await w.ask('/tables/trips', { method: 'DELETE' });
  await assert.rejects(w.tutti.engine.schedules.get(key), { code: 'NOT_FOUND' });
});

test('everything is there again in the next process: rows that wait, segments, configs', async (t) => {
  const folder = temporary(t);
  const open = (): Promise<Tutti> => Tutti.open({ store: path.join(folder, 'a.db'), tables: { memory: '256MB' }, logger: () => {} });
  const first = await open();
  await first.tables.create({ name: 'trips', type: 'REALTIME', schema: SCHEMA, config: { kept: 1 } });
  await first.tables.addRows('trips', ROWS);
  await first.tables.seal('trips');
  await first.tables.addRows('trips', [{ id: 9 }]);
  await first.close();
  const second = await open();
  t.after(() => second.close());
  const { rows, unsealedRows, config } = await second.tables.get('trips');
  assert.deepEqual([rows, unsealedRows, config], [2, 1, { kept: 1 }]);
  await second.tables.seal('trips');
  assert.deepEqual((await second.tables.query('trips', 'SELECT count(*) FROM trips')).rows, [[3]]);
  assert.deepEqual(
    readdirSync(folder).filter((f) => f.endsWith('.tables')),
    ['a.tables'],
  );
});

test("another store's folder is refused before anything in it is touched", async (t) => {
  const folder = temporary(t);
  const tables = { folder: path.join(folder, 'shared') };
  const first = await Tutti.open({ store: path.join(folder, 'a.db'), tables, logger: () => {} });
  await first.tables.create({ name: 'trips', type: 'REALTIME', schema: SCHEMA });
  await first.tables.addRows('trips', ROWS);
  await first.tables.seal('trips');
  await first.close();
  const before = readdirSync(tables.folder, { recursive: true });
  await assert.rejects(Tutti.open({ store: path.join(folder, 'b.db'), tables, logger: () => {} }), {
    code: 'INVALID_CONFIG',
    message: /belong to another store/,
  });
  assert.deepEqual(readdirSync(tables.folder, { recursive: true }), before);
});

test('options are checked; tables can be left out', async (t) => {
  const open = (o: unknown): Promise<Tutti> => Tutti.open({ store: ':memory:', logger: () => {}, tables: o as TableOptions });
  for (const [bad, field] of [
    [{ memory: 'lots' }, 'tables.memory'],
    [{ memory: '1MB' }, 'tables.memory'],
    [{ threads: -1 }, 'tables.threads'],
    [{ folder: '' }, 'tables.folder'],
    [{ fodler: 'x' }, 'tables.fodler'],
  ] as const) {
    await assert.rejects(open(bad), (e) => isTuttiError(e) && e.field === field, field);
  }
  const without = await open(false);
  t.after(() => without.close());
  assert.throws(() => without.tables, { code: 'ILLEGAL_STATE' });
  assert.deepEqual(without.engine.plans.taskTypes(), []);
  const temporary = await open(undefined);
  assert.ok(temporary.engine.plans.taskTypes().some((type) => type.name === 'FileIngestionTask'));
  await temporary.close();
});

test('the command line does all of it', async (t) => {
  const w = await world(t);
  const run = (...args: string[]) => cli(args, { url: w.url, cwd: w.folder });
  writeFileSync(path.join(w.folder, 'config.json'), JSON.stringify({ realtime: { flushSeconds: 5 } }));
  writeFileSync(path.join(w.folder, 'rows.ndjson'), ROWS.map((r) => JSON.stringify(r)).join('\n'));
  writeFileSync(path.join(w.folder, 'rows.json'), JSON.stringify([{ id: 7, city: 'Bonn' }]));
  assert.equal((await run('table', 'ls')).err, 'no tables\n');
  const made = await run('table', 'create', 'trips', '-t', 'realtime', '-c', 'id:LONG', '-c', 'city:STRING', '-c', 'seen:TIMESTAMP', '--time-column', 'seen');
  assert.deepEqual([made.code, made.out], [0, 'trips_REALTIME\n'], made.err);
  assert.match((await run('table', 'ls')).out, /^TABLE +COLUMNS +AGE\s*\ntrips_REALTIME +3 /);
  assert.deepEqual(JSON.parse((await run('table', 'config', 'trips', 'config.json')).out), { realtime: { flushSeconds: 5 } });
  assert.equal((await run('table', 'rows', 'trips', 'rows.ndjson')).out, '2 rows added\n');
  assert.equal((await run('table', 'rows', 'trips', 'rows.json', '--seal')).out, '1 rows added, 3 sealed into 1 segments\n');
  const shown = (await run('table', 'show', 'trips')).out;
  assert.match(shown, /^trips_REALTIME {2}3 rows in 1 segments, /);
  assert.match(shown, /seen +TIMESTAMP \(time\)/);
  const query = await run('table', 'query', 'trips', 'SELECT id, city FROM trips ORDER BY id', '-l', '2');
  assert.match(query.out, /^id +city\s*\n1 +Rome\s*\n2 +Oslo/);
  assert.equal(query.err, 'only the first 2 rows: --limit takes more\n');
  assert.match((await run('table', 'segments', 'trips')).out, /rows-\d+-\w+ +3 +.*2026-01-02T03:04:05Z/);
  const wrong = await run('table', 'query', 'trips', 'DROP TABLE trips');
  assert.deepEqual([wrong.code === 0, /sql must be a SELECT/.test(wrong.err)], [false, true]);
  assert.equal((await run('table', 'rows', 'trips', 'rows.txt')).code, 2);
  assert.equal((await run('table', 'create', 'x', '-t', 'offline')).code, 2);
  assert.equal((await run('table', 'show', 'none')).code, 3);
  assert.equal((await run('table', 'drop', 'trips')).out, 'Table trips_REALTIME dropped\n');
});

test('the client says what the SDK says', async (t) => {
  const w = await world(t);
  const { tables } = new HttpClient({ url: w.url, wait: async () => {} });
  await tables.create({ name: 'trips', type: 'REALTIME', schema: SCHEMA });
  async function* many(): AsyncGenerator<object> {
    for (let id = 0; id < 30_000; id++) yield { id, city: `c${id % 7}` };
  }
  assert.equal((await tables.addRows('trips', many())).added, 30_000);
  await tables.seal('trips');
  assert.deepEqual(await tables.get('trips'), await w.tutti.tables.get('trips'));
  assert.deepEqual((await tables.query('trips', 'SELECT count(*), count(DISTINCT id) FROM trips')).rows, [[30_000, 30_000]]);
  const all = await tables.query('trips', 'SELECT id FROM trips');
  assert.deepEqual([all.rows.length, all.truncated], [10_000, true], 'the limit that holds where none is given');
});

test('a drop refuses while a one-shot run is at work, too; properties that every plan has are looked at when a config is saved', async (t) => {
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const slow = defineTaskType<{ n: number }, Record<string, never>, Record<string, never>>({
    name: 'Slow',
    startPlan: () => ({ state: { n: 0 }, inputsToProcess: 1 }),
    nextBatch: () => ({ kind: 'batch', state: { n: 1 }, subtasks: [{ name: 'a', input: {} }] }),
    subtask: async () => {
      begun.resolve();
      await end.promise;
      return {};
    },
  });
  const w = await world(t, { open: { taskTypes: [slow] } });
  await create(w);
  const [run] = (await w.tutti.engine.plans.trigger({ resource: 'trips', taskType: 'Slow', settings: {}, via: 'execute' })).runs;
  assert.equal(run.planId, null);
  await begun.promise;
  assert.equal((await w.ask('/tables/trips', { method: 'DELETE' })).status, 409);
  const config = { task: { taskTypeConfigsMap: { Slow: { schedule: '0 0 2 * * ?', taskPlanFailureThresholdPercent: 'half' } } } };
  const refused = await w.ask('/tables/trips/config', { method: 'PUT', body: config });
  assert.deepEqual([refused.status, /Slow: taskPlanFailureThresholdPercent must be a number from 0 to 100/.test(refused.text)], [400, true]);
  end.resolve();
  await (await w.tutti.get(run.taskId!)).result().catch(() => {});
  assert.equal((await w.ask('/tables/trips', { method: 'DELETE' })).status, 200);
});
