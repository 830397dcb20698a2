import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AGEING_STEP_MS, rank } from '../../src/core/rank.ts';

const at = fc.integer({ min: 1_600_000_000_000, max: 2_500_000_000_000 });

test('priority 0 goes strictly first', () => {
  fc.assert(fc.property(at, at, fc.integer({ min: 1, max: 3 }), (a, b, p) => rank(0, a) < rank(p, b)));
});

test('within one priority, first ready first', () => {
  fc.assert(fc.property(at, fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 0, max: 3 }), (a, later, p) => rank(p, a) < rank(p, a + later)));
});

test('no later arrival of classes 1 to 3 overtakes a step older by more than two ageing steps', () => {
  fc.assert(
    fc.property(
      at,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 1e9 }),
      (a, p, q, more) => rank(p, a) < rank(q, a + 2 * AGEING_STEP_MS + more),
    ),
  );
  assert.ok(rank(1, 1_700_000_000_000 + 2 * AGEING_STEP_MS - 1) < rank(3, 1_700_000_000_000), 'within two steps the higher class may overtake');
});
