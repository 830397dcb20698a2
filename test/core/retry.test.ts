import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Backoff, RetryPolicy } from '../../src/core/definition.ts';
import { MAX_RETRY_AFTER_MS, mayRetry, retryDelay, seedOf } from '../../src/core/retry.ts';

const policy = (over: Partial<RetryPolicy>): RetryPolicy => ({
  retryable: true,
  maxAttempts: 3,
  backoff: 'exponential',
  baseMs: 100,
  maxMs: 10_000,
  jitter: 0,
  ...over,
});
const series = (over: Partial<RetryPolicy>, n = 6) => Array.from({ length: n }, (_, i) => retryDelay(policy(over), i + 1, 1));

const anyPolicy = fc.record({
  retryable: fc.boolean(),
  maxAttempts: fc.nat(20),
  backoff: fc.constantFrom<Backoff>('none', 'linear', 'exponential', 'fibonacci'),
  baseMs: fc.nat(1_000_000_000),
  maxMs: fc.nat(10_000_000_000),
  jitter: fc.double({ min: 0, max: 1, noNaN: true }),
});

test('the four backoffs grow as they say', () => {
  assert.deepEqual(series({ backoff: 'none' }), [0, 0, 0, 0, 0, 0]);
  assert.deepEqual(series({ backoff: 'linear' }), [100, 200, 300, 400, 500, 600]);
  assert.deepEqual(series({ backoff: 'exponential' }), [100, 200, 400, 800, 1600, 3200]);
  assert.deepEqual(series({ backoff: 'fibonacci' }), [100, 100, 200, 300, 500, 800]);
});

test('the cap holds before and after jitter', () => {
  assert.deepEqual(series({ backoff: 'linear', maxMs: 250 }, 4), [100, 200, 250, 250]);
  for (let seed = 0; seed < 500; seed++) {
    const ms = retryDelay(policy({ jitter: 0.5, maxMs: 250, backoff: 'none' as Backoff, baseMs: 250 }), 9, seed);
    assert.equal(ms, 0);
    const capped = retryDelay(policy({ jitter: 0.5, maxMs: 250 }), 9, seed);
    assert.ok(capped >= 125 && capped <= 250, `seed ${seed}: ${capped}`);
  }
});

test('jitter stays in [1 - j, 1 + j] and uses that range', () => {
  const waits = Array.from({ length: 2_000 }, (_, n) => retryDelay(policy({ baseMs: 1000, jitter: 0.2 }), 1, seedOf(n, 0, 1)));
  assert.ok(Math.min(...waits) >= 800 && Math.max(...waits) <= 1200);
  assert.ok(Math.min(...waits) < 810 && Math.max(...waits) > 1190, 'the whole range is used');
  const mean = waits.reduce((a, b) => a + b, 0) / waits.length;
  assert.ok(Math.abs(mean - 1000) < 12, `mean ${mean}`);
});

test('every wait is a whole number between 0 and the cap, however large the numbers', () => {
  fc.assert(
    fc.property(anyPolicy, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), fc.integer(), (p, failures, seed) => {
      const ms = retryDelay(p, failures, seed);
      assert.ok(Number.isInteger(ms) && ms >= 0 && ms <= p.maxMs, `${ms}`);
      assert.equal(ms, retryDelay(p, failures, seed));
    }),
  );
});

test('without jitter no later wait is shorter', () => {
  fc.assert(
    fc.property(anyPolicy, fc.integer({ min: 1, max: 3_000 }), (p, failures) => {
      const flat = { ...p, jitter: 0 };
      assert.ok(retryDelay(flat, failures, 7) <= retryDelay(flat, failures + 1, 7));
    }),
  );
});

test('row 67: Retry-After wins over the backoff, unjittered, capped at an hour or at a higher cap of the policy', () => {
  assert.equal(retryDelay(policy({ jitter: 1 }), 1, 3, 7_000), 7_000);
  assert.equal(retryDelay(policy({ jitter: 1, maxMs: 10 }), 5, 3, 7_000), 7_000);
  assert.equal(retryDelay(policy({}), 1, 3, 0), 0);
  assert.equal(retryDelay(policy({}), 1, 3, -5), 0);
  assert.equal(retryDelay(policy({}), 1, 3, 99 * MAX_RETRY_AFTER_MS), MAX_RETRY_AFTER_MS);
  assert.equal(retryDelay(policy({ maxMs: 2 * MAX_RETRY_AFTER_MS }), 1, 3, Infinity), 2 * MAX_RETRY_AFTER_MS);
  assert.equal(retryDelay(policy({}), 1, 3, 0.4), 1, 'never earlier than asked');
  assert.equal(retryDelay(policy({}), 1, 3, Number.NaN), 100, 'what is no number says nothing');
});

test('max_attempts counts the first try; 0 acts as 1; a permanent error or retryable: false ends it', () => {
  const after = (attempts: number, over: Partial<RetryPolicy>, errorRetryable = true) => mayRetry(policy(over), attempts, errorRetryable);
  assert.deepEqual(
    [1, 2, 3].map((n) => after(n, { maxAttempts: 3 })),
    [true, true, false],
  );
  assert.deepEqual(
    [0, 1].map((n) => after(n, { maxAttempts: 0 })),
    [true, false],
  );
  assert.deepEqual(
    [0, 1].map((n) => after(n, { maxAttempts: 1 })),
    [true, false],
  );
  assert.equal(after(1, { maxAttempts: 3 }, false), false);
  assert.equal(after(1, { maxAttempts: 3, retryable: false }), false);
});

test('seeds are equal for equal attempts and differ for neighbours, beyond 32 bits too', () => {
  const seen = new Set<number>();
  const tasks = [0, 1, 2, 2 ** 32, 2 ** 32 + 1, 2 ** 52, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER];
  for (const task of tasks) for (let no = 0; no < 20; no++) for (let attempt = 1; attempt < 20; attempt++) seen.add(seedOf(task, no, attempt));
  assert.ok(seen.size >= tasks.length * 20 * 19 - 2, `${seen.size} seeds`);
  assert.equal(seedOf(123456789012345, 3, 2), seedOf(123456789012345, 3, 2));
  for (const s of seen) assert.ok(Number.isInteger(s) && s >= 0 && s < 2 ** 32);
});
