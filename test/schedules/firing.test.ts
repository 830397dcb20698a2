/** Schedules on the real engine and a simulated clock: what fires when, and what happens to ticks that meet an earlier task, a pause or a dead process. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ChangeSet } from '../../src/core/changes.ts';
import { oneStep } from '../engine/engine-setup.ts';
import { MINUTE, NOON, ScheduledWorld } from '../support/scheduled-world.ts';

let w: ScheduledWorld;
beforeEach(async () => {
  w = new ScheduledWorld();
  await w.boot();
});
afterEach(() => w.close());

const every = (key: string, seconds = 60): { key: string; everySeconds: number } => ({ key, everySeconds: seconds });

describe('a tick', () => {
  it('makes one task, at its time, that says whose it is', async () => {
    await w.put({ ...every('minutely'), input: { from: 'here' } });
    await w.machine.advanceTo(NOON + MINUTE - 1);
    assert.equal(w.assigned.length, 0);
    await w.machine.advanceBy(1);
    const [tick] = await w.ticks('minutely');
    assert.deepEqual([tick.at, tick.state, tick.manual], [NOON + MINUTE, 'fired', false]);
    const task = await w.wait(w.engine.task(tick.taskId!));
    assert.deepEqual(
      [task.state, task.initiator, task.reason, task.input],
      ['complete', 'schedule/minutely', 'tick of 2026-11-22T12:01:00.000Z', { from: 'here' }],
    );
    await w.machine.advanceBy(3 * MINUTE);
    assert.deepEqual(await w.history('minutely'), ['12:01 fired', '12:02 fired', '12:03 fired', '12:04 fired']);
    assert.equal(w.assigned.length, 4);
    const view = await w.engine.schedules.get('minutely');
    assert.deepEqual([view.nextAt, view.lastTick?.at, view.counts.fired, view.input], [NOON + 5 * MINUTE, NOON + 4 * MINUTE, 4, { from: 'here' }]);
  });

  it('tells the task when it was due, where it is asked to', async () => {
    await w.put({ ...every('m'), input: { x: 1 }, tickField: 'at' });
    await w.machine.advanceBy(2 * MINUTE);
    const inputs = [];
    for (const t of await w.ticks('m')) inputs.push((await w.wait(w.engine.task(t.taskId!))).input);
    assert.deepEqual(inputs, [
      { x: 1, at: '2026-11-22T12:01:00.000Z' },
      { x: 1, at: '2026-11-22T12:02:00.000Z' },
    ]);
    assert.deepEqual((await w.engine.schedules.get('m')).input, { x: 1 });
    // The field counts towards what the schema asks for.
    await w.wait(
      w.engine.register({
        ...oneStep('other'),
        validate: (v) => ('at' in (v as object) ? { ok: true, value: v } : { ok: false, issues: [{ path: 'at', message: 'is missing' }] }),
      }),
    );
    const other = { kind: 'template' as const, namespace: 't', name: 'other' };
    await assert.rejects(w.put({ ...every('o'), target: other }), /at: is missing/);
    await w.put({ ...every('o'), target: other, tickField: 'at' });
  });

  it('of a cron expression and of a time of its own; what falls once falls once', async () => {
    await w.put({ key: 'cron', cron: '2,4 * * * *' });
    await w.put({ key: 'quartz', cron: '30 2 * * * ?', dialect: 'quartz' });
    await w.put({ key: 'once', at: NOON + 3 * MINUTE });
    await w.machine.advanceBy(10 * MINUTE);
    assert.deepEqual(await w.history('cron'), ['12:02 fired', '12:04 fired']);
    assert.deepEqual(await w.history('quartz'), ['12:02:30 fired']);
    assert.deepEqual(await w.history('once'), ['12:03 fired']);
    assert.equal((await w.engine.schedules.get('once')).nextAt, null);
  });

  it('of a task that arrives in pieces is fired by the last of them', async () => {
    await w.put({ ...every('big'), target: { kind: 'template', namespace: 't', name: 'big' } });
    await w.machine.advanceBy(MINUTE);
    const [tick] = await w.ticks('big');
    assert.equal(tick.state, 'fired');
    assert.equal((await w.wait(w.engine.task(tick.taskId!))).state, 'complete');
  });

  it('of a task that arrives in pieces is neither lost nor doubled by a kill after any of them', async () => {
    for (let moment = 0; moment < 20; moment++) {
      const key = `big${moment}`;
      const at = w.machine.now() + 1000;
      await w.put({ key, at, target: { kind: 'template', namespace: 't', name: 'big' } });
      await w.machine.advanceTo(at - 1);
      w.machine.fireNext(at);
      for (let n = 0; n < moment; n++) await w.machine.stepOnce();
      w.kill();
      await w.boot();
      await w.machine.advanceBy(MINUTE);
      const [tick] = await w.ticks(key);
      assert.equal(tick.state, 'fired');
      const { tasks } = await w.wait(w.engine.list({ initiator: `schedule/${key}` }));
      assert.deepEqual(
        tasks.map((t) => [t.id, t.state]),
        [[tick.taskId, 'complete']],
        `killed at moment ${moment}`,
      );
    }
  });

  it('whose task cannot be made has failed, and says why; the next one follows', async () => {
    await w.put({ ...every('checked'), target: { kind: 'template', namespace: 't', name: 'job' } });
    await w.wait(w.engine.register({ ...oneStep('job'), validate: () => ({ ok: false, issues: [{ path: 'x', message: 'is missing' }] }) }));
    await w.machine.advanceBy(2 * MINUTE);
    assert.deepEqual(await w.history('checked'), ['12:01 failed INVALID_INPUT', '12:02 failed INVALID_INPUT']);
    assert.match((await w.ticks('checked'))[0].message!, /context\.x: is missing/);
    assert.equal(w.engine.metrics().schedules?.ticks.failed, 2);
  });

  it('rows of the past are kept to the newest hundred', async () => {
    await w.put(every('secondly', 1));
    await w.machine.advanceBy(150_000);
    const ticks = await w.wait(w.engine.schedules.ticks('secondly', { limit: 1000 }));
    assert.equal(ticks.length, 100);
    assert.equal(ticks[0].at, NOON + 150_000);
    assert.equal(w.assigned.length, 150);
  });
});

describe('while a task of an earlier tick lives', () => {
  beforeEach(() => {
    w.atOnce = false;
  });

  it('skip: the tick is skipped, and fires again when nothing runs', async () => {
    await w.put({ ...every('s'), overlap: 'skip' });
    await w.machine.advanceBy(3 * MINUTE);
    await w.finish();
    await w.machine.advanceBy(MINUTE);
    assert.deepEqual(await w.history('s'), ['12:01 fired', '12:02 skipped overlap', '12:03 skipped overlap', '12:04 fired']);
    assert.deepEqual(w.engine.schedules.counts('s'), { fired: 2, failed: 0, late: 0, overlap: 2, missed: 0, conflict: 0 });
  });

  it('queue: ticks wait and are fired one after the other, at the end of the one before', async () => {
    await w.put({ ...every('q'), overlap: 'queue' });
    await w.machine.advanceBy(3 * MINUTE);
    assert.deepEqual(await w.history('q'), ['12:01 fired', '12:02 pending', '12:03 pending']);
    assert.equal((await w.engine.schedules.get('q')).waiting, 2);
    await w.finish();
    assert.deepEqual(await w.history('q'), ['12:01 fired', '12:02 fired', '12:03 pending']);
    await w.finish();
    assert.deepEqual(await w.history('q'), ['12:01 fired', '12:02 fired', '12:03 fired']);
    assert.equal(w.running.length, 1);
  });

  it('queue: no more than a thousand wait', async () => {
    await w.put({ ...every('q', 1), overlap: 'queue' });
    await w.machine.advanceBy(1_010_000);
    const view = await w.engine.schedules.get('q');
    assert.deepEqual([view.waiting, view.counts.fired], [1000, 1]);
    assert.deepEqual(view.counts.overlap, 9);
    await assert.rejects(w.wait(w.engine.schedules.fire('q')), { code: 'ILLEGAL_STATE', message: /1000 ticks of the schedule q wait already/ });
  });

  it('allow: they run side by side', async () => {
    await w.put({ ...every('a'), overlap: 'allow' });
    await w.machine.advanceBy(3 * MINUTE);
    assert.equal(w.running.length, 3);
  });

  it('cancel_previous: the earlier one is cancelled first', async () => {
    await w.put({ ...every('c'), overlap: 'cancel_previous' });
    await w.machine.advanceBy(2 * MINUTE);
    const [first, second] = await w.ticks('c');
    assert.equal((await w.wait(w.engine.task(first.taskId!))).state, 'cancelled');
    assert.equal((await w.wait(w.engine.task(second.taskId!))).state, 'steps_in_process');
  });

  it('a task that was reset lives again and is in the way', async () => {
    await w.put({ ...every('s'), overlap: 'skip' });
    await w.machine.advanceBy(MINUTE);
    const [{ taskId }] = await w.ticks('s');
    await w.fail();
    assert.equal((await w.wait(w.engine.task(taskId!))).state, 'error');
    await w.wait(w.engine.reset(taskId!));
    await w.machine.advanceBy(MINUTE);
    assert.deepEqual(await w.history('s'), ['12:01 fired', '12:02 skipped overlap']);
  });

  it('a task whose process died is in the way of the next one', async () => {
    await w.put({ ...every('s'), overlap: 'skip' });
    await w.machine.advanceBy(MINUTE);
    w.kill();
    await w.boot();
    await w.machine.advanceBy(MINUTE);
    assert.deepEqual(await w.history('s'), ['12:01 fired', '12:02 skipped overlap']);
  });
});

describe('late ticks', () => {
  it('a tick that could not be fired within its time is skipped and counted', async () => {
    w.atOnce = false;
    await w.put({ ...every('q'), overlap: 'queue', lateAfterSeconds: 90 });
    await w.machine.advanceBy(3 * MINUTE);
    await w.finish();
    assert.deepEqual(await w.history('q'), ['12:01 fired', '12:02 fired', '12:03 pending']);
    await w.machine.advanceBy(2 * MINUTE);
    await w.finish();
    assert.deepEqual(await w.history('q'), ['12:01 fired', '12:02 fired', '12:03 skipped late', '12:04 fired', '12:05 pending']);
    assert.equal(w.engine.schedules.counts('q')?.late, 1);
  });
});

describe('ticks missed while no process ran', () => {
  const dead = async (o: object): Promise<string[]> => {
    await w.put({ ...every('m'), overlap: 'allow', ...o });
    await w.machine.advanceBy(MINUTE);
    w.kill();
    w.machine.skip(5.5 * MINUTE);
    await w.boot();
    await w.machine.advanceBy(MINUTE);
    return await w.history('m');
  };

  it('none: they are one skipped tick, the newest', async () => {
    assert.deepEqual(await dead({ catchUp: 'none' }), ['12:01 fired', '12:06 skipped missed', '12:07 fired']);
    assert.match((await w.ticks('m'))[1].message!, /it and 4 before it were missed/);
    assert.equal(w.engine.schedules.counts('m')?.missed, 5);
  });

  it('last: the newest is made up for', async () => {
    assert.deepEqual(await dead({ catchUp: 'last' }), ['12:01 fired', '12:05 skipped missed', '12:06 fired', '12:07 fired']);
  });

  it('all: every one, or the newest of so many', async () => {
    assert.deepEqual(
      await dead({ catchUp: 'all' }),
      ['12:01', '12:02', '12:03', '12:04', '12:05', '12:06', '12:07'].map((t) => `${t} fired`),
    );
  });

  it('all, capped', async () => {
    assert.deepEqual(await dead({ catchUp: 'all', maxCatchUp: 2 }), ['12:01 fired', '12:04 skipped missed', '12:05 fired', '12:06 fired', '12:07 fired']);
  });

  it('too late is too late, made up for or not', async () => {
    assert.deepEqual(await dead({ catchUp: 'all', lateAfterSeconds: 100 }), [
      '12:01 fired',
      '12:02 skipped late',
      '12:03 skipped late',
      '12:04 skipped late',
      '12:05 fired',
      '12:06 fired',
      '12:07 fired',
    ]);
  });

  it('nothing is fired before the templates and handlers are there', async () => {
    await w.put(every('m'));
    w.kill();
    w.machine.skip(2 * MINUTE);
    await w.boot({ start: false });
    await w.machine.advanceBy(MINUTE);
    assert.equal(w.assigned.length, 0);
    w.engine.scheduling.start();
    await w.machine.settle();
    assert.deepEqual(await w.history('m'), ['12:02 skipped missed', '12:03 fired']);
  });
});

describe('the clock', () => {
  it('after a sleep of the machine, what fell meanwhile was missed', async () => {
    await w.put({ ...every('m', 1), catchUp: 'last', overlap: 'allow' });
    await w.machine.advanceBy(2_000);
    w.machine.skip(3_600_000);
    await w.machine.advanceBy(1_000);
    const ticks = await w.ticks('m');
    assert.deepEqual(
      ticks.map((t) => t.state),
      ['fired', 'fired', 'skipped', 'fired', 'fired'],
    );
    assert.match(ticks[2].message!, /more than/);
  });

  it('a pause of seconds loses nothing, whatever the catch-up says', async () => {
    await w.put({ ...every('m', 1), catchUp: 'none', overlap: 'allow' });
    await w.machine.advanceBy(1_000);
    w.machine.skip(20_000);
    await w.machine.advanceBy(1_000);
    assert.equal(w.assigned.length, 22);
  });

  it('set back: no tick comes a second time', async () => {
    await w.put(every('m'));
    await w.machine.advanceBy(3 * MINUTE);
    w.machine.skip(-2 * MINUTE);
    await w.machine.advanceBy(3 * MINUTE);
    assert.deepEqual(await w.history('m'), ['12:01 fired', '12:02 fired', '12:03 fired', '12:04 fired']);
  });

  it('is looked at every minute: a tick far ahead is not slept over when the clock is set forward', async () => {
    await w.put({ key: 'm', at: NOON + 600 * MINUTE });
    await w.machine.advanceBy(90_000);
    w.machine.skip(599 * MINUTE);
    await w.machine.advanceBy(MINUTE);
    assert.deepEqual(
      (await w.ticks('m')).map((t) => t.state),
      ['fired'],
    );
  });
});

describe('pause, resume and a person', () => {
  it('nothing falls while it is paused; then the catch-up decides', async () => {
    await w.put({ ...every('p'), catchUp: 'last' });
    await w.wait(w.engine.schedules.pause('p'));
    await w.machine.advanceBy(3 * MINUTE);
    assert.deepEqual(await w.history('p'), []);
    assert.equal((await w.engine.schedules.get('p')).nextAt, null);
    const view = await w.wait(w.engine.schedules.resume('p'));
    assert.equal(view.nextAt, NOON + 4 * MINUTE);
    await w.machine.advanceBy(MINUTE);
    assert.deepEqual(await w.history('p'), ['12:02 skipped missed', '12:03 fired', '12:04 fired']);
  });

  it('pause holds back what waits, also across a restart', async () => {
    w.atOnce = false;
    await w.put({ ...every('p'), overlap: 'queue' });
    await w.machine.advanceBy(2 * MINUTE);
    await w.wait(w.engine.schedules.pause('p'));
    await w.finish();
    w.kill();
    w.machine.skip(MINUTE);
    await w.boot();
    await w.machine.advanceBy(MINUTE);
    assert.deepEqual(await w.history('p'), ['12:01 fired', '12:02 pending']);
    await w.wait(w.engine.schedules.resume('p'));
    await w.machine.settle();
    assert.equal((await w.ticks('p'))[1].state, 'fired');
  });

  it('fire now makes a tick of now, paused or not, between those of the clock', async () => {
    await w.put({ ...every('f'), paused: true });
    const tick = await w.wait(w.engine.schedules.fire('f'));
    assert.deepEqual([tick.state, tick.manual], ['fired', true]);
    assert.notEqual(tick.at % 1000, 0);
    const again = await w.wait(w.engine.schedules.fire('f'));
    assert.equal(again.state, 'fired');
    assert.notEqual(again.at, tick.at);
    w.atOnce = false;
    await w.wait(w.engine.schedules.fire('f'));
    assert.equal((await w.wait(w.engine.schedules.fire('f'))).reason, 'overlap');
  });
});

describe('plans', () => {
  const plan = { kind: 'plan' as const, resource: 'airports_OFFLINE', taskType: 'FileIngestionTask' };
  const owned = (): Promise<unknown> => w.wait(w.engine.schedules.putOwned({ ...every('table/airports_OFFLINE/FileIngestionTask'), target: plan }));
  const key = 'table/airports_OFFLINE/FileIngestionTask';

  it('the tick is handed over with what it needs, and marked as the answer says', async () => {
    const asked: unknown[] = [];
    const answers = [
      { state: 'fired' as const, plan: 'p1', task: 12 },
      { state: 'skipped' as const, plan: 'p1', message: 'p1 lives' },
      { state: 'failed' as const, message: 'no' },
    ];
    w.engine.scheduling.onPlanTick((target, tick) => {
      asked.push([target, tick.at, tick.manual]);
      return Promise.resolve(answers[asked.length - 1]);
    });
    await owned();
    await w.machine.advanceBy(3 * MINUTE);
    assert.deepEqual(asked[0], [plan, NOON + MINUTE, false]);
    assert.deepEqual(await w.history(key), ['12:01 fired', '12:02 skipped conflict', '12:03 failed GENERATION_FAILED']);
    assert.deepEqual(
      (await w.ticks(key)).map((t) => t.planId),
      ['p1', 'p1', null],
    );
    assert.deepEqual(w.engine.schedules.counts(key), { fired: 1, failed: 1, late: 0, overlap: 0, missed: 0, conflict: 1 });
  });

  it('a tick that was marked by the commit that made the plan is not marked again', async () => {
    w.engine.scheduling.onPlanTick(async (_, tick) => {
      const c = new ChangeSet();
      c.ticks.push({ insert: false, ...tick, fromState: 0, state: 1, task: null, plan: 'mine', reason: null, message: null, doneAt: w.machine.now() });
      await w.store.commit(c);
      return { state: 'fired', plan: 'other' };
    });
    await owned();
    await w.machine.advanceBy(MINUTE);
    assert.deepEqual(
      (await w.ticks(key)).map((t) => [t.state, t.planId]),
      [['fired', 'mine']],
    );
  });
});
