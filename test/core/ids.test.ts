import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isUuid, nextTaskId, parseUuid, stepUuid, TAG_LIMIT, taskUuid } from '../../src/core/ids.ts';

const tags = fc.integer({ min: 0, max: TAG_LIMIT - 1 });
const ids = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

test('ids survive the way to a UUIDv7 and back', () => {
  fc.assert(
    fc.property(ids, tags, fc.integer({ min: 0, max: 2 ** 24 - 3 }), (id, tag, no) => {
      const task = taskUuid(id, tag);
      const step = stepUuid(id, no, tag);
      assert.match(task, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      assert.match(step, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      assert.deepEqual(parseUuid(task, tag), { task: id, no: -1 });
      assert.deepEqual(parseUuid(step.toUpperCase(), tag), { task: id, no });
      assert.notEqual(task, step);
    }),
  );
});

test('a UUID of another store, or no UUID, stands for nothing here', () => {
  fc.assert(
    fc.property(ids, tags, tags, (id, a, b) => {
      if (a !== b) assert.equal(parseUuid(taskUuid(id, a), b), null);
    }),
  );
  for (const text of ['', 'x', '01a1fd43-3919-4000-a30c-634c5dbc4e2a', '00000000-0000-7000-8000-000000000000', taskUuid(5, 7).slice(1)])
    assert.equal(parseUuid(text, 7), null, text);
  assert.ok(isUuid('01A1FD43-3919-4000-A30C-634C5DBC4E2A'));
  assert.ok(!isUuid('01a1fd43-3919-4000-a30c-634c5dbc4e2ag'));
});

test('ids grow whatever the clock does, and sort by time as UUIDs', () => {
  const now = 1_800_000_000_000;
  const a = nextTaskId(0, now);
  const b = nextTaskId(a, now);
  const c = nextTaskId(b, now - 60_000);
  const d = nextTaskId(c, now + 1);
  assert.ok(a < b && b < c && c < d);
  const texts = [a, b, c, d].map((id) => taskUuid(id, 99));
  assert.deepEqual([...texts].sort(), texts);
});
