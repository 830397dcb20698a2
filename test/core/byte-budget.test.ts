import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBudget } from '../../src/core/byte-budget.ts';

test('together they stay below the limit; what is refused takes nothing; what is given back is free', () => {
  const budget = new ByteBudget(100, 'rows');
  const [a, b] = [budget.share(), budget.share()];
  a.grow(60);
  assert.throws(() => b.grow(41), { code: 'BACKPRESSURE', retryAfter: 1, message: /60 bytes of rows .* 100/ });
  b.grow(40);
  assert.throws(() => a.grow(1), { code: 'BACKPRESSURE' });
  assert.equal(budget.taken, 100);
  b.release();
  b.release();
  assert.equal(budget.taken, 60);
  a.grow(10);
  a.release();
  assert.equal(budget.taken, 0);
});

test('one that is alone is never refused for its size: it would be for ever', () => {
  const budget = new ByteBudget(100, 'rows');
  const [a, b] = [budget.share(), budget.share()];
  a.grow(90);
  a.grow(90);
  assert.throws(() => b.grow(1), { code: 'BACKPRESSURE' });
  a.release();
  b.grow(1);
  assert.equal(budget.taken, 1);
});
