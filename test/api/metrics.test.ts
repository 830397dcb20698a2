import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineMetrics } from '../../src/engine/facade.ts';
import { METRICS } from '../../src/server/http/metrics.ts';
import { CRON_METRICS, PLAN_METRICS } from '../../src/server/http/plan-metrics.ts';
import { fakeServer, ORDER } from './fake-server.ts';

/** name{labels} -> value */
const parse = (text: string): Map<string, number> =>
  new Map(
    text
      .split('\n')
      .filter((l) => l !== '' && !l.startsWith('#'))
      .map((l) => {
        const at = l.lastIndexOf(' ');
        return [l.slice(0, at), Number(l.slice(at + 1))];
      }),
  );

test('the text is well formed: each metric once, with HELP and TYPE before its samples', async () => {
  await using s = await fakeServer();
  await s.ask('/v1/tasks');
  const { text, headers } = await s.ask('/metrics');
  assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  let current = '';
  const seen = new Set<string>();
  for (const line of text.trimEnd().split('\n')) {
    const help = /^# HELP (\w+) \S/.exec(line);
    if (help) {
      current = help[1];
      assert.ok(!seen.has(current), current);
      seen.add(current);
      continue;
    }
    if (line.startsWith('# TYPE ')) {
      assert.match(line, new RegExp(`^# TYPE ${current} (gauge|counter|histogram|summary)$`));
      continue;
    }
    assert.match(line, new RegExp(`^${current}(_bucket|_sum|_count)?(\\{\\w+="[^"]*"(,\\w+="[^"]*")*\\})? [\\d.e+-]+$`));
  }
  assert.deepEqual(
    [...seen],
    METRICS.map((m) => m.name),
  );
});

test('a histogram is cumulative and ends with +Inf = count', async () => {
  await using s = await fakeServer();
  s.engine.counts.turnRows = { bounds: [1, 10], counts: [2, 3, 4], sum: 123.5 };
  const m = parse((await s.ask('/metrics')).text);
  assert.deepEqual(
    ['_bucket{le="1"}', '_bucket{le="10"}', '_bucket{le="+Inf"}', '_sum', '_count'].map((x) => m.get(`tutti_turn_rows${x}`)),
    [2, 5, 9, 123.5, 9],
  );
});

const NO_SCHEDULES = { scheduled: 0, paused: 0, ticks: { fired: 0, failed: 0, late: 0, overlap: 0, missed: 0, conflict: 0 } };

/** Every metric of the engine, what moves it and the sample that must move. */
const MOVES: Record<string, [(m: EngineMetrics) => void, sample: string, value: number]> = {
  tutti_actor_depth: [(m) => (m.actors[1].depth = 5), '{actor="step_enqueuer"}', 5],
  tutti_actor_capacity: [(m) => (m.actors[1].capacity = 7), '{actor="step_enqueuer"}', 7],
  tutti_actor_saturation: [(m) => (m.actors[0].depth = 500), '{actor="task_request"}', 0.5],
  tutti_actor_accepted_total: [(m) => (m.actors[2].accepted = 5), '{actor="result_processor"}', 5],
  tutti_actor_refused_total: [(m) => (m.actors[2].refused = 6), '{actor="result_processor"}', 6],
  tutti_actor_handled_total: [(m) => (m.actors[3].handled = 7), '{actor="task_finalizer"}', 7],
  tutti_actor_busy_seconds_total: [(m) => (m.actors[3].timeMs = 1500), '{actor="task_finalizer"}', 1.5],
  tutti_turns_total: [(m) => (m.turns = 3), '', 3],
  tutti_turn_rows: [(m) => (m.turnRows.sum = 4), '_sum', 4],
  tutti_turn_seconds: [(m) => (m.turnSeconds.sum = 0.5), '_sum', 0.5],
  tutti_commit_seconds: [(m) => (m.commitSeconds.counts[0] = 2), '_count', 2],
  tutti_commit_failures_total: [(m) => (m.commitFailures = 1), '', 1],
  tutti_tasks: [(m) => (m.tasks.waiting_for_retry = 4), '{state="waiting_for_retry"}', 4],
  tutti_steps: [(m) => (m.steps.in_progress = 4), '{state="in_progress"}', 4],
  tutti_steps_ready: [(m) => (m.ready = 8), '', 8],
  tutti_tasks_submitted_total: [(m) => (m.submitted = 9), '', 9],
  tutti_tasks_finished_total: [(m) => (m.finished.error = 2), '{state="error"}', 2],
  tutti_attempts_total: [(m) => (m.attempts.timedOut = 2), '{event="timed_out"}', 2],
  tutti_schedules: [(m) => (m.schedules = { ...NO_SCHEDULES, paused: 4 }), '{state="paused"}', 4],
  tutti_schedule_ticks_total: [(m) => (m.schedules = { ...NO_SCHEDULES, ticks: { ...NO_SCHEDULES.ticks, missed: 6 } }), '{outcome="missed"}', 6],
  tutti_slots: [(m) => (m.slots.total = 12), '', 12],
  tutti_slots_used: [(m) => (m.slots.used = 3), '', 3],
  tutti_slots_stopping: [(m) => (m.slots.stopping = 1), '', 1],
  tutti_cached_steps: [(m) => (m.cachedSteps = 100), '', 100],
  tutti_reconciler_repairs_total: [(m) => (m.reconcilerRepairs = 1), '', 1],
  tutti_retention_removed_total: [(m) => (m.retentionRemoved = 10), '', 10],
  tutti_event_callback_errors_total: [(m) => (m.callbackErrors = 12), '', 12],
  tutti_hook_errors_total: [(m) => (m.hookErrors = 11), '', 11],
};

for (const [name, [move, sample, value]] of Object.entries(MOVES)) {
  test(`${name} shows what the engine counted`, async () => {
    await using s = await fakeServer();
    const before = parse((await s.ask('/metrics')).text).get(name + sample);
    assert.notEqual(before, value);
    assert.notEqual(before, undefined);
    move(s.engine.counts);
    assert.equal(parse((await s.ask('/metrics')).text).get(name + sample), value);
  });
}

test('the metrics of the server itself move too', async () => {
  let now = 1000;
  await using s = await fakeServer({ now: () => now });
  await s.ask('/v1/tasks', { method: 'POST', body: ORDER });
  await s.ask('/v1/tasks/zz');
  await s.ask('/made/up/by/a/caller');
  now += 2500;
  const m = parse((await s.ask('/metrics')).text);
  assert.equal(m.get('tutti_http_requests_total{method="POST",route="/v1/tasks",status="201"}'), 1);
  assert.equal(m.get('tutti_http_requests_total{method="GET",route="/v1/tasks/{id}",status="400"}'), 1);
  assert.equal(m.get('tutti_http_requests_total{method="other",route="other",status="404"}'), 1);
  assert.equal(m.get('tutti_http_request_seconds_count'), 3);
  assert.equal(m.get('tutti_uptime_seconds'), 2.5);
  assert.ok([...m.keys()].some((k) => /^tutti_info\{version="\d/.test(k)));
});

test('every metric is moved by a test', () => {
  const own = ['tutti_info', 'tutti_uptime_seconds', 'tutti_http_requests_total', 'tutti_http_request_seconds', 'tutti_http_streams'];
  // Moved in test/server/plan-metrics.test.ts.
  const ofPlans = [...PLAN_METRICS, ...CRON_METRICS].map((m) => m.name);
  assert.deepEqual(METRICS.map((m) => m.name).sort(), [...Object.keys(MOVES), ...own, ...ofPlans].sort());
});
