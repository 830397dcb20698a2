/** List queries. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { Store } from '../../src/store/store.ts';
import { arrival, BASE, finished, NOW, running, stepWrite, taskRow } from './store-rows.ts';
import { type SuiteContext } from './suite-context.ts';

export const listsSuite = (t: SuiteContext): void => {
  describe('lists', () => {
    const many = async (): Promise<void> => {
      await t.commit((c) => {
        for (let i = 0; i < 30; i++) {
          const state = i % 3 === 0 ? 8 : i % 3 === 1 ? 3 : 0;
          c.tasks.push(
            taskRow(BASE + i, {
              state,
              completedAt: state === 8 ? NOW + i : null,
              template: (i % 2) + 1,
              tags: i % 5 === 0 ? ['five', 'x'] : null,
              meta: i % 4 === 0 ? { initiator: 'ann', sourceSystem: i === 8 ? 'shop' : 'web' } : null,
            }),
          );
        }
      });
    };
    const list = async (q: Partial<Parameters<Store['listTasks']>[0]>): Promise<{ ids: number[]; total: number | null }> => {
      const page = await t.store.listTasks({ limit: 100, countCap: 0, ...q });
      return { ids: page.tasks.map((t) => t.id - BASE), total: page.total };
    };
    const model = (keep: (i: number) => boolean): number[] => Array.from({ length: 30 }, (_, i) => 29 - i).filter(keep);

    t.test('newest first, filtered by each field and by all of them', async () => {
      await many();
      assert.deepEqual(
        (await list({})).ids,
        model(() => true),
      );
      assert.deepEqual(
        (await list({ states: [8] })).ids,
        model((i) => i % 3 === 0),
      );
      assert.deepEqual(
        (await list({ states: [8, 3, 8] })).ids,
        model((i) => i % 3 < 2),
      );
      assert.deepEqual((await list({ states: [] })).ids, []);
      assert.deepEqual(
        (await list({ templates: [2] })).ids,
        model((i) => i % 2 === 1),
      );
      assert.deepEqual(
        (await list({ templates: [2, 1] })).ids,
        model(() => true),
      );
      assert.deepEqual(
        (await list({ templates: Array.from({ length: 40 }, (_, i) => i + 2) })).ids,
        model((i) => i % 2 === 1),
      );
      assert.deepEqual((await list({ templates: [] })).ids, []);
      assert.deepEqual(
        (await list({ initiator: 'ann' })).ids,
        model((i) => i % 4 === 0),
      );
      assert.deepEqual((await list({ sourceSystem: 'shop' })).ids, [8]);
      assert.deepEqual(
        (await list({ tag: 'five' })).ids,
        model((i) => i % 5 === 0),
      );
      assert.deepEqual((await list({ tag: 'fiv' })).ids, []);
      assert.deepEqual(
        (await list({ states: [8, 0], templates: [1], initiator: 'ann', tag: 'x', sourceSystem: 'web' })).ids,
        model((i) => i % 3 !== 1 && i % 20 === 0),
      );
    });

    t.test('keyset pages and offset pages give every task once', async () => {
      await many();
      const q = { states: [8, 3], limit: 4 };
      const keyset: number[] = [];
      for (let beforeId: number | undefined; ; ) {
        const { ids } = await list({ ...q, beforeId });
        if (ids.length === 0) break;
        keyset.push(...ids);
        beforeId = BASE + ids[ids.length - 1];
      }
      assert.deepEqual(
        keyset,
        model((i) => i % 3 < 2),
      );
      const offsets: number[] = [];
      for (let offset = 0; ; offset += 4) {
        const { ids } = await list({ ...q, offset });
        if (ids.length === 0) break;
        offsets.push(...ids);
      }
      assert.deepEqual(offsets, keyset);
    });

    t.test('totals are capped, and count all pages', async () => {
      await many();
      assert.equal((await list({ countCap: 0 })).total, null);
      assert.equal((await list({ countCap: 1000, limit: 2 })).total, 30);
      assert.equal((await list({ countCap: 7 })).total, 7);
      assert.equal((await list({ countCap: 1000, states: [8, 3], limit: 2 })).total, 20);
      assert.equal((await list({ countCap: 1000, templates: [2], beforeId: BASE + 3 })).total, 15);
      assert.equal((await list({ countCap: 1000, initiator: 'ann', states: [8] })).total, 3);
      assert.equal((await list({ countCap: 1000, states: [] })).total, 0);
    });

    t.test('rows of a list are whole', async () => {
      await t.store.commit(arrival(BASE, 3, { tags: ['t'], meta: { initiator: 'i', reason: 'r' } }));
      assert.deepEqual((await t.store.listTasks({ limit: 1, countCap: 0 })).tasks, [await t.store.loadTask(BASE)]);
    });

    t.test('stepCounts: by state, for the tasks asked for', async () => {
      await t.store.commit(arrival(BASE, 4));
      await t.store.commit(arrival(BASE + 1, 2));
      await t.store.commit(arrival(BASE + 2, 2));
      await t.commit((c) => c.steps.push(stepWrite(BASE, 0, running), stepWrite(BASE, 1, running)));
      await t.commit((c) => c.steps.push(stepWrite(BASE, 0, finished)));
      const counts = await t.store.stepCounts([BASE, BASE + 2, BASE + 50]);
      assert.deepEqual(
        [...counts].sort((a, b) => a[0] - b[0]),
        [
          [BASE, [2, 0, 1, 0, 0, 0, 1, 0, 0, 0]],
          [BASE + 2, [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
        ],
      );
      assert.equal((await t.store.stepCounts([])).size, 0);
    });

    t.test('taskStateCounts: twelve numbers', async () => {
      assert.deepEqual(await t.store.taskStateCounts(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
      await many();
      assert.deepEqual(await t.store.taskStateCounts(), [10, 0, 0, 10, 0, 0, 0, 0, 10, 0, 0, 0]);
    });

    t.test('attemptLines: oldest first, of one attempt or of all', async () => {
      await t.store.commit(arrival(BASE));
      const line = (token: number, message: string, level: 'info' | 'error' = 'info') => ({
        task: BASE,
        no: 0,
        token,
        at: NOW,
        level,
        message,
      });
      await t.commit((c) => c.logLines.push(line(1, 'a'), line(1, 'b', 'error')));
      await t.commit((c) => c.logLines.push(line(2, 'd'), line(1, 'c'), { ...line(1, 'z'), no: 1 }));
      const text = async (token?: number, limit = 100): Promise<string> =>
        (await t.store.attemptLines({ task: BASE, no: 0, token, limit })).map((l) => l.message).join('');
      assert.equal(await text(), 'abcd');
      assert.equal(await text(1), 'abc');
      assert.equal(await text(1, 2), 'ab');
      assert.equal(await text(3), '');
      assert.deepEqual((await t.store.attemptLines({ task: BASE, no: 0, token: 1, limit: 2 }))[1], {
        no: 0,
        token: 1,
        at: NOW,
        level: 'error',
        message: 'b',
      });
    });

    t.test('expired: by age, by count, never one with an open dead letter', async () => {
      await t.commit((c) => {
        for (let i = 0; i < 10; i++) c.tasks.push(taskRow(BASE + i, i < 8 ? { state: 8 + (i % 4), completedAt: NOW + i } : {}));
        c.deadLetters.push({ task: BASE + 1, at: NOW, reason: 'max_retries_exceeded', snapshot: '{}' });
      });
      const expired = async (before: number, keep: number, limit = 100): Promise<number[]> =>
        (await t.store.expired({ before, keep, limit })).map((id) => id - BASE);
      assert.deepEqual(await expired(NOW, 100), []);
      assert.deepEqual(await expired(NOW + 3, 100), [0, 2]);
      assert.deepEqual(await expired(NOW, 5), [0, 2]);
      assert.deepEqual(await expired(NOW + 5, 5), [0, 2, 3, 4]);
      assert.deepEqual(await expired(NOW, 0), [0, 2, 3, 4, 5, 6, 7]);
      assert.deepEqual(await expired(NOW + 99, 100, 2), [0, 2]);
    });

    t.test('lists see what was just committed', async () => {
      for (let i = 0; i < 20; i++) {
        await t.store.commit(arrival(BASE + i));
        assert.equal((await list({ countCap: 100 })).total, i + 1);
      }
    });
  });
};
