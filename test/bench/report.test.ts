import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figure, jsonLine, linesOf, meets, table } from '../../bench/report.ts';
import { median, quantile, significant } from '../../bench/statistics.ts';
import { atLeast, atMost, bySlots, type Workload } from '../../bench/workload.ts';

const workload: Workload = {
  name: 'sample',
  about: '',
  floor: 'commit',
  slots: 'every',
  repetitions: { quick: 1, full: 1 },
  limit: 1,
  run: () => Promise.reject(new Error('not run here')),
  lines: [
    { metric: 'ms', unit: 'ms', floor: (floor) => floor['ms'], budget: () => atMost(2, 'ratio') },
    { metric: 'per_s', unit: 'x/s', budget: bySlots(atLeast(100), atLeast(200)) },
    { metric: 'self', unit: 'x', floor: (_, self) => self['half'] },
    { metric: 'absent', unit: 'x' },
  ],
};

test('a line is the median of the processes, its ratio is to the median of the floors', () => {
  const samples = [
    { ms: 3, per_s: 150, self: 4, half: 2 },
    { ms: 100, per_s: 150, self: 4, half: 2 },
    { ms: 2, per_s: 150, self: 4, half: 2 },
  ];
  const lines = linesOf(workload, 50, samples, [{ ms: 1 }, { ms: 2 }, { ms: 90 }]);
  assert.deepEqual(
    lines.map(({ metric, value, floor, ratio, met, low, high }) => ({ metric, value, floor, ratio, met, low, high })),
    [
      { metric: 'ms', value: 3, floor: 2, ratio: 1.5, met: true, low: 2, high: 100 },
      { metric: 'per_s', value: 150, floor: null, ratio: null, met: true, low: 150, high: 150 },
      { metric: 'self', value: 4, floor: 2, ratio: 2, met: null, low: 4, high: 4 },
    ],
  );
});

test('each number of slots has its own budget, and another number none', () => {
  const met = (slots: number): boolean | null => linesOf(workload, slots, [{ per_s: 150 }], [])[0].met;
  assert.equal(met(50), true);
  assert.equal(met(500), false);
  assert.equal(met(7), null);
});

test('a budget on a ratio without a floor is missed, not passed', () => {
  const [line] = linesOf(workload, 50, [{ ms: 0.1 }], []);
  assert.deepEqual([line.floor, line.ratio, line.met], [null, null, false]);
  assert.equal(meets(atMost(1), Number.NaN), false);
  assert.equal(meets(atLeast(1), 1), true);
});

test('the public form has its eight keys in order', () => {
  const [line] = linesOf(workload, 50, [{ ms: 0.123456 }], [{ ms: 0.1 }]);
  assert.equal(jsonLine(line), '{"workload":"sample","store":"sqlite","slots":50,"metric":"ms","value":0.1235,"unit":"ms","floor":0.1,"ratio":1.235}');
});

test('the table marks what is missed', () => {
  const lines = linesOf(workload, 500, [{ ms: 0.3, per_s: 150 }], [{ ms: 0.1 }]);
  const [head, rule, first, second] = table(lines).split('\n');
  assert.match(head, /^workload +slots +metric +median/);
  assert.match(rule, /^-+( +-+)+$/);
  assert.match(first, / 3x +<= 2x +MISSED$/);
  assert.match(second, />= 200 +MISSED$/);
});

test('quantiles interpolate, and figures stay short', () => {
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
  assert.equal(quantile([5], 0.99), 5);
  assert.ok(Number.isNaN(median([])));
  assert.equal(significant(123_456), 123_500);
  assert.equal(figure(54_321.7), '54,322');
  assert.equal(figure(0.15678), '0.157');
});
