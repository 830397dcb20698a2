/** What a trigger brings about, on the real engine. Numbers are rows of spec/startree.md §14. What only REST shows (status codes, 55, 58) is in test/server. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { isTuttiError, type ErrorCode } from '../../src/core/errors.ts';
import type { PlanConfig } from '../../src/engine/plan-port.ts';
import type { TriggerRequest, TriggerResult } from '../../src/engine/plan-views.ts';
import { PermanentError } from '../../src/sdk/handler-errors.ts';
import type { AnyTaskType } from '../../src/sdk/plans/task-type.ts';
import { PlanWorld } from '../support/plan-world.ts';
import { batches, counting, gate } from '../support/scripted-type.ts';

const FLAG = { enableTaskOrchestration: 'true' };
const FORCE = { forceLegacyTaskFlow: 'true' };
const TABLE = 't_OFFLINE';
const is =
  (code: ErrorCode, says = /./) =>
  (e: unknown) =>
    isTuttiError(e) && e.code === code && says.test(e.message);

const TYPES = [
  counting('Purge', 25, 10),
  counting('Other', 25, 10),
  { ...counting('Once', 25, 10), supportsOrchestration: false },
  { ...counting('Alter', 25, 10), aliases: ['AlterAlias'], orchestratedOnly: true },
];

async function world(t: TestContext, o: { types?: AnyTaskType[]; plans?: Partial<PlanConfig>; runs?: boolean } = {}): Promise<PlanWorld> {
  const w = new PlanWorld();
  t.after(() => w.close());
  if (o.runs !== true) w.ends = () => null;
  await w.boot(o.types ?? TYPES, { plans: o.plans });
  return w;
}

const execute = (w: PlanWorld, settings: Record<string, string> = {}, o: Partial<TriggerRequest> = {}): Promise<TriggerResult> =>
  w.wait(w.engine.plans.trigger({ resource: TABLE, taskType: 'Purge', settings, via: 'execute', ...o }));
const cron = (w: PlanWorld, o: Partial<TriggerRequest> = {}): Promise<TriggerResult> =>
  w.wait(w.engine.plans.trigger({ resource: TABLE, taskType: 'Purge', via: 'cron', triggeredBy: 'schedule', ...o }));
const ids = (w: PlanWorld, resource = TABLE, taskType = 'Purge'): Promise<string[]> => w.engine.plans.planIds({ resource, taskType });
const tasks = async (w: PlanWorld): Promise<number> => (await w.engine.list({ limit: 100 })).tasks.length;
const conflicts = (w: PlanWorld, taskType = 'Purge'): number =>
  w.engine.plans.metrics().pairs.find((p) => p.resource === TABLE && p.taskType === taskType)?.scheduledTriggerActivePlanConflict ?? 0;

test('1, 10: an ad hoc call with the flag makes one ACTIVE plan whose batch 0 is submitted', async (t) => {
  const w = await world(t);
  const { runs, skipped, blocked } = await execute(w, { ...FLAG, mine: 'x' }, { triggeredBy: 'ann' });
  assert.deepEqual([skipped, blocked, runs.length], [[], null, 1]);
  const [{ planId, taskName, taskId }] = runs;
  assert.match(planId!, /^t_OFFLINE__Purge__[0-9a-f-]{36}$/);
  const p = await w.engine.plans.plan(planId!);
  assert.deepEqual([p.status, p.source, p.triggeredBy, p.resource, p.taskType], ['ACTIVE', 'ADHOC_CONFIG', 'ann', TABLE, 'Purge']);
  assert.deepEqual(p.properties, { ...FLAG, mine: 'x' });
  assert.deepEqual(
    p.batches.map((b) => [b.batchSequence, b.submittedTaskName, b.taskId]),
    [[0, taskName, taskId]],
  );
  const task = await w.engine.task(taskId!);
  assert.equal(task.correlationId, planId);
  assert.deepEqual(await ids(w), [planId]);
  assert.equal(await w.engine.plans.isActive(planId!), true);
});

test('2: a tick for a table with the flag makes one ACTIVE plan from the table config, and does not wait for its generator', async (t) => {
  const held = gate();
  const type = batches('Purge', 1, { startPlan: async () => (await held.opened, { state: null, inputsToProcess: 1 }) });
  const w = await world(t, { types: [type] });
  w.settings = { [TABLE]: { Purge: { ...FLAG, schedule: '0 0 2 * * ?', timezone: 'UTC', own: 'y' } } };
  const { runs } = await cron(w);
  const [id] = await ids(w);
  assert.equal(runs[0].planId, id);
  const p = await w.engine.plans.plan(id);
  assert.deepEqual([p.status, p.source, p.batches, p.properties], ['ACTIVE', 'TABLE_CONFIG', [], { ...FLAG, own: 'y' }]);
  held.open();
  await w.machine.settle();
  assert.equal((await w.engine.plans.plan(id)).batches.length, 1);
});

for (const flag of ['false', 'yes', '1', ''])
  test(`4: the flag ${JSON.stringify(flag)} makes no plan, but one run`, async (t) => {
    const w = await world(t, { runs: true });
    const { runs } = await execute(w, { enableTaskOrchestration: flag });
    assert.equal(runs[0].planId, null);
    await w.machine.settle();
    assert.deepEqual([await ids(w), await w.engine.plans.recent(), w.inner.livePlans(), await tasks(w)], [[], [], [], 1]);
    assert.equal((await w.engine.task(runs[0].taskId!)).state, 'complete');
  });

test('5: a type without plans ignores the flag and runs once, ad hoc and by cron', async (t) => {
  const w = await world(t, { runs: true });
  w.settings = { [TABLE]: { Once: FLAG } };
  assert.equal((await execute(w, FLAG, { taskType: 'Once' })).runs[0].planId, null);
  assert.equal((await cron(w, { taskType: 'Once' })).runs[0].planId, null);
  await w.machine.settle();
  assert.deepEqual([await ids(w, TABLE, 'Once'), await tasks(w), w.inner.livePlans()], [[], 2, []]);
});

test('7: with both flags in the config a tick runs once; the force flag of an ad hoc call goes before that of the table', async (t) => {
  const w = await world(t, { runs: true });
  w.settings = { [TABLE]: { Purge: { ...FLAG, ...FORCE } } };
  assert.equal((await cron(w)).runs[0].planId, null);
  assert.equal((await execute(w, FLAG)).runs[0].planId, null);
  await w.machine.settle();
  assert.deepEqual(await ids(w), []);
  assert.notEqual((await execute(w, { ...FLAG, forceLegacyTaskFlow: 'false' })).runs[0].planId, null);
});

test('8: a type that is a plan only is refused without the flag, by its name and by its alias, and nothing runs', async (t) => {
  const w = await world(t);
  for (const [settings, taskType] of [
    [{}, 'Alter'],
    [{}, 'AlterAlias'],
    [{ ...FLAG, ...FORCE }, 'Alter'],
    [{ enableTaskOrchestration: 'no' }, 'Alter'],
  ] as const)
    await assert.rejects(execute(w, settings, { taskType }), is('ORCHESTRATED_ONLY', /enableTaskOrchestration/));
  assert.deepEqual([await tasks(w), w.inner.livePlans()], [0, []]);
  assert.equal(w.engine.plans.metrics().pairs.find((p) => p.taskType === 'Alter')?.taskGenerationFailureCount, 4);
  const id = (await execute(w, FLAG, { taskType: 'AlterAlias' })).runs[0].planId!;
  assert.match(id, /__Alter__/);
  assert.deepEqual(await ids(w, TABLE, 'AlterAlias'), [id]);
});

test('11: an unknown table or type is NOT_FOUND, and leaves nothing', async (t) => {
  const w = await world(t);
  await assert.rejects(execute(w, FLAG, { resource: 'nobody' }), is('NOT_FOUND', /nobody/));
  await assert.rejects(execute(w, FLAG, { taskType: 'Nothing' }), is('NOT_FOUND', /Nothing/));
  await assert.rejects(execute(w, FLAG, { resource: '' }), is('INVALID_INPUT'));
  assert.deepEqual([await tasks(w), w.inner.livePlans(), w.inner.plannedResources()], [0, [], []]);
});

test('22: while a plan is live an ad hoc call is refused, flag or no flag, and names it; the live one is unchanged', async (t) => {
  const w = await world(t);
  const id = (await execute(w, FLAG)).runs[0].planId!;
  const before = await w.engine.plans.plan(id);
  for (const settings of [FLAG, {}, { enableTaskOrchestration: 'no' }])
    await assert.rejects(execute(w, settings), (e) => is('PLAN_ACTIVE')(e) && isTuttiError(e) && e.message.includes(id) && e.details?.plan_id === id);
  await w.wait(w.engine.plans.abort(id));
  // ABORTING is live, too.
  await assert.rejects(execute(w, FLAG), is('PLAN_ACTIVE'));
  const after = await w.engine.plans.plan(id);
  assert.deepEqual({ ...after, status: before.status, statusMessage: before.statusMessage }, before);
  assert.deepEqual([await ids(w), await tasks(w), conflicts(w)], [[id], 1, 0]);
  // Another type of the table, and another table, are other pairs.
  assert.notEqual((await execute(w, FLAG, { taskType: 'Other' })).runs[0].planId, null);
  assert.notEqual((await execute(w, FLAG, { resource: 'u_OFFLINE' })).runs[0].planId, null);
});

test('23: a tick that finds a live plan is skipped and counted, flag or no flag, and the plan goes on', async (t) => {
  const w = await world(t);
  const id = (await execute(w, FLAG)).runs[0].planId!;
  for (const settings of [FLAG, {}]) {
    w.settings = { [TABLE]: { Purge: settings } };
    assert.deepEqual(await cron(w), { runs: [], skipped: [{ resource: TABLE, planId: id }], blocked: null });
  }
  assert.deepEqual([conflicts(w), await ids(w), await tasks(w)], [2, [id], 1]);
  for (let i = 0; i < 3; i++) await w.finish();
  assert.equal((await w.engine.plans.plan(id)).status, 'COMPLETED');
});

test('only the force flag lets a one-shot run pass a live plan; two of them may overlap', async (t) => {
  const w = await world(t);
  const id = (await execute(w, FLAG)).runs[0].planId!;
  assert.equal((await execute(w, { ...FLAG, ...FORCE })).runs[0].planId, null);
  w.settings = { [TABLE]: { Purge: FORCE } };
  assert.equal((await cron(w)).runs[0].planId, null);
  await w.machine.settle();
  assert.deepEqual([await ids(w), await tasks(w), conflicts(w)], [[id], 3, 0]);
  await w.finish();
  await w.finish();
  await w.finish();
  assert.equal((await w.engine.plans.plan(id)).status, 'COMPLETED');
  assert.deepEqual([await tasks(w), w.inner.livePlans()], [5, []]);
});

test('25: of twenty simultaneous calls one makes a plan, and nineteen are refused', async (t) => {
  const w = await world(t);
  const asked = Array.from({ length: 20 }, () => w.engine.plans.trigger({ resource: TABLE, taskType: 'Purge', settings: FLAG, via: 'execute' }));
  const told = await w.wait(Promise.allSettled(asked));
  const made = told.filter((r) => r.status === 'fulfilled');
  assert.equal(made.length, 1);
  for (const r of told) if (r.status === 'rejected') assert.ok(is('PLAN_ACTIVE')(r.reason));
  assert.deepEqual([await ids(w), await tasks(w)], [[made[0].value.runs[0].planId], 1]);
});

test('26: a tick and a call at once make one plan, whichever comes first', async (t) => {
  for (const first of ['execute', 'cron'] as const) {
    const w = await world(t);
    w.settings = { [TABLE]: { Purge: FLAG } };
    const ask = (via: 'execute' | 'cron'): Promise<TriggerResult> =>
      w.engine.plans.trigger({ resource: TABLE, taskType: 'Purge', via, ...(via === 'execute' ? { settings: FLAG } : {}) });
    const second = first === 'execute' ? 'cron' : 'execute';
    const [one, two] = await w.wait(Promise.allSettled([ask(first), ask(second)]));
    assert.equal(one.status, 'fulfilled');
    assert.equal((await ids(w)).length, 1);
    if (second === 'execute') assert.ok(two.status === 'rejected' && is('PLAN_ACTIVE')(two.reason));
    else assert.ok(two.status === 'fulfilled' && two.value.skipped.length === 1 && conflicts(w) === 1);
  }
});

test('28: after COMPLETED, CANCELLED and FAILED a trigger makes another plan, and the old ones are still listed', async (t) => {
  let says: 'go' | 'abort' = 'go';
  const type = batches('Purge', 1, {
    nextBatch: (ctx) =>
      says === 'abort' ? { kind: 'abort', reason: 'no' } : ctx.batches === 0 ? { kind: 'batch', subtasks: [{ input: 0 }] } : { kind: 'done' },
  });
  const w = await world(t, { types: [type] });
  const seen: string[] = [];
  for (const end of ['COMPLETED', 'CANCELLED', 'FAILED']) {
    says = 'go';
    const id = await w.run('Purge');
    seen.push(id);
    if (end === 'CANCELLED') await w.wait(w.engine.plans.abort(id));
    if (end === 'FAILED') says = 'abort';
    await w.finish();
    assert.equal((await w.engine.plans.plan(id)).status, end);
    assert.equal(await w.engine.plans.isActive(id), false);
  }
  says = 'go';
  seen.push(await w.run('Purge'));
  assert.equal(new Set(seen).size, 4);
  assert.deepEqual(await ids(w), seen);
});

test('43: one trigger over A (flag) and B (flag and force): neither gets a plan, and the live one of A goes on', async (t) => {
  const w = await world(t);
  const id = (await execute(w, FLAG)).runs[0].planId!;
  w.settings = { [TABLE]: { Purge: FLAG }, u_OFFLINE: { Purge: { ...FLAG, ...FORCE } } };
  const [result] = await w.wait(w.engine.plans.schedule({ taskType: 'Purge' }));
  assert.deepEqual(
    new Map(result.runs.map((r) => [r.resource, r.planId])),
    new Map([
      [TABLE, null],
      ['u_OFFLINE', null],
    ]),
  );
  assert.deepEqual([await ids(w), await ids(w, 'u_OFFLINE')], [[id], []]);
  assert.equal((await w.engine.plans.plan(id)).status, 'ACTIVE');
});

test('44: a force flag of another type, or of a table that is not asked for, forces nothing', async (t) => {
  const w = await world(t);
  w.settings = { [TABLE]: { Purge: FLAG, Unheard: FLAG }, u_OFFLINE: { Purge: FLAG, Other: { ...FLAG, ...FORCE } }, t_REALTIME: { Other: FLAG } };
  const results = await w.wait(w.engine.plans.schedule({}));
  const began = new Map(results.flatMap((r) => r.runs.map((run) => [`${r.taskType} ${run.resource}`, run.planId === null ? 'once' : 'plan'])));
  assert.deepEqual(
    began,
    new Map([
      [`Purge ${TABLE}`, 'plan'],
      ['Purge u_OFFLINE', 'plan'],
      ['Other t_REALTIME', 'once'],
      ['Other u_OFFLINE', 'once'],
    ]),
  );
  assert.deepEqual(
    results.flatMap((r) => [...r.generationErrors, ...r.schedulingErrors]),
    [],
  );
  // One table asked for by name is a trigger of that table alone.
  const [alone] = await w.wait(w.engine.plans.schedule({ taskType: 'Other', resource: 't_REALTIME' }));
  assert.notEqual(alone.runs[0].planId, null);
});

test('a call of schedule names the live plan it passes over, counts it, and says why a queue lets nothing begin', async (t) => {
  const w = await world(t);
  w.settings = { [TABLE]: { Purge: FLAG }, u_OFFLINE: { Purge: FLAG } };
  const id = (await execute(w, FLAG)).runs[0].planId!;
  const [result] = await w.wait(w.engine.plans.schedule({ taskType: 'Purge', triggeredBy: 'bob' }));
  assert.deepEqual(
    result.runs.map((r) => r.resource),
    ['u_OFFLINE'],
  );
  assert.deepEqual([result.schedulingErrors, conflicts(w)], [[`${TABLE}: the plan ${id} is live`], 1]);
  const [made] = await ids(w, 'u_OFFLINE');
  const p = await w.engine.plans.plan(made);
  assert.deepEqual([p.source, p.triggeredBy], ['TABLE_CONFIG', 'bob']);
  await w.wait(w.engine.plans.stopQueue('Other'));
  w.settings = { [TABLE]: { Other: FLAG } };
  const [stopped] = await w.wait(w.engine.plans.schedule({ taskType: 'Other' }));
  assert.deepEqual([stopped.runs, stopped.schedulingErrors], [[], [`${TABLE}: The queue of Other is stopped.`]]);
});

test('a name without type is a trigger of each half, all or none', async (t) => {
  const w = await world(t);
  const { runs } = await execute(w, FLAG, { resource: 't' });
  assert.deepEqual(
    runs.map((r) => r.resource),
    [TABLE, 't_REALTIME'],
  );
  assert.equal(new Set(runs.map((r) => r.taskName)).size, 2);
  await w.wait(w.engine.plans.abort(runs[0].planId!));
  await w.finish();
  await assert.rejects(execute(w, FLAG, { resource: 't' }), is('PLAN_ACTIVE', /t_REALTIME/));
  assert.equal((await ids(w)).length, 1);
});

test('settings come from the call, then from the table; bad ones are refused by name before anything of the call begins', async (t) => {
  const type = { ...batches('Purge', 1), validate: (s: Readonly<Record<string, string>>) => (s.bad === undefined ? [] : ['bad: is not known']) };
  const w = await world(t, { types: [type] });
  w.settings = { [TABLE]: { Purge: { a: '1', b: '2', schedule: 's', enableTaskOrchestration: 'true' } } };
  // An ad hoc call opts in itself.
  assert.equal((await execute(w, { a: '3' })).runs[0].planId, null);
  await w.finish();
  const id = (await execute(w, { ...FLAG, a: '3' })).runs[0].planId!;
  assert.deepEqual((await w.engine.plans.plan(id)).properties, { a: '3', b: '2', ...FLAG });
  await w.finish();
  for (const [settings, says] of [
    [{ bad: 'x' }, /bad: is not known/],
    [{ taskPlanFailureThresholdPercent: '101' }, /taskPlanFailureThresholdPercent must be a number from 0 to 100/],
    [{ maxConsecutiveFailedBatches: 'many' }, /maxConsecutiveFailedBatches/],
    [{ taskBatchTimeoutSeconds: 'soon' }, /taskBatchTimeoutSeconds/],
  ] as const)
    await assert.rejects(execute(w, { ...FLAG, ...settings }), is('INVALID_INPUT', says));
  w.settings = { t_REALTIME: { Purge: { taskPlanFailureThresholdPercent: 'x' } } };
  await assert.rejects(execute(w, FLAG, { resource: 't' }), is('INVALID_INPUT'));
  assert.deepEqual([w.inner.livePlans(), (await ids(w)).length], [[], 1]);
});

test('16: a first generation with nothing to do: no run, no plan, no batch', async (t) => {
  const w = await world(t, { types: [batches('Purge', 0, { nextBatch: () => ({ kind: 'done', message: 'no segment is old enough' }) })] });
  const { runs } = await execute(w, FLAG);
  assert.deepEqual(runs, [{ resource: TABLE, planId: null, taskName: null, taskId: null, nothing: 'no segment is old enough' }]);
  assert.deepEqual([await ids(w), await tasks(w), w.inner.plannedResources()], [[], 0, []]);
  const silent = await world(t, { types: [batches('Purge', 0)] });
  assert.deepEqual((await execute(silent, FLAG)).runs, [{ resource: TABLE, planId: null, taskName: null, taskId: null }]);
});

test('a first generation that aborts, or refuses for good: a FAILED plan that the answer names, or an error that says so', async (t) => {
  const w = await world(t, { types: [batches('Purge', 0, { nextBatch: () => ({ kind: 'abort', reason: 'no such bucket' }) })] });
  const { runs } = await execute(w, FLAG);
  const [id] = await ids(w);
  assert.deepEqual(runs, [{ resource: TABLE, planId: id, taskName: null, taskId: null, nothing: 'no such bucket' }]);
  const p = await w.engine.plans.plan(id);
  assert.deepEqual([p.status, p.statusMessage, p.batches], ['FAILED', 'no such bucket', []]);
});

test('generateOnce is the flow of a run that is no plan', async (t) => {
  const asked: string[] = [];
  const type = batches('Purge', 3, {
    generateOnce: () => (asked.push('once'), { kind: 'batch', subtasks: [{ input: 'a' }, { input: 'b' }] }),
    onBatchFinished: (_, batch) => void asked.push(`finish ${batch.sequence}`),
    onPlanEnd: (_, status) => void asked.push(`end ${status}`),
  });
  const w = await world(t, { types: [type], runs: true });
  await execute(w);
  await w.machine.settle();
  assert.deepEqual(asked, ['once', 'finish 0', 'end COMPLETED']);
  assert.deepEqual([await tasks(w), w.inner.livePlans(), w.inner.plannedResources()], [1, [], []]);
});

test('a run that is no plan, and whose generator throws, is an error and nothing more', async (t) => {
  const w = await world(t, {
    types: [
      batches('Purge', 1, {
        nextBatch: () => {
          throw new Error('no listing');
        },
      }),
    ],
  });
  await assert.rejects(execute(w), is('GENERATION_FAILED', /no listing/));
  assert.deepEqual([w.inner.livePlans(), await tasks(w)], [[], 0]);
});

test('a startPlan that will not begin is the mistake of whoever asked: INVALID_INPUT, for a plan and for a run; of a tick it is a failure', async (t) => {
  let e: Error = new PermanentError('inputDirURI: the folder /nowhere cannot be read (ENOENT)');
  const refusing = batches('Purge', 1, {
    startPlan: () => {
      throw e;
    },
  });
  const w = await world(t, { types: [refusing] });
  w.settings = { [TABLE]: { Purge: FLAG } };
  for (const settings of [{}, FLAG])
    await assert.rejects(execute(w, settings), {
      code: 'INVALID_INPUT',
      field: 'taskConfigs',
      message: `Purge on ${TABLE}: inputDirURI: the folder /nowhere cannot be read (ENOENT)`,
    });
  assert.deepEqual(await w.engine.plans.planIds({ resource: TABLE, taskType: 'Purge' }), [], 'nothing is kept of it');
  const { generationErrors, schedulingErrors } = (await w.wait(w.engine.plans.schedule({ taskType: 'Purge' })))[0];
  assert.deepEqual([generationErrors.length, schedulingErrors], [1, []]);
  const { runs } = await cron(w);
  await w.machine.settle();
  const { status, statusMessage } = await w.engine.plans.plan(runs[0].planId!);
  assert.deepEqual([status, statusMessage], ['FAILED', e.message]);
  // What may pass by itself is nobody's mistake.
  e = new Error('the disk is gone');
  await assert.rejects(execute(w), is('GENERATION_FAILED', /the disk is gone/));
});

test('taskName is part of the names of all tasks of a plan, of each half of a table, and of a run', async (t) => {
  const w = await world(t);
  const names = (r: TriggerResult): (string | null)[] => r.runs.map((run) => run.taskName);
  const both = await execute(w, FLAG, { resource: 't', taskName: 'nightly' });
  const uuids = both.runs.map((r) => r.planId!.split('__')[2]);
  assert.deepEqual(
    names(both),
    uuids.map((uuid) => `Task_Purge_nightly_${uuid}_0`),
  );
  await w.finish();
  const { batches: made } = await w.engine.plans.plan(both.runs[0].planId!);
  assert.deepEqual(
    made.map((b) => b.submittedTaskName),
    [0, 1].map((n) => `Task_Purge_nightly_${uuids[0]}_${n}`),
  );
  const once = await execute(w, {}, { taskType: 'Once', taskName: 'nightly' });
  assert.match(names(once)[0]!, /^Task_Once_nightly_[0-9a-f-]{36}_0$/);
  assert.deepEqual(
    (await w.engine.list({ key: names(once)[0]!, limit: 10 })).tasks.map((task) => task.id),
    [once.runs[0].taskId],
  );
});

test('the same taskName again while its run lives is refused and begins nothing; another name, table or time is not', async (t) => {
  const w = await world(t);
  const again = (o: Partial<TriggerRequest> = {}): Promise<TriggerResult> => execute(w, {}, { taskType: 'Once', taskName: 'mine', ...o });
  const asked = await Promise.allSettled([again(), again()]);
  const refused = asked.filter((a) => a.status === 'rejected');
  assert.equal(refused.length, 1);
  assert.ok(is('ALREADY_EXISTS', /^taskName mine is that of Task_Once_mine_[0-9a-f-]{36}_0, which lives/)(refused[0].reason), String(refused[0].reason));
  assert.equal(await tasks(w), 1);
  await again({ taskName: 'other', resource: 't_REALTIME' });
  await assert.rejects(again({ taskName: 'other', resource: 't' }), is('ALREADY_EXISTS'));
  assert.equal(await tasks(w), 2, 'no half of a table begins alone');
  await again({ taskName: 'other' });
  await again({ resource: 'u_OFFLINE' });
  await execute(w, {}, { taskType: 'Once' });
  assert.equal(await tasks(w), 5);
  await w.finish();
  await again();
  assert.equal(await tasks(w), 6);
});

test('settings that neither a path nor SQL can have are refused by name, and nothing runs', async (t) => {
  const w = await world(t);
  for (const [key, value] of [
    ['mine', 'a\0b'],
    ['mine', '\ud800'],
    ['\ud800', 'x'],
  ]) {
    await assert.rejects(execute(w, { ...FLAG, [key]: value }), {
      code: 'INVALID_INPUT',
      field: `taskConfigs.${key}`,
      message: /U\+0000 or half of a surrogate/,
    });
  }
  await assert.rejects(execute(w, { ...FLAG, ['k'.repeat(201)]: 'x' }), {
    code: 'INVALID_INPUT',
    field: 'taskConfigs',
    message: /a key of 201 characters; 200 is the limit/,
  });
  assert.deepEqual([await ids(w), await tasks(w)], [[], 0]);
});

test('a name for two halves: a conflict of one that comes between is a conflict of both, and nothing is begun', async (t) => {
  const held = gate();
  const type = batches('Purge', 1, { startPlan: async (ctx) => (ctx.resource === TABLE ? await held.opened : undefined, { state: null, inputsToProcess: 1 }) });
  const w = await world(t, { types: [type] });
  const both = w.engine.plans.trigger({ resource: 't', taskType: 'Purge', settings: FLAG, via: 'execute' });
  const second = w.engine.plans.trigger({ resource: 't_REALTIME', taskType: 'Purge', settings: FLAG, via: 'execute' });
  const settled = Promise.allSettled([both, second]);
  await w.machine.settle();
  held.open();
  const [a, b] = await w.wait(settled);
  const lost = [a, b].filter((r) => r.status === 'rejected');
  assert.equal(lost.length, 1);
  assert.ok(is('PLAN_ACTIVE')(lost[0].reason));
  assert.deepEqual([(await ids(w)).length, (await ids(w, 't_REALTIME')).length], a.status === 'fulfilled' ? [1, 1] : [0, 1]);
});

test('one half that cannot be generated: the call fails and says what the other has begun', async (t) => {
  const type = batches('Purge', 1, {
    nextBatch: (ctx) => {
      if (ctx.resource === 't_REALTIME') throw new PermanentError('no listing');
      return { kind: 'batch', subtasks: [{ input: 0 }] };
    },
  });
  const w = await world(t, { types: [type] });
  await assert.rejects(execute(w, FLAG, { resource: 't' }), (e: unknown) => {
    assert.ok(is('GENERATION_FAILED', /^Purge on t_REALTIME: no listing \(begun nevertheless: t_OFFLINE, Task_Purge_/)(e));
    assert.deepEqual(
      (e as { details: { runs: { resource: string }[] } }).details.runs.map((r) => r.resource),
      [TABLE],
    );
    return true;
  });
});

test('a trigger over many: a generator that takes long holds up no other', async (t) => {
  const held = gate();
  const type = batches('Purge', 1, { startPlan: async (ctx) => (ctx.resource === TABLE ? await held.opened : undefined, { state: null, inputsToProcess: 1 }) });
  const w = await world(t, { types: [type] });
  w.settings = { [TABLE]: { Purge: FLAG }, u_OFFLINE: { Purge: FLAG } };
  const asked = w.engine.plans.schedule({ taskType: 'Purge' });
  await w.machine.settle();
  assert.deepEqual(
    [TABLE, 'u_OFFLINE'].map((resource) => w.engine.plans.metrics().pairs.some((p) => p.resource === resource)),
    [true, true],
  );
  const [other] = await ids(w, 'u_OFFLINE');
  assert.equal((await w.engine.plans.plan(other)).batches.length, 1);
  held.open();
  const [{ runs }] = await w.wait(asked);
  assert.deepEqual(
    runs.map((r) => r.resource),
    [TABLE, 'u_OFFLINE'],
  );
});

for (const [key, bad] of [
  ['maxConsecutiveFailedBatches', ['1.5', '1e1', '0x10', '0', '']],
  ['taskPlanFailureThresholdPercent', ['1e1', '0x10', '-1', '100.5', 'all']],
] as const)
  test(`${key} is a number that is written out`, async (t) => {
    const w = await world(t);
    for (const value of bad) await assert.rejects(execute(w, { ...FLAG, [key]: value }), is('INVALID_INPUT', new RegExp(`^${key} must be a `)), value);
    assert.deepEqual(await ids(w), []);
  });

test('a kind that cannot be asked says so of its own resources, and is in the way of no others', async (t) => {
  const w = await world(t);
  w.engine.addResourceKind({
    name: 'remote',
    exists: () => {
      throw new Error('connect ECONNREFUSED 10.0.0.7:443');
    },
    expand: () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7:443')),
  });
  assert.equal((await execute(w, FLAG)).runs.length, 1);
  await assert.rejects(
    execute(w, FLAG, { resource: 'elsewhere' }),
    is('STORE_UNAVAILABLE', /^Resources of the kind remote cannot be looked up at the moment\.$/),
  );
});

test('a tick of a name that stands for two begins both; one named twice is one', async (t) => {
  const w = await world(t);
  w.settings = { [TABLE]: { Purge: FLAG }, t_REALTIME: { Purge: FLAG } };
  w.engine.scheduling.start();
  await w.wait(w.engine.schedules.put({ key: 'm', everySeconds: 60, target: { kind: 'plan', resource: 't', taskType: 'Purge' } } as never));
  const together: number[] = [];
  w.fate = (c) => {
    const made = c.plans.filter((p) => p.fromVersion === null).length;
    if (made > 0) together.push(made, c.ticks.length);
    return 'ok';
  };
  await w.machine.advanceBy(90_000);
  assert.deepEqual([(await ids(w)).length, (await ids(w, 't_REALTIME')).length], [1, 1]);
  assert.deepEqual(together, [2, 1], 'with the tick in one commit: no kill can leave one of them out');
  assert.deepEqual(
    w.logged.filter((line) => line.startsWith('error')),
    [],
    'nothing was refused by the store',
  );
  w.engine.addResourceKind({ name: 'double', exists: (id) => id === 'x', expand: (name) => (name === 'x' ? ['x', 'x'] : []) });
  assert.equal((await execute(w, FLAG, { resource: 'x' })).runs.length, 1);
});

test('a trigger that is no call by hand goes on without the one that somebody else was faster with', async (t) => {
  const w = await world(t);
  w.settings = { [TABLE]: { Purge: FLAG }, t_REALTIME: { Purge: FLAG } };
  const asked = (resource: string, via: 'execute' | 'schedule') =>
    w.engine.plans.trigger({ resource, taskType: 'Purge', via, ...(via === 'execute' ? { settings: FLAG } : {}) });
  const [byHand, all] = await w.wait(Promise.all([asked('t_REALTIME', 'execute'), asked('t', 'schedule')]));
  assert.equal(byHand.runs.length, 1);
  assert.deepEqual(
    all.runs.map((r) => r.resource),
    [TABLE],
  );
  assert.deepEqual(all.skipped, [{ resource: 't_REALTIME', planId: byHand.runs[0].planId }]);
  const counted = w.engine.plans.metrics().pairs.find((p) => p.resource === 't_REALTIME')?.scheduledTriggerActivePlanConflict;
  assert.deepEqual([(await ids(w)).length, (await ids(w, 't_REALTIME')).length, counted], [1, 1, 1]);
});
