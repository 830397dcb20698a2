/** Ticks of schedules that make plans: from the clock to the row of the tick, which is written with the plan in one commit. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ChangeSet } from '../../src/core/changes.ts';
import { PlanWorld } from '../support/plan-world.ts';
import { counting } from '../support/scripted-type.ts';

const MINUTE = 60_000;
const TYPES = [counting('Purge', 25, 10), { ...counting('Once', 25, 10), supportsOrchestration: false }];

async function world(t: TestContext, taskType = 'Purge'): Promise<PlanWorld> {
  const w = new PlanWorld();
  t.after(() => w.close());
  w.settings = { t_OFFLINE: { [taskType]: { enableTaskOrchestration: 'true' } } };
  await w.boot(TYPES);
  w.engine.scheduling.start();
  await w.wait(w.engine.schedules.put({ key: 'minutely', everySeconds: 60, target: { kind: 'plan', resource: 't_OFFLINE', taskType } }));
  return w;
}

/** Oldest first. */
const ticks = async (w: PlanWorld): Promise<(string | null)[][]> =>
  (await w.engine.schedules.ticks('minutely')).reverse().map((tick) => [tick.state, tick.reason, tick.planId]);
const ids = (w: PlanWorld, taskType = 'Purge'): Promise<string[]> => w.engine.plans.planIds({ resource: 't_OFFLINE', taskType });

test('2, 23: a tick makes a plan and names it; one that finds it live is skipped; the next one after its end makes another', async (t) => {
  const w = await world(t);
  w.ends = () => null;
  await w.machine.advanceBy(MINUTE);
  const [first] = await ids(w);
  assert.deepEqual(await ticks(w), [['fired', null, first]]);
  assert.equal((await w.engine.schedules.ticks('minutely'))[0].doneAt, w.machine.now());
  await w.machine.advanceBy(MINUTE);
  assert.deepEqual(await ticks(w), [
    ['fired', null, first],
    ['skipped', 'conflict', null],
  ]);
  w.ends = () => ({ ok: true, body: 'null' });
  await w.finish();
  await w.machine.advanceBy(MINUTE);
  const [, second] = await ids(w);
  assert.deepEqual((await ticks(w)).at(-1), ['fired', null, second]);
  assert.equal(w.logged.filter((line) => line.startsWith('error')).length, 0);
});

test('a type without plans runs once for a tick', async (t) => {
  const w = await world(t, 'Once');
  await w.machine.advanceBy(MINUTE);
  assert.deepEqual(await ticks(w), [['fired', null, null]]);
  assert.deepEqual(await ids(w, 'Once'), []);
  assert.equal((await w.engine.list({ limit: 10 })).tasks.length, 1);
});

test('killed between the tick that is due and the commit of its plan: the next start makes it, once (I10)', async (t) => {
  const w = await world(t);
  w.ends = () => null;
  w.fate = (c: ChangeSet) => {
    if (c.plans.length === 0) return 'ok';
    w.kill();
    return 'refused';
  };
  await w.machine.advanceBy(MINUTE);
  w.fate = () => 'ok';
  await w.boot(TYPES);
  w.engine.scheduling.start();
  await w.machine.settle();
  const plans = await ids(w);
  assert.equal(plans.length, 1);
  assert.deepEqual(await ticks(w), [['fired', null, plans[0]]]);
});
