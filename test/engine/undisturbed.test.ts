import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handler, Tutti } from '../../src/main.ts';

test('cancelable: false: no signal, the reply says so, and what it returns is in the audit only (design.md §2)', async () => {
  let go!: () => void;
  const gate = new Promise<void>((resolve) => (go = resolve));
  let begun!: () => void;
  const running = new Promise<void>((resolve) => (begun = resolve));
  let aborted: boolean | undefined;
  const careful = handler(
    'careful',
    async (ctx) => {
      begun();
      await gate;
      aborted = ctx.signal.aborted;
      return { moved: 3 };
    },
    { cancelable: false },
  );
  const tutti = await Tutti.open({ store: ':memory:', handlers: [careful] });
  const task = await tutti.submitTree([
    { name: 'move', handler: 'careful' },
    { name: 'after', handler: 'careful', dependencies: ['move'] },
  ]);
  await running;
  const [explained] = await task.explain('move');
  assert.equal(explained.gates[0].details.cancelable, false);
  const reply = await task.cancelStep('move', { reason: 'not wanted any more' });
  assert.deepEqual([reply.state, reply.stopping, reply.cancelable, reply.error?.message], ['cancelled', true, false, 'not wanted any more']);
  go();
  for await (const e of tutti.events({ types: ['step.attempt'], taskId: task.id })) if (e.data.outcome === 'returned') break;
  assert.equal(aborted, false);
  const step = await task.step('move');
  assert.deepEqual([step.state, step.stopping, 'result' in step && step.result !== undefined], ['cancelled', false, false]);
  const audit = await task.audit('move');
  assert.deepEqual(
    audit.map((a) => [a.outcome, a.success, a.result]),
    [
      ['returned', false, { moved: 3 }],
      ['cancelled', false, undefined],
    ],
  );
  assert.equal((await task.step('after')).reason, 'dependency_failed');
  await tutti.close();
});
