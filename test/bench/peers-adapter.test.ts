import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

interface Adapter {
  setup(o: { fresh: boolean; worker: boolean; concurrency: number }): Promise<void>;
  startWorker(o: { concurrency: number; onDone: (n: number) => void }): Promise<void>;
  submitChain(n: number): Promise<{ result: number }>;
  submitDiamonds(k: number, base: number): Promise<{ latencies: number[]; bad: number }>;
  fanOut(n: number): Promise<{ result: number; count: number }>;
  submit(k: number, o: { mode: string; width?: number }): Promise<unknown>;
  latency(n: number): Promise<number[]>;
  completed(): Promise<number>;
  queued(): Promise<number>;
  dbSize(): Promise<number>;
  seedHistory(steps: number): Promise<void>;
  teardown(): Promise<void>;
}

const ran = new Map<string, number>();
let dir: string;
let adapter: Adapter;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tutti-peers-'));
  // What the adapter takes of the benchmark it is copied into, and no more.
  mkdirSync(join(dir, 'lib'));
  writeFileSync(join(dir, 'lib/tally.mjs'), 'export const tally = (id) => globalThis.tuttiTally(id);\n');
  writeFileSync(
    join(dir, 'lib/stats.mjs'),
    `export const now = () => performance.now();
export async function pool(count, width, fn) { let next = 0; await Promise.all(Array.from({ length: width }, async () => { while (next < count) await fn(next++); })); }\n`,
  );
  Object.assign(globalThis, { tuttiTally: (id: string) => ran.set(id, (ran.get(id) ?? 0) + 1) });
  Object.assign(process.env, {
    PEERS_PATH: dir,
    TUTTI_DIR: dir,
    TUTTI_PATH: fileURLToPath(new URL('../../src/main.ts', import.meta.url)),
    CHAIN: '5',
    FAN: '40',
  });
  const url = new URL('../../bench/peers-adapter.mjs', import.meta.url).href;
  adapter = ((await import(url)) as { create: () => Adapter }).create();
});

after(() => rmSync(dir, { recursive: true, force: true }));

function assertOnce(steps: number): void {
  assert.equal(ran.size, steps);
  assert.ok([...ran.values()].every((n) => n === 1));
  ran.clear();
}

test('graphs give what the runner checks, each step once', async () => {
  await adapter.setup({ fresh: true, worker: true, concurrency: 8 });
  assert.equal((await adapter.submitChain(5)).result, 5);
  assertOnce(5);
  const { latencies, bad } = await adapter.submitDiamonds(7, 100);
  assert.deepEqual([latencies.length, bad], [7, 0]);
  assertOnce(42);
  assert.deepEqual([(await adapter.fanOut(40)).result], [780]);
  assertOnce(41);
  assert.equal((await adapter.latency(3)).length, 3);
  ran.clear();
  await adapter.seedHistory(60);
  assert.equal(await adapter.queued(), 0);
  assert.equal(await adapter.completed(), 1 + 7 + 1 + 3 + 10);
  assert.ok((await adapter.dbSize()) > 0);
  await adapter.teardown();
});

test('a backlog is left for the process that opens the file next', async () => {
  await adapter.setup({ fresh: true, worker: false, concurrency: 8 });
  await adapter.submit(30, { mode: 'bulk' });
  assert.equal(await adapter.queued(), 30);
  assert.equal(ran.size, 0);
  await adapter.setup({ fresh: false, worker: false, concurrency: 8 });
  const all = Promise.withResolvers<void>();
  let done = 0;
  await adapter.startWorker({
    concurrency: 8,
    onDone: (n) => {
      if ((done += n) === 30) all.resolve();
    },
  });
  await all.promise;
  assert.equal(await adapter.completed(), 30);
  assertOnce(30);
  await adapter.teardown();
});
