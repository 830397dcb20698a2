import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { drawStepTree, type TreeStep, type TreeTask } from '../../src/cli/step-tree.ts';
import type { StepStateName } from '../../src/engine/views.ts';

const task: TreeTask = {
  id: '01890a5d-ac96-774b-bcce-b302099a8057',
  template: 'orders/order_fulfillment@1.0.0',
  state: 'steps_in_process',
  createdAt: 1000,
  completedAt: null,
  completionPercentage: 40,
};
const step = (name: string, state: StepStateName, after: string[] = [], more: Partial<TreeStep> = {}): TreeStep => ({
  name,
  state,
  attempts: state === 'pending' ? 0 : 1,
  maxAttempts: 3,
  startedAt: state === 'pending' ? null : 1000,
  completedAt: state === 'complete' ? 1120 : null,
  dependencies: after.map((d) => ({ name: d.replace('?', ''), required: !d.endsWith('?') })),
  ...more,
});

test('a graph with state, attempt, time, progress and what else it waits for', () => {
  const lines = drawStepTree(
    task,
    [
      step('validate', 'complete'),
      step('reserve', 'complete', ['validate']),
      step('pay', 'in_progress', ['reserve', 'validate'], { attempts: 2, progress: { fraction: 0.4, message: 'asking the bank' } }),
      step('notify', 'error', ['validate'], { completedAt: 2000, note: 'no route to host' }),
      step('ship', 'pending', ['pay', 'notify?']),
    ],
    { now: 3300 },
  );
  assert.deepEqual(lines, [
    '● orders/order_fulfillment@1.0.0  steps_in_process  40 %  2.3 s',
    '  ✔ validate       complete     1/3     120 ms',
    '  ├─ ✔ reserve     complete     1/3     120 ms',
    '  │  └─ ▶ pay      in_progress  2/3      2.3 s  ████░░░░░░ 40 % asking the bank',
    '  │     └─ · ship  pending                      also after notify?',
    '  └─ ✘ notify      error        1/3      1.0 s  no route to host',
  ]);
});

test('a retry says when, an ended task how long it took', () => {
  const ended = { ...task, state: 'error' as const, completedAt: 61_000, completionPercentage: 66.6 };
  const lines = drawStepTree(
    ended,
    [step('a', 'waiting_for_retry', [], { nextRetryAt: 4200 }), step('b', 'cancelled', ['a'], { note: 'dependency_failed', startedAt: null, attempts: 0 })],
    { now: 3000 },
  );
  assert.match(lines[0], /^✘ .*error {2}66 % {2}1 m 00 s$/);
  assert.match(lines[1], /↻ a .*waiting_for_retry {2}1\/3 +in 1\.2 s$/);
  assert.match(lines[2], /⊘ b .*cancelled .* dependency_failed$/);
});

test('what is filed below a step stands before what follows it, and looks different; a running task shows its progress', () => {
  const lines = drawStepTree(
    { ...task, template: 'tree', progress: 0.456 },
    [
      step('load', 'waiting_for_children', [], { id: 'L' }),
      step('mail', 'pending', ['load'], { id: 'M' }),
      step('load.a', 'in_progress', [], { id: 'A', parentId: 'L' }),
      step('load.b', 'pending', ['load.a'], { id: 'B', parentId: 'L' }),
    ],
    { now: 3300, width: 70 },
  );
  assert.match(lines[0], /45 %/);
  assert.deepEqual(
    lines.slice(1).map((l) => l.slice(0, 15).trimEnd()),
    ['  … load', '  ├─ ▶ load.a', '  ├─ · load.b', '  └→ · mail'],
  );
});

test('bars give way to the first figure, all alike', () => {
  const parts = { fraction: 0.35, message: 'on it', parts: { done: 7, total: 20 } };
  const steps = [
    step('a parent with a name', 'waiting_for_children', [], { progress: parts }),
    step('b', 'in_progress', [], { progress: { fraction: 0, message: 'm' } }),
  ];
  const at = (width: number): string[] => drawStepTree(task, steps, { now: 3300, width }).slice(1);
  assert.match(at(110)[0], / ███▌░{6} 35 % 7 of 20 parts {2}on it$/);
  assert.match(at(88)[0], / █▊░{3} 35 % 7 of 20 parts$/);
  assert.match(at(88)[1], / ░{5} 0 % m$/);
});

test('with too many steps the interesting ones stay and the rest is counted', () => {
  const steps = Array.from({ length: 1000 }, (_, i) => step(`s${i}`, i === 700 ? 'error' : i === 800 ? 'in_progress' : 'complete', i === 0 ? [] : ['s0']));
  const lines = drawStepTree(task, steps, { now: 3300, maxLines: 10 });
  assert.equal(lines.length, 10);
  assert.ok(lines.some((l) => l.includes('s700')) && lines.some((l) => l.includes('s800')));
  assert.match(lines[9], /… and 992 more: 992 complete/);
});

test('text from outside cannot move the cursor', () => {
  const [, line] = drawStepTree(task, [step('a', 'error', [], { note: 'x\u001b[2Jy\r\nz' })], { now: 3000 });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
  assert.doesNotMatch(line, /[\u0000-\u001f]/);
});

test('any graph: every step once, below what it waits for in the drawing or named, never wider than asked', () => {
  const states: StepStateName[] = ['pending', 'in_progress', 'complete', 'error', 'cancelled', 'waiting_for_retry'];
  const graph = fc.array(fc.record({ deps: fc.array(fc.nat(), { maxLength: 4 }), state: fc.constantFrom(...states), optional: fc.boolean() }), {
    minLength: 1,
    maxLength: 40,
  });
  fc.assert(
    fc.property(graph, fc.integer({ min: 60, max: 140 }), (spec, width) => {
      const steps = spec.map((s, i) =>
        step(`step_${i}_`, s.state, i === 0 ? [] : [...new Set(s.deps.map((d) => `step_${d % i}_`))].map((n) => (s.optional ? `${n}?` : n))),
      );
      const lines = drawStepTree(task, steps, { now: 5000, width });
      assert.equal(lines.length, steps.length + 1);
      for (const line of lines) assert.ok([...line].length <= width, `${line.length} > ${width}`);
      for (const s of steps) assert.equal(lines.filter((l) => l.includes(` ${s.name} `) && !l.includes(`after ${s.name}`)).length >= 1, true, s.name);
    }),
    { numRuns: 100 },
  );
});

test('very deep and very wide graphs are drawn too', () => {
  const steps = Array.from({ length: 50_000 }, (_, i) => step(`s${i}`, 'pending', i === 0 ? [] : [`s${i - 1}`]));
  assert.equal(drawStepTree(task, steps.reverse(), { now: 0, maxLines: 20 }).length, 20);
  assert.equal(
    drawStepTree(
      task,
      Array.from({ length: 150_000 }, (_, i) => step(`s${i}`, 'pending')),
      { now: 0 },
    ).length,
    150_001,
  );
});
