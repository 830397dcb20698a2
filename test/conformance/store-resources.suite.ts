/** What resources ask of a store: versions, items that are written on the version they were read at, and that go with their resource. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { ChangeSet, ItemWrite } from '../../src/core/changes.ts';
import { NOW } from './store-rows.ts';
import { failsWith, type SuiteContext } from './suite-context.ts';

const item = (key: string, fromVersion: number | null = null, body: string | null = '1', resource = 1): ItemWrite => ({ resource, key, fromVersion, body });

export const resourcesSuite = (t: SuiteContext): void => {
  const table = (incarnation = 1, id = 'r'): Promise<void> =>
    t.commit((c) => c.resources.push({ incarnation, id, kind: 'table', createdAt: NOW, fromVersion: null, body: '{"ä":1}' }));
  const keys = async (q: { prefix?: string; after?: string; limit?: number; resource?: number } = {}): Promise<string[]> =>
    (await t.store.items({ resource: 1, limit: 1000, ...q })).map((i) => i.key);
  /** What decides against a store that has moved on: a conflict, and of the rest of the commit nothing is written. */
  const refused = async (fill: (c: ChangeSet) => void): Promise<void> => {
    const everything = async (): Promise<unknown> => [
      await t.store.stoppedQueues(),
      await t.store.resources({ limit: 1000 }),
      await t.store.items({ resource: 1, limit: 1000 }),
    ];
    const before = await everything();
    await failsWith('conflict', () =>
      t.commit((c) => {
        c.planQueues.push({ taskType: 'written', stoppedAt: 1 });
        fill(c);
      }),
    );
    assert.deepEqual(await everything(), before);
  };

  describe('resources', () => {
    t.test('are made once, changed on a version, listed by kind in the order of their ids', async () => {
      await table(1, 'b');
      await table(2, 'a');
      await t.commit((c) => c.resources.push({ incarnation: 3, id: 'B', kind: 'feed', createdAt: NOW, fromVersion: null, body: 'null' }));
      await refused((c) => c.resources.push({ incarnation: 4, id: 'a', kind: 'table', createdAt: NOW, fromVersion: null, body: '1' }));
      await refused((c) => c.resources.push({ incarnation: 1, id: 'z', kind: 'table', createdAt: NOW, fromVersion: null, body: '1' }));
      await t.commit((c) => c.resources.push({ incarnation: 1, id: 'b', kind: 'table', createdAt: NOW, fromVersion: 1, body: '2' }));
      assert.deepEqual(await t.store.resource('b'), { incarnation: 1, id: 'b', kind: 'table', version: 2, createdAt: NOW, body: '2' });
      await refused((c) => c.resources.push({ incarnation: 1, id: 'b', kind: 'table', createdAt: NOW, fromVersion: 1, body: '3' }));
      await refused((c) => c.resources.push({ incarnation: 9, id: 'q', kind: 'table', createdAt: NOW, fromVersion: 1, body: '3' }));
      assert.equal(await t.store.resource('q'), null);
      const ids = async (q: { kind?: string; after?: string; limit?: number }): Promise<string[]> =>
        (await t.store.resources({ limit: 10, ...q })).map((r) => r.id);
      assert.deepEqual(await ids({}), ['B', 'a', 'b']);
      assert.deepEqual(await ids({ kind: 'table' }), ['a', 'b']);
      assert.deepEqual(await ids({ after: 'B', limit: 1 }), ['a']);
      assert.deepEqual(await ids({ kind: 'table', after: 'a' }), ['b']);
      assert.deepEqual(await ids({ kind: 'nothing' }), []);
    });

    t.test('a removal takes the items along; one made again under the name has none of them', async () => {
      await table(1);
      await table(2, 's');
      await t.commit((c) => c.items.push(item('a'), item('b'), item('a', null, '7', 2)));
      await t.commit((c) => c.resourceRemovals.push(1));
      assert.equal(await t.store.resource('r'), null);
      assert.deepEqual(await keys(), []);
      await table(3);
      assert.deepEqual(await keys({ resource: 3 }), []);
      assert.deepEqual(await t.store.items({ resource: 2, limit: 10 }), [{ key: 'a', version: 1, body: '7' }]);
      // Items of a resource that is gone are refused, and so are those of one that never was.
      await refused((c) => c.items.push(item('a')));
      await refused((c) => c.items.push(item('a', null, '1', 99)));
      // Written and removed in one commit: removed.
      await t.commit((c) => {
        c.items.push(item('x', null, '1', 3));
        c.resourceRemovals.push(3);
      });
      assert.deepEqual(await keys({ resource: 3 }), []);
    });

    t.test('items: made, changed and removed on the version they were read at, all or none (I3)', async () => {
      await table();
      await t.commit((c) => c.items.push(item('a'), item('b', null, '"ü\\u0000"'), item('c')));
      await t.commit((c) => c.items.push(item('a', 1, '2'), item('b', 1, null)));
      assert.deepEqual(await t.store.items({ resource: 1, limit: 10 }), [
        { key: 'a', version: 2, body: '2' },
        { key: 'c', version: 1, body: '1' },
      ]);
      await refused((c) => c.items.push(item('d'), item('a')));
      await refused((c) => c.items.push(item('d'), item('a', 1, '3')));
      await refused((c) => c.items.push(item('d'), item('a', 1, null)));
      await refused((c) => c.items.push(item('d'), item('b', 1, '3')));
      await refused((c) => c.items.push(item('c', 1, null), item('nothing', 1, null)));
      // Removed and made again, it begins anew.
      await t.commit((c) => c.items.push(item('b')));
      assert.deepEqual(await t.store.itemVersions({ resource: 1, keys: ['b', 'zzz', 'a', 'b'] }), [1, null, 2, 1]);
      assert.deepEqual(await t.store.itemVersions({ resource: 2, keys: ['a'] }), [null]);
      assert.deepEqual(await t.store.itemVersions({ resource: 1, keys: [] }), []);
    });

    t.test('items by prefix, after a key, in the order of their code points, whatever they are called', async () => {
      const odd = [
        '%',
        '%a',
        '_',
        '_a',
        'a',
        'a%',
        'a/1',
        'a/10',
        'a/2',
        'a0',
        'a_',
        'A',
        '*',
        '?',
        '[a]',
        "'",
        '"',
        '\\',
        'ä',
        'ß',
        'é',
        '\uffff',
        '\u{1f600}',
        '\u{1f600}/x',
        ' ',
        '\t',
      ];
      await table();
      await t.commit((c) => c.items.push(...odd.map((key) => item(key))));
      const order = odd.toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
      assert.deepEqual(await keys(), order);
      for (const prefix of odd)
        assert.deepEqual(
          await keys({ prefix }),
          order.filter((k) => k.startsWith(prefix)),
          `prefix ${JSON.stringify(prefix)}`,
        );
      for (const [i, after] of order.entries()) assert.deepEqual(await keys({ after, limit: 3 }), order.slice(i + 1, i + 4), `after ${JSON.stringify(after)}`);
      assert.deepEqual(await keys({ prefix: 'a/', after: 'a/1' }), ['a/10', 'a/2']);
      assert.deepEqual(await keys({ prefix: 'a/', after: 'A' }), ['a/1', 'a/10', 'a/2']);
      assert.deepEqual(await keys({ prefix: 'a/', after: 'b' }), []);
      assert.deepEqual(
        await t.store.itemVersions({ resource: 1, keys: odd }),
        odd.map(() => 1),
      );
    });
  });
};
