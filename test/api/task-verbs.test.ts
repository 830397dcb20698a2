import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditUuid } from '../../src/contract/to-wire.ts';
import { isUuid } from '../../src/core/ids.ts';
import { fakeUuid, stepView } from '../support/fake-engine.ts';
import { fakeServer } from './fake-server.ts';

test('a task comes with its steps, without results; steps=false leaves them out', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  const { json } = await s.ask(`/v1/tasks/${id}`);
  assert.equal(json.steps.length, 1);
  assert.equal('results' in json.steps[0], false);
  assert.deepEqual(json.failed_steps, []);
  assert.equal('steps' in (await s.ask(`/v1/tasks/${id}?steps=false`)).json, false);
});

test('a task of more than 1,000 steps says null instead of its steps', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  s.engine.tasks.get(id)!.view.totalSteps = 1001;
  assert.equal((await s.ask(`/v1/tasks/${id}`)).json.steps, null);
});

test('steps: wire names, base_state, results unless declined', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  s.engine.tasks.get(id)!.steps.push({ ...stepView(id, 'ship'), state: 'waiting_for_retry', baseState: 'pending', result: undefined });
  const { json } = await s.ask(`/v1/tasks/${id}/workflow_steps`);
  assert.deepEqual(
    json.map((x: Record<string, unknown>) => [x.name, x.current_state, x.base_state, x.results]),
    [
      ['validate', 'complete', 'complete', { ok: true }],
      ['ship', 'waiting_for_retry', 'pending', null],
    ],
  );
  assert.equal(json[0].completed_at, '2026-01-01T00:00:00.020Z');
  const without = await s.ask(`/v1/tasks/${id}/workflow_steps?results=false`);
  assert.equal('results' in without.json[0], false);
});

test('ten thousand steps arrive whole, in chunks', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  s.engine.tasks.get(id)!.steps = Array.from({ length: 10_000 }, (_, i) => stepView(id, `s${i}`));
  const { json, headers } = await s.ask(`/v1/tasks/${id}/workflow_steps`);
  assert.equal(headers['transfer-encoding'], 'chunked');
  assert.equal(json.length, 10_000);
  assert.equal(json[9999].name, 's9999');
});

test('a step by name or id, its audit and its log', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  const byName = await s.ask(`/v1/tasks/${id}/workflow_steps/validate`);
  const byId = await s.ask(`/v1/tasks/${id}/workflow_steps/${byName.json.step_uuid}`);
  assert.deepEqual(byId.json, byName.json);
  assert.deepEqual(byName.json.results, { ok: true });
  const { json: audit } = await s.ask(`/v1/tasks/${id}/workflow_steps/validate/audit`);
  assert.equal(audit[0].success, true);
  assert.equal(audit[0].execution_time_ms, 20);
  assert.ok(isUuid(audit[0].audit_uuid));
  assert.deepEqual((await s.ask(`/v1/tasks/${id}/audit`)).json, audit);
  assert.equal((await s.ask(`/v1/tasks/${id}/workflow_steps/validate/log`)).json[0].message, 'hello');
  const { json: explained } = await s.ask(`/v1/tasks/${id}/explain?step=validate`);
  assert.equal(explained[0].gates[0].kind, 'slots');
});

test('rows of the audit have ids of their own, also those of one attempt: told to stop, and what it then did', () => {
  const ids = [1, 2, 3].flatMap((token) =>
    [fakeUuid(1), fakeUuid(2)].flatMap((step) => ['cancelled', 'returned', 'late'].map((outcome) => auditUuid(step, token, outcome))),
  );
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.every(isUuid));
});

for (const path of [
  '',
  '/workflow_steps',
  '/workflow_steps/validate',
  '/workflow_steps/validate/audit',
  '/workflow_steps/validate/log',
  '/audit',
  '/explain',
  '/events',
]) {
  test(`an unknown task is 404, an id that is no UUID 400: GET …${path} (row 82)`, async () => {
    await using s = await fakeServer();
    const unknown = await s.ask(`/v1/tasks/${fakeUuid(9)}${path}`);
    assert.equal(unknown.status, 404);
    assert.equal(unknown.json.error.code, 'NOT_FOUND');
    const bad = await s.ask(`/v1/tasks/not-a-uuid${path}`);
    assert.equal(bad.status, 400);
    assert.equal(bad.json.error.code, 'INVALID_ID');
    assert.equal(bad.json.error.field, 'id');
  });
}

test('an unknown step is 404', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  assert.equal((await s.ask(`/v1/tasks/${id}/workflow_steps/nope`)).status, 404);
});

test('DELETE cancels, with nothing, a body or a query; a task that has ended is 409 (row 83)', async () => {
  await using s = await fakeServer();
  const [a, b, c, d] = [await s.create(), await s.create(), await s.create(), await s.create()];
  const { status, json } = await s.ask(`/v1/tasks/${a}`, { method: 'DELETE' });
  assert.equal(status, 200);
  assert.equal(json.status, 'cancelled');
  assert.equal(json.completed_at, '2026-01-01T00:00:01.000Z');
  await s.ask(`/v1/tasks/${b}`, { method: 'DELETE', body: { error_message: 'wrong order' } });
  await s.ask(`/v1/tasks/${c}?error_message=late`, { method: 'DELETE' });
  assert.equal((await s.ask(`/v1/tasks/${d}`, { method: 'DELETE', body: '' })).status, 200, 'a content type and no body');
  assert.deepEqual(
    s.engine.calls.filter((x) => x.verb === 'cancel').map((x) => (x.args as { errorMessage?: string }).errorMessage),
    [undefined, 'wrong order', 'late', undefined],
  );
  const again = await s.ask(`/v1/tasks/${a}`, { method: 'DELETE' });
  assert.equal(again.status, 409);
  assert.equal(again.json.error.code, 'ILLEGAL_STATE');
  assert.equal((await s.ask(`/v1/tasks/${fakeUuid(9)}`, { method: 'DELETE' })).status, 404);
});

test('purge removes what has ended, with 204, and refuses what lives', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  assert.equal((await s.ask(`/v1/tasks/${id}?purge=true`, { method: 'DELETE' })).status, 409);
  await s.ask(`/v1/tasks/${id}`, { method: 'DELETE' });
  const { status, text } = await s.ask(`/v1/tasks/${id}?purge=true`, { method: 'DELETE' });
  assert.equal(status, 204);
  assert.equal(text, '');
  assert.equal((await s.ask(`/v1/tasks/${id}`)).status, 404);
});

test('PATCH changes priority and tags; 409 once the task has ended', async () => {
  await using s = await fakeServer();
  const id = await s.create();
  const { status, json } = await s.ask(`/v1/tasks/${id}`, { method: 'PATCH', body: { priority: 0, tags: ['now'] } });
  assert.equal(status, 200);
  assert.deepEqual([json.priority, json.tags], [0, ['now']]);
  for (const body of [{}, { priority: 4 }, { name: 'x' }]) {
    assert.equal((await s.ask(`/v1/tasks/${id}`, { method: 'PATCH', body })).status, 400);
  }
  s.engine.end(id, 'complete');
  assert.equal((await s.ask(`/v1/tasks/${id}`, { method: 'PATCH', body: { priority: 1 } })).status, 409);
});
