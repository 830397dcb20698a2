import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { isLoopback } from '../../src/server/auth.ts';
import { fakeServer, ORDER } from './fake-server.ts';

const KEY = 'your-api-key';

test('the call of the readme works as written, with a key configured', async () => {
  await using s = await fakeServer({ apiKeys: ['other', KEY] });
  const { status } = await s.ask('/v1/tasks', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-API-Key': KEY },
    body: '{"name": "order_fulfillment", "namespace": "orders", "version": "1.0.0"}',
  });
  assert.equal(status, 201);
  assert.equal((await s.ask('/v1/tasks', { headers: { authorization: `Bearer ${KEY}` } })).status, 200);
});

test('without a right key: 401, on every route but health and docs', async () => {
  await using s = await fakeServer({ apiKeys: [KEY] });
  for (const headers of [
    {},
    { 'x-api-key': '' },
    { 'x-api-key': 'wrong' },
    { 'x-api-key': `${KEY}x` },
    { authorization: KEY },
    { authorization: `Basic ${KEY}` },
  ]) {
    for (const [method, path] of [
      ['GET', '/v1/tasks'],
      ['POST', '/v1/tasks'],
      ['GET', '/metrics'],
      ['GET', '/v1/tasks/x/events'],
      ['GET', '/v1/nope'],
      ['PUT', '/v1/tasks'],
    ]) {
      const { status, json } = await s.ask(path, {
        method,
        headers: headers as unknown as Record<string, string>,
        body: method === 'POST' ? ORDER : undefined,
      });
      assert.equal(status, 401, `${method} ${path} ${JSON.stringify(headers)}`);
      assert.equal(json.error.code, 'UNAUTHENTICATED');
    }
  }
  for (const path of [
    '/health',
    '/health/live',
    '/health/ready',
    '/health/detailed',
    '/docs',
    '/docs/',
    '/docs/openapi.json',
    '/docs/json',
    '/docs/static/swagger-ui.css',
  ]) {
    assert.equal((await s.ask(path)).status, 200, path);
  }
  assert.equal(s.engine.calls.length, 0);
});

test('401 comes before the body has been read (row 106)', async () => {
  await using s = await fakeServer({ apiKeys: [KEY] });
  const socket = connect(Number(new URL(s.url).port), '127.0.0.1');
  // The body is announced and never sent.
  socket.write('POST /v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.match(String(answer), /^HTTP\/1\.1 401 [^]*connection: close/i);
  socket.destroy();
});

test('an address that others can reach needs a key', async () => {
  await assert.rejects(fakeServer({ host: '0.0.0.0' }), { code: 'INVALID_CONFIG', field: 'orchestration.web.host', message: /TUTTI_API_KEY/ });
  const s = await fakeServer({ host: '0.0.0.0', apiKeys: [KEY] });
  await s.close();
  assert.deepEqual(['127.0.0.1', '127.9.9.9', 'localhost', '::1', '[::1]'].map(isLoopback), [true, true, true, true, true]);
  assert.deepEqual(['0.0.0.0', '::', '10.0.0.1', 'example.org', '127.0.0.1.example.org'].map(isLoopback), [false, false, false, false, false]);
});

test('a port that is taken is said in plain words', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await assert.rejects(fakeServer({ port }), { code: 'INVALID_CONFIG', message: new RegExp(`port ${port} on 127.0.0.1 is in use`) });
  other.close();
});
