import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TASK_STATES } from '../../src/core/task-states.ts';
import type { ListRequest } from '../../src/engine/views.ts';
import { fakeServer } from './fake-server.ts';

test('pages by cursor, 25 at a time by default, with a Link to the next', async () => {
  await using s = await fakeServer();
  for (let i = 0; i < 30; i++) await s.create();
  const first = await s.ask('/v1/tasks');
  assert.equal(first.json.tasks.length, 25);
  assert.deepEqual(first.json.pagination, {
    page: 1,
    per_page: 25,
    total_count: 30,
    total_count_capped: false,
    total_pages: 2,
    has_next: true,
    has_previous: false,
  });
  const [, next] = /^<(.*)>; rel="next"$/.exec(first.headers.link as string)!;
  assert.equal(next, `/v1/tasks?cursor=${first.json.next_cursor}`);
  const second = await s.ask(next);
  assert.equal(second.json.tasks.length, 5);
  assert.equal(second.json.pagination, null, 'what follows a cursor is not counted');
  assert.equal(second.json.next_cursor, null);
  assert.equal(second.headers.link, undefined);
  const ids = [...first.json.tasks, ...second.json.tasks].map((t: { task_uuid: string }) => t.task_uuid);
  assert.equal(new Set(ids).size, 30);
});

test('limit without a cursor is the size of page 1', async () => {
  await using s = await fakeServer();
  for (let i = 0; i < 3; i++) await s.create();
  const { json, headers } = await s.ask('/v1/tasks?limit=2');
  assert.deepEqual([json.tasks.length, json.pagination.per_page, json.pagination.total_count], [2, 2, 3]);
  assert.equal(headers.link, `</v1/tasks?limit=2&cursor=${json.next_cursor}>; rel="next"`);
});

test('page 2 of 30 by tens has neighbours (row 85)', async () => {
  await using s = await fakeServer();
  for (let i = 0; i < 30; i++) await s.create();
  const { json, headers } = await s.ask('/v1/tasks?page=2&per_page=10&namespace=orders');
  assert.equal(json.tasks.length, 10);
  assert.deepEqual(json.pagination, {
    page: 2,
    per_page: 10,
    total_count: 30,
    total_count_capped: false,
    total_pages: 3,
    has_next: true,
    has_previous: true,
  });
  assert.equal(headers.link, '</v1/tasks?page=3&per_page=10&namespace=orders>; rel="next", </v1/tasks?page=1&per_page=10&namespace=orders>; rel="prev"');
});

test('a task in a list has no steps and no context', async () => {
  await using s = await fakeServer();
  await s.create();
  const { json } = await s.ask('/v1/tasks');
  assert.equal('steps' in json.tasks[0] || 'context' in json.tasks[0], false);
});

for (const [query, field] of [
  ['per_page=0', 'per_page'],
  ['per_page=101', 'per_page'],
  ['page=0', 'page'],
  ['page=x', 'page'],
  ['limit=101', 'limit'],
  ['limit=0', 'limit'],
  ['limit=', 'limit'],
  ['limit=1e1', 'limit'],
  ['limit=0x10', 'limit'],
  ['limit=%2010', 'limit'],
  ['limit=10.0', 'limit'],
  ['page=%2B1', 'page'],
  ['status=completed', 'status'],
  ['stauts=error', 'stauts'],
  ['cursor=', 'cursor'],
  ['page=1&cursor=c1', 'cursor'],
  ['page=1&limit=5', 'limit'],
  ['namespace=a&namespace=b', 'namespace'],
] as const) {
  test(`400 naming ${field}: ?${query} (row 86)`, async () => {
    await using s = await fakeServer();
    const { status, json } = await s.ask(`/v1/tasks?${query}`);
    assert.equal(status, 400);
    assert.equal(json.error.code, 'INVALID_INPUT');
    assert.equal(json.error.field, field);
  });
}

test('a cursor from elsewhere is INVALID_CURSOR', async () => {
  await using s = await fakeServer();
  const { status, json } = await s.ask('/v1/tasks?cursor=zzz');
  assert.equal(status, 400);
  assert.equal(json.error.code, 'INVALID_CURSOR');
});

test('filters reach the engine; status is any of twelve, repeated or with commas', async () => {
  await using s = await fakeServer();
  await s.ask('/v1/tasks?namespace=n&name=m&version=1&initiator=i&source_system=s&tag=t&key=k&status=error,complete&status=pending&limit=7&cursor=c0');
  assert.deepEqual(s.engine.calls.at(-1)!.args, {
    namespace: 'n',
    name: 'm',
    version: '1',
    initiator: 'i',
    sourceSystem: 's',
    tag: 't',
    key: 'k',
    states: ['error', 'complete', 'pending'],
    limit: 7,
    cursor: 'c0',
  });
  for (const state of TASK_STATES) {
    assert.equal((await s.ask(`/v1/tasks?status=${state}`)).status, 200);
    assert.deepEqual((s.engine.calls.at(-1)!.args as ListRequest).states, [state]);
  }
});
