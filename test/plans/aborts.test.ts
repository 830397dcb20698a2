/** The ways in which a plan ends before its work is done, and its calls when they fail, on the real engine. Numbers are rows of spec/startree.md §14. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { DeadLetterRow } from '../../src/core/changes.ts';
import { isTuttiError, type ErrorCode } from '../../src/core/errors.ts';
import type { PlanConfig } from '../../src/engine/plan-port.ts';
import type { PlanView } from '../../src/engine/plan-views.ts';
import { PermanentError } from '../../src/sdk/handler-errors.ts';
import type { AnyTaskType } from '../../src/sdk/plans/task-type.ts';
import { failure, OK, PlanWorld } from '../support/plan-world.ts';
import { batches, counting, gate } from '../support/scripted-type.ts';

const is =
  (code: ErrorCode, says = /./) =>
  (e: unknown) =>
    isTuttiError(e) && e.code === code && says.test(e.message);

interface Watched extends PlanWorld {
  letters: DeadLetterRow[];
}

/** Subtasks run until the test ends them. */
async function world(t: TestContext, types: AnyTaskType[], plans: Partial<PlanConfig> = {}): Promise<Watched> {
  const w = Object.assign(new PlanWorld(), { letters: [] as DeadLetterRow[] });
  t.after(() => w.close());
  w.ends = () => null;
  w.fate = (c) => {
    w.letters.push(...c.deadLetters);
    return 'ok';
  };
  await w.boot(types, { plans });
  return w;
}

const view = (w: PlanWorld, id: string): Promise<PlanView> => w.engine.plans.plan(id);
const abort = (w: PlanWorld, id: string): Promise<PlanView> => w.wait(w.engine.plans.abort(id, { by: 'ann', reason: 'wrong table' }));
const meters = (w: PlanWorld): number[] => {
  const p = w.engine.plans.metrics().pairs.at(0);
  return [p?.taskPlanAborted ?? 0, p?.orchestrationCycleFailure ?? 0, p?.taskGenerationFailureCount ?? 0];
};
const SAYS = 'Aborted by ann: wrong table. What runs may finish; nothing new is generated.';

test('29, 31: DELETE lets the running batch end, again changes nothing, then CANCELLED with the reason; its results count', async (t) => {
  const w = await world(t, [counting('Purge', 25, 10)]);
  const id = await w.run('Purge');
  assert.deepEqual([(await abort(w, id)).status, await w.engine.plans.isActive(id)], ['ABORTING', true]);
  const again = await w.wait(w.engine.plans.abort(id, { by: 'bob' }));
  assert.deepEqual([again.status, again.statusMessage], ['ABORTING', SAYS]);
  await w.machine.advanceBy(600_000);
  assert.equal(w.running.length, 10);
  await w.finish();
  const p = await view(w, id);
  assert.deepEqual([p.status, p.statusMessage, p.batches.length, p.inputsProcessed, p.inputsBeingProcessed], ['CANCELLED', SAYS, 1, 10, 0]);
  assert.equal(p.batches[0].taskState, 'COMPLETED');
  assert.equal(await w.engine.plans.isActive(id), false);
  await w.machine.advanceBy(600_000);
  assert.deepEqual([(await w.engine.list({ limit: 9 })).tasks.length, meters(w), w.letters], [1, [0, 0, 0], []]);
});

test('29: DELETE while the last batch runs ends CANCELLED, though nothing would have been left', async (t) => {
  const w = await world(t, [counting('Purge', 10, 10)]);
  const id = await w.run('Purge');
  await abort(w, id);
  await w.finish();
  assert.deepEqual([(await view(w, id)).status, (await view(w, id)).inputsProcessed], ['CANCELLED', 10]);
});

test('32: DELETE of an unknown plan is NOT_FOUND; of one that has ended ILLEGAL_STATE, and it is unchanged', async (t) => {
  const w = await world(t, [counting('Purge', 1, 1)]);
  await assert.rejects(w.wait(w.engine.plans.abort('t_OFFLINE__Purge__019')), is('NOT_FOUND'));
  await assert.rejects(w.wait(w.engine.plans.abort('nonsense')), is('NOT_FOUND'));
  const id = await w.run('Purge');
  await w.finish();
  const before = await view(w, id);
  assert.equal(before.status, 'COMPLETED');
  await assert.rejects(w.wait(w.engine.plans.abort(id)), is('ILLEGAL_STATE'));
  assert.deepEqual(await view(w, id), before);
});

/** DELETE while this function runs: it is told, and what it then gives is discarded or kept as it should be. */
for (const [call, end, told] of [
  ['startPlan', 'CANCELLED', true],
  ['nextBatch', 'CANCELLED', true],
  ['onBatchFinished', 'CANCELLED', false],
  ['onPlanEnd', 'COMPLETED', false],
] as const)
  test(`DELETE while ${call} runs: ABORTING at once, ${end} when it has answered`, async (t) => {
    const held = gate();
    const called: string[] = [];
    let signalled = false;
    const hold = async (name: string, ctx: { signal: AbortSignal }): Promise<void> => {
      called.push(name);
      if (name !== call) return;
      ctx.signal.addEventListener('abort', () => (signalled = true));
      await held.opened;
    };
    const type = batches('Purge', 1, {
      startPlan: async (ctx) => (await hold('startPlan', ctx), { state: null, inputsToProcess: 1 }),
      nextBatch: async (ctx) => {
        await hold('nextBatch', ctx);
        return ctx.batches === 0 ? { kind: 'batch', subtasks: [{ input: 0 }] } : { kind: 'done' };
      },
      onBatchFinished: async (ctx) => {
        await hold('onBatchFinished', ctx);
        return { changes: { put: [{ key: 'done', body: 1 }] } };
      },
      onPlanEnd: async (ctx, status) => {
        await hold('onPlanEnd', ctx);
        called.push(status);
        return { changes: { put: [{ key: `end ${status}`, body: 1 }] } };
      },
    });
    const w = await world(t, [type]);
    w.settings = { t_OFFLINE: { Purge: { enableTaskOrchestration: 'true' } } };
    await w.wait(w.engine.plans.trigger({ resource: 't_OFFLINE', taskType: 'Purge', via: 'cron' }));
    const [id] = await w.engine.plans.planIds({ resource: 't_OFFLINE', taskType: 'Purge' });
    await w.machine.settle();
    await w.finish();
    assert.equal(called.at(-1), call);
    assert.equal((await abort(w, id)).status, 'ABORTING');
    await w.machine.settle();
    assert.deepEqual([signalled, await w.engine.plans.isActive(id)], [told, true]);
    held.open();
    const p = await w.wait(w.engine.plans.ended(id));
    assert.equal(p.status, end);
    if (end === 'CANCELLED') assert.equal(p.statusMessage, SAYS);
    assert.deepEqual(called.slice(called.indexOf(call)), call === 'onPlanEnd' ? [call, 'COMPLETED'] : [call, 'onPlanEnd', 'CANCELLED']);
    const items = (await w.engine.resources.items('t_OFFLINE')).map((i) => i.key);
    assert.deepEqual(items, call === 'startPlan' || call === 'nextBatch' ? ['end CANCELLED'] : ['done', `end ${end}`]);
    assert.equal(p.batches.length, call === 'startPlan' || call === 'nextBatch' ? 0 : 1);
  });

test('DELETE of a plan that waits, is blocked, or whose call is to be tried again takes effect at once', async (t) => {
  const types = [
    batches('Waits', 1, { nextBatch: (ctx) => (ctx.batches === 0 ? { kind: 'batch', subtasks: [{ input: 0 }] } : { kind: 'wait', after: '1h' }) }),
    counting('Blocked', 25, 10),
    batches('Throws', 1, {
      nextBatch: (ctx) => {
        if (ctx.batches === 0) return { kind: 'batch', subtasks: [{ input: 0 }] };
        throw new Error('boom');
      },
    }),
  ];
  const w = await world(t, types);
  for (const type of ['Waits', 'Blocked', 'Throws']) {
    const id = await w.run(type);
    if (type === 'Blocked') await w.wait(w.engine.plans.stopQueue(type));
    await w.finish();
    assert.equal((await view(w, id)).status, 'ACTIVE', type);
    const p = await abort(w, id);
    await w.machine.settle();
    assert.deepEqual([(await view(w, id)).status, p.statusMessage, p.blocked], ['CANCELLED', SAYS, null], type);
  }
});

test('35: a generator that aborts: FAILED with its reason, counted, one dead letter', async (t) => {
  const type = batches('Purge', 1, {
    nextBatch: (ctx) => (ctx.batches === 0 ? { kind: 'batch', subtasks: [{ input: 0 }] } : { kind: 'abort', reason: 'bucket is gone' }),
  });
  const w = await world(t, [type]);
  const id = await w.run('Purge');
  await w.finish();
  const p = await view(w, id);
  assert.deepEqual([p.status, p.statusMessage, meters(w)], ['FAILED', 'bucket is gone', [1, 0, 0]]);
  assert.deepEqual(
    w.letters.map((l) => [l.task, l.reason, JSON.parse(l.snapshot)]),
    [[-w.inner.planById(id)!.id, 'plan_failed', { plan_id: id, resource: 't_OFFLINE', task_type: 'Purge', message: 'bucket is gone', batches: 1 }]],
  );
});

test('34: below the threshold what failed comes again; a batch in error writes no dead letter, and its task says FAILED', async (t) => {
  const w = await world(t, [counting('Purge', 6, 3)]);
  const id = await w.run('Purge', { taskPlanFailureThresholdPercent: '40' });
  await w.finish(failure(), 1);
  await w.finish();
  let p = await view(w, id);
  assert.deepEqual([p.status, p.batches[0].taskState, p.batches[0].subtasks.failed, p.inputsProcessed], ['ACTIVE', 'FAILED', 1, 2]);
  assert.equal((await w.engine.task(p.batches[0].taskId)).state, 'error');
  await w.finish();
  await w.finish();
  p = await view(w, id);
  assert.deepEqual([p.status, p.inputsProcessed, w.letters, meters(w)], ['COMPLETED', 6, [], [0, 0, 0]]);
});

test('above the threshold: FAILED when the batch has ended, counted once, one dead letter of the plan and none of the batch', async (t) => {
  const w = await world(t, [counting('Purge', 6, 3)]);
  const id = await w.run('Purge', { taskPlanFailureThresholdPercent: '40' });
  await w.finish(failure(), 2);
  assert.equal((await view(w, id)).status, 'ACTIVE');
  await w.finish();
  const p = await view(w, id);
  assert.deepEqual([p.status, p.statusMessage, meters(w)], ['FAILED', '2 of 3 subtasks failed in batch 0, more than 40 %.', [1, 0, 0]]);
  assert.deepEqual(
    w.letters.map((l) => l.reason),
    ['plan_failed'],
  );
});

test('batches that fail outright, and the same work over and over, end the plan', async (t) => {
  const same = batches('Same', 100, { nextBatch: () => ({ kind: 'batch', subtasks: [{ input: 'poison' }], countFailures: false }) });
  const w = await world(t, [counting('Purge', 100, 1), same]);
  w.ends = () => failure();
  const outright = await w.wait(w.engine.plans.ended(await w.run('Purge', { maxConsecutiveFailedBatches: '2' })));
  assert.deepEqual([outright.status, outright.batches.length, outright.statusMessage], ['FAILED', 2, '2 batches in a row failed outright.']);
  const barren = await w.wait(w.engine.plans.ended(await w.run('Same')));
  assert.deepEqual([barren.status, barren.batches.length], ['FAILED', 3]);
  assert.match(barren.statusMessage, /same subtasks/);
});

test('37: a generator that throws once: counted, ACTIVE, and the next poll goes on', async (t) => {
  let bad = true;
  const type = batches('Purge', 2, {
    nextBatch: (ctx) => {
      if (ctx.batches === 1 && bad) throw new Error('listing failed');
      return ctx.batches < 2 ? { kind: 'batch', subtasks: [{ input: 0 }] } : { kind: 'done' };
    },
  });
  const w = await world(t, [type], { pollMs: 1000 });
  const id = await w.run('Purge');
  await w.finish();
  const p = await view(w, id);
  assert.deepEqual([p.status, p.statusMessage, meters(w)], ['ACTIVE', 'nextBatch failed and is tried again: listing failed', [0, 1, 1]]);
  bad = false;
  await w.machine.advanceBy(1000);
  assert.equal((await view(w, id)).batches.length, 2);
  await w.finish();
  assert.equal((await view(w, id)).status, 'COMPLETED');
  const runs = w.engine.plans.generatorRuns('t_OFFLINE', 'Purge');
  assert.deepEqual(
    runs.filter((r) => !r.ok).map((r) => [r.call, r.message]),
    [['nextBatch', 'listing failed']],
  );
});

test('38: a plan that always throws holds up no other, and DELETE ends it', async (t) => {
  const boom = (): never => {
    throw new Error('boom');
  };
  const types = ['startPlan', 'nextBatch', 'onBatchFinished'].map((f) => batches(`No.${f}`, 1, { [f]: boom }));
  const w = await world(t, [...types, counting('Good', 30, 3)]);
  w.ends = () => OK;
  const bad: string[] = [];
  for (const type of types) bad.push(await w.run(type.name));
  const good = await w.wait(w.engine.plans.ended(await w.run('Good')));
  assert.deepEqual([good.status, good.batches.length], ['COMPLETED', 10]);
  await w.machine.advanceBy(7_200_000);
  for (const id of bad) assert.equal((await view(w, id)).status, 'ACTIVE');
  for (const id of bad) {
    await abort(w, id);
    const p = await w.wait(w.engine.plans.ended(id));
    assert.equal(p.status, 'CANCELLED');
    assert.ok(p.statusMessage.startsWith(SAYS), p.statusMessage);
  }
  assert.deepEqual([w.inner.livePlans(), w.letters], [[], []]);
});

test('a run that is no plan, and whose onBatchFinished always throws, is gone after a while', async (t) => {
  const w = await world(t, [
    batches('Purge', 1, {
      onBatchFinished: () => {
        throw new Error('boom');
      },
    }),
  ]);
  await w.wait(w.engine.plans.trigger({ resource: 't_OFFLINE', taskType: 'Purge', via: 'execute' }));
  await w.finish();
  assert.equal(w.inner.livePlans().length, 1);
  await w.machine.advanceBy(7_200_000);
  assert.deepEqual(w.inner.livePlans(), []);
});

test('the reason of an end is kept when onBatchFinished or onPlanEnd throws on the way, and onPlanEnd is told it', async (t) => {
  const told: string[] = [];
  let finish = 0;
  let end = 0;
  const type = batches('Purge', 3, {
    onBatchFinished: () => {
      if (finish++ === 0) throw new Error('boom');
    },
    onPlanEnd: (_, status, message) => {
      told.push(`${status} ${message}`);
      if (end++ === 0) throw new Error('boom');
    },
  });
  const w = await world(t, [type], { pollMs: 1000 });
  const id = await w.run('Purge');
  await abort(w, id);
  await w.finish();
  const p = await w.wait(w.engine.plans.ended(id));
  assert.deepEqual([p.status, p.statusMessage, told], ['CANCELLED', SAYS, [`CANCELLED ${SAYS}`, `CANCELLED ${SAYS}`]]);
});

test('an onPlanEnd that never succeeds: FAILED where all was done, with the reason and its error, and a dead letter', async (t) => {
  const type = batches('Purge', 1, {
    onPlanEnd: () => {
      throw new Error('no swap');
    },
  });
  const w = await world(t, [type]);
  const id = await w.run('Purge');
  await w.finish();
  const p = await w.wait(w.engine.plans.ended(id));
  assert.equal(p.status, 'FAILED');
  assert.match(p.statusMessage, /^All 1 inputs are processed: nothing is left to do. onPlanEnd failed 10 times: no swap$/);
  assert.equal(w.letters.length, 1);
});

// In startPlan it is the mistake of whoever asked: triggers.test.ts.
for (const call of ['nextBatch', 'onBatchFinished', 'onPlanEnd'])
  test(`PermanentError in ${call}: FAILED with its message, as the manual says`, async (t) => {
    const w = await world(t, [
      batches('Purge', 1, {
        [call]: () => {
          throw new PermanentError('no such column');
        },
      }),
    ]);
    w.ends = () => OK;
    const asked = w.wait(w.engine.plans.trigger({ resource: 't_OFFLINE', taskType: 'Purge', settings: { enableTaskOrchestration: 'true' }, via: 'execute' }));
    if (call === 'nextBatch') await assert.rejects(asked, is('GENERATION_FAILED', /no such column/));
    else await asked;
    const [id] = await w.engine.plans.planIds({ resource: 't_OFFLINE', taskType: 'Purge' });
    const p = await w.wait(w.engine.plans.ended(id));
    assert.deepEqual([p.status, w.letters.length], ['FAILED', 1]);
    assert.match(p.statusMessage, /no such column/);
  });

test('a call that takes too long is told, counted, and made again', async (t) => {
  let calls = 0;
  const type = batches('Purge', 1, {
    callTimeout: 1000,
    startPlan: async () => {
      if (calls++ === 0) await new Promise(() => undefined);
      return { state: null, inputsToProcess: 1 };
    },
  });
  const w = await world(t, [type], { pollMs: 1000 });
  const id = await w.run('Purge');
  assert.match((await view(w, id)).statusMessage, /startPlan failed and is tried again/);
  await w.machine.advanceBy(10_000);
  assert.deepEqual([calls, (await view(w, id)).batches.length, meters(w)], [2, 1, [0, 1, 1]]);
});
