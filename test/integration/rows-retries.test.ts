/** Rows of the behaviour list about retries and timeouts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Staged, type Staging, staged } from '../support/staged-task.ts';
import { single } from '../support/template-fixtures.ts';
import type { RetryPolicy, TemplateDefinition } from '../../src/core/definition.ts';

const on = async (definition: TemplateDefinition, o: Staging, check: (s: Staged) => void | Promise<void>): Promise<void> => {
  const s = await staged(definition, o);
  try {
    await check(s);
    s.world.machine.throwReported();
  } finally {
    s.close();
  }
};
const wait: Partial<RetryPolicy> = { backoff: 'linear', baseMs: 5_000, jitter: 0 };

test('row 56: fails twice, then succeeds, of five allowed', () =>
  on(single('retry_mechanics', { maxAttempts: 5 }), { attempts: { only: ['retryable', 'retryable', 'ok'] } }, (s) => {
    assert.equal(s.task.state, 'complete');
    assert.equal(s.steps.only.attempts, 3);
  }));

test('row 57: always fails, of three allowed', () =>
  on(single('retry_exhaustion', { maxAttempts: 3 }), { attempts: { only: ['retryable'] } }, (s) => {
    assert.equal(s.task.state, 'error');
    assert.equal(s.steps.only.attempts, 3);
    assert.equal(s.world.dispatches.length, 3);
  }));

test('row 58: a permanent error ends it at once, without a second try', () =>
  on(single('permanent', { maxAttempts: 3 }), { attempts: { only: ['permanent'] }, watchMs: 5_000 }, (s) => {
    assert.equal(s.task.state, 'error');
    assert.equal(s.steps.only.attempts, 1);
    assert.ok(s.task.completedAt! - s.task.createdAt < 5_000);
  }));

test('row 59: a retryable error uses its tries up, with waits between them', () =>
  on(single('retryable', { maxAttempts: 3, backoff: 'exponential', baseMs: 500, jitter: 0.1 }), { attempts: { only: ['retryable'] }, watchMs: 10_000 }, (s) => {
    assert.equal(s.task.state, 'error');
    assert.equal(s.steps.only.attempts, 3);
    const took = s.task.completedAt! - s.task.createdAt;
    assert.ok(took > 100 && took < 10_000, `${took} ms`);
  }));

test('row 61: max_attempts 0 acts as 1: the first try is allowed', () =>
  on(single('boundary_0', { maxAttempts: 0 }), { hold: ['only'] }, (s) => {
    assert.equal(s.steps.only.attempts, 0);
    assert.equal(s.steps.only.retryEligible, true);
    assert.equal(s.steps.only.readyForExecution, true);
  }));

test('row 62: max_attempts 0 acts as 1: there is no second', () =>
  on(single('boundary_0', { maxAttempts: 0 }), { attempts: { only: ['retryable'] } }, (s) => {
    assert.equal(s.steps.only.attempts, 1);
    assert.equal(s.steps.only.retryEligible, false);
    assert.equal(s.steps.only.state, 'error');
  }));

test('row 64: after failures 1, 2 and 3 of three: eligible, eligible, not', () =>
  on(single('boundary_3', { maxAttempts: 3, ...wait }), { attempts: { only: ['retryable'] } }, async (s) => {
    const seen: [number, boolean, string][] = [];
    for (let i = 0; i < 3; i++) {
      seen.push([s.steps.only.attempts, s.steps.only.retryEligible, s.steps.only.state]);
      await s.world.machine.advanceBy(5_000 * (i + 1));
      await s.look();
    }
    assert.deepEqual(seen, [
      [1, true, 'waiting_for_retry'],
      [2, true, 'waiting_for_retry'],
      [3, false, 'error'],
    ]);
  }));

test('row 65: not retryable, no attempt yet: eligible; and one failure ends it', async () => {
  await on(single('boundary_never', { retryable: false }), { hold: ['only'] }, (s) => assert.equal(s.steps.only.retryEligible, true));
  await on(single('boundary_never', { retryable: false }), { attempts: { only: ['retryable'] } }, (s) => {
    assert.equal(s.steps.only.retryEligible, false);
    assert.equal(s.steps.only.state, 'error');
    assert.equal(s.steps.only.attempts, 1);
  });
});

test('row 67: Retry-After 7 keeps the next attempt away for 7 s', () =>
  on(
    single('retry_after', { maxAttempts: 3, backoff: 'exponential', baseMs: 1, maxMs: 2 }),
    { attempts: { only: ['retryable', 'ok'] }, retryAfterMs: 7_000, watchMs: 6_990 },
    async (s) => {
      assert.equal(s.steps.only.state, 'waiting_for_retry');
      assert.equal(s.world.dispatches.length, 1);
      await s.world.machine.advanceBy(1_000);
      const [first, second] = s.world.journal.order;
      assert.ok(second.assignedAt - first.answeredAt! >= 7_000 && second.assignedAt - first.answeredAt! < 7_100);
      await s.look();
      assert.equal(s.task.state, 'complete');
    },
  ));

test('row 118: a step that sleeps 5 s with a timeout of 1 s times out at 1 s and is tried again', () =>
  on(single('timed', { maxAttempts: 2 }, {}, { timeoutMs: 1_000 }), { attempts: { only: ['ok'] }, delayMs: 5_000, watchMs: 990 }, async (s) => {
    assert.equal(s.steps.only.state, 'in_progress');
    await s.world.machine.advanceBy(20);
    await s.look();
    const [first] = s.world.journal.order;
    assert.equal(first.stopReason, 'timeout');
    assert.ok(first.stoppedAt! - first.assignedAt >= 1_000 && first.stoppedAt! - first.assignedAt < 1_050);
    await s.world.machine.advanceBy(10_000);
    await s.look();
    assert.equal(s.world.dispatches.length, 2, 'it was retryable');
    assert.equal(s.steps.only.state, 'error');
    assert.equal(s.steps.only.error?.code, 'step_timeout');
  }));
