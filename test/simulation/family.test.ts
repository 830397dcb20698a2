/** Seeds 1..150 by default; TUTTI_SEEDS=n runs that many, TUTTI_SEED=n replays one and says what it did. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { familyRun } from './family-run.ts';

const one = process.env.TUTTI_SEED;
const many = Number(process.env.TUTTI_SEEDS ?? (process.env.TUTTI_SOAK === undefined ? 150 : 5_000));
const first = Number(process.env.TUTTI_FIRST_SEED ?? 1);

test(one === undefined ? `${many} seeds: whatever fails and whenever it is killed, families obey their rules and end` : `seed ${one}`, {
  timeout: 3_600_000,
}, async (t) => {
  if (one !== undefined) {
    t.diagnostic(JSON.stringify(await familyRun(Number(one))));
    return;
  }
  const sums = { tasks: 0, attempts: 0, spawned: 0, finalized: 0, aborted: 0, faults: 0, kills: 0 };
  const ends: Record<string, number> = {};
  for (let seed = first; seed < first + many; seed++) {
    try {
      const f = await familyRun(seed);
      for (const k of ['tasks', 'attempts', 'spawned', 'finalized', 'aborted', 'faults', 'kills'] as const) sums[k] += f[k];
      for (const [state, n] of Object.entries(f.ends)) ends[state] = (ends[state] ?? 0) + n;
    } catch (e) {
      throw new Error(`seed ${seed} failed; replay it with TUTTI_SEED=${seed} node --conditions=tutti-source --test test/simulation/family.test.ts`, {
        cause: e,
      });
    }
  }
  t.diagnostic(`${JSON.stringify(sums)} ${JSON.stringify(ends)}`);
  // A simulation that meets no trouble proves nothing.
  if (many >= 100)
    assert.ok(
      sums.faults > 200 && sums.kills > 50 && sums.spawned > 2_000 && sums.finalized > 500 && sums.aborted > 500,
      'faults, kills, spawns and hooks happened',
    );
});

test('the same seed gives the same run', async () => {
  assert.deepEqual(await familyRun(7), await familyRun(7));
});
