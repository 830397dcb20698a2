/** From samples to lines, and from lines to the table that people read and the objects that programs read. */
import { median, significant } from './statistics.ts';
import type { Budget, Numbers, Workload } from './workload.ts';

export interface ReportLine {
  workload: string;
  store: string;
  slots: number;
  metric: string;
  /** Median over the processes. */
  value: number;
  unit: string;
  /** What the same effect costs without an engine, in the same unit; null: nothing to compare with. */
  floor: number | null;
  /** value / floor. */
  ratio: number | null;
}

export interface JudgedLine extends ReportLine {
  budget: Budget | null;
  met: boolean | null;
  /** Lowest and highest of the processes. */
  low: number;
  high: number;
}

/** Lines of one workload at one number of slots. `floors` are the numbers of its floor, one per repetition. */
export function linesOf(workload: Workload, slots: number, samples: readonly Numbers[], floors: readonly Numbers[]): JudgedLine[] {
  const floor = medians(floors);
  const self = medians(samples);
  return workload.lines
    .filter((line) => samples.some((sample) => line.metric in sample))
    .map((line) => {
      const all = samples.map((sample) => sample[line.metric]).filter((value) => value !== undefined);
      const value = median(all);
      const below = line.floor?.(floor, self);
      const base = below === undefined || !Number.isFinite(below) || below <= 0 ? null : below;
      const ratio = base === null ? null : value / base;
      const budget = line.budget?.(slots) ?? null;
      return {
        workload: workload.name,
        store: 'sqlite',
        slots,
        metric: line.metric,
        value: significant(value),
        unit: line.unit,
        floor: base === null ? null : significant(base),
        ratio: ratio === null ? null : significant(ratio),
        budget,
        met: budget === null ? null : meets(budget, budget.of === 'value' ? value : ratio),
        low: significant(Math.min(...all)),
        high: significant(Math.max(...all)),
      };
    });
}

export function meets(budget: Budget, measured: number | null): boolean {
  if (measured === null || !Number.isFinite(measured)) return false;
  return (budget.atMost === undefined || measured <= budget.atMost) && (budget.atLeast === undefined || measured >= budget.atLeast);
}

function medians(all: readonly Numbers[]): Numbers {
  const names = new Set(all.flatMap((numbers) => Object.keys(numbers)));
  return Object.fromEntries([...names].map((name) => [name, median(all.map((numbers) => numbers[name]).filter((value) => value !== undefined))]));
}

/** The eight keys of the public form, in their order. */
export function jsonLine(line: ReportLine): string {
  const { workload, store, slots, metric, value, unit, floor, ratio } = line;
  return JSON.stringify({ workload, store, slots, metric, value, unit, floor, ratio });
}

const HEAD = ['workload', 'slots', 'metric', 'median', 'unit', 'low..high', 'floor', 'ratio', 'budget', ''];

export function table(lines: readonly JudgedLine[]): string {
  const rows = lines.map((line) => [
    line.workload,
    String(line.slots),
    line.metric,
    figure(line.value),
    line.unit,
    `${figure(line.low)}..${figure(line.high)}`,
    line.floor === null ? '' : figure(line.floor),
    line.ratio === null ? '' : `${figure(line.ratio)}x`,
    budgetText(line.budget),
    line.met === null ? '' : line.met ? 'pass' : 'MISSED',
  ]);
  const widths = HEAD.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i].length)));
  const right = new Set([1, 3, 6, 7]);
  const draw = (row: readonly string[]): string =>
    row
      .map((cell, i) => (right.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd();
  return [
    draw(HEAD),
    widths
      .map((width) => '-'.repeat(width))
      .join('  ')
      .trimEnd(),
    ...rows.map(draw),
  ].join('\n');
}

function budgetText(budget: Budget | null): string {
  if (budget === null) return '';
  const unit = budget.of === 'ratio' ? 'x' : '';
  return budget.atMost === undefined ? `>= ${figure(budget.atLeast ?? 0)}${unit}` : `<= ${figure(budget.atMost)}${unit}`;
}

export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}
