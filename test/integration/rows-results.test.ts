/** Rows 31, 43, 44 and 49 of spec/apflow.md §8, as we read them where our model is another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handler, Tutti, type UntypedStepContext } from '../../src/main.ts';
import { realServer } from '../api/real-server.ts';

const opened = (handlers: Parameters<typeof Tutti.open>[0]['handlers']): Promise<Tutti> =>
  Tutti.open({ store: ':memory:', retention: false, logger: () => {}, handlers });
const once = { retry: { max_attempts: 1 } };

/**
 * There the schemas of producer and consumer decide how a result is laid over the inputs, and an unknown one means the plain merge. Ours is
 * the plain merge always (design.md §5), so that what schemas name, known or not, changes nothing.
 */
test('8.2 row 31: whoever the schemas name, results are merged the same way', async (t) => {
  const schema = { type: 'object', properties: { result: { type: 'object' } } };
  const tutti = await opened([
    handler('give', () => ({ rows: 3, from: 'give' }), { outputSchema: schema }),
    handler('number', () => 7),
    handler('wrapped', () => ({ result: { unwrapped: true }, more: 1 })),
    handler('take', (ctx: UntypedStepContext) => ctx.inputs, { inputSchema: { type: 'object' } }),
  ]);
  t.after(() => tutti.close());
  const deps = ['a', 'b', 'c'];
  const elements = (schemas: object | undefined): object[] => [
    { name: 'a', params: { executor_id: 'give' }, schemas },
    { name: 'b', params: { executor_id: 'number' }, schemas },
    { name: 'c', params: { executor_id: 'wrapped' }, schemas },
    { name: 'end', params: { executor_id: 'take' }, schemas, dependencies: deps, inputs: { own: 1, from: 'end' } },
  ];
  for (const schemas of [undefined, { method: 'nobody_has_this', type: 'nor_this' }, { method: 'give' }]) {
    const task = await tutti.submitTree(elements(schemas) as never);
    assert.deepEqual(await task.result(), { end: { own: 1, from: 'give', rows: 3, b: 7, unwrapped: true } }, JSON.stringify(schemas));
  }
});

/** There a tracker holds the roots that run, and refuses to run one twice. Ours is the task's own state: nothing else is kept that could stay behind. */
test('8.3 row 43: what has ended, well or not, is not taken for running, and nothing of it stays in memory', async (t) => {
  const tutti = await opened({
    good: () => 1,
    bad: () => {
      throw new Error('no');
    },
  });
  t.after(() => tutti.close());
  for (const [name, state] of [
    ['good', 'complete'],
    ['bad', 'error'],
  ]) {
    const task = await tutti.submitTree([{ name, ...once }], { execute: false, key: 'the same' });
    await task.execute();
    assert.equal((await task.done()).state, state);
    await assert.rejects(task.execute(), { code: 'ILLEGAL_STATE', message: /has ended/ });
    const m = tutti.engine.metrics();
    assert.deepEqual([m.cachedSteps, m.slots.used], [0, 0], name);
  }
  // Its key is free again: a live task would hold it.
  await (await tutti.submitTree([{ name: 'good' }], { key: 'the same' })).result();
});

/** There "No tasks provided"; ours are the words of row 5, wherever a list of elements is taken. */
test('8.3 row 44: an empty list is refused, as a tree, over REST in both forms, and for a task that is there', async (t) => {
  const s = await realServer();
  t.after(() => s[Symbol.asyncDispose]());
  const { tutti } = s;
  const empty = { code: 'INVALID_INPUT', field: 'tasks', message: 'Tasks array cannot be empty' };
  await assert.rejects(tutti.submitTree([]), empty);
  await assert.rejects(tutti.submitTree([], { execute: false }), empty);
  tutti.handler('work', () => 1);
  const task = await tutti.submitTree([{ name: 'work' }], { execute: false });
  await assert.rejects(task.addSteps([]), empty);
  const asked = [
    await s.ask('/v1/trees', { method: 'POST', body: { tasks: [] } }),
    await s.ask('/v1/trees', { method: 'POST', body: '\n', headers: { 'content-type': 'application/x-ndjson' } }),
    await s.ask(`/v1/trees/${task.id}/steps`, { method: 'POST', body: { tasks: [] } }),
  ];
  for (const { status, json } of asked) assert.deepEqual([status, (json.error as { code: string }).code], [400, 'INVALID_INPUT'], JSON.stringify(json));
  assert.equal((await tutti.list()).tasks.length, 1);
  assert.equal((await task.view()).totalSteps, 1);
});

/**
 * There the executor is asked to cancel and its answer is awaited. Ours is cancelled at once (design.md §2): what its handler returns after
 * that, how far it came and what that cost, is kept with the attempt and given by the audit, and never becomes the step's result.
 */
test('8.3 row 49: what a cancelled handler returns, a partial result and what was used, is stored and can be had', async (t) => {
  const begun = Promise.withResolvers<void>();
  const report = { partial_result: { pages: 3 }, token_usage: { input: 1200, output: 80 } };
  const undone: unknown[] = [];
  const tutti = await opened([
    handler(
      'write',
      async ({ signal }) => {
        begun.resolve();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        return report;
      },
      { onAbort: ({ own, reason }) => void undone.push([own, reason]) },
    ),
  ]);
  t.after(() => tutti.close());
  const task = await tutti.submitTree([{ name: 'write' }]);
  await begun.promise;
  const reply = await task.cancelStep('write', { reason: 'too dear' });
  assert.deepEqual([reply.state, reply.error?.message], ['cancelled', 'too dear']);
  for await (const e of tutti.events({ types: ['step.attempt'], taskId: task.id })) if (e.data.outcome === 'aborted') break;
  const audit = await task.audit('write');
  assert.deepEqual(audit.find((a) => a.outcome === 'returned')?.result, report);
  const step = await task.step('write');
  assert.deepEqual([step.state, step.result, step.stopping], ['cancelled', undefined, false]);
  assert.equal(undone.length, 1);
});
