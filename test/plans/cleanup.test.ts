/** What is removed and what stays: dropped and vanished resources, ended plans, tasks of batches. Numbers are rows of spec/startree.md §14. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { isTuttiError, type ErrorCode } from '../../src/core/errors.ts';
import type { EngineConfig } from '../../src/engine/host.ts';
import type { PlanConfig } from '../../src/engine/plan-port.ts';
import { ChangeSet } from '../../src/core/changes.ts';
import { failure, PlanWorld } from '../support/plan-world.ts';
import { batches, counting } from '../support/scripted-type.ts';

const is = (code: ErrorCode) => (e: unknown) => isTuttiError(e) && e.code === code;
const TYPES = [counting('Purge', 25, 10), counting('Export', 25, 10)];
const TABLE = 't_OFFLINE';

async function world(t: TestContext, plans: Partial<PlanConfig> = {}, config: Partial<EngineConfig> = {}): Promise<PlanWorld> {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.ends = () => null;
  await w.boot(TYPES, { plans, config });
  return w;
}

const ids = (w: PlanWorld, resource = TABLE, taskType = 'Purge'): Promise<string[]> => w.engine.plans.planIds({ resource, taskType });
const pairs = (w: PlanWorld): string[] => w.engine.plans.metrics().pairs.map((p) => p.resource);
const gone = async (w: PlanWorld, id: string): Promise<void> => {
  await assert.rejects(w.engine.plans.plan(id), is('NOT_FOUND'));
  await assert.rejects(w.engine.plans.isActive(id), is('NOT_FOUND'));
  await assert.rejects(w.wait(w.engine.plans.abort(id)), is('NOT_FOUND'));
};

test('50: a drop removes the plans of every type, live and ended, before its kind is told, and nothing of other tables', async (t) => {
  const w = await world(t);
  const ended = await w.run('Purge');
  await w.wait(w.engine.plans.abort(ended));
  await w.finish();
  const plans = [await w.run('Purge'), await w.run('Export')];
  const other = await w.run('Purge', {}, 'u_OFFLINE');
  const half = await w.run('Purge', {}, 't_REALTIME');
  await w.wait(w.engine.plans.trigger({ resource: TABLE, taskType: 'Purge', via: 'cron' }));
  assert.ok(pairs(w).includes(TABLE));
  const before: string[] = [];
  w.engine.addResourceKind({ name: 'watch', exists: (id) => id === 'w', expand: () => [], onDrop: () => void before.push(...w.inner.plannedResources()) });
  await w.wait(w.engine.resources.create({ id: 'w', kind: 'watch', body: null }));
  await w.wait(w.engine.resources.remove('w'));
  assert.deepEqual(before, [TABLE, 't_REALTIME', 'u_OFFLINE']);
  const batch = (await w.engine.plans.plan(plans[0])).batches[0].taskId;
  const ending = w.engine.plans.ended(plans[1]);
  ending.catch(() => undefined);
  await w.wait(w.engine.resources.remove(TABLE));
  for (const id of [ended, ...plans]) await gone(w, id);
  assert.deepEqual([await ids(w), await ids(w, TABLE, 'Export'), w.inner.plannedResources()], [[], [], ['t_REALTIME', 'u_OFFLINE']]);
  // Whoever waits for the end is told that there is none, the running batch is cancelled, gauges and counters are gone.
  await assert.rejects(w.wait(ending), is('NOT_FOUND'));
  await w.machine.settle();
  assert.equal((await w.engine.task(batch)).state, 'cancelled');
  assert.deepEqual([pairs(w).includes(TABLE), w.engine.plans.metrics().activeTaskPlansCount], [false, 2]);
  await w.machine.advanceBy(120_000);
  for (const id of [other, half]) assert.equal((await w.engine.plans.plan(id)).status, 'ACTIVE');
  assert.equal(await w.engine.resources.get(TABLE), null);
});

test('53: a table made again under the name inherits no plan, no item, no count', async (t) => {
  const w = await world(t);
  const old = await w.run('Purge');
  await w.wait(w.engine.resources.change(TABLE, { put: [{ key: 'segment/1', body: 1 }] }));
  await w.wait(w.engine.resources.remove(TABLE));
  const again = await w.wait(w.engine.resources.create({ id: TABLE, kind: 'table', body: {} }));
  assert.deepEqual([await ids(w), await w.engine.resources.items(TABLE), again.version], [[], [], 1]);
  const id = await w.run('Purge');
  assert.notEqual(id, old);
  assert.deepEqual(await ids(w), [id]);
  await gone(w, old);
});

test('a drop with a running batch: what it then returns changes nothing, and the pair is free', async (t) => {
  const w = await world(t);
  await w.run('Purge');
  const held = [...w.running];
  await w.wait(w.engine.resources.remove(TABLE));
  w.running = held;
  await w.finish();
  await w.machine.advanceBy(60_000);
  assert.deepEqual([w.inner.livePlans(), await w.engine.plans.recent()], [[], []]);
  await w.wait(w.engine.resources.create({ id: TABLE, kind: 'table', body: {} }));
  assert.equal((await w.engine.plans.plan(await w.run('Purge'))).batches.length, 1);
  assert.deepEqual(
    w.logged.filter((l) => l.startsWith('error')),
    [],
  );
});

test('52: the sweep removes plans of tables that vanished, live or ended, and no others; also by itself, after its interval', async (t) => {
  const w = await world(t, { orphanMs: 100_000 });
  const stays = await w.run('Purge', {}, 'u_OFFLINE');
  const ended = await w.run('Export');
  await w.wait(w.engine.plans.abort(ended));
  await w.finish();
  const live = await w.run('Purge');
  assert.equal(await w.wait(w.engine.plans.sweep()), 0);
  w.existing.delete(TABLE);
  assert.equal(await w.wait(w.engine.plans.sweep()), 1);
  for (const id of [ended, live]) await gone(w, id);
  assert.equal((await w.engine.plans.plan(stays)).status, 'ACTIVE');
  w.existing.delete('u_OFFLINE');
  await w.machine.advanceBy(100_000);
  await gone(w, stays);
  assert.deepEqual(w.inner.plannedResources(), []);
});

test('52: a kind that cannot be asked, or that nobody here knows, is not "gone"', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge');
  const kind = w.kind();
  w.kind = () => ({
    ...kind,
    exists: () => {
      throw new Error('disk error');
    },
  });
  w.kill();
  w.existing.delete(TABLE);
  await w.boot(TYPES);
  assert.equal(await w.wait(w.engine.plans.sweep()), 0);
  assert.ok(w.logged.some((l) => l.includes('could not be asked')));
  w.kind = () => ({ ...kind, name: 'other' });
  w.kill();
  await w.boot(TYPES);
  assert.equal(await w.wait(w.engine.plans.sweep()), 0);
  assert.equal(await w.engine.plans.isActive(id), true);
  w.kind = () => kind;
  w.kill();
  await w.boot(TYPES);
  assert.equal(await w.wait(w.engine.plans.sweep()), 1);
  await gone(w, id);
});

test('a table that is there again when the sweep comes to it keeps its plans', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge');
  w.existing.delete(TABLE);
  // Somebody works on the table: the sweep waits, and asks only then.
  let release = (): void => undefined;
  const work = w.engine.plans.resources.locked(TABLE, () => new Promise<void>((resolve) => (release = resolve)));
  const swept = w.engine.plans.sweep();
  await w.machine.settle();
  w.existing.add(TABLE);
  release();
  await work;
  assert.equal(await w.wait(swept), 0);
  assert.equal(await w.engine.plans.isActive(id), true);
});

test('retention: ended plans by age and by number, with their dead letters; live ones never; numbers are not given again', async (t) => {
  const w = await world(t, { orphanMs: 1000, retentionMs: 10_000, retentionCount: 2 });
  const seen: string[] = [];
  for (let i = 0; i < 3; i++) {
    seen.push(await w.run('Purge'));
    await w.wait(w.engine.plans.abort(seen[i]));
    await w.finish();
    await w.machine.advanceBy(100);
  }
  const live = await w.run('Purge');
  await w.machine.advanceBy(1000);
  assert.deepEqual(await ids(w), [seen[1], seen[2], live]);
  await w.machine.advanceBy(12_000);
  assert.deepEqual(await ids(w), [live]);
  for (const id of seen) await gone(w, id);
  const numbers = new Set([w.inner.planById(live)!.id]);
  w.kill();
  await w.boot(TYPES, { plans: { orphanMs: 1000, retentionMs: 10_000 } });
  await w.wait(w.engine.plans.abort(live));
  await w.machine.settle();
  await w.finish();
  const next = await w.run('Purge');
  numbers.add(w.inner.planById(next)!.id);
  assert.equal(Math.min(...numbers) >= 4 && numbers.size === 2, true);
});

test('49: the task of the open batch is gone behind our back: the batch is lost, its state unknown, and the plan goes on', async (t) => {
  const w = await world(t, { pollMs: 1000 });
  const id = await w.run('Purge');
  const task = w.inner.planById(id)!.batchTask!;
  w.kill();
  const c = new ChangeSet();
  c.removals.push(task);
  w.inner.commit(c);
  await w.boot(TYPES, { plans: { pollMs: 1000 } });
  await w.machine.advanceBy(2000);
  let p = await w.engine.plans.plan(id);
  assert.deepEqual([p.status, p.batches.map((b) => b.taskState), p.inputsProcessed], ['ACTIVE', [null, 'IN_PROGRESS'], 0]);
  for (let i = 0; i < 3; i++) await w.finish();
  p = await w.wait(w.engine.plans.ended(id));
  // The generator saw no subtask of it, so nothing of it came again: what a plan of its own inputs would have to look at.
  assert.deepEqual([p.status, p.batches.length], ['COMPLETED', 3]);
});

test('49: a task that goes while its graph is in memory does not hang the plan either', async (t) => {
  const w = await world(t, { pollMs: 1000 });
  const id = await w.run('Purge');
  const c = new ChangeSet();
  c.removals.push(w.inner.planById(id)!.batchTask!);
  w.inner.commit(c);
  await w.finish();
  await w.machine.advanceBy(60_000);
  await w.finish();
  await w.machine.advanceBy(60_000);
  await w.finish();
  assert.equal((await w.wait(w.engine.plans.ended(id))).status, 'COMPLETED');
});

test('a batch of a plan is not reset, live or ended; that of a live plan is not purged, and retention leaves it', async (t) => {
  const w = await world(t, {}, { retention: { enabled: true, maxAgeMs: 1, maxCount: 1_000_000, intervalMs: 1000 } });
  const id = await w.run('Purge');
  await w.finish(failure());
  const [first, open] = (await w.engine.plans.plan(id)).batches;
  assert.equal(first.taskState, 'FAILED');
  for (const b of [first, open]) {
    await assert.rejects(w.wait(w.engine.reset(b.taskId)), is('ILLEGAL_STATE'));
    await assert.rejects(w.wait(w.engine.purge(b.taskId)), is('ILLEGAL_STATE'));
  }
  await w.machine.advanceBy(600_000);
  assert.equal((await w.engine.task(first.taskId)).state, 'error');
  await w.wait(w.engine.plans.abort(id));
  await w.finish();
  assert.equal((await w.engine.plans.plan(id)).status, 'CANCELLED');
  await assert.rejects(w.wait(w.engine.reset(first.taskId)), is('ILLEGAL_STATE'));
  await w.machine.advanceBy(600_000);
  await assert.rejects(w.engine.task(first.taskId), is('NOT_FOUND'));
  // Its record goes on to say what became of it.
  assert.deepEqual(
    (await w.engine.plans.plan(id)).batches.map((b) => [b.taskState, b.subtasks.failed]),
    [
      ['FAILED', 10],
      ['COMPLETED', 0],
    ],
  );
});

test('the deadline of a batch: TIMED_OUT, and its inputs come again', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge', { taskBatchTimeoutSeconds: '60' });
  await w.finish(undefined, 4);
  await w.machine.advanceBy(61_000);
  await w.machine.advanceBy(60_000);
  const p = await w.engine.plans.plan(id);
  assert.deepEqual([p.batches[0].taskState, p.batches[0].subtasks.complete, p.batches[0].subtasks.failed, p.inputsProcessed], ['TIMED_OUT', 4, 6, 4]);
  assert.equal(p.status, 'ACTIVE');
  assert.equal(p.batches[1].subtasks.total, 10);
});

test('a batch that a person cancels is ABORTED, and its inputs come again', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge');
  await w.finish(undefined, 3);
  await w.wait(w.engine.cancel((await w.engine.plans.plan(id)).batches[0].taskId));
  await w.machine.advanceBy(60_000);
  const p = await w.engine.plans.plan(id);
  assert.deepEqual([p.status, p.batches[0].taskState, p.batches[0].subtasks.complete, p.inputsProcessed], ['ACTIVE', 'ABORTED', 3, 3]);
  assert.equal(p.batches.length, 2);
});

test('56: live plans under each combination of filters', async (t) => {
  const w = await world(t);
  const made: [string, string, string][] = [];
  for (const resource of [TABLE, 'u_OFFLINE']) for (const type of ['Purge', 'Export']) made.push([resource, type, await w.run(type, {}, resource)]);
  const ended = await w.run('Purge', {}, 't_REALTIME');
  await w.wait(w.engine.plans.abort(ended));
  await w.finish();
  await w.wait(w.engine.plans.abort(made[0][2]));
  for (const resource of [undefined, TABLE, 'u_OFFLINE', 't_REALTIME', 'nobody'])
    for (const taskType of [undefined, 'Purge', 'Export', 'Nothing']) {
      const found = (await w.engine.plans.active({ resource, taskType })).map((p) => p.planId);
      const wanted = made.filter(([r, type]) => (resource === undefined || r === resource) && (taskType === undefined || type === taskType)).map((m) => m[2]);
      assert.deepEqual(found.toSorted(), wanted.toSorted(), `${resource} ${taskType}`);
    }
});

test('batches of a name: what a type without plans leaves behind is a task, and no plan', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  await w.boot([batches('Once', 1)]);
  const { runs } = await w.wait(w.engine.plans.trigger({ resource: TABLE, taskType: 'Once', via: 'execute' }));
  await w.machine.settle();
  // Its record is gone: it may be reset and purged as any other.
  await w.wait(w.engine.purge(runs[0].taskId!));
  await assert.rejects(w.engine.task(runs[0].taskId!), is('NOT_FOUND'));
});

test('a batch that begins while the table is being dropped is cancelled like any other', async (t) => {
  const w = await world(t);
  await w.run('Purge');
  let release = (): void => undefined;
  const work = w.engine.plans.resources.locked(TABLE, () => new Promise<void>((resolve) => (release = resolve)));
  const removed = w.engine.resources.remove(TABLE);
  await w.machine.settle();
  await w.finish();
  const tasks = (await w.engine.list({ limit: 10 })).tasks.map((task) => task.id);
  assert.equal(tasks.length, 2);
  release();
  await work;
  await w.wait(removed);
  await w.machine.settle();
  const states = await Promise.all(tasks.map(async (id) => (await w.engine.task(id)).state));
  assert.deepEqual(states.toSorted(), ['cancelled', 'complete']);
});

test('the sweep cancels the batch that runs for a table that is gone', async (t) => {
  const w = await world(t);
  const id = await w.run('Purge');
  const task = (await w.engine.plans.plan(id)).batches[0].taskId;
  w.existing.delete(TABLE);
  await w.wait(w.engine.plans.sweep());
  await w.machine.settle();
  assert.equal((await w.engine.task(task)).state, 'cancelled');
});

test('a resource that vanished takes its live plan with it at the next poll; one that cannot be asked for does not', async (t) => {
  const w = await world(t, { pollMs: 1000, orphanMs: 28_800_000 });
  const [kept, id] = [await w.run('Purge', {}, 'u_OFFLINE'), await w.run('Purge')];
  w.existing.delete(TABLE);
  await w.machine.advanceBy(1000);
  await gone(w, id);
  assert.deepEqual(w.inner.plannedResources(), ['u_OFFLINE']);
  w.existing.has = () => {
    throw new Error('the catalogue is away');
  };
  await w.machine.advanceBy(3000);
  assert.equal((await w.engine.plans.plan(kept)).status, 'ACTIVE');
});

test('orphans and old plans are looked for soon after a start, however long the interval is', async (t) => {
  const w = await world(t, { pollMs: 1000, orphanMs: 28_800_000 });
  const id = await w.run('Purge');
  await w.wait(w.engine.plans.abort(id));
  await w.finish();
  assert.equal((await w.engine.plans.plan(id)).status, 'CANCELLED');
  w.existing.delete(TABLE);
  w.kill();
  await w.boot(TYPES, { plans: { pollMs: 1000, orphanMs: 28_800_000 } });
  await w.machine.advanceBy(1000);
  assert.deepEqual(w.inner.plannedResources(), []);
});

test('a kind that never answers holds up no poll of other plans', async (t) => {
  const w = await world(t, { pollMs: 1000 });
  const silent = new Promise<boolean>(() => undefined);
  w.engine.addResourceKind({ name: 'remote', exists: (id) => id === 'far' && asking, expand: (name) => (name === 'far' ? ['far'] : []) });
  let asking: boolean | Promise<boolean> = true;
  await w.run('Purge', {}, 'far');
  const id = await w.run('Purge');
  asking = silent;
  w.pressure = { diskPercent: 99, memoryPercent: null };
  await w.machine.advanceBy(1000);
  await w.finish();
  await w.machine.advanceBy(1000);
  assert.equal((await w.engine.plans.plan(id)).batches.length, 1);
  w.pressure = { diskPercent: 1, memoryPercent: null };
  await w.machine.advanceBy(1000);
  assert.equal((await w.engine.plans.plan(id)).batches.length, 2);
});

test('a resource of another kind that has the name of one that is gone keeps its plans', async (t) => {
  const w = await world(t, { pollMs: 1000 });
  const there = new Set(['x']);
  w.engine.addResourceKind({ name: 'a', exists: (id) => there.has(id), expand: (name) => (there.has(name) ? [name] : []) });
  const old = await w.run('Purge', {}, 'x');
  const heirs = new Set<string>();
  w.engine.addResourceKind({ name: 'b', exists: (id) => heirs.has(id), expand: (name) => (heirs.has(name) ? [name] : []) });
  there.clear();
  heirs.add('x');
  const heir = await w.run('Export', {}, 'x');
  await w.machine.advanceBy(5000);
  for (const id of [old, heir]) assert.equal((await w.engine.plans.plan(id)).status, 'ACTIVE');
});
