import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions, UsageError } from '../../bench/options.ts';

const KNOWN = ['chain', 'drain'];

test('without options everything is measured in full', () => {
  const o = parseOptions([], KNOWN);
  assert.deepEqual([o.size, o.only, o.json, o.strict, o.slots, o.repetitions, o.profile], ['full', null, false, false, null, null, null]);
});

test('--only takes several names, in one option or more', () => {
  assert.deepEqual(parseOptions(['--only', 'chain, drain'], KNOWN).only, ['chain', 'drain']);
  assert.deepEqual(parseOptions(['--only', 'chain', '--only', 'drain'], KNOWN).only, ['chain', 'drain']);
});

for (const argv of [['--only', 'chian'], ['--slots', '0'], ['--slots', 'many'], ['--repetitions', '1.5'], ['--fast'], ['chain']]) {
  test(`refused: ${argv.join(' ')}`, () => {
    assert.throws(() => parseOptions(argv, KNOWN), UsageError);
  });
}
