/**
 * Events of a task, from its durable log. A stream asks the log, then waits for a hint that there is more (I13): nothing is buffered
 * for a slow reader, nothing is lost or doubled across a reconnect. Progress is woven in, newest value only, without a seq.
 */
import type { JsonObject } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';
import { type LoggedEvent, readLog } from '../core/log.ts';
import { CANCEL_REASONS, Step, STEP_STATES } from '../core/step-states.ts';
import { TASK_STATES } from '../core/task-states.ts';
import type { Store } from '../store/store.ts';
import type { Active } from './dispatcher.ts';
import type { TaskEvent } from './views.ts';

interface Subscriber {
  wake: () => void;
  progress: Map<number, Active>;
}

export interface EventNames {
  taskUuid(task: number): string;
  stepUuid(task: number, no: number): string;
}

const PAGE = 100;

export class EventFeed {
  readonly #store: Store;
  readonly #names: EventNames;
  readonly #subscribers = new Map<number, Set<Subscriber>>();

  constructor(o: { store: Store; names: EventNames }) {
    this.#store = o.store;
    this.#names = o.names;
  }

  get watched(): boolean {
    return this.#subscribers.size > 0;
  }

  /** The log of this task has grown. */
  changed(task: number): void {
    const subs = this.#subscribers.get(task);
    if (subs !== undefined) for (const s of subs) s.wake();
  }

  progress(a: Active): void {
    const subs = this.#subscribers.get(a.task);
    if (subs === undefined) return;
    for (const s of subs) {
      s.progress.set(a.no, a);
      s.wake();
    }
  }

  closeAll(): void {
    for (const subs of this.#subscribers.values()) for (const s of subs) s.wake();
  }

  async *events(o: {
    task: number;
    steps: readonly string[];
    after: number;
    ended: () => boolean;
    terminal: () => Promise<boolean>;
    signal: AbortSignal | undefined;
  }): AsyncGenerator<TaskEvent> {
    let hint = false;
    let wake: (() => void) | null = null;
    const sub: Subscriber = {
      progress: new Map(),
      wake: () => {
        hint = true;
        wake?.();
      },
    };
    const onAbort = (): void => sub.wake();
    o.signal?.addEventListener('abort', onAbort);
    let subs = this.#subscribers.get(o.task);
    if (subs === undefined) this.#subscribers.set(o.task, (subs = new Set()));
    subs.add(sub);
    try {
      let after = o.after;
      while (!o.signal?.aborted && !o.ended()) {
        hint = false;
        const rows = await this.#store.log({ task: o.task, after, limit: PAGE });
        for (const row of rows) {
          for (const e of readLog(row)) {
            if (e.seq <= after) continue;
            if (o.signal?.aborted) return;
            const last = e.kind === 'task' && e.last;
            after = e.seq;
            yield this.#event(o.task, o.steps, e);
            if (last && (await this.#isLast(o.task, after))) return;
          }
        }
        if (rows.length === PAGE) continue;
        for (const [no, a] of sub.progress) {
          sub.progress.delete(no);
          if (a.progress !== null) yield this.#progressEvent(o.steps, a);
        }
        if (rows.length === 0 && !hint && (await o.terminal())) return;
        if (!hint) await new Promise<void>((resolve) => (wake = resolve));
        wake = null;
      }
    } finally {
      o.signal?.removeEventListener('abort', onAbort);
      subs.delete(sub);
      if (subs.size === 0) this.#subscribers.delete(o.task);
    }
  }

  /** A terminal state ends the stream unless the task was reopened after it. */
  async #isLast(task: number, after: number): Promise<boolean> {
    for (const row of await this.#store.log({ task, after, limit: PAGE })) {
      for (const e of readLog(row)) if (e.seq > after && e.kind === 'task') return false;
    }
    return true;
  }

  #event(task: number, steps: readonly string[], e: LoggedEvent): TaskEvent {
    const head = { seq: e.seq, at: e.at, taskId: this.#names.taskUuid(task) };
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
            ...this.#step(task, steps, e.no),
            state: STEP_STATES[e.state],
            attempt: e.attempts,
            token: e.token,
            ...stepVia(e.state),
            ...readable(e.extra),
          },
        };
      case 'attempt':
        return { ...head, type: 'step.attempt', data: { ...this.#step(task, steps, e.no), token: e.token, outcome: e.outcome, ...e.extra } };
      case 'ended':
        return { ...head, type: 'steps.ended', data: { count: e.count, reason: e.reason } };
      case 'patched':
        return { ...head, type: 'task.patched', data: e.extra };
      default:
        return e satisfies never;
    }
  }

  #progressEvent(steps: readonly string[], a: Active): TaskEvent {
    return {
      at: a.progress!.at,
      type: 'step.progress',
      taskId: this.#names.taskUuid(a.task),
      data: { ...this.#step(a.task, steps, a.no), token: a.token, fraction: a.progress!.fraction, message: a.progress!.message },
    };
  }

  #step(task: number, steps: readonly string[], no: number): { step: string; step_id: string } {
    return { step: steps[no], step_id: this.#names.stepUuid(task, no) };
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
