/**
 * The least that the machine asks for the same durable effect, without an engine: what the ratios are relative to. Every floor
 * runs in its own process and folder right before the workload it belongs to, so that a busy hour slows both.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { hammer } from './http-load.ts';
import { pingFor } from './ping.ts';
import { median, quantile } from './statistics.ts';
import type { Numbers, Size } from './workload.ts';

/** Rows of one group commit: the row budget of a turn. */
const GROUP = 512;
const BODY = JSON.stringify({ v: 1, pad: 'x'.repeat(184) });

function openFull(dir: string): DatabaseSync {
  const db = new DatabaseSync(join(dir, 'floor.db'));
  db.exec('pragma page_size=8192; pragma journal_mode=WAL; pragma synchronous=FULL; pragma wal_autocheckpoint=2000');
  // A WAL that already has its full size is recycled; one that still grows costs more for each commit.
  db.exec('create table pad(b blob); insert into pad values(zeroblob(20000000)); drop table pad; pragma wal_checkpoint(RESTART)');
  return db;
}

/** One small row per commit: ms each (mean of batches of 50, median of those) and percentiles of single commits. */
function commit(dir: string, size: Size): Numbers {
  const db = openFull(dir);
  db.exec('create table t(id integer primary key, body text)');
  const insert = db.prepare('insert into t(body) values (?)');
  const batches = size === 'quick' ? 8 : 24;
  const means: number[] = [];
  const single: number[] = [];
  for (let b = -2; b < batches; b++) {
    const start = performance.now();
    for (let i = 0; i < 50; i++) {
      const t = performance.now();
      insert.run('{"n":1}');
      if (b >= 0) single.push(performance.now() - t);
    }
    if (b >= 0) means.push((performance.now() - start) / 50);
  }
  db.close();
  return { ms: median(means), p50: quantile(single, 0.5), p99: quantile(single, 0.99) };
}

/** Rates of rows of 200 bytes in group commits: `n` units, each of the given statements, in transactions of 512 rows. */
function grouped(dir: string, n: number, perUnit: number, unitsPerCommit: number, unit: (db: DatabaseSync) => (i: number) => void): number {
  const db = openFull(dir);
  db.exec('create table step(task integer, no integer, state integer, input text, result text, primary key(task, no)) without rowid');
  const write = unit(db);
  const run = (from: number, to: number): void => {
    for (let i = from; i < to; i += unitsPerCommit) {
      db.exec('begin immediate');
      for (let j = i; j < Math.min(i + unitsPerCommit, to); j++) write(j);
      db.exec('commit');
    }
  };
  const warm = Math.ceil(2000 / perUnit);
  run(0, warm);
  const start = performance.now();
  run(warm, warm + n);
  const rate = (n / (performance.now() - start)) * 1000;
  db.close();
  return rate;
}

/** The life of a step in its fewest rows: inserted, marked started, ended with its result. */
function stepLife(dir: string, size: Size): Numbers {
  const per = Math.floor(GROUP / 3);
  return {
    per_s: grouped(dir, size === 'quick' ? 10_000 : 30_000, 3, per, (db) => {
      const insert = db.prepare('insert into step(task, no, state, input) values (?, ?, 0, ?)');
      const start = db.prepare('update step set state=2 where task=? and no=? and state=0');
      const end = db.prepare('update step set state=6, result=? where task=? and no=? and state=2');
      return (i) => {
        const no = i % 6;
        const task = (i - no) / 6;
        insert.run(task, no, BODY);
        start.run(task, no);
        end.run(BODY, task, no);
      };
    }),
  };
}

/** A step that was stored before: marked started, ended with its result. */
function stepEnd(dir: string, size: Size): Numbers {
  const n = size === 'quick' ? 10_000 : 20_000;
  return {
    per_s: grouped(dir, n, 2, GROUP / 2, (db) => {
      const insert = db.prepare('insert into step(task, no, state, input) values (?, 0, 0, ?)');
      db.exec('begin immediate');
      for (let i = 0; i < n + 1000; i++) insert.run(i, BODY);
      db.exec('commit');
      const start = db.prepare('update step set state=2 where task=? and no=0 and state=0');
      const end = db.prepare('update step set state=6, result=? where task=? and no=0 and state=2');
      return (i) => {
        start.run(i);
        end.run(BODY, i);
      };
    }),
  };
}

/** A task of one step: a row for the task, one for the step, one for the log. `tasks`: how many share a commit. */
function submits(dir: string, size: Size, tasks: number): Numbers {
  return {
    per_s: grouped(dir, size === 'quick' ? 5000 : 20_000, 3, tasks, (db) => {
      db.exec(
        'create table task(id integer primary key, state integer, input text); create table log(task integer, seq integer, body text, primary key(task, seq)) without rowid',
      );
      const task = db.prepare('insert into task(id, state, input) values (?, 0, ?)');
      const step = db.prepare('insert into step(task, no, state) values (?, 0, 0)');
      const log = db.prepare('insert into log(task, seq, body) values (?, 1, ?)');
      return (i) => {
        task.run(i, BODY);
        step.run(i);
        log.run(i, '["created"]');
      };
    }),
  };
}

const BARE_SERVER = `
const { createServer } = require('node:http');
const view = { id: 'x', pad: 'y'.repeat(900) };
createServer((q, r) => { const parts = []; q.on('data', (d) => parts.push(d)); q.on('end', () => {
  const body = parts.length ? JSON.parse(Buffer.concat(parts)) : null;
  const text = JSON.stringify({ ...view, name: body?.name });
  r.writeHead(body ? 201 : 200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }); r.end(text); }); })
  .listen(0, '127.0.0.1', function () { process.send?.({ port: this.address().port, rss: process.memoryUsage.rss() }); });
`;

async function bareServer(): Promise<{ child: ChildProcess; port: number; rss: number }> {
  const child = spawn(process.execPath, ['-e', BARE_SERVER], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const [message] = (await once(child, 'message')) as [{ port: number; rss: number }];
  return { child, ...message };
}

/** Bare node:http in a process of its own: parses a JSON body, answers 201 with a kilobyte; nothing is stored. */
async function http(_dir: string, size: Size): Promise<Numbers> {
  const { child, port } = await bareServer();
  const body = JSON.stringify({ name: 'single', namespace: 'bench', version: '1.0.0', context: { i: 1, pad: 'x'.repeat(180) } });
  const request = { port, path: '/v1/tasks', body: () => body, headers: {} };
  await hammer({ ...request, count: 1000, connections: 50, expect: 201 });
  const load = await hammer({ ...request, count: size === 'quick' ? 5000 : 15_000, connections: 50, expect: 201 });
  const one = await hammer({ ...request, count: 300, connections: 1, expect: 201 });
  child.kill();
  await once(child, 'exit');
  return { per_s: load.perSecond, p50: quantile(one.latencies, 0.5) };
}

/** A bare Node process with an HTTP server: how long until it answers, what it occupies. */
async function node(): Promise<Numbers> {
  const start = performance.now();
  const { child, port, rss } = await bareServer();
  await hammer({ port, path: '/', body: () => undefined, headers: {}, count: 1, connections: 1, expect: 200 });
  const ms = performance.now() - start;
  child.kill();
  await once(child, 'exit');
  return { ms, rss: rss / 2 ** 20 };
}

/** The event loop of a process that only serves an idle port: what the machine alone does to a ping. */
async function loop(_dir: string, size: Size): Promise<Numbers> {
  const server = createServer().listen(0);
  const pings = await pingFor(async () => new Promise((done) => setTimeout(done, size === 'quick' ? 400 : 1000)));
  server.close();
  return { p50: pings.p50, p99: pings.p99, max: pings.max };
}

export const FLOORS = {
  commit,
  step_life: stepLife,
  step_end: stepEnd,
  submit_single: (dir: string, size: Size) => submits(dir, size, 50),
  submit_bulk: (dir: string, size: Size) => submits(dir, size, Math.floor(GROUP / 3)),
  http,
  node,
  loop,
} satisfies Record<string, (dir: string, size: Size) => Numbers | Promise<Numbers>>;

export type FloorName = keyof typeof FLOORS;
