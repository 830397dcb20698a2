/** Every sample of the tree guide, as it stands in examples/guide. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { basicTree } from '../../examples/guide/basic-tree.ts';
import { basicDependency, multipleDependencies, optionalDependency, sequentialPipeline } from '../../examples/guide/dependencies.ts';
import { hierarchicalTree } from '../../examples/guide/hierarchical-tree.ts';
import { combined, dependencyOnly, parentOnly } from '../../examples/guide/parents-and-dependencies.ts';
import { complexWorkflow, fallback, fanIn, fanOut, pipeline } from '../../examples/guide/patterns.ts';
import { dependencyResolution, errorsHandled, explicitDependency, streamingExecution, taskCancellation } from '../../examples/guide/practices.ts';
import { basicPriority, priorityConventions, priorityWithDependencies } from '../../examples/guide/priorities.ts';

/** `a` began before `b`. */
const before = (ran: string[], a: string, b: string): void =>
  assert.ok(ran.indexOf(a) >= 0 && ran.indexOf(a) < ran.indexOf(b), `${a} before ${b} in ${ran.join(', ')}`);

test('a parent orders nothing, a dependency orders', async () => {
  assert.deepEqual((await parentOnly()).sort(), ['task_a', 'task_b']);
  assert.deepEqual(await dependencyOnly(), ['task_c', 'task_b']);
  const ran = await combined();
  assert.equal(ran.length, 3);
  before(ran, 'task_c', 'task_b');
});

test('the basic tree: one task, with its result', async () => {
  const task = await basicTree();
  assert.equal(task.status, 'completed');
  assert.equal(task.userId, 'user123');
  assert.deepEqual(task.inputs, { resource: 'cpu' });
  assert.equal(typeof task.result, 'object');
  assert.notEqual(task.result, null);
});

test('the hierarchical tree: a folder and two children, all completed', async () => {
  const root = await hierarchicalTree();
  assert.equal(root.task.status, 'completed');
  assert.deepEqual(
    root.children.map((c) => [c.task.name, c.task.status, c.task.parentId]),
    [
      ['child_task_1', 'completed', root.task.id],
      ['child_task_2', 'completed', root.task.id],
    ],
  );
  assert.equal(root.calculateProgress(), 1);
  assert.equal(root.calculateStatus(), 'completed');
});

test('dependencies: one, a pipeline, several, an optional one', async () => {
  assert.deepEqual(await basicDependency(), ['fetch_data', 'process_data']);
  assert.deepEqual(await sequentialPipeline(), ['fetch_data', 'process_data', 'save_results']);
  const several = await multipleDependencies();
  assert.equal(several.length, 3);
  assert.equal(several[2], 'task3');
  const { ran, primary, fallback: other } = await optionalDependency();
  assert.deepEqual(ran, ['primary_task', 'fallback_task']);
  assert.equal(primary.status, 'failed');
  assert.equal(other.status, 'completed');
});

test('priorities choose among the ready, and a dependency beats them', async () => {
  assert.deepEqual(await basicPriority(), ['urgent_task', 'normal_task']);
  assert.deepEqual(await priorityWithDependencies(), ['task1', 'task2']);
  assert.deepEqual(await priorityConventions(), ['process_payment', 'process_data', 'cleanup']);
});

test('the five patterns', async () => {
  assert.deepEqual(await pipeline(), ['step1', 'step2', 'step3']);
  assert.deepEqual((await fanOut()).sort(), ['root', 'task1', 'task2', 'task3']);
  assert.equal((await fanIn())[3], 'final');
  const complex = await complexWorkflow();
  for (const first of ['task1', 'task2', 'task3']) before(complex, first, 'task4');
  before(complex, 'task4', 'final');
  before(complex, 'task5', 'final');
  const { ran, success } = await fallback();
  assert.equal(ran[2], 'success');
  assert.equal(success.status, 'completed');
});

test('practices: explicit order, errors, cancel, streaming, merged inputs', async () => {
  assert.deepEqual(await explicitDependency(), ['other_task', 'child']);
  assert.deepEqual(await errorsHandled(), ['Task process_payment failed: process_payment has failed']);
  const cancelled = await taskCancellation();
  assert.equal(cancelled.status, 'cancelled');
  assert.equal(cancelled.error?.message, 'User requested cancellation');
  const told = await streamingExecution();
  assert.ok(told.includes('step.state'));
  assert.equal(told.at(-1), 'task.state');
  assert.deepEqual(await dependencyResolution(), { given: { operation: 'analyze', fetch_done: true }, stored: { operation: 'analyze' } });
});
