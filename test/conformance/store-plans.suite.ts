/** What plans ask of a store: versions, one live plan per pair, batches, queues, and what goes with what. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { ChangeSet } from '../../src/core/changes.ts';
import { type Plan, type PlanBatch, PlanPhase, Status } from '../../src/core/plan.ts';
import { BASE, NOW, taskRow } from './store-rows.ts';
import { failsWith, type SuiteContext } from './suite-context.ts';

const plan = (id: number, over: Partial<Plan> = {}): Plan => ({
  id,
  planId: `r__T__${id}`,
  resource: 'r',
  kind: 'table',
  taskType: 'T',
  status: Status.active,
  source: 1,
  once: false,
  version: 1,
  phase: PlanPhase.start,
  token: 0,
  owner: null,
  attempts: 0,
  wakeAt: null,
  batches: 0,
  batchTask: null,
  total: 0,
  inFlight: 0,
  processed: 0,
  lastProcessed: 0,
  inputUnit: 'ü',
  failedInARow: 0,
  barrenInARow: 0,
  print: 0,
  countFailures: true,
  policy: { thresholdPercent: 12.5, maxFailedBatches: 3, maxBarrenBatches: 3 },
  outcome: null,
  properties: { a: 'b"\\', ключ: '\u{1f600}' },
  customStats: null,
  state: null,
  message: 'm',
  triggeredBy: null,
  createdAt: NOW,
  updatedAt: NOW,
  endedAt: null,
  ...over,
});
const ended = (id: number, endedAt: number, over: Partial<Plan> = {}): Plan =>
  plan(id, { status: Status.completed, outcome: Status.completed, phase: PlanPhase.over, endedAt, ...over });
const batch = (of: number, seq: number, over: Partial<PlanBatch> = {}): PlanBatch => ({
  plan: of,
  seq,
  task: BASE + of * 100 + seq,
  name: `b${seq}`,
  submittedAt: NOW,
  state: 2,
  finishedAt: null,
  total: 2,
  complete: 0,
  failed: 0,
  units: 3,
  ...over,
});
export const plansSuite = (t: SuiteContext): void => {
  const made = (...plans: Plan[]): Promise<void> => t.commit((c) => c.plans.push(...plans.map((p) => ({ fromVersion: null, plan: p }))));
  const table = (incarnation = 1, id = 'r'): Promise<void> =>
    t.commit((c) => c.resources.push({ incarnation, id, kind: 'table', createdAt: NOW, fromVersion: null, body: '{"ä":1}' }));
  /** What decides against a store that has moved on: a conflict, and of the rest of the commit nothing is written. */
  const refused = async (fill: (c: ChangeSet) => void): Promise<void> => {
    const before = await everything();
    await failsWith('conflict', () =>
      t.commit((c) => {
        c.planQueues.push({ taskType: 'written', stoppedAt: 1 });
        c.tasks.push(taskRow(BASE + 9999));
        fill(c);
      }),
    );
    assert.deepEqual(await everything(), before);
  };
  const everything = async (): Promise<unknown> => [
    await t.store.plansOf({ newest: false, limit: 1000 }),
    await t.store.livePlans(),
    await t.store.planBatches({ plan: 1, from: 0, limit: 1000 }),
    await t.store.planBatches({ plan: 2, from: 0, limit: 1000 }),
    await t.store.stoppedQueues(),
    await t.store.loadTask(BASE + 9999),
  ];

  describe('plans', () => {
    t.test('are given back as they were written, in every field', async () => {
      const full = plan(3, {
        status: Status.aborting,
        source: 0,
        version: 1,
        phase: PlanPhase.batch,
        token: 9,
        owner: 2 ** 40,
        attempts: 2,
        wakeAt: NOW + 5,
        batches: 4,
        batchTask: BASE,
        total: 2 ** 52,
        inFlight: 5,
        processed: 6,
        lastProcessed: 1,
        failedInARow: 1,
        barrenInARow: 2,
        print: 2 ** 32 - 1,
        countFailures: false,
        outcome: Status.failed,
        customStats: { x: '' },
        state: '{"big":"\\u0000 is text"}',
        triggeredBy: 'ann',
      });
      const over = ended(4, NOW + 7, { taskType: 'U', planId: 'r__U__4', message: '' });
      await made(full, over, plan(5, { once: true, planId: 'x' }));
      assert.deepEqual(await t.store.planByNumber(3), full);
      assert.deepEqual(await t.store.planById('r__U__4'), over);
      assert.deepEqual(await t.store.planByNumber(6), null);
      assert.deepEqual(await t.store.planById('nothing'), null);
      assert.deepEqual(
        (await t.store.livePlans()).map((p) => [p.id, p.once]),
        [
          [3, false],
          [5, true],
        ],
      );
    });

    t.test('a change has the version it was decided on, or nothing is written (I3)', async () => {
      await made(plan(1), plan(2, { taskType: 'U', planId: 'u' }));
      const next = plan(1, { version: 2, message: 'next', owner: 5, batchTask: BASE, state: '1' });
      await t.commit((c) => c.plans.push({ fromVersion: 1, plan: next }));
      assert.deepEqual(await t.store.planByNumber(1), next);
      await refused((c) => c.plans.push({ fromVersion: 1, plan: plan(1, { version: 2, message: 'late' }) }));
      await refused((c) => c.plans.push({ fromVersion: 3, plan: plan(1, { version: 4 }) }));
      await refused((c) => c.plans.push({ fromVersion: 1, plan: plan(7, { version: 2 }) }));
      await refused((c) => c.plans.push({ fromVersion: null, plan: plan(1, { taskType: 'V', planId: 'v' }) }));
      await refused((c) => c.plans.push({ fromVersion: null, plan: plan(9, { taskType: 'V', planId: 'u' }) }));
      // The good half of a commit goes with the bad one.
      await refused((c) => c.plans.push({ fromVersion: 2, plan: plan(1, { version: 3 }) }, { fromVersion: 9, plan: plan(2, { version: 10 }) }));
    });

    t.test('I9: a pair has one live plan; one-shot runs and ended plans do not count; an end frees the pair', async () => {
      await made(
        plan(1),
        plan(2, { once: true, planId: 'o1' }),
        plan(3, { once: true, planId: 'o2' }),
        ended(4, NOW, { planId: 'e1' }),
        ended(5, NOW, { planId: 'e2' }),
      );
      await refused((c) => c.plans.push({ fromVersion: null, plan: plan(6) }));
      await refused((c) => c.plans.push({ fromVersion: null, plan: plan(6, { status: Status.aborting }) }));
      await made(plan(6, { taskType: 'U', planId: 'u' }), plan(7, { resource: 's', planId: 's' }));
      await t.commit((c) => c.plans.push({ fromVersion: 1, plan: plan(1, { version: 2, status: Status.aborting }) }));
      await refused((c) => c.plans.push({ fromVersion: null, plan: plan(8) }));
      await t.commit((c) => c.plans.push({ fromVersion: 2, plan: ended(1, NOW, { version: 3, status: Status.cancelled }) }));
      await made(plan(8));
      // A removal and its successor in one commit.
      await t.commit((c) => {
        c.planRemovals.push({ plan: 8, fromVersion: 1 });
        c.plans.push({ fromVersion: null, plan: plan(9) });
      });
      assert.deepEqual(await t.store.planIds({ resource: 'r', taskType: 'T' }), ['r__T__1', 'e1', 'e2', 'r__T__9']);
    });

    t.test('lists: by resource and type, oldest or newest first, without one-shot runs', async () => {
      await made(
        ended(1, 5),
        plan(2, { once: true, planId: 'o' }),
        plan(3),
        ended(4, 6, { taskType: 'U', planId: 'a' }),
        plan(5, { resource: 's', planId: 'b' }),
      );
      const ids = async (q: { resource?: string; taskType?: string; newest?: boolean; limit?: number }): Promise<number[]> =>
        (await t.store.plansOf({ newest: false, limit: 100, ...q })).map((p) => p.id);
      assert.deepEqual(await ids({}), [1, 3, 4, 5]);
      assert.deepEqual(await ids({ newest: true, limit: 2 }), [5, 4]);
      assert.deepEqual(await ids({ resource: 'r' }), [1, 3, 4]);
      assert.deepEqual(await ids({ taskType: 'T' }), [1, 3, 5]);
      assert.deepEqual(await ids({ resource: 'r', taskType: 'U' }), [4]);
      assert.deepEqual(await t.store.planIds({ resource: 'r', taskType: 'T' }), ['r__T__1', 'r__T__3']);
      assert.deepEqual(await t.store.planIds({ resource: 'nobody', taskType: 'T' }), []);
      assert.deepEqual(await t.store.plannedResources(), ['r', 's']);
    });

    t.test('52, 53: clearing a resource takes all its plans, live or not, with their batches, and those of no other', async () => {
      await made(plan(1), ended(2, 5, { planId: 'e' }), plan(3, { once: true, planId: 'o' }), plan(4, { resource: 'r2', planId: 'n' }));
      await t.commit((c) => {
        for (const p of [1, 2, 3, 4]) c.planBatches.push({ insert: true, batch: batch(p, 0) });
        c.deadLetters.push({ task: -2, at: NOW, reason: 'plan_failed', snapshot: '{}' });
      });
      await t.commit((c) => c.planClearings.push('r'));
      assert.deepEqual(
        (await t.store.livePlans()).map((p) => p.id),
        [4],
      );
      assert.deepEqual(await t.store.plannedResources(), ['r2']);
      for (const p of [1, 2, 3]) {
        assert.equal(await t.store.planByNumber(p), null);
        assert.deepEqual(await t.store.planBatches({ plan: p, from: 0, limit: 10 }), []);
        assert.equal(await t.store.batchOfTask(batch(p, 0).task), null);
      }
      assert.equal((await t.store.planBatches({ plan: 4, from: 0, limit: 10 })).length, 1);
      await t.commit((c) => c.planClearings.push('r', 'nobody'));
      // What was cleared in a commit may be made anew in it.
      await t.commit((c) => {
        c.planClearings.push('r2');
        c.plans.push({ fromVersion: null, plan: plan(5, { resource: 'r2', planId: 'n' }) });
      });
      assert.deepEqual(
        (await t.store.livePlans()).map((p) => p.id),
        [5],
      );
    });

    t.test('a removal is decided on a version, and takes batches and dead letter along', async () => {
      await made(ended(1, 5), ended(2, 5, { planId: 'x' }));
      await t.commit((c) => {
        c.planBatches.push({ insert: true, batch: batch(1, 0) }, { insert: true, batch: batch(2, 0) });
        c.deadLetters.push({ task: -1, at: NOW, reason: 'plan_failed', snapshot: '{}' });
      });
      await refused((c) => c.planRemovals.push({ plan: 2, fromVersion: 1 }, { plan: 1, fromVersion: 2 }));
      await t.commit((c) => c.plans.push({ fromVersion: 1, plan: ended(2, 5, { version: 2 }) }));
      await refused((c) => c.planRemovals.push({ plan: 2, fromVersion: 1 }));
      await t.commit((c) => c.planRemovals.push({ plan: 1, fromVersion: 1 }));
      assert.equal(await t.store.planByNumber(1), null);
      assert.deepEqual(await t.store.planBatches({ plan: 1, from: 0, limit: 10 }), []);
      assert.equal((await t.store.planBatches({ plan: 2, from: 0, limit: 10 })).length, 1);
      await refused((c) => c.planRemovals.push({ plan: 1, fromVersion: 1 }));
    });

    t.test('numbers of plans and resources are never given again, not even after a removal and a restart', async () => {
      assert.deepEqual(await t.store.planHighs(), { plan: 0, resource: 0 });
      await made(plan(7));
      await table(4);
      await t.commit((c) => {
        c.planRemovals.push({ plan: 7, fromVersion: 1 });
        c.resourceRemovals.push(4);
      });
      assert.deepEqual(await t.store.planHighs(), { plan: 7, resource: 4 });
      if (t.opened.again === undefined) return;
      t.store = await t.opened.again();
      assert.deepEqual(await t.store.planHighs(), { plan: 7, resource: 4 });
    });

    t.test('retention: ended plans by age or by number, oldest end first; never a live one', async () => {
      await made(
        ended(1, NOW - 10),
        ended(2, NOW - 30, { planId: 'b' }),
        ended(3, NOW - 20, { planId: 'c' }),
        plan(4, { createdAt: 1, planId: 'd' }),
        plan(5, { createdAt: 1, planId: 'e', once: true }),
      );
      const gone = (q: { before?: number; keep?: number; limit?: number }): Promise<number[]> =>
        Promise.resolve(t.store.endedPlans({ before: 0, keep: 100, limit: 100, ...q }));
      assert.deepEqual(await gone({}), []);
      assert.deepEqual(await gone({ before: NOW - 20 }), [2]);
      assert.deepEqual(await gone({ before: NOW - 19 }), [2, 3]);
      assert.deepEqual(await gone({ keep: 2 }), [2]);
      assert.deepEqual(await gone({ keep: 1 }), [2, 3]);
      assert.deepEqual(await gone({ keep: 0 }), [2, 3, 1]);
      assert.deepEqual(await gone({ keep: 0, limit: 2 }), [2, 3]);
      assert.deepEqual(await gone({ before: NOW, keep: 2 }), [2, 3, 1]);
      const needsSomebody = new ChangeSet();
      needsSomebody.deadLetters.push({ task: -3, at: NOW, reason: 'plan_failed', snapshot: '{}' });
      await t.store.commit(needsSomebody);
      assert.deepEqual(await gone({ keep: 0 }), [2, 1], 'one that needs a person stays');
    });
  });

  describe('batches of plans', () => {
    t.test('are written when they begin and when they end, once each; in order, from a number on', async () => {
      await made(plan(1));
      await t.commit((c) => c.planBatches.push({ insert: true, batch: batch(1, 1) }, { insert: true, batch: batch(1, 0) }));
      await refused((c) => c.planBatches.push({ insert: true, batch: batch(1, 0, { task: BASE + 5 }) }));
      await refused((c) => c.planBatches.push({ insert: true, batch: batch(1, 2, { task: batch(1, 0).task }) }));
      const over = batch(1, 0, { state: -1, finishedAt: NOW + 9, total: 5, complete: 3, failed: 2 });
      await t.commit((c) => c.planBatches.push({ insert: false, batch: over }));
      assert.deepEqual(await t.store.planBatches({ plan: 1, from: 0, limit: 10 }), [over, batch(1, 1)]);
      assert.deepEqual(await t.store.planBatches({ plan: 1, from: 1, limit: 10 }), [batch(1, 1)]);
      assert.deepEqual(await t.store.planBatches({ plan: 1, from: 0, limit: 1 }), [over]);
      await refused((c) => c.planBatches.push({ insert: false, batch: { ...over, state: 8 } }));
      await refused((c) => c.planBatches.push({ insert: false, batch: batch(1, 7, { finishedAt: 1 }) }));
      assert.deepEqual(await t.store.batchOfTask(over.task), over);
      assert.equal(await t.store.batchOfTask(1), null);
    });

    t.test('tasks of live plans are kept by retention, those of ended plans are not', async () => {
      await t.commit((c) => {
        for (const [i, p] of [plan(1), ended(2, NOW, { planId: 'x' })].entries()) {
          c.plans.push({ fromVersion: null, plan: p });
          c.planBatches.push({ insert: true, batch: batch(p.id, 0, { task: BASE + i, state: 8, finishedAt: NOW }) });
        }
        for (const i of [0, 1, 2]) c.tasks.push(taskRow(BASE + i, { state: 8, completedAt: NOW }));
      });
      assert.deepEqual(await t.store.expired({ before: NOW + 1, keep: 100, limit: 100 }), [BASE + 1, BASE + 2]);
    });

    t.test('a task that goes leaves the record of its batch', async () => {
      await t.commit((c) => {
        c.plans.push({ fromVersion: null, plan: ended(1, NOW) });
        c.planBatches.push({ insert: true, batch: batch(1, 0, { task: BASE, state: 8, finishedAt: NOW }) });
        c.tasks.push(taskRow(BASE, { state: 8, completedAt: NOW }));
      });
      await t.commit((c) => c.removals.push(BASE));
      assert.equal(await t.store.loadTask(BASE), null);
      assert.equal((await t.store.planBatches({ plan: 1, from: 0, limit: 10 })).length, 1);
    });
  });

  describe('queues of task types', () => {
    t.test('stopped ones are known, also after a restart; stopping or resuming twice changes nothing', async () => {
      await t.commit((c) => c.planQueues.push({ taskType: 'B', stoppedAt: 1 }, { taskType: 'A', stoppedAt: 2 }));
      await t.commit((c) => c.planQueues.push({ taskType: 'A', stoppedAt: 3 }, { taskType: 'C', stoppedAt: null }));
      assert.deepEqual(await t.store.stoppedQueues(), ['A', 'B']);
      if (t.opened.again !== undefined) t.store = await t.opened.again();
      await t.commit((c) => c.planQueues.push({ taskType: 'A', stoppedAt: null }));
      assert.deepEqual(await t.store.stoppedQueues(), ['B']);
    });
  });
};
