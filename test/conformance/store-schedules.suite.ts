/** What schedules ask of a store: versions, one row per tick, a tick that is marked with its task, pruning. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { ScheduleRow, ScheduleUpdate, TickWrite } from '../../src/core/changes.ts';
import { BASE, NOW, taskRow } from './store-rows.ts';
import { failsWith, type SuiteContext } from './suite-context.ts';

const schedule = (id: number, over: Partial<ScheduleRow> = {}): ScheduleRow => ({
  id,
  key: `k${id}`,
  definition: '{"a":"ü"}',
  input: '{"x":1}',
  paused: false,
  nextAt: NOW + 60,
  createdAt: NOW,
  ...over,
});
const update = (id: number, fromVersion: number, over: Partial<ScheduleUpdate> = {}): ScheduleUpdate => ({
  id,
  fromVersion,
  paused: false,
  nextAt: NOW + 120,
  ...over,
});
const tick = (at: number, over: Partial<TickWrite> = {}): TickWrite => ({
  insert: true,
  schedule: 1,
  at,
  manual: false,
  fromState: 0,
  state: 0,
  task: null,
  plan: null,
  reason: null,
  message: null,
  doneAt: null,
  ...over,
});
const marked = (at: number, over: Partial<TickWrite> = {}): TickWrite => tick(at, { insert: false, state: 1, doneAt: NOW, ...over });

export const schedulesSuite = (t: SuiteContext): void => {
  const pending = async (schedule?: number): Promise<number[][]> => (await t.store.pendingTicks({ schedule, limit: 100 })).map((p) => [p.schedule, p.at]);

  describe('schedules', () => {
    t.test('are given back as they were written, without their inputs in the list', async () => {
      await t.commit((c) => c.schedules.push(schedule(2, { input: null, nextAt: null, paused: true }), schedule(1)));
      const stored = { id: 1, key: 'k1', definition: '{"a":"ü"}', paused: false, nextAt: NOW + 60, version: 1, createdAt: NOW, updatedAt: NOW };
      assert.deepEqual(await t.store.schedules(), [stored, { ...stored, id: 2, key: 'k2', nextAt: null, paused: true }]);
      assert.deepEqual(await t.store.loadSchedule(1), { ...stored, input: '{"x":1}' });
      assert.equal((await t.store.loadSchedule(2))?.input, null);
      assert.equal(await t.store.loadSchedule(3), null);
    });

    t.test('a key is taken once', async () => {
      await t.commit((c) => c.schedules.push(schedule(1)));
      await failsWith('conflict', () => t.commit((c) => c.schedules.push(schedule(2, { key: 'k1' }))));
    });

    t.test('a change counts the version up; one decided on another version refuses everything (I3)', async () => {
      await t.commit((c) => c.schedules.push(schedule(1), schedule(2)));
      await t.commit((c) => c.scheduleUpdates.push(update(1, 1)));
      const one = await t.store.loadSchedule(1);
      assert.deepEqual([one?.version, one?.nextAt, one?.definition, one?.input, one?.updatedAt], [2, NOW + 120, '{"a":"ü"}', '{"x":1}', NOW]);
      await failsWith('conflict', () => t.commit((c) => c.scheduleUpdates.push(update(2, 1), update(1, 1))));
      assert.equal((await t.store.loadSchedule(2))?.version, 1);
      await t.commit((c) =>
        c.scheduleUpdates.push(update(1, 2, { paused: true, nextAt: null, definition: { definition: '{}', input: null, updatedAt: NOW + 9 } })),
      );
      const changed = await t.store.loadSchedule(1);
      assert.deepEqual([changed?.paused, changed?.nextAt, changed?.definition, changed?.input, changed?.updatedAt], [true, null, '{}', null, NOW + 9]);
    });

    t.test('a removal takes the ticks along, and is decided on a version too', async () => {
      await t.commit((c) => {
        c.schedules.push(schedule(1), schedule(2));
        c.ticks.push(tick(NOW), tick(NOW, { schedule: 2 }));
      });
      await failsWith('conflict', () => t.commit((c) => c.scheduleRemovals.push({ id: 1, fromVersion: 2 })));
      assert.deepEqual(await pending(), [
        [1, NOW],
        [2, NOW],
      ]);
      await t.commit((c) => c.scheduleRemovals.push({ id: 1, fromVersion: 1 }));
      assert.deepEqual(await pending(), [[2, NOW]]);
      assert.equal(await t.store.loadSchedule(1), null);
      await failsWith('conflict', () => t.commit((c) => c.scheduleRemovals.push({ id: 1, fromVersion: 1 })));
    });
  });

  describe('ticks', () => {
    t.test('one time has one tick: a second one refuses everything', async () => {
      await t.commit((c) => c.ticks.push(tick(NOW)));
      await failsWith('conflict', () => t.commit((c) => c.ticks.push(tick(NOW + 1), tick(NOW))));
      assert.deepEqual(await pending(), [[1, NOW]]);
    });

    t.test('it is marked with its task in one commit, once; the second task is not made', async () => {
      await t.commit((c) => c.ticks.push(tick(NOW, { manual: true })));
      await t.commit((c) => {
        c.tasks.push(taskRow(BASE));
        c.ticks.push(marked(NOW, { task: BASE }));
      });
      await failsWith('conflict', () =>
        t.commit((c) => {
          c.tasks.push(taskRow(BASE + 1));
          c.ticks.push(marked(NOW, { task: BASE + 1 }));
        }),
      );
      assert.equal(await t.store.loadTask(BASE + 1), null);
      const stored = { schedule: 1, at: NOW, state: 1, manual: true, task: BASE, plan: null, reason: null, message: null, doneAt: NOW };
      assert.deepEqual(await t.store.loadTick({ schedule: 1, at: NOW }), stored);
      assert.equal(await t.store.loadTick({ schedule: 2, at: NOW }), null);
    });

    t.test('pending ones come earliest first, of one schedule or all, in pages; the others newest first', async () => {
      await t.commit((c) => {
        for (const at of [5, 1, 3]) c.ticks.push(tick(at), tick(at, { schedule: 2 }));
        c.ticks.push(tick(4, { state: 2, reason: 'late', message: 'm', plan: 'p', doneAt: 9 }));
      });
      const all = [
        [1, 1],
        [2, 1],
        [1, 3],
        [2, 3],
        [1, 5],
        [2, 5],
      ];
      assert.deepEqual(await pending(), all);
      const after = (await t.store.pendingTicks({ limit: 3 }))[2];
      assert.deepEqual(
        (await t.store.pendingTicks({ after, limit: 3 })).map((p) => [p.schedule, p.at]),
        all.slice(3),
      );
      assert.deepEqual(await pending(2), [
        [2, 1],
        [2, 3],
        [2, 5],
      ]);
      assert.deepEqual(
        (await t.store.ticks({ schedule: 1, limit: 3 })).map((x) => x.at),
        [5, 4, 3],
      );
      const [skipped] = await t.store.ticks({ schedule: 1, before: 5, limit: 1 });
      assert.deepEqual(skipped, { schedule: 1, at: 4, state: 2, manual: false, task: null, plan: 'p', reason: 'late', message: 'm', doneAt: 9 });
    });

    t.test('tasks of its ticks that have not ended are known', async () => {
      await t.commit((c) => {
        c.tasks.push(taskRow(BASE), taskRow(BASE + 1, { state: 8, completedAt: NOW }), taskRow(BASE + 2));
        c.ticks.push(
          tick(1, { state: 1, task: BASE, doneAt: 1 }),
          tick(2, { state: 1, task: BASE + 1, doneAt: 1 }),
          tick(3, { state: 1, task: BASE + 9, doneAt: 1 }),
        );
        c.ticks.push(tick(1, { schedule: 2, state: 1, task: BASE + 2, doneAt: 1 }));
      });
      assert.deepEqual([await t.store.liveTickTasks(1), await t.store.liveTickTasks(2), await t.store.liveTickTasks(3)], [[BASE], [BASE + 2], []]);
    });

    t.test('pruned to the newest so many, but for those that wait and those whose task lives', async () => {
      await t.commit((c) => {
        c.tasks.push(taskRow(BASE), taskRow(BASE + 1, { state: 8, completedAt: NOW }));
        c.ticks.push(tick(1), tick(2, { state: 1, task: BASE, doneAt: 1 }), tick(3, { state: 1, task: BASE + 1, doneAt: 1 }));
        for (let at = 4; at < 10; at++) c.ticks.push(tick(at, { state: 2, reason: 'late', doneAt: 1 }));
        c.ticks.push(tick(1, { schedule: 2, state: 2, doneAt: 1 }));
      });
      await t.commit((c) => {
        c.ticks.push(tick(10));
        c.tickPrunes.push({ schedule: 1, keep: 3 }, { schedule: 2, keep: 3 });
      });
      assert.deepEqual(
        (await t.store.ticks({ schedule: 1, limit: 100 })).map((x) => x.at),
        [10, 9, 8, 2, 1],
      );
      assert.equal((await t.store.ticks({ schedule: 2, limit: 100 })).length, 1);
    });
  });
};
