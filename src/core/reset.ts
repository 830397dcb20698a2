/**
 * Reset: what failed runs again, and what depends on it, and nothing else (design.md §2). One commit takes the steps back to pending
 * and the task out of `error`. What a person cancelled or resolved stays as it is, and so does what cannot run without it.
 */
import { reopenBranches } from './branches.ts';
import { reopenTask } from './decide-task.ts';
import type { Decisions } from './decisions.ts';
import { TuttiError } from './errors.ts';
import { IMPLIED_ABOVE, isHandled, makeReady, mayBeTold, payDebts, propagate, resolveParent } from './failure.ts';
import type { TaskGraph } from './graph.ts';
import { stepVerbs, taskVerbs } from './legal-verbs.ts';
import { countFamily, recount, recountOpen } from './load-graph.ts';
import { resetEvent, stepEvent } from './log.ts';
import { Phase } from './phases.ts';
import { type Rerun, borneByParent, hasFailed, isFinalizing, rerunOf } from './rerun.ts';
import { edgeStep } from './shape.ts';
import { Absent, Reason, STEP_STATES, Step, isAbsent, isStepTerminal } from './step-states.ts';
import { TASK_STATES, Task, isTaskTerminal } from './task-states.ts';

/** Runs again whatever of the task failed. Gives how many steps, or why not: then nothing is changed. */
export function resetTask(out: Decisions, g: TaskGraph): number | TuttiError {
  const refused = refuseTask(g);
  if (refused !== null) return refused;
  const seeds: number[] = [];
  for (let no = 0; no < g.size; no++) if (hasFailed(g, no) && !borneByParent(g, no)) seeds.push(no);
  const rerun = rerunOf(g, seeds);
  if (rerun.again.size === 0) return illegal(g, `Nothing of the task has failed: it is ${TASK_STATES[g.taskState]}.`);
  return carryOut(out, g, rerun, -1);
}

/** Runs one step again that failed, or that was cancelled by a failure; with it what depends on it and what stands or falls with it. */
export function resetStep(out: Decisions, g: TaskGraph, no: number): number | TuttiError {
  const refused = refuseTask(g);
  if (refused !== null) return refused;
  const name = g.shape.names[no];
  if (!hasFailed(g, no)) {
    const state = isAbsent(g.state[no]) ? 'not_taken' : STEP_STATES[g.state[no]];
    const why = g.state[no] === Step.cancelled ? ` (${g.reasonOf(no)})` : '';
    return new TuttiError('ILLEGAL_STATE', `The step ${name} is ${state}${why}; what can be reset is a step that failed or was cancelled by a failure.`, {
      details: { state, legal: stepVerbs(g, no) },
    });
  }
  const seeds = [no];
  // Without them a task whose other steps ended with it would go on to complete as if they had never been.
  if (isTaskTerminal(g.taskState) || g.policy === 'fail_fast') for (let n = 0; n < g.size; n++) if (endedWithTask(g, n)) seeds.push(n);
  const rerun = rerunOf(g, seeds);
  if (!rerun.again.has(no)) {
    const by = rerun.blocked.get(no) ?? no;
    const what = `${g.shape.names[by]} (${STEP_STATES[g.state[by]]})`;
    return new TuttiError('ILLEGAL_STATE', `The step ${name} cannot run while ${what} stays as it is; reset that first.`, {
      details: { state: STEP_STATES[g.state[no]], legal: stepVerbs(g, no), blocked_by: g.shape.names[by] },
    });
  }
  return carryOut(out, g, rerun, no);
}

function refuseTask(g: TaskGraph): TuttiError | null {
  if (g.policy === 'record') return illegal(g, 'A batch of a plan is not run again; the plan goes on with the next.');
  if (isTaskTerminal(g.taskState) && g.taskState !== Task.error)
    return illegal(g, `The task has ended: ${TASK_STATES[g.taskState]}; only one that failed can be reset.`);
  return null;
}

const illegal = (g: TaskGraph, message: string): TuttiError =>
  new TuttiError('ILLEGAL_STATE', message, { details: { state: TASK_STATES[g.taskState], legal: taskVerbs(g) } });

const endedWithTask = (g: TaskGraph, no: number): boolean =>
  g.state[no] === Step.cancelled && (g.reason?.[no] === Reason.taskEnded || g.reason?.[no] === Reason.expired);

function carryOut(out: Decisions, g: TaskGraph, rerun: Rerun, asked: number): number | TuttiError {
  const { again } = rerun;
  for (const no of again) {
    if (g.shape.types[no] !== 'batchable' || g.state[no] !== Step.complete) continue;
    return illegal(g, `The step ${g.shape.names[no]} would have to divide its work again, and its workers have it already; submit a new task instead.`);
  }
  // Rows that say pending where the step has ended are brought up to date first.
  if (g.debts.length > 0) payDebts(out, g, g.debts.length);
  out.event(g, resetEvent(asked, again.size));
  const stands = new Set([...again].filter((no) => runStands(g, no, again)));
  let told = 0;
  for (const no of again) reopen(out, g, no, stands.has(no), told++ < IMPLIED_ABOVE);
  const undecided: number[] = [];
  for (const no of again) {
    if (g.shape.types[no] !== 'decision' && g.shape.types[no] !== 'batchable') continue;
    for (const n of reopenBranches(g.shape, (s) => g.state[s], no)) {
      g.state[n] = Absent.undecided;
      undecided.push(n);
    }
  }
  const open = recountAround(out, g, [...again, ...undecided]);
  recount(g);
  recountFamilies(g, again);
  g.failure = failureLeft(g);
  for (const no of open) if (mayStart(g, no)) makeReady(out, g, no, out.now);
  for (const no of stands) {
    const family = g.family(no);
    if (g.state[no] !== Step.waitingForChildren || family.open > 0 || g.ready.has(no) || (g.live.has(no) && g.phaseOf(no) === Phase.finalize)) continue;
    if (resolveParent(out, g, no, family, g.resultToken(no))) propagate(out, g, no);
  }
  if (isTaskTerminal(g.taskState)) {
    out.changes.deadLetterClosings.push({ task: g.id, at: out.now, resolution: 'reset' });
    reopenTask(out, g);
  }
  return again.size;
}

/**
 * Its own run returned, and its value can be worked with still: it waits for its children again and runs no more than its `finalize`.
 * Not when what it depends on runs again, nor when its abort hook has begun to take back what it did.
 */
function runStands(g: TaskGraph, no: number, again: ReadonlySet<number>): boolean {
  if (!g.results.has(no) || (!hasFailed(g, no) && !isFinalizing(g, no))) return false;
  if (g.phaseOf(no) === Phase.abort && (g.phaseAttempts.get(no) ?? 0) > 0) return false;
  return !g.shape.deps[no].some((e) => again.has(edgeStep(e)));
}

/** An attempt that is live keeps its slot until it returns; the next one begins then (endStopping). Its token is never given again. */
function reopen(out: Decisions, g: TaskGraph, no: number, stands: boolean, tell: boolean): void {
  const w = out.step(g, no);
  const live = g.live.get(no);
  if (live !== undefined && !live.stopping && live.phase !== Phase.abort) {
    live.stopping = true;
    if (mayBeTold(out, g, no)) out.stops.push({ graph: g, no, token: live.token, cause: 'cancelled' });
  }
  const state = stands ? Step.waitingForChildren : Step.pending;
  const phase = stands && out.traits(g.shape.rules[no].handler).finalize ? Phase.finalize : Phase.run;
  // Kept as a sign that it ran before; a step that has never begun has no other.
  const endedAt = isStepTerminal(g.state[no]) ? out.now : null;
  g.ready.delete(no);
  g.unstored.delete(no);
  g.retryAt.delete(no);
  g.setPhase(no, phase);
  g.setPhaseAttempts(no, 0);
  g.state[no] = state;
  if (!stands) {
    g.attempts[no] = 0;
    g.results.delete(no);
  }
  w.abortOnly = false;
  w.state = state;
  w.phase = phase;
  w.phaseAttempts = 0;
  w.attempts = g.attempts[no];
  w.rank = null;
  w.wakeAt = null;
  w.finishedAt = stands ? null : endedAt;
  w.reason = null;
  w.error = null;
  w.resultToken = stands ? g.resultToken(no) : 0;
  if (tell) out.event(g, stepEvent(no, state, g.token[no], g.attempts[no]));
}

/** Counts anew what these and their dependants wait for; gives the ones that are not terminal. */
function recountAround(out: Decisions, g: TaskGraph, changed: readonly number[]): Set<number> {
  const around = new Set<number>();
  for (const no of changed) {
    if (!isAbsent(g.state[no])) around.add(no);
    for (const e of g.shape.outs[no]) if (!isAbsent(g.state[edgeStep(e)]) && !isStepTerminal(g.state[edgeStep(e)])) around.add(edgeStep(e));
  }
  for (const no of around) {
    recountOpen(g, no);
    if (g.open[no] === 0 || !g.ready.delete(no)) continue;
    if (!g.unstored.delete(no)) out.step(g, no).rank = null;
  }
  return around;
}

const mayStart = (g: TaskGraph, no: number): boolean => g.state[no] === Step.pending && g.open[no] === 0 && !g.live.has(no) && !g.held && !g.ready.has(no);

/** What parents know of the children that are open again. */
function recountFamilies(g: TaskGraph, again: ReadonlySet<number>): void {
  const parents = new Set<number>();
  for (const no of again) {
    if (g.tiedTo(no) >= 0) parents.add(g.tiedTo(no));
    if (g.families.has(no)) parents.add(no);
  }
  for (const parent of parents) {
    const { open, failed } = countFamily(g, parent);
    Object.assign(g.family(parent), { open, failed });
  }
}

/** What the task fails with if nothing else happens: as it was, where that failure is still one. */
function failureLeft(g: TaskGraph): string | null {
  if (g.unhandled === 0) return null;
  const message = g.failure === null ? '' : ((JSON.parse(g.failure) as { message?: string }).message ?? '');
  let first = '';
  for (let no = 0; no < g.size; no++) {
    if (g.state[no] !== Step.error || isHandled(g, no)) continue;
    const name = g.shape.names[no];
    if (message.startsWith(`step ${name}: `)) return g.failure;
    if (first === '') first = name;
  }
  return JSON.stringify({ code: 'step_failed', message: `step ${first}: failed`, retryable: false });
}
