import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../../src/engine/resource-port.ts';
import { ApiKeys } from '../../src/server/auth.ts';
import { planView } from '../support/fake-plans.ts';
import { type FakeServer, fakeServer } from '../api/fake-server.ts';
import { OTHER_ENDPOINTS, SEED_ENDPOINTS, SEED_EXECUTE } from './seed-list.ts';

const MINE = 'myTable_OFFLINE';
const THEIRS = 'secret_OFFLINE';

/** Two tables with a live plan each; the second key may do nothing to the second table. */
async function twoTables(): Promise<FakeServer & { mine: string; theirs: string; asked: unknown[] }> {
  const s = await fakeServer({ apiKeys: ['first', 'second'] });
  const { plans } = s.engine;
  plans.names.set(THEIRS, [THEIRS]).set('both', [MINE, THEIRS]);
  plans.views = [planView(1), planView(2, { resource: THEIRS })];
  const asked: unknown[] = [];
  plans.may = (caller: Caller, resource, action) => {
    asked.push([caller?.name, resource, action]);
    return caller?.name === 'key-1' || resource === MINE;
  };
  return Object.assign(s, { mine: plans.views[0].planId, theirs: plans.views[1].planId, asked });
}

const as = (key: string) => ({ 'x-api-key': key });

test('every route below /tasks wants the key that /v1 wants, and says so in the body of the controller', async () => {
  await using s = await fakeServer({ apiKeys: ['first'] });
  for (const [method, path] of [...SEED_ENDPOINTS, ...OTHER_ENDPOINTS]) {
    const { status, json } = await s.ask(path.replace(/[{}]/g, ''), { method, headers: as('wrong') });
    assert.deepEqual([status, json.code, json.error_code], [401, 401, 'UNAUTHENTICATED'], path);
  }
  assert.deepEqual(s.engine.plans.calls, []);
});

test('a caller that may not: 403 on what names the table, by whatever it is named', async () => {
  await using s = await twoTables();
  const pair = `tableNameWithType=${THEIRS}&taskType=SegmentPurgeTask`;
  const cases: [method: string, path: string, action: string, body?: unknown][] = [
    ['GET', `/tasks/taskPlans/isActive/${s.theirs}`, 'read'],
    ['GET', `/tasks/taskPlans/${s.theirs}`, 'read'],
    ['GET', `/tasks/taskPlans?${pair}`, 'read'],
    ['GET', `/tasks/taskPlans/active?${pair}`, 'read'],
    ['GET', `/tasks/taskPlans/active/ids?resource=${THEIRS}`, 'read'],
    ['GET', `/tasks/taskPlans/recent?resource=${THEIRS}`, 'read'],
    ['GET', `/tasks/generator/${THEIRS}/SegmentPurgeTask/debug`, 'read'],
    ['DELETE', `/tasks/taskPlans/${s.theirs}`, 'abort'],
    ['POST', '/tasks/execute', 'trigger', SEED_EXECUTE.replace(MINE, THEIRS)],
    ['POST', '/tasks/execute', 'trigger', SEED_EXECUTE.replace(MINE, 'both')],
    ['POST', `/tasks/schedule?tableName=${THEIRS}`, 'trigger'],
  ];
  for (const [method, path, action, body] of cases) {
    const refused = await s.ask(path, { method, body, headers: as('second') });
    assert.deepEqual([refused.status, refused.json.error_code], [403, 'FORBIDDEN'], path);
    assert.deepEqual(s.asked.at(-1), ['key-2', THEIRS, action], path);
    assert.doesNotMatch(refused.text, /first|second/, 'no key is shown');
  }
  assert.deepEqual(
    s.engine.plans.calls.filter((c) => ['trigger', 'schedule', 'abort', 'plan', 'planIds'].includes(c.verb)),
    [],
    'and nothing is done',
  );
  for (const [method, path, , body] of cases) assert.equal((await s.ask(path, { method, body, headers: as('first') })).status, 200, path);
});

test('lists leave out what the caller may not see', async () => {
  await using s = await twoTables();
  const ids = async (path: string, key: string) =>
    ((await s.ask(path, { headers: as(key) })).json as ({ planId: string } | string)[]).map((p) => (typeof p === 'string' ? p : p.planId));
  for (const path of ['/tasks/taskPlans/active', '/tasks/taskPlans/active/ids', '/tasks/taskPlans/active?taskType=SegmentPurgeTask']) {
    assert.deepEqual(await ids(path, 'first'), [s.mine, s.theirs], path);
    assert.deepEqual(await ids(path, 'second'), [s.mine], path);
  }
  assert.deepEqual(await ids('/tasks/taskPlans/recent', 'second'), [s.mine]);
});

test('a trigger over all tables runs those that the caller may trigger', async () => {
  await using s = await twoTables();
  const run = (resource: string) => ({ resource, planId: null, taskName: `T_${resource}`, taskId: null });
  s.engine.plans.scheduled = [{ taskType: 'SegmentPurgeTask', runs: [run(MINE), run(THEIRS)], generationErrors: [], schedulingErrors: [] }];
  const began = async (key: string) => (await s.ask('/tasks/schedule', { method: 'POST', headers: as(key) })).json.SegmentPurgeTask as string;
  assert.equal(await began('first'), `T_${MINE},T_${THEIRS}`);
  assert.equal(await began('second'), `T_${MINE}`);
});

test('a caller goes by the place of its key; without keys everybody is nobody in particular', () => {
  const keys = new ApiKeys(['a', 'b']);
  assert.deepEqual(keys.callerOf({ 'x-api-key': 'b' }), { name: 'key-2' });
  assert.deepEqual(keys.callerOf({ authorization: 'Bearer a' }), { name: 'key-1' });
  assert.equal(keys.callerOf({ 'x-api-key': 'c' }), undefined);
  assert.equal(keys.callerOf({}), undefined);
  assert.equal(new ApiKeys([]).callerOf({ 'x-api-key': 'a' }), null);
});
