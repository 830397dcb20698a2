/** Which steps of a task a copy takes: each once, in the order of their numbers. Linear in steps and edges, no recursion. */
import type { TaskGraph } from './graph.ts';
import { edgeStep } from './shape.ts';
import { isAbsent } from './step-states.ts';

export interface SelectionOptions {
  /** Number of the step that is copied; absent: the whole task. */
  element?: number;
  /** With what stands below it. */
  recursive: boolean;
  /** With what the chosen ones depend on, directly or not. */
  includeDependencies: boolean;
  /** With what depends on the chosen ones, directly or not. */
  includeDependents: boolean;
  /** Spawned children, which are made anew when their parent runs, are taken too. */
  spawned: (no: number) => boolean;
}

export function selectSteps(g: TaskGraph, o: SelectionOptions): number[] {
  const chosen = new Set<number>();
  const take = (first: number): void => {
    const stack = [first];
    for (let no = stack.pop(); no !== undefined; no = stack.pop()) {
      if (chosen.has(no) || isAbsent(g.state[no])) continue;
      chosen.add(no);
      if (!o.recursive) continue;
      for (const child of g.shape.children(no)) if (!isSpawned(g, child) || o.spawned(child)) stack.push(child);
    }
  };
  if (o.element === undefined) for (let no = 0; no < g.size; no++) if (g.shape.parent(no) < 0) take(no);
  if (o.element !== undefined) take(o.element);
  if (o.recursive && o.includeDependents) follow(chosen, take, (no) => g.shape.outs[no]);
  if (o.recursive && o.includeDependencies) follow(chosen, take, (no) => g.shape.deps[no]);
  return [...chosen].sort((a, b) => a - b);
}

/** A set that grows while it is walked is walked to its end. */
function follow(chosen: ReadonlySet<number>, take: (no: number) => void, edges: (no: number) => readonly number[]): void {
  for (const no of chosen) for (const e of edges(no)) take(edgeStep(e));
}

/** Its parent asked for it while it ran. */
export const isSpawned = (g: TaskGraph, no: number): boolean => (g.shape.facts(no)?.asked ?? 0) > 0;
