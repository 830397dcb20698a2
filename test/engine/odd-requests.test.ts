/** Requests that a typed caller does not write: each is refused as what it is, and never blamed on the store. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { PermanentError, Tutti } from '../../src/main.ts';

async function opened(t: TestContext): Promise<Tutti> {
  const tutti = await Tutti.open({
    store: ':memory:',
    logger: () => {},
    handlers: {
      work: async () => 1,
      bad: async () => {
        throw new PermanentError('no');
      },
    },
  });
  t.after(() => tutti.close({ drain: 0 }));
  return tutti;
}
const ONE = [{ name: 'a', handler: 'work' }];

test('a list of elements that throws, a policy that is none', async (t) => {
  const tutti = await opened(t);
  const breaking = async function* (): AsyncGenerator<{ name: string; handler: string }> {
    yield ONE[0];
    throw new Error('the file ended early');
  };
  await assert.rejects(tutti.submitTree(breaking()), { code: 'INVALID_INPUT', message: /broke off: the file ended early/ });
  await assert.rejects(tutti.submitTree(ONE, { policy: 'never' as never }), { code: 'INVALID_INPUT', field: 'policy' });
  assert.equal((await tutti.list()).tasks.length, 0);
});

test('the message of a cancel is text', async (t) => {
  const tutti = await opened(t);
  const { id } = await tutti.submitTree(ONE, { execute: false });
  await assert.rejects(tutti.engine.cancelStep(id, 'a', { errorMessage: { n: 1n } as never }), { code: 'INVALID_INPUT', field: 'error_message' });
  await assert.rejects(tutti.engine.cancel(id, { errorMessage: 5 as never }), { code: 'INVALID_INPUT', field: 'error_message' });
  assert.equal((await tutti.engine.task(id)).state, 'pending');
});

test('overrides of a copy: objects only; a handler named in params is the handler', async (t) => {
  const tutti = await opened(t);
  const task = await tutti.submitTree(ONE);
  await task.done();
  for (const overrides of [null, 5, [], { elements: null }, { elements: { a: null } }])
    await assert.rejects(tutti.copy(task.id, { overrides: overrides as never }), { code: 'INVALID_INPUT' }, JSON.stringify(overrides));
  await assert.rejects(tutti.copy(task.id, { overrides: { params: { executor_id: 'nobody' } } }), { code: 'UNKNOWN_HANDLER' });
  const copy = await tutti.copy(task.id, { overrides: { params: { executor_id: 'bad' } }, execute: true });
  assert.equal((await copy.done()).state, 'error');
});

test('who ends with its dependency does not say that a person cancelled it later', async (t) => {
  const tutti = await opened(t);
  const { id } = await tutti.submitTree(
    [
      { name: 'a', handler: 'work' },
      { name: 'b', handler: 'work', dependencies: ['a'] },
      { name: 'c', handler: 'work', dependencies: [{ name: 'a', required: false }] },
    ],
    { execute: false },
  );
  await tutti.engine.cancelStep(id, 'a', { errorMessage: 'not needed' });
  await tutti.engine.cancel(id, { errorMessage: 'all of it' });
  const steps = await tutti.engine.steps(id);
  assert.deepEqual(
    steps.map((s) => [s.name, s.reason, s.error?.message ?? null]),
    [
      ['a', 'by_request', 'not needed'],
      ['b', 'dependency_failed', null],
      ['c', 'task_ended', 'all of it'],
    ],
  );
});
