/** The deadline of a template holds for a copy of its task, across restarts and resets, and says what it was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { graph, step } from './engine-setup.ts';
import { SimulatedEngine } from './simulated-engine.ts';

const HOUR = 3_600_000;

async function opened(): Promise<{ s: SimulatedEngine; id: string }> {
  const s = await SimulatedEngine.open();
  s.worker.handle('a', async () => '1');
  await s.complete(s.engine.register(graph('late', [step('a')], { deadlineMs: HOUR })), 'register');
  const { id } = await s.complete(s.engine.submit({ namespace: 't', name: 'late', input: {} }), 'submit');
  await s.complete(s.engine.done(id), 'done');
  s.worker.handle('a', () => new Promise(() => undefined));
  return { s, id };
}
const failure = async (s: SimulatedEngine, id: string): Promise<string> => {
  const { state, error } = await s.engine.done(id);
  assert.deepEqual([state, error?.code], ['error', 'task_deadline']);
  return error!.message;
};

test('it begins when a held copy is let run, and is kept by a restart', async () => {
  const { s, id } = await opened();
  const { id: copy } = await s.complete(s.engine.copy(id, { mode: 'copy' }), 'copy');
  await s.machine.advanceBy(2 * HOUR);
  const { deadlineAt } = await s.complete(s.engine.executeTree(copy), 'execute');
  assert.equal(deadlineAt, s.machine.now() + HOUR);
  await s.machine.advanceBy(HOUR / 2);
  s.kill();
  await s.boot();
  s.worker.handle('a', () => new Promise(() => undefined));
  assert.equal((await s.complete(s.engine.task(copy), 'view')).deadlineAt, deadlineAt);
  const told = failure(s, copy);
  await s.machine.advanceTo(deadlineAt! + 1);
  assert.equal(await told, `The task did not end within ${HOUR} ms.`);
  await s.close();
});

test('after a reset it is the whole time again, and the error says that time', async () => {
  const { s, id } = await opened();
  for (const late of [
    (await s.complete(s.engine.copy(id, { mode: 'copy', execute: true }), 'copy')).id,
    (await s.complete(s.engine.submit({ namespace: 't', name: 'late', input: {} }), 'submit')).id,
  ]) {
    const told = failure(s, late);
    await s.machine.advanceBy(HOUR + 1);
    assert.equal(await told, `The task did not end within ${HOUR} ms.`);
    // The attempt's grace.
    await s.machine.advanceBy(60_000);
    const { deadlineAt } = await s.complete(s.engine.reset(late), 'reset');
    assert.equal(deadlineAt, s.machine.now() + HOUR);
    const again = failure(s, late);
    await s.machine.advanceBy(HOUR + 1);
    assert.equal(await again, `The task did not end within ${HOUR} ms.`);
    await s.machine.advanceBy(60_000);
  }
  await s.close();
});
