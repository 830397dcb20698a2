import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { HttpClient, ServerUnreachable } from '../../src/sdk/client/http-client.ts';
import type { TuttiError } from '../../src/core/errors.ts';

const serverOf = async (t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> => {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(
    () =>
      new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};
const clientOf = (url: string, waits: number[] = []): HttpClient => new HttpClient({ url, wait: async (ms) => void waits.push(ms) });
const event = (seq: number, last = false): string =>
  `id: ${seq}\nevent: step.state\ndata: ${JSON.stringify({ seq, at: '2026-01-01T00:00:00.000Z', type: 'step.state', task_uuid: 't', data: {}, ...(last ? { last } : {}) })}\n\n`;

test('a stream that breaks is taken up after the last event seen; nothing is lost or told twice', async (t) => {
  const asked: (string | undefined)[] = [];
  const url = await serverOf(t, (request, response) => {
    asked.push(request.headers['last-event-id'] as string | undefined);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (asked.length === 1) {
      // Two events, half of a third, and the line goes dead.
      response.write(event(1) + event(2) + event(3).slice(0, 20), () => response.destroy());
    } else if (asked.length === 2) response.end(event(2) + event(3));
    else response.end(event(4) + event(5, true));
  });
  const seen: (number | undefined)[] = [];
  for await (const e of clientOf(url).events('t')) seen.push(e.seq);
  assert.deepEqual(seen, [1, 2, 3, 4, 5]);
  assert.deepEqual(asked, [undefined, '2', '3']);
});

test('a server that stays away is given up in the end, with growing waits', async () => {
  const waits: number[] = [];
  await assert.rejects(async () => {
    for await (const _ of clientOf('http://127.0.0.1:9', waits).events('t', { patience: 4 })) assert.fail('an event out of nowhere');
  }, ServerUnreachable);
  assert.deepEqual(waits, [100, 200, 400, 800]);
});

test('a refusal ends the stream at once: nothing is gained by asking again', async (t) => {
  let asked = 0;
  const url = await serverOf(t, (_, response) => {
    asked++;
    response.writeHead(410, { 'content-type': 'application/json' }).end('{"error":{"code":"GONE","message":"too old","request_id":"1"}}');
  });
  await assert.rejects(
    async () => {
      for await (const _ of clientOf(url).events('t')) assert.fail('no event');
    },
    (e: TuttiError) => e.code === 'GONE',
  );
  assert.equal(asked, 1);
});

test('204 means that nothing is left to say', async (t) => {
  const url = await serverOf(t, (_, response) => void response.writeHead(204).end());
  for await (const _ of clientOf(url).events('t', { after: 9 })) assert.fail('no event');
});

test('errors come back as what the server said; strangers on the port are told apart', async (t) => {
  const answers: [number, string, string][] = [
    [409, '{"error":{"code":"ILLEGAL_STATE","message":"it has ended","field":"state","request_id":"1"}}', 'ILLEGAL_STATE'],
    [502, '<html>bad gateway</html>', 'INTERNAL'],
    [404, 'nothing here', 'NOT_FOUND'],
  ];
  let next = 0;
  const url = await serverOf(t, (_, response) => void response.writeHead(answers[next][0]).end(answers[next][1]));
  for (const [, , code] of answers) {
    await assert.rejects(clientOf(url).task('t'), (e: TuttiError) => e.code === code);
    next++;
  }
  const html = await serverOf(t, (_, response) => void response.end('<html>'));
  await assert.rejects(clientOf(html).task('t'), /does not speak JSON/);
});

test('the key goes with every request, ids are escaped', async (t) => {
  const seen: [string | undefined, unknown][] = [];
  const url = await serverOf(t, (request, response) => {
    seen.push([request.url, request.headers['x-api-key']]);
    response.end('{}');
  });
  await new HttpClient({ url: `${url}/`, apiKey: 'k', wait: async () => {} }).step('a/b', 'ü?');
  assert.deepEqual(seen, [['/v1/tasks/a%2Fb/workflow_steps/%C3%BC%3F', 'k']]);
  for (const bad of ['nonsense', 'ftp://x'])
    assert.throws(
      () => clientOf(bad),
      (e: TuttiError) => e.code === 'INVALID_INPUT',
    );
});
