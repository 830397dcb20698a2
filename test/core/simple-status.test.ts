import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { calculateProgress, calculateStatus, SIMPLE_STATUSES, type SimpleStatus, simpleStatus } from '../../src/core/simple-status.ts';
import { STEP_STATES, type StepState } from '../../src/core/step-states.ts';
import { SeededRandom } from '../support/seeded-random.ts';

test('each of the ten states is one of the five', () => {
  const shown = Object.fromEntries(STEP_STATES.map((name, state) => [name, simpleStatus(state as StepState)]));
  assert.deepEqual(shown, {
    pending: 'pending',
    enqueued: 'pending',
    in_progress: 'in_progress',
    enqueued_for_orchestration: 'in_progress',
    waiting_for_retry: 'in_progress',
    waiting_for_children: 'in_progress',
    complete: 'completed',
    error: 'failed',
    cancelled: 'cancelled',
    resolved_manually: 'completed',
  });
});

describe('row 34 (spec/apflow.md §8.2): a tree adds up to its root', () => {
  const cases: [children: SimpleStatus[], root: SimpleStatus][] = [
    [['completed', 'completed'], 'completed'],
    [['completed', 'failed', 'in_progress', 'pending'], 'failed'],
    [['cancelled', 'failed'], 'failed'],
    [['completed', 'in_progress', 'pending', 'cancelled'], 'in_progress'],
    [['completed', 'pending'], 'pending'],
    [['cancelled', 'pending'], 'pending'],
    [['cancelled', 'completed'], 'completed'],
    [['cancelled', 'cancelled'], 'cancelled'],
  ];
  for (const [children, root] of cases) {
    test(`${children.join(', ')}: ${root}, whatever the root itself is and however they are numbered`, () => {
      for (const own of SIMPLE_STATUSES) {
        assert.equal(calculateStatus([-1, ...children.map(() => 0)], [own, ...children])[0], root);
        assert.equal(calculateStatus([...children.map(() => children.length), -1], [...children, own])[children.length], root);
      }
    });
  }

  test('where asked, a parent that failed is failed whatever its children are, and so is what it stands under; nothing else of its own counts', () => {
    for (const child of SIMPLE_STATUSES) {
      for (const own of SIMPLE_STATUSES) {
        const [above, root] = calculateStatus([-1, 0, 1], ['pending', own, child], { ownFailure: true });
        const expected = own === 'failed' ? 'failed' : child;
        assert.deepEqual([above, root], [expected, expected], `${own} over ${child}`);
      }
    }
  });

  test('progress is the plain mean of the children, at every level', () => {
    // 0 has 1 and 2; 2 has 3 and 4.
    assert.deepEqual(calculateProgress([-1, 0, 0, 2, 2], [0.9, 0.5, 0.9, 1, 0]), [0.5, 0.5, 0.5, 1, 0]);
    assert.deepEqual(calculateProgress([-1], [0.3]), [0.3]);
    assert.deepEqual(calculateProgress([], []), []);
  });
});

test('random forests add up as a recursive reading does', () => {
  for (let seed = 1; seed <= 500; seed++) {
    const random = new SeededRandom(seed);
    const size = random.int(1, 30);
    // A parent may have a higher number: the numbers of a forest built in order are dealt out anew.
    const deal = Array.from({ length: size }, (_, i) => ({ i, at: random.next() })).sort((a, b) => a.at - b.at);
    const numberOf = new Map(deal.map(({ i }, no) => [i, no]));
    const parent: number[] = Array.from({ length: size }, () => -1);
    for (let i = 1; i < size; i++) if (random.chance(0.85)) parent[numberOf.get(i) as number] = numberOf.get(random.int(0, i - 1)) as number;
    const status = parent.map(() => random.pick(SIMPLE_STATUSES));
    const progress = parent.map(() => random.int(0, 4) / 4);

    const childrenOf = (no: number): number[] => parent.flatMap((up, child) => (up === no ? [child] : []));
    const statusOf = (no: number): SimpleStatus => {
      const all = childrenOf(no).map(statusOf);
      if (all.length === 0) return status[no];
      if (all.every((s) => s === 'completed')) return 'completed';
      if (all.includes('failed')) return 'failed';
      if (all.includes('in_progress')) return 'in_progress';
      if (all.includes('pending')) return 'pending';
      return all.every((s) => s === 'cancelled') ? 'cancelled' : 'completed';
    };
    const progressOf = (no: number): number => {
      const all = childrenOf(no).map(progressOf);
      return all.length === 0 ? progress[no] : all.reduce((a, b) => a + b, 0) / all.length;
    };
    assert.deepEqual(
      calculateStatus(parent, status),
      parent.map((_, no) => statusOf(no)),
      `seed ${seed}`,
    );
    calculateProgress(parent, progress).forEach((p, no) => assert.ok(Math.abs(p - progressOf(no)) < 1e-9, `seed ${seed}`));
  }
});

test('a chain of 100,000 parents is no recursion', () => {
  const parent = Array.from({ length: 100_000 }, (_, no) => no - 1);
  assert.equal(
    calculateStatus(
      parent,
      parent.map((up): SimpleStatus => (up === 99_998 ? 'failed' : 'pending')),
    )[0],
    'failed',
  );
  assert.equal(
    calculateProgress(
      parent,
      parent.map((up) => (up === 99_998 ? 1 : 0)),
    )[0],
    1,
  );
});
