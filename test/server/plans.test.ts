import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { controllerErrorBody } from '../../src/contract/controller-error.ts';
import { planToWire } from '../../src/contract/plan-to-wire.ts';
import * as wire from '../../src/contract/plan-wire.ts';
import { ROUTES, type HandlerName } from '../../src/contract/routes.ts';
import { TuttiError } from '../../src/core/errors.ts';
import type { TriggerRequest } from '../../src/engine/plan-views.ts';
import { planView, UUID } from '../support/fake-plans.ts';
import { realTimer } from '../support/real-timer.ts';
import { fakeServer } from '../api/fake-server.ts';
import { OTHER_ENDPOINTS, SEED_BATCH_FIELDS, SEED_ENDPOINTS, SEED_EXECUTE, SEED_PLAN_FIELDS, SEED_SOURCES, SEED_STATUSES } from './seed-list.ts';

const PAIR = 'tableNameWithType=myTable_OFFLINE&taskType=SegmentPurgeTask';

test('every endpoint of the seed and of its neighbours is in the table, under its method and path', () => {
  for (const [method, path, handler] of [...SEED_ENDPOINTS, ...OTHER_ENDPOINTS]) {
    const route = ROUTES[handler as HandlerName];
    assert.deepEqual([route.method, route.path], [method, path]);
    assert.notEqual(route.permission, null, `${path} asks for a key`);
  }
});

test('a plan and its batches have the fields of the seed, with their types', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.views = [planView(1, { customStats: { rows: '12' } })];
  const { json } = await s.ask(`/tasks/taskPlans/${plans.views[0].planId}`);
  const is: Record<string, (v: unknown) => boolean> = {
    String: (v) => typeof v === 'string',
    Enum: (v) => typeof v === 'string',
    Long: Number.isInteger,
    Integer: Number.isInteger,
    List: Array.isArray,
    'Map<String, String>': (v) => Object.values(v as object).every((x) => typeof x === 'string'),
  };
  for (const [field, type] of SEED_PLAN_FIELDS) assert.ok(is[type](json[field]), `${field} is ${JSON.stringify(json[field])}`);
  for (const batch of json.batches) for (const [field, type] of SEED_BATCH_FIELDS) assert.ok(is[type](batch[field]), field);
  const [view] = plans.views;
  assert.deepEqual(json, { ...view, tableNameWithType: view.resource, batches: view.batches }, 'each with its own value, and ours beside them');
  assert.deepEqual([...wire.plan.shape.status.options].sort(), [...SEED_STATUSES].sort());
  assert.deepEqual(wire.plan.shape.source.options, SEED_SOURCES);
  assert.deepEqual((await s.ask(`/tasks/taskPlans/${plans.views[0].planId}?batches=1`)).json.batches, json.batches.slice(1));
});

test('plans of ten thousand batches are sent piece by piece, with a turn of the loop between two of them, and whole', async () => {
  let turns = 0;
  const timer = (ms: number, fn: () => void): (() => void) => {
    if (ms === 0) turns++;
    return realTimer(ms, fn);
  };
  await using s = await fakeServer({ timer });
  const [{ batches }] = [planView(1)];
  const many = Array.from({ length: 10_000 }, (_, i) => ({ ...batches[0], batchSequence: i }));
  const large = planView(1, { batches: many, customStats: { text: 'a "quoted" one' }, triggeredBy: null });
  s.engine.plans.views = [large, planView(2), planView(3, { batches: many.slice(0, 30) })];
  const whole = await s.ask(`/tasks/taskPlans/${large.planId}`);
  assert.match(whole.headers['content-type'] as string, /^application\/json/);
  assert.deepEqual(whole.json, planToWire(large));
  assert.equal(whole.text, JSON.stringify(planToWire(large)), 'members in the same order');
  assert.ok(turns >= 20, `${whole.text.length} characters in ${turns} pieces`);
  assert.equal((await s.ask(`/tasks/taskPlans/${large.planId}?batches=3`)).text, JSON.stringify(planToWire(large, 3)));
  assert.deepEqual(
    (await s.ask('/tasks/taskPlans/recent?batches=500')).json,
    s.engine.plans.views.toReversed().map((p) => planToWire(p, 500)),
  );
  turns = 0;
  assert.deepEqual(
    (await s.ask('/tasks/taskPlans/active')).json,
    s.engine.plans.views.map((p) => planToWire(p)),
  );
  assert.ok(turns >= 20, `a list in ${turns} pieces`);
});

test('(10) a plan id has three parts: table with type, task type, uuid', () => {
  const [table, type, id, ...rest] = planView(1).planId.split('__');
  assert.deepEqual([table, type, rest], ['myTable_OFFLINE', 'SegmentPurgeTask', []]);
  assert.match(id, /^[0-9a-f-]{36}$/);
});

test('isActive is a bare true or false: ABORTING is live, the three ends are not, an unknown plan is 404', async () => {
  await using s = await fakeServer();
  s.engine.plans.views = SEED_STATUSES.map((status, i) => planView(i, { status }));
  for (const [i, status] of SEED_STATUSES.entries()) {
    const { text, headers } = await s.ask(`/tasks/taskPlans/isActive/${planView(i).planId}`);
    assert.equal(text, String(status === 'ACTIVE' || status === 'ABORTING'), status);
    assert.match(headers['content-type'] as string, /^application\/json/);
  }
  for (const id of ['nonsense', planView(9).planId]) assert.equal((await s.ask(`/tasks/taskPlans/isActive/${id}`)).status, 404);
});

test('(28, 55) ids of a table and type: of every status, oldest first; both parameters must be there; an unknown table has none', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.views = [planView(1, { status: 'FAILED' }), planView(2, { taskType: 'StarTreeAlterTableTask' }), planView(3)];
  assert.deepEqual((await s.ask(`/tasks/taskPlans?${PAIR}`)).json, [planView(1).planId, planView(3).planId]);
  assert.deepEqual((await s.ask('/tasks/taskPlans?resource=myTable_OFFLINE&taskType=SegmentPurgeTask')).json.length, 2);
  assert.deepEqual((await s.ask('/tasks/taskPlans?resource=myTable_OFFLINE&taskType=AlterTableTask')).json, [plans.views[1].planId], 'an alias');
  assert.deepEqual((await s.ask('/tasks/taskPlans?tableNameWithType=gone_OFFLINE&taskType=SegmentPurgeTask')).json, []);
  for (const [query, field] of [
    ['taskType=SegmentPurgeTask', 'tableNameWithType'],
    ['tableNameWithType=myTable_OFFLINE', 'taskType'],
    ['tableNameWithType=&taskType=SegmentPurgeTask', 'tableNameWithType'],
    ['', 'taskType'],
    [`${PAIR}&resource=other`, 'resource'],
    [`${PAIR}&table=x`, 'table'],
  ]) {
    const { status, json } = await s.ask(`/tasks/taskPlans?${query}`);
    assert.deepEqual([status, json.code, json.error_code, json.field], [400, 400, 'INVALID_INPUT', field], query);
  }
});

test('(56) live plans under each combination of filters; active and active/ids agree', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.names.set('other_REALTIME', ['other_REALTIME']);
  plans.views = [
    planView(1),
    planView(2, { status: 'COMPLETED' }),
    planView(3, { status: 'ABORTING', resource: 'other_REALTIME' }),
    planView(4, { taskType: 'StarTreeAlterTableTask' }),
    planView(5, { resource: 'gone_OFFLINE' }),
  ];
  for (const [query, wanted] of [
    ['', [1, 3, 4, 5]],
    ['?tableNameWithType=myTable_OFFLINE', [1, 4]],
    ['?resource=myTable_OFFLINE', [1, 4]],
    ['?taskType=SegmentPurgeTask', [1, 3, 5]],
    ['?taskType=AlterTableTask', [4]],
    [`?${PAIR}`, [1]],
    ['?tableNameWithType=never_OFFLINE', []],
    ['?taskType=NoSuchTask', []],
  ] as const) {
    const { json } = await s.ask(`/tasks/taskPlans/active${query}`);
    const ids = json.map((p: { planId: string }) => p.planId);
    assert.deepEqual(
      ids,
      wanted.map((n) => plans.views[n - 1].planId),
      query,
    );
    assert.deepEqual((await s.ask(`/tasks/taskPlans/active/ids${query}`)).json, ids, query);
    assert.ok(z.array(wire.plan.strict()).safeParse(json).success);
  }
});

test('lists take a name without type, too: plans of each half', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.names.set('myTable', ['myTable_OFFLINE', 'myTable_REALTIME']);
  plans.views = [planView(1, { createdAtMs: 1 }), planView(2, { resource: 'myTable_REALTIME', createdAtMs: 2 }), planView(3, { createdAtMs: 3 })];
  const ids = plans.views.map((v) => v.planId);
  assert.deepEqual((await s.ask('/tasks/taskPlans?resource=myTable&taskType=SegmentPurgeTask')).json, ids, 'the newest last');
  assert.deepEqual((await s.ask('/tasks/taskPlans/active/ids?resource=myTable')).json, ids, 'the newest last');
  const recent = (await s.ask('/tasks/taskPlans/recent?resource=myTable&limit=2')).json as { planId: string }[];
  assert.deepEqual(
    recent.map((p) => p.planId),
    [ids[2], ids[1]],
  );
});

test('a plan whose table is gone is not found, and not forbidden', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.views = [planView(1, { resource: 'gone_OFFLINE' })];
  plans.may = () => false;
  for (const method of ['GET', 'DELETE']) assert.equal((await s.ask(`/tasks/taskPlans/${plans.views[0].planId}`, { method })).status, 404, method);
});

test('(58) active, isActive and recent are never taken as the id of a plan', async () => {
  await using s = await fakeServer();
  assert.deepEqual((await s.ask('/tasks/taskPlans/active')).json, []);
  assert.deepEqual((await s.ask('/tasks/taskPlans/recent')).json, []);
  assert.equal((await s.ask('/tasks/taskPlans/isActive')).status, 404, 'nothing but a plan of that name could be there');
  assert.equal((await s.ask('/tasks/taskPlans/active', { method: 'DELETE' })).status, 404);
  assert.deepEqual(
    s.engine.plans.calls.map((c) => c.verb),
    ['active', 'recent'],
  );
});

test('DELETE without an id deletes no type called taskPlans', async () => {
  await using s = await fakeServer();
  for (const path of ['/tasks/taskPlans', '/tasks/taskPlans?forceDelete=true']) {
    const { status, json, headers } = await s.ask(path, { method: 'DELETE' });
    assert.deepEqual([status, json.code, json.error_code, headers.allow], [405, 405, 'METHOD_NOT_ALLOWED', 'GET, HEAD']);
  }
  assert.equal((await s.ask('/tasks/taskPlans/', { method: 'DELETE' })).status, 400);
  assert.equal((await s.ask('/tasks/taskPlans/stop', { method: 'PUT' })).status, 404, 'there is no such type either');
  assert.deepEqual(s.engine.plans.calls, []);
});

test('(29, 31, 32) DELETE aborts; again: the same; an ended plan is 409, an unknown one 404', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.views = [planView(1), planView(2, { status: 'COMPLETED' })];
  const [live, ended] = plans.views.map((v) => `/tasks/taskPlans/${v.planId}`);
  for (const path of [`${live}?reason=wrong%20table`, live]) {
    const { status, json } = await s.ask(path, { method: 'DELETE' });
    assert.deepEqual([status, json.status], [200, 'ABORTING']);
  }
  assert.deepEqual(plans.calls[0].args, { planId: plans.views[0].planId, by: undefined, reason: 'wrong table' });
  const refused = await s.ask(ended, { method: 'DELETE' });
  assert.deepEqual([refused.status, refused.json.code, refused.json.error_code], [409, 409, 'ILLEGAL_STATE']);
  assert.equal((await s.ask(`/tasks/taskPlans/${planView(9).planId}`, { method: 'DELETE' })).status, 404);
});

test('(1) the JSON of the seed is accepted as it is written; the answer names the first task, a header the plan', async () => {
  await using s = await fakeServer({ apiKeys: ['one', 'two'] });
  const { plans } = s.engine;
  const { planId } = planView(1);
  plans.result = { runs: [{ resource: 'myTable_OFFLINE', planId, taskName: 'Task_0', taskId: `${UUID}a` }], skipped: [], blocked: null };
  const { status, json, headers } = await s.ask('/tasks/execute', { method: 'POST', body: SEED_EXECUTE, headers: { 'x-api-key': 'two' } });
  assert.deepEqual([status, json, headers['x-tutti-plan-id']], [200, { myTable_OFFLINE: 'Task_0' }, planId]);
  assert.deepEqual(plans.calls, [
    {
      verb: 'trigger',
      args: {
        resource: 'myTable_OFFLINE',
        taskType: 'SegmentPurgeTask',
        settings: { enableTaskOrchestration: 'true' },
        via: 'execute',
        triggeredBy: 'key-2',
      } satisfies TriggerRequest,
    },
  ]);
});

test('a name without type gives a task for each half; what has no first task yet is in the header only', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.names.set('myTable', ['myTable_OFFLINE', 'myTable_REALTIME']);
  const run = (resource: string, n: number, taskName: string | null) => ({ resource, planId: planView(n, { resource }).planId, taskName, taskId: null });
  const runs = [run('myTable_OFFLINE', 1, 'T1'), run('myTable_REALTIME', 2, null)];
  plans.result = { runs, skipped: [], blocked: null };
  const { json, headers } = await s.ask('/tasks/execute', { method: 'POST', body: { taskType: 'SegmentPurgeTask', tableName: 'myTable' } });
  assert.deepEqual(json, { myTable_OFFLINE: 'T1' });
  assert.equal(headers['x-tutti-plan-id'], runs.map((r) => r.planId).join(','));
});

test('an id that no header can hold is escaped in it, and the client gives it back as it is', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  const ids = ['émoji🙂', 'we"ird\nx, y', '100%'].map((resource, n) => planView(n, { resource }).planId);
  plans.result = { runs: ids.map((planId) => ({ resource: 'r', planId, taskName: null, taskId: null })), skipped: [], blocked: null };
  const { status, headers } = await s.ask('/tasks/execute', { method: 'POST', body: SEED_EXECUTE });
  assert.equal(status, 200);
  assert.deepEqual(String(headers['x-tutti-plan-id']).split(',').map(decodeURIComponent), ids);
});

test('stopped, blocked, or nothing to do: 200 with an empty map, and a reason where there is one', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  const post = () => s.ask('/tasks/execute', { method: 'POST', body: SEED_EXECUTE });
  const idle = await post();
  assert.deepEqual([idle.status, idle.json, idle.headers['x-tutti-blocked'], idle.headers['x-tutti-plan-id']], [200, {}, undefined, undefined]);
  const nothing = { planId: null, taskName: null, taskId: null, nothing: 'No segment of tätä is left.' };
  plans.result = {
    runs: [
      { resource: 'myTable_OFFLINE', ...nothing },
      { resource: 'myTable_REALTIME', ...nothing },
    ],
    skipped: [],
    blocked: null,
  };
  const done = await post();
  assert.deepEqual([done.status, done.json, done.headers['x-tutti-nothing']], [200, {}, 'No segment of t?t? is left.']);
  plans.result = { runs: [], skipped: [], blocked: 'the disk of /dätä is full\n' };
  const blocked = await post();
  assert.deepEqual([blocked.status, blocked.json, blocked.headers['x-tutti-blocked']], [200, {}, 'the disk of /d?t? is full?']);
});

test('settings may be written as numbers and booleans; null stands for absent, and so does an empty name', async () => {
  await using s = await fakeServer();
  const post = (body: unknown) => s.ask('/tasks/execute', { method: 'POST', body });
  const base = { taskType: 'SegmentPurgeTask', resource: 'myTable_OFFLINE' };
  assert.equal((await post({ ...base, taskConfigs: { a: 1, b: true, c: 'x' }, taskName: 'mine' })).status, 200);
  assert.equal((await post({ ...base, taskConfigs: null, taskName: null })).status, 200);
  assert.equal((await post({ ...base, taskName: '' })).status, 200);
  assert.deepEqual(
    s.engine.plans.calls.map(({ args }) => [(args as TriggerRequest).settings, (args as TriggerRequest).taskName]),
    [
      [{ a: '1', b: 'true', c: 'x' }, 'mine'],
      [{}, undefined],
      [{}, undefined],
    ],
  );
});

test('(11, 22) bad input, unknown names, a live plan: the body that clients of the controller read, and nothing begun', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.failures.set('trigger', new TuttiError('PLAN_ACTIVE', `the plan ${planView(1).planId} is live`));
  const good = { taskType: 'SegmentPurgeTask', tableName: 'myTable_OFFLINE' };
  for (const [body, status, code, field] of [
    [good, 409, 'PLAN_ACTIVE', undefined],
    [{ ...good, tableName: 'ghost_OFFLINE' }, 404, 'NOT_FOUND', 'tableName'],
    [{ ...good, taskType: 'NoSuchTask' }, 404, 'NOT_FOUND', 'taskType'],
    [{ taskType: 'SegmentPurgeTask' }, 400, 'INVALID_INPUT', 'tableName'],
    [{ tableName: 'myTable_OFFLINE' }, 400, 'INVALID_INPUT', 'taskType'],
    [{ ...good, taskName: 'a/b' }, 400, 'INVALID_INPUT', 'taskName'],
    [{ ...good, taskName: 'a'.repeat(101) }, 400, 'INVALID_INPUT', 'taskName'],
    [{ ...good, taskConfigs: { a: {} } }, 400, 'INVALID_INPUT', 'taskConfigs.a'],
    [{ ...good, taskConfigs: [] }, 400, 'INVALID_INPUT', 'taskConfigs'],
    [{ ...good, taskConfig: {} }, 400, 'INVALID_INPUT', 'taskConfig'],
    [{ ...good, tableName: 't'.repeat(201) }, 400, 'INVALID_INPUT', 'tableName'],
    [[], 400, 'INVALID_INPUT', 'body'],
    ['{', 400, 'INVALID_JSON', 'body'],
  ] as const) {
    const answer = await s.ask('/tasks/execute', { method: 'POST', body });
    const { json } = answer;
    assert.deepEqual([answer.status, json.code, json.error_code, json.field], [status, status, code, field], JSON.stringify(body));
    const checked = controllerErrorBody.strict().safeParse(json);
    assert.ok(checked.success && json.error.length > 0 && json.request_id === answer.headers['x-request-id'], answer.text);
  }
  assert.equal(plans.calls.length, 2, 'only the first and the unknown type reached the engine');
  assert.equal((await s.ask('/tasks/nothing/here')).json.code, 404);
  assert.equal((await s.ask('/tasksx')).json.error.code, 'NOT_FOUND', 'other addresses keep the other body');
});

test('POST /tasks/schedule names per type what began, and why not', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  const { planId } = planView(1);
  plans.scheduled = [
    {
      taskType: 'SegmentPurgeTask',
      runs: [
        { resource: 'myTable_OFFLINE', planId, taskName: 'T1', taskId: null },
        { resource: 'b_OFFLINE', planId: null, taskName: 'T2', taskId: null },
      ],
      generationErrors: [],
      schedulingErrors: ['c_OFFLINE: a plan is live'],
    },
    { taskType: 'FileIngestionTask', runs: [], generationErrors: ['no folder'], schedulingErrors: [] },
  ];
  const { json, headers } = await s.ask('/tasks/schedule', { method: 'POST' });
  assert.deepEqual(json, {
    SegmentPurgeTask: 'T1,T2',
    FileIngestionTask: null,
    generationErrors: 'no folder',
    schedulingErrors: 'c_OFFLINE: a plan is live',
  });
  assert.equal(headers['x-tutti-plan-id'], planId);
  plans.scheduled = [];
  const one = await s.ask('/tasks/schedule?taskType=AlterTableTask&tableName=myTable_OFFLINE&minionInstanceTag=x', { method: 'POST' });
  assert.deepEqual(one.json, { StarTreeAlterTableTask: null, generationErrors: '', schedulingErrors: '' });
  const { allowed: _, ...args } = plans.calls.at(-1)!.args as Record<string, unknown>;
  assert.deepEqual(args, { taskType: 'StarTreeAlterTableTask', resource: 'myTable_OFFLINE', triggeredBy: null });
  for (const query of ['taskType=NoSuchTask', 'tableName=ghost']) assert.equal((await s.ask(`/tasks/schedule?${query}`, { method: 'POST' })).status, 404);
});

test('task types, their queues, and what their generators did last', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  const types = (await s.ask('/tasks/tasktypes')).json;
  assert.deepEqual(types[1], {
    name: 'StarTreeAlterTableTask',
    supportsOrchestration: true,
    orchestratedOnly: true,
    description: null,
    aliases: ['AlterTableTask'],
    inputUnit: 'segments',
  });
  const state = async () => (await s.ask('/tasks/AlterTableTask/state')).text;
  assert.equal(await state(), '"IN_PROGRESS"');
  assert.equal((await s.ask('/tasks/AlterTableTask/stop', { method: 'PUT' })).status, 200);
  assert.equal(await state(), '"STOPPED"');
  assert.equal((await s.ask('/tasks/StarTreeAlterTableTask/resume', { method: 'PUT', body: '' })).status, 200);
  assert.equal(await state(), '"IN_PROGRESS"');
  for (const [method, verb] of [
    ['PUT', 'stop'],
    ['PUT', 'resume'],
    ['GET', 'state'],
  ])
    assert.equal((await s.ask(`/tasks/NoSuchTask/${verb}`, { method })).status, 404, verb);
  plans.runs = [
    { atMs: Date.UTC(2026, 0, 3), ok: true, call: 'nextBatch', message: '' },
    { atMs: Date.UTC(2026, 0, 2), ok: false, call: 'nextBatch', message: 'no such folder' },
    { atMs: Date.UTC(2026, 0, 1), ok: true, call: 'startPlan', message: '' },
  ];
  const { json } = await s.ask('/tasks/generator/myTable_OFFLINE/SegmentPurgeTask/debug?localOnly=true');
  assert.deepEqual(json, [
    {
      tableNameWithType: 'myTable_OFFLINE',
      taskType: 'SegmentPurgeTask',
      mostRecentSuccessRunTS: ['2026-01-01T00:00:00.000Z', '2026-01-03T00:00:00.000Z'],
      mostRecentErrorRunMessages: { '2026-01-02T00:00:00.000Z': 'no such folder' },
      runs: plans.runs,
    },
  ]);
  plans.names.set('myTable', ['myTable_OFFLINE', 'myTable_REALTIME']);
  const both = (await s.ask('/tasks/generator/myTable/SegmentPurgeTask/debug')).json as { tableNameWithType: string }[];
  assert.deepEqual(
    both.map((r) => r.tableNameWithType),
    ['myTable_OFFLINE', 'myTable_REALTIME'],
  );
  assert.equal((await s.ask('/tasks/generator/ghost/SegmentPurgeTask/debug')).status, 404);
});

test('recent plans come newest first, with as many batches as are asked for', async () => {
  await using s = await fakeServer();
  s.engine.plans.views = [planView(1, { status: 'COMPLETED' }), planView(2)];
  const { json } = await s.ask('/tasks/taskPlans/recent?limit=1&batches=0');
  assert.deepEqual(
    json.map((p: wire.WirePlan) => [p.planId, p.batches]),
    [[planView(2).planId, []]],
  );
  for (const query of ['limit=0', 'limit=101', 'batches=-1', 'limit=x']) assert.equal((await s.ask(`/tasks/taskPlans/recent?${query}`)).status, 400, query);
});
