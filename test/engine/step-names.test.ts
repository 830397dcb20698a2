import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addedEvent, endedEvent, readLog, stepEvent } from '../../src/core/log.ts';
import { StepNames } from '../../src/engine/step-names.ts';

const events = (...texts: string[]) => readLog({ seq: 1, at: 0, body: `[${texts.join(',')}]` });

test('a name comes from memory, from the template, from the event that added the step, and only then from the store', async () => {
  const asked: [number, readonly number[]][] = [];
  const names = new StepNames({
    inMemory: (task, no) => (task === 1 && no === 9 ? 'live' : undefined),
    inTemplate: (template, no) => (template === 5 ? ['a', 'b'][no] : undefined),
    stored: (task, nos) => {
      asked.push([task, nos]);
      return nos.map((no) => (no === 7 ? 'stored seven' : null));
    },
  });
  assert.equal(names.learn(1, 5, events(stepEvent(9, 2, 1, 1), stepEvent(1, 2, 1, 1), endedEvent(3, 0))), undefined);
  assert.equal(names.learn(1, 5, events(addedEvent(4, 'added "four"', 1), stepEvent(4, 2, 1, 1))), undefined, 'nothing is read for what is at hand');
  assert.deepEqual(
    [9, 1, 4].map((no) => names.of(1, 5, no)),
    ['live', 'b', 'added "four"'],
  );
  assert.deepEqual(asked, []);
  // Resumed behind the events that added them; the parent of an added step is asked for too.
  await names.learn(2, null, events(stepEvent(7, 2, 1, 1), stepEvent(7, 6, 1, 1), addedEvent(11, 'eleven', 8)));
  assert.deepEqual(asked, [[2, [7, 8]]]);
  assert.deepEqual(
    [7, 8, 11].map((no) => names.of(2, null, no)),
    ['stored seven', '8', 'eleven'],
  );
  assert.equal(names.of(3, null, 7), '7', 'a name belongs to its task');
});
