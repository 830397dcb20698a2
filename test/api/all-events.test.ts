/** GET /v1/events: the log of all tasks over HTTP, and the clients that read it over a line that breaks. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { WireEventPage, WireGlobalEvent, WireTaskEvent } from '../../src/contract/wire.ts';
import { HttpClient } from '../../src/sdk/client/http-client.ts';
import { openEvents, type SseEvent } from '../support/http-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { cuttingProxy } from './cutting-proxy.ts';
import { GATED, ORDER, realServer, type RealServer } from './real-server.ts';

const clientOf = (url: string): HttpClient => new HttpClient({ url, wait: () => turn() });
const whole = async (s: Pick<RealServer, 'ask'>, query = ''): Promise<WireGlobalEvent[]> => {
  const all: WireGlobalEvent[] = [];
  for (let after = ''; ; ) {
    const { status, json } = await s.ask(`/v1/events?limit=1000${query}${after}`);
    assert.equal(status, 200, JSON.stringify(json));
    const page = json as WireEventPage;
    all.push(...page.events);
    after = `&after=${page.next_cursor}`;
    if (!page.has_more) return all;
  }
};
const take = async (events: AsyncIterable<SseEvent>, n: number): Promise<SseEvent[]> => {
  const all: SseEvent[] = [];
  for await (const e of events) {
    all.push(e);
    if (all.length === n) break;
  }
  return all;
};
const key = (e: WireTaskEvent | WireGlobalEvent): string => `${e.task_uuid} ${e.seq}`;

for (const seed of [1, 2, 3]) {
  test(`connections cut at random while tasks run: every event once, in order (seed ${seed})`, async () => {
    const random = new SeededRandom(seed);
    await using s = await realServer();
    const cuts = random.fork();
    await using line = await cuttingProxy(
      () => s.url,
      () => cuts.int(1, cuts.chance(0.3) ? 400 : 20_000),
    );
    const client = clientOf(line.url);
    const abort = new AbortController();
    const seen: WireGlobalEvent[] = [];
    let wanted = Infinity;
    const following = (async () => {
      for await (const e of client.allEvents({ signal: abort.signal, patience: 1000 })) {
        if (e.cursor !== undefined) seen.push(e);
        if (seen.length >= wanted) return;
      }
    })();
    const ids: string[] = [];
    const own: Promise<WireTaskEvent[]>[] = [];
    for (let i = 0; i < 40; i++) {
      const id = await s.create(ORDER);
      ids.push(id);
      if (i % 8 === 0) own.push(Array.fromAsync(client.events(id, { patience: 1000 })));
      if (random.chance(0.5)) await s.ended(id);
    }
    for (const id of ids) await s.ended(id);
    const log = await whole(s);
    wanted = log.length;
    // One more, should all have been seen before `wanted` was known.
    if (seen.length >= wanted) abort.abort();
    await following;
    assert.deepEqual(seen, log);
    assert.ok(line.cuts >= 10, `${line.cuts} cuts`);
    for (const events of await Promise.all(own)) {
      const told = events.filter((e) => e.seq !== undefined).map(key);
      assert.deepEqual(told, log.filter((e) => e.task_uuid === events[0].task_uuid).map(key), 'and so for the stream of one task');
    }
  });
}

test('a client goes on over restarts of the server, from "now" on: nothing lost, nothing twice', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tutti-api-'));
  let url = '';
  await using line = await cuttingProxy(
    () => url,
    () => Infinity,
  );
  const abort = new AbortController();
  const seen: WireGlobalEvent[] = [];
  let heard = (): void => {};
  try {
    let following: Promise<void> | undefined;
    const ids: string[] = [];
    for (let life = 0; life < 4; life++) {
      await using s = await realServer({ folder, heartbeatMs: 20 });
      url = s.url;
      if (life === 0) {
        await s.ended(await s.create(ORDER));
        const mark = (await whole(s)).length;
        const opened = Promise.withResolvers<void>();
        // The place that "now" means reaches the client before any event does.
        following = (async () => {
          const client = clientOf(line.url);
          const events = client.allEvents({ after: 'now', signal: abort.signal, patience: Infinity });
          const first = events.next();
          while (line.bytes === 0) await turn();
          opened.resolve();
          const { value } = await first;
          if (value !== undefined) seen.push(value);
          heard();
          for await (const e of events) {
            seen.push(e);
            heard();
          }
        })();
        await opened.promise;
        assert.equal(mark, (await whole(s)).length);
        continue;
      }
      const id = await s.create(ORDER);
      ids.push(id);
      await s.ended(id);
      if (life === 3) {
        const log = (await whole(s)).filter((e) => ids.includes(e.task_uuid));
        while (seen.length < log.length) await new Promise<void>((resolve) => (heard = resolve));
        assert.deepEqual(seen, log);
        abort.abort();
      }
    }
    await following;
  } finally {
    abort.abort();
    await rm(folder, { recursive: true, force: true });
  }
});

const streamsOf = async (s: Pick<RealServer, 'ask'>): Promise<number> => Number(/^tutti_http_streams (\d+)$/m.exec((await s.ask('/metrics')).text)![1]);

test('a stream: ids are cursors, it goes on live, and Last-Event-ID goes before after', async () => {
  await using s = await realServer();
  const first = await s.create(ORDER);
  await s.ended(first);
  const log = await whole(s);
  const stream = await openEvents(`${s.url}/v1/events`);
  assert.equal(stream.response.headers['content-type'], 'text/event-stream; charset=utf-8');
  const events = stream[Symbol.asyncIterator]();
  const seen: SseEvent[] = [];
  while (seen.length < log.length) seen.push((await events.next()).value as SseEvent);
  assert.deepEqual(
    seen.map((e) => e.data as WireGlobalEvent),
    log,
  );
  assert.ok(seen.every((e) => e.id === e.data.cursor && e.event === e.data.type));
  const second = await s.create(GATED);
  assert.equal(((await events.next()).value as SseEvent).data.task_uuid, second);
  stream.response.on('error', () => {});
  stream.close();
  const at = log.length - 2;
  const resumed = await openEvents(`${s.url}/v1/events?after=${log[0].cursor}`, { 'last-event-id': log[at].cursor! });
  assert.equal((await take(resumed, 1))[0].id, log[at + 1].cursor);
});

test('pages: filters, limits, and what is refused', async () => {
  await using s = await realServer();
  const id = await s.create(ORDER);
  await s.ended(id);
  const other = await s.create(GATED);
  s.gate.open();
  await s.ended(other);
  const log = await whole(s);
  assert.deepEqual(
    await whole(s, `&task=${id}`),
    log.filter((e) => e.task_uuid === id),
  );
  assert.deepEqual(
    await whole(s, '&namespace=tests&type=task.state,steps.ended&type=step.state&state=complete'),
    log.filter((e) => e.namespace === 'tests' && e.data.state === 'complete'),
  );
  const { json } = await s.ask('/v1/events?limit=3');
  assert.deepEqual([json.events.length, json.has_more, json.next_cursor], [3, true, log[2].cursor]);
  assert.deepEqual((await s.ask('/v1/events?after=now')).json.events, []);
  const client = clientOf(s.url);
  assert.deepEqual((await client.eventPage({ taskId: other, types: ['task.state'], limit: 1 })).events[0].name, 'gated');
  for (const [query, status, code, field] of [
    ['after=nonsense', 400, 'INVALID_CURSOR', 'after'],
    ['type=task.stat', 400, 'INVALID_INPUT', 'type'],
    ['state=done', 400, 'INVALID_INPUT', 'state'],
    ['limit=0', 400, 'INVALID_INPUT', 'limit'],
    ['limit=1001', 400, 'INVALID_INPUT', 'limit'],
    ['nope=1', 400, 'INVALID_INPUT', undefined],
    ['task=01900000-0000-7000-8000-000000000001', 404, 'NOT_FOUND', undefined],
  ] as const) {
    for (const accept of ['application/json', 'text/event-stream']) {
      const answer = await s.ask(`/v1/events?${query}`, { headers: { accept } });
      assert.deepEqual([answer.status, answer.json?.error.code], [status, code], `${query} ${accept}`);
      if (field !== undefined) assert.match(String(answer.json.error.field), new RegExp(`^${field}`), query);
    }
  }
  const limited = await s.ask('/v1/events?limit=3', { headers: { accept: 'text/event-stream' } });
  assert.deepEqual([limited.status, limited.json.error.field], [400, 'limit']);
  assert.equal((await s.ask('/v1/events', { method: 'HEAD' })).status, 405);
});

test('410 for a cursor behind which tasks were removed, for pages, streams and the client', async () => {
  await using s = await realServer();
  const ids = [await s.create(ORDER), await s.create(ORDER)];
  for (const id of ids) await s.ended(id);
  const log = await whole(s);
  const old = log.find((e) => e.task_uuid === ids[0])!.cursor!;
  assert.equal((await s.ask(`/v1/tasks/${ids[1]}?purge=true`, { method: 'DELETE' })).status, 204);
  for (const o of [{}, { headers: { accept: 'text/event-stream' } }]) {
    const { status, json } = await s.ask(`/v1/events?after=${old}`, o);
    assert.deepEqual([status, json.error.code], [410, 'GONE']);
  }
  await assert.rejects(clientOf(s.url).allEvents({ after: old }).next(), { code: 'GONE' });
  assert.deepEqual(new Set((await whole(s)).map((e) => e.task_uuid)), new Set([ids[0]]));
});

test('while nothing matches, the id moves on, and no heartbeat takes it back', async () => {
  await using s = await realServer({ heartbeatMs: 20 });
  const quiet = rawStream(`${s.url}/v1/events?namespace=nobody`);
  const id = await s.create(ORDER);
  await s.ended(id);
  const end = (await whole(s)).at(-1)!.cursor!;
  await quiet.until(() => quiet.ids().at(-1) === end);
  assert.doesNotMatch(quiet.text, /^data:/m);
  const full = rawStream(`${s.url}/v1/events`);
  await full.until(() => full.ids().includes(end));
  const beats = full.text.split('still here').length;
  await full.until(() => full.text.split('still here').length > beats + 2);
  assert.equal(full.ids().at(-1), end);
  await Promise.all([quiet.close(), full.close()]);
});

/** A stream as it comes: heartbeats and ids without events, too. */
function rawStream(url: string) {
  const abort = new AbortController();
  let heard = (): void => {};
  const stream = {
    text: '',
    ids: () => [...stream.text.matchAll(/^id: (.*)$/gm)].map((m) => m[1]),
    until: async (so: () => boolean): Promise<void> => {
      while (!so()) await new Promise<void>((resolve) => (heard = resolve));
    },
    close: async (): Promise<void> => {
      abort.abort();
      await reading;
    },
  };
  const read = async (): Promise<void> => {
    const response = await fetch(url, { headers: { accept: 'text/event-stream' }, signal: abort.signal });
    const decoder = new TextDecoder();
    for await (const chunk of response.body!) {
      stream.text += decoder.decode(chunk, { stream: true });
      heard();
    }
  };
  const reading = read().catch(() => {});
  return stream;
}

test('streams count as streams, not as long requests; closing the server ends them', async () => {
  await using s = await realServer();
  const stream = await openEvents(`${s.url}/v1/events?after=now`);
  assert.equal(await streamsOf(s), 1);
  const rest = Array.fromAsync(stream);
  stream.response.on('error', () => {});
  stream.close();
  await rest.catch(() => {});
  while ((await streamsOf(s)) > 0) await turn();
  const { text } = await s.ask('/metrics');
  const timed = Number(/^tutti_http_request_seconds_count (\d+)$/m.exec(text)![1]);
  const plain = [...text.matchAll(/^tutti_http_requests_total\{method="GET",route="\/metrics".* (\d+)$/gm)].reduce((n, m) => n + Number(m[1]), 0);
  assert.equal(timed, plain);
  const open = await openEvents(`${s.url}/v1/events?after=now`);
  const ended = Array.fromAsync(open);
  await s[Symbol.asyncDispose]();
  assert.deepEqual(await ended, []);
});
