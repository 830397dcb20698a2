/** Seeds 1..100 by default; TUTTI_SEEDS=n runs that many from TUTTI_FIRST_SEED on, TUTTI_SEED=n replays one and says what it did. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planRun } from './plan-run.ts';

const one = process.env.TUTTI_SEED;
const many = Number(process.env.TUTTI_SEEDS ?? (process.env.TUTTI_SOAK === undefined ? 100 : 5_000));
const first = Number(process.env.TUTTI_FIRST_SEED ?? 1);

test(one === undefined ? `${many} seeds: whatever fails and whenever it is killed, plans count every input once and end` : `seed ${one}`, {
  timeout: 3_600_000,
}, async (t) => {
  if (one !== undefined) {
    t.diagnostic(JSON.stringify(await planRun(Number(one))));
    return;
  }
  const sums = { plans: 0, batches: 0, faults: 0, kills: 0, aborts: 0, counted: 0 };
  const ends: Record<string, number> = {};
  for (let seed = first; seed < first + many; seed++) {
    try {
      const f = await planRun(seed);
      for (const k of ['plans', 'batches', 'faults', 'kills', 'aborts', 'counted'] as const) sums[k] += f[k];
      for (const [status, n] of Object.entries(f.ends)) ends[status] = (ends[status] ?? 0) + n;
    } catch (e) {
      throw new Error(`seed ${seed} failed; replay it with TUTTI_SEED=${seed} node --conditions=tutti-source --test test/simulation/plan.test.ts`, {
        cause: e,
      });
    }
  }
  t.diagnostic(`${JSON.stringify(sums)} ${JSON.stringify(ends)}`);
  // A simulation that meets no trouble proves nothing.
  if (many >= 100)
    assert.ok(sums.plans > 100 && sums.batches > 300 && sums.faults > 100 && sums.kills > 50 && sums.aborts > 20, 'faults, kills and aborts happened');
});

test('the same seed gives the same run', async () => {
  assert.deepEqual(await planRun(7), await planRun(7));
});
