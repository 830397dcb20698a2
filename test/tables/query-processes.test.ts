import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { QueryJob } from '../../src/tables/run-query.ts';
import { openQueries, testFolder } from './open-duck.ts';

const job = (sql: string): QueryJob => ({ files: [], select: 'SELECT 1 AS a', names: ['t'], sql, limit: 10, maxBytes: 1000 });
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
