/** A part of a task's tree, small enough for one answer however large the task is. */
import { TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { type SimpleStatus, calculateProgress, calculateStatus, simpleStatus } from '../core/simple-status.ts';
import { type StepState, isAbsent, isStepSuccessful } from '../core/step-states.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { StepViews } from './step-views.ts';
import type { TreeNode, TreeView } from './views.ts';

/** Steps in one answer. */
const ANSWER = 1000;
const DEFAULT_LIMIT = 100;

export interface TreeViewRequest {
  /** Number of the step to begin below; -1: the task. */
  parent: number;
  limit?: number;
  cursor?: string;
  depth?: number;
}

interface Place {
  no: number;
  level: number;
  shown: number[];
  next: number;
}

export async function treeView(o: {
  g: TaskGraph;
  views: StepViews;
  dispatcher: Dispatcher;
  taskUuid: string;
  ask: TreeViewRequest;
  pause: () => Promise<void>;
}): Promise<TreeView> {
  const { g, ask } = o;
  const limit = whole(ask.limit ?? DEFAULT_LIMIT, 'limit', ANSWER);
  const depth = ask.depth === undefined ? Number.POSITIVE_INFINITY : whole(ask.depth, 'depth', ANSWER);
  const after = ask.cursor === undefined ? -1 : readCursor(ask.cursor, ask.parent);
  const children = (no: number): readonly number[] => (no < 0 ? rootsOf(g) : g.shape.children(no).filter((c) => !isAbsent(g.state[c])));

  // Level by level, so that what stands higher is there before what stands lower is cut.
  const top: Place = { no: ask.parent, level: 0, shown: [], next: after };
  const places = [top];
  let room = ANSWER;
  for (let at = 0; at < places.length; at++) {
    const place = places[at];
    if (place.level >= depth) continue;
    const all = children(place.no);
    const from = place.next < 0 ? 0 : all.findIndex((no) => no > place.next);
    place.shown = from < 0 ? [] : all.slice(from, from + Math.min(limit, room));
    room -= place.shown.length;
    for (const no of place.shown) places.push({ no, level: place.level + 1, shown: [], next: -1 });
  }

  const numbers = places.map((p) => p.no).filter((no) => no >= 0);
  const sorted = [...numbers].sort((a, b) => a - b);
  const views = new Map((await o.views.of(g, sorted, { results: false })).map((v, i) => [sorted[i], v]));
  const { status, progress } = await calculated(g, o.dispatcher, o.pause);
  const nodeOf = new Map<number, TreeNode>();
  // Children come after their parents.
  for (const place of places.toReversed()) {
    const all = children(place.no);
    const last = place.shown.at(-1);
    const more = last === undefined ? all.length > 0 && (place.next < 0 || all[all.length - 1] > place.next) : last !== all[all.length - 1];
    nodeOf.set(place.no, {
      step: views.get(place.no)!,
      status: status(place.no),
      progress: progress(place.no),
      childCount: all.length,
      children: place.shown.map((no) => nodeOf.get(no)!),
      nextCursor: more ? cursorOf(place.no, last ?? place.next) : null,
    });
  }
  const { step, ...rest } = nodeOf.get(ask.parent)!;
  return { taskId: o.taskUuid, parent: step ?? null, ...rest };
}

function rootsOf(g: TaskGraph): number[] {
  const roots: number[] = [];
  for (let no = 0; no < g.size; no++) if (g.shape.parent(no) < 0 && !isAbsent(g.state[no])) roots.push(no);
  return roots;
}

/** By what stands below each; -1: the task, as if it were the parent of its roots. A look at all of the graph, so with pauses. */
async function calculated(
  g: TaskGraph,
  dispatcher: Dispatcher,
  pause: () => Promise<void>,
): Promise<{ status: (no: number) => SimpleStatus; progress: (no: number) => number }> {
  const there: number[] = [];
  const place = new Int32Array(g.size).fill(-1);
  for (let no = 0; no < g.size; no++) {
    if (isAbsent(g.state[no])) continue;
    place[no] = there.length + 1;
    there.push(no);
  }
  // The task stands at 0.
  const parent = [-1, ...there.map((no) => (g.shape.parent(no) < 0 ? 0 : place[g.shape.parent(no)]))];
  const own = there.map((no) => simpleStatus(g.state[no] as StepState));
  const done = there.map((no) => (isStepSuccessful(g.state[no]) ? 1 : (dispatcher.active(g.id, no)?.progress?.fraction ?? 0)));
  await pause();
  const status = calculateStatus(parent, ['pending', ...own], { ownFailure: true });
  await pause();
  const progress = calculateProgress(parent, [0, ...done]);
  const at = (no: number): number => (no < 0 ? 0 : place[no]);
  // Steps that came in the meantime are not among those that are shown.
  return { status: (no) => status[at(no)], progress: (no) => progress[at(no)] };
}

const cursorOf = (parent: number, last: number): string => `n${parent + 1}.${last + 1}`;

function readCursor(text: string, parent: number): number {
  const m = /^n(\d{1,9})\.(\d{1,9})$/.exec(text);
  if (m === null || Number(m[1]) !== parent + 1)
    throw new TuttiError('INVALID_CURSOR', 'the cursor was not issued for the children of this step', { field: 'cursor' });
  return Number(m[2]) - 1;
}

function whole(n: number, field: string, max: number): number {
  if (!Number.isInteger(n) || n < 1 || n > max) throw new TuttiError('INVALID_INPUT', `${field} must be a whole number from 1 to ${max}`, { field });
  return n;
}
