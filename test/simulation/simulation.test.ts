/** Seeds 1..150 by default; TUTTI_SEEDS=n runs that many, TUTTI_SEED=n replays one and says what it did. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRun } from './seeded-run.ts';

const one = process.env.TUTTI_SEED;
const many = Number(process.env.TUTTI_SEEDS ?? (process.env.TUTTI_SOAK === undefined ? 150 : 5_000));
const first = Number(process.env.TUTTI_FIRST_SEED ?? 1);

test(one === undefined ? `${many} seeds: whatever fails and whenever it is killed, every task ends as the model says` : `seed ${one}`, {
  timeout: 3_600_000,
}, async (t) => {
  if (one !== undefined) {
    t.diagnostic(JSON.stringify(await seededRun(Number(one))));
    return;
  }
  const sums = { tasks: 0, attempts: 0, commits: 0, faults: 0, kills: 0 };
  const ends: Record<string, number> = {};
  for (let seed = first; seed < first + many; seed++) {
    try {
      const f = await seededRun(seed);
      for (const k of ['tasks', 'attempts', 'commits', 'faults', 'kills'] as const) sums[k] += f[k];
      for (const [state, n] of Object.entries(f.ends)) ends[state] = (ends[state] ?? 0) + n;
    } catch (e) {
      throw new Error(`seed ${seed} failed; replay it with TUTTI_SEED=${seed} node --conditions=tutti-source --test test/simulation/simulation.test.ts`, {
        cause: e,
      });
    }
  }
  t.diagnostic(`${JSON.stringify(sums)} ${JSON.stringify(ends)}`);
  // A simulation that meets no trouble proves nothing.
  if (many >= 100) {
    assert.ok(sums.faults > 200 && sums.kills > 50, 'faults and kills happened');
    for (const state of ['complete', 'error', 'cancelled', 'blocked_by_failures']) assert.ok(ends[state] > 0, `some task ended ${state}`);
  }
});

test('the same seed gives the same run', async () => {
  assert.deepEqual(await seededRun(7), await seededRun(7));
});
