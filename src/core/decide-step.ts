/** Decisions a person makes about one step. */
import type { Decisions } from './decisions.ts';
import type { StepError } from './errors.ts';
import { cancelStep, propagate } from './failure.ts';
import type { TaskGraph } from './graph.ts';
import { isAbsent, isStepTerminal, Reason } from './step-states.ts';
import { isTaskTerminal } from './task-states.ts';

/**
 * Ends one step, with its tied children and what requires it. Its siblings go on, and its parent is resolved by them: a child cancelled
 * alone is neither success nor failure (design.md §2). False: the step, or its task, has ended already.
 */
export function cancelOne(out: Decisions, g: TaskGraph, no: number, message: string): boolean {
  if (isTaskTerminal(g.taskState) || isStepTerminal(g.state[no]) || isAbsent(g.state[no])) return false;
  const error: StepError = { code: 'cancelled', message, retryable: false };
  cancelStep(out, g, no, Reason.byRequest, JSON.stringify(error), 0);
  g.lastCancel = JSON.stringify(error);
  propagate(out, g, no);
  return true;
}
