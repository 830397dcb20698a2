/**
 * What every Store must do, whatever it is made of. A store's test file calls `storeSuite` with a way to open an empty one.
 * Nothing here knows SQL, files or connections.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { ChangeSet, type StepWrite, type TaskRow } from '../../src/core/changes.ts';
import { type Store, type StoredStep, StoreFailure } from '../../src/store/store.ts';

export interface OpenedStore {
  store: Store;
  /** Closes the store and opens the same data again; absent where data ends with the store. */
  again?(): Promise<Store>;
  cleanup(): Promise<void>;
}

/** Titles of tests that a store leaves out, with the reason. */
export type Skips = Record<string, string>;

export const NOW = 1_763_700_000_000;
/** A real id's size: time-ordered and far above 2^32. */
export const BASE = 3_611_000_000_000_000;

export const taskRow = (id: number, over: Partial<TaskRow> = {}): TaskRow => ({
  id, template: 1, state: 3, priority: 2, policy: 'fail', createdAt: NOW, completedAt: null, wakeAt: null, totalSteps: 3,
  counts: null, error: null, tags: null, meta: null, ...over,
});

export const stepWrite = (task: number, no: number, over: Partial<StepWrite> = {}): StepWrite => ({
  insert: false, task, no, fromToken: 0, fromState: 0, state: 0, token: 0, attempts: 0, phase: 0, owner: null, rank: null, wakeAt: null,
  startedAt: null, finishedAt: null, reason: null, error: null, resultToken: 0, ...over,
});

const running = { state: 2, token: 1, attempts: 1, owner: 77, startedAt: NOW } as const;
const finished = { fromToken: 1, fromState: 2, state: 6, token: 1, attempts: 1, startedAt: NOW, finishedAt: NOW + 5, resultToken: 1 } as const;

export const changes = (fill: (c: ChangeSet) => void): ChangeSet => {
  const c = new ChangeSet();
  fill(c);
  return c;
};

/** A task with pending steps, its input and its first log row. */
export const arrival = (id: number, steps = 3, over: Partial<TaskRow> = {}): ChangeSet =>
  changes((c) => {
    c.tasks.push(taskRow(id, { totalSteps: steps, ...over }));
    for (let no = 0; no < steps; no++) c.steps.push(stepWrite(id, no, { insert: true }));
    c.payloads.push({ task: id, no: -1, token: 0, body: `{"input":${no(id)}}` });
    c.log.push({ task: id, seq: 1, count: 2, at: NOW, body: '["created"]' });
  });

const no = (id: number): number => id - BASE;

const storedOf = (s: StepWrite): StoredStep => ({
  task: s.task, no: s.no, state: s.state, token: s.token, attempts: s.attempts, phase: s.phase, owner: s.owner, rank: s.rank, wakeAt: s.wakeAt,
  startedAt: s.startedAt, finishedAt: s.finishedAt, reason: s.reason, error: s.error, resultToken: s.resultToken,
});

export const failsWith = async (kind: StoreFailure['kind'], run: () => unknown): Promise<StoreFailure> => {
  let caught: unknown;
  try {
    await run();
  } catch (e) {
    caught = e;
  }
  assert.ok(caught instanceof StoreFailure, `expected a StoreFailure, got ${String(caught)}`);
  assert.equal(caught.kind, kind, caught.message);
  return caught;
};

export const storeSuite = (name: string, open: () => Promise<OpenedStore>, skips: Skips = {}): void => {
  describe(`store: ${name}`, () => {
    let opened: OpenedStore;
    let store: Store;
    const test = (title: string, run: () => Promise<void>): void => {
      it(title, { skip: skips[title] ?? false }, run);
    };
    const commit = async (fill: (c: ChangeSet) => void): Promise<void> => {
      await store.commit(changes(fill));
    };
    const steps = async (task: number): Promise<StoredStep[]> => (await store.loadGraphs([task]))[0].steps;

    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(async () => {
      await opened.cleanup();
    });

    describe('commit', () => {
      test('a task comes back as it was written', async () => {
        const row = taskRow(BASE + 1, {
          template: 7, state: 9, priority: 0, policy: 'block', completedAt: NOW + 9, wakeAt: NOW + 60_000, totalSteps: 4,
          counts: { complete: 1, error: 2, cancelled: 1, resolved: 0 }, error: '{"code":"handler_error"}', tags: ['a', 'ü"\\', ''],
          meta: { initiator: 'me', sourceSystem: 'shop', reason: 'why', correlationId: 'c1', parentCorrelationId: 'p1', options: { deep: [1, null] } },
        });
        await commit((c) => c.tasks.push(row));
        assert.deepEqual(await store.loadTask(row.id), { ...row, nextSeq: 1 });
      });

      test('absent fields of a task stay absent', async () => {
        const rows = [taskRow(BASE + 1, { template: null }), taskRow(BASE + 2, { meta: {}, tags: [] }), taskRow(BASE + 3, { meta: { initiator: 'x' } })];
        await commit((c) => c.tasks.push(...rows));
        for (const row of rows) assert.deepEqual(await store.loadTask(row.id), { ...row, nextSeq: 1 });
        assert.equal(await store.loadTask(BASE + 4), null);
      });

      test('every policy comes back', async () => {
        for (const [i, policy] of (['fail', 'fail_fast', 'block', 'record'] as const).entries()) {
          await commit((c) => c.tasks.push(taskRow(BASE + i, { policy })));
          assert.equal((await store.loadTask(BASE + i))?.policy, policy);
        }
      });

      test('steps come back as they were written, in order', async () => {
        const rows = [
          stepWrite(BASE, 2, { insert: true }),
          stepWrite(BASE, 0, { insert: true, ...running, phase: 1, rank: 5, wakeAt: NOW + 1 }),
          stepWrite(BASE, 1, { insert: true, state: 8, token: 3, attempts: 2, finishedAt: NOW + 3, reason: 0, error: '{"code":"x"}', resultToken: 2 }),
          stepWrite(BASE, 3, { insert: true, state: 1, rank: 12 }),
        ];
        await commit((c) => {
          c.tasks.push(taskRow(BASE, { totalSteps: 4 }));
          c.steps.push(...rows);
        });
        assert.deepEqual(await steps(BASE), rows.map(storedOf).sort((a, b) => a.no - b.no));
      });

      test('an update replaces every column, whatever stood there', async () => {
        const some = fc.option(fc.integer({ min: 0, max: NOW }), { nil: null });
        const shape = fc.record({
          state: fc.integer({ min: 0, max: 9 }), token: fc.integer({ min: 3, max: 9 }), attempts: fc.nat(5), phase: fc.nat(2), owner: some, rank: some,
          wakeAt: some, startedAt: some, finishedAt: some, reason: fc.option(fc.nat(9), { nil: null }), error: fc.option(fc.string(), { nil: null }),
          resultToken: fc.nat(3),
        });
        // Shapes of the hot path, each onto each.
        const hot = fc.constantFrom(
          { ...running, token: 4, phase: 0, rank: null, wakeAt: null, finishedAt: null, reason: null, error: null, resultToken: 0 },
          { ...finished, token: 4, phase: 0, owner: null, rank: null, wakeAt: null, reason: null, error: null, resultToken: 4 },
        );
        let next = BASE;
        await fc.assert(
          fc.asyncProperty(fc.oneof(shape, hot), fc.oneof(shape, hot), async (before, after) => {
            const id = next++;
            const first = stepWrite(id, 0, { ...before, insert: true });
            const second = stepWrite(id, 0, { ...after, insert: false, fromToken: first.token, fromState: first.state });
            await commit((c) => {
              c.tasks.push(taskRow(id));
              c.steps.push(first);
            });
            await commit((c) => c.steps.push(second));
            assert.deepEqual(await steps(id), [storedOf(second)]);
          }),
          { numRuns: 150 },
        );
      });

      test('a turn of many rows of every kind is written whole', async () => {
        const ids = Array.from({ length: 21 }, (_, i) => BASE + i);
        await commit((c) => {
          for (const id of ids) {
            const a = arrival(id, 5);
            c.tasks.push(...a.tasks);
            c.steps.push(...a.steps);
            c.payloads.push(...a.payloads);
            c.log.push(...a.log);
          }
        });
        await commit((c) => {
          for (const id of ids) {
            c.steps.push(stepWrite(id, 0, running), stepWrite(id, 1, running));
            c.log.push({ task: id, seq: 3, count: 2, at: NOW, body: '[]' });
          }
        });
        await commit((c) => {
          for (const id of ids) {
            c.steps.push(stepWrite(id, 0, finished), stepWrite(id, 2, running));
            c.payloads.push({ task: id, no: 0, token: 1, body: `"${id}"` });
            c.log.push({ task: id, seq: 5, count: 1, at: NOW, body: '[]' });
          }
        });
        const graphs = await store.loadGraphs(ids);
        assert.equal(graphs.length, ids.length);
        for (const g of graphs) {
          assert.deepEqual(g.steps.map((s) => s.state), [6, 2, 2, 0, 0]);
          assert.equal(g.task.nextSeq, 6);
        }
        assert.deepEqual(await store.payloads(ids.map((task) => ({ task, no: 0, token: 1 }))), ids.map((id) => `"${id}"`));
      });

      test('batches of 1 to 20 rows lose none', async () => {
        for (let n = 1; n <= 20; n++) {
          const id = BASE + n;
          await store.commit(arrival(id, n));
          await commit((c) => {
            for (let i = 0; i < n; i++) c.payloads.push({ task: id, no: i, token: 1, body: `${i}` });
            for (let i = 0; i < n; i++) c.log.push({ task: id, seq: 3 + i, count: 1, at: NOW, body: `${i}` });
          });
          assert.equal((await steps(id)).length, n);
          assert.deepEqual(await store.payloads(Array.from({ length: n }, (_, i) => ({ task: id, no: i, token: 1 }))), Array.from({ length: n }, (_, i) => `${i}`));
          assert.equal((await store.log({ task: id, after: 2, limit: 100 })).length, n);
        }
      });

      test('an empty turn is no error', async () => {
        await commit(() => {});
      });

      test('a task update writes its columns and no other', async () => {
        const row = taskRow(BASE, { wakeAt: NOW + 5, tags: ['t'], meta: { initiator: 'me' }, policy: 'record' });
        await commit((c) => c.tasks.push(row));
        const counts = { complete: 3, error: 0, cancelled: 0, resolved: 0 };
        await commit((c) => c.taskUpdates.push({ id: BASE, fromState: 3, state: 8, completedAt: NOW + 7, wakeAt: null, counts, error: null }));
        assert.deepEqual(await store.loadTask(BASE), { ...row, state: 8, completedAt: NOW + 7, wakeAt: null, counts, nextSeq: 1 });
        await commit((c) => c.taskUpdates.push({ id: BASE, fromState: 8, state: 0, completedAt: null, wakeAt: NOW + 8, counts: null, error: '{}' }));
        assert.deepEqual(await store.loadTask(BASE), { ...row, state: 0, completedAt: null, wakeAt: NOW + 8, error: '{}', nextSeq: 1 });
      });

      test('a patch changes what it names', async () => {
        const row = taskRow(BASE, { tags: ['old'] });
        await commit((c) => c.tasks.push(row));
        await commit((c) => c.taskPatches.push({ id: BASE, priority: 0 }));
        assert.deepEqual(await store.loadTask(BASE), { ...row, priority: 0, nextSeq: 1 });
        await commit((c) => c.taskPatches.push({ id: BASE, tags: ['new', 'er'] }));
        assert.deepEqual(await store.loadTask(BASE), { ...row, priority: 0, tags: ['new', 'er'], nextSeq: 1 });
      });

      test('text of every kind survives', async () => {
        const bodies = ['""', '"ünïcödé 💡"', `"${'x'.repeat(300_000)}"`, '{"a":"\\u0000"}', '"\'; drop table steps; --"', 'null'];
        await store.commit(arrival(BASE, 1));
        await commit((c) => c.payloads.push(...bodies.map((body, i) => ({ task: BASE, no: 0, token: i + 1, body }))));
        assert.deepEqual(await store.payloads(bodies.map((_, i) => ({ task: BASE, no: 0, token: i + 1 }))), bodies);
      });

      test('counts commits as flushes', async () => {
        const before = store.flushes;
        await store.commit(arrival(BASE));
        await commit((c) => c.steps.push(stepWrite(BASE, 0, running)));
        assert.equal(store.flushes, before + 2);
      });
    });

    describe('a lost race changes nothing (I3)', () => {
      const snapshot = async (): Promise<unknown> => [await store.loadGraphs([BASE]), await store.log({ task: BASE, after: 0, limit: 100 })];
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
        test(title, async () => {
          await store.commit(arrival(BASE));
          const before = await snapshot();
          const flushes = store.flushes;
          const failure = await failsWith('conflict', () =>
            commit((c) => {
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
          assert.equal(store.flushes, flushes);
          assert.deepEqual(await snapshot(), before);
          assert.equal(await store.loadTask(BASE + 1), null);
          assert.deepEqual(await store.payloads([{ task: BASE, no: 1, token: 1 }]), [null]);
          // No reopen is needed after a conflict.
          await commit((c) => c.steps.push(stepWrite(BASE, 1, running)));
          assert.equal((await steps(BASE))[1].state, 2);
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
        test(title, async () => {
          await store.commit(arrival(BASE));
          const before = await store.loadGraphs([BASE]);
          const failure = await failsWith('invalid', () => commit(fill));
          assert.equal(failure.applied, false);
          await store.reopen();
          assert.deepEqual(await store.loadGraphs([BASE]), before);
          assert.equal(await store.loadTask(BASE + 1), null);
        });
      }
    });

    describe('reads', () => {
      test('loadGraphs: many at once, unknown ones left out, steps ordered', async () => {
        for (const id of [BASE + 5, BASE + 1, BASE + 3]) await store.commit(arrival(id, 12));
        await commit((c) => c.tasks.push(taskRow(BASE + 4, { totalSteps: 0 })));
        const graphs = await store.loadGraphs([BASE + 3, BASE + 2, BASE + 1, BASE + 4, BASE + 77]);
        const byId = new Map(graphs.map((g) => [g.task.id, g]));
        assert.deepEqual([...byId.keys()].sort(), [BASE + 1, BASE + 3, BASE + 4]);
        assert.deepEqual(byId.get(BASE + 3)?.steps.map((s) => s.no), Array.from({ length: 12 }, (_, i) => i));
        assert.ok(byId.get(BASE + 3)?.steps.every((s) => s.task === BASE + 3));
        assert.deepEqual(byId.get(BASE + 4)?.steps, []);
        assert.deepEqual(await store.loadGraphs([]), []);
        assert.deepEqual(await store.loadGraphs([BASE + 2]), []);
      });

      test('loadSteps pages through a task', async () => {
        await store.commit(arrival(BASE, 7));
        await store.commit(arrival(BASE + 1, 2));
        const seen: number[] = [];
        for (let after = -1; ; ) {
          const page = await store.loadSteps({ task: BASE, after, limit: 3 });
          if (page.length === 0) break;
          assert.ok(page.length <= 3);
          seen.push(...page.map((s) => s.no));
          after = page[page.length - 1].no;
        }
        assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6]);
      });

      test('taskIds: by states, ascending, in pages', async () => {
        const states = [0, 3, 7, 8, 3, 0, 9, 3];
        await commit((c) => states.forEach((state, i) => c.tasks.push(taskRow(BASE + i, { state, completedAt: state >= 8 ? NOW : null }))));
        const ids = async (of: number[], after: number, limit: number): Promise<number[]> => (await store.taskIds({ states: of, after, limit })).map((id) => id - BASE);
        assert.deepEqual(await ids([3], 0, 10), [1, 4, 7]);
        assert.deepEqual(await ids([3, 0, 3], 0, 10), [0, 1, 4, 5, 7]);
        assert.deepEqual(await ids([0, 3], BASE + 1, 2), [4, 5]);
        assert.deepEqual(await ids([11], 0, 10), []);
        assert.deepEqual(await ids([], 0, 10), []);
        assert.deepEqual(await ids([0, 1, 2, 3, 4, 5, 6, 7], 0, 3), [0, 1, 2]);
      });

      test('readySteps: lowest rank first, ties by task and number, in pages', async () => {
        await commit((c) => {
          for (let t = 0; t < 3; t++) {
            c.tasks.push(taskRow(BASE + t));
            for (let n = 0; n < 4; n++) c.steps.push(stepWrite(BASE + t, n, { insert: true, state: n === 3 ? 0 : 1, rank: n === 3 ? null : (n * 7 + t) % 3 }));
          }
        });
        const all = await store.readySteps({ limit: 100 });
        assert.equal(all.length, 9);
        const sorted = [...all].sort((a, b) => a.rank - b.rank || a.task - b.task || a.no - b.no);
        assert.deepEqual(all, sorted);
        const paged: typeof all = [];
        for (;;) {
          const page = await store.readySteps({ limit: 2, after: paged[paged.length - 1] });
          if (page.length === 0) break;
          paged.push(...page);
        }
        assert.deepEqual(paged, all);
        await commit((c) => c.steps.push(stepWrite(all[0].task, all[0].no, { ...running, fromState: 1 })));
        assert.deepEqual(await store.readySteps({ limit: 100 }), all.slice(1));
      });

      test('due: steps and tasks, earliest first, the bound included', async () => {
        await commit((c) => {
          c.tasks.push(taskRow(BASE, { wakeAt: NOW + 20 }), taskRow(BASE + 1, { wakeAt: NOW + 5 }), taskRow(BASE + 2));
          c.steps.push(
            stepWrite(BASE, 0, { insert: true, state: 4, wakeAt: NOW + 10 }),
            stepWrite(BASE, 1, { insert: true, state: 4, wakeAt: NOW + 30 }),
            stepWrite(BASE + 2, 0, { insert: true, state: 4, wakeAt: NOW + 1 }),
            stepWrite(BASE + 2, 1, { insert: true }),
          );
        });
        const due = async (until: number, limit = 100): Promise<number[][]> => (await store.due({ until, limit })).map((d) => [d.task - BASE, d.no, d.at - NOW]);
        assert.deepEqual(await due(NOW + 20), [[2, 0, 1], [1, -1, 5], [0, 0, 10], [0, -1, 20]]);
        assert.deepEqual(await due(NOW + 19), [[2, 0, 1], [1, -1, 5], [0, 0, 10]]);
        assert.deepEqual(await due(NOW + 99, 2), [[2, 0, 1], [1, -1, 5]]);
        assert.deepEqual(await due(NOW), []);
        await commit((c) => c.steps.push(stepWrite(BASE + 2, 0, { ...running, fromState: 4 })));
        assert.deepEqual((await due(NOW + 5)), [[1, -1, 5]]);
      });

      test('payloads: in the order asked, null where none, repeats allowed', async () => {
        await store.commit(arrival(BASE));
        await commit((c) => c.payloads.push({ task: BASE, no: 0, token: 1, body: '"one"' }, { task: BASE, no: 0, token: 2, body: '"two"' }));
        const keys = [{ task: BASE, no: 0, token: 2 }, { task: BASE, no: 1, token: 1 }, { task: BASE, no: -1, token: 0 }, { task: BASE, no: 0, token: 1 }, { task: BASE, no: 0, token: 2 }];
        assert.deepEqual(await store.payloads(keys), ['"two"', null, '{"input":0}', '"one"', '"two"']);
        assert.deepEqual(await store.payloads([]), []);
      });

      test('checkpoint: the last one stands', async () => {
        await store.commit(arrival(BASE));
        assert.equal(await store.checkpoint({ task: BASE, no: 0 }), null);
        await commit((c) => c.checkpoints.push({ task: BASE, no: 0, token: 1, at: NOW, body: '1' }, { task: BASE, no: 1, token: 1, at: NOW, body: '"other"' }));
        await commit((c) => c.checkpoints.push({ task: BASE, no: 0, token: 2, at: NOW + 1, body: '2' }));
        assert.deepEqual(await store.checkpoint({ task: BASE, no: 0 }), { token: 2, at: NOW + 1, body: '2' });
        assert.deepEqual(await store.checkpoint({ task: BASE, no: 1 }), { token: 1, at: NOW, body: '"other"' });
      });

      test('log: rows that hold later events, ascending', async () => {
        await commit((c) => {
          c.tasks.push(taskRow(BASE), taskRow(BASE + 1));
          c.log.push({ task: BASE, seq: 1, count: 3, at: NOW, body: 'a' }, { task: BASE + 1, seq: 1, count: 1, at: NOW, body: 'x' });
        });
        await commit((c) => c.log.push({ task: BASE, seq: 4, count: 1, at: NOW + 1, body: 'b' }));
        await commit((c) => c.log.push({ task: BASE, seq: 5, count: 2, at: NOW + 2, body: 'c' }));
        const bodies = async (after: number, limit = 10): Promise<string> => (await store.log({ task: BASE, after, limit })).map((l) => l.body).join('');
        const expected: [after: number, bodies: string][] = [[0, 'abc'], [1, 'abc'], [2, 'abc'], [3, 'bc'], [4, 'c'], [5, 'c'], [6, ''], [99, '']];
        for (const [after, text] of expected) assert.equal(await bodies(after), text, `after ${after}`);
        assert.equal(await bodies(0, 2), 'ab');
        assert.deepEqual(await store.log({ task: BASE, after: 4, limit: 1 }), [{ task: BASE, seq: 5, count: 2, at: NOW + 2, body: 'c' }]);
        assert.equal((await store.loadTask(BASE))?.nextSeq, 7);
        assert.equal((await store.loadGraphs([BASE]))[0].task.nextSeq, 7);
        assert.equal((await store.loadTask(BASE + 1))?.nextSeq, 2);
      });
    });

    describe('templates', () => {
      const template = { namespace: 'orders', name: 'fulfil', version: '1.0.0', revision: 1, hash: 'h1', definition: '{"steps":[]}', createdAt: NOW };

      test('putting the same definition again gives the same row', async () => {
        const first = await store.putTemplate(template);
        assert.deepEqual(first, { ...template, id: first.id });
        assert.ok(Number.isInteger(first.id));
        assert.deepEqual(await store.putTemplate({ ...template, createdAt: NOW + 9, revision: 5 }), first);
        assert.deepEqual(await store.templates(), [first]);
      });

      test('versions, namespaces and revisions live side by side', async () => {
        const rows = [
          await store.putTemplate(template),
          await store.putTemplate({ ...template, version: '1.0.1' }),
          await store.putTemplate({ ...template, namespace: 'other' }),
          await store.putTemplate({ ...template, hash: 'h2', revision: 2, definition: '{}' }),
        ];
        assert.equal(new Set(rows.map((r) => r.id)).size, 4);
        assert.deepEqual(await store.templates(), rows);
      });

      test('another definition under a taken revision is a conflict', async () => {
        const row = await store.putTemplate(template);
        await failsWith('conflict', () => store.putTemplate({ ...template, hash: 'h2' }));
        assert.deepEqual(await store.templates(), [row]);
      });
    });

    describe('lists', () => {
      const many = async (): Promise<void> => {
        await commit((c) => {
          for (let i = 0; i < 30; i++) {
            const state = i % 3 === 0 ? 8 : i % 3 === 1 ? 3 : 0;
            c.tasks.push(
              taskRow(BASE + i, {
                state, completedAt: state === 8 ? NOW + i : null, template: (i % 2) + 1, tags: i % 5 === 0 ? ['five', 'x'] : null,
                meta: i % 4 === 0 ? { initiator: 'ann', sourceSystem: i === 8 ? 'shop' : 'web' } : null,
              }),
            );
          }
        });
      };
      const list = async (q: Partial<Parameters<Store['listTasks']>[0]>): Promise<{ ids: number[]; total: number | null }> => {
        const page = await store.listTasks({ limit: 100, countCap: 0, ...q });
        return { ids: page.tasks.map((t) => t.id - BASE), total: page.total };
      };
      const model = (keep: (i: number) => boolean): number[] => Array.from({ length: 30 }, (_, i) => 29 - i).filter(keep);

      test('newest first, filtered by each field and by all of them', async () => {
        await many();
        assert.deepEqual((await list({})).ids, model(() => true));
        assert.deepEqual((await list({ states: [8] })).ids, model((i) => i % 3 === 0));
        assert.deepEqual((await list({ states: [8, 3, 8] })).ids, model((i) => i % 3 < 2));
        assert.deepEqual((await list({ states: [] })).ids, []);
        assert.deepEqual((await list({ templates: [2] })).ids, model((i) => i % 2 === 1));
        assert.deepEqual((await list({ templates: [2, 1] })).ids, model(() => true));
        assert.deepEqual((await list({ templates: Array.from({ length: 40 }, (_, i) => i + 2) })).ids, model((i) => i % 2 === 1));
        assert.deepEqual((await list({ templates: [] })).ids, []);
        assert.deepEqual((await list({ initiator: 'ann' })).ids, model((i) => i % 4 === 0));
        assert.deepEqual((await list({ sourceSystem: 'shop' })).ids, [8]);
        assert.deepEqual((await list({ tag: 'five' })).ids, model((i) => i % 5 === 0));
        assert.deepEqual((await list({ tag: 'fiv' })).ids, []);
        assert.deepEqual((await list({ states: [8, 0], templates: [1], initiator: 'ann', tag: 'x', sourceSystem: 'web' })).ids, model((i) => i % 3 !== 1 && i % 20 === 0));
      });

      test('keyset pages and offset pages give every task once', async () => {
        await many();
        const q = { states: [8, 3], limit: 4 };
        const keyset: number[] = [];
        for (let beforeId: number | undefined; ; ) {
          const { ids } = await list({ ...q, beforeId });
          if (ids.length === 0) break;
          keyset.push(...ids);
          beforeId = BASE + ids[ids.length - 1];
        }
        assert.deepEqual(keyset, model((i) => i % 3 < 2));
        const offsets: number[] = [];
        for (let offset = 0; ; offset += 4) {
          const { ids } = await list({ ...q, offset });
          if (ids.length === 0) break;
          offsets.push(...ids);
        }
        assert.deepEqual(offsets, keyset);
      });

      test('totals are capped, and count all pages', async () => {
        await many();
        assert.equal((await list({ countCap: 0 })).total, null);
        assert.equal((await list({ countCap: 1000, limit: 2 })).total, 30);
        assert.equal((await list({ countCap: 7 })).total, 7);
        assert.equal((await list({ countCap: 1000, states: [8, 3], limit: 2 })).total, 20);
        assert.equal((await list({ countCap: 1000, templates: [2], beforeId: BASE + 3 })).total, 15);
        assert.equal((await list({ countCap: 1000, initiator: 'ann', states: [8] })).total, 3);
        assert.equal((await list({ countCap: 1000, states: [] })).total, 0);
      });

      test('rows of a list are whole', async () => {
        await store.commit(arrival(BASE, 3, { tags: ['t'], meta: { initiator: 'i', reason: 'r' } }));
        assert.deepEqual((await store.listTasks({ limit: 1, countCap: 0 })).tasks, [await store.loadTask(BASE)]);
      });

      test('stepCounts: by state, for the tasks asked for', async () => {
        await store.commit(arrival(BASE, 4));
        await store.commit(arrival(BASE + 1, 2));
        await store.commit(arrival(BASE + 2, 2));
        await commit((c) => c.steps.push(stepWrite(BASE, 0, running), stepWrite(BASE, 1, running)));
        await commit((c) => c.steps.push(stepWrite(BASE, 0, finished)));
        const counts = await store.stepCounts([BASE, BASE + 2, BASE + 50]);
        assert.deepEqual([...counts].sort((a, b) => a[0] - b[0]), [[BASE, [2, 0, 1, 0, 0, 0, 1, 0, 0, 0]], [BASE + 2, [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]]]);
        assert.equal((await store.stepCounts([])).size, 0);
      });

      test('taskStateCounts: twelve numbers', async () => {
        assert.deepEqual(await store.taskStateCounts(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        await many();
        assert.deepEqual(await store.taskStateCounts(), [10, 0, 0, 10, 0, 0, 0, 0, 10, 0, 0, 0]);
      });

      test('attemptLines: oldest first, of one attempt or of all', async () => {
        await store.commit(arrival(BASE));
        const line = (token: number, message: string, level: 'info' | 'error' = 'info') => ({ task: BASE, no: 0, token, at: NOW, level, message });
        await commit((c) => c.logLines.push(line(1, 'a'), line(1, 'b', 'error')));
        await commit((c) => c.logLines.push(line(2, 'd'), line(1, 'c'), { ...line(1, 'z'), no: 1 }));
        const text = async (token?: number, limit = 100): Promise<string> => (await store.attemptLines({ task: BASE, no: 0, token, limit })).map((l) => l.message).join('');
        assert.equal(await text(), 'abcd');
        assert.equal(await text(1), 'abc');
        assert.equal(await text(1, 2), 'ab');
        assert.equal(await text(3), '');
        assert.deepEqual((await store.attemptLines({ task: BASE, no: 0, token: 1, limit: 2 }))[1], { no: 0, token: 1, at: NOW, level: 'error', message: 'b' });
      });

      test('expired: by age, by count, never one with an open dead letter', async () => {
        await commit((c) => {
          for (let i = 0; i < 10; i++) c.tasks.push(taskRow(BASE + i, i < 8 ? { state: 8 + (i % 4), completedAt: NOW + i } : {}));
          c.deadLetters.push({ task: BASE + 1, at: NOW, reason: 'max_retries_exceeded', snapshot: '{}' });
        });
        const expired = async (before: number, keep: number, limit = 100): Promise<number[]> => (await store.expired({ before, keep, limit })).map((id) => id - BASE);
        assert.deepEqual(await expired(NOW, 100), []);
        assert.deepEqual(await expired(NOW + 3, 100), [0, 2]);
        assert.deepEqual(await expired(NOW, 5), [0, 2]);
        assert.deepEqual(await expired(NOW + 5, 5), [0, 2, 3, 4]);
        assert.deepEqual(await expired(NOW, 0), [0, 2, 3, 4, 5, 6, 7]);
        assert.deepEqual(await expired(NOW + 99, 100, 2), [0, 2]);
      });

      test('lists see what was just committed', async () => {
        for (let i = 0; i < 20; i++) {
          await store.commit(arrival(BASE + i));
          assert.equal((await list({ countCap: 100 })).total, i + 1);
        }
      });
    });

    describe('removals', () => {
      test('a task goes with everything that hangs on it, and nothing else goes', async () => {
        for (const id of [BASE, BASE + 1]) {
          await store.commit(arrival(id, 3, { wakeAt: NOW }));
          await commit((c) => {
            c.steps.push(stepWrite(id, 0, { state: 1, rank: 1 }), stepWrite(id, 1, { state: 4, wakeAt: NOW }));
            c.checkpoints.push({ task: id, no: 0, token: 1, at: NOW, body: '1' });
            c.deadLetters.push({ task: id, at: NOW, reason: 'r', snapshot: '{}' });
            c.logLines.push({ task: id, no: 0, token: 1, at: NOW, level: 'info', message: 'm' });
          });
        }
        await commit((c) => c.removals.push(BASE, BASE + 77));
        assert.equal(await store.loadTask(BASE), null);
        assert.deepEqual(await store.loadGraphs([BASE]), []);
        assert.deepEqual(await store.loadSteps({ task: BASE, after: -1, limit: 10 }), []);
        assert.deepEqual(await store.payloads([{ task: BASE, no: -1, token: 0 }]), [null]);
        assert.deepEqual(await store.log({ task: BASE, after: 0, limit: 10 }), []);
        assert.equal(await store.checkpoint({ task: BASE, no: 0 }), null);
        assert.deepEqual(await store.attemptLines({ task: BASE, no: 0, limit: 10 }), []);
        assert.deepEqual((await store.readySteps({ limit: 10 })).map((r) => r.task), [BASE + 1]);
        assert.deepEqual((await store.due({ until: NOW, limit: 10 })).map((d) => d.task), [BASE + 1, BASE + 1]);

        assert.equal((await steps(BASE + 1)).length, 3);
        assert.deepEqual(await store.payloads([{ task: BASE + 1, no: -1, token: 0 }]), ['{"input":1}']);
        assert.equal((await store.log({ task: BASE + 1, after: 0, limit: 10 })).length, 1);
        assert.notEqual(await store.checkpoint({ task: BASE + 1, no: 0 }), null);
        assert.equal((await store.attemptLines({ task: BASE + 1, no: 0, limit: 10 })).length, 1);
        // The id is free again.
        await store.commit(arrival(BASE));
      });
    });

    describe('dead letters', () => {
      test('a task has one open at most; the newest facts stand', async () => {
        await store.commit(arrival(BASE, 1, { state: 9, completedAt: NOW }));
        await commit((c) => c.deadLetters.push({ task: BASE, at: NOW, reason: 'a', snapshot: '{}' }));
        await commit((c) => c.deadLetters.push({ task: BASE, at: NOW + 1, reason: 'b', snapshot: '{}' }));
        assert.deepEqual(await store.expired({ before: NOW + 99, keep: 0, limit: 10 }), []);
      });
    });

    describe('life', () => {
      test('reopen keeps data and serves on', async () => {
        await store.commit(arrival(BASE));
        const before = await store.loadGraphs([BASE]);
        await store.reopen();
        assert.deepEqual(await store.loadGraphs([BASE]), before);
        await commit((c) => c.steps.push(stepWrite(BASE, 0, running)));
        assert.equal((await steps(BASE))[0].state, 2);
        assert.equal((await store.listTasks({ limit: 5, countCap: 0 })).tasks.length, 1);
      });

      test('data, tag and templates survive close', async () => {
        if (opened.again === undefined) return;
        const { tag } = store;
        const template = await store.putTemplate({ namespace: 'a', name: 'b', version: '1', revision: 1, hash: 'h', definition: '{}', createdAt: NOW });
        await store.commit(arrival(BASE));
        await commit((c) => c.steps.push(stepWrite(BASE, 0, running)));
        const before = await store.loadGraphs([BASE]);
        store = await opened.again();
        assert.equal(store.tag, tag);
        assert.deepEqual(await store.templates(), [template]);
        assert.deepEqual(await store.loadGraphs([BASE]), before);
        assert.equal((await store.log({ task: BASE, after: 0, limit: 10 })).length, 1);
      });

      test('health says that it can write', async () => {
        const health = await store.health();
        assert.equal(health.writable, true);
        assert.ok(health.bytes >= 0);
      });

      test('a closed store refuses, and closing twice is no error', async () => {
        await store.close();
        await store.close();
        await assert.rejects(async () => store.commit(arrival(BASE)), StoreFailure);
        await assert.rejects(async () => store.loadTask(BASE), StoreFailure);
        await assert.rejects(async () => store.listTasks({ limit: 1, countCap: 0 }), StoreFailure);
        assert.equal((await store.health()).writable, false);
      });

      test('tag is an integer below 2^38, description says something', async () => {
        assert.ok(Number.isInteger(store.tag) && store.tag >= 0 && store.tag < 2 ** 38);
        assert.ok(store.description.length > 0);
      });
    });
  });
};
