import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { isTuttiError } from '../../src/core/errors.ts';
import { checkContext, parseFrozen, serialise, utf8Length } from '../../src/core/values.ts';

function refusal(
  value: unknown,
  o?: Parameters<typeof serialise>[1],
): { code: string; field: string; message: string; details: Record<string, unknown> | undefined } {
  try {
    serialise(value, o);
  } catch (e) {
    assert.ok(isTuttiError(e), String(e));
    return { code: e.code, field: e.field ?? '', message: e.message, details: e.details };
  }
  return assert.fail('it was stored');
}

/** The rule again, in its plainest words. */
function canBeKept(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\u0000');
  if (typeof value === 'number') return Number.isFinite(value) && (!Number.isInteger(value) || Math.abs(value) < 2 ** 53);
  if (Array.isArray(value)) return value.every(canBeKept);
  if (typeof value === 'object' && value !== null) return Object.entries(value).every(([k, v]) => k !== '__proto__' && canBeKept(k) && canBeKept(v));
  return true;
}

const nested = (depth: number): unknown => Array.from({ length: depth }).reduce<unknown>((inner) => ({ inner }), 1);

describe('serialise', () => {
  test('gives what JSON.stringify gives for what can be kept, and refuses the rest', () => {
    const numbers = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(2 ** 53 - 1, 2 ** 53, -(2 ** 53), -0));
    const strings = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\u0000', '\ud800', '\\u0000', '__proto__', '\u0007'));
    const { value: values } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, numbers, strings, fc.boolean(), fc.constant(null), tie('list'), tie('object')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      object: fc.array(fc.tuple(strings, tie('value')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
    }));
    let refusals = 0;
    fc.assert(
      fc.property(values, (value) => {
        if (canBeKept(value)) assert.equal(serialise(value), JSON.stringify(value));
        else {
          refusals++;
          assert.equal(refusal(value).code, 'UNSTORABLE_VALUE');
        }
      }),
      { numRuns: 500 },
    );
    assert.ok(refusals > 20);
  });

  test('a plain value and the same value through the exact pass have equal text', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        let plain: string | null = null;
        try {
          plain = serialise({ value, mark: '' });
        } catch {}
        // The escape sends the whole value through the exact pass.
        let exact: string | null = null;
        try {
          exact = serialise({ value, mark: '\u0001' });
        } catch {}
        assert.equal(plain, exact === null ? null : exact.replace(/"mark":"\\u0001"\}$/, '"mark":""}'));
      }),
    );
  });

  test('undefined is null at the top and in arrays, and absent in objects', () => {
    assert.equal(serialise(undefined), 'null');
    assert.equal(serialise([1, undefined, 3]), '[1,null,3]');
    assert.equal(serialise({ a: undefined, b: 1 }), '{"b":1}');
    assert.equal(serialise({ a: undefined, at: new Date(0) }), '{"at":"1970-01-01T00:00:00.000Z"}');
  });

  test('toJSON is asked once and its answer is judged too', () => {
    let asked = 0;
    const value = { toJSON: () => (asked++, { n: 1 }) };
    assert.equal(serialise({ value }), '{"value":{"n":1}}');
    assert.equal(asked, 1);
    assert.equal(refusal({ a: { toJSON: () => ({ deep: [Number.NaN] }) } }).field, 'value.a.deep[0]');
    assert.equal(serialise({ toJSON: () => undefined }), 'null');
    assert.match(
      refusal({
        a: {
          toJSON: () => {
            throw new Error('no');
          },
        },
      }).message,
      /cannot be read: no/,
    );
  });

  const cases: [what: string, value: unknown, field: string, says: RegExp][] = [
    ['NaN', { a: [1, Number.NaN] }, 'value.a[1]', /NaN/],
    ['Infinity', -Infinity, 'value', /Infinity/],
    ['an integer of 2^53', { n: 2 ** 53 }, 'value.n', /2\^53/],
    ['a large float that is an integer', [1e300], 'value[0]', /2\^53/],
    ['U+0000', { s: 'a\u0000b' }, 'value.s', /U\+0000/],
    ['U+0000 in a key', { 'a\u0000': 1 }, 'value["a\\u0000"]', /key/],
    ['a lone surrogate', ['x', '\ud800'], 'value[1]', /surrogate/],
    ['a BigInt', { n: 1n }, 'value.n', /BigInt/],
    ['a function', { f: () => 1 }, 'value.f', /function/],
    ['a symbol', [Symbol('s')], 'value[0]', /symbol/],
    ['a Map', { m: new Map([[1, 2]]) }, 'value.m', /Map/],
    ['a Set', new Set([1]), 'value', /Set/],
    ['a Map of another realm', runInNewContext('({ m: new Map() })'), 'value.m', /Map/],
    ['a promise', { p: Promise.resolve(1) }, 'value.p', /await/],
    ['an error', { e: new Error('x') }, 'value.e', /message/],
    ['a typed array', { b: new Uint8Array(2) }, 'value.b', /base64/],
    ['an invalid date', { at: new Date(Number.NaN) }, 'value.at', /invalid date/],
    ['an own __proto__', JSON.parse('{"a":{"__proto__":{"x":1}}}'), 'value.a.__proto__', /__proto__/],
    ['501 levels', nested(501), `value${'.inner'.repeat(500)}`, /deeper than 500/],
    [
      'a getter that throws',
      {
        get x() {
          throw new Error('boom');
        },
      },
      'value',
      /boom/,
    ],
  ];
  for (const [what, value, field, says] of cases) {
    test(`refuses ${what} and names where it is`, () => {
      const e = refusal(value);
      assert.equal(e.code, 'UNSTORABLE_VALUE');
      assert.equal(e.field, field);
      assert.match(e.message, says);
    });
  }

  test('refuses cycles, and takes one object twice side by side', () => {
    const loop: { self?: unknown } = {};
    loop.self = [loop];
    assert.equal(refusal(loop).field, 'value.self[0]');
    const shared = { n: 1 };
    assert.equal(serialise([shared, shared, new Date(0)]), '[{"n":1},{"n":1},"1970-01-01T00:00:00.000Z"]');
  });

  test('keeps what only looks forbidden', () => {
    const value = { text: 'the text \\u0000 and "__proto__"', big: 2 ** 53 - 1, half: 0.5, tiny: 1e-300, pair: '😀', tab: '\u0001' };
    assert.deepEqual(parseFrozen(serialise(value)), value);
    assert.equal(serialise(nested(499)), JSON.stringify(nested(499)));
    assert.equal(serialise(Object.assign(Object.create(null), { a: 1 })), '{"a":1}');
  });

  test('measures bytes of UTF-8, not characters', () => {
    assert.equal(serialise('é'.repeat(4), { maxBytes: 10 }), '"éééé"');
    const e = refusal('é'.repeat(5), { maxBytes: 11, name: 'result' });
    assert.deepEqual([e.code, e.field, e.details], ['VALUE_TOO_LARGE', 'result', { limit: 11, bytes: 12 }]);
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (s) => assert.equal(utf8Length(s), Buffer.byteLength(s))));
  });

  test('gives up on what is too large before it is written', () => {
    const bomb = Array.from({ length: 40 }).reduce<unknown>((inner) => [inner, inner], 'x');
    assert.equal(refusal(bomb).code, 'VALUE_TOO_LARGE');
    assert.equal(refusal(Array.from({ length: 100 }, () => 'x'.repeat(20_000))).code, 'VALUE_TOO_LARGE');
    assert.equal(refusal(new Date(0), { maxBytes: 5 }).code, 'VALUE_TOO_LARGE');
  });
});

test('parseFrozen freezes all the way down', () => {
  const value = parseFrozen('{"a":[{"b":1}],"c":null}') as { a: { b: number }[] };
  assert.throws(() => value.a.push({ b: 2 }), TypeError);
  assert.throws(() => void (value.a[0].b = 2), TypeError);
  assert.equal(parseFrozen('3'), 3);
});

describe('checkContext', () => {
  const refused = (value: unknown): { code: string; field: string } => {
    try {
      checkContext(value);
    } catch (e) {
      assert.ok(isTuttiError(e));
      return { code: e.code, field: e.field ?? '' };
    }
    return assert.fail('it was accepted');
  };
  // spec row 74: not an object, above 1 MiB, more than 10 levels, a string above 10,000 characters
  test('row 74: refuses what is no object or above a limit, with the path', () => {
    for (const value of [null, undefined, 3, 'x', [1]]) assert.deepEqual(refused(value), { code: 'INVALID_INPUT', field: 'context' });
    assert.deepEqual(refused(nested(11)), { code: 'INVALID_INPUT', field: `context${'.inner'.repeat(10)}` });
    assert.deepEqual(refused({ a: { s: 'x'.repeat(10_001) } }), { code: 'INVALID_INPUT', field: 'context.a.s' });
    assert.deepEqual(refused({ items: Array.from({ length: 1001 }, () => 0) }), { code: 'INVALID_INPUT', field: 'context.items' });
    assert.deepEqual(refused({ many: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`k${i}`, 0])) }), {
      code: 'INVALID_INPUT',
      field: 'context.many',
    });
    assert.deepEqual(refused({ a: Array.from({ length: 1000 }, () => 'x'.repeat(1100)) }), { code: 'INVALID_INPUT', field: 'context' });
    assert.deepEqual(refused({ n: 1n }), { code: 'UNSTORABLE_VALUE', field: 'context.n' });
  });
  test('what is an object until it is written down is judged by what is written', () => {
    const odd = [new Date(0), { toJSON: () => [1] }, { toJSON: () => null }, Object('x'), Object(5), Object(true)];
    for (const value of odd) assert.deepEqual(refused(value), { code: 'INVALID_INPUT', field: 'context' });
    assert.throws(() => checkContext(new Date(0), { name: 'inputs' }), { message: 'inputs must be a JSON object, not a string' });
    assert.equal(checkContext({ toJSON: () => ({ a: 1 }) }), '{"a":1}');
  });
  test('takes what is at the limit', () => {
    assert.equal(checkContext(nested(10)), JSON.stringify(nested(10)));
    checkContext({ s: 'x'.repeat(10_000), items: Array.from({ length: 1000 }, () => 0) });
  });
  test('a cycle is an answer, not a crash', () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    assert.deepEqual(refused(loop), { code: 'UNSTORABLE_VALUE', field: 'context.self' });
  });
});
