/** What a commit writes, and that it writes all or nothing. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import fc from 'fast-check';
import type { ChangeSet, StepWrite } from '../../src/core/changes.ts';
import { arrival, BASE, finished, NOW, running, stepWrite, storedOf, taskRow } from './store-rows.ts';
import { failsWith, type SuiteContext } from './suite-context.ts';

export const commitSuite = (t: SuiteContext): void => {
  describe('commit', () => {
    t.test('a task comes back as it was written', async () => {
      const row = taskRow(BASE + 1, {
        template: 7,
        state: 9,
        priority: 0,
        policy: 'block',
        completedAt: NOW + 9,
        wakeAt: NOW + 60_000,
        totalSteps: 4,
        counts: { complete: 1, error: 2, cancelled: 1, resolved: 0 },
        error: '{"code":"handler_error"}',
        tags: ['a', 'ü"\\', ''],
        meta: {
          initiator: 'me',
          sourceSystem: 'shop',
          reason: 'why',
          correlationId: 'c1',
          parentCorrelationId: 'p1',
          options: { deep: [1, null] },
        },
      });
      await t.commit((c) => c.tasks.push(row));
      assert.deepEqual(await t.store.loadTask(row.id), { ...row, nextSeq: 1, reopening: null });
    });

    t.test('absent fields of a task stay absent', async () => {
      const rows = [taskRow(BASE + 1, { template: null }), taskRow(BASE + 2, { meta: {}, tags: [] }), taskRow(BASE + 3, { meta: { initiator: 'x' } })];
      await t.commit((c) => c.tasks.push(...rows));
      for (const row of rows) assert.deepEqual(await t.store.loadTask(row.id), { ...row, nextSeq: 1, reopening: null });
      assert.equal(await t.store.loadTask(BASE + 4), null);
    });

    t.test('every policy comes back', async () => {
      for (const [i, policy] of (['fail', 'fail_fast', 'block', 'record'] as const).entries()) {
        await t.commit((c) => c.tasks.push(taskRow(BASE + i, { policy })));
        assert.equal((await t.store.loadTask(BASE + i))?.policy, policy);
      }
    });

    t.test('steps come back as they were written, in order', async () => {
      const rows = [
        stepWrite(BASE, 2, { insert: true }),
        stepWrite(BASE, 0, { insert: true, ...running, phase: 1, rank: 5, wakeAt: NOW + 1 }),
        stepWrite(BASE, 1, {
          insert: true,
          state: 8,
          token: 3,
          attempts: 2,
          finishedAt: NOW + 3,
          reason: 0,
          error: '{"code":"x"}',
          resultToken: 2,
        }),
        stepWrite(BASE, 3, { insert: true, state: 1, rank: 12 }),
      ];
      await t.commit((c) => {
        c.tasks.push(taskRow(BASE, { totalSteps: 4 }));
        c.steps.push(...rows);
      });
      assert.deepEqual(
        await t.steps(BASE),
        rows.map(storedOf).sort((a, b) => a.no - b.no),
      );
    });

    t.test('an update replaces every column, whatever stood there', async () => {
      const some = fc.option(fc.integer({ min: 0, max: NOW }), { nil: null });
      const shape = fc.record({
        state: fc.integer({ min: 0, max: 9 }),
        token: fc.integer({ min: 3, max: 9 }),
        attempts: fc.nat(5),
        phase: fc.nat(2),
        owner: some,
        rank: some,
        wakeAt: some,
        startedAt: some,
        firstStartedAt: some,
        finishedAt: some,
        reason: fc.option(fc.nat(9), { nil: null }),
        error: fc.option(fc.string(), { nil: null }),
        resultToken: fc.nat(3),
      });
      // The rows a store may have fast ways for, and rows that differ from them in one column: each written onto each.
      const hot = fc.constantFrom(stepWrite(0, 0), stepWrite(0, 0, { ...running, token: 4 }), stepWrite(0, 0, { ...finished, token: 4, resultToken: 4 }));
      const near = fc
        .tuple(
          hot,
          shape,
          fc.constantFrom<keyof StepWrite>(
            'state',
            'token',
            'attempts',
            'phase',
            'owner',
            'rank',
            'wakeAt',
            'startedAt',
            'firstStartedAt',
            'finishedAt',
            'reason',
            'error',
            'resultToken',
          ),
        )
        .map(([row, other, column]) => ({ ...row, [column]: other[column as keyof typeof other] }));
      const step = fc.oneof(hot, { arbitrary: near, weight: 3 }, shape).map((s) => ({ ...s, resultToken: Math.min(s.resultToken, s.token) }));
      let next = BASE;
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(step, step), { minLength: 20, maxLength: 40 }), async (pairs) => {
          const id = next++;
          const first = pairs.map(([before], no) => stepWrite(id, no, { ...before, insert: true, task: id, no }));
          const second = pairs.map(([before, after], no) =>
            stepWrite(id, no, { ...after, insert: false, task: id, no, fromToken: before.token, fromState: before.state }),
          );
          await t.commit((c) => {
            c.tasks.push(taskRow(id));
            c.steps.push(...first);
          });
          assert.deepEqual(await t.steps(id), first.map(storedOf));
          await t.commit((c) => c.steps.push(...second));
          assert.deepEqual(await t.steps(id), second.map(storedOf));
        }),
        { numRuns: 60 },
      );
    });

    t.test('a turn of many rows of every kind is written whole', async () => {
      const ids = Array.from({ length: 21 }, (_, i) => BASE + i);
      await t.commit((c) => {
        for (const id of ids) {
          const a = arrival(id, 5);
          c.tasks.push(...a.tasks);
          c.steps.push(...a.steps);
          c.payloads.push(...a.payloads);
          c.log.push(...a.log);
        }
      });
      await t.commit((c) => {
        for (const id of ids) {
          c.steps.push(stepWrite(id, 0, running), stepWrite(id, 1, running));
          c.log.push({ task: id, seq: 3, count: 2, at: NOW, body: '[]' });
        }
      });
      await t.commit((c) => {
        for (const id of ids) {
          c.steps.push(stepWrite(id, 0, finished), stepWrite(id, 2, running));
          c.payloads.push({ task: id, no: 0, token: 1, body: `"${id}"` });
          c.log.push({ task: id, seq: 5, count: 1, at: NOW, body: '[]' });
        }
      });
      const graphs = await t.store.loadGraphs(ids);
      assert.equal(graphs.length, ids.length);
      for (const g of graphs) {
        assert.deepEqual(
          g.steps.map((s) => s.state),
          [6, 2, 2, 0, 0],
        );
        assert.equal(g.task.nextSeq, 6);
      }
      assert.deepEqual(
        await t.store.payloads(ids.map((task) => ({ task, no: 0, token: 1 }))),
        ids.map((id) => `"${id}"`),
      );
    });

    t.test('batches of 1 to 20 rows lose none', async () => {
      for (let n = 1; n <= 20; n++) {
        const id = BASE + n;
        await t.store.commit(arrival(id, n));
        await t.commit((c) => {
          for (let i = 0; i < n; i++) c.payloads.push({ task: id, no: i, token: 1, body: `${i}` });
          for (let i = 0; i < n; i++) c.log.push({ task: id, seq: 3 + i, count: 1, at: NOW, body: `${i}` });
        });
        assert.equal((await t.steps(id)).length, n);
        assert.deepEqual(
          await t.store.payloads(Array.from({ length: n }, (_, i) => ({ task: id, no: i, token: 1 }))),
          Array.from({ length: n }, (_, i) => `${i}`),
        );
        assert.equal((await t.store.log({ task: id, after: 2, limit: 100 })).length, n);
      }
    });

    t.test('an empty turn is no error', async () => {
      await t.commit(() => {});
    });

    t.test('a task update writes its columns and no other', async () => {
      const row = taskRow(BASE, { wakeAt: NOW + 5, tags: ['t'], meta: { initiator: 'me' }, policy: 'record' });
      await t.commit((c) => c.tasks.push(row));
      const counts = { complete: 3, error: 0, cancelled: 0, resolved: 0 };
      await t.commit((c) => c.taskUpdates.push({ id: BASE, fromState: 3, state: 8, completedAt: NOW + 7, wakeAt: null, counts, error: null }));
      assert.deepEqual(await t.store.loadTask(BASE), { ...row, state: 8, completedAt: NOW + 7, wakeAt: null, counts, nextSeq: 1, reopening: null });
      await t.commit((c) => c.taskUpdates.push({ id: BASE, fromState: 8, state: 0, completedAt: null, wakeAt: NOW + 8, counts: null, error: '{}' }));
      assert.deepEqual(await t.store.loadTask(BASE), { ...row, state: 0, completedAt: null, wakeAt: NOW + 8, error: '{}', nextSeq: 1, reopening: null });
    });

    t.test('a patch changes what it names', async () => {
      const row = taskRow(BASE, { tags: ['old'] });
      await t.commit((c) => c.tasks.push(row));
      await t.commit((c) => c.taskPatches.push({ id: BASE, priority: 0 }));
      assert.deepEqual(await t.store.loadTask(BASE), { ...row, priority: 0, nextSeq: 1, reopening: null });
      await t.commit((c) => c.taskPatches.push({ id: BASE, tags: ['new', 'er'] }));
      assert.deepEqual(await t.store.loadTask(BASE), { ...row, priority: 0, tags: ['new', 'er'], nextSeq: 1, reopening: null });
      await t.commit((c) => c.taskPatches.push({ id: BASE, reopening: '{"pending":[0,9]}' }));
      await t.commit((c) => c.taskPatches.push({ id: BASE, priority: 1 }));
      assert.deepEqual(await t.store.loadTask(BASE), { ...row, priority: 1, tags: ['new', 'er'], nextSeq: 1, reopening: '{"pending":[0,9]}' });
      assert.equal((await t.store.loadGraphs([BASE]))[0].task.reopening, '{"pending":[0,9]}');
      await t.commit((c) => c.taskPatches.push({ id: BASE, reopening: null }));
      assert.equal((await t.store.loadTask(BASE))?.reopening, null);
    });

    t.test('text of every kind survives', async () => {
      const bodies = ['""', '"ünïcödé 💡"', `"${'x'.repeat(300_000)}"`, '{"a":"\\u0000"}', '"\'; drop table steps; --"', 'null'];
      await t.store.commit(arrival(BASE, 1));
      await t.commit((c) => c.payloads.push(...bodies.map((body, i) => ({ task: BASE, no: 0, token: i + 1, body }))));
      assert.deepEqual(await t.store.payloads(bodies.map((_, i) => ({ task: BASE, no: 0, token: i + 1 }))), bodies);
    });

    t.test('counts commits as flushes', async () => {
      const before = t.store.flushes;
      await t.store.commit(arrival(BASE));
      await t.commit((c) => c.steps.push(stepWrite(BASE, 0, running)));
      assert.equal(t.store.flushes, before + 2);
    });
  });

  describe('a lost race changes nothing (I3)', () => {
    const snapshot = async (): Promise<unknown> => [await t.store.loadGraphs([BASE]), await t.store.log({ task: BASE, after: 0, limit: 100 })];
    const conflicts: Record<string, (c: ChangeSet) => void> = {
      'step: another token': (c) => c.steps.push(stepWrite(BASE, 0, { ...running, fromToken: 4 })),
      'step: another state': (c) => c.steps.push(stepWrite(BASE, 0, { ...running, fromState: 1 })),
      'step: finished twice': (c) => c.steps.push(stepWrite(BASE, 0, { ...finished })),
      'step: no such step': (c) => c.steps.push(stepWrite(BASE, 9, running)),
      'step: inserted again': (c) => c.steps.push(stepWrite(BASE, 0, { insert: true })),
      'step: inserted again, with all columns': (c) => c.steps.push(stepWrite(BASE, 0, { insert: true, ...running })),
      'step: of a task that is gone': (c) => c.steps.push(stepWrite(BASE + 99, 0, { insert: true })),
      'task: another state': (c) => c.taskUpdates.push({ id: BASE, fromState: 2, state: 4, completedAt: null, wakeAt: null, counts: null, error: null }),
      'task: gone': (c) => c.taskUpdates.push({ id: BASE + 99, fromState: 3, state: 4, completedAt: null, wakeAt: null, counts: null, error: null }),
      'task: patched when gone': (c) => c.taskPatches.push({ id: BASE + 99, priority: 1 }),
      'task: inserted again': (c) => c.tasks.push(taskRow(BASE)),
      'log: seq taken': (c) => c.log.push({ task: BASE, seq: 1, count: 1, at: NOW, body: '[]' }),
      'payload: taken': (c) => c.payloads.push({ task: BASE, no: -1, token: 0, body: '1' }),
    };
    for (const [title, fill] of Object.entries(conflicts)) {
      t.test(title, async () => {
        await t.store.commit(arrival(BASE));
        const before = await snapshot();
        const flushes = t.store.flushes;
        const failure = await failsWith('conflict', () =>
          t.commit((c) => {
            // Good rows before and after the bad one: none may stay.
            c.tasks.push(taskRow(BASE + 1));
            c.steps.push(stepWrite(BASE + 1, 0, { insert: true }), stepWrite(BASE, 1, running));
            c.payloads.push({ task: BASE, no: 1, token: 1, body: '"good"' });
            fill(c);
            c.steps.push(stepWrite(BASE, 2, running));
            c.log.push({ task: BASE, seq: 3, count: 1, at: NOW, body: '[]' });
          }),
        );
        assert.equal(failure.applied, false);
        assert.equal(t.store.flushes, flushes);
        assert.deepEqual(await snapshot(), before);
        assert.equal(await t.store.loadTask(BASE + 1), null);
        assert.deepEqual(await t.store.payloads([{ task: BASE, no: 1, token: 1 }]), [null]);
        // No reopen is needed after a conflict.
        await t.commit((c) => c.steps.push(stepWrite(BASE, 1, running)));
        assert.equal((await t.steps(BASE))[1].state, 2);
      });
    }
  });

  describe('nonsense is refused by the store itself', () => {
    const nonsense: Record<string, (c: ChangeSet) => void> = {
      'task: state 12': (c) => c.tasks.push(taskRow(BASE + 1, { state: 12, completedAt: NOW })),
      'task: ended without completed_at': (c) => c.tasks.push(taskRow(BASE + 1, { state: 8 })),
      'task: live with completed_at': (c) => c.tasks.push(taskRow(BASE + 1, { completedAt: NOW })),
      'task: update ends it without completed_at': (c) =>
        c.taskUpdates.push({ id: BASE, fromState: 3, state: 10, completedAt: null, wakeAt: null, counts: null, error: null }),
      'task: priority 7': (c) => c.tasks.push(taskRow(BASE + 1, { priority: 7 })),
      'step: state 10': (c) => c.steps.push(stepWrite(BASE, 0, { state: 10 })),
      'step: phase 3': (c) => c.steps.push(stepWrite(BASE, 0, { ...running, phase: 3 })),
      'step: result of an attempt to come': (c) => c.steps.push(stepWrite(BASE, 0, { ...running, resultToken: 2 })),
      'step: negative number': (c) => c.steps.push(stepWrite(BASE, -1, { insert: true })),
      'step: half a token': (c) => c.steps.push(stepWrite(BASE, 0, { ...running, token: 1.5 })),
      'log: seq 0': (c) => c.log.push({ task: BASE, seq: 0, count: 1, at: NOW, body: '[]' }),
      'log: no events': (c) => c.log.push({ task: BASE, seq: 3, count: 0, at: NOW, body: '[]' }),
    };
    for (const [title, fill] of Object.entries(nonsense)) {
      t.test(title, async () => {
        await t.store.commit(arrival(BASE));
        const before = await t.store.loadGraphs([BASE]);
        const failure = await failsWith('invalid', () => t.commit(fill));
        assert.equal(failure.applied, false);
        await t.store.reopen();
        assert.deepEqual(await t.store.loadGraphs([BASE]), before);
        assert.equal(await t.store.loadTask(BASE + 1), null);
      });
    }
  });

  describe('removals', () => {
    t.test('a task goes with everything that hangs on it, and nothing else goes', async () => {
      for (const id of [BASE, BASE + 1]) {
        await t.store.commit(arrival(id, 3, { wakeAt: NOW }));
        await t.commit((c) => {
          c.steps.push(stepWrite(id, 0, { state: 1, rank: 1 }), stepWrite(id, 1, { state: 4, wakeAt: NOW }));
          c.checkpoints.push({ task: id, no: 0, token: 1, at: NOW, body: '1' });
          c.deadLetters.push({ task: id, at: NOW, reason: 'r', snapshot: '{}' });
          c.logLines.push({ task: id, no: 0, token: 1, at: NOW, level: 'info', message: 'm' });
        });
      }
      await t.commit((c) => c.removals.push(BASE, BASE + 77));
      assert.equal(await t.store.loadTask(BASE), null);
      assert.deepEqual(await t.store.loadGraphs([BASE]), []);
      assert.deepEqual(await t.store.loadSteps({ task: BASE, after: -1, limit: 10 }), []);
      assert.deepEqual(await t.store.payloads([{ task: BASE, no: -1, token: 0 }]), [null]);
      assert.deepEqual(await t.store.log({ task: BASE, after: 0, limit: 10 }), []);
      assert.equal(await t.store.checkpoint({ task: BASE, no: 0 }), null);
      assert.deepEqual(await t.store.attemptLines({ task: BASE, no: 0, limit: 10 }), []);
      assert.deepEqual(
        (await t.store.readySteps({ limit: 10 })).map((r) => r.task),
        [BASE + 1],
      );
      assert.deepEqual(
        (await t.store.due({ until: NOW, limit: 10 })).map((d) => d.task),
        [BASE + 1, BASE + 1],
      );

      assert.equal((await t.steps(BASE + 1)).length, 3);
      assert.deepEqual(await t.store.payloads([{ task: BASE + 1, no: -1, token: 0 }]), ['{"input":1}']);
      assert.equal((await t.store.log({ task: BASE + 1, after: 0, limit: 10 })).length, 1);
      assert.notEqual(await t.store.checkpoint({ task: BASE + 1, no: 0 }), null);
      assert.equal((await t.store.attemptLines({ task: BASE + 1, no: 0, limit: 10 })).length, 1);
      // The id is free again, and no dead letter holds its new task back.
      await t.store.commit(arrival(BASE, 1, { state: 9, completedAt: NOW }));
      assert.deepEqual(await t.store.expired({ before: NOW + 1, keep: 0, limit: 10 }), [BASE]);
    });
  });

  describe('dead letters', () => {
    t.test('a task has one open at most; the newest facts stand', async () => {
      await t.store.commit(arrival(BASE, 1, { state: 9, completedAt: NOW }));
      await t.commit((c) => c.deadLetters.push({ task: BASE, at: NOW, reason: 'a', snapshot: '{}' }));
      await t.commit((c) => c.deadLetters.push({ task: BASE, at: NOW + 1, reason: 'b', snapshot: '{}' }));
      assert.deepEqual(await t.store.expired({ before: NOW + 99, keep: 0, limit: 10 }), []);
    });
  });
};
