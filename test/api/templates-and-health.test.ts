import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeServer } from './fake-server.ts';

test('templates: list, filter, versions, detail with the schema of the input', async () => {
  await using s = await fakeServer();
  const { json: list } = await s.ask('/v1/templates');
  assert.deepEqual(list.namespaces, ['orders']);
  assert.equal(list.templates[0].step_count, 1);
  assert.equal((await s.ask('/v1/templates?namespace=none')).json.total_count, 0);
  assert.deepEqual(
    (await s.ask('/v1/templates/orders/order_fulfillment')).json.versions.map((v: { version: string }) => v.version),
    ['1.0.0'],
  );
  const { json } = await s.ask('/v1/templates/orders/order_fulfillment/1.0.0');
  assert.deepEqual(json.input_schema, { type: 'object', properties: { orderId: { type: 'string' } } });
  assert.equal(json.steps[0].timeout_seconds, 1.5);
  assert.deepEqual(json.steps[0].retry, {
    retryable: true,
    max_attempts: 3,
    backoff: 'exponential',
    backoff_base_ms: 1000,
    max_backoff_ms: 30_000,
    jitter: 0.1,
  });
  assert.deepEqual(json.lifecycle, { max_duration_minutes: 5 });
});

test('a template that is not there is 404', async () => {
  await using s = await fakeServer();
  for (const path of ['/v1/templates/orders/nope', '/v1/templates/orders/order_fulfillment/9.9.9']) {
    const { status, json } = await s.ask(path);
    assert.equal(status, 404);
    assert.equal(json.error.code, 'TEMPLATE_NOT_FOUND');
  }
});

test('health: alive always, ready only when ready', async () => {
  await using s = await fakeServer();
  assert.equal((await s.ask('/health/live')).json.status, 'alive');
  assert.equal((await s.ask('/health')).json.status, 'ready');
  assert.equal((await s.ask('/health/ready')).status, 200);
  s.engine.status = 'degraded';
  s.engine.counts.actors[0].depth = 250;
  assert.equal((await s.ask('/health/live')).status, 200);
  assert.equal((await s.ask('/health')).json.status, 'degraded');
  const ready = await s.ask('/health/ready');
  assert.equal(ready.status, 503);
  assert.deepEqual(ready.json.checks, [{ name: 'store', ok: false, message: 'writable' }]);
  const detailed = await s.ask('/health/detailed');
  assert.equal(detailed.status, 503);
  assert.equal(detailed.json.actors[0].saturation, 0.25);
  assert.deepEqual(detailed.json.slots, { total: 50, used: 0, stopping: 0 });
});
