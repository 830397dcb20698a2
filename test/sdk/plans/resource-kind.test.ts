import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isTuttiError } from '../../../src/core/errors.ts';
import type { Resource, Resources } from '../../../src/engine/resource-port.ts';
import { defineResourceKind, isResourceKind, type ResourceKindOptions, resourceKindOf } from '../../../src/sdk/plans/resource-kind.ts';

/** A store with one record: `orders`, of kind `feed`. */
const resources = (): Resources => ({ get: (id: string) => Promise.resolve(id === 'orders' ? ({ id, kind: 'feed' } as Resource) : null) }) as Resources;

describe('a kind of resources', () => {
  test('of which no more than the name is said has those that are stored under it', async () => {
    const kind = resourceKindOf(defineResourceKind({ name: 'feed' }), resources);
    assert.deepEqual([await kind.exists('orders'), await kind.exists('other')], [true, false]);
    assert.deepEqual([await kind.expand('orders'), await kind.expand('other')], [['orders'], []]);
    assert.equal(await resourceKindOf(defineResourceKind({ name: 'other' }), resources).exists('orders'), false);
    assert.equal(kind.settings, undefined);
  });

  test('that says what exists expands names by that; its functions keep their object, also of a class', async () => {
    class Buckets implements ResourceKindOptions {
      readonly name = 'bucket';
      readonly known = ['a'];
      exists(id: string): boolean {
        return this.known.includes(id);
      }
      settings(_: string, type: string): Record<string, string> {
        return { of: `${this.known[0]} ${type}` };
      }
    }
    const definition = defineResourceKind(new Buckets());
    assert.ok(isResourceKind(definition));
    const kind = resourceKindOf(definition, resources);
    assert.deepEqual([kind.name, await kind.exists('a'), await kind.expand('a'), await kind.expand('b')], ['bucket', true, ['a'], []]);
    assert.deepEqual(await kind.settings?.('a', 'T'), { of: 'a T' });
  });

  test('throwing is not "no": it is passed on', async () => {
    const kind = resourceKindOf(defineResourceKind({ name: 'far', exists: () => Promise.reject(new Error('no route')) }), resources);
    await assert.rejects(Promise.resolve(kind.exists('a')), /no route/);
    await assert.rejects(Promise.resolve(kind.expand('a')), /no route/);
  });

  for (const [what, kind, field, says] of [
    ['nothing', null, 'resourceKinds', /must be an object, not null/],
    ['no name', {}, 'name', /resource kind nothing: name must be/],
    ['a name with a blank', { name: 'a b' }, 'name', /resource kind "a b": name must be/],
    ['a slip of the pen', { name: 'a', exist: () => true }, 'exist', /exist is nothing that a resource kind has; did you mean exists\?/],
    ['a function that is a list', { name: 'a', exists: ['a'] }, 'exists', /exists must be a function, not a list/],
  ] as const) {
    test(`with ${what} is refused`, () => {
      assert.throws(
        () => defineResourceKind(kind as never),
        (e) => isTuttiError(e) && e.code === 'INVALID_INPUT' && e.field === field && says.test(e.message),
      );
    });
  }
});
