import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergeInputs } from '../../src/core/merge-inputs.ts';

const cases: [what: string, own: unknown, deps: [string, unknown][], merged: unknown][] = [
  ['a dependency wins over the own inputs', { x: 1 }, [['A', { x: 2, y: 3 }]], { x: 2, y: 3 }],
  [
    'the later dependency wins',
    {},
    [
      ['A', { y: 1, a: 1 }],
      ['B', { y: 2 }],
    ],
    { y: 2, a: 1 },
  ],
  ['what stands under result is unwrapped and the rest is left out', {}, [['A', { result: { k: 1 }, meta: 2 }]], { k: 1 }],
  ['an array stands under its name', { x: 1 }, [['A', [1]]], { x: 1, A: [1] }],
  [
    'so do text, numbers and flags, falsy ones too',
    {},
    [
      ['A', 'x'],
      ['B', 0],
      ['C', false],
      ['D', ''],
    ],
    { A: 'x', B: 0, C: false, D: '' },
  ],
  ['an unwrapped array stands under its name', {}, [['A', { result: [1] }]], { A: [1] }],
  ['an unwrapped null stands under its name', {}, [['A', { result: null }]], { A: null }],
  ['null contributes nothing', { A: 1 }, [['A', null]], { A: 1 }],
  ['inputs that are no object count as none', 3, [['A', { a: 1 }]], { a: 1 }],
  ['an inherited result is no wrapper', {}, [['A', Object.create({ result: 1 }, { a: { value: 2, enumerable: true } })]], { a: 2 }],
];
for (const [what, own, deps, merged] of cases) test(what, () => assert.deepEqual(mergeInputs(own, deps), merged));

test('the stored inputs stay as they are', () => {
  const own = Object.freeze({ x: 1 });
  const merged = mergeInputs(own, [['A', { x: 2 }]]);
  assert.deepEqual(own, { x: 1 });
  assert.ok(Object.isFrozen(merged));
});
