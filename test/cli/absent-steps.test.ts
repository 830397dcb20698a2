/** Steps that a decision has not chosen, or not yet, as the command line tells of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { template, to } from '../../src/main.ts';
import { startHttpServer } from '../../src/server/http/server.ts';
import { Hold, opened } from '../support/live-task.ts';
import { cli } from './cli-harness.ts';
import { realTimer } from '../support/real-timer.ts';

test('explain and show of a task with a decision, before and after it chose', async (t) => {
  const gate = new Hold();
  const flow = template('tests/absent@1.0.0')
    .decision('choose', {}, { a: (b) => b.step('a', () => 1), b: (b) => b.step('b', () => 2) }, async () => {
      await gate.wait();
      return to('a');
    })
    .step('join', { after: ['a', 'b'] }, () => 3);
  const tutti = await opened(t, [flow]);
  const server = await startHttpServer({
    engine: tutti.engine,
    host: '127.0.0.1',
    port: 0,
    apiKeys: [],
    logger: pino({ level: 'silent' }),
    now: () => 0,
    timer: realTimer,
    maxBodyBytes: 1000,
  });
  t.after(() => server.close());
  const { url } = server;
  const task = await tutti.submit(flow, {});
  await gate.until(1);
  const before = await cli(['explain', task.id, 'b'], { url });
  assert.equal(before.code, 0, before.err);
  assert.match(before.out, /b {2}undecided\n {2}undecided +It does not exist yet: choose has not chosen\./);
  const all = await cli(['explain', task.id], { url });
  assert.doesNotMatch(all.out, /undefined|join/);
  gate.open();
  await task.done();
  const after = await cli(['explain', task.id, 'b'], { url });
  assert.match(after.out, /b {2}not_taken\n {2}not_taken +It was not taken: nothing chose it\./);
  const shown = await cli(['show', task.id], { url });
  assert.equal(shown.code, 0, shown.err);
  assert.doesNotMatch(shown.out, /undefined/);
});
