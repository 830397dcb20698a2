/** Copies that arrive in chunks, across refused commits and a crash in the middle. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Task } from '../../src/core/task-states.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { type CommitFate, type FaultPlan, failingStore } from '../support/faulty-store.ts';
import { type Opened, openEngine } from './engine-setup.ts';

const SIZE = 1300;
const elements = [
  { name: 'root', handler: 'work' },
  ...Array.from({ length: SIZE - 1 }, (_, i) => ({ name: `n${i}`, handler: 'work', parent_id: 'root', inputs: { i } })),
];

interface Faulty {
  e: Opened;
  inner: SqliteStore;
  /** Fate of the next commits that copy payloads. */
  fates: CommitFate[];
  id: string;
}

async function faulty(): Promise<Faulty> {
  const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
  const fates: CommitFate[] = [];
  const plan: FaultPlan = (_n, changes) => (changes.links.length + changes.payloadCopies.length === 0 ? 'ok' : (fates.shift() ?? 'ok'));
  const store = failingStore(inner, plan);
  const e = await openEngine({}, store as unknown as SqliteStore);
  e.worker.handle('work', async (a) => a.input);
  const { task } = await e.engine.submitTree({ elements });
  assert.equal((await e.engine.done(task.id)).state, 'complete');
  return { e, inner, fates, id: task.id };
}

for (const mode of ['archive', 'link', 'copy'] as const) {
  for (const fates of [
    ['ok'],
    ['refused', 'applied'],
    ['applied', 'lost', 'busy', 'applied'],
    ['ok', 'applied', 'refused', 'ok', 'applied'],
  ] as CommitFate[][]) {
    test(`${mode} of ${SIZE} steps, commits ${fates.join(', ')}: it is there once, and whole`, async () => {
      const f = await faulty();
      f.fates.push(...fates);
      const made = await f.e.engine.copy(f.id, { mode, execute: mode === 'copy' });
      assert.equal((await f.e.engine.done(made.id)).state, 'complete');
      assert.equal((await f.e.engine.list({})).tasks.length, 2);
      const steps = await f.e.engine.steps(made.id, { results: true, inputs: true });
      assert.equal(steps.length, SIZE);
      for (const s of [steps[1], steps[600], steps[SIZE - 1]])
        assert.deepEqual([s.state, s.result, s.inputs], ['complete', s.inputs, { i: Number(s.name.slice(1)) }]);
      if (mode === 'link') assert.deepEqual(f.inner.linkedTasks(f.inner.taskIds({ states: [Task.complete], after: 0, limit: 9 })).length, 1);
      await f.e.close();
    });
  }
}

test('a copy that is held stays so, whatever became of the commits it arrived in', async () => {
  const f = await faulty();
  f.fates.push('ok', 'applied', 'refused', 'applied');
  const made = await f.e.engine.copy(f.id, { mode: 'mixed', link: ['n700'] });
  assert.equal((await f.e.engine.task(made.id)).state, 'pending');
  await f.e.engine.executeTree(made.id);
  assert.equal((await f.e.engine.done(made.id)).state, 'complete');
  await f.e.close();
});

test('a crash while an archive arrives leaves nothing of it', async () => {
  const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
  const e = await openEngine({}, inner);
  e.worker.handle('work', async (a) => a.input);
  const { task } = await e.engine.submitTree({ elements });
  await e.engine.done(task.id);
  const commit = inner.commit.bind(inner);
  const cut = Promise.withResolvers<void>();
  let chunks = 0;
  inner.commit = (changes) => {
    if (changes.payloadCopies.length > 0 && ++chunks === 2) {
      cut.resolve();
      // The process is gone before it is written.
      return new Promise(() => {}) as never;
    }
    return commit(changes);
  };
  void e.engine.copy(task.id, { mode: 'archive' }).catch(() => {});
  await cut.promise;
  assert.equal(inner.taskIds({ states: [Task.initializing], after: 0, limit: 9 }).length, 1);
  inner.commit = commit;
  const again = await e.reopen({});
  assert.deepEqual(inner.taskIds({ states: [Task.initializing], after: 0, limit: 9 }), []);
  assert.equal((await again.engine.list({})).tasks.length, 1);
  assert.equal((await again.engine.steps(task.id)).length, SIZE);
  await again.close();
});

test('what is being copied cannot be removed meanwhile', async () => {
  const f = await faulty();
  const copying = f.e.engine.copy(f.id, { mode: 'archive' });
  await Promise.resolve();
  const purged = f.e.engine.purge(f.id).then(
    () => 'removed',
    (x: { code: string }) => x.code,
  );
  const outcomes = await Promise.allSettled([copying, purged]);
  assert.equal(outcomes[0].status, 'fulfilled');
  assert.equal((outcomes[1] as { value: string }).value, 'ILLEGAL_STATE');
  await f.e.close();
});
