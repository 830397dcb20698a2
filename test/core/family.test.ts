/** The limit of a parent on its running children: who is held back, who is let go, and that nobody is forgotten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitingParent, nextHeld } from '../../src/core/family.ts';
import { FamilyDriver } from '../properties/family-driver.ts';

const three = (maxChildren: number): FamilyDriver => {
  const d = new FamilyDriver({ steps: [{ name: 'p', maxChildren }], traits: { child: { abort: true } } });
  d.start('p');
  d.spawn('p', ['a', 'b', 'c']);
  return d;
};
const started = (d: FamilyDriver): string[] => d.startReady().map((no) => d.task.facts[no].name);

test('as many run as the parent allows, in their order; each that ends lets one go', () => {
  const d = three(2);
  assert.deepEqual(started(d), ['a', 'b']);
  assert.equal(limitingParent(d.graph, d.no('c')), 0);
  assert.deepEqual(started(d), []);
  d.finish('b');
  assert.deepEqual(started(d), ['c']);
});

test('the parent itself is not among them, nor is what is filed under it untied', () => {
  const d = new FamilyDriver({
    nodes: [
      { name: 'p', handler: 'h', maxChildren: 1 },
      { name: 'a', handler: 'h', parent: 0, tied: true },
      { name: 'b', handler: 'h', parent: 0 },
    ],
  });
  assert.deepEqual(started(d), ['p', 'a', 'b']);
});

test('a slot is in use until its attempt has returned: one that was told to stop still has its place', () => {
  const d = three(1);
  started(d);
  d.timeout('a');
  assert.deepEqual(started(d), []);
  d.abandon('a');
  assert.deepEqual(started(d), ['b']);
});

test('a place that a crash frees is given again, and so is one that a failed attempt leaves', () => {
  const d = three(1);
  started(d);
  d.finish('a', 'retryable');
  assert.deepEqual(started(d), ['b']);
  d.crash();
  assert.deepEqual(started(d), ['c']);
  d.wake();
  d.finish('c');
  assert.equal(started(d).length, 1);
});

test('abort hooks of children take places, too', () => {
  const d = three(1);
  started(d);
  d.cancelStep('a');
  assert.deepEqual(started(d), [], 'a has not returned');
  d.finish('a', 'retryable');
  assert.deepEqual(started(d).length, 1);
  assert.equal(d.graph.live.size, 2, 'the parent and one below it');
});

test('who cannot take the place it was let go for passes it on', () => {
  const d = three(1);
  started(d);
  d.finish('a');
  // b is in the queue, and nobody is there to run it.
  assert.deepEqual(nextHeld(d.graph, d.no('b')), { no: d.no('c'), rank: d.graph.ready.get(d.no('c')) });
  assert.equal(nextHeld(d.graph, d.no('b')), undefined);
  assert.equal(nextHeld(d.graph, d.no('p')), undefined);
});
