import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ItemRevisions } from '../../src/engine/plans/item-revisions.ts';

const looked = (r: ItemRevisions, resource: number, ...keys: string[]) => ({
  resource,
  revision: r.of(resource),
  writes: keys.map((key) => ({ resource, key, fromVersion: null, body: '{}' })),
});

test('what was looked up is void when one of its keys changed since, and only then', () => {
  const r = new ItemRevisions();
  const ab = looked(r, 1, 'a', 'b');
  assert.ok(r.fresh(ab));
  r.changed(1, ['c']);
  r.changed(2, ['a']);
  assert.ok(r.fresh(ab), 'other keys, other resources');
  const later = looked(r, 1, 'b');
  r.changed(1, ['b']);
  assert.ok(!r.fresh(ab));
  assert.ok(!r.fresh(later));
  assert.ok(r.fresh(looked(r, 1, 'a', 'b')));
});

test('a removed resource voids everything', () => {
  const r = new ItemRevisions();
  const before = looked(r, 1, 'a');
  r.dropped(1);
  assert.ok(!r.fresh(before));
});

test('what is forgotten counts as changed, never as unchanged', () => {
  const r = new ItemRevisions();
  r.changed(1, ['old']);
  const before = looked(r, 1, 'old', 'never');
  r.changed(1, ['old']);
  for (let i = 0; i < 30; i++)
    r.changed(
      1,
      Array.from({ length: 1000 }, (_, k) => `k${i}-${k}`),
    );
  assert.ok(!r.fresh(before));
  assert.ok(r.fresh(looked(r, 1, 'old', 'never')));
});
