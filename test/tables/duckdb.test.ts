import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Duck, memoryBytes } from '../../src/tables/duckdb.ts';
import { plainPath, quoteName, quotePath, quoteText } from '../../src/tables/sql-text.ts';
import { openDuck, realTimer, testFolder } from './open-duck.ts';

test('values come as JSON: exact numbers, ISO times, texts where a number would lose digits', async (t) => {
  const duck = openDuck(t);
  const [row] = await duck.rows(`SELECT
    9007199254740991::BIGINT AS safe, 9007199254740993::BIGINT AS beyond, sum(i) AS total, 1.50::DECIMAL(5,2) AS price, 12345678901234567.89::DECIMAL(38,2) AS long,
    DATE '2026-01-02' AS day, TIMESTAMP '2026-01-02 03:04:05.678' AS plain, TIMESTAMPTZ '2026-01-02 03:04:05.678912+02' AS zoned, TIMESTAMPTZ '1960-01-01 00:00:00.0001+00' AS early,
    [1::BIGINT, NULL] AS list, {'x': 2::BIGINT} AS struct, 'nan'::DOUBLE AS nan, NULL AS nothing, true AS yes FROM range(10) r(i)`);
  assert.deepEqual(row, {
    safe: 9007199254740991,
    beyond: '9007199254740993',
    total: 45,
    price: 1.5,
    long: '12345678901234567.89',
    day: '2026-01-02',
    plain: '2026-01-02T03:04:05.678',
    zoned: '2026-01-02T01:04:05.678912Z',
    early: '1960-01-01T00:00:00.000100Z',
    list: [1, null],
    struct: { x: 2 },
    nan: 'NaN',
    nothing: null,
    yes: true,
  });
});

test('parameters, row limits and descriptions', async (t) => {
  const duck = openDuck(t);
  assert.deepEqual(await duck.rows('SELECT ?::INTEGER + 1 AS n, ? AS s', [41, "o'k"]), [{ n: 42, s: "o'k" }]);
  assert.equal((await duck.rows('FROM range(5000)', [], { limit: 3 })).length, 3);
  const limited = await duck.session((s) => s.query('FROM range(3)', [], { limit: 3 }));
  assert.deepEqual([limited.rows.length, limited.truncated], [3, false], 'as many as asked for is not too many');
  const cut = await duck.session((s) => s.query('FROM range(3000)', [], { maxBytes: 100 }));
  assert.equal(cut.truncated, true);
  assert.deepEqual(await duck.describe('(SELECT 1::DECIMAL(18,3) AS "a b", [1] AS l)'), [
    { name: 'a b', type: 'DECIMAL(18,3)' },
    { name: 'l', type: 'INTEGER[]' },
  ]);
});

test('names, texts and paths are quoted, patterns in paths mean themselves', async (t) => {
  const folder = testFolder(t);
  const duck = openDuck(t, folder);
  assert.equal(quoteName('a"b'), '"a""b"');
  assert.deepEqual(await duck.rows(`SELECT ${quoteText("it's \\ ; -- x")} AS ${quoteName('od"d')}`), [{ 'od"d': "it's \\ ; -- x" }]);
  const odd = path.join(folder, `o'dd [1] *?.parquet`);
  await duck.run(`COPY (SELECT 1 AS a) TO ${quotePath(path.join(folder, 'plain.parquet'))}`);
  await duck.run(`COPY (SELECT 2 AS a) TO ${quoteText(odd)}`);
  assert.deepEqual(await duck.rows(`FROM read_parquet(${quotePath(odd)})`), [{ a: 2 }]);
  assert.equal(plainPath('a*b'), 'a[*]b');
});

test('a statement is interrupted when its signal is aborted, and the connection of another is not', async (t) => {
  const duck = openDuck(t);
  const stop = new AbortController();
  const long = duck.rows('SELECT count(*) FROM range(100000000000) a, range(1000) b', [], { signal: stop.signal });
  assert.equal((await duck.rows('SELECT 1 AS one'))[0].one, 1);
  const reason = new Error('no more time');
  stop.abort(reason);
  await assert.rejects(long, (e) => e === reason);
  await assert.rejects(duck.rows('SELECT 1', [], { signal: stop.signal }), (e) => e === reason);
});

test('who waits for a free session leaves the queue when aborted', async (t) => {
  const duck = openDuck(t);
  const release: (() => void)[] = [];
  const held = [0, 1, 2].map(() => duck.session(() => new Promise<void>((resolve) => release.push(resolve))));
  const stop = new AbortController();
  const waiting = duck.rows('SELECT 1', [], { signal: stop.signal });
  const patient = duck.rows('SELECT 2 AS a');
  stop.abort(new Error('gone'));
  await assert.rejects(waiting, /gone/);
  // They hold a session by now, or are about to.
  while (release.length < 3) await new Promise<void>((resolve) => setImmediate(resolve));
  for (const done of release) done();
  await Promise.all(held);
  assert.deepEqual(await patient, [{ a: 2 }]);
});

test('of sessions for small files there are as many at once as threads; others pass beside them', async (t) => {
  const duck = openDuck(t);
  const hold = Promise.withResolvers<void>();
  let inside = 0;
  const entered = Promise.withResolvers<void>();
  const held = Array.from({ length: 3 }, () =>
    duck.session(
      async () => {
        if (++inside === 2) entered.resolve();
        await hold.promise;
      },
      { small: true },
    ),
  );
  await entered.promise;
  assert.deepEqual(await duck.rows('SELECT 1 AS n'), [{ n: 1 }]);
  assert.equal(inside, 2);
  hold.resolve();
  await Promise.all(held);
  assert.equal(inside, 3);
});

test('what does not fit into memory is spilled below the temporary folder, which goes with it', async (t) => {
  const folder = testFolder(t);
  const duck = openDuck(t, folder, { memory: '64MB' });
  // 90 MB in 64 MB: without a place to spill it fails.
  await duck.session(async (s) => {
    await s.run(
      `CREATE TEMP TABLE big AS SELECT i, md5(i::VARCHAR) || md5((i + 1)::VARCHAR) || md5((i + 2)::VARCHAR) || md5((i + 3)::VARCHAR) AS b FROM range(700000) r(i)`,
    );
    assert.deepEqual(await s.rows('SELECT count(*) AS n FROM big'), [{ n: 700_000 }]);
    assert.equal(existsSync(path.join(folder, 'tmp', 'shared')), true, 'it did spill');
  });
  await duck.close();
  assert.equal(existsSync(path.join(folder, 'tmp')), false);
});

test('a missing DuckDB is an error that says what to install, and is tried again', async (t) => {
  const folder = testFolder(t);
  let missing = true;
  const load = async (): Promise<typeof import('@duckdb/node-api')> => {
    if (missing) throw Object.assign(new Error(`Cannot find package '@duckdb/node-api'\nmore`), { code: 'ERR_MODULE_NOT_FOUND' });
    return import('@duckdb/node-api');
  };
  const duck = new Duck({ tempFolder: path.join(folder, 'tmp'), memory: '64MB', threads: 1, timer: realTimer, load });
  t.after(() => duck.close());
  await assert.rejects(duck.rows('SELECT 1'), { code: 'DUCKDB_MISSING', message: /npm i @duckdb\/node-api@1\.5\.6-r\.1/ });
  missing = false;
  assert.deepEqual(await duck.rows('SELECT 1 AS a'), [{ a: 1 }]);
});

test('sizes of memory', () => {
  for (const [text, bytes] of [
    ['1GB', 1e9],
    ['512 MiB', 512 * 2 ** 20],
    ['1.5gb', 1.5e9],
    ['80%', Number.NaN],
    ['GB', Number.NaN],
  ] as const) {
    assert.equal(memoryBytes(text), bytes, text);
  }
});

test('a sandbox reaches the files it is given and nothing else, whatever it is told', async (t) => {
  const folder = testFolder(t);
  const duck = openDuck(t, folder);
  const given = path.join(folder, 'given.parquet');
  const secret = path.join(folder, 'secret.csv');
  await duck.run(`COPY (SELECT 1 AS a) TO ${quotePath(given)}`);
  writeFileSync(secret, 'a\nhunter2\n');
  await duck.sandbox({ files: [given] }, async (s) => {
    assert.deepEqual(await s.rows(`FROM read_parquet(${quotePath(given)})`), [{ a: 1 }]);
    for (const sql of [
      `FROM read_csv(${quoteText(secret)})`,
      `COPY (SELECT 1) TO ${quoteText(path.join(folder, 'new.csv'))}`,
      `ATTACH ${quoteText(path.join(folder, 'new.db'))}`,
      'INSTALL httpfs',
      'SET enable_external_access = true',
      "SET allowed_directories = ['/']",
      'SET lock_configuration = false',
    ]) {
      await assert.rejects(s.run(sql), /Permission Error|configuration/, sql);
    }
  });
  assert.deepEqual(readdirSync(folder).sort(), ['given.parquet', 'secret.csv', 'tmp']);
});

test('sessions that wait are bounded in number', async (t) => {
  const duck = openDuck(t, undefined, { mostWaiting: 10 });
  const held = Promise.withResolvers<void>();
  const inside = Promise.withResolvers<void>();
  let n = 0;
  const holding = [1, 2, 3].map(() =>
    duck.session(async () => {
      if (++n === 3) inside.resolve();
      await held.promise;
    }),
  );
  await inside.promise;
  const gone = new AbortController();
  const waiting = Array.from({ length: 10 }, () => duck.session(async () => {}, { signal: gone.signal }).catch((e: unknown) => e));
  await assert.rejects(
    duck.session(async () => {}),
    { code: 'BACKPRESSURE' },
  );
  gone.abort(new Error('gone'));
  assert.equal((await Promise.all(waiting)).filter((e) => e === gone.signal.reason).length, 10);
  held.resolve();
  await Promise.all(holding);
  await duck.session(async () => {});
});
