import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { serve, template } from '../../src/main.ts';
import { ask, type Answer } from '../support/http-client.ts';

test('row 104: with a full inbox POST is 503 with Retry-After, reads are served, and what was accepted is all there', async () => {
  const { config } = loadConfig({
    env: { TUTTI_STORE_PATH: ':memory:', TUTTI_WEB_PORT: '0', TUTTI_ACTORS_TASK_REQUEST_CHANNEL_SIZE: '1', TUTTI_LOG_LEVEL: 'silent' }, cwd: import.meta.dirname,
  });
  const one = template('tests/one@1.0.0').step('only', async () => 1);
  const { url, tutti, stop } = await serve(config, { templates: [one], logTo: new PassThrough() });
  try {
    const accepted: string[] = [];
    let refused: Answer | undefined;
    while (refused === undefined) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => ask(`${url}/v1/tasks`, { method: 'POST', body: { namespace: 'tests', name: 'one' } })));
      for (const a of answers) {
        if (a.status === 201) accepted.push(a.json.task_uuid as string);
        else refused ??= a;
      }
    }
    assert.equal(refused.status, 503);
    assert.equal(refused.json.error.code, 'BACKPRESSURE');
    assert.equal(refused.headers['retry-after'], '1');
    const listed = await ask(`${url}/v1/tasks?page=1`);
    assert.equal(listed.status, 200);
    assert.equal(listed.json.pagination.total_count, accepted.length, 'nothing that was refused is stored');
    for (const id of accepted) assert.equal((await tutti.engine.done(id)).state, 'complete');
    const { text } = await ask(`${url}/metrics`);
    assert.match(text, /^tutti_actor_refused_total\{actor="task_request"\} [1-9]/m);
    assert.match(text, /^tutti_actor_capacity\{actor="task_request"\} 1$/m);
  } finally {
    await stop();
  }
});
