/**
 * The task machine: twelve states, one table (design.md §2, spec/tasker.md §2.1). Stored as the small integer that is the
 * state's place in TASK_STATES. Drawn in docs/states.md.
 */
export const TASK_STATES = [
  'pending',
  'initializing',
  'enqueuing_steps',
  'steps_in_process',
  'evaluating_results',
  'waiting_for_dependencies',
  'waiting_for_retry',
  'blocked_by_failures',
  'complete',
  'error',
  'cancelled',
  'resolved_manually',
] as const;

export const Task = {
  pending: 0,
  initializing: 1,
  enqueuingSteps: 2,
  stepsInProcess: 3,
  evaluatingResults: 4,
  waitingForDependencies: 5,
  waitingForRetry: 6,
  blockedByFailures: 7,
  complete: 8,
  error: 9,
  cancelled: 10,
  resolvedManually: 11,
} as const;
export type TaskState = (typeof Task)[keyof typeof Task];

export const TASK_EVENTS = [
  'start',
  'ready_steps_found',
  'no_steps_found',
  'no_dependencies_ready',
  'steps_enqueued',
  'enqueue_failed',
  'step_completed',
  'step_failed',
  'all_steps_successful',
  'permanent_failure',
  'dependencies_ready',
  'retry_ready',
  'give_up',
  'manual_resolution',
  'cancel',
  'resolve_manually',
  'reset',
] as const;
export type TaskEventName = (typeof TASK_EVENTS)[number];

export const isTaskTerminal = (s: number): boolean => s >= Task.complete;

/** The next state, or undefined where the event is illegal. Total over (state, event). */
export function nextTaskState(state: TaskState, event: TaskEventName): TaskState | undefined {
  if (isTaskTerminal(state)) return event === 'reset' && state === Task.error ? Task.pending : undefined;
  switch (event) {
    case 'cancel':
      return Task.cancelled;
    case 'resolve_manually':
      return Task.resolvedManually;
    case 'start':
      return state === Task.pending ? Task.initializing : undefined;
    case 'no_steps_found':
      return state === Task.initializing ? Task.complete : undefined;
    case 'ready_steps_found':
      return state === Task.initializing || state === Task.evaluatingResults ? Task.enqueuingSteps : undefined;
    case 'no_dependencies_ready':
      return state === Task.initializing || state === Task.evaluatingResults ? Task.waitingForDependencies : undefined;
    case 'steps_enqueued':
      return state === Task.enqueuingSteps ? Task.stepsInProcess : undefined;
    case 'enqueue_failed':
      return state === Task.enqueuingSteps ? Task.error : undefined;
    case 'step_completed':
      return state === Task.stepsInProcess ? Task.evaluatingResults : undefined;
    case 'step_failed':
      return state === Task.stepsInProcess ? Task.waitingForRetry : undefined;
    case 'all_steps_successful':
      return state === Task.evaluatingResults ? Task.complete : undefined;
    case 'permanent_failure':
      return state === Task.evaluatingResults ? Task.blockedByFailures : undefined;
    case 'dependencies_ready':
      return state === Task.waitingForDependencies ? Task.evaluatingResults : undefined;
    case 'retry_ready':
      return state === Task.waitingForRetry ? Task.enqueuingSteps : undefined;
    case 'give_up':
      return state === Task.blockedByFailures ? Task.error : undefined;
    case 'manual_resolution':
      return state === Task.blockedByFailures ? Task.resolvedManually : undefined;
    case 'reset':
      return undefined;
    default:
      return unreachable(event);
  }
}

function unreachable(x: never): never {
  throw new Error(`unknown event ${String(x)}`);
}

/** States passed through inside one commit on the shortest legal way from one state to another; undefined where there is none. */
export function taskPath(from: TaskState, to: TaskState): readonly TaskState[] | undefined {
  return PATHS[from * TASK_STATES.length + to];
}

const PATHS = buildPaths();

function buildPaths(): (readonly TaskState[] | undefined)[] {
  const size = TASK_STATES.length;
  const paths = new Array<readonly TaskState[] | undefined>(size * size).fill(undefined);
  for (let from = 0; from < size; from++) {
    const queue: { at: TaskState; via: readonly TaskState[] }[] = [{ at: from as TaskState, via: [] }];
    const seen = new Set<number>([from]);
    for (const { at, via } of queue) {
      for (const event of TASK_EVENTS) {
        const to = nextTaskState(at, event);
        if (to === undefined || seen.has(to) || (event === 'enqueue_failed' && to === Task.error)) continue;
        seen.add(to);
        paths[from * size + to] = via;
        queue.push({ at: to, via: [...via, to] });
      }
    }
  }
  return paths;
}
