/**
 * Decisions about one attempt: it starts, returns, fails, runs out of time, is lost with its process, or is given up.
 * Fencing is by token (I4): whatever carries another token than the live attempt's is late, is noted, and changes nothing.
 */
import { decide } from './decide-branches.ts';
import type { Decisions } from './decisions.ts';
import type { StepError } from './errors.ts';
import { IMPLIED_ABOVE, cancelStep, complete, failsParent, makeReady, noteFailure, noteImplied, propagate, resolveParent } from './failure.ts';
import type { LiveAttempt, TaskGraph } from './graph.ts';
import { attemptEvent, stepEvent } from './log.ts';
import { isReady } from './readiness.ts';
import { mayRetry, retryDelay, seedOf } from './retry.ts';
import { releaseHeld } from './family.ts';
import { Phase, askAbort, finishAbort, readyToAbort, startAbort, triesOf, wakeAbort } from './phases.ts';
import { Reason, Step, isStepTerminal } from './step-states.ts';

/** `empty`: the handler returned nothing (undefined); its body is `null`. */
export type Outcome = { ok: true; body: string; empty?: boolean } | { ok: false; error: StepError; retryAfterMs?: number };

/** A ready step gets a slot: one more attempt, counted before its handler runs (I6). */
export function startStep(out: Decisions, g: TaskGraph, no: number): void {
  const parent = g.shape.limitedBy(no);
  if (parent >= 0) g.family(parent).running++;
  const phase = g.phaseOf(no);
  if (phase === Phase.abort) {
    startAbort(out, g, no);
    return;
  }
  const w = out.step(g, no);
  const token = ++g.token[no];
  if (phase === Phase.run) g.attempts[no]++;
  else g.setPhaseAttempts(no, (g.phaseAttempts.get(no) ?? 0) + 1);
  const attempts = g.attempts[no];
  g.state[no] = Step.inProgress;
  g.ready.delete(no);
  w.ranked = !g.unstored.delete(no);
  g.running++;
  g.live.set(no, { token, phase, startedAt: out.now, stopping: false });
  w.state = Step.inProgress;
  w.token = token;
  w.attempts = attempts;
  w.phase = phase;
  w.phaseAttempts = g.phaseAttempts.get(no) ?? 0;
  w.owner = out.boot;
  w.rank = null;
  w.wakeAt = null;
  w.startedAt = out.now;
  w.finishedAt = null;
  w.error = null;
  out.event(g, stepEvent(no, Step.inProgress, token, triesOf(g, no), phase === Phase.finalize ? '{"phase":"finalize"}' : ''));
  out.starts.push({ graph: g, no, token, phase });
}

/** What the live attempt returned. Returns false when the result is late: another attempt is live, or none. */
export function finishAttempt(out: Decisions, g: TaskGraph, no: number, token: number, outcome: Outcome): boolean {
  const live = g.live.get(no);
  if (live === undefined || live.token !== token) return false;
  if (live.phase === Phase.abort) {
    endAbort(out, g, no, outcome.ok ? null : outcome.error, outcome.ok ? undefined : outcome.retryAfterMs);
    return true;
  }
  if (live.stopping) {
    endStopping(out, g, no, outcome.ok ? 'returned' : 'stopped');
    if (outcome.ok) out.changes.payloads.push({ task: g.id, no, token, body: outcome.body });
    return true;
  }
  if (!outcome.ok) {
    failAttempt(out, g, no, outcome.error, outcome.retryAfterMs, false);
    return true;
  }
  const type = g.shape.types[no];
  const branch = type === 'decision' || type === 'batchable' ? decide(g, no, outcome.body) : null;
  if (branch?.error !== undefined) {
    failAttempt(out, g, no, { code: type === 'decision' ? 'invalid_decision' : 'invalid_batches', message: branch.error, retryable: false }, undefined, false);
    return true;
  }
  // While it is live its row still knows when it began.
  out.step(g, no).owner = null;
  g.live.delete(no);
  leaveFamily(out, g, no);
  out.freed.push({ graph: g, no, token });
  if (live.phase === Phase.finalize) {
    finishFinalize(out, g, no, token, outcome);
    propagate(out, g, no);
  } else {
    out.changes.payloads.push({ task: g.id, no, token, body: outcome.body });
    out.weight++;
    if (returned(out, g, no, token)) propagate(out, g, no);
  }
  // After that: what is created now finds the step as it is, and must not be told of its end once more.
  branch?.apply(out);
  return true;
}

/**
 * `run` has returned, its value is kept: the step is complete, or waits for its children and its `finalize`. True: it has ended, and
 * what follows is the caller's to do. One that ended with the last of its dropped children has been followed already.
 */
function returned(out: Decisions, g: TaskGraph, no: number, token: number): boolean {
  const family = g.families.get(no);
  // A decision has no children (spawns.ts) and is over when it has chosen: a process that dies in between must find it so.
  const chooses = g.shape.types[no] === 'decision' || g.shape.types[no] === 'batchable';
  const finalize = !chooses && out.traits(g.shape.rules[no].handler).finalize;
  if (family === undefined && !finalize) {
    complete(out, g, no, token);
    return true;
  }
  const w = out.step(g, no);
  g.running--;
  g.state[no] = w.state = Step.waitingForChildren;
  g.setResultToken(no, token);
  g.setPhase(no, finalize ? Phase.finalize : Phase.run);
  g.setPhaseAttempts(no, 0);
  w.phase = finalize ? Phase.finalize : Phase.run;
  w.phaseAttempts = 0;
  w.owner = null;
  w.rank = null;
  w.error = null;
  w.finishedAt = null;
  w.resultToken = token;
  g.noteStart(no, w.startedAt ?? out.now);
  w.firstStartedAt = g.firstStart.get(no) ?? null;
  out.event(g, stepEvent(no, Step.waitingForChildren, token, g.attempts[no], `{"children":${family?.open ?? 0}}`));
  if (family === undefined) return resolveParent(out, g, no, g.family(no), token);
  const open = family.open;
  dropNotAskedFor(out, g, no, token);
  // Otherwise it is resolved with its last open child, which may have been one of those.
  return open === 0 && resolveParent(out, g, no, family, token);
}

/** Children that an earlier attempt spawned and this one did not ask for again (design.md §2). */
function dropNotAskedFor(out: Decisions, g: TaskGraph, no: number, token: number): void {
  const family = g.family(no);
  const dropped: number[] = [];
  // All failures that do not count any more are taken back first: with the last open child the parent is resolved by the rest.
  for (const child of g.shape.children(no)) {
    const facts = g.shape.facts(child);
    if (facts === undefined || facts.asked === 0 || facts.asked === token || !g.shape.isTied(child)) continue;
    if (failsParent(g, child)) family.failed--;
    if (!isStepTerminal(g.state[child])) dropped.push(child);
  }
  // Running ones first: they are told to stop, and must not be among what ends by implication.
  if (dropped.length > IMPLIED_ABOVE) dropped.sort((a, b) => (g.live.has(a) ? 0 : 1) - (g.live.has(b) ? 0 : 1));
  let ended = 0;
  for (const child of dropped) {
    // One may have ended with another, on which it depended.
    if (isStepTerminal(g.state[child])) continue;
    cancelStep(out, g, child, Reason.notRespawned, null, ended++);
    propagate(out, g, child);
  }
  noteImplied(out, g, ended, Reason.notRespawned);
}

/** `finalize` has returned: what it gave is the result; where it gave nothing, what `run` gave stands. */
function finishFinalize(out: Decisions, g: TaskGraph, no: number, token: number, outcome: { body: string; empty?: boolean }): void {
  const own = g.resultToken(no);
  if (outcome.empty !== true) {
    out.changes.payloads.push({ task: g.id, no, token, body: outcome.body });
    out.weight++;
  }
  complete(out, g, no, outcome.empty === true ? own : token);
}

/** An attempt of a tied child holds no slot any more: one that its parent's limit kept waiting may start. */
function leaveFamily(out: Decisions, g: TaskGraph, no: number): void {
  const parent = g.shape.limitedBy(no);
  if (parent < 0) return;
  const family = g.family(parent);
  family.running--;
  releaseHeld(out, g, family);
}

/** The live attempt overran its timeout or fell silent: decided now, its handler is told to stop and keeps its slot. */
export function timeoutAttempt(out: Decisions, g: TaskGraph, no: number, token: number, error: StepError): boolean {
  const live = g.live.get(no);
  if (live === undefined || live.token !== token || live.stopping) return false;
  if (live.phase === Phase.abort) {
    live.stopping = true;
    out.stops.push({ graph: g, no, token, cause: 'timeout' });
    out.event(g, attemptEvent(no, token, 'abort_timeout'));
    return true;
  }
  failAttempt(out, g, no, error, undefined, true);
  return true;
}

/** The process that ran the attempt is gone: nothing to stop. A crash counts as a try (I6). */
export function loseAttempt(out: Decisions, g: TaskGraph, no: number): void {
  const live = g.live.get(no);
  if (live === undefined) return;
  if (live.stopping) endStopping(out, g, no, 'lost');
  else if (live.phase === Phase.abort) {
    endAbort(out, g, no, { code: 'attempt_lost', message: 'The process that ran this attempt is gone.', retryable: true }, undefined);
  } else failAttempt(out, g, no, { code: 'attempt_lost', message: 'The process that ran this attempt is gone.', retryable: true }, undefined, false);
}

/** A stopping attempt returned, or its grace has passed: its slot is free and a waiting retry may begin. */
export function endStopping(out: Decisions, g: TaskGraph, no: number, outcome: 'returned' | 'stopped' | 'abandoned' | 'lost'): void {
  const live = g.live.get(no)!;
  if (live.phase === Phase.abort) {
    endAbort(out, g, no, { code: 'abort_timeout', message: `The abort hook was ${outcome} after its time.`, retryable: true }, undefined, outcome);
    return;
  }
  letGo(out, g, no, live, outcome);
}

/** The abort hook is done with, for now or for good. Its step may have been reset meanwhile: then nothing of it is asked any more. */
function endAbort(out: Decisions, g: TaskGraph, no: number, error: StepError | null, retryAfterMs: number | undefined, outcome?: string): void {
  if (g.phaseOf(no) !== Phase.abort) {
    letGo(out, g, no, g.live.get(no)!, outcome ?? (error === null ? 'aborted' : 'abort_failed'));
    return;
  }
  leaveFamily(out, g, no);
  finishAbort(out, g, no, error, retryAfterMs);
}

/** An attempt that no longer decided anything gives its slot back, and what waited for that may begin. */
function letGo(out: Decisions, g: TaskGraph, no: number, live: LiveAttempt, outcome: string): void {
  out.touch(g);
  const w = g.writes!.get(no);
  if (w === undefined) out.changes.releases.push({ task: g.id, no, token: live.token });
  else w.owner = null;
  g.live.delete(no);
  leaveFamily(out, g, no);
  g.ownLastStart().set(no, live.startedAt);
  out.freed.push({ graph: g, no, token: live.token });
  out.event(g, attemptEvent(no, live.token, outcome));
  if (g.phaseOf(no) === Phase.abort) {
    readyToAbort(out, g, no, out.now);
    return;
  }
  const due = g.retryAt.get(no);
  if (due !== undefined && due <= out.now) wakeStep(out, g, no);
  else if (isReady(g, no) && !g.ready.has(no)) makeReady(out, g, no, out.now);
}

/** A step's retry is due. While its last attempt has not returned it goes on waiting (design.md §2). */
export function wakeStep(out: Decisions, g: TaskGraph, no: number): void {
  const due = g.retryAt.get(no);
  if (due === undefined || due > out.now || g.live.has(no)) return;
  if (g.phaseOf(no) === Phase.abort) {
    wakeAbort(out, g, no);
    return;
  }
  const w = out.step(g, no);
  g.retryAt.delete(no);
  g.state[no] = Step.pending;
  makeReady(out, g, no, due);
  w.state = Step.pending;
  w.wakeAt = null;
  // In the backlog of a full turn it has no rank yet.
  w.rank = g.ready.get(no) ?? null;
  if (w.rank !== null) g.unstored.delete(no);
  out.event(g, stepEvent(no, Step.pending, g.token[no], triesOf(g, no)));
}

function failAttempt(out: Decisions, g: TaskGraph, no: number, error: StepError, retryAfterMs: number | undefined, stopping: boolean): void {
  const rules = g.shape.rules[no];
  const live = g.live.get(no)!;
  const phase = live.phase;
  const attempts = phase === Phase.run ? g.attempts[no] : (g.phaseAttempts.get(no) ?? 1);
  const w = out.step(g, no);
  const text = JSON.stringify(error);
  g.running--;
  w.error = text;
  w.finishedAt = out.now;
  g.noteStart(no, live.startedAt);
  w.firstStartedAt = g.firstStart.get(no) ?? null;
  if (stopping) {
    live.stopping = true;
    out.stops.push({ graph: g, no, token: live.token, cause: 'timeout' });
  } else {
    g.live.delete(no);
    leaveFamily(out, g, no);
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
  noteFailure(g, no, JSON.stringify({ ...error, message: `step ${g.shape.names[no]}: ${error.message}`, retryable: false }));
  // A parent that fails takes what it made back, and so does a step that was stopped from outside; what threw could clean up itself.
  if (stopping || g.families.has(no)) askAbort(out, g, no, w);
  propagate(out, g, no);
}
