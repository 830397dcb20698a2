/** The words for states on the wire, and what may be asked of them. */
import { z } from 'zod';
import { SIMPLE_STATUSES } from '../core/simple-status.ts';
import { STEP_STATES } from '../core/step-states.ts';
import { TASK_STATES, isTaskTerminal } from '../core/task-states.ts';

export const taskStatus = z.enum(TASK_STATES);
export const stepState = z.enum(STEP_STATES);
/** Also steps of a template that are not there: not chosen, or not yet. They are shown only where they are asked for. */
export const shownStepState = z.enum([...STEP_STATES, 'undecided', 'not_taken']);
export const simpleStatus = z.enum(SIMPLE_STATUSES);

/** The eight states that show for a step when its two waits are folded into pending and in_progress. */
export const baseState = z.enum(['pending', 'enqueued', 'in_progress', 'enqueued_for_orchestration', 'complete', 'error', 'cancelled', 'resolved_manually']);

export const executionStatus = z.enum(['blocked_by_failures', 'has_ready_steps', 'processing', 'all_complete', 'waiting_for_dependencies']);
export const recommendedAction = z.enum(['handle_failures', 'execute_ready_steps', 'wait_for_completion', 'finalize_task', 'wait_for_dependencies']);
export const healthStatus = z.enum(['blocked', 'healthy', 'recovering', 'unknown']);

export type TaskStatus = z.output<typeof taskStatus>;
export type StepStatus = z.output<typeof stepState>;

/** Nothing follows but a reset. */
export const isTerminalStatus = (s: TaskStatus): boolean => isTaskTerminal(TASK_STATES.indexOf(s));
