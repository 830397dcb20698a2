import { type StepError, TuttiError } from '../core/errors.ts';
import type { TaskOutcome, TaskStateName } from '../engine/views.ts';

/** What `task.result()` rejects with when the task ended otherwise than complete. Its `code` is TASK_FAILED. */
export class TaskError extends TuttiError {
  readonly taskId: string;
  readonly state: TaskStateName;
  /** The task's own error, such as a deadline or the reason of a cancel. */
  readonly error: StepError | null;
  /** Steps that ended in error, in template order. */
  readonly failedSteps: { name: string; error: StepError | null }[];

  constructor(outcome: TaskOutcome, cause?: unknown) {
    super('TASK_FAILED', describe(outcome), { details: { taskId: outcome.id, state: outcome.state, failedSteps: outcome.failedSteps }, cause });
    this.name = 'TaskError';
    this.taskId = outcome.id;
    this.state = outcome.state;
    this.error = outcome.error;
    this.failedSteps = outcome.failedSteps;
  }
}

function describe({ id, state, error, failedSteps }: TaskOutcome): string {
  const end = state === 'cancelled' ? 'was cancelled' : state === 'resolved_manually' ? 'was resolved by hand, without a result' : `ended in ${state}`;
  const first = state === 'cancelled' ? undefined : failedSteps.find((s) => s.error !== null);
  if (first !== undefined) {
    const more = failedSteps.length > 1 ? ` (and ${failedSteps.length - 1} more failed)` : '';
    return `task ${id} ${end}: step ${JSON.stringify(first.name)}: ${first.error?.message}${more}`;
  }
  return error === null ? `task ${id} ${end}` : `task ${id} ${end}: ${error.message}`;
}
