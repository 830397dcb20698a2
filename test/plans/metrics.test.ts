/** Every metric of the seed, moved through the real engine. Numbers are rows of spec/startree.md §14. Their names on /metrics: test/server. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { PlanMetrics } from '../../src/engine/plan-views.ts';
import type { AnyTaskType } from '../../src/sdk/plans/task-type.ts';
import { PlanWorld } from '../support/plan-world.ts';
import { batches, counting } from '../support/scripted-type.ts';

async function world(t: TestContext, types: AnyTaskType[] = [counting('Purge', 25, 10)]): Promise<PlanWorld> {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.ends = () => null;
  await w.boot(types, { plans: { pollMs: 10_000 } });
  return w;
}
const pair = (w: PlanWorld, type = 'Purge'): PlanMetrics['pairs'][number] | undefined => w.engine.plans.metrics().pairs.find((p) => p.taskType === type);
const gauges = (w: PlanWorld): unknown[] => {
  const p = pair(w);
  return [p?.taskPlanInputsToProcess, p?.taskPlanInputsBeingProcessed, p?.taskPlanInputsProcessed, p?.taskPlanProgressionBlocked];
};
const counts = (w: PlanWorld): number[] => {
  const m = w.engine.plans.metrics();
  return [m.activeTaskPlansCount, m.taskPlansAbortingCount];
};

test('61: the gauges of inputs follow the plan, are 0 in flight between batches, and are gone with its end', async (t) => {
  const w = await world(t);
  assert.deepEqual(gauges(w), [undefined, undefined, undefined, undefined]);
  await w.run('Purge');
  assert.deepEqual(gauges(w), [25, 10, 0, 0]);
  await w.finish();
  assert.deepEqual(gauges(w), [25, 10, 10, 0]);
  await w.wait(w.engine.plans.stopQueue('Purge'));
  await w.finish();
  assert.deepEqual(gauges(w), [25, 0, 20, 1]);
  await w.wait(w.engine.plans.resumeQueue('Purge'));
  await w.machine.settle();
  assert.deepEqual(gauges(w), [25, 5, 20, 0]);
  await w.finish();
  assert.deepEqual(gauges(w), [undefined, undefined, undefined, undefined]);
});

test('59: one ACTIVE and one ABORTING plan count one each, after both have ended none; a DELETE is no taskPlanAborted; runs count nowhere', async (t) => {
  const w = await world(t, [counting('Purge', 25, 10), counting('Other', 25, 10)]);
  await w.run('Purge');
  const aborted = await w.run('Other');
  await w.wait(w.engine.plans.trigger({ resource: 'u_OFFLINE', taskType: 'Purge', via: 'execute' }));
  assert.deepEqual(counts(w), [2, 0]);
  await w.wait(w.engine.plans.abort(aborted));
  assert.deepEqual(counts(w), [1, 1]);
  await w.finish();
  assert.deepEqual(counts(w), [1, 0]);
  for (let i = 0; i < 2; i++) await w.finish();
  assert.deepEqual([counts(w), pair(w, 'Other')?.taskPlanAborted ?? 0], [[0, 0], 0]);
});

test('61: a kill loses counters, not gauges: they are those of the plan that is taken up', async (t) => {
  const types = [{ ...counting('Purge', 25, 10), retry: { maxAttempts: 3, backoff: 'none' } } as const];
  const w = await world(t, types);
  await w.run('Purge');
  await w.finish();
  w.kill();
  await w.boot(types);
  assert.deepEqual(
    [gauges(w), counts(w)],
    [
      [25, 10, 10, 0],
      [1, 0],
    ],
  );
});

test('meters: what a generator and its plan do wrong is counted once per time', async (t) => {
  let says: 'throw' | 'abort' = 'throw';
  const w = await world(t, [
    batches('Purge', 1, {
      nextBatch: () => {
        if (says === 'throw') throw new Error('boom');
        return { kind: 'abort', reason: 'no' };
      },
    }),
  ]);
  await w.run('Purge');
  for (let n = 1; n <= 3; n++) {
    const p = pair(w);
    assert.deepEqual([p?.orchestrationCycleFailure, p?.taskGenerationFailureCount, p?.taskPlanAborted], [n, n, 0]);
    if (n < 3) await w.machine.advanceBy(10_000);
  }
  says = 'abort';
  await w.machine.advanceBy(100_000);
  const p = pair(w);
  assert.deepEqual([p?.orchestrationCycleFailure, p?.taskGenerationFailureCount, p?.taskPlanAborted, counts(w)], [3, 3, 1, [0, 0]]);
});

test('a commit that is decided twice counts once', async (t) => {
  let bad = true;
  const w = await world(t, [
    batches('Purge', 1, {
      nextBatch: () => {
        if (bad) throw new Error('boom');
        return { kind: 'abort', reason: 'no' };
      },
    }),
  ]);
  let failed = 0;
  w.fate = (c) => (c.plans.some((p) => p.fromVersion !== null) && failed++ < 2 ? 'busy' : 'ok');
  await w.run('Purge');
  assert.equal(pair(w)?.taskGenerationFailureCount, 1);
  bad = false;
  failed = 0;
  await w.machine.advanceBy(60_000);
  assert.equal(pair(w)?.taskPlanAborted, 1);
});

test('the age of the last poll is computed when it is read: it rises, and falls with a poll', async (t) => {
  const w = await world(t);
  const age = (): number => w.engine.plans.metrics().orchestrationTimeSinceLastPollMs;
  await w.machine.advanceBy(9_000);
  assert.equal(age(), 9_000);
  await w.machine.advanceBy(1_000);
  assert.equal(age(), 0);
  await w.machine.advanceBy(500);
  assert.equal(age(), 500);
  await w.wait(w.engine.plans.poll());
  assert.equal(age(), 0);
  // A process that stands still shows.
  w.machine.skip(3_600_000);
  assert.equal(age(), 3_600_000);
});

test('the counters of a pair are there from its first plan on, though it has ended before anybody looked', async (t) => {
  const w = await world(t, [batches('Purge', 1)]);
  const id = await w.run('Purge');
  await w.finish();
  assert.equal((await w.engine.plans.plan(id)).status, 'COMPLETED');
  const p = pair(w);
  assert.deepEqual([p?.orchestrationCycleFailure, p?.taskPlanAborted], [0, 0]);
});
