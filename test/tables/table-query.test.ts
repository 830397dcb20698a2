import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Json } from '../../src/core/definition.ts';
import type { TableData } from '../../src/tables/segments.ts';
import { guardCondition } from '../../src/tables/sql-guard.ts';
import { queryTable } from '../../src/tables/table-query.ts';
import { readSchema } from '../../src/tables/table-schema.ts';
import type { QueryResult, TableSchema } from '../../src/tables/tables.ts';
import { openQueries, openSegments, type TestSegments } from './open-duck.ts';

/** But for what DuckDB has for itself. */
const filesOf = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((f) => !/^(?:tmp|queries)/.test(f));

interface Trips extends TestSegments {
  data(): Promise<TableData>;
  query(sql: string, o?: { limit?: number; signal?: AbortSignal }): Promise<QueryResult>;
  add(name: string, select: string, o?: { visible?: boolean; swap?: string; schema?: TableSchema }): Promise<string>;
}

async function trips(t: TestContext): Promise<Trips> {
  const parts = openSegments(t);
  const { segments, resources } = parts;
  const schema = readSchema({
    columns: [
      { name: 'id', type: 'BIGINT' },
      { name: 'city', type: 'STRING' },
      { name: 'seen', type: 'TIMESTAMP' },
    ],
    timeColumn: 'seen',
  });
  await resources.create({ id: 'trips_OFFLINE', kind: 'table', body: { type: 'OFFLINE', schema, config: {} } as unknown as Json });
  const data = () => segments.table('trips_OFFLINE');
  return {
    ...parts,
    data,
    async query(sql, o = {}) {
      return queryTable(await data(), ['trips_OFFLINE', 'trips'], sql, o, parts);
    },
    async add(name, select, o = {}) {
      const table = o.schema === undefined ? await data() : { ...(await data()), schema: o.schema };
      const file = await segments.write(table, { name, select });
      assert.ok(file !== null);
      const segment = segments.segment(file, { schemaVersion: table.schema.version, visible: o.visible, swap: o.swap });
      await resources.change('trips_OFFLINE', segments.changes({ put: [{ name, segment }] }));
      return segments.pathOf(file);
    },
  };
}

const ROWS = `SELECT i AS id, 'city ' || (i % 3) AS city, TIMESTAMP '2026-01-01' + INTERVAL (i) DAY AS seen FROM range(10) r(i)`;

test('a query sees the visible segments as one table, under its id and its name', async (t) => {
  const table = await trips(t);
  assert.deepEqual((await table.query('SELECT count(*) AS n FROM trips')).rows, [[0]], 'a table without segments is empty');
  await table.add('a', ROWS);
  await table.add('b', ROWS);
  await table.add('hidden', ROWS, { visible: false });
  await table.add('swap', ROWS, { swap: 's1' });
  const answer = await table.query(`SELECT city, count(*) AS n, max(seen) AS last FROM trips_OFFLINE GROUP BY city ORDER BY city`);
  assert.deepEqual(answer, {
    columns: [
      { name: 'city', type: 'VARCHAR' },
      { name: 'n', type: 'BIGINT' },
      { name: 'last', type: 'TIMESTAMP' },
    ],
    rows: [
      ['city 0', 8, '2026-01-10T00:00:00'],
      ['city 1', 6, '2026-01-08T00:00:00'],
      ['city 2', 6, '2026-01-09T00:00:00'],
    ],
    truncated: false,
  });
  await table.resources.change('trips_OFFLINE', { put: [{ key: 'current-swap', body: { swap: 's1' } }] });
  assert.deepEqual((await table.query('SELECT count(*) AS n FROM TRIPS')).rows, [[10]], 'one item chose the other set');
  const limited = await table.query('FROM trips', { limit: 4 });
  assert.deepEqual([limited.rows.length, limited.truncated], [4, true]);
});

test('segments of older schemas are read as the schema is now', async (t) => {
  const table = await trips(t);
  const { schema } = await table.data();
  await table.add('v1', ROWS);
  const next: TableSchema = {
    version: 4,
    columns: [
      { name: 'id', type: 'VARCHAR' },
      { name: 'town', type: 'VARCHAR' },
      { name: 'fare', type: 'DOUBLE' },
      { name: 'seen', type: 'TIMESTAMP' },
    ],
    timeColumn: 'seen',
    changes: [
      { version: 2, op: 'rename', from: 'city', to: 'town' },
      { version: 3, op: 'add', column: 'fare', default: '2.5' },
      { version: 4, op: 'retype', column: 'id', type: 'VARCHAR' },
    ],
  };
  await table.resources.change('trips_OFFLINE', { put: [{ key: 'schema', body: next as unknown as Json }] });
  await table.add('v4', `SELECT 'x' AS id, 'Rome' AS town, NULL AS fare, TIMESTAMP '2026-02-01' AS seen`);
  assert.equal(schema.version, 1);
  const { rows, columns } = await table.query(`SELECT * FROM trips WHERE id IN ('1', 'x') ORDER BY id`);
  assert.deepEqual(columns, next.columns);
  assert.deepEqual(rows, [
    ['1', 'city 1', 2.5, '2026-01-02T00:00:00'],
    ['x', 'Rome', null, '2026-02-01T00:00:00'],
  ]);
});

test('hostile SQL is refused, and nothing outside is read or written', async (t) => {
  const table = await trips(t);
  const file = await table.add('a', ROWS);
  const secret = path.join(table.folder, 'secret.csv');
  writeFileSync(secret, 'password\nhunter2\n');
  const before = [readFileSync(file), filesOf(table.folder)] as const;
  const refused = [
    `SELECT * FROM '${secret}'`,
    `SELECT * FROM read_csv('${secret}')`,
    `SELECT * FROM read_text('/etc/passwd')`,
    `SELECT * FROM read_blob('${file}')`,
    `SELECT * FROM '${file}'`,
    `SELECT * FROM glob('/etc/*')`,
    `SELECT (SELECT max(password) FROM read_csv('${secret}'))`,
    `WITH x AS (SELECT * FROM read_csv('${secret}')) SELECT * FROM x`,
    `SELECT * FROM trips WHERE id IN (SELECT 1 FROM parquet_metadata('${file}'))`,
    `SELECT * FROM query('SELECT 1')`,
    `SELECT * FROM query_table('trips')`,
    `SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))`,
    // It would write a file, or end the process when it may not.
    `SELECT * FROM enable_logging(level='trace', storage='file', storage_config={'path': '${table.folder}/log'})`,
    `SELECT * FROM system.main."Enable_Logging"(storage='stdout')`,
    `SELECT write_log('x')`,
    `SELECT current_setting('temp_directory')`,
    `SELECT * FROM duckdb_settings()`,
    `SELECT * FROM duckdb_views()`,
    `SELECT * FROM information_schema.tables`,
    `SELECT * FROM sqlite_master`,
    `SELECT s.* FROM (WITH pg_settings AS (SELECT 1) SELECT 1) x, pg_settings s`,
    `SELECT s.* FROM (WITH "SQLITE_master" AS (SELECT 1) SELECT 1) x, sqlite_master s`,
    `SELECT * FROM pragma_version()`,
    `SHOW DATABASES`,
    `COPY trips TO '${table.folder}/out.csv'`,
    `COPY (SELECT 1) TO '${file}' (USE_TMP_FILE false)`,
    `EXPLAIN ANALYZE COPY (SELECT 1) TO '${file}' (USE_TMP_FILE false)`,
    `EXPLAIN SELECT 1`,
    `ATTACH '${table.folder}/a.db'`,
    `ATTACH ':memory:' AS other`,
    `INSTALL httpfs`,
    `LOAD httpfs`,
    `LOAD '${file}'`,
    `SET enable_external_access = true`,
    `SET GLOBAL memory_limit = '8GB'`,
    `RESET ALL`,
    `PRAGMA enable_profiling`,
    `PRAGMA database_list`,
    `CALL pragma_version()`,
    `EXPORT DATABASE '${table.folder}/x'`,
    `IMPORT DATABASE '${table.folder}'`,
    `CREATE TABLE t AS SELECT 1`,
    `CREATE MACRO m() AS 1`,
    `CREATE SECRET (TYPE s3)`,
    `DROP VIEW trips`,
    `INSERT INTO trips VALUES (1)`,
    `UPDATE trips SET id = 1`,
    `DELETE FROM trips`,
    `CHECKPOINT`,
    `VACUUM`,
    `BEGIN`,
    `PREPARE a AS SELECT 1`,
    `EXECUTE a`,
    `SET VARIABLE a = 1`,
    `USE memory`,
    `SELECT 1; DROP VIEW trips`,
    `SELECT 1; SELECT 2`,
    ``,
    `-- nothing`,
    `SELECT`,
    `SELECT * FROM nothing_here`,
    `SELECT nothing FROM trips`,
    `SELECT $1`,
    `SELECT 'a\0b'`,
    `SELECT 1 -- ${'x'.repeat(100_000)}`,
    `SELECT CAST('x' AS INTEGER)`,
    `SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')`,
  ];
  for (const sql of refused) {
    await assert.rejects(table.query(sql), { code: 'INVALID_INPUT', field: 'sql' }, sql.slice(0, 200));
  }
  assert.deepEqual(readFileSync(file), before[0], 'the segment is as it was');
  assert.deepEqual(filesOf(table.folder), before[1], 'no file came or went');
  assert.deepEqual((await table.query('SELECT count(*) FROM trips')).rows, [[10]]);
});

test('what a SELECT may be is all there', async (t) => {
  const table = await trips(t);
  await table.add('a', ROWS);
  for (const sql of [
    'FROM trips',
    'VALUES (1), (2)',
    'SELECT t.id, u.city FROM trips t JOIN trips_OFFLINE u USING (id)',
    'WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r',
    'SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY city ORDER BY seen) AS n FROM trips) WHERE n = 1',
    'SELECT unnest([1, 2]), * FROM range(3)',
    'DESCRIBE trips',
    'SUMMARIZE trips',
    `SELECT * FROM trips WHERE city ILIKE 'CITY%' AND seen > '2026-01-03' ORDER BY ALL LIMIT 3 OFFSET 1;`,
    "PIVOT trips ON city IN ('city 1') USING count(*)",
    'SELECT 1 UNION SELECT 2 EXCEPT SELECT 3',
  ]) {
    assert.ok((await table.query(sql)).rows.length > 0, sql);
  }
});

test('a query has an end: its time, its caller', async (t) => {
  const table = await trips(t);
  const endless = 'SELECT count(*) FROM range(100000000000) a, range(1000) b';
  const hasty = openQueries(t, table.folder, 100);
  const asked = queryTable(await table.data(), ['trips'], endless, {}, { segments: table.segments, queries: hasty });
  await assert.rejects(asked, { code: 'INVALID_INPUT', message: 'The query took longer than 0.1 s.' });
  const gone = new AbortController();
  const running = table.query(endless, { signal: gone.signal });
  gone.abort(new Error('the caller has left'));
  await assert.rejects(running, /the caller has left/);
  for (const limit of [0, 1.5, -1, 100_001]) await assert.rejects(table.query('SELECT 1', { limit }), { code: 'INVALID_INPUT', field: 'limit' });
});

test('conditions are conditions', async (t) => {
  const { duck } = await trips(t);
  await duck.session(async (s) => {
    for (const good of [
      `id > 3`,
      `city IS NULL OR lower(city) = 'x' -- why`,
      `seen < TIMESTAMP '2026-01-01'`,
      `id IN (1, 2)`,
      `true`,
      `(id = 1) OR (id = 2)`,
      `(id = 1 OR id = 2) -- two`,
      `city ILIKE 'x%' AND regexp_matches(city, '^a') AND NOT city SIMILAR TO 'b.*'`,
      `seen < now() - INTERVAL 3 DAY AND year(seen) = 2020 AND date_trunc('day', seen) > DATE '2020-01-01'`,
      `coalesce(upper(trim(city)), '') || 'x' = 'x' AND id % 10 BETWEEN 1 AND 3 AND CASE WHEN id > 1 THEN true END`,
      `extract(year FROM seen) = 2020 AND seen > current_timestamp`,
    ])
      await guardCondition(s, good, 'purgePredicate');
    for (const bad of [
      `id IN (SELECT 1)`,
      `EXISTS (SELECT * FROM read_csv('/etc/passwd'))`,
      `true) UNION SELECT * FROM read_csv('/etc/passwd') WHERE (true`,
      `true) GROUP BY (id`,
      `true) ORDER BY (id`,
      `true); DROP TABLE (t`,
      `true) LIMIT (1`,
      `row_number() OVER () = 1`,
      `write_log('x') IS NULL`,
      `$1`,
      ``,
      `id >`,
      `id = 1) OR (id = 2`,
      `id = 1) AND NOT (id = 2`,
      `length(repeat('x', 4000000000)) < 0`,
      `sleep_ms(60000)`,
      `len(range(100000000)) > 0`,
      `lpad(city, 1000000000, 'x') = city`,
      `replace(city, 'x', city) = city`,
      `concat_ws(city, 'a', 'b') = city`,
      `format('{:>1000000000}', city) = city`,
      `['a'] = [city]`,
      `city::INTEGER[100000][100000] IS NULL`,
      `pg_get_viewdef(1) IS NULL`,
      `count(*) > 1`,
    ]) {
      await assert.rejects(guardCondition(s, bad, 'purgePredicate'), { code: 'INVALID_INPUT', field: 'purgePredicate' }, bad);
    }
  });
});

test('files that were replaced stay for readers, and go when nobody can know of them', async (t) => {
  const table = await trips(t);
  const { segments, resources, clock } = table;
  const old = await table.add('a', ROWS);
  const [stored] = await segments.all('trips_OFFLINE');
  const file = (await segments.write(await table.data(), { name: 'a2', select: ROWS }))!;
  await resources.change('trips_OFFLINE', segments.changes({ put: [{ name: 'a2', segment: segments.segment(file, { schemaVersion: 1 }) }], remove: [stored] }));
  const idle = async (): Promise<boolean> => true;
  assert.equal(await segments.sweep('trips_OFFLINE', idle), 0, 'too early');
  clock.now += 11 * 60_000;
  await segments.reading([stored.segment], async () => {
    assert.equal(await segments.sweep('trips_OFFLINE', idle), 0, 'it is read');
    assert.ok(existsSync(old));
  });
  assert.equal(await segments.sweep('trips_OFFLINE', idle), 1);
  assert.equal(existsSync(old), false);
  assert.deepEqual(await resources.items('trips_OFFLINE', { prefix: 'garbage/' }), []);
  await assert.rejects(resources.change('trips_OFFLINE', segments.changes({ remove: [stored] })), { code: 'CONFLICT' });
});

test('files that nothing names go after a day, if nothing works on the table', async (t) => {
  const table = await trips(t);
  const { segments, clock } = table;
  const named = await table.add('a', ROWS);
  const orphan = segments.pathOf((await segments.write(await table.data(), { name: 'b', select: ROWS }))!);
  clock.now += 23 * 3_600_000;
  assert.equal(await segments.sweep('trips_OFFLINE', async () => true), 0);
  clock.now += 2 * 3_600_000;
  assert.equal(await segments.sweep('trips_OFFLINE', async () => false), 0, 'a batch may still name it');
  assert.equal(await segments.sweep('trips_OFFLINE', async () => true), 1);
  assert.deepEqual([existsSync(named), existsSync(orphan)], [true, false]);
});

test('a table made again under its name has another folder, and the old one goes', async (t) => {
  const table = await trips(t);
  const { segments, resources } = table;
  const file = await table.add('a', ROWS);
  const body = (await resources.get('trips_OFFLINE'))!.body;
  await resources.remove('trips_OFFLINE');
  await resources.create({ id: 'trips_OFFLINE', kind: 'table', body });
  assert.deepEqual((await table.query('SELECT count(*) FROM trips')).rows, [[0]], 'nothing is inherited');
  const again = await table.add('a', ROWS);
  assert.notEqual(path.dirname(again), path.dirname(file));
  await segments.sweepFolders();
  assert.deepEqual([existsSync(file), existsSync(again)], [false, true]);
});

test('all segments of a large table are read page by page, one page in a turn of the loop, whoever asks', async (t) => {
  const steps: string[] = [];
  const { segments, resources } = openSegments(t, (fn) => {
    steps.push('turn');
    setImmediate(fn);
  });
  await resources.create({ id: 'trips_OFFLINE', kind: 'table', body: null });
  const file = { file: 'f', rows: 1, bytes: 1, minTime: null, maxTime: null };
  const put = Array.from({ length: 3400 }, (_, i) => ({ name: `s${i}`, segment: segments.segment(file, { schemaVersion: 1, visible: i % 2 === 0 }) }));
  await resources.change('trips_OFFLINE', segments.changes({ put }));
  const items = resources.items.bind(resources);
  resources.items = async (id, q) => {
    const found = await items(id, q);
    assert.ok(found.length <= 1000, `${found.length} segments are read at one go`);
    if (found.length > 500) steps.push('page');
    return found;
  };
  const [one, other] = await Promise.all([segments.visible('trips_OFFLINE'), segments.all('trips_OFFLINE')]);
  assert.deepEqual([one.length, other.length], [1700, 3400]);
  // Each looks twice at three full pages.
  assert.deepEqual(steps, Array.from({ length: 12 }, () => ['page', 'turn']).flat());
});

test('a table that changes while its pages are read is read again', async (t) => {
  const { segments, resources } = openSegments(t);
  await resources.create({ id: 'trips_OFFLINE', kind: 'table', body: null });
  const file = { file: 'f', rows: 1, bytes: 1, minTime: null, maxTime: null };
  const named = (name: string) => segments.changes({ put: [{ name, segment: segments.segment(file, { schemaVersion: 1 }) }] });
  for (let i = 0; i < 1500; i++) await resources.change('trips_OFFLINE', named(`s${1000 + i}`));
  const items = resources.items.bind(resources);
  let reads = 0;
  resources.items = async (id, q) => {
    // Between the first page and the second: one goes from where nobody looks any more to where somebody will.
    if (++reads === 2) {
      const [first] = await items(id, { limit: 1 });
      await resources.change(id, { ...named('s9999'), remove: [{ key: first.key }] });
    }
    return await items(id, q);
  };
  const all = await segments.all('trips_OFFLINE');
  assert.deepEqual([all.length, all[0].name, all.at(-1)?.name], [1500, 's1001', 's9999']);
});
