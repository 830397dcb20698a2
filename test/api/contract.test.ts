import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { apiPage } from '../../src/contract/api-page.ts';
import { errorsPage } from '../../src/contract/errors-page.ts';
import { openApiDocument } from '../../src/contract/openapi.ts';
import { HANDLER_NAMES, ROUTES, type Route } from '../../src/contract/routes.ts';
import * as wire from '../../src/contract/wire.ts';
import { ERRORS } from '../../src/core/errors.ts';
import { ApiKeys } from '../../src/server/auth.ts';
import { metricsPage } from '../../src/server/http/metrics-page.ts';
import { METRICS } from '../../src/server/http/metrics.ts';
import { buildHttpServer } from '../../src/server/http/server.ts';
import { FakeEngine } from '../support/fake-engine.ts';
import { fakeServer } from './fake-server.ts';
import { realTimer } from '../support/real-timer.ts';

const page = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
const table = HANDLER_NAMES.map((n): Route => ROUTES[n]);
const key = (method: string, path: string): string => `${method.toUpperCase()} ${path}`;

test('every route of the table is served, and every served route is in the table', async () => {
  const { app, close } = await buildHttpServer({ engine: new FakeEngine(), now: Date.now, timer: realTimer }, new ApiKeys([]));
  for (const r of table) {
    assert.ok(app.hasRoute({ method: r.method, url: r.path.replace(/\{(\w+)\}/g, ':$1') }), key(r.method, r.path));
  }
  const served: string[] = [];
  const trail: string[] = [];
  for (const line of app.printRoutes({ commonPrefix: false }).split('\n')) {
    const [, indent, path, methods] = /^([\s│]*)[├└]── (\S*)(?: \(([A-Z, ]+)\))?/u.exec(line) ?? [];
    if (path === undefined) continue;
    trail.length = indent.length / 4;
    trail.push(path);
    for (const m of (methods ?? '').split(', ').filter((x) => x !== '' && x !== 'HEAD')) served.push(key(m, trail.join('').replace(/:(\w+)/g, '{$1}')));
  }
  const ui = served.filter((s) => / \/docs(\/|$)/.test(s) && s !== 'GET /docs/openapi.json');
  assert.ok(ui.length > 0);
  assert.deepEqual(served.filter((s) => !ui.includes(s)).sort(), table.map((r) => key(r.method, r.path)).sort());
  await close();
});

test('the OpenAPI document has every route, and nothing else', async () => {
  await using s = await fakeServer();
  const { json } = await s.ask('/docs/openapi.json');
  assert.equal(json.openapi, '3.1.0');
  const described = Object.entries(json.paths as Record<string, object>).flatMap(([path, methods]) => Object.keys(methods).map((m) => key(m, path)));
  assert.deepEqual(described.sort(), table.map((r) => key(r.method, r.path)).sort());
  assert.deepEqual((await s.ask('/docs/json')).json, json, 'and it is the one that the page shows');
});

test('every reference in the document leads somewhere, and every component is used', () => {
  const text = JSON.stringify(openApiDocument({ version: '1' }));
  const { components } = JSON.parse(text) as { components: { schemas: Record<string, unknown> } };
  const refs = new Set([...text.matchAll(/"\$ref":"([^"]+)"/g)].map((m) => m[1]));
  const names = Object.keys(components.schemas).map((n) => `#/components/schemas/${n}`);
  assert.deepEqual(
    [...refs].filter((r) => !names.includes(r)),
    [],
  );
  assert.deepEqual(
    names.filter((n) => !refs.has(n)),
    [],
  );
  assert.doesNotMatch(text, /\$defs|\$schema/);
});

test('what is answered is what the document promises', async () => {
  await using s = await fakeServer();
  const id = await s.create({ context: { a: [1, null] }, tags: ['t'] });
  for (const [path, schema] of [
    [`/v1/tasks/${id}`, wire.task],
    ['/v1/tasks', wire.taskList],
    ['/v1/tasks?page=1', wire.taskList],
    [`/v1/tasks/${id}/workflow_steps`, wire.step.array()],
    [`/v1/tasks/${id}/workflow_steps/validate`, wire.step],
    [`/v1/tasks/${id}/audit`, wire.auditRow.array()],
    [`/v1/tasks/${id}/explain`, wire.stepExplanation.array()],
    [`/v1/tasks/${id}/workflow_steps/validate/log`, wire.logLine.array()],
    ['/v1/events', wire.eventPage],
    ['/v1/templates', wire.templateList],
    ['/v1/templates/orders/order_fulfillment', wire.templateVersions],
    ['/v1/templates/orders/order_fulfillment/1.0.0', wire.templateDetail],
    ['/health', wire.health],
    ['/health/live', wire.liveness],
    ['/health/ready', wire.readiness],
    ['/health/detailed', wire.healthDetail],
    ['/v1/tasks/zz', wire.errorBody],
  ] as const) {
    const { json } = await s.ask(path);
    const strict = 'shape' in schema ? schema.strict() : schema;
    const checked = strict.safeParse(json);
    assert.ok(checked.success, `${path}: ${checked.success ? '' : JSON.stringify(checked.error.issues)}`);
  }
});

test('docs/errors.md documents every code of the registry, and no other', () => {
  const text = page('errors.md');
  assert.equal(text, errorsPage(), 'run: npm run docs');
  assert.deepEqual([...text.matchAll(/^\| `([A-Z_]+)` /gm)].map((m) => m[1]).sort(), Object.keys(ERRORS).sort());
});

test('docs/metrics.md lists what is emitted, and nothing else', async () => {
  await using s = await fakeServer();
  const text = page('metrics.md');
  assert.equal(text, metricsPage(), 'run: npm run docs');
  const emitted = [...(await s.ask('/metrics')).text.matchAll(/^# TYPE (\w+)/gm)].map((m) => m[1]);
  assert.deepEqual(
    [...text.matchAll(/^\| `(\w+)` /gm)].map((m) => m[1]),
    emitted,
  );
  assert.equal(emitted.length, METRICS.length);
});

test('docs/api.md lists the route table', () => {
  assert.equal(page('api.md'), apiPage(), 'run: npm run docs');
});

test('the pages of the explorer need nothing from elsewhere', async () => {
  await using s = await fakeServer();
  const { text, headers } = await s.ask('/docs/');
  assert.doesNotMatch(text, /(?:src|href)="(?:https?:)?\/\//);
  assert.match(headers['content-security-policy'] as string, /default-src 'self'/);
  for (const [, path] of text.matchAll(/(?:src|href)="\.\/(static\/[^"]+)"/g)) assert.equal((await s.ask(`/docs/${path}`)).status, 200, path);
});

test('a page of the explorer that is not there is refused in our words, and HEAD says how long one is that is', async () => {
  await using s = await fakeServer();
  const none = await s.ask('/docs/static/none.js');
  assert.equal(none.status, 404);
  assert.equal(none.json.error.code, 'NOT_FOUND');
  assert.equal(none.json.error.request_id, none.headers['x-request-id']);
  const [head, page] = [await s.ask('/docs/static/swagger-ui.css', { method: 'HEAD' }), await s.ask('/docs/static/swagger-ui.css')];
  assert.equal(head.text, '');
  assert.equal(Number(head.headers['content-length']), Buffer.byteLength(page.text));
  const again = await s.ask('/docs/static/swagger-ui.css', { headers: { 'if-none-match': String(page.headers['etag']) } });
  assert.equal(again.status, 304);
  assert.equal(again.headers['x-content-type-options'], 'nosniff');
});
