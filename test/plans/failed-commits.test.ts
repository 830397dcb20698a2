/** Plans while commits fail: nothing is told that is not durable (I1), nobody waits for ever, and what was decided is decided again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChangeSet } from '../../src/core/changes.ts';
import { Status } from '../../src/core/plan.ts';
import { isTuttiError } from '../../src/core/errors.ts';
import { PlanWorld } from '../support/plan-world.ts';
import { PermanentError } from '../../src/sdk/handler-errors.ts';
import { batches } from '../support/scripted-type.ts';

const creates = (c: ChangeSet): boolean => c.plans.some((p) => p.fromVersion === null);
const concludes = (c: ChangeSet): boolean => c.plans.some((p) => p.plan.status === Status.completed);

/** Fails the commits that `which` names, so often. */
const failing =
  (which: (c: ChangeSet) => boolean, times: number, fate: 'busy' | 'refused' | 'lost' | 'applied' | 'full' = 'busy') =>
  (c: ChangeSet): 'ok' | typeof fate =>
    which(c) && times-- > 0 ? fate : 'ok';

for (const fate of ['busy', 'refused', 'lost', 'applied'] as const) {
  test(`a trigger whose first commit is ${fate} answers with the plan that it made, and makes one`, async (t) => {
    const w = new PlanWorld();
    t.after(() => w.close());
    w.ends = () => null;
    await w.boot([batches('Steps', 1)]);
    w.fate = failing(creates, 2, fate);
    const id = await w.run('Steps');
    assert.match(id, /^t_OFFLINE__Steps__/);
    assert.deepEqual(await w.engine.plans.planIds({ resource: 't_OFFLINE', taskType: 'Steps' }), [id]);
    assert.equal((await w.engine.plans.plan(id)).batches.length, 1);
  });
}

test('a plan that is not stored yet is shown to nobody (I1)', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  await w.boot([batches('Steps', 1)]);
  w.fate = failing(creates, 3, 'busy');
  const asked = w.run('Steps');
  let seen = 0;
  for (let i = 0; i < 200 && w.inner.planIds({ resource: 't_OFFLINE', taskType: 'Steps' }).length === 0; i++) {
    for (let k = 0; k < 5; k++) await Promise.resolve();
    if (w.inner.planIds({ resource: 't_OFFLINE', taskType: 'Steps' }).length === 0) {
      assert.deepEqual(await w.engine.plans.active(), []);
      assert.equal(w.engine.plans.metrics().activeTaskPlansCount, 0);
      seen++;
    }
    if (!(await w.machine.stepOnce())) w.machine.fireNext();
  }
  assert.ok(seen > 3);
  await w.wait(asked);
});

test('whoever asks for the end while the commit that ends the plan fails gets it when it is durable, and holds up nobody', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.ends = () => null;
  await w.boot([batches('Steps', 1)]);
  const id = await w.run('Steps');
  let failed = 0;
  w.fate = (c) => (concludes(c) && failed++ < 3 ? 'busy' : 'ok');
  let reads = 0;
  const { planById } = w.inner;
  w.inner.planById = (planId) => {
    if (++reads > 1000) throw new Error('asked the store over and over');
    return planById.call(w.inner, planId);
  };
  const finished = w.finish();
  // Between the second failure and its repetition: the wait takes a timer.
  for (let i = 0; i < 500 && failed < 2; i++) if (!(await w.machine.stepOnce())) w.machine.fireNext();
  assert.equal(failed, 2);
  assert.equal(await w.engine.plans.isActive(id), true);
  const end = w.engine.plans.ended(id);
  end.catch(() => undefined);
  await finished;
  assert.equal((await w.wait(end)).status, 'COMPLETED');
});

test('a poll between a failed commit and its repetition loses no batch', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.ends = () => null;
  await w.boot([batches('Steps', 2)]);
  let failed = 0;
  w.fate = (c) => (c.planBatches.some((b) => b.insert) && failed++ < 3 ? 'busy' : 'ok');
  const asked = w.run('Steps');
  for (let i = 0; i < 500 && failed < 2; i++) if (!(await w.machine.stepOnce())) w.machine.fireNext();
  assert.equal(failed, 2);
  await w.engine.plans.poll();
  const id = await w.wait(asked);
  await w.finish();
  await w.finish();
  const p = await w.wait(w.engine.plans.ended(id));
  assert.deepEqual(
    p.batches.map((b) => b.taskState),
    ['COMPLETED', 'COMPLETED'],
  );
});

test('a plan is aborted and dropped in one turn: both happen', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.ends = () => null;
  await w.boot([batches('Steps', 3)]);
  const id = await w.run('Steps');
  const { plans } = w.engine;
  const aborted = plans.abort(id);
  for (let i = 0; i < 100 && plans.keeper.inbox.depth === 0; i++) await Promise.resolve();
  let dropped: unknown;
  plans.keeper.inbox.force({ kind: 'drop', resource: 't_OFFLINE', incarnation: null, done: (e) => (dropped = e) });
  assert.equal((await w.wait(aborted)).status, 'ABORTING');
  await w.machine.settle();
  assert.equal(dropped, null);
  assert.deepEqual(w.inner.livePlans(), []);
  await assert.rejects(plans.plan(id), (e) => isTuttiError(e) && e.code === 'NOT_FOUND');
  assert.equal(w.engine.metrics().commitFailures, 0);
});

test('a plan that was made in the turn that drops its resource is not left behind', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.ends = () => null;
  await w.boot([batches('Steps', 3)]);
  const inbox = w.engine.plans.keeper.inbox;
  const asked = w.run('Steps');
  for (let i = 0; i < 100 && inbox.depth === 0; i++) await Promise.resolve();
  assert.equal(inbox.depth, 1);
  let dropped = false;
  inbox.force({ kind: 'drop', resource: 't_OFFLINE', incarnation: null, done: (e) => (dropped = e === null) });
  await w.wait(asked);
  await w.machine.settle();
  assert.ok(dropped);
  assert.deepEqual(w.inner.livePlans(), []);
  assert.deepEqual(w.inner.plannedResources(), []);
  assert.match(await w.run('Steps'), /__Steps__/);
});

test('items that were looked up before their resource was removed are refused, once, also where another has its name', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  await w.boot([]);
  const { resources, keeper } = w.engine.plans;
  const items = await resources.prepare('t_OFFLINE', { put: [{ key: 'a', body: 1 }] });
  assert.ok(items !== null);
  await w.wait(resources.remove('t_OFFLINE'));
  const told: (string | null)[] = [];
  const write = async (): Promise<void> => {
    keeper.inbox.force({ kind: 'items', items, done: (e) => void told.push(e?.code ?? null) });
    await w.wait(resources.change('u_OFFLINE', { put: [{ key: 'b', body: 1 }] }));
    await w.machine.settle();
  };
  await write();
  await w.wait(resources.create({ id: 't_OFFLINE', kind: 'table', body: {} }));
  await write();
  assert.deepEqual(told, ['NOT_FOUND', 'NOT_FOUND']);
  assert.deepEqual(await resources.items('t_OFFLINE'), []);
  assert.equal(w.engine.metrics().commitFailures, 0);
});

test('while nothing can be written, polls pile up nothing (I11), and then all goes on', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.ends = () => null;
  let waits = true;
  const type = batches('Steps', 2, {
    nextBatch: (ctx) => {
      if (ctx.batches === 1 && waits) return { kind: 'wait', after: '1m' };
      return ctx.batches < 2 ? { kind: 'batch', subtasks: [{ input: 0 }] } : { kind: 'done' };
    },
  });
  await w.boot([type], { plans: { pollMs: 1000 } });
  const { plans } = w.engine;
  const ids = [await w.run('Steps'), await w.run('Steps', {}, 'u_OFFLINE')];
  await w.finish();
  waits = false;
  w.fate = () => 'full';
  await w.machine.advanceBy(3_600_000);
  assert.ok(w.engine.metrics().commitFailures > 100);
  assert.ok(plans.keeper.inbox.depth <= 2, `${plans.keeper.inbox.depth} commands wait`);
  // What is told of them meanwhile is what was stored.
  for (const id of ids) assert.equal((await plans.plan(id)).batches.length, 1);
  w.fate = () => 'ok';
  await w.machine.advanceBy(60_000);
  for (const id of ids) assert.equal((await plans.plan(id)).batches.length, 2);
});

for (const fate of ['busy', 'refused', 'lost', 'applied'] as const)
  test(`what is not kept is told to whoever waits, also when the commit that removes it is ${fate}`, async (t) => {
    let says = 'throw';
    const w = new PlanWorld();
    t.after(() => w.close());
    const type = batches('Steps', 0, {
      startPlan: () => {
        if (says === 'throw') throw new PermanentError('inputDirURI is wrong');
        return { state: null, inputsToProcess: 0 };
      },
      nextBatch: () => ({ kind: 'done', message: 'no file is new' }),
    });
    await w.boot([type]);
    let once = true;
    w.fate = (c) => {
      if (!once || c.planRemovals.length === 0) return 'ok';
      once = false;
      return fate;
    };
    const ask = () =>
      w.wait(w.engine.plans.trigger({ resource: 't_OFFLINE', taskType: 'Steps', settings: { enableTaskOrchestration: 'true' }, via: 'execute' }));
    await assert.rejects(ask(), { code: 'INVALID_INPUT', message: /inputDirURI is wrong$/ });
    says = 'done';
    once = true;
    assert.equal((await ask()).runs[0].nothing, 'no file is new');
    assert.equal(once, false);
  });
