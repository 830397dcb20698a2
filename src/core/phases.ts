/**
 * The phase `abort`: what a step does after it was ended from outside (design.md §2). It is wanted in the commit that ends the step,
 * begins when the step's running attempt, if there is one, has returned, and is leased and retried like any other. The step stays as
 * it ended, whatever the hook does; what became of the hook is in the log.
 */
import type { StepWrite } from './changes.ts';
import type { Decisions } from './decisions.ts';
import type { StepError } from './errors.ts';
import type { TaskGraph } from './graph.ts';
import { attemptEvent } from './log.ts';
import { rank } from './rank.ts';
import { mayRetry, retryDelay, seedOf } from './retry.ts';
import { Reason, Step } from './step-states.ts';

export const Phase = { run: 0, finalize: 1, abort: 2 } as const;
export const PHASES = ['run', 'finalize', 'abort'] as const;
/** Longest time of one attempt to abort. */
export const ABORT_MS = 30_000;

export interface HandlerTraits {
  /** It has a `finalize`. */
  readonly finalize: boolean;
  /** It has an `onAbort`. */
  readonly abort: boolean;
  /** False: a running one gets no signal. */
  readonly cancelable: boolean;
}
/** Of a handler that has no hooks. */
export const NO_TRAITS: HandlerTraits = Object.freeze({ finalize: false, abort: false, cancelable: true });
/** Assumed of a handler that nobody here has ever had: it may have a hook, and one that turns out to have none is let off. */
export const UNKNOWN_TRAITS: HandlerTraits = Object.freeze({ finalize: false, abort: true, cancelable: true });

/** Attempts of the phase that runs, or ran last: what events say of them. */
export const triesOf = (g: TaskGraph, no: number): number => (g.phaseOf(no) === Phase.finalize && g.phaseAttempts.get(no)) || g.attempts[no];

/**
 * The step has just ended as cancelled or in error, in `w`: if its handler has an `onAbort`, it is to run. Not for a step that never
 * began, unless it is a tied child: what shares its parent's fate is told of it in any case. Nor for one whose dependency failed.
 */
export function askAbort(out: Decisions, g: TaskGraph, no: number, w: StepWrite): void {
  if (g.state[no] === Step.cancelled && g.reason?.[no] === Reason.dependencyFailed) return;
  if (g.attempts[no] === 0 && g.tiedTo(no) < 0) return;
  const { handler } = g.shape.rules[no];
  if (handler === '' || !out.traits(handler).abort) return;
  g.setPhase(no, Phase.abort);
  g.setPhaseAttempts(no, 0);
  w.phase = Phase.abort;
  w.phaseAttempts = 0;
  if (!g.live.has(no)) readyToAbort(out, g, no, out.now);
  // The hook follows the attempt that is told to stop. Should this process die before that, the wake-up finds the step again.
  else w.wakeAt = out.now + ABORT_MS;
}

/** Its rank is stored at once, so that it is found again whatever the task's state is by then. */
export function readyToAbort(out: Decisions, g: TaskGraph, no: number, at: number): void {
  const w = keep(out, g, no);
  const r = rank(g.priorityOf(no), at);
  g.ready.set(no, r);
  w.rank = r;
  out.ready.push({ graph: g, no, rank: r });
}

/** The handler turns out to have no `onAbort`: nothing is to be run. */
export function forgoAbort(out: Decisions, g: TaskGraph, no: number): void {
  const w = keep(out, g, no);
  g.ready.delete(no);
  g.setPhase(no, Phase.run);
  w.phase = Phase.run;
  w.phaseAttempts = 0;
  w.rank = null;
  w.wakeAt = null;
}

/** One more attempt to abort, counted before its hook runs. Its wake-up finds it again should this process die. */
export function startAbort(out: Decisions, g: TaskGraph, no: number): void {
  const w = keep(out, g, no);
  const token = ++g.token[no];
  const attempts = (g.phaseAttempts.get(no) ?? 0) + 1;
  g.setPhaseAttempts(no, attempts);
  g.ready.delete(no);
  g.live.set(no, { token, phase: Phase.abort, startedAt: out.now, stopping: false });
  w.token = token;
  w.phase = Phase.abort;
  w.phaseAttempts = attempts;
  w.owner = out.boot;
  w.rank = null;
  w.wakeAt = out.now + ABORT_MS;
  out.event(g, attemptEvent(no, token, 'aborting', `{"attempt":${attempts}}`));
  out.starts.push({ graph: g, no, token, phase: Phase.abort });
}

/** What an attempt to abort came to: `error` null, or why it failed. */
export function finishAbort(out: Decisions, g: TaskGraph, no: number, error: StepError | null, retryAfterMs: number | undefined): void {
  const live = g.live.get(no)!;
  const w = keep(out, g, no);
  const attempts = g.phaseAttempts.get(no) ?? 0;
  g.live.delete(no);
  out.freed.push({ graph: g, no, token: live.token });
  w.owner = null;
  w.wakeAt = null;
  if (error === null) {
    out.event(g, attemptEvent(no, live.token, 'aborted'));
    return;
  }
  const { retry } = g.shape.rules[no];
  if (mayRetry(retry, attempts, error.retryable)) {
    const due = out.now + retryDelay(retry, attempts, seedOf(g.id, no, attempts), retryAfterMs);
    g.ownRetryAt().set(no, due);
    w.wakeAt = due;
    out.timers.push({ graph: g, no, at: due });
    out.event(g, attemptEvent(no, live.token, 'abort_retry', JSON.stringify({ error: { ...error }, retry_at: due })));
  } else out.event(g, attemptEvent(no, live.token, 'abort_failed', JSON.stringify({ error: { ...error } })));
}

/** The wait before another attempt to abort is over. */
export function wakeAbort(out: Decisions, g: TaskGraph, no: number): void {
  g.retryAt.delete(no);
  readyToAbort(out, g, no, out.now);
}

/** Is the step waiting to run its abort hook, or running it? */
export const isAborting = (g: TaskGraph, no: number): boolean => g.phaseOf(no) === Phase.abort && (g.ready.has(no) || g.live.has(no) || g.retryAt.has(no));

/**
 * The write of a step that has ended: it is decided about no more, so its row keeps what it holds. Only phase, attempt and wake-up
 * are written (`abortOnly`), unless the step ended in this very turn.
 */
function keep(out: Decisions, g: TaskGraph, no: number): StepWrite {
  const fresh = g.writes?.has(no) ?? false;
  const w = out.step(g, no);
  if (!fresh) w.abortOnly = true;
  return w;
}
