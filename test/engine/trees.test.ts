/** Trees over crashes and commits that fail, and the limits of one submission. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StepView } from '../../src/engine/views.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { type CommitFate, failingStore } from '../support/faulty-store.ts';
import { type Opened, openEngine } from './engine-setup.ts';

const hands = (o: Opened): Opened => {
  o.worker.handle('noop', async () => '1');
  return o;
};

/** Ids, names, states: what a caller sees of each step. */
const seen = (steps: StepView[]): unknown[] => steps.map((s) => [s.id, s.elementId, s.name, s.state, s.parentId, s.dependencies]);

test('what is held is held after a crash, too, and is found by its ids, its names and its key', async () => {
  const first = hands(await openEngine());
  const tree = [
    { name: 'root', id: 'R' },
    { name: 'a', handler: 'noop', parent_id: 'R', id: 'A' },
    { name: 'b', handler: 'noop', dependencies: ['a'] },
  ];
  const { task } = await first.engine.submitTree({ elements: tree, execute: false, key: 'mine' });
  await first.engine.addSteps(task.id, [{ name: 'c', handler: 'noop', id: 'C', dependencies: ['b'] }]);
  const before = seen(await first.engine.steps(task.id));
  const again = hands(await first.reopen({}));
  try {
    assert.deepEqual(seen(await again.engine.steps(task.id)), before);
    assert.equal((await again.engine.step(task.id, 'C')).name, 'c');
    assert.equal((await again.engine.findElement('A')).name, 'a');
    await assert.rejects(again.engine.submitTree({ elements: [{ name: 'x', handler: 'noop', id: 'A' }] }), { code: 'ALREADY_EXISTS' });
    await assert.rejects(again.engine.submitTree({ elements: [{ name: 'x', handler: 'noop' }], key: 'mine' }), { code: 'ALREADY_EXISTS' });
    assert.equal(again.worker.assigned.length, 0);
    assert.equal((await again.engine.task(task.id)).state, 'pending');
    await again.engine.addSteps(task.id, [{ name: 'd', handler: 'noop', parent_id: 'R', dependencies: ['C'] }]);
    await again.engine.executeTree(task.id);
    assert.equal((await again.engine.done(task.id)).state, 'complete');
    assert.deepEqual(
      (await again.engine.steps(task.id)).map((s) => s.name),
      ['root', 'a', 'b', 'c', 'd'],
    );
  } finally {
    await again.close();
  }
});

test('a tree that arrives in chunks and never ends arriving leaves nothing, and its ids are free', async () => {
  const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
  let fate: CommitFate = 'ok';
  let commits = 0;
  const plan = (): CommitFate => (++commits > 1 ? fate : 'ok');
  const store = failingStore(inner, plan);
  const first = hands(await openEngine({}, store as unknown as SqliteStore));
  const elements = [{ name: 'root', id: 'R' }, ...Array.from({ length: 1500 }, (_, i) => ({ name: `n${i}`, id: `i${i}`, handler: 'noop', parent_id: 'R' }))];
  fate = 'full';
  const lost = first.engine.submitTree({ elements }).catch(() => null);
  // The first chunk is stored, and the second cannot be.
  while (commits < 3) await new Promise((resolve) => setImmediate(resolve));
  fate = 'ok';
  const again = hands(await first.reopen({}));
  void lost;
  try {
    assert.deepEqual((await again.engine.list({})).tasks, []);
    const { task } = await again.engine.submitTree({ elements });
    assert.equal((await again.engine.done(task.id)).state, 'complete');
    assert.equal((await again.engine.task(task.id)).completedSteps, 1501);
  } finally {
    await again.close();
  }
});

for (const fate of ['refused', 'lost', 'applied', 'busy'] as const) {
  test(`a commit that is ${fate}: a tree is stored once, a step is added once, a held tree begins once`, async () => {
    const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
    let next: CommitFate = 'ok';
    const plan = (): CommitFate => {
      const now = next;
      next = 'ok';
      return now;
    };
    const store = failingStore(inner, plan);
    const o = hands(await openEngine({}, store as unknown as SqliteStore));
    try {
      next = fate;
      const { task } = await o.engine.submitTree({ elements: [{ name: 'a', handler: 'noop', id: 'A' }], execute: false });
      next = fate;
      const [b] = await o.engine.addSteps(task.id, [{ name: 'b', handler: 'noop', id: 'B', dependencies: ['A'] }]);
      assert.equal(b.elementId, 'B');
      next = fate;
      await o.engine.executeTree(task.id);
      assert.equal((await o.engine.done(task.id)).state, 'complete');
      assert.deepEqual(
        (await o.engine.steps(task.id)).map((s) => [s.name, s.state]),
        [
          ['a', 'complete'],
          ['b', 'complete'],
        ],
      );
      assert.equal((await o.engine.list({})).tasks.length, 1);
    } finally {
      await o.close();
    }
  });
}

test('limits: elements, characters of inputs, elements added at once', async () => {
  const { DEFAULT_ENGINE_CONFIG } = await import('../../src/engine/host.ts');
  const limits = { ...DEFAULT_ENGINE_CONFIG.limits, treeElements: 3, treeBytes: 5000 };
  const o = hands(await openEngine({ config: { limits } }));
  try {
    const noop = (name: string, more: object = {}): object => ({ name, handler: 'noop', ...more });
    await assert.rejects(o.engine.submitTree({ elements: [{ name: 'r' }, ...['a', 'b', 'c'].map((n) => noop(n, { parent_id: 'r' }))] }), {
      code: 'INVALID_INPUT',
      message: /more than 3 elements/,
    });
    await assert.rejects(o.engine.submitTree({ elements: [noop('a', { inputs: { text: 'x'.repeat(5000) } })] }), {
      code: 'VALUE_TOO_LARGE',
      message: /5000 characters/,
    });
    await assert.rejects(o.engine.submitTree({ elements: 7 as never }), { code: 'INVALID_INPUT', field: 'tasks' });
    const { task } = await o.engine.submitTree({ elements: [noop('a')], execute: false });
    await assert.rejects(
      o.engine.addSteps(
        task.id,
        Array.from({ length: 1001 }, (_, i) => noop(`n${i}`)),
      ),
      { code: 'INVALID_INPUT', message: /more than 1000 elements/ },
    );
    assert.equal((await o.engine.task(task.id)).totalSteps, 1);
    async function* slowly(): AsyncGenerator<object> {
      yield noop('x');
      throw new TypeError('the source broke');
    }
    await assert.rejects(o.engine.submitTree({ elements: slowly() }));
    assert.equal((await o.engine.list({})).tasks.length, 1);
  } finally {
    await o.close();
  }
});

test('two that add at the same moment both do, and neither name is taken twice', async () => {
  const o = hands(await openEngine());
  try {
    const { task } = await o.engine.submitTree({ elements: [{ name: 'a', handler: 'noop' }], execute: false });
    const add = (name: string): Promise<StepView[]> =>
      o.engine.addSteps(task.id, [
        { name, handler: 'noop' },
        { name: `${name} after`, handler: 'noop', dependencies: [name], parent_id: name },
      ]);
    const results = await Promise.allSettled([add('x'), add('y'), add('x')]);
    assert.deepEqual(results.map((r) => r.status).sort(), ['fulfilled', 'fulfilled', 'rejected']);
    await o.engine.executeTree(task.id);
    await o.engine.done(task.id);
    for (const name of ['x', 'y']) {
      const after = await o.engine.step(task.id, `${name} after`);
      assert.deepEqual(after.dependencies, [{ id: (await o.engine.step(task.id, name)).id, name, required: true, type: 'result' }]);
      assert.equal(after.parentId, (await o.engine.step(task.id, name)).id);
    }
  } finally {
    await o.close();
  }
});
