import assert from 'node:assert/strict';
import { linkSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { QueryJob } from '../../src/tables/run-query.ts';
import { openDuck, openQueries, testFolder } from './open-duck.ts';

const job = (sql: string): QueryJob => ({ folder: '/', sources: [{ select: 'SELECT 1 AS a', files: [] }], names: ['t'], sql, limit: 10, maxBytes: 1000 });
const ENDLESS = 'SELECT count(*) FROM range(100000000000) a, range(1000) b';
const proc = process.platform === 'linux' ? false : 'needs /proc to see which processes there are';

/** Processes that run queries for this one. */
const members = (): number[] =>
  readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        const [, state, parent] = / \((?:.*)\) (\S) (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
        return Number(parent) === process.pid && state !== 'Z' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('query-process');
      } catch {
        // It ended while it was looked at.
        return false;
      }
    })
    .map(Number);

test('one process serves query after query, two at once are two', { skip: proc }, async (t) => {
  const queries = openQueries(t, testFolder(t));
  assert.deepEqual((await queries.run(job('SELECT a FROM t'))).rows, [[1]]);
  const [first] = members();
  await assert.rejects(queries.run(job('SELECT b FROM t')), { code: 'INVALID_INPUT', field: 'sql' });
  assert.deepEqual(members(), [first], 'a query that is wrong costs nothing');
  const answers = await Promise.all(['1', '2', '3', '4'].map((n) => queries.run(job(`SELECT ${n}`))));
  assert.deepEqual(
    answers.map((a) => a.rows[0][0]),
    [1, 2, 3, 4],
  );
  assert.equal(members().length, 2);
  await queries.close();
  assert.deepEqual(members(), []);
  await assert.rejects(queries.run(job('SELECT 1')), { code: 'SHUTTING_DOWN' });
});

test('a query that ends its process is answered, and the next one gets another', { skip: proc }, async (t) => {
  const folder = testFolder(t);
  const queries = openQueries(t, folder);
  await queries.run(job('SELECT 1'));
  const [pid] = members();
  const endless = queries.run(job(ENDLESS));
  process.kill(pid, 'SIGKILL');
  await assert.rejects(endless, { code: 'INVALID_INPUT', message: /ended its process/ });
  assert.deepEqual((await queries.run(job('SELECT 2'))).rows, [[2]]);
  assert.ok(!members().includes(pid));
  assert.deepEqual(readdirSync(path.join(folder, 'queries')), ['queries-2'], 'what it spilled went with it');
});

test('a process that idles and is killed is not asked again', { skip: proc }, async (t) => {
  const queries = openQueries(t, testFolder(t));
  await queries.run(job('SELECT 1'));
  process.kill(members()[0], 'SIGKILL');
  while (members().length > 0) await new Promise<void>((resolve) => setImmediate(resolve));
  // Whether or not its end was noticed before, it is never the query's fault for long.
  const again = (): Promise<unknown> => queries.run(job('SELECT 3'));
  await again().catch(again);
});

test('those that wait leave when their callers do', { skip: proc }, async (t) => {
  const queries = openQueries(t, testFolder(t));
  const gone = new AbortController();
  const running = [1, 2, 3].map(() => queries.run(job(ENDLESS), gone.signal));
  gone.abort(new Error('gone'));
  for (const r of running) await assert.rejects(r, /gone/);
  assert.deepEqual((await queries.run(job('SELECT 5'))).rows, [[5]]);
});

test('a long answer and many files pass piece by piece, with a turn of the loop between two of them', { skip: proc }, async (t) => {
  const folder = testFolder(t);
  let turns = 0;
  let asked = false;
  const queries = openQueries(t, folder, undefined, (fn) => {
    assert.ok(!asked, 'a piece came before it was asked for');
    turns++;
    asked = true;
    // Time for what should not come.
    let rounds = 50;
    const go = (): void => {
      if (rounds-- > 0) return void setImmediate(go);
      asked = false;
      fn();
    };
    go();
  });
  const long = await queries.run({ ...job(`SELECT i, repeat('x', 1000) FROM range(4000) r(i)`), limit: 10_000, maxBytes: 8e6 });
  assert.deepEqual([long.rows.length, long.truncated, long.columns.length], [4000, false, 2]);
  assert.ok(
    long.rows.every(([i, x], at) => i === at && (x as string).length === 1000),
    'all rows, in their order',
  );
  assert.ok(turns >= 15, `4 MB came in ${turns} pieces`);
  const duck = openDuck(t, folder);
  await duck.run(`COPY (SELECT 1 AS a) TO '${path.join(folder, 'f0.parquet')}' (FORMAT parquet)`);
  const files = Array.from({ length: 2500 }, (_, i) => `f${i}.parquet`);
  for (const f of files.slice(1)) linkSync(path.join(folder, 'f0.parquet'), path.join(folder, f));
  const sources = [
    { select: 'SELECT a', files },
    { select: 'SELECT 2', files: [] },
  ];
  turns = 0;
  assert.deepEqual((await queries.run({ ...job('SELECT a, count(*) FROM t GROUP BY a ORDER BY a'), folder, sources })).rows, [
    [1, 2500],
    [2, 1],
  ]);
  assert.ok(turns >= 3, `the files were named in ${turns} messages`);
});

test('what waits for its turn has looked nothing up', { skip: proc }, async (t) => {
  const queries = openQueries(t, testFolder(t));
  const held = Promise.withResolvers<void>();
  let begun = 0;
  const turns = [1, 2, 3, 4].map(() =>
    queries.turn(async (ask) => {
      begun++;
      await held.promise;
      return await ask(job('SELECT 1'));
    }),
  );
  assert.equal(begun, 2);
  held.resolve();
  await Promise.all(turns);
  assert.equal(begun, 4);
});
