import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killRun } from './kill-run.ts';

test('fifty kills of a loaded server lose nothing, repeat no counted result and leave nothing stuck', { timeout: 170_000 }, async (t) => {
  const seed = Number(process.env.TUTTI_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const facts = await killRun({ kills: 50, seed, maxLifeMs: 400 });
  t.diagnostic(JSON.stringify(facts));
  assert.equal(facts.kills, 50);
  assert.ok(facts.inFlight >= 45, `only ${facts.inFlight} of 50 kills met running handlers`);
  assert.ok(facts.acknowledged > 200, `the load was ${facts.acknowledged} tasks`);
});
