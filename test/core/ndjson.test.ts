import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NdjsonSplitter } from '../../src/core/ndjson.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('lines come out as they end, blank ones are counted and skipped', () => {
  const lines = new NdjsonSplitter();
  assert.deepEqual(lines.push('{"a":'), []);
  assert.deepEqual(lines.push('1}\r\n\n  \n{"b":2}\n{"c"'), [
    { no: 1, text: '{"a":1}' },
    { no: 4, text: '{"b":2}' },
  ]);
  assert.deepEqual(lines.push(bytes(':3}')), []);
  assert.deepEqual(lines.end(), [{ no: 5, text: '{"c":3}' }]);
  assert.deepEqual(lines.end(), []);
});

test('cut anywhere, even inside a character, the lines are the same', () => {
  const text = '{"n":"é"}\n{"n":"日本"}\r\n\n{"n":"🎼🎼"}\n{"last":"ø"}';
  const whole = bytes(text);
  const expected = [
    { no: 1, text: '{"n":"é"}' },
    { no: 2, text: '{"n":"日本"}' },
    { no: 4, text: '{"n":"🎼🎼"}' },
    { no: 5, text: '{"last":"ø"}' },
  ];
  for (let seed = 1; seed <= 500; seed++) {
    const random = new SeededRandom(seed);
    const lines = new NdjsonSplitter();
    const found = [];
    for (let at = 0; at < whole.length; ) {
      const to = Math.min(whole.length, at + random.int(1, 7));
      found.push(...lines.push(whole.subarray(at, to)));
      at = to;
    }
    found.push(...lines.end());
    assert.deepEqual(found, expected, `seed ${seed}`);
  }
});

test('a line may be as long as the limit, ended or not, and no longer', () => {
  const limit = { maxLine: 5 };
  assert.deepEqual(new NdjsonSplitter(limit).push('12345\r\n'), [{ no: 1, text: '12345' }]);
  const cut = new NdjsonSplitter(limit);
  assert.deepEqual([...cut.push('12345'), ...cut.push('\r'), ...cut.push('\n')], [{ no: 1, text: '12345' }]);
  const tooLong = { code: 'VALUE_TOO_LARGE', message: 'line 2 is longer than 5 characters' };
  assert.throws(() => new NdjsonSplitter(limit).push('1\n123456\n'), tooLong);
  const open = new NdjsonSplitter(limit);
  open.push('1\n');
  assert.throws(() => open.push('1234567'), tooLong, 'it is not waited for its end');
  const last = new NdjsonSplitter(limit);
  last.push('1\n123456');
  assert.throws(() => last.end(), tooLong);
});

test('what is not UTF-8 is refused, also when it is cut short', () => {
  const lines = new NdjsonSplitter();
  lines.push('{}\n');
  assert.throws(() => lines.push(Uint8Array.of(0x22, 0xff, 0x0a)), { code: 'INVALID_JSON', message: /after line 1 / });
  const cut = new NdjsonSplitter();
  cut.push(bytes('é').subarray(0, 1));
  assert.throws(() => cut.end(), { code: 'INVALID_JSON', message: 'the body is not UTF-8' });
});
