/**
 * Decisions about one attempt: it starts, returns, fails, runs out of time, is lost with its process, or is given up.
 * Fencing is by token (I4): whatever carries another token than the live attempt's is late, is noted, and changes nothing.
 */
import type { Decisions } from './decisions.ts';
import type { StepError } from './errors.ts';
import { cancelRest, isHandled, makeReady, propagate } from './failure.ts';
import type { TaskGraph } from './graph.ts';
import { attemptEvent, stepEvent } from './log.ts';
import { mayRetry, retryDelay, seedOf } from './retry.ts';
import { Reason, Step } from './step-states.ts';

export type Outcome = { ok: true; body: string } | { ok: false; error: StepError; retryAfterMs?: number };

/** A ready step gets a slot: one more attempt, counted before its handler runs (I6). */
export function startStep(out: Decisions, g: TaskGraph, no: number): void {
  const w = out.step(g, no);
  const token = ++g.token[no];
  const attempts = ++g.attempts[no];
  g.state[no] = Step.inProgress;
  g.ready.delete(no);
  w.ranked = !g.unstored.delete(no);
  g.running++;
  g.live.set(no, { token, phase: 0, startedAt: out.now, stopping: false });
  w.state = Step.inProgress;
  w.token = token;
  w.attempts = attempts;
  w.phase = 0;
  w.owner = out.boot;
  w.rank = null;
  w.wakeAt = null;
  w.startedAt = out.now;
  w.finishedAt = null;
  w.error = null;
  out.event(g, stepEvent(no, Step.inProgress, token, attempts));
  out.starts.push({ graph: g, no, token });
}

/** What the live attempt returned. Returns false when the result is late: another attempt is live, or none. */
export function finishAttempt(out: Decisions, g: TaskGraph, no: number, token: number, outcome: Outcome): boolean {
  const live = g.live.get(no);
  if (live === undefined || live.token !== token) return false;
  if (live.stopping) {
    endStopping(out, g, no, outcome.ok ? 'returned' : 'stopped');
    if (outcome.ok) out.changes.payloads.push({ task: g.id, no, token, body: outcome.body });
    return true;
  }
  if (!outcome.ok) {
    failAttempt(out, g, no, outcome.error, outcome.retryAfterMs, false);
    return true;
  }
  const w = out.step(g, no);
  g.live.delete(no);
  out.freed.push({ graph: g, no, token });
  g.state[no] = Step.complete;
  g.running--;
  g.remaining--;
  g.complete++;
  w.state = Step.complete;
  w.owner = null;
  w.finishedAt = out.now;
  w.error = null;
  w.resultToken = token;
  out.changes.payloads.push({ task: g.id, no, token, body: outcome.body });
  out.weight++;
  out.event(g, stepEvent(no, Step.complete, token, g.attempts[no]));
  propagate(out, g, no);
  return true;
}

/** The live attempt overran its timeout or fell silent: decided now, its handler is told to stop and keeps its slot. */
export function timeoutAttempt(out: Decisions, g: TaskGraph, no: number, token: number, error: StepError): boolean {
  const live = g.live.get(no);
  if (live === undefined || live.token !== token || live.stopping) return false;
  failAttempt(out, g, no, error, undefined, true);
  return true;
}

/** The process that ran the attempt is gone: nothing to stop. A crash counts as a try (I6). */
export function loseAttempt(out: Decisions, g: TaskGraph, no: number): void {
  const live = g.live.get(no);
  if (live === undefined) return;
  if (live.stopping) endStopping(out, g, no, 'lost');
  else failAttempt(out, g, no, { code: 'attempt_lost', message: 'The process that ran this attempt is gone.', retryable: true }, undefined, false);
}

/** A stopping attempt returned, or its grace has passed: its slot is free and a waiting retry may begin. */
export function endStopping(out: Decisions, g: TaskGraph, no: number, outcome: 'returned' | 'stopped' | 'abandoned' | 'lost'): void {
  const live = g.live.get(no)!;
  out.touch(g);
  const w = g.writes!.get(no);
  if (w === undefined) out.changes.releases.push({ task: g.id, no, token: live.token });
  else w.owner = null;
  g.live.delete(no);
  g.ownLastStart().set(no, live.startedAt);
  out.freed.push({ graph: g, no, token: live.token });
  out.event(g, attemptEvent(no, live.token, outcome));
  const due = g.retryAt.get(no);
  if (due !== undefined && due <= out.now) wakeStep(out, g, no);
}

/** A step's retry is due. While its last attempt has not returned it goes on waiting (design.md §2). */
export function wakeStep(out: Decisions, g: TaskGraph, no: number): void {
  const due = g.retryAt.get(no);
  if (due === undefined || due > out.now || g.live.has(no)) return;
  const w = out.step(g, no);
  g.retryAt.delete(no);
  g.state[no] = Step.pending;
  makeReady(out, g, no, due);
  w.state = Step.pending;
  w.wakeAt = null;
  // In the backlog of a full turn it has no rank yet.
  w.rank = g.ready.get(no) ?? null;
  if (w.rank !== null) g.unstored.delete(no);
  out.event(g, stepEvent(no, Step.pending, g.token[no], g.attempts[no]));
}

function failAttempt(out: Decisions, g: TaskGraph, no: number, error: StepError, retryAfterMs: number | undefined, stopping: boolean): void {
  const rules = g.shape.rules[no];
  const live = g.live.get(no)!;
  const attempts = g.attempts[no];
  const w = out.step(g, no);
  const text = JSON.stringify(error);
  g.running--;
  w.error = text;
  w.finishedAt = out.now;
  if (stopping) {
    live.stopping = true;
    out.stops.push({ graph: g, no, token: live.token, cause: 'timeout' });
  } else {
    g.live.delete(no);
    g.ownLastStart().set(no, live.startedAt);
    w.owner = null;
    out.freed.push({ graph: g, no, token: live.token });
  }
  if (mayRetry(rules.retry, attempts, error.retryable)) {
    const due = out.now + retryDelay(rules.retry, attempts, seedOf(g.id, no, attempts), retryAfterMs);
    g.state[no] = Step.waitingForRetry;
    g.ownRetryAt().set(no, due);
    w.state = Step.waitingForRetry;
    w.wakeAt = due;
    out.event(g, stepEvent(no, Step.waitingForRetry, g.token[no], attempts, `{"error":${text},"retry_at":${due}}`));
    out.timers.push({ graph: g, no, at: due });
    return;
  }
  g.state[no] = Step.error;
  g.remaining--;
  g.errors++;
  w.state = Step.error;
  out.event(g, stepEvent(no, Step.error, g.token[no], attempts, `{"error":${text}}`));
  const handled = isHandled(g, no);
  if (!handled) {
    g.unhandled++;
    g.failure ??= JSON.stringify({ ...error, message: `step ${g.shape.names[no]}: ${error.message}`, retryable: false });
  }
  propagate(out, g, no);
  if (!handled && g.policy === 'fail_fast') cancelRest(out, g, Reason.taskEnded, null);
}
