import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killRun } from './kill-run.ts';

const soak = process.env.TUTTI_SOAK !== undefined;
const kills = soak ? 100 : 50;

test(`${kills} kills of a loaded server lose nothing, repeat no counted result and leave nothing stuck`, { timeout: soak ? 600_000 : 400_000 }, async (t) => {
  const seed = Number(process.env.TUTTI_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const facts = await killRun({ kills, seed, maxLifeMs: soak ? 1_000 : 400 });
  t.diagnostic(JSON.stringify(facts));
  assert.ok(facts.inFlight >= kills * 0.9, `only ${facts.inFlight} of ${kills} kills met running handlers`);
  assert.ok(facts.acknowledged > 200, `the load was ${facts.acknowledged} tasks`);
});
