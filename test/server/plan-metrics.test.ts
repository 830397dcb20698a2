import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CRON_METRICS, PLAN_METRICS } from '../../src/server/http/plan-metrics.ts';
import { fakeServer, type FakeServer } from '../api/fake-server.ts';
import { SEED_GAUGES, SEED_GLOBAL_GAUGES, SEED_METERS } from './seed-list.ts';

const PAIR = '{tableNameWithType="myTable_OFFLINE",taskType="SegmentPurgeTask"}';
const none = { taskPlanAborted: 0, orchestrationCycleFailure: 0, scheduledTriggerActivePlanConflict: 0, taskGenerationFailureCount: 0 };

const value = async (s: FakeServer, sample: string): Promise<number | undefined> => {
  const line = (await s.ask('/metrics')).text.split('\n').find((l) => l.startsWith(`${sample} `));
  return line === undefined ? undefined : Number(line.slice(sample.length));
};

test('every metric of the seed is there under its name and scope, with a type, and no other', () => {
  const ofPairs = PLAN_METRICS.filter((m) => m.labels.length > 0);
  assert.deepEqual(ofPairs.map((m) => m.name).sort(), [...SEED_METERS, ...SEED_GAUGES].sort());
  for (const m of ofPairs) assert.deepEqual(m.labels, ['tableNameWithType', 'taskType']);
  assert.deepEqual(
    PLAN_METRICS.filter((m) => m.labels.length === 0).map((m) => m.name),
    SEED_GLOBAL_GAUGES,
  );
  // A meter only counts up, but for the one that is set and cleared.
  for (const m of PLAN_METRICS) {
    const isMeter = (SEED_METERS as readonly string[]).includes(m.name) && m.name !== 'taskPlanProgressionBlocked';
    assert.equal(m.type, isMeter ? 'counter' : 'gauge', m.name);
  }
});

for (const name of [...SEED_METERS, ...SEED_GAUGES]) {
  test(`${name} shows what was counted for a table and task type`, async () => {
    await using s = await fakeServer();
    const { plans } = s.engine;
    assert.equal(await value(s, name + PAIR), undefined);
    const pair = { resource: 'myTable_OFFLINE', taskType: 'SegmentPurgeTask', ...none };
    plans.counts.pairs = [
      { ...pair, resource: 'other' },
      { ...pair, [name]: 7 },
    ];
    assert.equal(await value(s, name + PAIR), 7);
  });
}

test('gauges of a pair are gone with its live plan, counters stay', async () => {
  await using s = await fakeServer();
  s.engine.plans.counts.pairs = [{ resource: 'myTable_OFFLINE', taskType: 'SegmentPurgeTask', ...none }];
  for (const m of PLAN_METRICS.filter((x) => x.labels.length > 0)) assert.equal(await value(s, m.name + PAIR), m.type === 'counter' ? 0 : undefined, m.name);
});

for (const name of SEED_GLOBAL_GAUGES) {
  test(`${name} has no labels and moves`, async () => {
    await using s = await fakeServer();
    assert.equal(await value(s, name), 0);
    s.engine.plans.counts[name] = 1234;
    assert.equal(await value(s, name), 1234);
  });
}

test('docs/metrics.md has each of them', () => {
  const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
  for (const m of [...PLAN_METRICS, ...CRON_METRICS]) assert.ok(page.includes(`| \`${m.name}\` | ${m.type} |`), `${m.name}; run: npm run docs`);
});

test("ticks of tables' schedules: acted on, passed over, to come; a skip for a live plan is no late one", async () => {
  await using s = await fakeServer();
  const ticks = { fired: 3, failed: 1, late: 4, overlap: 0, missed: 1, conflict: 2 };
  s.engine.counts.schedules = {
    scheduled: 1,
    paused: 0,
    ticks,
    owned: [{ resource: 'myTable_OFFLINE', taskType: 'SegmentPurgeTask', scheduled: true, ticks }],
  };
  const names = ['cronSchedulerJobTriggered', 'cronSchedulerJobSkipped', 'cronSchedulerJobScheduled'];
  assert.deepEqual(await Promise.all(names.map((name) => value(s, name + PAIR))), [6, 5, 1]);
  delete s.engine.counts.schedules;
  assert.equal(await value(s, names[0] + PAIR), undefined);
});
