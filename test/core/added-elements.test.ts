/** Elements that are added to what is there: how they are numbered, and what they may say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TuttiError } from '../../src/core/errors.ts';
import { type ExistingSteps, TreeBuilder } from '../../src/core/tree-rules.ts';

const NAMES = ['root', 'one', 'two'];
const existing: ExistingSteps = {
  size: 3,
  byId: (text) => (text === 'ONE' ? 1 : undefined),
  byName: (text) => (NAMES.includes(text) ? NAMES.indexOf(text) : undefined),
  depth: (no) => (no === 2 ? 99 : 0),
  userId: 'u1',
};

const plan = (...elements: object[]) => {
  const b = new TreeBuilder({ hasHandler: (n) => n === 'work', maxElements: 10, existing });
  for (const e of elements) b.add({ handler: 'work', ...e });
  return b.finish();
};

const message = (...elements: object[]): string => {
  try {
    plan(...elements);
  } catch (e) {
    return (e as TuttiError).message;
  }
  throw new Error('was accepted');
};

test('new elements are numbered behind the existing, and may name both', () => {
  const { nodes, roots, ids } = plan(
    { name: 'a', id: 'A', parent_id: 'root', dependencies: ['ONE', 'b', { name: 'one', required: false }, { id: 'two', required: false }] },
    { name: 'b', parent_id: 'a' },
    { name: 'c' },
  );
  assert.equal(nodes[0].definition.parent, 0);
  // One entry per target, in the order of the first, required if any of them says so.
  assert.deepEqual(nodes[0].definition.deps, [
    [1, true],
    [4, true],
    [2, false],
  ]);
  assert.equal(nodes[1].definition.parent, 3);
  assert.deepEqual(roots, [5]);
  assert.deepEqual([...ids], [['A', 3]]);
});

test('they need no root of their own, and need not be joined', () => {
  assert.deepEqual(plan({ name: 'a', parent_id: 'one' }).roots, []);
  assert.deepEqual(plan({ name: 'a' }, { name: 'b' }).roots, [3, 4]);
});

test('names, owner, depth and circles are held against what is there', () => {
  assert.match(message({ name: 'one' }), /Duplicate task name/);
  assert.match(message({ name: 'a', user_id: 'u2' }), /a tree has one owner/);
  assert.equal(plan({ name: 'a', user_id: 'u1' }).userId, 'u1');
  assert.equal(plan({ name: 'a', parent_id: 'two' }).nodes.length, 1);
  assert.match(message({ name: 'a', parent_id: 'two' }, { name: 'b', parent_id: 'a' }), /the limit is 100 parents/);
  assert.match(message({ name: 'a', dependencies: ['b'] }, { name: 'b', dependencies: ['a'] }), /Circular dependency detected: a -> b -> a/);
  assert.match(message({ name: 'a', parent_id: 'b' }, { name: 'b', parent_id: 'a' }), /Circular parent/);
  assert.match(message({ name: 'a', parent_id: 'nobody' }), /not in the task array/);
});
