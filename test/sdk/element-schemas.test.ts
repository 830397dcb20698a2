/** The input schema of an element that no inputs could be held against is refused with the tree, as that of a handler is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TreeElement } from '../../src/core/tree-element.ts';
import { Tutti } from '../../src/main.ts';

const BAD: [schema: object, why: RegExp][] = [
  [{ type: 'text' }, /type must be/],
  [{ $ref: '#/nowhere' }, /nowhere/],
  [{ required: 'a' }, /required must be array/],
  [{ $async: true }, /\$async is not supported/],
];

test('an input_schema that cannot be used is refused at submission, by field, and nothing is stored', async (t) => {
  const tutti = await Tutti.open({ store: ':memory:', logger: () => {}, handlers: { work: () => 1 } });
  t.after(() => tutti.close());
  const elements = (schema: object): TreeElement[] => [
    { name: 'root', handler: 'work', children: [{ name: 'a', handler: 'work', schemas: { input_schema: schema } }] },
  ];
  const field = '[0].children[0].schemas.input_schema';
  const fine = await tutti.submitTree(elements({ type: 'object', properties: { n: { $ref: '#/$defs/n' } }, $defs: { n: { type: 'number' } } }));
  await fine.result();
  for (const [schema, why] of BAD) {
    await assert.rejects(tutti.submitTree(elements(schema)), { code: 'INVALID_INPUT', field, message: why }, JSON.stringify(schema));
  }
  assert.equal((await tutti.list({})).tasks.length, 1);
});
