import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { serve, template } from '../../src/main.ts';
import { ask } from '../support/http-client.ts';

/** Sends requests in one piece on one connection, so that all arrive in the same moment, and gives all that is answered. */
async function pipelined(url: string, request: string, times: number): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(request.repeat(times - 1) + request.replace('host: x', 'host: x\r\nconnection: close'));
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

test('row 104: with a full inbox POST is 503 with Retry-After, reads are served, and what was accepted is all there', async () => {
  const { config } = loadConfig({
    env: { TUTTI_STORE_PATH: ':memory:', TUTTI_WEB_PORT: '0', TUTTI_ACTORS_TASK_REQUEST_CHANNEL_SIZE: '1', TUTTI_LOG_LEVEL: 'silent' },
    cwd: import.meta.dirname,
  });
  const one = template('tests/one@1.0.0').step('only', async () => 1);
  const { url, tutti, stop } = await serve(config, { templates: [one], logTo: new PassThrough() });
  try {
    const body = '{"namespace":"tests","name":"one"}';
    const text = await pipelined(
      url!,
      `POST /v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      50,
    );
    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map((m) => m[1]);
    assert.deepEqual([statuses.length, [...new Set(statuses)].sort()], [50, ['201', '503']]);
    const refused = text.slice(text.indexOf('HTTP/1.1 503'));
    assert.match(refused, /^retry-after: 1\r$/m);
    assert.match(refused, /"code":"BACKPRESSURE"/);
    const accepted = [...text.matchAll(/"task_uuid":"([^"]+)"/g)].map((m) => m[1]);
    const listed = await ask(`${url}/v1/tasks?page=1`);
    assert.equal(listed.status, 200);
    assert.equal(listed.json.pagination.total_count, accepted.length, 'nothing that was refused is stored');
    for (const id of accepted) assert.equal((await tutti.engine.done(id)).state, 'complete');
    const { text: metrics } = await ask(`${url}/metrics`);
    assert.match(metrics, new RegExp(`^tutti_actor_refused_total\\{actor="task_request"\\} ${50 - accepted.length}$`, 'm'));
    assert.match(metrics, /^tutti_actor_capacity\{actor="task_request"\} 1$/m);
  } finally {
    await stop();
  }
});
