import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WORKLOADS } from '../../bench/workloads.ts';

const MAIN = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
const bench = (...argv: string[]) => spawnSync(process.execPath, ['--conditions=tutti-source', MAIN, ...argv], { encoding: 'utf8', timeout: 60_000 });

test('every workload of the budget is there', () => {
  const names = WORKLOADS.map((workload) => workload.name);
  for (const name of [
    'chain',
    'diamonds',
    'fanout',
    'drain',
    'latency',
    'submit',
    'submit_bulk',
    'rest',
    'big_graph',
    'history',
    'stall',
    'memory',
    'disk',
    'startup',
  ]) {
    assert.ok(names.includes(name), name);
  }
});

test('--json prints objects of eight keys and nothing else; a missed budget is no failure', () => {
  const { stdout, status, stderr } = bench('--quick', '--only', 'chain', '--repetitions', '1', '--json');
  assert.equal(status, 0, stderr);
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.ok(lines.length >= 1);
  for (const line of lines) {
    assert.deepEqual(Object.keys(line), ['workload', 'store', 'slots', 'metric', 'value', 'unit', 'floor', 'ratio']);
    assert.ok((line['value'] as number) > 0);
  }
  assert.deepEqual([lines[0]['workload'], lines[0]['store'], lines[0]['slots'], lines[0]['metric']], ['chain', 'sqlite', 50, 'ms_per_hop']);
});

test('options that make no sense exit 2 with the usage', () => {
  const { status, stdout, stderr } = bench('--only', 'nothing');
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /no such workload.*\n\nUsage:/s);
});
