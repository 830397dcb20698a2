/** A number in an address is written out in digits, on every route that takes one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HANDLER_NAMES, ROUTES, type Route } from '../../src/contract/routes.ts';

const takesNumbers = HANDLER_NAMES.flatMap((name) => {
  const { query }: Route = ROUTES[name];
  return Object.entries(query.shape)
    .filter(([, schema]) => typeof schema.safeParse('1', undefined).data === 'number')
    .map(([field, schema]) => [`${name} ?${field}`, schema] as const);
});

test('there are routes that take numbers', () => assert.ok(takesNumbers.length > 10));

for (const [what, schema] of takesNumbers) {
  test(`${what} takes 1 and refuses 1e0, 0x1, " 1", +1, 1.0, 1_0 and nothing`, () => {
    assert.equal(schema.safeParse('1', undefined).data, 1);
    for (const text of ['1e0', '0x1', ' 1', '1 ', '+1', '1.0', '1_0', '', '9007199254740993', ['1', '1']]) {
      const { error } = schema.safeParse(text, undefined);
      assert.match(error?.issues[0].message ?? `${JSON.stringify(text)} was taken`, /^must be an integer from \d+ to \d+, in digits$/);
    }
  });
}
