// Tutti in the peers' benchmark: copy to `adapters/tutti.mjs` there and add a line to `peers.mjs` (bench/NOTES.md).
// The public API only, embedded, on a SQLite file. TUTTI_PATH names the folder of the package or its main.js; without it `tutti` must
// be installed. TUTTI_DIR: where the store goes; a real disk, or durability costs nothing.
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';

const at = process.env.TUTTI_PATH;
const entry = at === undefined ? 'tutti' : pathToFileURL(/\.[cm]?[jt]s$/.test(at) ? resolve(at) : join(resolve(at), 'dist/main.js')).href;
const { template, Tutti } = await import(entry);
// Beside the adapter's folder when copied there; PEERS_PATH when run from elsewhere.
const peers = process.env.PEERS_PATH === undefined ? new URL('../', import.meta.url) : pathToFileURL(`${resolve(process.env.PEERS_PATH)}/`);
const { tally } = await import(new URL('lib/tally.mjs', peers));
const { now, pool } = await import(new URL('lib/stats.mjs', peers));

const CHAINS = (process.env.CHAIN ?? '200').split(',').map(Number);
const FANS = (process.env.FAN ?? '10000').split(',').map(Number);
const FILES = ['', '-wal', '-shm', '-lock'];

function chain(n) {
  let built = template(`peers/chain_${n}@1.0.0`).untyped();
  for (let i = 0; i < n; i++) {
    const before = `s${i - 1}`;
    built = built.step(`s${i}`, { after: i === 0 ? [] : [before] }, ({ results }) => {
      tally(`c${i}`);
      return { v: i === 0 ? 1 : results[before].v + 1 };
    });
  }
  return built;
}

function diamond() {
  const middle = [1, 2, 3, 4];
  let built = template('peers/diamond@1.0.0')
    .untyped()
    .step('A', ({ input }) => {
      tally(`${input.w}A`);
      return { v: 10 };
    });
  for (const b of middle) {
    built = built.step(`B${b}`, { after: ['A'] }, ({ input, results }) => {
      tally(`${input.w}B${b}`);
      return { v: results.A.v + b };
    });
  }
  return built.step('C', { after: middle.map((b) => `B${b}`) }, ({ input, results }) => {
    tally(`${input.w}C`);
    return { v: middle.reduce((sum, b) => sum + results[`B${b}`].v, 0) };
  });
}

function fan(n) {
  let built = template(`peers/fan_${n}@1.0.0`).untyped();
  for (let i = 0; i < n; i++) {
    built = built.step(`l${i}`, () => {
      tally(`l${i}`);
      return { v: i };
    });
  }
  return built.step('join', { after: Array.from({ length: n }, (_, i) => `l${i}`) }, async ({ results }) => {
    tally('join');
    let v = 0;
    let count = 0;
    for await (const [, child] of results) {
      v += child.v;
      count++;
    }
    return { v, count };
  });
}

const single = (ended) =>
  template('peers/single@1.0.0')
    .untyped()
    .step('only', ({ input }) => {
      tally(`s${input.i}`);
      ended?.();
      return { ok: 1 };
    });

export function create() {
  const dir = join(process.env.TUTTI_DIR ?? tmpdir(), 'peerbench-tutti');
  const file = join(dir, 'tutti.db');
  let tutti = null;
  let timer = null;
  const chains = new Map(CHAINS.map((n) => [n, chain(n)]));
  const fans = new Map(FANS.map((n) => [n, fan(n)]));
  const [dia, one] = [diamond(), single()];
  const templates = [...chains.values(), ...fans.values(), dia, one];
  const open = async (slots) => {
    tutti = await Tutti.open({ store: file, templates, slots });
  };
  const close = async () => {
    clearInterval(timer);
    const closing = tutti;
    tutti = null;
    await closing?.close();
  };
  /** Reads the file beside its owner. */
  const count = (where) => {
    const db = new DatabaseSync(file, { readOnly: true });
    try {
      return db.prepare(`select count(*) as n from tasks where ${where}`).get().n;
    } finally {
      db.close();
    }
  };

  return {
    how: {
      chain: 'one template of n steps, each after the one before',
      diamond: 'one template of six steps',
      fanOut: 'one template of n + 1 steps; the join walks ctx.results',
      submit: 'submitMany / submit, slots 0',
      latency: 'submit + task.result()',
      end: 'task.result(), which resolves after the commit; W5: the engine counts ended tasks after the commit, asked every millisecond',
      durability: 'SQLite WAL, synchronous=FULL, group commit',
      workers: 'embedded: one process owns the file, so two worker processes (W5b) are refused',
    },
    async setup({ fresh, worker, concurrency }) {
      if (fresh) {
        mkdirSync(dir, { recursive: true });
        for (const suffix of FILES) rmSync(file + suffix, { force: true });
      }
      // A drain worker opens when it is told to start, and the process that submitted has closed by then.
      if (fresh) await open(worker ? concurrency : 0);
    },
    async startWorker({ concurrency, onDone }) {
      await open(concurrency);
      let told = 0;
      timer = setInterval(() => {
        const ended = tutti.engine.metrics().finished.complete;
        if (ended > told) onDone?.(ended - told);
        told = ended;
      }, 1);
    },
    async submitChain(n) {
      const t = now();
      const task = await tutti.submit(chains.get(n), {});
      const submitMs = now() - t;
      return { result: (await task.result())[`s${n - 1}`].v, submitMs };
    },
    async submitDiamonds(k, base = 0) {
      const latencies = [];
      const ends = [];
      let bad = 0;
      const start = now();
      await pool(k, 50, async (i) => {
        const t = now();
        const task = await tutti.submit(dia, { w: base + i });
        ends.push(
          task.result().then(({ C }) => {
            latencies.push(now() - t);
            if (C.v !== 50) bad++;
          }),
        );
      });
      const submitMs = now() - start;
      await Promise.all(ends);
      return { latencies, submitMs, totalMs: now() - start, bad };
    },
    async fanOut(n) {
      const t = now();
      const task = await tutti.submit(fans.get(n), {});
      const submitMs = now() - t;
      const { join: joined } = await task.result();
      return { result: joined.v, count: joined.count, submitMs };
    },
    async submit(k, { mode, width = 50 }) {
      if (mode === 'bulk')
        await tutti.submitMany(
          one,
          Array.from({ length: k }, (_, i) => ({ i })),
        );
      else await pool(k, width, (i) => tutti.submit(one, { i }));
      // The W5 runner forks its workers after this and keeps this process: the file must have no owner then. W4 counts from the file.
      await close();
    },
    async latency(n) {
      const latencies = [];
      for (let i = 0; i < n; i++) {
        const t = now();
        const result = await (await tutti.submit(one, { i })).result();
        latencies.push(now() - t);
        if (result.only.ok !== 1) throw new Error('bad');
      }
      return latencies;
    },
    completed: async () => count('state = 8'),
    queued: async () => count('state < 8'),
    dbSize: async () => FILES.reduce((bytes, suffix) => bytes + (existsSync(file + suffix) ? statSync(file + suffix).size : 0), 0),
    serverMb: () => 0,
    /** Copies of a task that ran. The file is opened beside its owner while nothing runs; ids lie before the copied one's. */
    async seedHistory(steps) {
      const db = new DatabaseSync(file);
      db.exec('pragma busy_timeout=5000; pragma synchronous=off');
      const model = db.prepare('select min(id) as id from tasks').get().id;
      const k = Math.ceil(steps / 6);
      const top = db.prepare('select max(id) as top from log').get().top;
      db.exec(`create temp table n as with recursive n(i) as (select 1 union all select i + 1 from n where i < ${k}) select i from n`);
      db.exec('begin immediate');
      for (const [table, id] of [
        ['tasks', 'id'],
        ['steps', 'task'],
        ['payloads', 'task'],
      ]) {
        const columns = db
          .prepare(`select name from pragma_table_info('${table}')`)
          .all()
          .map((c) => c.name);
        db.exec(
          `insert into ${table}(${columns}) select ${columns.map((c) => (c === id ? `m.${c} - i` : `m.${c}`))} from n cross join ${table} m where m.${id} = ${model}`,
        );
      }
      // Below the ids that are in use: the owner counts upwards from those it knows.
      db.exec(
        `insert into log(id, task, seq, count, at, body) select -(i * 100 + m.seq) - ${top}, m.task - i, m.seq, m.count, m.at, m.body from n cross join log m where m.task = ${model}`,
      );
      db.exec('commit');
      db.close();
    },
    async teardown() {
      await close();
      if (process.send === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}
