/** Who may start, and what is missing. The functions that decide and the ones that explain are these (I7). */
import { openEdge } from './branches.ts';
import type { TaskGraph } from './graph.ts';
import { Phase } from './phases.ts';
import { edgeRequired, edgeStep } from './shape.ts';
import { Step, isAbsent, isStepSuccessful, isStepTerminal } from './step-states.ts';
import { Task, isTaskTerminal } from './task-states.ts';

/** Every required dependency successful, every optional one terminal. */
export const dependenciesSatisfied = (g: TaskGraph, no: number): boolean => g.open[no] === 0;

/** Nothing but a slot, its parent's limit and its turn keeps the step from starting its next attempt. */
export function isReady(g: TaskGraph, no: number): boolean {
  if (g.live.has(no) || g.arriving >= 0 || g.held) return false;
  if (g.phaseOf(no) === Phase.abort) return g.ready.has(no);
  if (isTaskTerminal(g.taskState)) return false;
  // A large reset is under way: what was ready before it still is, and what it brings about starts after its last row.
  if (g.reopening !== null && !g.ready.has(no)) return false;
  if (g.state[no] === Step.pending) return g.open[no] === 0;
  return g.state[no] === Step.waitingForChildren && g.phaseOf(no) === Phase.finalize && (g.families.get(no)?.open ?? 0) === 0;
}

/** Does this edge hold its dependant back? */
export const edgeOpen = openEdge;

export interface UnmetDependency {
  no: number;
  required: boolean;
  /** A required dependency that is terminal without success will never be met. */
  never: boolean;
}

export function unmetDependencies(g: TaskGraph, no: number): UnmetDependency[] {
  const unmet: UnmetDependency[] = [];
  for (const e of g.shape.deps[no]) {
    const required = edgeRequired(e);
    const state = g.state[edgeStep(e)];
    if (edgeOpen(required, state)) unmet.push({ no: edgeStep(e), required, never: required && !isAbsent(state) && isStepTerminal(state) });
  }
  return unmet;
}

/** How many dependencies are successful; the spec's completed_parents. */
export function completedParents(g: TaskGraph, no: number): number {
  let n = 0;
  for (const e of g.shape.deps[no]) if (isStepSuccessful(g.state[edgeStep(e)])) n++;
  return n;
}

/** May anything of the task still happen by itself? */
export const isTaskArriving = (g: TaskGraph): boolean => g.taskState === Task.initializing;
