/** Reset and copies over REST, with the client and on the command line. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { PermanentError, type Served, serve, template } from '../../src/main.ts';
import { HttpClient } from '../../src/sdk/client/http-client.ts';
import { cli } from '../cli/cli-harness.ts';
import { ask, type Answer } from '../support/http-client.ts';

const broken = { value: true };
const flow = template('tests/flow@1.0.0')
  .step('first', async () => 1)
  .step('second', { after: ['first'] }, async () => {
    if (broken.value) throw new PermanentError('broken');
    return 2;
  })
  .step('third', { after: ['second'] }, async () => 3);

let served: Served;
let url: string;
let client: HttpClient;
before(async () => {
  const { config } = loadConfig({ env: { TUTTI_STORE_PATH: ':memory:', TUTTI_WEB_PORT: '0', TUTTI_LOG_LEVEL: 'silent' }, cwd: '/' });
  served = await serve(config, { templates: [flow] });
  url = served.url as string;
  client = new HttpClient({ url, wait: () => Promise.resolve() });
});
after(() => served.stop());

const failed = async (): Promise<string> => {
  broken.value = true;
  const task = await served.tutti.submit(flow, {});
  await task.done();
  broken.value = false;
  return task.id;
};
const completed = async (): Promise<string> => {
  broken.value = false;
  const task = await served.tutti.submit(flow, {});
  await task.done();
  return task.id;
};
const post = (path: string, body?: unknown): Promise<Answer> => ask(url + path, { method: 'POST', ...(body === undefined ? {} : { body }) });

test('POST reset runs a failed task again', async () => {
  const id = await failed();
  const step = await client.step(id, 'third');
  assert.deepEqual([step.current_state, step.needs_reexecution], ['cancelled', true]);
  const answer = await post(`/v1/tasks/${id}/reset`);
  assert.equal(answer.status, 200);
  assert.equal((answer.json as { completed_at: null }).completed_at, null);
  assert.equal((await (await served.tutti.get(id)).done()).state, 'complete');
  const again = await post(`/v1/tasks/${id}/reset`);
  assert.equal(again.status, 409);
  const { error } = again.json as { error: { code: string; details: unknown } };
  assert.equal(error.code, 'ILLEGAL_STATE');
  assert.deepEqual(error.details, { state: 'complete', legal: ['purge', 'copy', 'link', 'archive'] });
});

test('POST reset of a step; the client and the command line do the same', async () => {
  const [a, b, c] = [await failed(), await failed(), await failed()];
  broken.value = false;
  const answer = await post(`/v1/tasks/${a}/workflow_steps/second/reset`);
  assert.equal(answer.status, 200);
  assert.equal((answer.json as { name: string }).name, 'second');
  await client.resetStep(b, 'second');
  const ran = await cli(['retry', c, '--step', 'second'], { url });
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /^second /);
  for (const id of [a, b, c]) assert.equal((await (await served.tutti.get(id)).done()).state, 'complete');
  const refused = await cli(['retry', c], { url });
  assert.equal(refused.code, 5);
  assert.match(refused.err, /complete; only one that failed can be reset/);
  const unknown = await post(`/v1/tasks/${a}/workflow_steps/nobody/reset`);
  assert.equal(unknown.status, 404);
});

test('retry of a whole task on the command line', async () => {
  const id = await failed();
  broken.value = false;
  const ran = await cli(['retry', id], { url });
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /of 3 steps keep their results/);
});

test('POST copy, link and archive answer with a new task', async () => {
  const id = await completed();
  for (const [mode, status] of [
    ['copy', 'pending'],
    ['link', 'complete'],
    ['archive', 'complete'],
  ]) {
    const answer = await post(`/v1/tasks/${id}/${mode}`);
    assert.equal(answer.status, 201, JSON.stringify(answer.json));
    const task = answer.json as { task_uuid: string; status: string; total_steps: number };
    assert.notEqual(task.task_uuid, id);
    assert.deepEqual([task.status, task.total_steps], [status, 3], mode);
  }
});

test('POST mixed links the steps that are named; without them it is refused', async () => {
  const id = await completed();
  const answer = await post(`/v1/tasks/${id}/mixed`, { link: ['first'], execute: true, overrides: { priority: 0 } });
  assert.equal(answer.status, 201, JSON.stringify(answer.json));
  const { task_uuid: copy, priority } = answer.json as { task_uuid: string; priority: number };
  assert.equal(priority, 0);
  assert.deepEqual(await (await served.tutti.get(copy)).result(), { third: 3 });
  assert.equal((await post(`/v1/tasks/${id}/mixed`)).status, 400);
  assert.equal((await post(`/v1/tasks/${id}/mixed`, { link: [] })).status, 400);
  assert.equal((await post(`/v1/tasks/${id}/copy`, { link: ['first'] })).status, 400);
});

test('save: false answers with the elements, in REST and on the command line, and POST /v1/trees takes them as they are (row 76)', async () => {
  const id = await completed();
  const answer = await post(`/v1/tasks/${id}/copy`, { element: 'second', include_dependencies: true, save: false });
  assert.equal(answer.status, 200);
  const elements = answer.json as { name: string }[];
  assert.deepEqual(
    elements.map((e) => e.name),
    ['first', 'second'],
  );
  const shown = await cli(['copy', id, '--element', 'second', '--with-dependencies', '--no-save'], { url });
  assert.equal(shown.code, 0, shown.err);
  assert.deepEqual(JSON.parse(shown.out), elements);
  const made = await post('/v1/trees', answer.json);
  assert.equal(made.status, 201, JSON.stringify(made.json));
  assert.equal((await (await served.tutti.get((made.json as { task_uuid: string }).task_uuid)).done()).state, 'complete');
});

test('tutti copy makes each mode; what it is given wrongly is bad usage', async () => {
  const id = await completed();
  const made = await cli(['copy', id, '--execute'], { url });
  assert.equal(made.code, 0, made.err);
  assert.equal((await (await served.tutti.get(made.out.trim())).done()).state, 'complete');
  const archive = await cli(['copy', id, '--mode', 'archive'], { url });
  assert.equal((await cli(['cancel', archive.out.trim()], { url })).code, 5);
  assert.equal((await cli(['copy', id, '--mode', 'steal'], { url })).code, 2);
  assert.equal((await cli(['copy', id, '--overrides', '[]'], { url })).code, 2);
  const mixed = await cli(['copy', id, '--mode', 'mixed', '--link', 'first,second', '--overrides', '{"priority":1}', '--json'], { url });
  assert.equal((JSON.parse(mixed.out) as { priority: number }).priority, 1);
});

test('purge of what is linked to is a 409', async () => {
  const id = await completed();
  assert.equal((await post(`/v1/tasks/${id}/link`)).status, 201);
  const answer = await ask(`${url}/v1/tasks/${id}?purge=true`, { method: 'DELETE' });
  assert.equal(answer.status, 409);
});
