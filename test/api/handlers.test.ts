import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as wire from '../../src/contract/wire.ts';
import { cli } from '../cli/cli-harness.ts';
import { fakeServer } from './fake-server.ts';

test('GET /v1/handlers lists what the workers have, and tutti handlers shows it', async () => {
  await using s = await fakeServer();
  const { status, json } = await s.ask('/v1/handlers');
  assert.equal(status, 200);
  assert.ok(wire.handlerList.strict().safeParse(json).success);
  assert.deepEqual(json, {
    handlers: [
      {
        id: 'mail.send',
        aliases: ['mail'],
        description: 'Sends mail',
        tags: ['mail'],
        input_schema: { type: 'object', required: ['to'] },
        output_schema: null,
        cancelable: false,
        has_finalize: false,
        has_on_abort: true,
        source: null,
        methods: ['call'],
      },
    ],
    total_count: 1,
  });
  const shown = await cli(['handlers'], { url: s.url });
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, /^HANDLER/);
  assert.match(shown.out, /mail\.send, mail +mail +no +onAbort +Sends mail/);
  assert.deepEqual(JSON.parse((await cli(['handlers', '--json'], { url: s.url })).out), json);
  s.engine.handlerViews.length = 0;
  const none = await cli(['handlers'], { url: s.url });
  assert.deepEqual([none.code, none.out, none.err], [0, '', 'no handlers\n']);
});

test('the list asks for a key like any other route, and the metric of hooks is there', async () => {
  await using s = await fakeServer({ apiKeys: ['k'] });
  assert.equal((await s.ask('/v1/handlers')).status, 401);
  s.engine.counts.hookErrors = 4;
  assert.match((await s.ask('/metrics', { headers: { 'x-api-key': 'k' } })).text, /^tutti_hook_errors_total 4$/m);
});
