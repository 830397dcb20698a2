import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openEvents, type SseEvent } from '../support/http-client.ts';
import { GATED, ORDER, realServer } from './real-server.ts';

test('the stream tells the whole task, ids count from 1, and it closes after the last event', async () => {
  await using s = await realServer();
  const id = await s.create(GATED);
  const stream = await openEvents(`${s.url}/v1/tasks/${id}/events`);
  const seen: SseEvent[] = [];
  for await (const e of stream) {
    seen.push(e);
    if (e.data.data.step === 'held' && e.data.data.state === 'in_progress') s.gate.open();
  }
  const logged = seen.filter((e) => e.id !== undefined);
  assert.deepEqual(
    logged.map((e) => Number(e.id)),
    logged.map((_, i) => i + 1),
  );
  assert.equal(logged.at(-1)!.data.data.state, 'complete');
  assert.equal(logged.at(-1)!.data.last, true);
  const complete = logged.filter((e) => e.event === 'step.state' && e.data.data.state === 'complete').map((e) => e.data.data.step);
  assert.deepEqual(complete, ['first', 'held', 'last']);
  const again = await Array.fromAsync(await openEvents(`${s.url}/v1/tasks/${id}/events`));
  assert.deepEqual(again, logged, 'the log says the same afterwards');
});

test('a stream resumes across a restart of the server: nothing lost, nothing twice', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tutti-api-'));
  try {
    let id: string;
    const before: SseEvent[] = [];
    {
      await using s = await realServer({ folder });
      id = await s.create(GATED);
      const stream = await openEvents(`${s.url}/v1/tasks/${id}/events`);
      for await (const e of stream) {
        before.push(e);
        if (e.data.data.step === 'held') break;
      }
      s.gate.open();
      await s.ended(id);
    }
    await using s = await realServer({ folder });
    const rest = await Array.fromAsync(await openEvents(`${s.url}/v1/tasks/${id}/events`, { 'last-event-id': before.at(-1)!.id! }));
    const all = await Array.fromAsync(await openEvents(`${s.url}/v1/tasks/${id}/events`));
    assert.ok(before.length > 0 && rest.length > 0);
    assert.deepEqual([...before, ...rest], all);
    assert.equal(all.at(-1)!.data.last, true);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('closing the server under an open stream: the client comes back to the next one and sees the end', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tutti-api-'));
  try {
    let id: string;
    let last: string;
    {
      await using s = await realServer({ folder });
      id = await s.create(GATED);
      const stream = await openEvents(`${s.url}/v1/tasks/${id}/events`);
      const seen: SseEvent[] = [];
      let closing: PromiseLike<void> | undefined;
      for await (const e of stream) {
        seen.push(e);
        if (e.data.data.step === 'held') closing ??= s[Symbol.asyncDispose]();
      }
      await closing;
      last = seen.findLast((e) => e.id !== undefined)!.id!;
    }
    await using s = await realServer({ folder });
    s.gate.open();
    await s.tutti.engine.done(id);
    const url = `${s.url}/v1/tasks/${id}/events`;
    const all = await Array.fromAsync(await openEvents(url));
    const stream = await openEvents(url, { 'last-event-id': last });
    const rest = stream.status === 204 ? [] : await Array.fromAsync(stream);
    assert.deepEqual(rest, all.slice(Number(last)));
    assert.equal(all.at(-1)!.data.data.state, 'complete');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('cursors: beyond the log 400, at the end 204, no number 400, unknown task 404', async () => {
  await using s = await realServer();
  const id = await s.create(ORDER);
  const events = await Array.fromAsync(await openEvents(`${s.url}/v1/tasks/${id}/events`));
  const last = Number(events.at(-1)!.id);
  const ask = (after: string) => s.ask(`/v1/tasks/${id}/events`, { headers: { 'last-event-id': after } });
  assert.equal((await ask(String(last))).status, 204);
  for (const bad of [String(last + 1), '999999999999999', 'x', '-1', '1.5']) {
    const { status, json } = await ask(bad);
    assert.equal(status, 400, bad);
    assert.equal(json.error.code, 'INVALID_CURSOR');
  }
  assert.equal((await s.ask('/v1/tasks/01900000-0000-7000-8000-000000000001/events')).status, 404);
});

test('a cancel ends the streams of the task', async () => {
  await using s = await realServer();
  const id = await s.create(GATED);
  const stream = await openEvents(`${s.url}/v1/tasks/${id}/events`);
  let cancelled = false;
  let last: SseEvent | undefined;
  for await (const e of stream) {
    last = e;
    if (e.data.data.step === 'held' && !cancelled) {
      cancelled = true;
      await s.ask(`/v1/tasks/${id}`, { method: 'DELETE' });
    }
  }
  assert.equal(last!.data.data.state, 'cancelled');
});
