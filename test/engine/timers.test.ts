/** Timers of attempts that have ended are given up (I11), and those of others fire in their order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DueTimer, Timers } from '../../src/engine/timers.ts';
import type { Host } from '../../src/engine/host.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { oneStep } from './engine-setup.ts';
import { SimulatedEngine } from './simulated-engine.ts';

const idle = { now: () => 0, timer: () => () => undefined } as unknown as Host;

test('sweeping takes what is not wanted and keeps the order of the rest', () => {
  const random = new SeededRandom(1);
  const timers = new Timers(idle, () => undefined);
  for (let i = 0; i < 5000; i++) timers.add({ at: random.int(0, 1000), kind: 'timeout', task: i, no: 0, token: 1 });
  timers.sweep((t) => t.task % 3 === 0);
  assert.equal(timers.size, 1667);
  const taken: DueTimer[] = [];
  for (let t = timers.takeDue(1000); t !== undefined; t = timers.takeDue(1000)) taken.push(t);
  assert.deepEqual(
    taken.map((t) => t.at),
    taken.map((t) => t.at).sort((a, b) => a - b),
  );
  assert.deepEqual([taken.length, taken.every((t) => t.task % 3 === 0)], [1667, true]);
});

test('few are not looked at, and many no more often than they double', () => {
  const timers = new Timers(idle, () => undefined);
  let looked = 0;
  for (let i = 0; i < 100_000; i++) {
    timers.add({ at: i, kind: 'timeout', task: i, no: 0, token: 1 });
    timers.sweep(() => ++looked > 0);
  }
  assert.equal(timers.size, 100_000);
  assert.ok(looked > 0 && looked < 300_000, `${looked} looks`);
});

test('steps that ended leave no timeouts and heartbeats behind, and those that run keep theirs', async () => {
  const s = await SimulatedEngine.open();
  const held: unknown[] = [];
  const add = Timers.prototype.add;
  let most = 0;
  Timers.prototype.add = function (this: Timers, t: DueTimer) {
    add.call(this, t);
    most = Math.max(most, this.size);
  };
  await s.complete(s.engine.register(oneStep('a', { timeoutMs: 3_600_000, heartbeatMs: 600_000 })), 'register');
  await s.complete(
    s.engine.register(oneStep('slow', { timeoutMs: 3_600_000, retry: { retryable: false, maxAttempts: 1, backoff: 'none', baseMs: 0, maxMs: 0, jitter: 0 } })),
    'register',
  );
  s.worker.handle('a', async () => '1');
  s.worker.handle('slow', () => new Promise(() => undefined));
  const slow = await s.complete(s.engine.submit({ namespace: 't', name: 'slow', input: {} }), 'submit');
  for (let round = 0; round < 10; round++) {
    held.push(await s.complete(s.engine.submitMany(Array.from({ length: 1000 }, () => ({ namespace: 't', name: 'a', input: {} }))), 'submit'));
    await s.machine.settle();
  }
  assert.equal(s.engine.metrics().finished.complete, 10_000);
  Timers.prototype.add = add;
  assert.ok(most < 5000, `${most} timers for 10 slots`);
  await s.machine.advanceBy(3_600_001);
  const [step] = await s.complete(s.engine.steps(slow.id), 'steps');
  assert.deepEqual([step.state, step.error?.code], ['error', 'step_timeout']);
  await s.close();
});
