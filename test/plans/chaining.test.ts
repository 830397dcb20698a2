/** A plan from its trigger to its end. Numbers are rows of spec/startree.md §14. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure, OK, PlanWorld } from '../support/plan-world.ts';
import { counting } from '../support/scripted-type.ts';

test('13, 16: 25 inputs and limit 10 are batches 0, 1, 2 with 10, 10, 5, and nothing after', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  await w.boot([counting('Count', 25, 10)]);
  const id = await w.run('Count');
  const p = await w.wait(w.engine.plans.ended(id));
  assert.equal(p.status, 'COMPLETED');
  assert.deepEqual(
    p.batches.map((b) => [b.batchSequence, b.subtasks.total, b.taskState, b.submittedTaskName]),
    [0, 1, 2].map((n) => [n, [10, 10, 5][n], 'COMPLETED', `Task_Count_${id.split('__')[2]}_${n}`]),
  );
  assert.equal(p.inputsToProcess, 25);
  assert.equal(p.inputsProcessed, 25);
  assert.equal(p.inputsBeingProcessed, 0);
  assert.equal(p.inputUnit, 'things');
  assert.notEqual(p.statusMessage, '');
});

test('14, 17: while batch 0 runs there is no batch 1; when it ends, batch 1 comes without a trigger and without a poll', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.ends = () => null;
  await w.boot([counting('Count', 15, 10)]);
  const id = await w.run('Count');
  await w.machine.advanceBy(60_000);
  let p = await w.engine.plans.plan(id);
  assert.equal(p.batches.length, 1);
  assert.equal(p.batches[0].taskState, 'IN_PROGRESS');
  assert.equal(p.inputsBeingProcessed, 10);
  assert.equal(p.inputsToProcess, 15);
  const before = w.machine.now();
  await w.finish();
  assert.equal(w.machine.now(), before);
  p = await w.engine.plans.plan(id);
  assert.equal(p.batches.length, 2);
  assert.equal(p.batches[0].taskState, 'COMPLETED');
  assert.equal(p.inputsBeingProcessed, 5);
  assert.equal(p.inputsProcessed, 10);
  await w.finish();
  assert.equal((await w.engine.plans.plan(id)).status, 'COMPLETED');
});

test('34: what failed comes in a later batch, and the plan completes', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  const failedOnce = new Set<unknown>();
  w.ends = (n) => {
    if ((n as number) % 4 !== 0 || failedOnce.has(n)) return OK;
    failedOnce.add(n);
    return failure();
  };
  await w.boot([counting('Count', 20, 10)]);
  const p = await w.wait(w.engine.plans.ended(await w.run('Count')));
  assert.equal(p.status, 'COMPLETED');
  assert.equal(p.inputsProcessed, 20);
  assert.equal(p.batches[0].subtasks.failed, 3);
  assert.ok(p.batches.length > 2);
});
