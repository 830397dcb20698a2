import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type GlobalEvent, template, Tutti } from '../../src/main.ts';

const pair = template('events/pair@1.0.0')
  .step('one', async () => 1)
  .step('two', { after: ['one'] }, async () => 2);
const single = template('events/single@1.0.0').step('only', async () => 1);

test('onEvent without a function is refused at once', async (t) => {
  const tutti = await Tutti.open({ store: ':memory:', tables: false });
  t.after(() => tutti.close());
  assert.throws(() => tutti.onEvent((() => undefined) as never, undefined as never), { code: 'INVALID_INPUT', field: 'fn' });
});

test('tutti.events and tutti.onEvent tell of all tasks, filtered, in the order of the log', async (t) => {
  const tutti = await Tutti.open({ store: ':memory:', templates: [pair, single] });
  t.after(() => tutti.close());
  const called: GlobalEvent[] = [];
  const done = Promise.withResolvers<void>();
  const off = tutti.onEvent({ types: ['step.state'], states: ['complete'] }, (e) => {
    called.push(e);
    if (called.length === 3) done.resolve();
  });
  await (await tutti.submit(pair, {})).done();
  await (await tutti.submit(single, {})).done();
  await done.promise;
  off();
  assert.deepEqual(
    called.map((e) => [e.name, e.data.step]),
    [
      ['pair', 'one'],
      ['pair', 'two'],
      ['single', 'only'],
    ],
  );
  const read: GlobalEvent[] = [];
  for await (const e of tutti.events({ types: ['step.state'], states: ['complete'] })) {
    read.push(e);
    if (read.length === 3) break;
  }
  assert.deepEqual(read, called);
  for await (const e of tutti.events({ after: read[1].cursor, namespace: 'events', types: ['step.state'] })) {
    assert.equal(e.name, 'single');
    break;
  }
});

test('close() ends streams and callbacks', async () => {
  const tutti = await Tutti.open({ store: ':memory:', templates: [single] });
  let calls = 0;
  tutti.onEvent({}, () => void calls++);
  const all = Array.fromAsync(tutti.events({ types: ['task.patched'] }));
  await tutti.close();
  assert.deepEqual(await all, []);
  assert.equal(calls, 0);
});
