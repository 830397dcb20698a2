/** Who may do what with tables, on a server as it ships: the rule comes from a file of the user's. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { defineResourceKind, type ResourceKindDefinition, serve, Tutti } from '../../src/main.ts';
import { ask } from '../support/http-client.ts';
import { testFolder } from '../tables/open-duck.ts';

const PURGE = { task: { taskTypeConfigsMap: { SegmentPurgeTask: { schedule: '0 0 2 * * ?' } } } };
const onlyFirst = defineResourceKind({
  name: 'table',
  authorise: (caller, id, action) => caller?.name === 'key-1' || (id === 'open_OFFLINE' && action === 'read'),
});

async function served(t: TestContext, kind: ResourceKindDefinition) {
  const folder = testFolder(t);
  const env = {
    TUTTI_WEB_PORT: '0',
    TUTTI_STORE_PATH: path.join(folder, 'tasks.db'),
    TUTTI_TABLES_FOLDER: path.join(folder, 'tables'),
    TUTTI_LOG_LEVEL: 'silent',
    TUTTI_WEB_API_KEYS: 'first,second',
  };
  const { url, stop } = await serve(loadConfig({ env, cwd: folder }).config, { resourceKinds: [kind] });
  t.after(stop);
  return (method: string, where: string, key: string, body?: unknown) => ask(url + where, { method, body, headers: { 'x-api-key': key } });
}

test('what `authorise` refuses is 403 on every route of a table, and left out of every list', async (t) => {
  const call = await served(t, onlyFirst);
  for (const name of ['open', 'secret'])
    assert.equal(
      (await call('POST', '/tables', 'first', { name, type: 'OFFLINE', schema: { columns: [{ name: 'id', type: 'LONG' }] }, config: PURGE })).status,
      201,
    );
  const secret = 'secret_OFFLINE';
  const schedule = encodeURIComponent(`table/${secret}/SegmentPurgeTask`);
  const cases: [method: string, where: string, body?: unknown][] = [
    ['GET', `/tables/${secret}`],
    ['GET', `/tables/${secret}/segments`],
    ['GET', `/tables/${secret}/query?sql=${encodeURIComponent('select count(*) from secret')}`],
    ['PUT', `/tables/${secret}/config`, {}],
    ['DELETE', `/tables/${secret}`],
    ['POST', '/tasks/execute', { taskType: 'SegmentPurgeTask', tableName: secret }],
    ['POST', `/tasks/schedule?tableName=${secret}`],
    ['GET', `/tasks/generator/${secret}/SegmentPurgeTask/debug`],
    ['GET', `/v1/schedules/${schedule}`],
    ['GET', `/v1/schedules/${schedule}/preview`],
    ['GET', `/v1/schedules/${schedule}/ticks`],
  ];
  for (const [method, where, body] of cases) assert.equal((await call(method, where, 'second', body)).status, 403, where);
  assert.equal((await call('GET', '/tables/open', 'second')).status, 200);
  assert.equal((await call('PUT', '/tables/open/config', 'second', {})).status, 403, 'to read is not to write');
  const listed = async (key: string) => {
    const tables = (await call('GET', '/tables', key)).json as { id: string }[] | { tables: { id: string }[] };
    const { schedules } = (await call('GET', '/v1/schedules', key)).json as { schedules: { plan: { resource: string } }[] };
    return [JSON.stringify(tables).includes(secret), schedules.map((s) => s.plan.resource)];
  };
  assert.deepEqual(await listed('first'), [true, ['open_OFFLINE', secret]]);
  assert.deepEqual(await listed('second'), [false, ['open_OFFLINE']]);
});

test('a rule in two places is refused; a kind of the name that has more than a rule is in the place of tables, and that is logged', async (t) => {
  const folder = testFolder(t);
  const store = path.join(folder, 'tasks.db');
  await assert.rejects(Tutti.open({ store, tables: { authorise: () => true }, resourceKinds: [onlyFirst] }), {
    code: 'INVALID_INPUT',
    field: 'tables.authorise',
  });
  const said: string[] = [];
  const own = defineResourceKind({ name: 'table', authorise: () => true, settings: () => null });
  const tutti = await Tutti.open({ store, resourceKinds: [own], logger: (_, message) => void said.push(message) });
  t.after(() => tutti.close());
  assert.throws(() => tutti.tables, { code: 'ILLEGAL_STATE' });
  assert.deepEqual(said, ['there are no tables: a resource kind of the name table is in their place']);
});
