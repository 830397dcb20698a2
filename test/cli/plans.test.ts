import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { drawPlan } from '../../src/cli/plan-bars.ts';
import { planToWire } from '../../src/contract/plan-to-wire.ts';
import { TuttiError } from '../../src/core/errors.ts';
import type { TriggerRequest } from '../../src/engine/plan-views.ts';
import { HttpClient, ServerUnreachable } from '../../src/sdk/client/http-client.ts';
import { fakeServer } from '../api/fake-server.ts';
import { planView, UUID } from '../support/fake-plans.ts';
import { cli, plain } from './cli-harness.ts';

const { planId } = planView(1);

test('plan ls: a line a plan, newest first; --json gives all there is', async () => {
  await using s = await fakeServer();
  s.engine.plans.views = [planView(1, { status: 'FAILED' }), planView(2, { blocked: 'the queue is stopped' })];
  const { code, out } = await cli(['plan', 'ls'], s);
  assert.equal(code, 0);
  const [head, first, second] = out.split('\n');
  assert.match(head, /^STATUS +PROCESSED +BATCHES +AGE +PLAN$/);
  assert.match(first, new RegExp(`^ACTIVE \\(blocked\\) +10/25 segments +2 .* ${planView(2).planId}$`));
  assert.match(second, /^FAILED /);
  const all = JSON.parse((await cli(['plan', 'ls', '--json'], s)).out);
  assert.deepEqual(all[1], planToWire(planView(1, { status: 'FAILED' })));
  assert.equal(JSON.parse((await cli(['plan', 'ls', '--active', '--json', '--type', 'SegmentPurgeTask', '-r', 'myTable_OFFLINE'], s)).out).length, 1);
  assert.equal((await cli(['plan', 'ls', '-t', 'AlterTableTask'], s)).err, 'no plans\n');
  assert.equal((await cli(['plan', 'ls', '-l', '0'], s)).code, 2);
});

test('plan show: inputs and batches as bars, settings below; an unknown plan is code 3', async () => {
  await using s = await fakeServer();
  s.engine.plans.views = [planView(1, { triggeredBy: 'key-1' })];
  const { out } = await cli(['plan', 'show', planId], s);
  assert.match(out, /^ACTIVE {2}Batch 1 runs: 10 subtasks\.$/m);
  assert.match(out, /^segments +\S+ +40 % +10 of 25 +10 in flight$/m);
  assert.match(out, /^ {2}batch 0 +█+ +100 % +10 of 10 +1\.0 s$/m);
  assert.match(out, /^ {2}batch 1 +\S+ +30 % +3 of 10 +1 failed$/m);
  assert.match(out, /^ {2}source {18}ADHOC_CONFIG, by key-1$/m);
  assert.match(out, /^ {2}enableTaskOrchestration true$/m);
  assert.doesNotMatch(out, /^ {2}message/m);
  const long = `1 file given up: ${'d'.repeat(80)}, line 200`;
  s.engine.plans.views = [planView(1, { statusMessage: long })];
  assert.match((await cli(['plan', 'show', planId], s)).out, new RegExp(`^  message {17}${long}$`, 'm'));
  s.engine.plans.views = [planView(1, { blocked: 'the queue is stopped' })];
  assert.match((await cli(['plan', 'show', planId], s)).out, /blocked: the queue is stopped$[^]*^ {2}message +Batch 1 runs: 10 subtasks\.$/m);
  s.engine.plans.views = [planView(1, { triggeredBy: 'key-1' })];
  assert.doesNotMatch((await cli(['plan', 'show', planId, '-b', '1'], s)).out, /batch 0 /);
  assert.deepEqual(JSON.parse((await cli(['plan', 'show', planId, '--json'], s)).out), planToWire(planView(1, { triggeredBy: 'key-1' })));
  const missing = await cli(['plan', 'show', 'nonsense'], s);
  assert.deepEqual([missing.code, missing.err], [3, 'error: there is no task plan nonsense\n']);
});

test('a drawn plan keeps to the terminal: its last batches stay, nothing moves the cursor', () => {
  const batch = planView(1).batches[0];
  const many = planView(1, { batches: Array.from({ length: 1000 }, (_, i) => ({ ...batch, batchSequence: i })), statusMessage: 'a\u001b[2Jb\nc' });
  const lines = drawPlan(planToWire(many), { width: 60, maxLines: 12 });
  assert.equal(lines.length, 11);
  assert.match(lines[3], /^ {2}… 993 earlier batches$/);
  assert.match(lines[10], /^ {2}batch 999 /);
  for (const l of lines) assert.ok([...l].length <= 60 && !l.includes('\u001b') && !l.includes('\n'), l);
  for (const status of ['ABORTING', 'COMPLETED', 'CANCELLED', 'FAILED'] as const)
    assert.match(drawPlan(planToWire(planView(1, { status })))[1], new RegExp(`^${status} `));
  assert.match(drawPlan(planToWire(planView(1, { status: 'COMPLETED', inputsToProcess: 0, inputsProcessed: 0, batches: [] })))[2], /100 %/);
  const lost = drawPlan(planToWire(planView(1, { batches: [{ ...batch, taskState: null }] })));
  assert.match(lost[3], /error .*its task is gone/);
});

test('plan watch: lines as things change, and the code says how it ended', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.views = [planView(1)];
  const [first, second] = planView(1).batches;
  let asked = 0;
  const plan = plans.plan.bind(plans);
  // The server is seen three times: as it was, blocked, ended.
  plans.plan = async (id) => {
    asked++;
    if (asked === 2) plans.change(id, { blocked: 'the queue is stopped' });
    if (asked === 3) {
      plans.change(id, {
        status: 'COMPLETED',
        blocked: null,
        batches: [first, { ...second, taskState: 'COMPLETED', finishedAtMs: 1_767_225_602_000, subtasks: { total: 10, complete: 9, failed: 1, running: 0 } }],
        inputsProcessed: 25,
        statusMessage: 'All done.',
      });
    }
    return plan(id);
  };
  const { code, out } = await cli(['plan', 'watch', planId], s);
  assert.equal(code, 0);
  const said = out.split('\n').map((l) => l.replace(/^[\d:.]+ {2}/, ''));
  assert.deepEqual(said, [
    'batch 0  COMPLETED  10 of 10 complete',
    'batch 1  IN_PROGRESS',
    'plan is ACTIVE  10 of 25 segments  Batch 1 runs: 10 subtasks.',
    'plan is ACTIVE  10 of 25 segments  blocked: the queue is stopped',
    'batch 1  COMPLETED  9 of 10 complete, 1 failed',
    'plan is COMPLETED  25 of 25 segments  All done.',
    '',
  ]);
  for (const [status, wanted] of [
    ['COMPLETED', 0],
    ['FAILED', 1],
    ['CANCELLED', 1],
  ] as const) {
    plans.change(planId, { status });
    assert.equal((await cli(['plan', 'watch', planId], s)).code, wanted, status);
  }
  const json = await cli(['plan', 'show', planId, '--watch', '--json'], s);
  assert.equal(JSON.parse(json.out).plan.status, 'CANCELLED');
  const live = await cli(['plan', 'watch', planId], { ...s, tty: { columns: 100, rows: 30 } });
  assert.match(plain(live.out), /CANCELLED {2}All done\./);
  assert.equal((await cli(['plan', 'watch', 'nonsense'], s)).code, 3);
});

test('plan watch can be left: the plan goes on, and the message says how to come back', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.views = [planView(1)];
  const stop = new AbortController();
  const plan = plans.plan.bind(plans);
  plans.plan = async (id) => {
    setImmediate(() => stop.abort());
    return plan(id);
  };
  const { code, err } = await cli(['plan', 'watch', planId], { ...s, signal: stop.signal });
  assert.equal(code, 130);
  assert.ok(err.includes(`tutti plan watch ${planId}`), err);
});

test('plan run: asks for a plan unless told not to, and says what began', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.views = [planView(1, { status: 'COMPLETED' })];
  plans.result = { runs: [{ resource: 'myTable_OFFLINE', planId, taskName: 'T', taskId: `${UUID}a` }], skipped: [], blocked: null };
  const args = ['plan', 'run', 'SegmentPurgeTask', 'myTable_OFFLINE'];
  assert.equal((await cli([...args, '-s', 'a=1=2', '--set', 'b='], s)).out, `${planId}\n`);
  assert.deepEqual(JSON.parse((await cli([...args, '--json'], s)).out), { tasks: { myTable_OFFLINE: 'T' }, planIds: [planId], blocked: null, nothing: null });
  const watched = await cli([...args, '--watch'], s);
  assert.equal(watched.code, 0);
  assert.match(watched.out, /plan is COMPLETED/);
  plans.result.runs[0].planId = null;
  assert.equal((await cli([...args, '--once'], s)).out, 'myTable_OFFLINE  T\n');
  plans.result.runs = [];
  assert.equal((await cli(args, s)).err, 'nothing to do\n');
  plans.result.runs = [{ resource: 'myTable_OFFLINE', planId: null, taskName: null, taskId: null, nothing: 'No segment is left.' }];
  assert.equal((await cli(args, s)).err, 'nothing to do: No segment is left.\n');
  plans.result.runs = [];
  plans.result.blocked = 'the queue of SegmentPurgeTask is stopped';
  assert.equal((await cli(args, s)).err, 'nothing begun: the queue of SegmentPurgeTask is stopped\n');
  const settings = plans.calls.filter((c) => c.verb === 'trigger').map((c) => (c.args as TriggerRequest).settings);
  assert.deepEqual(settings.slice(0, 2), [{ enableTaskOrchestration: 'true', a: '1=2', b: '' }, { enableTaskOrchestration: 'true' }]);
  assert.deepEqual(settings[3], {});
  plans.failures.set('trigger', new TuttiError('PLAN_ACTIVE', `the plan ${planId} is live`));
  const refused = await cli(args, s);
  assert.deepEqual([refused.code, refused.err], [5, `error: the plan ${planId} is live\n`]);
  assert.equal((await cli([...args, '--set', 'novalue'], s)).code, 2);
  assert.equal((await cli(['plan', 'run', 'NoSuchTask', 'myTable_OFFLINE'], s)).code, 3);
});

test('plan abort, types, stop and resume', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.views = [planView(1)];
  assert.equal((await cli(['plan', 'abort', planId, '--reason', 'wrong table'], s)).out, 'ABORTING  wrong table\n');
  assert.equal(JSON.parse((await cli(['plan', 'abort', planId, '--json'], s)).out).status, 'ABORTING');
  plans.change(planId, { status: 'CANCELLED' });
  assert.equal((await cli(['plan', 'abort', planId], s)).code, 5);
  const { out } = await cli(['plan', 'types'], s);
  assert.match(out, /^SegmentPurgeTask +yes +segments +Rewrites segments/m);
  assert.match(out, /^StarTreeAlterTableTask +only +segments +.*\(also AlterTableTask\)$/m);
  assert.equal((await cli(['plan', 'stop', 'AlterTableTask'], s)).code, 0);
  assert.deepEqual([...plans.stopped], ['StarTreeAlterTableTask']);
  assert.match((await cli(['plan', 'resume', 'AlterTableTask', '--json'], s)).out, /"status"/);
  assert.equal(plans.stopped.size, 0);
  assert.equal((await cli(['plan', 'stop', 'NoSuchTask'], s)).code, 3);
});

test('the client reads both bodies of failure, and every route', async () => {
  await using s = await fakeServer();
  const { plans } = s.engine;
  plans.views = [planView(1)];
  plans.runs = [{ atMs: 0, ok: true, call: 'nextBatch', message: '' }];
  plans.scheduled = [
    { taskType: 'SegmentPurgeTask', runs: [{ resource: 'myTable_OFFLINE', planId, taskName: 'T', taskId: null }], generationErrors: [], schedulingErrors: [] },
  ];
  const client = new HttpClient({ url: s.url, wait: async () => {} });
  assert.deepEqual(await client.plans.ids('myTable_OFFLINE', 'SegmentPurgeTask'), [planId]);
  assert.equal(await client.plans.isActive(planId), true);
  assert.equal(await client.plans.queueState('SegmentPurgeTask'), 'IN_PROGRESS');
  assert.equal((await client.plans.generatorRuns('myTable_OFFLINE', 'SegmentPurgeTask'))[0].runs.length, 1);
  assert.deepEqual(await client.plans.schedule({ taskType: 'SegmentPurgeTask', resource: 'myTable_OFFLINE' }), {
    types: { SegmentPurgeTask: 'T', generationErrors: '', schedulingErrors: '' },
    planIds: [planId],
  });
  await assert.rejects(client.plans.get('x'), { code: 'NOT_FOUND', message: 'there is no task plan x' });
  await assert.rejects(client.plans.execute({ taskType: 'SegmentPurgeTask', resource: '' }), { code: 'INVALID_INPUT', field: 'tableName' });
  await assert.rejects(client.task('01900000-0000-7000-8000-0000000000ff'), { code: 'NOT_FOUND' });
});

test('a watch outlives a server that is away for a while', async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    if (++asked === 1) return void response.destroy();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(planToWire(planView(1, { status: 'COMPLETED' }))));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  assert.equal((await cli(['plan', 'watch', planId], { url: `http://127.0.0.1:${port}` })).code, 0);
  assert.equal(asked, 2);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(new HttpClient({ url: `http://127.0.0.1:${port}`, wait: async () => {} }).plans.get(planId), (e) => e instanceof ServerUnreachable);
});
