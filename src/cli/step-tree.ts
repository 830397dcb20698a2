/**
 * Draws a task as a tree of its steps. A graph is not a tree: a step hangs below its deepest dependency, and when it has more than
 * the steps above it, the line says after which; `?` marks an optional one. Where steps are filed below others, those hang there, and
 * an arrow leads to what only follows. Pure: views and a clock reading in, lines out.
 */
import type { ShownStepState, TaskStateName } from '../engine/views.ts';
import { type BarFacts, barOf, percentOf, progressWords } from './progress-bars.ts';
import { type Colour, duration, fit, pad, type Paint, printable } from './terminal.ts';

export interface TreeStep {
  id?: string;
  /** A step that it is filed under hangs above it, whatever it waits for. */
  parentId?: string | null;
  name: string;
  state: ShownStepState;
  attempts: number;
  maxAttempts: number;
  /** Milliseconds since 1970. */
  startedAt: number | null;
  completedAt: number | null;
  nextRetryAt?: number | null;
  dependencies: readonly { name: string; required: boolean }[];
  /** Last error, or why a cancelled step was cancelled. */
  note?: string | null;
  /** 0..1, and what the handler says about it. */
  progress?: (BarFacts & { message: string | null }) | null;
}

export interface TreeTask {
  id: string;
  /** `namespace/name@version`. */
  template: string;
  state: TaskStateName;
  createdAt: number;
  completedAt: number | null;
  completionPercentage: number;
  /** 0..1, with the progress of running steps; what a task that has not ended shows. Default: by completionPercentage. */
  progress?: number;
  note?: string | null;
}

export interface DrawOptions {
  /** Milliseconds since 1970; running steps show the time since they started. */
  now: number;
  /** Lines are cut to this width. Default 80. */
  width?: number;
  /** Most lines to give; the steps that matter least are folded into one line. Default: no limit. */
  maxLines?: number;
  paint?: Paint;
}

const GLYPHS: Readonly<Record<string, [glyph: string, colour: Colour]>> = {
  pending: ['·', 'dim'],
  enqueued: ['○', 'cyan'],
  in_progress: ['▶', 'blue'],
  enqueued_for_orchestration: ['▷', 'blue'],
  waiting_for_retry: ['↻', 'yellow'],
  waiting_for_children: ['…', 'cyan'],
  complete: ['✔', 'green'],
  error: ['✘', 'red'],
  cancelled: ['⊘', 'yellow'],
  resolved_manually: ['☑', 'green'],
};
/** Steps are folded from the right end of this list first. */
const INTEREST = [
  'error',
  'in_progress',
  'waiting_for_retry',
  'waiting_for_children',
  'enqueued_for_orchestration',
  'enqueued',
  'cancelled',
  'resolved_manually',
  'complete',
  'pending',
];
/** A chain of 200 steps must not walk off the right edge. */
const DEEPEST_INDENT = 7;
const LONGEST_BAR = 10;
const SHORTEST_BAR = 4;

const glyphOf = (state: string): [string, Colour] => GLYPHS[state] ?? ['▶', 'blue'];

interface Node {
  step: TreeStep;
  level: number;
  children: number[];
  parent: number;
  /** Hangs below a dependency, not below a parent. */
  loose?: boolean;
}

/**
 * Levels (longest way from a root) and parents. Steps may arrive in any order; a dependency that is not among them is ignored. `filed`:
 * some step has a parent.
 */
const arrange = (steps: readonly TreeStep[]): { nodes: Node[]; roots: number[]; filed: boolean } => {
  const index = new Map(steps.map((s, i) => [s.name, i]));
  const nodes: Node[] = steps.map((step) => ({ step, level: 0, children: [], parent: -1 }));
  const before = steps.map((s, i) => s.dependencies.map((d) => index.get(d.name)).filter((d): d is number => d !== undefined && d !== i));
  const dependants: number[][] = steps.map(() => []);
  before.forEach((list, i) => list.forEach((d) => dependants[d].push(i)));
  const open = before.map((list) => list.length);
  const ready = open.flatMap((n, i) => (n === 0 ? [i] : []));
  for (let at = 0; at < ready.length; at++) {
    for (const i of dependants[ready[at]]) if (--open[i] === 0) ready.push(i);
    const node = nodes[ready[at]];
    for (const d of before[ready[at]]) {
      if (nodes[d].level < node.level && node.parent >= 0) continue;
      node.level = nodes[d].level + 1;
      node.parent = d;
    }
  }
  const byId = new Map(steps.flatMap((s, i) => (s.id === undefined ? [] : [[s.id, i] as const])));
  steps.forEach((s, i) => {
    const parent = s.parentId == null ? undefined : byId.get(s.parentId);
    if (parent !== undefined && parent !== i) nodes[i].parent = parent;
    else nodes[i].loose = true;
  });
  // A parent that waits for a step below it hangs at the edge, or the two would hang below each other.
  nodes.forEach((node, i) => {
    if (!node.loose) return;
    for (let up = node.parent; up >= 0; up = nodes[up].parent) {
      if (up !== i) continue;
      node.parent = -1;
      return;
    }
  });
  const roots: number[] = [];
  // What is filed below a step stands before what only follows it.
  for (const loose of [false, true])
    nodes.forEach((node, i) => {
      if ((node.loose === true) === loose) (node.parent < 0 ? roots : nodes[node.parent].children).push(i);
    });
  return { nodes, roots, filed: nodes.some((node) => node.loose !== true) };
};

const timeOf = (step: TreeStep, now: number): string => {
  if (step.state === 'waiting_for_retry' && step.nextRetryAt != null) return `in ${duration(step.nextRetryAt - now)}`;
  if (step.startedAt === null) return '';
  const end =
    step.completedAt ?? (step.state === 'in_progress' || step.state === 'enqueued_for_orchestration' || step.state === 'waiting_for_children' ? now : null);
  return end === null ? '' : duration(end - step.startedAt);
};

/** Of a step that has begun and not ended. */
const progressOf = (step: TreeStep): NonNullable<TreeStep['progress']> | null =>
  step.state === 'in_progress' || step.state === 'waiting_for_children' || step.state === 'waiting_for_retry' ? (step.progress ?? null) : null;

/** Without those at the end that have no room: half a figure says nothing. */
const wholeFigures = (text: string, room: number): string => {
  const figures = text.split('  ');
  while (figures.length > 1 && [...figures.join('  ')].length > room) figures.pop();
  return figures.join('  ');
};

/** One line about the task. */
export const drawTaskLine = (task: TreeTask, o: DrawOptions): string => {
  const paint = o.paint ?? ((_, t) => t);
  const ended = task.completedAt !== null;
  const [glyph, colour] = ended ? glyphOf(task.state) : (['●', 'blue'] as [string, Colour]);
  const done = ended || task.progress === undefined ? `${Math.floor(task.completionPercentage)} %` : percentOf(task.progress);
  const percent = ended && task.state === 'complete' ? '' : `  ${done}`;
  const tail = `  ${task.state}${percent}  ${duration((task.completedAt ?? o.now) - task.createdAt)}`;
  const room = (o.width ?? 80) - 2 - tail.length;
  const name = printable(task.template);
  const id = room - name.length - 2 >= task.id.length ? `  ${task.id}` : '';
  return `${paint(colour, glyph)} ${paint('bold', fit(name, room))}${paint('dim', id)}${paint(colour, tail)}`;
};

const widest = <T>(items: readonly T[], least: number, of: (item: T) => number): number => items.reduce((n, item) => Math.max(n, of(item)), least);

/** What a step waits for beside the steps above it in the tree: that much its place says. */
const alsoAfter = (nodes: readonly Node[], at: number): string => {
  const { step, parent } = nodes[at];
  if (step.dependencies.length === 0) return '';
  const above = new Set<string>();
  for (let up = parent; up >= 0; up = step.dependencies.length > 1 ? nodes[up].parent : -1) above.add(nodes[up].step.name);
  const others = step.dependencies.filter((d) => !above.has(d.name)).map((d) => printable(d.name) + (d.required ? '' : '?'));
  return others.length === 0 ? '' : `also after ${others.join(', ')}`;
};

/** The task's line, then one line a step. */
export const drawStepTree = (task: TreeTask, steps: readonly TreeStep[], o: DrawOptions): string[] => {
  const paint = o.paint ?? ((_, t) => t);
  const width = o.width ?? 80;
  const { nodes, roots, filed } = arrange(steps);

  const room = o.maxLines === undefined ? Infinity : Math.max(1, o.maxLines - 2);
  const shown = new Set<number>();
  if (nodes.length <= room) nodes.forEach((_, i) => shown.add(i));
  else {
    const byInterest = nodes.map((n, i) => [INTEREST.indexOf(n.step.state), n.level, i] as const).sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
    for (const [, , i] of byInterest.slice(0, room)) shown.add(i);
  }

  const facts = (step: TreeStep): string => {
    const attempt = step.attempts === 0 ? '' : `${step.attempts}/${Math.max(1, step.maxAttempts)}`;
    return `${pad(attempt, 5)} ${timeOf(step, o.now).padStart(8)}`;
  };
  const drawn = [...shown].map((i) => nodes[i].step);
  const stateWidth = Math.min(
    width < 60 ? 10 : 26,
    widest(drawn, 0, (s) => s.state.length),
  );
  const factsWidth = widest(drawn, 14, (s) => facts(s).length);
  const nameLimit = Math.max(6, width - 6 - stateWidth - factsWidth);
  const deepest = Math.max(0, Math.min(DEEPEST_INDENT, Math.floor((nameLimit - 12) / 3)));

  const rows: { head: string; step: TreeStep; after: string }[] = [];
  const walk: { at: number; prefix: string; last: boolean; depth: number }[] = roots.map((at) => ({ at, prefix: '', last: true, depth: 0 })).reverse();
  while (walk.length > 0) {
    const { at, prefix, last, depth } = walk.pop() as (typeof walk)[number];
    const { step, children } = nodes[at];
    if (shown.has(at))
      rows.push({ head: depth === 0 ? '' : `${prefix}${last ? '└' : '├'}${filed && nodes[at].loose ? '→' : '─'} `, step, after: alsoAfter(nodes, at) });
    const below = depth === 0 || depth >= deepest ? prefix : prefix + (last ? '   ' : '│  ');
    for (let i = children.length - 1; i >= 0; i--)
      walk.push({ at: children[i], prefix: below, last: i === children.length - 1, depth: Math.min(depth + 1, deepest) });
  }

  const nameWidth = Math.min(
    nameLimit,
    widest(rows, 4, (r) => r.head.length + 2 + r.step.name.length),
  );
  const restWidth = width - 8 - nameWidth - stateWidth - factsWidth;
  // Bars give way to the first of the figures, all alike.
  const barWidth = rows.reduce((least, { step }) => {
    const p = progressOf(step);
    if (p === null) return least;
    const [figure] = progressWords({ ...p, message: null }).split('  ');
    return Math.max(SHORTEST_BAR, Math.min(least, restWidth - percentOf(p.fraction).length - figure.length - 2));
  }, LONGEST_BAR);
  const lines = rows.map(({ head, step, after }) => {
    const [glyph, colour] = glyphOf(step.state);
    const room = Math.max(0, nameWidth - head.length - 2);
    const name = pad(fit(printable(step.name), room), room);
    const p = progressOf(step);
    const doing = p === null ? '' : `${barOf(p.fraction, barWidth)} ${percentOf(p.fraction)} ${progressWords(p)}`.trimEnd();
    // The line is short: what went wrong says more than what it waited for.
    const note = step.state === 'complete' ? '' : (step.note ?? '');
    const remark = note !== '' ? note : [wholeFigures(doing, restWidth), after].filter((t) => t !== '').join(', ');
    const rest = fit(printable(remark), restWidth);
    const state = paint(colour, pad(fit(step.state, stateWidth), stateWidth));
    return `  ${paint('dim', head)}${paint(colour, glyph)} ${name}  ${state}  ${pad(facts(step), factsWidth)}${rest === '' ? '' : `  ${paint('dim', rest)}`}`.trimEnd();
  });

  const folded = nodes.length - shown.size;
  if (folded > 0) {
    const counts = new Map<string, number>();
    nodes.forEach((n, i) => {
      if (!shown.has(i)) counts.set(n.step.state, (counts.get(n.step.state) ?? 0) + 1);
    });
    lines.push(paint('dim', fit(`  … and ${folded} more: ${[...counts].map(([s, n]) => `${n} ${s}`).join(', ')}`, width)));
  }
  return [drawTaskLine(task, o), ...lines];
};
