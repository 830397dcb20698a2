/** Making, changing and removing schedules; declarations; schedules of tables; what a failing store does to them. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ChangeSet } from '../../src/core/changes.ts';
import { MAX_SCHEDULES, type ScheduleRequest } from '../../src/core/schedule.ts';
import { oneStep } from '../engine/engine-setup.ts';
import type { CommitFate } from '../support/faulty-store.ts';
import { MINUTE, NOON, ScheduledWorld } from '../support/scheduled-world.ts';

let w: ScheduledWorld;
beforeEach(async () => {
  w = new ScheduledWorld();
  await w.boot();
});
afterEach(() => w.close());

const target = { kind: 'template' as const, namespace: 't', name: 'job' };
const every = (key: string, seconds = 60): ScheduleRequest => ({ key, everySeconds: seconds, target });
const refused = (code: string, message: RegExp, asked: Promise<unknown>): Promise<void> => assert.rejects(w.wait(asked), { code, message });
const keys = async (): Promise<string[]> => (await w.engine.schedules.list()).schedules.map((s) => s.key);

describe('put', () => {
  it('makes and changes; the same again writes nothing and keeps its place', async () => {
    await w.put({ ...every('a'), input: { x: 1 } });
    await w.machine.advanceBy(MINUTE);
    let commits = 0;
    w.fate = () => (commits++, 'ok');
    await w.put({ ...every('a'), input: { x: 1 } });
    assert.equal(commits, 0);
    await w.put({ ...every('a'), input: { x: 2 }, overlap: 'queue' });
    assert.equal(commits, 1);
    const view = await w.engine.schedules.get('a');
    assert.deepEqual([view.input, view.overlap, view.nextAt], [{ x: 2 }, 'queue', NOON + 2 * MINUTE]);
  });

  it('a new trigger begins now, beyond every tick there was', async () => {
    await w.put(every('a'));
    await w.machine.advanceBy(2 * MINUTE);
    w.machine.skip(-90_000);
    await w.put(every('a', 30));
    assert.equal((await w.engine.schedules.get('a')).nextAt, NOON + 2 * MINUTE + 30_000);
    await w.machine.advanceBy(3 * MINUTE);
    assert.deepEqual(await w.history('a'), ['12:01 fired', '12:02 fired', '12:02:30 fired', '12:03 fired', '12:03:30 fired']);
  });

  it('keeps the input as it was given, though the schema of the template changes it', async () => {
    const validate = (v: unknown) =>
      typeof (v as { n: unknown }).n === 'string'
        ? { ok: true as const, value: { n: Number((v as { n: string }).n) } }
        : { ok: false as const, issues: [{ path: 'n', message: 'must be text' }] };
    await w.wait(w.engine.register({ ...oneStep('other'), validate }));
    await w.put({ ...every('a'), target: { ...target, name: 'other' }, input: { n: '5' } });
    assert.deepEqual((await w.engine.schedules.get('a')).input, { n: '5' });
    await w.machine.advanceBy(MINUTE);
    const [tick] = await w.ticks('a');
    assert.deepEqual([tick.state, (await w.wait(w.engine.task(tick.taskId!))).input], ['fired', { n: 5 }]);
  });

  it('create: not where there is one', async () => {
    await w.put(every('a'));
    await refused('ALREADY_EXISTS', /a schedule a already/, w.engine.schedules.put(every('a'), { create: true }));
  });

  it('refuses what could never be submitted', async () => {
    await refused('TEMPLATE_NOT_FOUND', /no template t\/nothing/, w.engine.schedules.put({ ...every('a'), target: { ...target, name: 'nothing' } }));
    await refused('INVALID_INPUT', /priority/, w.engine.schedules.put({ ...every('a'), target: { ...target, priority: 9 } }));
    await refused('UNSTORABLE_VALUE', /context/, w.engine.schedules.put({ ...every('a'), input: { f: () => 1 } }));
    await refused(
      'INVALID_INPUT',
      /context belongs to a template/,
      w.engine.schedules.putOwned({ ...every('table/a/b'), target: { kind: 'plan', resource: 'a', taskType: 'b' }, input: {} }),
    );
    await refused('INVALID_INPUT', /lies in the past/, w.engine.schedules.put({ key: 'a', at: NOON - 1, target }));
    assert.deepEqual(await keys(), []);
  });

  it('what fell once may be put again as it was', async () => {
    await w.put({ key: 'a', at: NOON + 1000 });
    await w.machine.advanceBy(2000);
    await w.put({ key: 'a', at: NOON + 1000 });
    await refused('INVALID_INPUT', /lies in the past/, w.engine.schedules.put({ key: 'a', at: NOON + 1001, target }));
  });

  it('there is a limit', async () => {
    await w.put(every('first'));
    const c = new ChangeSet();
    const row = await w.store.loadSchedule((await w.store.schedules())[0].id);
    for (let i = 1; i < MAX_SCHEDULES; i++) c.schedules.push({ ...row!, id: i, key: `k${i}`, paused: true });
    await w.store.commit(c);
    w.kill();
    await w.boot();
    await refused('ILLEGAL_STATE', /10000 schedules at most, and has 10000/, w.engine.schedules.put(every('more')));
    await w.put({ ...every('first'), overlap: 'allow' });
    const page = await w.engine.schedules.list({ limit: 1000, after: 'k5' });
    assert.equal(page.schedules.length, 1000);
    assert.equal(page.nextAfter, page.schedules[999].key);
    assert.deepEqual(w.engine.metrics().schedules?.paused, MAX_SCHEDULES - 1);
  });
});

describe('list, preview, remove', () => {
  it('lists by key, in pages', async () => {
    for (const key of ['b', 'a', 'c']) await w.put(every(key));
    const first = await w.engine.schedules.list({ limit: 2 });
    assert.deepEqual([first.schedules.map((s) => s.key), first.nextAfter], [['a', 'b'], 'b']);
    const rest = await w.engine.schedules.list({ limit: 2, after: 'b' });
    assert.deepEqual([rest.schedules.map((s) => s.key), rest.nextAfter], [['c'], null]);
    assert.deepEqual(await w.engine.schedules.list({ after: 'x' }), { schedules: [], nextAfter: null });
    await refused('INVALID_INPUT', /limit must be .* 1 to 1000/, w.engine.schedules.list({ limit: 0 }));
  });

  it('shows the next ten, or so many', async () => {
    await w.put({ key: 'a', cron: '0 0 2 * * ?', dialect: 'quartz', timeZone: 'Europe/Berlin' });
    const ten = w.engine.schedules.preview('a');
    assert.deepEqual(
      [ten.length, new Date(ten[0]).toISOString(), new Date(ten[9]).toISOString()],
      [10, '2026-11-23T01:00:00.000Z', '2026-12-02T01:00:00.000Z'],
    );
    assert.equal(w.engine.schedules.preview('a', 3).length, 3);
    assert.throws(() => w.engine.schedules.preview('a', 101), { code: 'INVALID_INPUT' });
    assert.throws(() => w.engine.schedules.preview('b'), { code: 'NOT_FOUND' });
  });

  it('what is removed falls no more, and a new one of that key inherits nothing', async () => {
    w.atOnce = false;
    await w.put({ ...every('a'), overlap: 'queue' });
    await w.machine.advanceBy(3 * MINUTE);
    await w.wait(w.engine.schedules.remove('a'));
    assert.equal(w.running.length, 1, 'its task goes on');
    await w.finish();
    await w.machine.advanceBy(2 * MINUTE);
    assert.equal(w.assigned.length, 1);
    await assert.rejects(w.engine.schedules.ticks('a'), { code: 'NOT_FOUND' });
    await refused('NOT_FOUND', /no schedule "a"/, w.engine.schedules.remove('a'));
    await w.put(every('a'));
    assert.deepEqual(await w.history('a'), []);
    assert.deepEqual(w.engine.schedules.counts('a')?.fired, 0);
  });
});

describe('declared schedules', () => {
  it('are there after each start as declared, and go when they are not declared any more; those of callers stay', async () => {
    await w.put(every('mine'));
    await w.wait(w.engine.schedules.declare([every('a'), every('b')]));
    assert.deepEqual(await keys(), ['a', 'b', 'mine']);
    await w.machine.advanceBy(MINUTE);
    await w.wait(w.engine.schedules.declare([{ ...every('a'), overlap: 'queue' }, every('c')]));
    assert.deepEqual(await keys(), ['a', 'c', 'mine']);
    const a = await w.engine.schedules.get('a');
    assert.deepEqual([a.overlap, a.nextAt, a.owner], ['queue', NOON + 2 * MINUTE, 'declared']);
  });

  it('are changed where they are declared; a person may pause, resume and fire them, and a pause outlives the next start', async () => {
    await w.wait(w.engine.schedules.declare([every('a')]));
    await refused('ILLEGAL_STATE', /declared in the configuration/, w.engine.schedules.put(every('a', 30)));
    await refused('ILLEGAL_STATE', /declared in the configuration/, w.engine.schedules.remove('a'));
    await w.wait(w.engine.schedules.pause('a'));
    await w.wait(w.engine.schedules.declare([every('a')]));
    assert.equal((await w.engine.schedules.get('a')).paused, true);
    assert.equal((await w.wait(w.engine.schedules.fire('a'))).state, 'fired');
  });

  it('all are checked before one is stored; the message names the schedule', async () => {
    await refused('INVALID_INPUT', /schedule "b": every_seconds must be/, w.engine.schedules.declare([every('a'), every('b', 0.1)]));
    await refused('INVALID_INPUT', /schedule "a": key is declared twice/, w.engine.schedules.declare([every('a'), every('a', 30)]));
    assert.deepEqual(await keys(), []);
  });

  it('one whose time has passed is no reason not to start', async () => {
    await w.wait(w.engine.schedules.declare([{ key: 'once', at: NOON - MINUTE, target }]));
    assert.match(w.logged.join('\n'), /once will not fall again/);
    await w.machine.advanceBy(MINUTE);
    assert.deepEqual(await w.history('once'), []);
  });
});

describe('schedules of tables', () => {
  it('are made and removed by their tables, and by nobody else', async () => {
    const key = 'table/a_OFFLINE/X';
    await refused('ILLEGAL_STATE', /table\//, w.engine.schedules.put(every(key)));
    await refused('ILLEGAL_STATE', /table\//, w.engine.schedules.putOwned(every('mine')));
    for (const k of [key, 'table/a_OFFLINE/Y', 'table/ab_OFFLINE/X']) await w.wait(w.engine.schedules.putOwned(every(k)));
    for (const verb of ['pause', 'resume', 'fire', 'remove'] as const)
      await refused('ILLEGAL_STATE', /configuration of a table/, w.engine.schedules[verb](key));
    await refused('ILLEGAL_STATE', /configuration of a table/, w.engine.schedules.put(every(key, 30)));
    await w.wait(w.engine.schedules.removeOwned('table/a_OFFLINE/'));
    assert.deepEqual(await keys(), ['table/ab_OFFLINE/X']);
  });
});

describe('a store that fails', () => {
  const scheduled = (c: ChangeSet): boolean => c.schedules.length + c.scheduleUpdates.length + c.scheduleRemovals.length + c.ticks.length > 0;
  /** The next commit that has something of schedules meets it. */
  const once = (fate: CommitFate): void => {
    let met = false;
    w.fate = (c) => (!met && scheduled(c) ? ((met = true), fate) : 'ok');
  };

  for (const [fate, landed] of [
    ['busy', false],
    ['refused', false],
    ['lost', false],
    ['applied', true],
  ] as const) {
    it(`${fate}: put and remove say what is true`, async () => {
      once(fate);
      if (landed) await w.put(every('a'));
      else {
        await refused('STORE_UNAVAILABLE', /try again/, w.engine.schedules.put(every('a')));
        assert.deepEqual(await keys(), []);
        await w.put(every('a'));
      }
      once(fate);
      if (landed) await w.wait(w.engine.schedules.pause('a'));
      else await refused('STORE_UNAVAILABLE', /try again/, w.engine.schedules.pause('a'));
      assert.equal((await w.engine.schedules.get('a')).paused, landed);
      once(fate);
      if (landed) await w.wait(w.engine.schedules.remove('a'));
      else await refused('STORE_UNAVAILABLE', /try again/, w.engine.schedules.remove('a'));
      assert.deepEqual(await keys(), landed ? [] : ['a']);
    });

    it(`${fate}: a tick is neither lost nor doubled, whichever commit it was`, async () => {
      await w.put({ ...every('a'), overlap: 'allow' });
      for (let nth = 0; nth < 3; nth++) {
        let seen = 0;
        w.fate = (c) => (scheduled(c) && seen++ === nth ? fate : 'ok');
        await w.machine.advanceBy(MINUTE + 5000);
      }
      w.fate = () => 'ok';
      await w.machine.advanceBy(10_000);
      const ticks = await w.ticks('a');
      assert.deepEqual(
        ticks.map((t) => t.state),
        ticks.map(() => 'fired'),
      );
      assert.equal(new Set(ticks.map((t) => t.taskId)).size, ticks.length);
      assert.equal((await w.wait(w.engine.list({}))).tasks.length, ticks.length);
    });
  }
});
