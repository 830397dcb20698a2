import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { ERRORS, TuttiError } from '../../src/core/errors.ts';
import { ERROR_CODES } from '../support/fake-engine.ts';
import { readAnswer, type Answer } from '../support/http-client.ts';
import { fakeServer, ORDER } from './fake-server.ts';

const MIB = 1024 * 1024;

test('a body that is not JSON is INVALID_JSON', async () => {
  await using s = await fakeServer();
  for (const body of ['{', '{"name":}', 'hello', '\uFEFF{}']) {
    const { status, json } = await s.ask('/v1/tasks', { method: 'POST', body });
    assert.equal(status, 400);
    assert.equal(json.error.code, 'INVALID_JSON');
  }
});

test('a header that cannot be sent is INTERNAL in the words of the registry, not in those of the framework', async () => {
  await using s = await fakeServer();
  const submit = s.engine.trySubmit.bind(s.engine);
  // Becomes part of Location.
  s.engine.trySubmit = async (r) => ({ ...(await submit(r)), id: 'a\nb' });
  const { status, json, text, headers } = await s.ask('/v1/tasks', { method: 'POST', body: ORDER });
  assert.equal(status, 500);
  assert.deepEqual([json?.error?.code, json?.error?.request_id], ['INTERNAL', headers['x-request-id']], text);
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['location'], undefined);
  assert.equal(JSON.stringify(s.log).includes('location'), true, 'the log says which');
});

test('a body that is not UTF-8 is INVALID_JSON, and nothing of it is replaced and stored', async () => {
  await using s = await fakeServer();
  const before = Buffer.from('{"name":"order_fulfillment","namespace":"orders","context":{"s":"');
  // No sequence at all, one that is cut off, a surrogate, one that is longer than need be.
  for (const bytes of [
    [0xff, 0xfe],
    [0xe2, 0x82],
    [0xed, 0xa0, 0x80],
    [0xc0, 0xaf],
  ]) {
    const { status, json } = await s.ask('/v1/tasks', { method: 'POST', body: Buffer.concat([before, Buffer.from(bytes), Buffer.from('"}}')]) });
    assert.deepEqual([status, json.error.code, json.error.field], [400, 'INVALID_JSON', 'body']);
    assert.match(json.error.message, /not UTF-8/);
  }
  assert.equal(s.engine.tasks.size, 0);
  const whole = await s.ask('/v1/tasks', { method: 'POST', body: Buffer.concat([before, Buffer.from('€😀'), Buffer.from('"}}')]) });
  assert.deepEqual([whole.status, whole.json.context], [201, { s: '€😀' }]);
});

test('a body in an encoding is 415, and says which header is in the way', async () => {
  await using s = await fakeServer();
  for (const type of ['application/json', 'application/x-ndjson']) {
    const { status, json } = await s.ask('/v1/trees', { method: 'POST', body: '{}', headers: { 'content-type': type, 'content-encoding': 'gzip' } });
    assert.deepEqual([status, json.error.code, json.error.field], [415, 'UNSUPPORTED_MEDIA_TYPE', 'content-encoding']);
  }
  assert.equal((await s.ask('/v1/tasks', { method: 'POST', body: ORDER, headers: { 'content-encoding': 'identity' } })).status, 201);
  assert.equal((await s.ask('/v1/tasks', { headers: { 'content-encoding': 'gzip' } })).status, 200, 'without a body it says nothing');
});

test('another content type, or none with a body, is 415', async () => {
  await using s = await fakeServer();
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'multipart/form-data; boundary=x', 'nonsense']) {
    const { status, json } = await s.ask('/v1/tasks', { method: 'POST', body: JSON.stringify(ORDER), headers: { 'content-type': type } });
    assert.equal(status, 415, type);
    assert.equal(json.error.code, 'UNSUPPORTED_MEDIA_TYPE');
  }
  assert.equal((await s.ask('/v1/tasks', { method: 'POST', body: ORDER, headers: { 'Content-Type': 'application/json; charset=utf-8' } })).status, 201);
});

test('a key __proto__ is refused wherever it is, however it is spelt', async () => {
  await using s = await fakeServer();
  for (const body of [
    '{"name":"order_fulfillment","namespace":"orders","context":{"a":[{"__proto__":{"x":1}}]}}',
    '{"context":{"a":[{"\\u005f_proto__":1}]}}',
  ]) {
    const { status, json } = await s.ask('/v1/tasks', { method: 'POST', body });
    assert.equal(status, 400);
    assert.equal(json.error.field, 'context.a[0].__proto__');
  }
});

/** Sends headers and as much of the body as is taken. */
function upload(url: string, bytes: number, headers: Record<string, string>): Promise<Answer & { sent: number }> {
  return new Promise((resolve, reject) => {
    let sent = 0;
    const req = httpRequest(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, agent: false }, (res) => {
      readAnswer(res).then((a) => resolve({ ...a, sent }), reject);
    });
    req.on('error', reject);
    const chunk = Buffer.alloc(65_536, ' ');
    const more = (): void => {
      if (sent >= bytes || req.destroyed) return void req.end();
      sent += chunk.length;
      req.write(chunk, (e) => void (e ?? setImmediate(more)));
    };
    more();
  });
}

test('a body of 20 MB is 413 without being read whole, with a length or in chunks, and the server lives', async () => {
  await using s = await fakeServer();
  for (const headers of [{ 'content-length': String(20 * MIB) }, { 'transfer-encoding': 'chunked' }]) {
    const { status, json, sent } = await upload(`${s.url}/v1/tasks`, 20 * MIB, headers as unknown as Record<string, string>);
    assert.equal(status, 413);
    assert.equal(json.error.code, 'BODY_TOO_LARGE');
    assert.ok(sent < 20 * MIB, `${sent} bytes were taken`);
  }
  assert.equal((await s.ask('/v1/tasks', { method: 'POST', body: ORDER })).status, 201);
});

test('a client that writes on before it reads still gets its answer', async () => {
  await using s = await fakeServer({ apiKeys: ['k'] });
  const socket = connect(Number(new URL(s.url).port), '127.0.0.1');
  socket.pause();
  socket.write(`POST /v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${20 * MIB}\r\n\r\n`);
  // More than sockets hold: this is only done when the server has thrown most of it away.
  for (let i = 0; i < 100; i++) {
    await new Promise<void>((resolve, reject) => socket.write(Buffer.alloc(65_536, ' '), (e) => (e ? reject(e) : resolve())));
  }
  let text = '';
  socket.on('data', (d) => (text += String(d)));
  socket.resume();
  await once(socket, 'end');
  assert.match(text, /^HTTP\/1\.1 401 /);
  assert.match(text, /UNAUTHENTICATED/);
  socket.destroy();
});

test('the limit of a body can be set', async () => {
  await using s = await fakeServer({ maxBodyBytes: 200 });
  assert.equal((await s.ask('/v1/tasks', { method: 'POST', body: ORDER })).status, 201);
  assert.equal((await s.ask('/v1/tasks', { method: 'POST', body: { ...ORDER, reason: 'x'.repeat(200) } })).status, 413);
});

test('a client that asks before it sends a large body is told no at once', async () => {
  await using s = await fakeServer();
  const continued: number[] = [];
  const ask = (bytes: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const req = httpRequest(`${s.url}/v1/tasks`, {
        method: 'POST',
        agent: false,
        headers: { 'content-type': 'application/json', 'content-length': String(bytes), expect: '100-continue' },
      });
      req.on('continue', () => {
        continued.push(bytes);
        req.end(JSON.stringify(ORDER).padEnd(bytes));
      });
      req.on('response', (res) => {
        resolve(res.statusCode!);
        req.destroy();
      });
      req.on('error', reject);
      req.flushHeaders();
    });
  assert.equal(await ask(20 * MIB), 413);
  assert.equal(await ask(1000), 201);
  assert.deepEqual(continued, [1000]);
});

test('an unknown route is 404, a wrong method 405 with Allow', async () => {
  await using s = await fakeServer();
  const unknown = await s.ask('/v1/nope');
  assert.equal(unknown.status, 404);
  assert.equal(unknown.json.error.code, 'NOT_FOUND');
  for (const [method, path, allow] of [
    ['PUT', '/v1/tasks', 'POST, GET, HEAD'],
    ['POST', '/health', 'GET, HEAD'],
    ['PUT', `/v1/tasks/${'0'.repeat(8)}`, 'GET, HEAD, PATCH, DELETE'],
    ['POST', '/v1/tasks/x/events', 'GET'],
  ]) {
    const { status, json, headers } = await s.ask(path, { method, body: {} });
    assert.equal(status, 405, `${method} ${path}`);
    assert.equal(json.error.code, 'METHOD_NOT_ALLOWED');
    assert.equal(headers.allow, allow);
  }
  assert.equal((await s.ask('/v1/tasks/%zz')).status, 400);
});

test('HEAD answers as GET does, without the body', async () => {
  await using s = await fakeServer();
  const { status, text, headers } = await s.ask('/v1/tasks', { method: 'HEAD' });
  assert.deepEqual([status, text], [200, '']);
  assert.ok(Number(headers['content-length']) > 0);
});

test('every code of the registry answers with its status', async () => {
  await using s = await fakeServer();
  for (const code of ERROR_CODES) {
    s.engine.failures.set('list', new TuttiError(code, 'because', { field: 'f' }));
    const { status, json, headers } = await s.ask('/v1/tasks');
    assert.equal(status, ERRORS[code].http, code);
    assert.equal(json.error.code, code);
    assert.equal(json.error.request_id, headers['x-request-id']);
    assert.equal(headers['retry-after'] !== undefined, status === 503);
  }
});

test('a defect is INTERNAL: its text is in the log and nowhere else', async () => {
  await using s = await fakeServer();
  for (const defect of [
    new Error('secret path /etc'),
    new TuttiError('INTERNAL', 'secret path /etc'),
    'secret path /etc',
    undefined,
    Object.assign(new Error('secret'), { statusCode: 418 }),
  ]) {
    s.log.length = 0;
    s.engine.failures.set('list', defect ?? null);
    const { status, text, json } = await s.ask('/v1/tasks', { headers: { 'x-request-id': 'mine-1' } });
    assert.equal(status, 500);
    assert.equal(json.error.code, 'INTERNAL');
    assert.doesNotMatch(text, /secret/);
    assert.equal(json.error.request_id, 'mine-1');
    assert.equal(s.log.length, 1);
    assert.equal(s.log[0].request_id, 'mine-1');
  }
});

test('a request id of the caller is kept when it is usable', async () => {
  await using s = await fakeServer();
  assert.equal((await s.ask('/health', { headers: { 'x-request-id': 'abc-1' } })).headers['x-request-id'], 'abc-1');
  for (const bad of ['a b', 'x'.repeat(200), '<script>']) {
    assert.match((await s.ask('/health', { headers: { 'x-request-id': bad } })).headers['x-request-id'] as string, /^[a-z0-9]+-[a-z0-9]+$/);
  }
});

test('requests are logged when that is asked for, and only then', async () => {
  await using quiet = await fakeServer();
  await quiet.ask('/v1/tasks');
  assert.equal(quiet.log.length, 0);
  const loud = await fakeServer({ logRequests: true });
  await loud.ask('/v1/tasks');
  await loud.close();
  assert.equal(loud.log.filter((l) => l.url === '/v1/tasks' && l.status === 200).length, 1);
});

test('what is not HTTP gets an answer in our words', async () => {
  await using s = await fakeServer();
  const socket = connect(Number(new URL(s.url).port), '127.0.0.1');
  socket.end('HELLO\r\n\r\n');
  let text = '';
  socket.on('data', (d) => (text += String(d)));
  await once(socket, 'close');
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.match(text, /"code":"INVALID_INPUT"/);
});
