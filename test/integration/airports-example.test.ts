/** The sample plans of `npm start`, on the files that ship with the repository: what they leave is counted here from the files themselves. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { airports, NORTH_OF } from '../../examples/airports.ts';
import { Tutti } from '../../src/main.ts';
import { ROOT, scratch, Spawned } from '../cli/cli-harness.ts';

const DATA = join(ROOT, 'examples/data/airports');
const FILES = readdirSync(DATA).filter((f) => f.endsWith('.csv'));

/** Fields in quotes may hold commas. */
const fields = (line: string): string[] =>
  [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].slice(0, 7).map(([, f]) => f.replace(/^"|"$/g, '').replaceAll('""', '"'));
const ROWS = FILES.flatMap((f) => readFileSync(join(DATA, f), 'utf8').trimEnd().split('\n').slice(1).map(fields));
const LEFT = ROWS.filter((r) => Number(r[5]) <= NORTH_OF);

function expected(): [state: string, airports: number, latitude: number][] {
  const byState = new Map<string, number[]>();
  for (const r of LEFT) byState.set(r[3], [...(byState.get(r[3]) ?? []), Number(r[5])]);
  return [...byState]
    .map(([state, all]): [string, number, number] => [state, all.length, all.reduce((a, b) => a + b, 0) / all.length])
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

test('57 files, three a batch, become a table; a purge leaves what the query counts', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tutti-airports-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const tutti = await Tutti.open({ store: join(folder, 'tasks.db'), tables: { folder: join(folder, 'tables') } });
  t.after(() => tutti.close());
  let shown = '';
  const out = { write: (text: string) => void (shown += text), live: true, columns: 100, rows: 40, paint: (_: string, text: string) => text };
  const found = await airports(tutti, out as never);
  assert.ok(found !== null, shown);
  assert.deepEqual(
    found.rows.map(([state, n]) => [state, n]),
    expected().map(([state, n]) => [state, n]),
  );
  found.rows.forEach((row, i) => assert.ok(Math.abs(Number(row[2]) - expected()[i][2]) < 0.001, JSON.stringify(row)));
  const plans = await tutti.plans.list({ resource: 'airports_OFFLINE' });
  const of = (type: string) => plans.find((p) => p.taskType === type)!;
  const load = of('FileIngestionTask');
  assert.deepEqual([FILES.length, ROWS.length], [57, 3376]);
  assert.deepEqual([load.inputsToProcess, load.inputsProcessed, load.batches.length], [57, 57, 19]);
  assert.ok(load.batches.every((b) => b.subtasks.total === 3 && b.taskState === 'COMPLETED'));
  assert.equal(of('SegmentPurgeTask').batches.length, 6);
  assert.match(shown, /files +█+ 100 % +57 of 57/);
  assert.match(shown, /batch 18 █+ 100 % +3 of 3/);
  assert.match(of('SegmentPurgeTask').statusMessage, new RegExp(`${ROWS.length - LEFT.length} rows removed`));
  const again = await airports(tutti, out as never);
  assert.deepEqual(again?.rows, found.rows, 'a second start makes the table anew');
});

test('npm start, killed in the middle of the plan and started again, ends with the same numbers', { timeout: 120_000 }, async (t) => {
  const cwd = scratch(t);
  const env = { TUTTI_WEB_PORT: '0' };
  const first = new Spawned([join(ROOT, 'examples/start.ts')], { cwd, env });
  await first.until(/FileIngestionTask {2}batch 4 {2}COMPLETED/);
  first.kill('SIGKILL');
  assert.equal(await first.ended(), 'SIGKILL');
  const second = new Spawned([join(ROOT, 'examples/start.ts')], { cwd, env });
  await second.until(/API +http/);
  const [top] = expected();
  assert.match(second.out, new RegExp(`${LEFT.length} airports are left in ${expected().length} states; most of them, ${top[1]}, in ${top[0]}`));
  second.kill('SIGINT');
  await second.ended();
});
