/** Who may start, and what is missing. The functions that decide and the ones that explain are these (I7). */
import type { TaskGraph } from './graph.ts';
import { Step, isStepSuccessful, isStepTerminal } from './step-states.ts';
import { Task, isTaskTerminal } from './task-states.ts';

/** Every required dependency successful, every optional one terminal. */
export const dependenciesSatisfied = (g: TaskGraph, no: number): boolean => g.open[no] === 0;

/** Nothing but a slot and its turn keeps the step from starting. */
export const isReady = (g: TaskGraph, no: number): boolean =>
  g.state[no] === Step.pending && g.open[no] === 0 && !g.live.has(no) && g.arriving < 0 && !isTaskTerminal(g.taskState);

/** Does this edge hold its dependant back? */
export const edgeOpen = (required: boolean, dependencyState: number): boolean =>
  required ? !isStepSuccessful(dependencyState) : !isStepTerminal(dependencyState);

export interface UnmetDependency {
  no: number;
  required: boolean;
  /** A required dependency that is terminal without success will never be met. */
  never: boolean;
}

export function unmetDependencies(g: TaskGraph, no: number): UnmetDependency[] {
  const { depStart, deps, depRequired } = g.shape;
  const unmet: UnmetDependency[] = [];
  for (let e = depStart[no]; e < depStart[no + 1]; e++) {
    const required = depRequired[e] === 1;
    const state = g.state[deps[e]];
    if (edgeOpen(required, state)) unmet.push({ no: deps[e], required, never: required && isStepTerminal(state) });
  }
  return unmet;
}

/** How many dependencies are successful; the spec's completed_parents. */
export function completedParents(g: TaskGraph, no: number): number {
  const { depStart, deps } = g.shape;
  let n = 0;
  for (let e = depStart[no]; e < depStart[no + 1]; e++) if (isStepSuccessful(g.state[deps[e]])) n++;
  return n;
}

/** May anything of the task still happen by itself? */
export const isTaskArriving = (g: TaskGraph): boolean => g.taskState === Task.initializing;
