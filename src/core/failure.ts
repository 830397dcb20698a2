/**
 * What follows when a step ends: dependants open or end with it, tied children end with their parent, a parent is resolved by its
 * children (design.md §2). All functions work along edges of the steps concerned and never scan the graph, except those that end the
 * whole task.
 */
import { dropBranches } from './branches.ts';
import type { Decisions } from './decisions.ts';
import { passOn } from './family.ts';
import type { Family, TaskGraph } from './graph.ts';
import { endedEvent, stepEvent } from './log.ts';
import { askAbort, triesOf } from './phases.ts';
import { rank } from './rank.ts';
import { isReady } from './readiness.ts';
import { edgeRequired, edgeStep } from './shape.ts';
import { Task, isTaskTerminal } from './task-states.ts';
import { Absent, Reason, Step, isAbsent, isStepSuccessful, isStepTerminal } from './step-states.ts';

/** Rows written at once when a decision ends many pending steps; the rest end by implication and follow in chunks. */
export const IMPLIED_ABOVE = 256;
/** Steps one turn puts among the ready; a join in reverse may free 100,000, and each costs a microsecond or two. */
export const READY_AT_ONCE = 1000;
/** Rows that the end of a folder takes: its own, its value and its part of the log. */
const FOLDER_ROWS = 3;

/** A folder: it has no handler, and completes as soon as it is ready. */
export const runsNothing = (g: TaskGraph, no: number): boolean => g.shape.rules[no].handler === '' && g.phaseOf(no) === 0;

/**
 * A handled failure lets its task complete: its dependants are all optional, or it is allowed to fail. A tied child's failure is its
 * parent's to bear: the parent fails, or tolerates it.
 */
export function isHandled(g: TaskGraph, no: number): boolean {
  if (g.shape.rules[no].allowFailure || g.shape.isTied(no)) return true;
  let any = false;
  for (const e of g.shape.outs[no]) {
    if (isAbsent(g.state[edgeStep(e)])) continue;
    if (edgeRequired(e)) return false;
    any = true;
  }
  return any;
}

/** Puts a pending step whose dependencies are met among the ready. A folder has nothing to run: it completes, and so may others. */
export function makeReady(out: Decisions, g: TaskGraph, no: number, readyAt: number): void {
  if (enter(out, g, no, readyAt)) propagate(out, g, no);
}

/** As makeReady; true: the step has ended at once, and what follows from it is the caller's to do. */
function enter(out: Decisions, g: TaskGraph, no: number, readyAt: number): boolean {
  if (g.held) return false;
  if (out.madeReady >= READY_AT_ONCE) {
    if (g.backlog.length === 0) g.backlogSince = readyAt;
    g.ownBacklog().push(no);
    out.touch(g);
    return false;
  }
  if (runsNothing(g, no)) {
    out.madeReady += FOLDER_ROWS;
    return completeFolder(out, g, no);
  }
  out.madeReady++;
  const r = rank(g.priorityOf(no), readyAt);
  out.touch(g);
  g.ready.set(no, r);
  g.ownUnstored().add(no);
  out.ready.push({ graph: g, no, rank: r });
  return false;
}

/** Runs nothing, gives null, and ends once its tied children have. True: it has ended. */
function completeFolder(out: Decisions, g: TaskGraph, no: number): boolean {
  const w = out.step(g, no);
  w.token = ++g.token[no];
  w.resultToken = w.token;
  out.changes.payloads.push({ task: g.id, no, token: w.token, body: 'null' });
  out.weight++;
  const family = g.families.get(no);
  // Also should it end in error by its children at once: its own part was done.
  if (family !== undefined) g.setResultToken(no, w.token);
  if (family !== undefined && family.open > 0) {
    g.state[no] = w.state = Step.waitingForChildren;
    out.event(g, stepEvent(no, Step.waitingForChildren, w.token, 0));
    return false;
  }
  return resolveParent(out, g, no, family ?? NO_FAMILY, w.token);
}

const NO_FAMILY: Family = { open: 0, failed: 0, running: 0, held: [], heldAt: 0 };

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

/** How the steps below one that ended without success are cancelled. */
export function reasonBelow(g: TaskGraph, no: number): number {
  if (g.state[no] === Step.error) return (g.families.get(no)?.failed ?? 0) > 0 ? Reason.siblingFailed : Reason.parentFailed;
  const reason = g.reason?.[no] ?? Reason.parentFailed;
  if (reason === Reason.byRequest || reason === Reason.parentCancelled) return Reason.parentCancelled;
  return reason === Reason.taskEnded || reason === Reason.expired ? reason : Reason.parentFailed;
}

/**
 * A step has just become terminal (its state and counters are set): opens or ends its dependants, ends its tied children, resolves
 * its parent, and so on for each of those. Under policy `block` the required dependants of an unhandled failure stay pending for a
 * person.
 */
export function propagate(out: Decisions, g: TaskGraph, first: number): void {
  const stack = [first];
  let ended = 0;
  let implied: number = Reason.dependencyFailed;
  while (stack.length > 0) {
    const no = stack.pop()!;
    const successful = isStepSuccessful(g.state[no]);
    const family = g.families.get(no);
    if (!successful && family !== undefined && family.open > 0) {
      const reason = reasonBelow(g, no);
      const below = [];
      // Running ones first: they are told to stop, and must not be among what ends by implication.
      for (const child of g.shape.children(no)) if (g.shape.isTied(child) && !isStepTerminal(g.state[child]) && !isAbsent(g.state[child])) below.push(child);
      if (below.length > IMPLIED_ABOVE) below.sort((a, b) => (g.live.has(a) ? 0 : 1) - (g.live.has(b) ? 0 : 1));
      for (const child of below) {
        cancelStep(out, g, child, reason, null, ended++);
        implied = reason;
        stack.push(child);
      }
    }
    if (g.state[no] !== Step.complete && (g.shape.types[no] === 'decision' || g.shape.types[no] === 'batchable')) dropBelow(out, g, no);
    const holds = !successful && g.policy === 'block' && g.state[no] === Step.error && !isHandled(g, no);
    for (const e of g.shape.outs[no]) {
      const next = edgeStep(e);
      if (isStepTerminal(g.state[next]) || isAbsent(g.state[next])) continue;
      if (edgeRequired(e) && !successful) {
        if (holds) continue;
        cancelStep(out, g, next, Reason.dependencyFailed, null, ended++);
        stack.push(next);
      } else {
        g.open[next]--;
        if (g.open[next] === 0 && g.state[next] === Step.pending && !g.live.has(next) && enter(out, g, next, out.now)) stack.push(next);
      }
    }
    if (g.state[no] === Step.error && g.shape.types[no] === 'batch_worker') {
      for (const other of failFastWorkers(g, no)) {
        cancelStep(out, g, other, Reason.siblingFailed, null, ended++);
        stack.push(other);
      }
    }
    const parent = g.tiedTo(no);
    if (parent >= 0 && childEnded(out, g, parent, no)) stack.push(parent);
  }
  noteImplied(out, g, ended, implied);
  if (g.policy === 'fail_fast' && g.unhandled > 0 && g.remaining > 0) cancelRest(out, g, Reason.taskEnded, null);
}

/** A decision or batchable step ended without a choice: nothing of what lies below it will be. */
function dropBelow(out: Decisions, g: TaskGraph, no: number): void {
  leaveOut(
    out,
    g,
    dropBranches(g.shape, (n) => g.state[n], no),
  );
}

/** Not taken: they are never rows, and hold back nobody that exists. */
export function leaveOut(out: Decisions, g: TaskGraph, steps: readonly number[]): void {
  for (const no of steps) g.state[no] = Absent.notTaken;
  for (const no of steps) {
    for (const e of g.shape.outs[no]) {
      const next = edgeStep(e);
      if (isAbsent(g.state[next]) || g.state[next] !== Step.pending) continue;
      g.open[next]--;
      if (g.open[next] === 0 && !g.live.has(next)) makeReady(out, g, next, out.now);
    }
  }
}

/** Workers of the same batch that are to end with one that failed. */
function failFastWorkers(g: TaskGraph, no: number): number[] {
  const batchable = g.shape.parent(no);
  if (g.shape.batch(batchable)?.failureStrategy !== 'fail_fast') return [];
  return g.shape.children(batchable).filter((other) => !isStepTerminal(g.state[other]));
}

/** Is this tied child's end a failure that its parent answers for? Not when the child is allowed to fail. */
export const failsParent = (g: TaskGraph, child: number): boolean => g.state[child] === Step.error && !g.shape.rules[child].allowFailure;

/** A tied child is terminal. True: that ended its parent, too. */
function childEnded(out: Decisions, g: TaskGraph, parent: number, child: number): boolean {
  const family = g.family(parent);
  family.open--;
  if (failsParent(g, child)) family.failed++;
  if (isStepTerminal(g.state[parent])) return false;
  const policy = g.shape.rules[parent].onChildFailure;
  const tolerated = policy === 'fail_fast' ? 0 : policy === 'wait_all' ? Number.POSITIVE_INFINITY : policy;
  if (failsParent(g, child) && family.failed > tolerated) {
    failByChild(out, g, parent, child);
    return true;
  }
  if (family.open > 0 || g.state[parent] !== Step.waitingForChildren) return false;
  return resolveParent(out, g, parent, family, g.resultToken(parent));
}

/**
 * Its own phase `run` is over and no tied child is open: it fails by those that failed, goes on to `finalize` if its handler has
 * one (noted in its phase), or completes. True: it has ended.
 */
export function resolveParent(out: Decisions, g: TaskGraph, no: number, family: Family, resultToken: number): boolean {
  if (family.failed > 0 && g.shape.rules[no].onChildFailure === 'wait_all') {
    failByChild(out, g, no, -1);
    return true;
  }
  if (g.phaseOf(no) === 1) {
    // An attempt from before a reset may still be stopping: this one begins when it has returned.
    if (!g.live.has(no)) makeReady(out, g, no, out.now);
    return false;
  }
  complete(out, g, no, resultToken);
  return true;
}

/** The step is complete; what follows is the caller's to do. */
export function complete(out: Decisions, g: TaskGraph, no: number, resultToken: number): void {
  const w = out.step(g, no);
  if (g.state[no] === Step.inProgress) g.running--;
  g.state[no] = Step.complete;
  g.remaining--;
  g.complete++;
  if (resultToken !== g.token[no]) g.setResultToken(no, resultToken);
  else if (g.results.size > 0) g.results.delete(no);
  w.state = Step.complete;
  w.owner = null;
  w.rank = null;
  w.wakeAt = null;
  w.finishedAt = out.now;
  w.error = null;
  w.resultToken = resultToken;
  out.event(g, stepEvent(no, Step.complete, g.token[no], triesOf(g, no)));
}

/** A parent ends in error by its children: at once, whatever its own handler is doing (design.md §2). */
function failByChild(out: Decisions, g: TaskGraph, no: number, child: number): void {
  const family = g.family(no);
  const name = g.shape.names[no];
  const text = JSON.stringify({
    code: 'child_failed',
    message:
      child >= 0 && family.failed === 1
        ? `its child ${g.shape.names[child]} failed${messageOf(g, child)}`
        : `${family.failed} of its children failed${child >= 0 ? `, ${g.shape.names[child]} the last` : ''}`,
    retryable: false,
  });
  const live = g.live.get(no);
  if (g.state[no] === Step.inProgress) g.running--;
  const w = out.step(g, no);
  if (live !== undefined && !live.stopping) {
    live.stopping = true;
    if (mayBeTold(out, g, no)) out.stops.push({ graph: g, no, token: live.token, cause: 'cancelled' });
  }
  if (g.ready.delete(no)) passOn(out, g, no);
  g.unstored.delete(no);
  g.retryAt.delete(no);
  g.state[no] = w.state = Step.error;
  g.remaining--;
  g.errors++;
  w.error = text;
  w.rank = null;
  w.wakeAt = null;
  w.finishedAt = out.now;
  out.event(g, stepEvent(no, Step.error, g.token[no], g.attempts[no], `{"error":${text}}`));
  noteFailure(g, no, JSON.stringify({ code: 'child_failed', message: `step ${name}: ${(JSON.parse(text) as { message: string }).message}`, retryable: false }));
  askAbort(out, g, no, w);
}

/** What the child failed with, where this very turn has decided it. */
function messageOf(g: TaskGraph, child: number): string {
  const error = g.writes?.get(child)?.error;
  return error == null ? '' : `: ${(JSON.parse(error) as { message: string }).message}`;
}

/** Counts a step's failure against its task unless it is handled. False: it is. */
export function noteFailure(g: TaskGraph, no: number, failure: string): boolean {
  if (isHandled(g, no)) return false;
  g.unhandled++;
  g.failure ??= failure;
  return true;
}

/**
 * Ends one step as cancelled. Its attempt, if one is live, is told to stop and keeps its slot until it returns (design.md §2).
 * `ordinal`: how many the same decision has ended before; far into a large one, pending steps end by implication.
 */
export function cancelStep(out: Decisions, g: TaskGraph, no: number, reason: number, error: string | null, ordinal: number): void {
  const before = g.state[no];
  const live = g.live.get(no);
  const implied = ordinal >= IMPLIED_ABOVE && before === Step.pending && live === undefined && g.inserted === null && !g.writes?.has(no);
  const w = implied ? null : out.step(g, no);
  if (w !== null) {
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
  if (g.ready.delete(no)) passOn(out, g, no);
  g.unstored.delete(no);
  g.retryAt.delete(no);
  g.remaining--;
  g.cancelled++;
  if (live !== undefined && !live.stopping) {
    live.stopping = true;
    if (mayBeTold(out, g, no)) out.stops.push({ graph: g, no, token: live.token, cause: 'cancelled' });
  }
  if (w === null) {
    g.ownDebts().push(no);
    g.debtsAt = out.now;
    return;
  }
  if (ordinal < IMPLIED_ABOVE) out.event(g, stepEvent(no, Step.cancelled, g.token[no], triesOf(g, no), `{"reason":${reason}}`));
  askAbort(out, g, no, w);
}

/** Neither the step nor its handler says that a running attempt must not be disturbed. */
export const mayBeTold = (out: Decisions, g: TaskGraph, no: number): boolean =>
  g.shape.rules[no].cancelable && out.traits(g.shape.rules[no].handler).cancelable;

/** Ends every step that is not terminal. */
export function cancelRest(out: Decisions, g: TaskGraph, reason: number, error: string | null): void {
  let ended = 0;
  const end = (no: number): void => {
    if (isStepTerminal(g.state[no]) || isAbsent(g.state[no])) return;
    cancelStep(out, g, no, reason, error, ended++);
    const parent = g.tiedTo(no);
    if (parent >= 0) g.family(parent).open--;
  };
  for (const no of [...g.live.keys()]) end(no);
  if (g.remaining > 0) for (let no = 0; no < g.size && g.remaining > 0; no++) end(no);
  // Nobody is left who could choose.
  if (g.shape.initial !== null) for (let no = 0; no < g.shape.base; no++) if (g.state[no] === Absent.undecided) g.state[no] = Absent.notTaken;
  noteImplied(out, g, ended, reason);
}

/** The log names the first of many that end by one decision, and counts the others. */
export function noteImplied(out: Decisions, g: TaskGraph, ended: number, reason: number): void {
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
    askAbort(out, g, no, w);
  }
  // The task's own row kept a wake-up for the case that the process dies before this.
  if (g.debts.length === 0 && isTaskTerminal(g.taskState)) {
    const error = g.taskState === Task.complete ? null : g.failure;
    out.changes.taskUpdates.push({ id: g.id, fromState: g.taskState, state: g.taskState, completedAt: g.completedAt, wakeAt: null, counts: g.counts, error });
  }
}
