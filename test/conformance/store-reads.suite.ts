/** Hot reads, templates, and a store's life. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LARGE_TASK, StoreFailure, type StoredGraph } from '../../src/store/store.ts';
import { arrival, BASE, NOW, running, stepWrite, taskRow } from './store-rows.ts';
import { failsWith, type SuiteContext } from './suite-context.ts';

export const readsSuite = (t: SuiteContext): void => {
  describe('reads', () => {
    t.test('loadGraphs: many at once, unknown ones left out, steps ordered', async () => {
      for (const id of [BASE + 5, BASE + 1, BASE + 3]) await t.store.commit(arrival(id, 12));
      await t.commit((c) => c.tasks.push(taskRow(BASE + 4, { totalSteps: 0 })));
      const graphs = await t.store.loadGraphs([BASE + 3, BASE + 2, BASE + 1, BASE + 4, BASE + 77]);
      const byId = new Map(graphs.map((g) => [g.task.id, g]));
      assert.deepEqual(
        [...byId.keys()].sort((a, b) => a - b),
        [BASE + 1, BASE + 3, BASE + 4],
      );
      assert.deepEqual(
        byId.get(BASE + 3)?.steps.map((s) => s.no),
        Array.from({ length: 12 }, (_, i) => i),
      );
      assert.ok(byId.get(BASE + 3)?.steps.every((s) => s.task === BASE + 3));
      assert.deepEqual(byId.get(BASE + 4)?.steps, []);
      assert.deepEqual(await t.store.loadGraphs([]), []);
      assert.deepEqual(await t.store.loadGraphs([BASE + 2]), []);
    });

    t.test('loadGraphs: a large task comes without its steps, alone and among small ones', async () => {
      await t.commit((c) => c.tasks.push(taskRow(BASE + 1, { totalSteps: LARGE_TASK + 1 })));
      await t.store.commit(arrival(BASE + 2, 3));
      await t.commit((c) => {
        for (let no = 0; no <= LARGE_TASK; no++) c.steps.push(stepWrite(BASE + 1, no, { insert: true }));
      });
      const counts = (graphs: StoredGraph[]): [number, number][] => graphs.map((g) => [g.task.id, g.steps.length]);
      assert.deepEqual(counts(await t.store.loadGraphs([BASE + 1, BASE + 2])), [
        [BASE + 1, 0],
        [BASE + 2, 3],
      ]);
      assert.deepEqual(counts(await t.store.loadGraphs([BASE + 1])), [[BASE + 1, 0]]);
    });

    t.test('loadSteps pages through a task', async () => {
      await t.store.commit(arrival(BASE, 7));
      await t.store.commit(arrival(BASE + 1, 2));
      const seen: number[] = [];
      for (let after = -1; ; ) {
        const page = await t.store.loadSteps({ task: BASE, after, limit: 3 });
        if (page.length === 0) break;
        assert.ok(page.length <= 3);
        seen.push(...page.map((s) => s.no));
        after = page[page.length - 1].no;
      }
      assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6]);
    });

    t.test('taskIds: by states, ascending, in pages', async () => {
      const states = [0, 3, 7, 8, 3, 0, 9, 3];
      await t.commit((c) => states.forEach((state, i) => c.tasks.push(taskRow(BASE + i, { state, completedAt: state >= 8 ? NOW : null }))));
      const ids = async (of: number[], after: number, limit: number): Promise<number[]> =>
        (await t.store.taskIds({ states: of, after, limit })).map((id) => id - BASE);
      assert.deepEqual(await ids([3], 0, 10), [1, 4, 7]);
      assert.deepEqual(await ids([3, 0, 3], 0, 10), [0, 1, 4, 5, 7]);
      assert.deepEqual(await ids([0, 3], BASE + 1, 2), [4, 5]);
      assert.deepEqual(await ids([11], 0, 10), []);
      assert.deepEqual(await ids([], 0, 10), []);
      assert.deepEqual(await ids([0, 1, 2, 3, 4, 5, 6, 7], 0, 3), [0, 1, 2]);
    });

    t.test('readySteps: lowest rank first, ties by task and number, in pages', async () => {
      await t.commit((c) => {
        for (let t = 0; t < 3; t++) {
          c.tasks.push(taskRow(BASE + t));
          for (let n = 0; n < 4; n++) c.steps.push(stepWrite(BASE + t, n, { insert: true, state: n === 3 ? 0 : 1, rank: n === 3 ? null : (n * 7 + t) % 3 }));
        }
      });
      const all = await t.store.readySteps({ limit: 100 });
      assert.equal(all.length, 9);
      const sorted = [...all].sort((a, b) => a.rank - b.rank || a.task - b.task || a.no - b.no);
      assert.deepEqual(all, sorted);
      const paged: typeof all = [];
      for (;;) {
        const page = await t.store.readySteps({ limit: 2, after: paged[paged.length - 1] });
        if (page.length === 0) break;
        paged.push(...page);
      }
      assert.deepEqual(paged, all);
      await t.commit((c) => c.steps.push(stepWrite(all[0].task, all[0].no, { ...running, fromState: 1 })));
      assert.deepEqual(await t.store.readySteps({ limit: 100 }), all.slice(1));
    });

    t.test('due: steps and tasks, earliest first, the bound included', async () => {
      await t.commit((c) => {
        c.tasks.push(taskRow(BASE, { wakeAt: NOW + 20 }), taskRow(BASE + 1, { wakeAt: NOW + 5 }), taskRow(BASE + 2));
        c.steps.push(
          stepWrite(BASE, 0, { insert: true, state: 4, wakeAt: NOW + 10 }),
          stepWrite(BASE, 1, { insert: true, state: 4, wakeAt: NOW + 30 }),
          stepWrite(BASE + 2, 0, { insert: true, state: 4, wakeAt: NOW + 1 }),
          stepWrite(BASE + 2, 1, { insert: true }),
        );
      });
      const due = async (until: number, limit = 100): Promise<number[][]> =>
        (await t.store.due({ until, limit })).map((d) => [d.task - BASE, d.no, d.at - NOW]);
      assert.deepEqual(await due(NOW + 20), [
        [2, 0, 1],
        [1, -1, 5],
        [0, 0, 10],
        [0, -1, 20],
      ]);
      assert.deepEqual(await due(NOW + 19), [
        [2, 0, 1],
        [1, -1, 5],
        [0, 0, 10],
      ]);
      assert.deepEqual(await due(NOW + 99, 2), [
        [2, 0, 1],
        [1, -1, 5],
      ]);
      assert.deepEqual(await due(NOW), []);
      await t.commit((c) => c.steps.push(stepWrite(BASE + 2, 0, { ...running, fromState: 4 })));
      assert.deepEqual(await due(NOW + 5), [[1, -1, 5]]);
    });

    t.test('payloads: in the order asked, null where none, repeats allowed', async () => {
      await t.store.commit(arrival(BASE));
      await t.commit((c) => c.payloads.push({ task: BASE, no: 0, token: 1, body: '"one"' }, { task: BASE, no: 0, token: 2, body: '"two"' }));
      const keys = [
        { task: BASE, no: 0, token: 2 },
        { task: BASE, no: 1, token: 1 },
        { task: BASE, no: -1, token: 0 },
        { task: BASE, no: 0, token: 1 },
        { task: BASE, no: 0, token: 2 },
      ];
      assert.deepEqual(await t.store.payloads(keys), ['"two"', null, '{"input":0}', '"one"', '"two"']);
      assert.deepEqual(await t.store.payloads([]), []);
    });

    t.test('checkpoint: the last one stands', async () => {
      await t.store.commit(arrival(BASE));
      assert.equal(await t.store.checkpoint({ task: BASE, no: 0 }), null);
      await t.commit((c) => c.checkpoints.push({ task: BASE, no: 0, token: 1, at: NOW, body: '1' }, { task: BASE, no: 1, token: 1, at: NOW, body: '"other"' }));
      await t.commit((c) => c.checkpoints.push({ task: BASE, no: 0, token: 2, at: NOW + 1, body: '2' }));
      assert.deepEqual(await t.store.checkpoint({ task: BASE, no: 0 }), { token: 2, at: NOW + 1, body: '2' });
      assert.deepEqual(await t.store.checkpoint({ task: BASE, no: 1 }), { token: 1, at: NOW, body: '"other"' });
    });

    t.test('log: rows that hold later events, ascending', async () => {
      await t.commit((c) => {
        c.tasks.push(taskRow(BASE), taskRow(BASE + 1));
        c.log.push({ task: BASE, seq: 1, count: 3, at: NOW, body: 'a' }, { task: BASE + 1, seq: 1, count: 1, at: NOW, body: 'x' });
      });
      await t.commit((c) => c.log.push({ task: BASE, seq: 4, count: 1, at: NOW + 1, body: 'b' }));
      await t.commit((c) => c.log.push({ task: BASE, seq: 5, count: 2, at: NOW + 2, body: 'c' }));
      const bodies = async (after: number, limit = 10): Promise<string> => (await t.store.log({ task: BASE, after, limit })).map((l) => l.body).join('');
      const expected: [after: number, bodies: string][] = [
        [0, 'abc'],
        [1, 'abc'],
        [2, 'abc'],
        [3, 'bc'],
        [4, 'c'],
        [5, 'c'],
        [6, ''],
        [99, ''],
      ];
      for (const [after, text] of expected) assert.equal(await bodies(after), text, `after ${after}`);
      assert.equal(await bodies(0, 2), 'ab');
      assert.deepEqual(await t.store.log({ task: BASE, after: 4, limit: 1 }), [{ task: BASE, seq: 5, count: 2, at: NOW + 2, body: 'c' }]);
      assert.equal((await t.store.loadTask(BASE))?.nextSeq, 7);
      assert.equal((await t.store.loadGraphs([BASE]))[0].task.nextSeq, 7);
      assert.equal((await t.store.loadTask(BASE + 1))?.nextSeq, 2);
    });
  });

  describe('templates', () => {
    const template = {
      namespace: 'orders',
      name: 'fulfil',
      version: '1.0.0',
      revision: 1,
      hash: 'h1',
      definition: '{"steps":[]}',
      createdAt: NOW,
    };

    t.test('putting the same definition again gives the same row', async () => {
      const first = await t.store.putTemplate(template);
      assert.deepEqual(first, { ...template, id: first.id });
      assert.ok(Number.isInteger(first.id));
      assert.deepEqual(await t.store.putTemplate({ ...template, createdAt: NOW + 9, revision: 5 }), first);
      assert.deepEqual(await t.store.templates(), [first]);
    });

    t.test('versions, namespaces and revisions live side by side', async () => {
      const rows = [
        await t.store.putTemplate(template),
        await t.store.putTemplate({ ...template, version: '1.0.1' }),
        await t.store.putTemplate({ ...template, namespace: 'other' }),
        await t.store.putTemplate({ ...template, hash: 'h2', revision: 2, definition: '{}' }),
      ];
      assert.equal(new Set(rows.map((r) => r.id)).size, 4);
      assert.deepEqual(await t.store.templates(), rows);
    });

    t.test('another definition under a taken revision is a conflict', async () => {
      const row = await t.store.putTemplate(template);
      await failsWith('conflict', () => t.store.putTemplate({ ...template, hash: 'h2' }));
      assert.deepEqual(await t.store.templates(), [row]);
    });
  });

  describe('life', () => {
    t.test('reopen keeps data and serves on', async () => {
      await t.store.commit(arrival(BASE));
      const before = await t.store.loadGraphs([BASE]);
      await t.store.reopen();
      assert.deepEqual(await t.store.loadGraphs([BASE]), before);
      await t.commit((c) => c.steps.push(stepWrite(BASE, 0, running)));
      assert.equal((await t.steps(BASE))[0].state, 2);
      assert.equal((await t.store.listTasks({ limit: 5, countCap: 0 })).tasks.length, 1);
    });

    t.test('data, tag and templates survive close', async () => {
      if (t.opened.again === undefined) return;
      const { tag } = t.store;
      const template = await t.store.putTemplate({
        namespace: 'a',
        name: 'b',
        version: '1',
        revision: 1,
        hash: 'h',
        definition: '{}',
        createdAt: NOW,
      });
      await t.store.commit(arrival(BASE));
      await t.commit((c) => c.steps.push(stepWrite(BASE, 0, running)));
      const before = await t.store.loadGraphs([BASE]);
      t.store = await t.opened.again();
      assert.equal(t.store.tag, tag);
      assert.deepEqual(await t.store.templates(), [template]);
      assert.deepEqual(await t.store.loadGraphs([BASE]), before);
      assert.equal((await t.store.log({ task: BASE, after: 0, limit: 10 })).length, 1);
    });

    t.test('health says that it can write', async () => {
      const health = await t.store.health();
      assert.equal(health.writable, true);
      assert.ok(health.bytes >= 0);
    });

    t.test('a closed store refuses, and closing twice is no error', async () => {
      await t.store.close();
      await t.store.close();
      await assert.rejects(async () => t.store.commit(arrival(BASE)), StoreFailure);
      await assert.rejects(async () => t.store.loadTask(BASE), StoreFailure);
      await assert.rejects(async () => t.store.listTasks({ limit: 1, countCap: 0 }), StoreFailure);
      assert.equal((await t.store.health()).writable, false);
    });

    t.test('tag is an integer below 2^38, description says something', async () => {
      assert.ok(Number.isInteger(t.store.tag) && t.store.tag >= 0 && t.store.tag < 2 ** 38);
      assert.ok(t.store.description.length > 0);
    });
  });
};
