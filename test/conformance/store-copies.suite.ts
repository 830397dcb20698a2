/** What reset and copies ask of a store: closed dead letters, copied payloads, links. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { arrival, BASE, NOW, running, stepWrite, taskRow } from './store-rows.ts';
import { failsWith, type SuiteContext } from './suite-context.ts';

export const copiesSuite = (t: SuiteContext): void => {
  const expired = async (): Promise<number[]> => (await t.store.expired({ before: NOW + 99, keep: 0, limit: 10 })).map((id) => id - BASE);
  const bodies = async (...keys: [no: number, token: number][]): Promise<(string | null)[]> =>
    await t.store.payloads(keys.map(([no, token]) => ({ task: BASE + 1, no, token })));

  describe('dead letters are closed', () => {
    t.test('a closed one holds back nobody; a further one of the same commit is open', async () => {
      await t.store.commit(arrival(BASE, 1, { state: 9, completedAt: NOW }));
      await t.commit((c) => c.deadLetters.push({ task: BASE, at: NOW, reason: 'a', snapshot: '{}' }));
      await t.commit((c) => c.deadLetterClosings.push({ task: BASE, at: NOW + 1, resolution: 'reset' }));
      assert.deepEqual(await expired(), [0]);
      await t.commit((c) => {
        c.deadLetters.push({ task: BASE, at: NOW + 2, reason: 'b', snapshot: '{}' });
        c.deadLetterClosings.push({ task: BASE, at: NOW + 2, resolution: 'reset' });
      });
      assert.deepEqual(await expired(), []);
    });

    t.test('none that is open: nothing happens', async () => {
      await t.store.commit(arrival(BASE, 1, { state: 9, completedAt: NOW }));
      await t.commit((c) => c.deadLetterClosings.push({ task: BASE, at: NOW, resolution: 'reset' }));
      assert.deepEqual(await expired(), [0]);
    });
  });

  describe('a task that ended lives again', () => {
    t.test('its row loses time, counts and error, its steps what they ended with', async () => {
      await t.store.commit(arrival(BASE, 1));
      await t.commit((c) => c.steps.push(stepWrite(BASE, 0, running)));
      await t.commit((c) => {
        c.steps.push(stepWrite(BASE, 0, { ...running, fromToken: 1, fromState: 2, state: 7, owner: null, error: '{}', finishedAt: NOW + 1 }));
        c.taskUpdates.push({
          id: BASE,
          fromState: 3,
          state: 9,
          completedAt: NOW + 1,
          wakeAt: null,
          counts: { complete: 0, error: 1, cancelled: 0, resolved: 0 },
          error: '{}',
        });
      });
      await t.commit((c) => {
        c.steps.push(stepWrite(BASE, 0, { fromToken: 1, fromState: 7, token: 1, finishedAt: NOW + 2 }));
        c.taskUpdates.push({ id: BASE, fromState: 9, state: 3, completedAt: null, wakeAt: NOW + 9, counts: null, error: null });
      });
      const task = await t.store.loadTask(BASE);
      assert.deepEqual([task?.state, task?.completedAt, task?.counts, task?.error, task?.wakeAt], [3, null, null, null, NOW + 9]);
      const [step] = await t.steps(BASE);
      assert.deepEqual([step.state, step.token, step.attempts, step.error, step.resultToken], [0, 1, 0, null, 0]);
    });
  });

  describe('payloads are copied', () => {
    t.test('results and inputs as they are; inputs of a step without its own are those of its task', async () => {
      await t.store.commit(arrival(BASE, 2));
      await t.commit((c) => {
        c.payloads.push({ task: BASE, no: 0, token: 0, body: '"own"' }, { task: BASE, no: 0, token: 3, body: '"résult ü"' });
        c.tasks.push(taskRow(BASE + 1));
      });
      await t.commit((c) => {
        c.payloadCopies.push(
          { task: BASE + 1, no: 5, token: 0, fromTask: BASE, fromNo: 0, fromToken: 0 },
          { task: BASE + 1, no: 5, token: 9, fromTask: BASE, fromNo: 0, fromToken: 3 },
          { task: BASE + 1, no: 6, token: 0, fromTask: BASE, fromNo: 1, fromToken: 0 },
        );
      });
      assert.deepEqual(await bodies([5, 0], [5, 9], [6, 0]), ['"own"', '"résult ü"', '{"input":0}']);
      await t.commit((c) => c.removals.push(BASE));
      assert.deepEqual(await bodies([5, 9]), ['"résult ü"'], 'the copy is its own');
    });

    t.test('of the same commit, too', async () => {
      await t.commit((c) => {
        c.tasks.push(taskRow(BASE), taskRow(BASE + 1));
        c.payloads.push({ task: BASE, no: 0, token: 1, body: '1' });
        c.payloadCopies.push({ task: BASE + 1, no: 0, token: 1, fromTask: BASE, fromNo: 0, fromToken: 1 });
      });
      assert.deepEqual(await bodies([0, 1]), ['1']);
    });

    t.test('what is not there, or is there already, refuses everything', async () => {
      await t.store.commit(arrival(BASE, 1));
      await failsWith('invalid', () =>
        t.commit((c) => {
          c.tasks.push(taskRow(BASE + 1));
          c.payloadCopies.push({ task: BASE + 1, no: 0, token: 1, fromTask: BASE, fromNo: 0, fromToken: 1 });
        }),
      );
      await t.store.reopen();
      assert.equal(await t.store.loadTask(BASE + 1), null);
      await failsWith('conflict', () => t.commit((c) => c.payloadCopies.push({ task: BASE, no: -1, token: 0, fromTask: BASE, fromNo: 0, fromToken: 0 })));
    });
  });

  describe('links', () => {
    t.test('who is linked to is known until the last link has gone, and is not expired meanwhile', async () => {
      await t.commit((c) => {
        for (let i = 0; i < 3; i++) c.tasks.push(taskRow(BASE + i, i < 2 ? { state: 8, completedAt: NOW + i } : {}));
        c.links.push(
          { task: BASE + 1, no: 0, toTask: BASE, toNo: 0 },
          { task: BASE + 1, no: 1, toTask: BASE, toNo: 1 },
          { task: BASE + 2, no: 0, toTask: BASE, toNo: 0 },
        );
      });
      assert.deepEqual(await t.store.linkedTasks([BASE, BASE + 1, BASE + 2]), [BASE]);
      assert.deepEqual(await expired(), [1]);
      await t.commit((c) => c.removals.push(BASE + 1));
      assert.deepEqual(await t.store.linkedTasks([BASE]), [BASE]);
      await t.commit((c) => c.removals.push(BASE + 2));
      assert.deepEqual(await t.store.linkedTasks([BASE]), []);
      assert.deepEqual(await expired(), [0]);
    });

    t.test('an archive never expires; what was copied does', async () => {
      await t.commit((c) => {
        c.tasks.push(taskRow(BASE, { state: 8, completedAt: NOW, meta: { origin: { type: 'archive', task: 1 } } }));
        c.tasks.push(taskRow(BASE + 1, { state: 8, completedAt: NOW, meta: { origin: { type: 'copy', task: 1 } } }));
      });
      assert.deepEqual(await expired(), [1]);
      assert.deepEqual((await t.store.loadTask(BASE))?.meta, { origin: { type: 'archive', task: 1 } });
    });
  });
};
