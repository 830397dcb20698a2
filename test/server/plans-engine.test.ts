/** Task plans over HTTP before the real engine. Numbers are rows of spec/startree.md §14. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WirePlan } from '../../src/contract/plan-wire.ts';
import { loadConfig } from '../../src/config.ts';
import { defineResourceKind, defineTaskType, type OpenOptions, serve, Tutti } from '../../src/main.ts';
import { startHttpServer } from '../../src/server/http/server.ts';
import { cli } from '../cli/cli-harness.ts';
import { ask, type Answer, type Ask } from '../support/http-client.ts';
import { realTimer } from '../support/real-timer.ts';
import { SEED_EXECUTE } from './seed-list.ts';

const TABLE = 'myTable_OFFLINE';
const TYPES = ['myTable_OFFLINE', 'myTable_REALTIME', 'secret_OFFLINE'];

interface World extends AsyncDisposable {
  url: string;
  tutti: Tutti;
  ask(path: string, o?: Ask): Promise<Answer>;
  execute(o?: { type?: string; table?: string; settings?: Record<string, string>; key?: string }): Promise<Answer>;
  /** Lets held subtasks end; those to come end at once. */
  release(): void;
  /** Resolves when a subtask is held. */
  held: Promise<void>;
}

const world = async (o: { apiKeys?: string[]; plans?: OpenOptions['plans']; store?: string; hold?: boolean } = {}): Promise<World> => {
  const gate = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  if (o.hold !== true) gate.resolve();
  const purge = (name: string, more: object = {}) =>
    defineTaskType({
      name,
      inputUnit: 'segments',
      startPlan: ({ properties }) => ({ state: 0, inputsToProcess: Number(properties.segments ?? 25) }),
      nextBatch: ({ state, properties }) => {
        const left = Number(properties.segments ?? 25) - state;
        if (left <= 0) return { kind: 'done' as const };
        const size = Math.min(10, left);
        return { kind: 'batch' as const, state: state + size, subtasks: Array.from({ length: size }, (_, i) => ({ input: state + i })) };
      },
      subtask: async () => {
        held.resolve();
        await gate.promise;
      },
      ...more,
    });
  const kind = defineResourceKind({
    name: 'table',
    exists: (id) => TYPES.includes(id),
    expand: (name) => TYPES.filter((id) => id === name || id.split('_')[0] === name),
    authorise: (caller, id) => caller === null || caller.name === 'key-1' || !id.startsWith('secret'),
  });
  const tutti = await Tutti.open({
    store: o.store ?? ':memory:',
    taskTypes: [
      purge('SegmentPurgeTask'),
      purge('StarTreeAlterTableTask', { aliases: ['AlterTableTask'], orchestratedOnly: true }),
      purge('OnceTask', { supportsOrchestration: false }),
    ],
    resourceKinds: [kind],
    plans: o.plans,
    retention: false,
    logger: () => {},
  });
  const { url, close } = await startHttpServer({ engine: tutti.engine, port: 0, now: Date.now, timer: realTimer, apiKeys: o.apiKeys });
  return {
    url,
    tutti,
    held: held.promise,
    release: gate.resolve,
    ask: (path, options) => ask(url + path, options),
    execute: ({ type = 'SegmentPurgeTask', table = TABLE, settings = { enableTaskOrchestration: 'true' }, key = '' } = {}) =>
      ask(`${url}/tasks/execute`, {
        method: 'POST',
        body: { taskType: type, tableName: table, taskConfigs: settings },
        headers: key === '' ? {} : { 'x-api-key': key },
      }),
    async [Symbol.asyncDispose]() {
      gate.resolve();
      await close();
      await tutti.close({ drain: 5000 });
    },
  };
};

const planOf = (a: Answer): string => String(a.headers['x-tutti-plan-id']);

test('(1, 10, 13, 16, 17) the JSON of the seed makes a plan that runs to its end, batch after batch', async () => {
  await using w = await world({ hold: true });
  const begun = await w.ask('/tasks/execute', { method: 'POST', body: SEED_EXECUTE });
  assert.equal(begun.status, 200, begun.text);
  const id = planOf(begun);
  const [table, type, uuid] = id.split('__');
  assert.deepEqual([table, type, begun.json], [TABLE, 'SegmentPurgeTask', { [TABLE]: `Task_SegmentPurgeTask_${uuid}_0` }]);
  const get = async (): Promise<WirePlan> => (await w.ask(`/tasks/taskPlans/${id}`)).json;
  const running = await get();
  assert.deepEqual(
    [running.status, running.source, running.inputsToProcess, running.inputsBeingProcessed, running.inputUnit, running.batches.length],
    ['ACTIVE', 'ADHOC_CONFIG', 25, 10, 'segments', 1],
  );
  assert.deepEqual([running.batches[0].batchSequence, running.batches[0].submittedTaskName], [0, begun.json[TABLE]]);
  assert.deepEqual((await w.ask('/tasks/taskPlans/active/ids')).json, [id]);
  assert.equal((await w.ask(`/v1/tasks/${running.batches[0].taskId}`)).json.total_steps, 10, 'its batch is a task like any other');
  w.release();
  await w.tutti.engine.plans.ended(id);
  const ended = await get();
  assert.deepEqual(
    [ended.status, ended.inputsProcessed, ended.inputsBeingProcessed, ended.batches.map((b) => [b.batchSequence, b.inputs, b.taskState])],
    [
      'COMPLETED',
      25,
      0,
      [
        [0, 10, 'COMPLETED'],
        [1, 10, 'COMPLETED'],
        [2, 5, 'COMPLETED'],
      ],
    ],
  );
  assert.ok(ended.statusMessage.length > 0 && ended.endedAtMs !== null);
  assert.equal((await w.ask(`/tasks/taskPlans/isActive/${id}`)).text, 'false');
  assert.deepEqual((await w.ask('/tasks/taskPlans/active')).json, []);
});

test('(4, 5, 8) without the flag, or for a type without plans, one run; for a type that is a plan only, a refusal', async () => {
  await using w = await world();
  for (const [type, flag] of [
    ['SegmentPurgeTask', 'false'],
    ['SegmentPurgeTask', 'yes'],
    ['OnceTask', 'true'],
  ]) {
    const { status, json, headers } = await w.execute({ type, settings: { enableTaskOrchestration: flag } });
    assert.deepEqual([status, Object.keys(json), headers['x-tutti-plan-id']], [200, [TABLE], undefined], type);
  }
  assert.deepEqual((await w.ask('/tasks/taskPlans/recent')).json, []);
  const refused = await w.execute({ type: 'AlterTableTask', settings: {} });
  assert.deepEqual([refused.status, refused.json.error_code], [400, 'ORCHESTRATED_ONLY']);
});

test('(11) unknown tables and types are 404; nothing to do is 200 with an empty map and no plan', async () => {
  await using w = await world();
  assert.equal((await w.execute({ table: 'ghost_OFFLINE' })).status, 404);
  assert.equal((await w.execute({ type: 'GhostTask' })).status, 404);
  const idle = await w.execute({ settings: { enableTaskOrchestration: 'true', segments: '0' } });
  assert.deepEqual([idle.status, idle.json, idle.headers['x-tutti-plan-id']], [200, {}, undefined]);
  assert.deepEqual((await w.ask('/tasks/taskPlans/recent')).json, []);
});

test('(22, 25, 28) twenty at once: one plan and nineteen refusals that name it; another plan when it has ended', async () => {
  await using w = await world({ hold: true });
  const answers = await Promise.all(Array.from({ length: 20 }, () => w.execute()));
  const [won, ...more] = answers.filter((a) => a.status === 200);
  assert.equal(more.length, 0);
  const lost = answers.filter((a) => a.status === 409);
  assert.equal(lost.length, 19);
  const id = planOf(won);
  for (const a of lost) assert.ok(a.json.error_code === 'PLAN_ACTIVE' && a.json.error.includes(id), a.text);
  assert.equal((await w.execute({ settings: {} })).status, 409, 'without the flag, too');
  w.release();
  await w.tutti.engine.plans.ended(id);
  const next = planOf(await w.execute());
  assert.notEqual(next, id);
  await w.tutti.engine.plans.ended(next);
  assert.deepEqual((await w.ask(`/tasks/taskPlans?tableNameWithType=${TABLE}&taskType=SegmentPurgeTask`)).json, [id, next]);
});

test('a name without type begins a plan for each half, and none of them where one has a plan already', async () => {
  await using w = await world({ hold: true });
  const one = planOf(await w.execute({ table: 'myTable_REALTIME' }));
  const refused = await w.execute({ table: 'myTable' });
  assert.ok(refused.status === 409 && refused.json.error.includes(one));
  assert.deepEqual((await w.ask('/tasks/taskPlans/active/ids')).json, [one]);
  w.release();
  await w.tutti.engine.plans.ended(one);
  const both = await w.execute({ table: 'myTable' });
  assert.deepEqual(Object.keys(both.json).sort(), ['myTable_OFFLINE', 'myTable_REALTIME']);
  assert.equal(planOf(both).split(',').length, 2);
});

test('(29, 31, 32) DELETE lets the running batch end, and no other begins', async () => {
  await using w = await world({ hold: true, apiKeys: ['first'] });
  const headers = { 'x-api-key': 'first' };
  const id = planOf(await w.execute({ key: 'first' }));
  await w.held;
  const path = `/tasks/taskPlans/${id}`;
  for (let i = 0; i < 2; i++) {
    const { status, json } = await w.ask(`${path}?reason=not+this+one`, { method: 'DELETE', headers });
    assert.deepEqual([status, json.status], [200, 'ABORTING']);
    assert.match(json.statusMessage, /key-1.*not this one/);
  }
  assert.equal((await w.ask(`/tasks/taskPlans/isActive/${id}`, { headers })).text, 'true');
  w.release();
  await w.tutti.engine.plans.ended(id);
  const ended = (await w.ask(path, { headers })).json;
  assert.deepEqual([ended.status, ended.batches.length, ended.batches[0].taskState, ended.triggeredBy], ['CANCELLED', 1, 'COMPLETED', 'key-1']);
  assert.equal((await w.ask(path, { method: 'DELETE', headers })).status, 409);
  assert.equal((await w.ask(`${path}0`, { method: 'DELETE', headers })).status, 404);
});

test('a stopped queue: 200 with an empty map; a live plan is blocked by it, its batch STOPPED, and goes on when it is resumed', async () => {
  await using w = await world({ hold: true });
  const put = (verb: string) => w.ask(`/tasks/SegmentPurgeTask/${verb}`, { method: 'PUT' });
  const id = planOf(await w.execute());
  await w.held;
  assert.equal((await put('stop')).status, 200);
  assert.equal((await w.ask(`/tasks/taskPlans/${id}`)).json.batches[0].taskState, 'STOPPED');
  const other = await w.execute({ table: 'secret_OFFLINE' });
  assert.deepEqual([other.status, other.json], [200, {}]);
  assert.match(String(other.headers['x-tutti-blocked']), /SegmentPurgeTask is stopped/);
  assert.equal((await w.ask('/tasks/SegmentPurgeTask/state')).text, '"STOPPED"');
  assert.equal((await put('resume')).status, 200);
  w.release();
  assert.equal((await w.tutti.engine.plans.ended(id)).status, 'COMPLETED');
});

test('the kill switch: triggers run once, plans can be read', async () => {
  await using w = await world({ plans: { enabled: false } });
  const { status, json, headers } = await w.execute();
  assert.deepEqual([status, Object.keys(json), headers['x-tutti-plan-id']], [200, [TABLE], undefined]);
  assert.deepEqual((await w.ask('/tasks/taskPlans/active')).json, []);
});

test('a key that may not touch a table: 403, and nothing of it in lists', async () => {
  await using w = await world({ apiKeys: ['first', 'second'], hold: true });
  const second = { 'x-api-key': 'second' };
  const secret = planOf(await w.execute({ table: 'secret_OFFLINE', key: 'first' }));
  const mine = planOf(await w.execute({ key: 'second' }));
  for (const [method, path] of [
    ['GET', `/tasks/taskPlans/${secret}`],
    ['GET', `/tasks/taskPlans/isActive/${secret}`],
    ['DELETE', `/tasks/taskPlans/${secret}`],
  ])
    assert.equal((await w.ask(path, { method, headers: second })).status, 403, path);
  assert.equal((await w.execute({ table: 'secret_OFFLINE', key: 'second' })).status, 403);
  assert.deepEqual((await w.ask('/tasks/taskPlans/active/ids', { headers: second })).json, [mine]);
  assert.deepEqual((await w.ask('/tasks/taskPlans/active/ids', { headers: { 'x-api-key': 'first' } })).json.sort(), [secret, mine].sort());
});

test('bad settings of the switches of plans are refused by name', async () => {
  const open = (plans: unknown) => Tutti.open({ store: ':memory:', plans: plans as OpenOptions['plans'] });
  for (const [plans, field, message] of [
    [{ enable: true }, 'plans.enable', /did you mean plans\.enabled\?/],
    [{ enabled: 'yes' }, 'plans.enabled', /true or false, not "yes"/],
    [{ poll: 0 }, 'plans.poll', /more than 0/],
    [{ orphanCleanup: 'soon' }, 'plans.orphanCleanup', /"30s", not "soon"/],
    [{ retention: { maxCount: -1 } }, 'plans.retention.maxCount', /from 0/],
    [{ retention: { max: 1 } }, 'plans.retention.max', /no option/],
    [{ maxDiskPercent: 101 }, 'plans.maxDiskPercent', /from 1 to 100, not 101/],
    [{ maxInboxSaturation: Number.NaN }, 'plans.maxInboxSaturation', /from 0 to 1/],
  ] as const)
    await assert.rejects(open(plans), { code: 'INVALID_INPUT', field, message });
});

test('tutti plan run --watch, against all of it', async () => {
  await using w = await world();
  const { code, out } = await cli(['plan', 'run', 'SegmentPurgeTask', TABLE, '--watch'], w);
  assert.equal(code, 0, out);
  assert.match(out, /batch 2 {2}COMPLETED {2}5 of 5 complete/);
  assert.match(out, /plan is COMPLETED {2}25 of 25 segments/);
});

test('[orchestration.plans] of a configuration reaches the engine', async () => {
  const env = {
    TUTTI_STORE_PATH: ':memory:',
    TUTTI_WEB_PORT: '0',
    TUTTI_LOG_LEVEL: 'silent',
    'controller.startree.task.manager.enableTaskOrchestration': 'false',
  };
  const { tutti, url, stop } = await serve(loadConfig({ env, cwd: import.meta.dirname }).config);
  assert.equal(tutti.engine.plans.enabled, false);
  assert.deepEqual((await ask(`${url}/tasks/taskPlans/active`)).json, []);
  await stop();
});
