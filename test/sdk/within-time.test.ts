import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withinTime } from '../../src/sdk/worker/within-time.ts';

test('what ends in time gives its value or its error', () => {
  assert.deepEqual(
    withinTime(10_000, () => 5),
    { value: 5 },
  );
  assert.deepEqual(
    withinTime(10_000, () => undefined),
    { value: undefined },
  );
  const error = new RangeError('mine');
  assert.throws(
    () =>
      withinTime(10_000, () => {
        throw error;
      }),
    error,
  );
});

test('what does not is broken off: a regular expression that backtracks, a loop', () => {
  assert.equal(
    withinTime(20, () => /^(a+)+$/.test(`${'a'.repeat(60)}!`)),
    null,
  );
  assert.equal(
    withinTime(20, () => {
      for (;;);
    }),
    null,
  );
  assert.deepEqual(
    withinTime(10_000, () => 'as before'),
    { value: 'as before' },
  );
});
