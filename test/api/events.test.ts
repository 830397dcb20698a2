import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { TuttiError } from '../../src/core/errors.ts';
import { openEvents, type SseEvent } from '../support/http-client.ts';
import { fakeServer, type FakeServer } from './fake-server.ts';

const all = async (events: AsyncIterable<SseEvent>): Promise<SseEvent[]> => Array.fromAsync(events);
/** Ends when it is so; the test runner's limit is the deadline. */
const until = async (so: () => boolean): Promise<void> => {
  while (!so()) await turn();
};
const streams = async (s: FakeServer): Promise<number> => Number(/^tutti_http_streams (\d+)$/m.exec((await s.ask('/metrics')).text)![1]);

test('events from the beginning, then live ones, and the end after the last', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  const stream = await openEvents(`${s.url}/v1/tasks/${id}/events`);
  assert.equal(stream.response.headers['content-type'], 'text/event-stream; charset=utf-8');
  assert.equal(stream.response.headers['x-content-type-options'], 'nosniff');
  const seen = all(stream);
  await until(() => s.engine.waiting === 1);
  s.engine.emit(id, 'step.state', { step: 'validate', state: 'in_progress' });
  s.engine.end(id, 'complete');
  const events = await seen;
  assert.deepEqual(
    events.map((e) => [e.id, e.event, e.data.seq]),
    [
      ['1', 'task.state', 1],
      ['2', 'step.state', 2],
      ['3', 'task.state', 3],
    ],
  );
  assert.deepEqual(events[1].data, {
    at: '2026-01-01T00:00:00.001Z',
    type: 'step.state',
    task_uuid: id,
    data: { step: 'validate', state: 'in_progress' },
    seq: 2,
  });
  assert.equal(events[2].data.last, true);
});

test('resumes after Last-Event-ID or ?after, the header first', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  for (let i = 0; i < 5; i++) s.engine.emit(id, 'step.state', { i });
  s.engine.end(id, 'complete');
  const url = `${s.url}/v1/tasks/${id}/events`;
  const ids = async (u: string, headers?: Record<string, string>): Promise<(string | undefined)[]> =>
    (await all(await openEvents(u, headers))).map((e) => e.id);
  assert.deepEqual(await ids(url, { 'last-event-id': '4' }), ['5', '6', '7']);
  assert.deepEqual(await ids(`${url}?after=5`), ['6', '7']);
  assert.deepEqual(await ids(`${url}?after=5`, { 'last-event-id': '6' }), ['7']);
  assert.deepEqual((await ids(url, { 'last-event-id': '' })).length, 7);
});

test('204 when nothing is left, so that an EventSource stops coming back', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  s.engine.end(id, 'complete');
  assert.equal((await openEvents(`${s.url}/v1/tasks/${id}/events`, { 'last-event-id': '2' })).status, 204);
});

test('a cursor that is no number, or beyond the log, is 400; one older than what is kept 410', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  for (const [path, headers, field] of [
    ['', { 'last-event-id': 'abc' }, 'Last-Event-ID'],
    ['', { 'last-event-id': '-1' }, 'Last-Event-ID'],
    ['?after=1.5', {}, 'after'],
    ['?after=99', {}, 'after'],
  ] as const) {
    const { status, json } = await s.ask(`/v1/tasks/${id}/events${path}`, { headers: headers as unknown as Record<string, string> });
    assert.equal(status, 400);
    assert.equal(json.error.code, 'INVALID_CURSOR');
    assert.equal(json.error.field, field);
  }
  s.engine.failures.set('events', new TuttiError('GONE', 'events before 50 are no longer kept'));
  assert.equal((await s.ask(`/v1/tasks/${id}/events`)).status, 410);
});

test('progress carries no id', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  const { events } = s.engine.tasks.get(id)!;
  events.push({ at: 0, type: 'step.progress', taskId: id, data: { fraction: 0.5 } });
  s.engine.end(id, 'complete');
  const [, progress] = await all(await openEvents(`${s.url}/v1/tasks/${id}/events`));
  assert.equal(progress.id, undefined);
  assert.equal(progress.event, 'step.progress');
});

test('a silent stream is kept open by comment lines', async () => {
  await using s = await fakeServer({ heartbeatMs: 20 });
  const id = await s.create();
  const stream = await openEvents(`${s.url}/v1/tasks/${id}/events`);
  const seen = all(stream);
  await until(() => stream.comments.length >= 3);
  s.engine.end(id, 'complete');
  assert.equal((await seen).length, 2);
});

test('a failure in the middle is an error event without the text of the defect', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  const events = s.engine.events.bind(s.engine);
  s.engine.events = async function* broken(task, o) {
    for await (const e of events(task, o)) {
      yield e;
      throw new Error('secret');
    }
  };
  const seen = await all(await openEvents(`${s.url}/v1/tasks/${id}/events`));
  assert.equal(seen[1].event, 'error');
  assert.equal(seen[1].data.error.code, 'INTERNAL');
  assert.doesNotMatch(JSON.stringify(seen), /secret/);
  assert.equal(s.log.length, 1);
});

test('a reader that stops reading stops the log: nothing piles up', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  const text = 'x'.repeat(10_000);
  for (let i = 0; i < 10_000; i++) s.engine.emit(id, 'step.state', { text });
  s.engine.end(id, 'complete');
  const stream = await openEvents(`${s.url}/v1/tasks/${id}/events`);
  stream.response.pause();
  let before = -1;
  // 100 MB are there to be sent; what is taken is what sockets hold.
  await until(() => {
    const same = before === s.engine.pulled && before > 0;
    before = s.engine.pulled;
    return same;
  });
  assert.ok(s.engine.pulled < 5000, `${s.engine.pulled} events were pulled for a reader that reads none`);
  assert.equal((await all(stream)).length, 10_002, 'and once it reads, it gets them all');
});

test('a reader that never reads again is let go', async () => {
  await using s = await fakeServer({ heartbeatMs: 20 });
  const id = await s.create();
  for (let i = 0; i < 5000; i++) s.engine.emit(id, 'step.state', { text: 'x'.repeat(10_000) });
  const socket = connect(Number(new URL(s.url).port), '127.0.0.1');
  socket.pause();
  socket.write(`GET /v1/tasks/${id}/events HTTP/1.1\r\nhost: x\r\n\r\n`);
  socket.on('error', () => {});
  await until(() => s.engine.pulled > 10);
  while ((await streams(s)) > 0) await turn();
  socket.destroy();
});

test('a client that leaves ends the stream in the engine', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  const stream = await openEvents(`${s.url}/v1/tasks/${id}/events`);
  await until(() => s.engine.waiting === 1);
  assert.equal(await streams(s), 1);
  stream.response.on('error', () => {});
  stream.close();
  await until(() => s.engine.waiting === 0);
  while ((await streams(s)) > 0) await turn();
});

test('closing the server ends its streams and waits for what is being answered', async () => {
  const s = await fakeServer();
  const id = await s.create();
  const stream = await openEvents(`${s.url}/v1/tasks/${id}/events`);
  const seen = all(stream);
  await until(() => s.engine.waiting === 1);
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  const list = s.engine.list.bind(s.engine);
  let enter = (): void => {};
  const asked = new Promise<void>((resolve) => (enter = resolve));
  s.engine.list = async (r) => {
    enter();
    await gate;
    return list(r);
  };
  let closed = false;
  // Keep-alive connections: one idle, one that becomes idle after the close has begun. Neither may hold it up.
  const [idle, busy] = [0, 0].map(() => connect(Number(new URL(s.url).port), '127.0.0.1'));
  idle.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(idle, 'data');
  let text = '';
  busy.on('data', (d) => (text += String(d)));
  busy.write('GET /v1/tasks HTTP/1.1\r\nhost: x\r\n\r\n');
  const left = once(busy, 'close');
  await asked;
  const closing = s.close().then(() => (closed = true));
  assert.equal((await seen).length, 1);
  assert.equal(closed, false);
  release();
  await Promise.all([closing, left]);
  assert.match(text, /^HTTP\/1\.1 200 /);
  await assert.rejects(s.ask('/health'));
});

test('the log of all tasks: the header goes before after, filters reach the engine, a page when no stream is asked for', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  for (let i = 0; i < 3; i++) s.engine.emit(id, 'step.state', { i });
  const stream = await openEvents(`${s.url}/v1/events?after=1&type=step.state&namespace=orders&state=complete`, { 'last-event-id': '2' });
  const ids: (string | undefined)[] = [];
  for await (const e of stream) {
    ids.push(e.id);
    assert.deepEqual([e.data.namespace, e.data.name, e.data.cursor], ['orders', 'order_fulfillment', e.id]);
    if (ids.length === 2) break;
  }
  assert.deepEqual(ids, ['3', '4']);
  const { args } = s.engine.calls.findLast((c) => c.verb === 'allEvents')!;
  const { after, types, namespace, states } = args as Record<string, unknown>;
  assert.deepEqual({ after, types, namespace, states }, { after: '2', types: ['step.state'], namespace: 'orders', states: ['complete'] });
  const { json } = await s.ask('/v1/events?limit=2', { headers: { accept: 'application/json, */*' } });
  assert.deepEqual([json.events.length, json.next_cursor, json.has_more], [2, '2', true]);
});

test('the log of all tasks: an engine that stops is no end of the log: 503, so that an EventSource comes back', async () => {
  await using s = await fakeServer();
  s.engine.allEvents = async function* ended() {};
  assert.equal((await openEvents(`${s.url}/v1/events`)).status, 503);
  s.engine.failures.set('eventPage', new TuttiError('GONE', 'too old'));
  assert.equal((await s.ask('/v1/events')).status, 410);
});
