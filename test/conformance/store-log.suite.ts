/** The log of all tasks: its order, its pages, what is left after removals. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOG_PAGE_CHARS, type StoredLogEntry } from '../../src/store/store.ts';
import { arrival, BASE, NOW, taskRow } from './store-rows.ts';
import type { SuiteContext } from './suite-context.ts';

export const logSuite = (t: SuiteContext): void => {
  const bodies = (rows: readonly StoredLogEntry[]): string => rows.map((r) => r.body).join('');
  /** One commit with one row per letter; a capital letter belongs to the first task, any other to the second. */
  const write = async (letters: string, from: Record<number, number>): Promise<void> =>
    await t.commit((c) => {
      for (const body of letters) {
        const task = body < 'a' ? BASE : BASE + 1;
        from[task] = (from[task] ?? 0) + 1;
        c.log.push({ task, seq: from[task], count: 1, at: NOW, body });
      }
    });
  const twoTasks = async (): Promise<void> => await t.commit((c) => c.tasks.push(taskRow(BASE, { template: 4 }), taskRow(BASE + 1, { template: null })));

  describe('the log of all tasks', () => {
    t.test('logAll: rows of all tasks in the order they were written, in pages, ids rising', async () => {
      await twoTasks();
      const seq = {};
      await write('AaB', seq);
      await write('b', seq);
      await write('Cc', seq);
      const all = await t.store.logAll({ after: 0, limit: 100 });
      assert.equal(bodies(all), 'AaBbCc');
      assert.ok(all.every((r, i) => i === 0 || r.id > all[i - 1].id));
      assert.deepEqual(all[2], { id: all[2].id, task: BASE, seq: 2, count: 1, at: NOW, body: 'B', template: 4 });
      assert.equal(all[1].template, null);
      const paged: StoredLogEntry[] = [];
      for (;;) {
        const page = await t.store.logAll({ after: paged.at(-1)?.id ?? 0, limit: 4 });
        if (page.length === 0) break;
        paged.push(...page);
      }
      assert.deepEqual(paged, all);
      assert.deepEqual(await t.store.logAll({ after: all[5].id, limit: 4 }), []);
    });

    t.test('logAll: of one task', async () => {
      await twoTasks();
      await write('AaBbCc', {});
      const all = await t.store.logAll({ after: 0, limit: 100 });
      assert.equal(bodies(await t.store.logAll({ after: 0, limit: 100, task: BASE })), 'ABC');
      assert.equal(bodies(await t.store.logAll({ after: all[0].id, limit: 1, task: BASE })), 'B');
      assert.equal(bodies(await t.store.logAll({ after: all[1].id, limit: 9, task: BASE })), 'BC');
      assert.equal(bodies(await t.store.logAll({ after: 0, limit: 9, task: BASE + 7 })), '');
    });

    t.test('logAll: of one task, from anywhere in a long log', async () => {
      await twoTasks();
      const seq = {};
      for (let i = 0; i < 12; i++) await write(`${'a'.repeat(300)}B`, seq);
      const all = await t.store.logAll({ after: 0, limit: 4000 });
      for (const at of [0, 100, 300, 301, 2000, 3611]) {
        const rows = await t.store.logAll({ after: at === 0 ? 0 : all[at - 1].id, limit: 3, task: BASE });
        assert.deepEqual(rows, all.filter((r, i) => i >= at && r.task === BASE).slice(0, 3), `after ${at}`);
      }
    });

    t.test('logAll: a page ends at its size, and a row beyond it comes alone', async () => {
      await t.commit((c) => c.tasks.push(taskRow(BASE)));
      const sizes = [10, LOG_PAGE_CHARS - 20, 10, 1, LOG_PAGE_CHARS + 5, 3];
      for (const [i, n] of sizes.entries()) await t.commit((c) => c.log.push({ task: BASE, seq: i + 1, count: 1, at: NOW, body: 'x'.repeat(n) }));
      const pages: number[][] = [];
      for (let after = 0; ; ) {
        const page = await t.store.logAll({ after, limit: 100 });
        if (page.length === 0) break;
        pages.push(page.map((r) => r.body.length));
        after = page[page.length - 1].id;
      }
      assert.deepEqual(pages, [[10, LOG_PAGE_CHARS - 20, 10], [1], [LOG_PAGE_CHARS + 5], [3]]);
    });

    t.test('logBounds: the end, and the highest row that was removed; ids are not given again, not even after a restart', async () => {
      assert.deepEqual(await t.store.logBounds(), { highest: 0, removed: 0 });
      for (let i = 0; i < 4; i++) await t.store.commit(arrival(BASE + i));
      const [, second, third, last] = await t.store.logAll({ after: 0, limit: 10 });
      assert.deepEqual(await t.store.logBounds(), { highest: last.id, removed: 0 });
      await t.commit((c) => c.removals.push(BASE + 2));
      assert.deepEqual(await t.store.logBounds(), { highest: last.id, removed: third.id });
      // What lies below the mark does not move it back.
      await t.commit((c) => c.removals.push(BASE + 1));
      assert.deepEqual(await t.store.logBounds(), { highest: last.id, removed: third.id });
      assert.ok((await t.store.logAll({ after: 0, limit: 10 })).every((r) => r.id !== second.id && r.id !== third.id));
      await t.commit((c) => c.removals.push(BASE + 3));
      assert.deepEqual(await t.store.logBounds(), { highest: last.id, removed: last.id });
      if (t.opened.again !== undefined) t.store = await t.opened.again();
      assert.deepEqual(await t.store.logBounds(), { highest: last.id, removed: last.id });
      await t.store.commit(arrival(BASE + 9));
      assert.ok((await t.store.logBounds()).highest > last.id);
      assert.equal((await t.store.logAll({ after: last.id, limit: 10 })).length, 1);
    });

    t.test('logBounds: a removal of tasks without rows moves nothing', async () => {
      await t.store.commit(arrival(BASE));
      await t.commit((c) => c.tasks.push(taskRow(BASE + 1)));
      const { highest } = await t.store.logBounds();
      await t.commit((c) => c.removals.push(BASE + 1, BASE + 77));
      assert.deepEqual(await t.store.logBounds(), { highest, removed: 0 });
    });
  });
};
