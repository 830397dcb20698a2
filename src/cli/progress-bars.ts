/** Draws how far the steps of a task are: a bar a step, children below their parent. Pure: facts in, lines out. */
import type { ShownStepState } from '../engine/views.ts';
import { type Colour, duration, fit, pad, type Paint, printable } from './terminal.ts';

export interface BarFacts {
  /** 0..1. */
  fraction: number;
  message?: string | null;
  /** Both in `unit`. */
  done?: number | null;
  total?: number | null;
  /** Default bytes. */
  unit?: 'bytes' | 'items' | null;
  /** Direct children that are complete, of how many. */
  parts?: { done: number; total: number } | null;
  /** Units per second. */
  rate?: number | null;
  etaMs?: number | null;
}

export interface BarStep extends BarFacts {
  id: string;
  /** Null, or the id of a step that is not drawn: it stands at the left edge. */
  parentId: string | null;
  name: string;
  state: ShownStepState;
  /** Why it failed or was cancelled. */
  note?: string | null;
}

export interface BarOptions {
  /** Lines are cut to this width. Default 80. */
  width?: number;
  /** Most lines to give; the steps that matter least are folded into the last one. Default: no limit. */
  maxLines?: number;
  paint?: Paint;
}

const COLOURS: Readonly<Partial<Record<ShownStepState, Colour>>> = {
  complete: 'green',
  resolved_manually: 'green',
  error: 'red',
  cancelled: 'yellow',
  waiting_for_retry: 'yellow',
  pending: 'dim',
  enqueued: 'dim',
};
/** Steps are folded from the right end of this list first. */
const INTEREST: readonly ShownStepState[] = [
  'error',
  'in_progress',
  'waiting_for_children',
  'enqueued_for_orchestration',
  'waiting_for_retry',
  'cancelled',
  'resolved_manually',
  'complete',
  'enqueued',
  'pending',
];
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/** A deep tree must not walk off the right edge. */
const DEEPEST_INDENT = 8;

/** A bar of exactly so many columns. It is full only at 1, and never empty where something was done. */
export const barOf = (fraction: number, width: number): string => {
  const f = Math.min(1, Math.max(0, fraction || 0));
  const eighths = f === 1 ? width * 8 : Math.min(width * 8 - 1, Math.max(f > 0 ? 1 : 0, Math.floor(f * width * 8)));
  const bar = '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
  return bar + '░'.repeat(Math.max(0, width - bar.length));
};

/** `35 %`. Cut, not rounded: 100 % means the end. */
export const percentOf = (fraction: number): string => `${Math.floor(Math.min(1, Math.max(0, fraction || 0)) * 100 + 1e-9)} %`;

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const scaleOf = (n: number): number => Math.min(BYTE_UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, n)) / 10 + 1e-12)));
const grouped = (n: number): string => String(Math.floor(n)).replace(/\B(?=(?:\d{3})+$)/g, ',');
/** At most one decimal, none where it would be 0 or says little. */
const scaled = (n: number, scale: number): string => {
  const x = n / 1024 ** scale;
  return x >= 100 || scale === 0 ? grouped(x) : (Math.floor(x * 10) / 10).toFixed(1).replace(/\.0$/, '');
};

/** `3.5 of 10 GiB`, `896 of 1,024 MiB`, `7,200 of 10,000`. */
export const amountOf = (done: number, total: number, unit: 'bytes' | 'items'): string => {
  if (unit === 'items') return `${grouped(done)} of ${grouped(total)}`;
  // Below ten of a unit one decimal says too little.
  const scale = scaleOf(total / 10);
  return `${scaled(done, scale)} of ${scaled(total, scale)} ${BYTE_UNITS[scale]}`;
};

/** `12.5 MiB/s`, `80/s`. */
export const rateOf = (perSecond: number, unit: 'bytes' | 'items'): string => {
  if (unit === 'items') return `${perSecond < 10 ? Math.floor(perSecond * 10) / 10 : grouped(perSecond)}/s`;
  const scale = scaleOf(perSecond);
  return `${scaled(perSecond, scale)} ${BYTE_UNITS[scale]}/s`;
};

const hasEnded = (state: ShownStepState): boolean =>
  state === 'complete' || state === 'not_taken' || state === 'error' || state === 'cancelled' || state === 'resolved_manually';

/** Parts, amount, speed, time left, and what the handler says: of a step that has not ended. */
export const progressWords = (p: BarFacts): string => {
  const unit = p.unit ?? 'bytes';
  const words: string[] = [];
  if (p.parts != null && p.parts.total > 0) words.push(`${grouped(p.parts.done)} of ${grouped(p.parts.total)} parts`);
  if (p.done != null && p.total != null) words.push(amountOf(p.done, p.total, unit));
  if (p.rate != null) words.push(rateOf(p.rate, unit));
  if (p.etaMs != null) words.push(`${duration(p.etaMs)} left`);
  if (p.message != null && p.message !== '') words.push(printable(p.message));
  return words.join('  ');
};

/** What stands beside the bar, the most important first: the right end is what a narrow terminal cuts off. */
const wordsOf = (s: BarStep): string => {
  const unit = s.unit ?? 'bytes';
  const ended = hasEnded(s.state);
  const words: string[] = [];
  if (s.state === 'error' || s.state === 'cancelled' || s.state === 'waiting_for_retry') words.push(s.state);
  if (s.parts != null && s.parts.total > 0) words.push(`${grouped(s.parts.done)} of ${grouped(s.parts.total)} parts`);
  if (s.done != null && s.total != null) words.push(amountOf(s.done, s.total, unit));
  if (!ended && s.rate != null) words.push(rateOf(s.rate, unit));
  if (!ended && s.etaMs != null) words.push(`${duration(s.etaMs)} left`);
  const said = s.note ?? (ended ? null : s.message);
  if (said != null && said !== '') words.push(printable(said));
  return words.join('  ');
};

interface Row {
  step: BarStep;
  depth: number;
}

/** Parents before their children, siblings in the order given. */
const arrange = (steps: readonly BarStep[]): Row[] => {
  const known = new Set(steps.map((s) => s.id));
  const below = new Map<string | null, BarStep[]>();
  for (const s of steps) {
    const parent = s.parentId !== null && s.parentId !== s.id && known.has(s.parentId) ? s.parentId : null;
    const list = below.get(parent);
    if (list === undefined) below.set(parent, [s]);
    else list.push(s);
  }
  const rows: Row[] = [];
  const walk: Row[] = (below.get(null) ?? []).map((step) => ({ step, depth: 0 })).reverse();
  for (let row = walk.pop(); row !== undefined; row = walk.pop()) {
    rows.push(row);
    const children = below.get(row.step.id) ?? [];
    for (let i = children.length - 1; i >= 0; i--) walk.push({ step: children[i], depth: row.depth + 1 });
  }
  return rows;
};

/** The rows that are shown, and the line about the others. A row is shown only with all that it hangs below. */
const choose = (rows: readonly Row[], maxLines: number): { shown: Row[]; rest: string | null } => {
  if (rows.length <= maxLines) return { shown: [...rows], rest: null };
  const room = Math.max(0, maxLines - 1);
  const parentOf: number[] = [];
  const open: number[] = [];
  rows.forEach((row, i) => {
    open.length = row.depth;
    parentOf.push(row.depth === 0 ? -1 : open[row.depth - 1]);
    open.push(i);
  });
  const order = rows.map((r, i) => [INTEREST.indexOf(r.step.state), r.depth, i] as const).sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
  const kept = new Set<number>();
  for (const [, , i] of order) {
    if (kept.size >= room) break;
    const path: number[] = [];
    for (let up = i; up >= 0 && !kept.has(up) && path.length <= room; up = parentOf[up]) path.push(up);
    if (kept.size + path.length <= room) for (const at of path) kept.add(at);
  }
  const counts = new Map<ShownStepState, number>();
  rows.forEach((r, i) => kept.has(i) || counts.set(r.step.state, (counts.get(r.step.state) ?? 0) + 1));
  const kinds = [...counts].sort((a, b) => b[1] - a[1]).map(([state, n]) => `${grouped(n)} ${state}`);
  return { shown: rows.filter((_, i) => kept.has(i)), rest: `… and ${grouped(rows.length - kept.size)} more: ${kinds.join(', ')}` };
};

/** One line a step: name, bar, percent, and what is known of parts, amount, speed and time left. */
export const drawProgressBars = (steps: readonly BarStep[], o: BarOptions = {}): string[] => {
  const width = o.width ?? 80;
  const paint = o.paint ?? ((_, t) => t);
  const { shown, rest } = choose(arrange(steps), o.maxLines ?? Infinity);
  const labels = shown.map((r) => '  '.repeat(Math.min(r.depth, DEEPEST_INDENT)) + printable(r.step.name));
  const nameWidth = Math.min(
    Math.max(6, Math.floor(width * 0.35)),
    labels.reduce((n, l) => Math.max(n, [...l].length), 0),
  );
  const barWidth = Math.max(4, Math.min(24, Math.floor((width - nameWidth) / 3)));
  const lines = shown.map(({ step }, i) => {
    const head = `${pad(fit(labels[i], nameWidth), nameWidth)} `;
    const colour = COLOURS[step.state] ?? 'blue';
    const percent = percentOf(step.fraction).padStart(6);
    const room = width - [...head].length - barWidth - percent.length - 2;
    const words = room > 0 ? fit(wordsOf(step), room) : '';
    // A terminal of a few columns: what does not fit is left out from the right.
    if (room < 0) return fit(`${head}${barOf(step.fraction, barWidth)}${percent}`, width);
    return `${head}${paint(colour, barOf(step.fraction, barWidth))}${percent}${words === '' ? '' : `  ${paint('dim', words)}`}`;
  });
  return rest === null ? lines : [...lines, paint('dim', fit(rest, width))];
};
