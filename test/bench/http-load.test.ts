import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { hammer } from '../../bench/http-load.ts';

async function listening(answer: RequestListener): Promise<{ server: Server; port: number }> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

test('every request is sent once, with its body, on the given connections', async () => {
  const bodies: string[] = [];
  const sockets = new Set<unknown>();
  const { server, port } = await listening((request, response) => {
    sockets.add(request.socket);
    let text = '';
    request
      .on('data', (d: Buffer) => {
        text += d.toString();
      })
      .on('end', () => {
        bodies.push(text);
        response.writeHead(201);
        response.end(text.length % 2 === 0 ? 'even' : '');
      });
  });
  const { latencies } = await hammer({ port, path: '/x', headers: { 'x-api-key': 'k' }, body: (i) => `{"i":${i}}`, count: 40, connections: 4, expect: 201 });
  server.close();
  assert.equal(latencies.length, 40);
  assert.equal(new Set(bodies).size, 40);
  assert.equal(sockets.size, 4);
});

test('an answer with another status is an error', async () => {
  const { server, port } = await listening((_, response) => {
    response.writeHead(503, { 'content-length': 0 });
    response.end();
  });
  await assert.rejects(hammer({ port, path: '/x', headers: {}, body: () => undefined, count: 3, connections: 1, expect: 200 }), /answered 503, not 200/);
  server.close();
});

test('a connection that closes without an answer is an error', async () => {
  const { server, port } = await listening((request) => request.socket.destroy());
  await assert.rejects(hammer({ port, path: '/x', headers: {}, body: () => undefined, count: 1, connections: 1, expect: 200 }));
  server.close();
});
