/** From a logged event to what the outside is told: names instead of numbers. Streams of one task and of all tasks share it. */
import type { JsonObject } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';
import type { LoggedEvent } from '../core/log.ts';
import { CANCEL_REASONS, Step, STEP_STATES } from '../core/step-states.ts';
import { TASK_STATES } from '../core/task-states.ts';
import type { Active } from './dispatcher.ts';
import type { TaskEvent } from './views.ts';

/** Name of a step of a task. */
export type NameOf = (task: number, no: number) => string;

export class EventSpelling {
  readonly #taskUuid: (task: number) => string;
  readonly #stepUuid: (task: number, no: number) => string;

  /** What a report means for the step's parents and the task. */
  readonly #rolledUp: (a: Active, nameOf: (no: number) => string) => JsonObject;

  constructor(o: {
    taskUuid: (task: number) => string;
    stepUuid: (task: number, no: number) => string;
    rolledUp?: (a: Active, nameOf: (no: number) => string) => JsonObject;
  }) {
    this.#rolledUp = o.rolledUp ?? (() => ({}));
    this.#taskUuid = o.taskUuid;
    this.#stepUuid = o.stepUuid;
  }

  event(task: number, e: LoggedEvent, nameOf: NameOf): TaskEvent {
    const head = { seq: e.seq, at: e.at, taskId: this.#taskUuid(task) };
    switch (e.kind) {
      case 'task':
        return {
          ...head,
          type: 'task.state',
          ...(e.last ? { last: true } : {}),
          data: { state: TASK_STATES[e.state], via: e.via.map((s) => TASK_STATES[s]), ...e.extra },
        };
      case 'step':
        return {
          ...head,
          type: 'step.state',
          data: {
            ...this.#step(task, e.no, nameOf),
            state: STEP_STATES[e.state],
            attempt: e.attempts,
            token: e.token,
            ...stepVia(e.state),
            ...readable(e.extra),
          },
        };
      case 'attempt':
        return { ...head, type: 'step.attempt', data: { ...this.#step(task, e.no, nameOf), token: e.token, outcome: e.outcome, ...e.extra } };
      case 'added':
        return {
          ...head,
          type: 'step.added',
          data: {
            step: e.name,
            step_id: this.#stepUuid(task, e.no),
            parent: e.parent === null ? null : nameOf(task, e.parent),
            parent_id: e.parent === null ? null : this.#stepUuid(task, e.parent),
          },
        };
      case 'ended':
        return { ...head, type: 'steps.ended', data: { count: e.count, reason: e.reason } };
      case 'reset':
        if (e.no === null) return { ...head, type: 'task.reset', data: { steps: e.count } };
        return { ...head, type: 'step.reset', data: { ...this.#step(task, e.no, nameOf), steps: e.count } };
      case 'patched':
        return { ...head, type: 'task.patched', data: e.extra };
      default:
        return e satisfies never;
    }
  }

  /** Of an attempt that has told some progress. */
  progress(a: Active, nameOf: NameOf): TaskEvent {
    const { at, fraction, message } = a.progress!;
    return {
      at,
      type: 'step.progress',
      taskId: this.#taskUuid(a.task),
      data: { ...this.#step(a.task, a.no, nameOf), token: a.token, fraction, message, ...this.#rolledUp(a, (no) => nameOf(a.task, no)) },
    };
  }

  #step(task: number, no: number, nameOf: NameOf): { step: string; step_id: string } {
    return { step: nameOf(task, no), step_id: this.#stepUuid(task, no) };
  }
}

/** States a step passes inside the commit that decides its result. */
const stepVia = (state: number): { via?: string[] } =>
  state === Step.complete || state === Step.error || state === Step.waitingForRetry ? { via: ['enqueued_for_orchestration'] } : {};

function readable(extra: JsonObject): JsonObject {
  const out: JsonObject = { ...extra };
  if (typeof out.reason === 'number') out.reason = CANCEL_REASONS[out.reason];
  if (out.error !== undefined && out.error !== null) {
    const { code, message, retryable } = out.error as unknown as StepError;
    out.error = { code, message, retryable };
  }
  return out;
}
