/**
 * Which steps run again when some are reset: those, what depends on them, and those whose fate they share. Proportional to what runs
 * again and its edges.
 */
import type { TaskGraph } from './graph.ts';
import { countsFor } from './load-graph.ts';
import { Phase } from './phases.ts';
import { edgeRequired, edgeStep } from './shape.ts';
import { StepSet } from './step-set.ts';
import { Task, isTaskTerminal } from './task-states.ts';
import { Reason, Step, isAbsent, isStepSuccessful, isStepTerminal } from './step-states.ts';

export interface Rerun {
  /** In the order they were found. */
  again: StepSet;
  /** What would run again, but for the step named, which stays as it ended. */
  blocked: Map<number, number>;
}

/** Cancelled by what happened to others, and not because somebody wanted it. */
const BY_FAILURE = new Set<number>([Reason.dependencyFailed, Reason.parentFailed, Reason.siblingFailed, Reason.taskEnded, Reason.expired]);

/** In error, or cancelled by a failure: what a reset takes up. */
export const hasFailed = (g: TaskGraph, no: number): boolean =>
  g.state[no] === Step.error || (g.state[no] === Step.cancelled && BY_FAILURE.has(g.reason?.[no] ?? -1));

/**
 * Is the step still to run anew: it failed, or was cancelled by a failure, in a task that may be reset; or it was reset and has not begun
 * again? `finishedAt`: of its row, which a reset leaves there.
 */
export function needsReexecution(g: TaskGraph, no: number, finishedAt: number | null): boolean {
  if (g.state[no] === Step.pending) return g.attempts[no] === 0 && (g.token[no] > 0 || finishedAt !== null);
  return hasFailed(g, no) && !borneByParent(g, no) && (!isTaskTerminal(g.taskState) || g.taskState === Task.error);
}

/** Its parent ended well without it. */
export function borneByParent(g: TaskGraph, no: number): boolean {
  const parent = g.tiedTo(no);
  return parent >= 0 && isStepSuccessful(g.state[parent]);
}

/** Changes nothing. Seeds that cannot run again are left out, with what would only run because of them. */
export function rerunOf(g: TaskGraph, seeds: readonly number[]): Rerun {
  const blocked = new Map<number, number>();
  for (;;) {
    const before = blocked.size;
    const again = closure(g, seeds, blocked);
    for (const no of again.nos) block(g, no, again, blocked);
    if (blocked.size === before) return { again, blocked };
  }
}

function closure(g: TaskGraph, seeds: readonly number[], blocked: Map<number, number>): StepSet {
  const again = new StepSet(g.size);
  /** Steps that do not exist, and that a decision may bring about when it runs again. */
  const absent = new Set<number>();
  const stack: number[] = [];
  const add = (no: number): void => {
    if (again.has(no) || blocked.has(no)) return;
    const parent = g.tiedTo(no);
    // The parent's last run did without it, and what that gave stands.
    if (parent >= 0 && !countsFor(g, parent, no)) {
      blocked.set(no, parent);
      return;
    }
    again.add(no);
    stack.push(no);
  };
  for (const no of seeds) add(no);
  for (let no = stack.pop(); no !== undefined; no = stack.pop()) {
    for (const e of g.shape.outs[no]) {
      const next = edgeStep(e);
      if (isAbsent(g.state[next])) {
        if (absent.has(next)) continue;
        absent.add(next);
        stack.push(next);
      } else if (g.state[next] === Step.complete || hasFailed(g, next) || hasBegun(g, next)) add(next);
    }
    if (isAbsent(g.state[no])) continue;
    const parent = g.tiedTo(no);
    if (parent >= 0 && (g.state[parent] === Step.complete || hasFailed(g, parent) || isFinalizing(g, parent))) add(parent);
    for (const child of g.shape.children(no)) if (g.shape.isTied(child) && hasFailed(g, child)) add(child);
  }
  return again;
}

/** All its children had ended, and its `finalize` was to look at them, or does. */
export const isFinalizing = (g: TaskGraph, no: number): boolean =>
  !isStepTerminal(g.state[no]) && g.phaseOf(no) === Phase.finalize && (g.families.get(no)?.open ?? 0) === 0;

/** Under way on what it was given before. */
const hasBegun = (g: TaskGraph, no: number): boolean => !isStepTerminal(g.state[no]) && (g.attempts[no] > 0 || g.state[no] === Step.waitingForChildren);

/** Notes a step that has to stay since something it needs stays, and so on for those that need it. */
function block(g: TaskGraph, first: number, again: StepSet, blocked: Map<number, number>): void {
  const stack = [first];
  for (let no = stack.pop(); no !== undefined; no = stack.pop()) {
    if (!again.has(no)) continue;
    const by = blockerOf(g, no, again);
    if (by < 0) continue;
    again.delete(no);
    blocked.set(no, by);
    for (const e of g.shape.outs[no]) if (edgeRequired(e)) stack.push(edgeStep(e));
    for (const child of g.shape.children(no)) if (g.shape.isTied(child)) stack.push(child);
  }
}

function blockerOf(g: TaskGraph, no: number, again: StepSet): number {
  for (const e of g.shape.deps[no]) {
    const dep = edgeStep(e);
    if (edgeRequired(e) && !again.has(dep) && staysEnded(g, dep) && !isStepSuccessful(g.state[dep])) return dep;
  }
  const parent = g.tiedTo(no);
  return parent >= 0 && !again.has(parent) && staysEnded(g, parent) ? parent : -1;
}

const staysEnded = (g: TaskGraph, no: number): boolean => isStepTerminal(g.state[no]) && !isAbsent(g.state[no]);
