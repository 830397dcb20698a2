import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { editDistance, nearestName } from '../../src/core/nearest-name.ts';

test('counts inserts, deletions, replacements and swaps of neighbours', () => {
  for (const [a, b, n] of [
    ['', '', 0],
    ['port', 'port', 0],
    ['prot', 'port', 1],
    ['por', 'port', 1],
    ['ports', 'port', 1],
    ['pert', 'port', 1],
    ['', 'abc', 3],
    ['host', 'port', 2],
  ] as const) {
    assert.equal(editDistance(a, b), n, `${a} ${b}`);
  }
});

test('the distance is symmetric, zero only for equal words, and at most the longer length', () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      const d = editDistance(a, b);
      assert.equal(d, editDistance(b, a));
      assert.equal(d === 0, a === b);
      assert.ok(d <= Math.max(a.length, b.length) && d >= Math.abs(a.length - b.length));
    }),
  );
});

test('suggests what is near and nothing that is far', () => {
  const names = ['enabled', 'host', 'port', 'api_keys'];
  assert.equal(nearestName('prot', names), 'port');
  assert.equal(nearestName('api-key', names), 'api_keys');
  assert.equal(nearestName('Enabled', names), 'enabled');
  assert.equal(nearestName('retries', names), null);
});

test('a long name is compared with short ones at once: it may be the name of a stranger', () => {
  const begun = process.cpuUsage();
  const long = 'k'.repeat(1_000_000);
  assert.deepEqual([nearestName(long, ['channel_size', 'k']), nearestName(`${long}_channel_size`, ['port', 'channel_size'])], [null, 'channel_size']);
  assert.ok(process.cpuUsage(begun).user < 1_000_000);
});
