/** What a person may do to a task or step as it stands, for those who were refused something else. */
import type { TaskGraph } from './graph.ts';
import { hasFailed } from './rerun.ts';
import { isAbsent, isStepTerminal } from './step-states.ts';
import { Task, isTaskTerminal } from './task-states.ts';

export type TaskVerb = 'execute' | 'cancel' | 'patch' | 'reset' | 'purge' | 'copy' | 'link' | 'archive';
export type StepVerb = 'cancel' | 'reset';

export function taskVerbs(g: TaskGraph): TaskVerb[] {
  if (!isTaskTerminal(g.taskState))
    return [...(g.held ? (['execute'] as const) : []), 'cancel', 'patch', ...(g.errors > 0 ? (['reset'] as const) : []), 'copy', 'archive'];
  return endedTaskVerbs(g.taskState, g.policy);
}

export function endedTaskVerbs(state: number, policy: string): TaskVerb[] {
  const again: TaskVerb[] = state === Task.error && policy !== 'record' ? ['reset'] : [];
  return [...again, 'purge', 'copy', ...(state === Task.complete ? (['link'] as const) : []), 'archive'];
}

export function stepVerbs(g: TaskGraph, no: number): StepVerb[] {
  if (isAbsent(g.state[no])) return [];
  if (!isStepTerminal(g.state[no])) return ['cancel'];
  return hasFailed(g, no) && (!isTaskTerminal(g.taskState) || g.taskState === Task.error) ? ['reset'] : [];
}
