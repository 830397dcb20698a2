/**
 * What follows when a step ends: dependants open, dependants of a failure end with it (design.md §2). All functions work along
 * edges of the steps concerned and never scan the graph, except those that end the whole task.
 */
import type { Decisions } from './decisions.ts';
import type { TaskGraph } from './graph.ts';
import { endedEvent, stepEvent } from './log.ts';
import { rank } from './rank.ts';
import { isReady } from './readiness.ts';
import { Task, isTaskTerminal } from './task-states.ts';
import { Reason, Step, isStepSuccessful, isStepTerminal } from './step-states.ts';

/** Rows written at once when a decision ends many pending steps; the rest end by implication and follow in chunks. */
export const IMPLIED_ABOVE = 256;
/** Steps one turn puts among the ready; a join in reverse may free 100,000, and each costs a microsecond or two. */
export const READY_AT_ONCE = 1000;

/** A handled failure lets its task complete: its dependants are all optional, or it is allowed to fail. */
export function isHandled(g: TaskGraph, no: number): boolean {
  if (g.shape.rules[no].allowFailure) return true;
  const { outStart, outRequired } = g.shape;
  if (outStart[no] === outStart[no + 1]) return false;
  for (let e = outStart[no]; e < outStart[no + 1]; e++) if (outRequired[e] === 1) return false;
  return true;
}

/** Puts a pending step whose dependencies are met among the ready. */
export function makeReady(out: Decisions, g: TaskGraph, no: number, readyAt: number): void {
  if (out.madeReady >= READY_AT_ONCE) {
    if (g.backlog.length === 0) g.backlogSince = readyAt;
    g.ownBacklog().push(no);
    out.touch(g);
    return;
  }
  out.madeReady++;
  const r = rank(g.priorityOf(no), readyAt);
  out.touch(g);
  g.ready.set(no, r);
  g.ownUnstored().add(no);
  out.ready.push({ graph: g, no, rank: r });
}

/** Goes on with what one decision made ready: at most READY_AT_ONCE steps a turn, in their order. */
export function takeBacklog(out: Decisions, g: TaskGraph): void {
  while (g.backlogAt < g.backlog.length && out.madeReady < READY_AT_ONCE) {
    const no = g.backlog[g.backlogAt++];
    if (isReady(g, no) && !g.ready.has(no)) makeReady(out, g, no, g.backlogSince);
  }
  if (g.backlogAt < g.backlog.length) return;
  g.backlog = [];
  g.backlogAt = 0;
}

/**
 * A step has just become terminal (its state and counters are set): opens or ends its dependants, and theirs.
 * Under policy `block` the required dependants of an unhandled failure stay pending for a person.
 */
export function propagate(out: Decisions, g: TaskGraph, first: number): void {
  const { outStart, outs, outRequired } = g.shape;
  const stack = [first];
  let ended = 0;
  while (stack.length > 0) {
    const no = stack.pop()!;
    const successful = isStepSuccessful(g.state[no]);
    const holds = !successful && g.policy === 'block' && g.state[no] === Step.error && !isHandled(g, no);
    for (let e = outStart[no]; e < outStart[no + 1]; e++) {
      const next = outs[e];
      if (isStepTerminal(g.state[next])) continue;
      if (outRequired[e] === 1 && !successful) {
        if (holds) continue;
        cancelStep(out, g, next, Reason.dependencyFailed, null, ended++);
        stack.push(next);
      } else {
        g.open[next]--;
        if (g.open[next] === 0 && g.state[next] === Step.pending && !g.live.has(next)) makeReady(out, g, next, out.now);
      }
    }
  }
  noteImplied(out, g, ended, Reason.dependencyFailed);
}

/**
 * Ends one step as cancelled. Its attempt, if one is live, is told to stop and keeps its slot until it returns (design.md §2).
 * `ordinal`: how many the same decision has ended before; far into a large one, pending steps end by implication.
 */
export function cancelStep(out: Decisions, g: TaskGraph, no: number, reason: number, error: string | null, ordinal: number): void {
  const before = g.state[no];
  const live = g.live.get(no);
  const implied = ordinal >= IMPLIED_ABOVE && before === Step.pending && live === undefined && g.inserted === null && !g.writes?.has(no);
  if (!implied) {
    const w = out.step(g, no);
    w.state = Step.cancelled;
    w.reason = reason;
    w.error = error;
    w.rank = null;
    w.wakeAt = null;
    w.finishedAt = out.now;
  }
  if (before === Step.inProgress) g.running--;
  g.state[no] = Step.cancelled;
  g.setReason(no, reason);
  g.ready.delete(no);
  g.unstored.delete(no);
  g.retryAt.delete(no);
  g.remaining--;
  g.cancelled++;
  if (live !== undefined && !live.stopping) {
    live.stopping = true;
    if (g.shape.rules[no].cancelable) out.stops.push({ graph: g, no, token: live.token, cause: 'cancelled' });
  }
  if (implied) {
    g.ownDebts().push(no);
    g.debtsAt = out.now;
  } else if (ordinal < IMPLIED_ABOVE) {
    out.event(g, stepEvent(no, Step.cancelled, g.token[no], g.attempts[no], `{"reason":${reason}}`));
  }
}

/** Ends every step that is not terminal. */
export function cancelRest(out: Decisions, g: TaskGraph, reason: number, error: string | null): void {
  let ended = 0;
  for (const no of [...g.live.keys()]) if (!isStepTerminal(g.state[no])) cancelStep(out, g, no, reason, error, ended++);
  if (g.remaining > 0) for (let no = 0; no < g.size && g.remaining > 0; no++) if (!isStepTerminal(g.state[no])) cancelStep(out, g, no, reason, error, ended++);
  noteImplied(out, g, ended, reason);
}

function noteImplied(out: Decisions, g: TaskGraph, ended: number, reason: number): void {
  if (ended > IMPLIED_ABOVE) out.event(g, endedEvent(ended - IMPLIED_ABOVE, reason));
}

/** Writes the ranks of ready steps, at most 256 a turn, so that the graph may leave memory. For when there are more graphs than the cache should hold. */
export function storeReady(out: Decisions, g: TaskGraph): void {
  if (g.arriving >= 0) return;
  let written = 0;
  for (const no of g.unstored) {
    if (written++ >= IMPLIED_ABOVE) return;
    out.step(g, no).rank = g.ready.get(no)!;
    g.unstored.delete(no);
  }
}

/** Writes up to `limit` rows of steps that ended by implication. */
export function payDebts(out: Decisions, g: TaskGraph, limit: number): void {
  out.touch(g);
  const now = g.debts.splice(Math.max(0, g.debts.length - limit));
  for (const no of now) {
    const w = out.step(g, no);
    w.fromState = Step.pending;
    w.state = Step.cancelled;
    w.reason = g.reason![no];
    w.finishedAt = g.debtsAt;
    if (g.taskState === Task.cancelled && w.reason === Reason.taskEnded) w.error = g.failure;
  }
  // The task's own row kept a wake-up for the case that the process dies before this.
  if (g.debts.length === 0 && isTaskTerminal(g.taskState)) {
    const error = g.taskState === Task.complete ? null : g.failure;
    out.changes.taskUpdates.push({ id: g.id, fromState: g.taskState, state: g.taskState, completedAt: g.completedAt, wakeAt: null, counts: g.counts, error });
  }
}
