/** Tied children in the pure core: what each commit writes, and that a restart would know the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FamilyDriver } from '../properties/family-driver.ts';

const HOOKS = { p: { finalize: true, abort: true }, child: { abort: true } };

test('a parent that asked for nothing again, whose last child was dropped, ends once: what waits for it and another starts with both', () => {
  const d = new FamilyDriver({ steps: [{ name: 'p' }, { name: 'other' }, { name: 'after', after: ['p', 'other'] }] });
  d.start('p');
  d.spawn('p', ['a']);
  d.finish('p', 'retryable');
  d.wake();
  d.start('p');
  d.finish('p');
  assert.deepEqual([d.state('p'), d.state('a'), d.state('after')], ['complete', 'cancelled: not_respawned', 'pending']);
  assert.ok(!d.graph.ready.has(d.no('after')));
  d.run('other');
  d.run('after');
  assert.equal(d.taskState, 'complete');
});

test('wait_all: a failed child that the retry did not ask for is no failure, though an open one goes before it', () => {
  const d = new FamilyDriver({ steps: [{ name: 'p', onChildFailure: 'wait_all' }] });
  d.start('p');
  d.spawn('p', ['open', 'failed']);
  d.run('failed', 'permanent');
  d.finish('p', 'retryable');
  d.wake();
  d.start('p');
  d.finish('p');
  assert.deepEqual([d.state('p'), d.state('open')], ['complete', 'cancelled: not_respawned']);
});

test('a child that may fail does not fail its parent', () => {
  const d = new FamilyDriver({ steps: [{ name: 'p' }] });
  d.start('p');
  d.spawn('p', [{ key: 'a', allowFailure: true }]);
  d.run('a', 'permanent');
  assert.equal(d.state('p'), 'in_progress');
  d.finish('p');
  assert.equal(d.state('p'), 'complete');
});
void HOOKS;

test('hundreds that a retry did not ask for: the rest ends by implication, also for a restart in between', () => {
  for (const finalize of [false, true]) {
    const d = new FamilyDriver({ steps: [{ name: 'p' }, { name: 'after', after: ['p'] }], traits: { p: { finalize }, child: { abort: true } } });
    d.start('p');
    d.spawn(
      'p',
      Array.from({ length: 600 }, (_, i) => `c${i}`),
    );
    d.start('c599');
    d.finish('p', 'retryable');
    d.wake();
    d.start('p');
    d.spawn('p', ['c0']);
    d.finish('p');
    assert.equal(d.state('c599'), 'cancelled: not_respawned', 'one that runs is told at once');
    assert.ok(d.graph.debts.length > 300);
    d.forget();
    assert.ok(d.graph.debts.length > 300);
    d.followUp();
    d.finish('c599', 'permanent');
    const after = d.no('after');
    for (let i = 0; i < 1000 && d.startReady(50, (no) => no !== after).length > 0; i++) {
      for (const no of [...d.graph.live.keys()]) d.give(no, 'ok');
      d.commit();
    }
    d.run('after');
    assert.equal(d.taskState, 'complete');
    d.mirror.assertSettled();
  }
});

test('one child that was let go and is cancelled before it starts lets the next one go', () => {
  const d = new FamilyDriver({ steps: [{ name: 'p', maxChildren: 1 }] });
  d.start('p');
  d.spawn('p', ['a', 'b', 'c']);
  assert.deepEqual(d.startReady().map((no) => d.task.facts[no].name), ['a']);
  d.finish('a');
  // b was let go and waits for a slot.
  d.cancelStep('b');
  assert.deepEqual(d.startReady().map((no) => d.task.facts[no].name), ['c']);
});
