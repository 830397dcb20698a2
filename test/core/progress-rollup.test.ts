import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProgressTree, type ProgressUnit, TASK } from '../../src/core/progress-rollup.ts';
import { Step, type StepState } from '../../src/core/step-states.ts';

const near = (a: number, b: number, what = ''): void => assert.ok(Math.abs(a - b) < 1e-9, `${what}: ${a} is not ${b}`);
const fractionOf = (t: ProgressTree, no: number): number => t.of(no).fraction;

/** An upload (step 0) with so many parts, each of 1,000 bytes. */
const upload = (parts: number): ProgressTree => {
  const t = new ProgressTree();
  t.childAdded(TASK, 0);
  for (let no = 1; no <= parts; no++) t.childAdded(0, no, 1000, 'bytes');
  return t;
};

test('7 of 20 parts, 35 %: in the parent and in the task', () => {
  const t = upload(20);
  for (let no = 1; no <= 7; no++) t.ended(no, Step.complete, no * 1000);
  for (const no of [0, TASK]) {
    const f = t.of(no);
    near(f.fraction, 0.35);
    assert.deepEqual([f.done, f.total, f.unit], [7000, 20_000, 'bytes']);
  }
  assert.deepEqual(t.of(0).parts, { done: 7, total: 20 });
  assert.deepEqual(t.of(TASK).parts, { done: 0, total: 1 });
});

test('children are weighed by expected size; one without counts as the mean of its siblings; without any, all count the same', () => {
  const t = new ProgressTree();
  t.childAdded(TASK, 0);
  t.childAdded(0, 1);
  t.childAdded(0, 2);
  t.set(1, { fraction: 0.5 }, 0);
  near(fractionOf(t, 0), 0.25);
  assert.equal(t.of(0).total, null);
  t.childAdded(0, 3, 300);
  t.childAdded(0, 4, 100);
  t.set(4, { done: 100 }, 0);
  // 200 each for the two of unknown size: (100 + 100) of 800.
  near(fractionOf(t, 0), 200 / 800);
});

test('bytes and items are not weighed against each other', () => {
  const t = new ProgressTree();
  t.childAdded(TASK, 0, 1_000_000, 'bytes');
  t.childAdded(TASK, 1, 4, 'items');
  t.set(1, { done: 2 }, 0);
  near(fractionOf(t, TASK), 0.25);
  assert.equal(t.of(TASK).total, null);
  assert.deepEqual([t.of(1).done, t.of(1).total, t.of(1).unit], [2, 4, 'items']);
});

test('a reported total takes the place of what was expected', () => {
  const t = upload(2);
  t.set(1, { done: 500, total: 3000, message: 'sending' }, 0);
  assert.deepEqual([t.of(0).done, t.of(0).total], [500, 4000]);
  assert.equal(t.of(1).message, 'sending');
});

test('a step only grows within an attempt; a retry falls back to its checkpoint and not below', () => {
  const t = upload(2);
  t.set(1, { fraction: 0.4 }, 0);
  t.set(1, { fraction: 0.3 }, 1);
  near(fractionOf(t, 1), 0.4);
  t.checkpointed(1);
  t.set(1, { fraction: 0.9 }, 2);
  near(fractionOf(t, 0), 0.45);
  t.retried(1);
  near(fractionOf(t, 1), 0.4);
  t.set(1, { fraction: 0.1 }, 3);
  near(fractionOf(t, 0), 0.2);
  t.set(1, { fraction: 0.5 }, 4);
  near(fractionOf(t, 0), 0.25);
});

test('a retry of the parent does not touch its children', () => {
  const t = upload(2);
  t.ended(1, Step.complete, 0);
  t.retried(0);
  near(fractionOf(t, 0), 0.5);
});

test('a cancelled child is taken out; when the parent fails, what was cancelled with it stays in', () => {
  const t = upload(10);
  for (let no = 1; no <= 7; no++) t.ended(no, Step.complete, 0);
  t.ended(8, Step.cancelled, 0);
  near(fractionOf(t, 0), 7 / 9);
  assert.deepEqual(t.of(0).parts, { done: 7, total: 9 });
  t.ended(9, Step.cancelled, 0);
  t.ended(10, Step.cancelled, 0);
  t.ended(0, Step.error, 0);
  near(fractionOf(t, 0), 0.7);
  assert.deepEqual(t.of(0).parts, { done: 7, total: 10 });
});

test('a parent that tolerates a failed child is at 1 once it is complete, not before', () => {
  const t = upload(2);
  t.set(1, { fraction: 0.5 }, 0);
  t.ended(1, Step.error, 0);
  t.ended(2, Step.complete, 0);
  near(fractionOf(t, 0), 0.75);
  t.ended(0, Step.complete, 0);
  assert.equal(fractionOf(t, 0), 1);
  assert.equal(fractionOf(t, TASK), 1);
});

test('a folder is complete at once, its children are not', () => {
  const t = new ProgressTree();
  t.childAdded(TASK, 0);
  t.childAdded(0, 1);
  t.childAdded(0, 2);
  t.ended(0, Step.complete, 0);
  t.ended(1, Step.complete, 0);
  near(fractionOf(t, 0), 0.5);
  t.ended(2, Step.resolvedManually, 0);
  assert.equal(fractionOf(t, 0), 1);
});

test('a folder is at 1 when the last step anywhere below it has ended, however it ended', () => {
  const t = new ProgressTree();
  t.childAdded(TASK, 0);
  t.childAdded(0, 1);
  t.childAdded(1, 2);
  t.ended(0, Step.complete, 0);
  t.ended(1, Step.error, 0);
  assert.equal(fractionOf(t, 0), 0);
  t.ended(2, Step.error, 0);
  assert.deepEqual([fractionOf(t, 2), fractionOf(t, 1), fractionOf(t, 0)], [0, 0, 1]);
});

test('Reset: a failed step goes on from its checkpoint, a complete one from the beginning', () => {
  const t = upload(2);
  t.set(1, { fraction: 0.6 }, 0);
  t.checkpointed(1);
  t.set(1, { fraction: 0.8 }, 0);
  t.ended(1, Step.error, 0);
  t.ended(2, Step.complete, 0);
  near(fractionOf(t, 0), 0.9);
  t.reopened(1);
  t.reopened(2);
  near(fractionOf(t, 0), 0.3);
});

test('what has ended, or is unknown, hears no reports', () => {
  const t = upload(1);
  t.set(99, { fraction: 0.5 }, 0);
  t.ended(1, Step.error, 0);
  t.changed();
  t.set(1, { fraction: 0.5, message: 'late' }, 0);
  assert.deepEqual(t.changed(), []);
  assert.equal(t.of(99).fraction, 0);
});

test('changed gives the child and each ancestor, once, and nobody else', () => {
  const t = upload(3);
  t.childAdded(2, 4);
  t.changed();
  t.set(4, { fraction: 0.5 }, 0);
  t.set(4, { fraction: 0.6 }, 0);
  assert.deepEqual(new Set(t.changed()), new Set([TASK, 0, 2, 4]));
  assert.deepEqual(t.changed(), []);
  assert.deepEqual(t.ancestors(4), [2, 0, TASK]);
  t.set(4, { fraction: 0.6, message: 'a word only' }, 0);
  assert.deepEqual(t.changed(), [4]);
});

test('throughput and ETA follow injected times, through to the task', () => {
  const t = upload(2);
  t.started(1, 10_000);
  for (let s = 1; s <= 5; s++) t.set(1, { done: s * 100 }, 10_000 + s * 1000);
  for (const no of [0, TASK]) {
    near(t.of(no).rate ?? 0, 100, 'bytes per second');
    near((t.of(no).etaMs ?? 0) / 1000, 15);
  }
  const later = t.of(TASK, 25_000);
  assert.ok((later.rate ?? 0) < 60 && (later.etaMs ?? 0) > 25_000, 'silence slows it');
});

test('the first report is no speed when nobody said when the work began; nor is a new total or a load from the store', () => {
  const t = upload(4);
  t.ended(4, Step.complete);
  t.set(1, { done: 900 }, 1000);
  assert.equal(t.of(0).rate, null);
  assert.equal(t.of(0).etaMs, null);
  t.set(1, { done: 950 }, 2000);
  near(t.of(0).rate ?? 0, 50);
  t.set(2, { done: 0, total: 50 }, 3000);
  near(t.of(0).rate ?? 0, 50);
});

test('without sizes there is an ETA but no rate; after the end neither', () => {
  const t = new ProgressTree();
  t.childAdded(TASK, 0);
  t.started(0, 0);
  t.set(0, { fraction: 0.25 }, 1000);
  assert.equal(t.of(0).rate, null);
  near(t.of(0).etaMs ?? 0, 3000);
  t.ended(0, Step.complete, 2000);
  assert.equal(t.of(0).etaMs, null);
});

type Op =
  | { op: 'add'; parent: number; no: number; size: number; unit: ProgressUnit }
  | { op: 'set'; no: number; fraction: number }
  | { op: 'total'; no: number; done: number; total: number }
  | { op: 'keep'; no: number }
  | { op: 'retry'; no: number }
  | { op: 'reopen'; no: number }
  | { op: 'end'; no: number; state: StepState };

/** The rules once more, over plain records and by walking everything. */
interface Plain {
  parent: number;
  own: number;
  kept: number;
  size: number | null;
  unit: ProgressUnit;
  state: StepState | null;
}
class NaiveTree {
  readonly steps = new Map<number, Plain>();
  apply(o: Op): void {
    const s = this.steps.get(o.no);
    if (o.op === 'add') {
      if (s === undefined) this.steps.set(o.no, { parent: o.parent, own: 0, kept: 0, size: o.size < 0 ? null : o.size, unit: o.unit, state: null });
      return;
    }
    if (s === undefined) return;
    const good = s.state === Step.complete;
    if (o.op === 'end') {
      s.state = o.state;
      if (o.state === Step.complete) s.own = s.kept = 1;
    } else if (o.op === 'reopen') {
      if (s.state === null) return;
      if (good) s.kept = 0;
      s.own = s.kept;
      s.state = null;
    } else if (s.state !== null) return;
    else if (o.op === 'keep') s.kept = s.own;
    else if (o.op === 'retry') s.own = s.kept;
    else if (o.op === 'set') s.own = Math.max(s.own, o.fraction);
    else {
      s.unit = s.size === null ? 'bytes' : s.unit;
      s.size = o.total;
      if (o.total > 0) s.own = Math.min(1, Math.max(s.own, o.done / o.total));
    }
  }
  under(no: number): [number, Plain][] {
    const all = [...this.steps].filter(([, s]) => s.parent === no);
    const state = this.steps.get(no)?.state ?? null;
    return state === Step.error || state === Step.cancelled ? all : all.filter(([, s]) => s.state !== Step.cancelled);
  }
  settled(no: number): boolean {
    return this.steps.get(no)?.state != null && [...this.steps].every(([n, s]) => s.parent !== no || this.settled(n));
  }
  size(no: number): { size: number; unit: ProgressUnit } | null {
    const s = this.steps.get(no);
    if (s !== undefined && s.size !== null) return { size: s.size, unit: s.unit };
    const sizes = this.under(no).map(([n]) => this.size(n));
    if (sizes.length === 0 || sizes.some((x) => x === null || x.unit !== sizes[0]?.unit)) return null;
    return { size: sizes.reduce((sum, x) => sum + (x?.size ?? 0), 0), unit: sizes[0]?.unit ?? 'bytes' };
  }
  fraction(no: number): number {
    const s = this.steps.get(no);
    if (s?.state === Step.complete && this.settled(no)) return 1;
    const children = this.under(no);
    if (children.length === 0) return s?.own ?? 0;
    const known = children.flatMap(([n]) => this.size(n) ?? []);
    const sum = known.reduce((n, k) => n + k.size, 0);
    const equal = sum === 0 || known.some((k) => k.unit !== known[0].unit);
    const weights = children.map(([n]) => (equal ? 1 : (this.size(n)?.size ?? sum / known.length)));
    return children.reduce((n, [c], i) => n + this.fraction(c) * weights[i], 0) / weights.reduce((n, w) => n + w, 0);
  }
}

/** Numbers 0..11, each with the parent its number gives it, so that there is no cycle; parents may come after their children. */
const opsOf = (parents: readonly number[]): fc.Arbitrary<Op[]> => {
  const no = fc.integer({ min: 0, max: parents.length - 1 });
  const add = fc
    .tuple(no, fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: 5000 })), fc.constantFrom<ProgressUnit>('bytes', 'bytes', 'bytes', 'items'))
    .map(([n, size, unit]): Op => ({ op: 'add', parent: parents[n], no: n, size, unit }));
  const other = fc.oneof(
    fc.tuple(no, fc.double({ min: 0, max: 1, noNaN: true })).map(([n, fraction]): Op => ({ op: 'set', no: n, fraction })),
    fc.tuple(no, fc.nat(3000), fc.nat(2000)).map(([n, done, total]): Op => ({ op: 'total', no: n, done, total })),
    fc.tuple(no, fc.constantFrom<'keep' | 'retry' | 'reopen'>('keep', 'retry', 'reopen')).map(([n, op]): Op => ({ op, no: n })),
    fc.tuple(no, fc.constantFrom<StepState>(Step.complete, Step.complete, Step.error, Step.cancelled)).map(([n, state]): Op => ({ op: 'end', no: n, state })),
  );
  return fc.array(fc.oneof({ weight: 2, arbitrary: add }, { weight: 5, arbitrary: other }), { maxLength: 80, size: 'max' });
};
const cases = fc.array(fc.nat(), { minLength: 1, maxLength: 12, size: 'max' }).chain((draws) => {
  const parents = draws.map((d, i) => (i === 0 ? TASK : (d % (i + 1)) - 1));
  // Turned over in half of the cases: then children have lower numbers than their parents.
  return fc.boolean().chain((turn) =>
    opsOf(
      turn
        ? parents.map((_, i) => {
            const p = parents[parents.length - 1 - i];
            return p < 0 ? TASK : parents.length - 1 - p;
          })
        : parents,
    ),
  );
});

test('any history: the roll-up by difference is what a walk over everything gives, and says what it changed', () => {
  fc.assert(
    fc.property(cases, (ops) => {
      const tree = new ProgressTree();
      const naive = new NaiveTree();
      const shown = new Map<number, string>();
      ops.forEach((o, at) => {
        naive.apply(o);
        if (o.op === 'add') tree.childAdded(o.parent, o.no, o.size < 0 ? undefined : o.size, o.unit);
        else if (o.op === 'set') tree.set(o.no, { fraction: o.fraction }, at);
        else if (o.op === 'total') tree.set(o.no, { done: o.done, total: o.total }, at);
        else if (o.op === 'keep') tree.checkpointed(o.no);
        else if (o.op === 'retry') tree.retried(o.no);
        else if (o.op === 'reopen') tree.reopened(o.no);
        else tree.ended(o.no, o.state, at);
        const changed = new Set(tree.changed());
        for (const no of [TASK, ...naive.steps.keys()]) {
          const f = tree.of(no);
          near(f.fraction, naive.fraction(no), `fraction of ${no} after ${JSON.stringify(o)}`);
          const size = naive.size(no);
          assert.equal(f.unit, size?.unit ?? null, `unit of ${no}`);
          if (size !== null) near((f.total ?? 0) / (1 + size.size), size.size / (1 + size.size), `size of ${no}`);
          const parts = naive.under(no);
          assert.deepEqual(f.parts, { done: parts.filter(([, s]) => s.state === Step.complete).length, total: parts.length });
          const { rate: _, etaMs: __, ...facts } = f;
          const now = JSON.stringify(facts);
          if (shown.get(no) !== now && shown.has(no)) assert.ok(changed.has(no), `${no} changed unnoticed after ${JSON.stringify(o)}`);
          shown.set(no, now);
        }
      });
    }),
    { numRuns: 300 },
  );
});

test('an update costs its depth: 100,000 children, and only three steps are touched by each', () => {
  const t = upload(100_000);
  t.changed();
  let touched = 0;
  for (let no = 1; no <= 100_000; no++) {
    t.set(no, { done: 500 }, no);
    t.ended(no, Step.complete, no);
    touched += t.changed().length;
  }
  assert.equal(touched, 300_000);
  assert.equal(fractionOf(t, TASK), 1);
});
