import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { amountOf, barOf, type BarStep, drawProgressBars, percentOf, rateOf } from '../../src/cli/progress-bars.ts';
import { paintWith } from '../../src/cli/terminal.ts';
import type { StepStateName } from '../../src/engine/views.ts';

const MiB = 1024 * 1024;
const step = (id: string, parentId: string | null, state: StepStateName, fraction: number, more: Partial<BarStep> = {}): BarStep => ({
  id,
  parentId,
  name: id,
  state,
  fraction,
  ...more,
});

test('name, bar, percent, parts, amount, speed and time left; children below their parent', () => {
  const lines = drawProgressBars(
    [
      step('upload', null, 'waiting_for_children', 0.35, {
        parts: { done: 7, total: 20 },
        done: 3584 * MiB,
        total: 10_240 * MiB,
        rate: 12.5 * MiB,
        etaMs: 65_000,
      }),
      step('part 1', 'upload', 'complete', 1, { done: 1024 * MiB, total: 1024 * MiB, rate: 5, etaMs: 5 }),
      step('part 2', 'upload', 'in_progress', 0.5, { message: 'sending' }),
      step('part 3', 'upload', 'error', 0.25, { note: 'no route to host', message: 'sending' }),
      step('notify', null, 'pending', 0),
    ],
    { width: 100 },
  );
  assert.deepEqual(lines, [
    'upload   ████████▍░░░░░░░░░░░░░░░  35 %  7 of 20 parts  3.5 of 10 GiB  12.5 MiB/s  1 m 05 s left',
    '  part 1 ████████████████████████ 100 %  1,024 of 1,024 MiB',
    '  part 2 ████████████░░░░░░░░░░░░  50 %  sending',
    '  part 3 ██████░░░░░░░░░░░░░░░░░░  25 %  error  no route to host',
    'notify   ░░░░░░░░░░░░░░░░░░░░░░░░   0 %',
  ]);
});

test('a bar is full only at the end and never empty where something was done', () => {
  assert.equal(barOf(0, 4), '░░░░');
  assert.equal(barOf(0.000_01, 4), '▏░░░');
  assert.equal(barOf(0.999_99, 4), '███▉');
  assert.equal(barOf(1, 4), '████');
  assert.equal(barOf(Number.NaN, 2), '░░');
  assert.equal(percentOf(0.999_99), '99 %');
  assert.equal(percentOf(0.29), '29 %');
});

test('amounts and speeds in units a person reads', () => {
  assert.equal(amountOf(0, 10_737_418_240, 'bytes'), '0 of 10 GiB');
  assert.equal(amountOf(1023, 1024, 'bytes'), '1,023 of 1,024 B');
  assert.equal(amountOf(15.99 * MiB, 16 * MiB, 'bytes'), '15.9 of 16 MiB');
  assert.equal(amountOf(512, 900, 'bytes'), '512 of 900 B');
  assert.equal(amountOf(7200, 10_000, 'items'), '7,200 of 10,000');
  assert.equal(rateOf(3 * MiB, 'bytes'), '3 MiB/s');
  assert.equal(rateOf(2.55, 'items'), '2.5/s');
});

test('with too many steps the running ones stay, with their parents, and the rest is counted', () => {
  const steps = [
    step('upload', null, 'waiting_for_children', 0.5),
    ...Array.from({ length: 1000 }, (_, i) => step(`part ${i}`, 'upload', i === 700 ? 'in_progress' : i < 700 ? 'complete' : 'pending', i < 700 ? 1 : 0)),
  ];
  const lines = drawProgressBars(steps, { maxLines: 4 });
  assert.equal(lines.length, 4);
  assert.match(lines[0], /^upload/);
  assert.ok(lines.some((l) => l.startsWith('  part 700 ')));
  assert.equal(lines[3], '… and 998 more: 699 complete, 299 pending');
});

test('text from outside cannot move the cursor; colour does not count for the width', () => {
  const [line] = drawProgressBars([step('a\u001b[2J', null, 'error', 0.5, { note: 'x\r\ny' })], { width: 60 });
  assert.doesNotMatch(line, /[\u0000-\u001f]/);
  const [coloured] = drawProgressBars([step('a\u001b[2J', null, 'error', 0.5, { note: 'x\r\ny' })], { width: 60, paint: paintWith(true) });
  assert.equal(coloured.replace(/\u001b\[\d+m/g, ''), line);
});

test('any forest: every step once, never wider than asked', () => {
  const states: StepStateName[] = ['pending', 'in_progress', 'complete', 'error', 'cancelled', 'waiting_for_children'];
  const forest = fc.array(
    fc.record({
      up: fc.nat(),
      state: fc.constantFrom(...states),
      fraction: fc.double({ min: 0, max: 1, noNaN: true }),
      total: fc.option(fc.nat()),
      note: fc.option(fc.string()),
    }),
    { minLength: 1, maxLength: 40 },
  );
  fc.assert(
    fc.property(forest, fc.integer({ min: 20, max: 140 }), fc.integer({ min: 1, max: 50 }), (spec, width, maxLines) => {
      const steps = spec.map((s, i) =>
        step(`s${i}.`, i === 0 || s.up % 3 === 0 ? null : `s${s.up % i}.`, s.state, s.fraction, {
          total: s.total,
          done: s.total === null ? null : Math.floor(s.total * s.fraction),
          note: s.note,
        }),
      );
      const all = drawProgressBars(steps, { width });
      assert.equal(all.length, steps.length);
      for (const s of steps) assert.ok(width < 60 || all.some((l) => l.trimStart().startsWith(`${s.name} `)), s.name);
      for (const line of [...all, ...drawProgressBars(steps, { width, maxLines })]) assert.ok([...line].length <= width, `${line.length} > ${width}`);
      assert.equal(drawProgressBars(steps, { width, maxLines }).length, Math.min(maxLines, steps.length));
    }),
    { numRuns: 200 },
  );
});

test('very deep and very wide trees are drawn too', () => {
  const deep = Array.from({ length: 20_000 }, (_, i) => step(`s${i}`, i === 0 ? null : `s${i - 1}`, 'pending', 0));
  assert.ok(drawProgressBars(deep, { maxLines: 20 }).length === 20);
  const wide = Array.from({ length: 100_000 }, (_, i) => step(`s${i}`, null, 'in_progress', 0.5));
  assert.equal(drawProgressBars(wide).length, 100_000);
});
