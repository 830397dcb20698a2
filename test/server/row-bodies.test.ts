/** Bodies of rows, of all requests together, are bounded: what is beyond is refused before it is taken in. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { Tables } from '../../src/tables/tables.ts';
import { fakeServer, type FakeServer } from '../api/fake-server.ts';

interface Taking {
  server: FakeServer;
  /** Requests whose rows are being taken. */
  taken: number;
  /** Resolves when so many are. */
  has(n: number): Promise<void>;
  /** They are kept, and what comes from now on at once. */
  keep(): void;
}

/** A server whose tables take rows and keep them when they are told. 1,000 bytes may be in work. */
async function taking(): Promise<Taking> {
  const kept = Promise.withResolvers<void>();
  const waiting: { n: number; go: () => void }[] = [];
  const t = {
    taken: 0,
    has: (n: number) => (t.taken >= n ? Promise.resolve() : new Promise<void>((go) => void waiting.push({ n, go }))),
    keep: () => kept.resolve(),
  };
  const tables = {
    idOf: async () => 'trips_REALTIME',
    addRows: async (_: string, rows: Parameters<Tables['addRows']>[1]) => {
      let added = 0;
      for await (const row of rows) {
        if (row !== null) added++;
        if (added !== 1) continue;
        t.taken++;
        for (const w of waiting) if (w.n <= t.taken) w.go();
      }
      await kept.promise;
      return { added, unsealedRows: added };
    },
  } as unknown as Tables;
  return Object.assign(t, { server: await fakeServer({ tables, rowBytes: 1000 }) });
}

const PATH = '/tables/trips/rows';
const rows = (chars: number): object[] => [{ note: 'x'.repeat(chars) }];
const HEAD = `POST ${PATH} HTTP/1.1\r\nhost: x\r\n`;

/** Writes this and gives what is answered up to the end of the connection. */
async function raw(url: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.setEncoding('utf8').write(text);
  let answer = '';
  for await (const part of socket) answer += part;
  return answer;
}

test('beyond the bound a body is refused with 503 and Retry-After, before it has come', async () => {
  const t = await taking();
  await using s = t.server;
  const first = s.ask(PATH, { method: 'POST', body: rows(600) });
  await t.has(1);
  // Nothing of the body is ever sent.
  const refused = await raw(s.url, `${HEAD}content-type: application/json\r\ncontent-length: 900\r\n\r\n`);
  assert.match(refused, /^HTTP\/1\.1 503 .*\r\nretry-after: 1\r\n/s);
  assert.match(refused, /"error_code":"BACKPRESSURE"/);
  assert.equal(t.taken, 1);
  t.keep();
  assert.equal((await first).status, 200);
  assert.equal((await s.ask(PATH, { method: 'POST', body: rows(900) })).status, 200, 'there is room again');
});

test('lines of no stated length are counted as they come', async () => {
  const t = await taking();
  await using s = t.server;
  const first = s.ask(PATH, { method: 'POST', body: rows(300) });
  await t.has(1);
  const socket = connect(Number(new URL(s.url).port), '127.0.0.1');
  socket.setEncoding('utf8');
  const chunk = (text: string): void => void socket.write(`${text.length.toString(16)}\r\n${text}\r\n`);
  socket.write(`${HEAD}content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n`);
  chunk(`{"note":"${'x'.repeat(300)}"}\n`);
  await t.has(2);
  chunk(`{"note":"${'x'.repeat(500)}"}\n`);
  const [answer] = (await once(socket, 'data')) as [string];
  assert.match(answer, /^HTTP\/1\.1 503 /);
  socket.destroy();
  t.keep();
  assert.equal((await first).status, 200);
  assert.equal((await s.ask(PATH, { method: 'POST', body: rows(900) })).status, 200, 'what was refused is given back');
});

test('lines that are stated and do not come keep nobody out', async () => {
  const t = await taking();
  await using s = t.server;
  const socket = connect(Number(new URL(s.url).port), '127.0.0.1');
  socket.write(`${HEAD}content-type: application/x-ndjson\r\ncontent-length: 900\r\n\r\n{}\n`);
  await t.has(1);
  t.keep();
  assert.equal((await s.ask(PATH, { method: 'POST', body: rows(900) })).status, 200);
  socket.destroy();
});

/** Asks before it sends so many bytes of lines. */
async function asking(url: string, type: string, bytes: number): Promise<{ continued: boolean; status: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ continued: boolean; status: number }>();
  let continued = false;
  const req = request(url + PATH, { method: 'POST', agent: false, headers: { 'content-type': type, 'content-length': bytes, expect: '100-continue' } });
  req.on('continue', () => {
    continued = true;
    req.end(`${JSON.stringify({ note: 'x'.repeat(1012) })}\n`.repeat(bytes / 1024));
  });
  req.on('response', (res) => {
    resolve({ continued, status: res.statusCode! });
    req.destroy();
  });
  req.on('error', reject);
  req.flushHeaders();
  return await promise;
}

test('who asks before it sends is told yes or no by the limit of what it sends', async () => {
  const t = await taking();
  await using s = t.server;
  t.keep();
  assert.deepEqual(await asking(s.url, 'application/x-ndjson', 3 * 2 ** 20), { continued: true, status: 200 });
  assert.deepEqual(await asking(s.url, 'application/json', 3 * 2 ** 20), { continued: false, status: 413 });
});

test('what is refused for another reason, or whose caller leaves, holds nothing', async () => {
  const t = await taking();
  await using s = t.server;
  t.keep();
  for (let i = 0; i < 3; i++) {
    assert.equal((await s.ask(PATH, { method: 'POST', body: { not: 'x'.repeat(800) } })).status, 400);
    const closed = Promise.withResolvers<void>();
    const socket = connect(Number(new URL(s.url).port), '127.0.0.1');
    socket.on('close', () => closed.resolve());
    // Its head was looked at once the server says that it may go on.
    socket.write(`${HEAD}content-type: application/json\r\ncontent-length: 900\r\nexpect: 100-continue\r\n\r\n`);
    await once(socket, 'data');
    socket.destroy();
    await closed.promise;
  }
  // Its end is seen by the server when it is: the next is refused until then, and only until then.
  let status = 503;
  while (status === 503) ({ status } = await s.ask(PATH, { method: 'POST', body: rows(900) }));
  assert.equal(status, 200);
});

test('one that is alone may be as large as a body may be', async () => {
  const t = await taking();
  await using s = t.server;
  t.keep();
  assert.equal((await s.ask(PATH, { method: 'POST', body: rows(5000) })).status, 200);
});
