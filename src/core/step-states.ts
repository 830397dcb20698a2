/**
 * The step machine: ten states, one table (design.md §2, spec/tasker.md §2.2). Stored as the small integer that is the state's
 * place in STEP_STATES. `error` is terminal here; only Reset reopens a terminal step.
 */
export const STEP_STATES = [
  'pending',
  'enqueued',
  'in_progress',
  'enqueued_for_orchestration',
  'waiting_for_retry',
  'waiting_for_children',
  'complete',
  'error',
  'cancelled',
  'resolved_manually',
] as const;

export const Step = {
  pending: 0,
  enqueued: 1,
  inProgress: 2,
  enqueuedForOrchestration: 3,
  waitingForRetry: 4,
  waitingForChildren: 5,
  complete: 6,
  error: 7,
  cancelled: 8,
  resolvedManually: 9,
} as const;
export type StepState = (typeof Step)[keyof typeof Step];

export const STEP_EVENTS = [
  'enqueue',
  'start',
  'receive_result',
  'complete',
  'fail',
  'wait_for_retry',
  'wait_for_children',
  'retry',
  'reset',
  'cancel',
  'complete_manually',
  'resolve_manually',
] as const;
export type StepEventName = (typeof STEP_EVENTS)[number];

/** Why a step was cancelled; stored as the place in this list. Append only. */
export const CANCEL_REASONS = [
  'dependency_failed',
  'parent_failed',
  'sibling_failed',
  'task_ended',
  'by_request',
  'expired',
  'not_respawned',
  'parent_cancelled',
] as const;
export const Reason = {
  dependencyFailed: 0,
  parentFailed: 1,
  siblingFailed: 2,
  taskEnded: 3,
  byRequest: 4,
  expired: 5,
  notRespawned: 6,
  /** A person cancelled a step above it. */
  parentCancelled: 7,
} as const;

/**
 * Steps of a template that are not there: below a decision that has not chosen yet, or not chosen. In memory only; they never have
 * rows, and totals leave them out.
 */
export const Absent = { undecided: 10, notTaken: 11 } as const;
export const isAbsent = (s: number): boolean => s >= Absent.undecided;

/** What is not taken is over, too; what is undecided is not. */
export const isStepTerminal = (s: number): boolean => s >= Step.complete && s !== Absent.undecided;
/** Satisfies a required dependency (I7). */
export const isStepSuccessful = (s: number): boolean => s === Step.complete || s === Step.resolvedManually;

/** The eight states that seed 003 counts. */
export type BaseState = Exclude<(typeof STEP_STATES)[number], 'waiting_for_retry' | 'waiting_for_children'>;
export function baseState(s: number): BaseState {
  if (s === Step.waitingForRetry) return 'pending';
  if (s === Step.waitingForChildren) return 'in_progress';
  return STEP_STATES[s] as BaseState;
}

/** The next state, or undefined where the event is illegal. Total over (state, event). */
export function nextStepState(state: StepState, event: StepEventName): StepState | undefined {
  const terminal = isStepTerminal(state);
  switch (event) {
    case 'enqueue':
      return state === Step.pending ? Step.enqueued : undefined;
    case 'start':
      return state === Step.pending || state === Step.enqueued || state === Step.waitingForChildren ? Step.inProgress : undefined;
    case 'receive_result':
      return state === Step.inProgress ? Step.enqueuedForOrchestration : undefined;
    case 'complete':
      return state === Step.inProgress || state === Step.enqueuedForOrchestration || state === Step.waitingForChildren ? Step.complete : undefined;
    case 'fail':
      return terminal ? undefined : Step.error;
    case 'wait_for_retry':
      return terminal || state === Step.waitingForRetry ? undefined : Step.waitingForRetry;
    case 'wait_for_children':
      return state === Step.inProgress || state === Step.enqueuedForOrchestration ? Step.waitingForChildren : undefined;
    case 'retry':
      return state === Step.waitingForRetry ? Step.pending : undefined;
    case 'reset':
      return state === Step.error || state === Step.cancelled || state === Step.complete ? Step.pending : undefined;
    case 'cancel':
      return terminal ? undefined : Step.cancelled;
    case 'complete_manually':
      return state === Step.cancelled || state === Step.complete ? undefined : Step.complete;
    case 'resolve_manually':
      return state === Step.cancelled || state === Step.complete || state === Step.resolvedManually ? undefined : Step.resolvedManually;
    default:
      return unreachable(event);
  }
}

function unreachable(x: never): never {
  throw new Error(`unknown event ${String(x)}`);
}
