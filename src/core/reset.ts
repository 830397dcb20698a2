/**
 * Reset: what failed runs again, and what depends on it, and nothing else (design.md §2). One commit takes the steps back to pending
 * and the task out of `error`; the rows of a large one follow in slices (reopening.ts). What a person cancelled or resolved stays as it
 * is, and so does what cannot run without it.
 */
import { reopenBranches } from './branches.ts';
import { reopenTask } from './decide-task.ts';
import type { Decisions } from './decisions.ts';
import { TuttiError } from './errors.ts';
import { IMPLIED_ABOVE, isHandled, mayBeTold, payDebts } from './failure.ts';
import type { TaskGraph } from './graph.ts';
import { stepVerbs, taskVerbs } from './legal-verbs.ts';
import { countFamily, recount, recountOpen } from './load-graph.ts';
import { resetEvent, stepEvent } from './log.ts';
import { Phase } from './phases.ts';
import { REOPENED_AT_ONCE, beginReopening, reopeningNote, startReopened, writeReopened } from './reopening.ts';
import { type Rerun, borneByParent, hasFailed, isFinalizing, rerunOf } from './rerun.ts';
import { edgeStep } from './shape.ts';
import { StepSet } from './step-set.ts';
import { Absent, Reason, STEP_STATES, Step, isAbsent, isStepTerminal } from './step-states.ts';
import { TASK_STATES, Task, isTaskTerminal } from './task-states.ts';

/** What a reset would do. It holds for the graph as it is: as long as nothing is decided about it. */
export interface ResetPlan {
  graph: TaskGraph;
  seq: number;
  rerun: Rerun;
  /** The step that was named; -1: none was. */
  asked: number;
}

export const planHolds = (plan: ResetPlan, g: TaskGraph): boolean => plan.graph === g && plan.seq === g.nextSeq && g.eventCount === 0;

/** Runs again whatever of the task failed. Gives how many steps, or why not: then nothing is changed. */
export function resetTask(out: Decisions, g: TaskGraph, atOnce?: number): number | TuttiError {
  const plan = planTask(g);
  return plan instanceof TuttiError ? plan : carryOut(out, plan, atOnce);
}

/** Runs one step again that failed, or that was cancelled by a failure; with it what depends on it and what stands or falls with it. */
export function resetStep(out: Decisions, g: TaskGraph, no: number, atOnce?: number): number | TuttiError {
  const plan = planStep(g, no);
  return plan instanceof TuttiError ? plan : carryOut(out, plan, atOnce);
}

/** Changes nothing. */
export function planTask(g: TaskGraph): ResetPlan | TuttiError {
  const refused = refuseTask(g);
  if (refused !== null) return refused;
  const seeds: number[] = [];
  for (let no = 0; no < g.size; no++) if (hasFailed(g, no) && !borneByParent(g, no)) seeds.push(no);
  const rerun = rerunOf(g, seeds);
  if (rerun.again.size === 0) return illegal(g, `Nothing of the task has failed: it is ${TASK_STATES[g.taskState]}.`);
  return planned(g, rerun, -1);
}

/** Changes nothing. */
export function planStep(g: TaskGraph, no: number): ResetPlan | TuttiError {
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
  return planned(g, rerun, no);
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

function planned(g: TaskGraph, rerun: Rerun, asked: number): ResetPlan | TuttiError {
  for (const no of choosing(g, rerun.again.nos)) {
    if (g.shape.types[no] !== 'batchable' || g.state[no] !== Step.complete) continue;
    return illegal(g, `The step ${g.shape.names[no]} would have to divide its work again, and its workers have it already; submit a new task instead.`);
  }
  return { graph: g, seq: g.nextSeq, rerun, asked };
}

const choosing = (g: TaskGraph, nos: readonly number[]): readonly number[] =>
  g.shape.initial === null ? [] : nos.filter((no) => g.shape.types[no] === 'decision' || g.shape.types[no] === 'batchable');

/** Gives how many steps run again. Beyond `atOnce` rows `reopening` is set: call `goOnReopening` until it is not. */
export function carryOut(out: Decisions, plan: ResetPlan, atOnce = REOPENED_AT_ONCE): number {
  const { graph: g, asked } = plan;
  const { again } = plan.rerun;
  const { nos } = again;
  // Rows that say pending where the step has ended are brought up to date first.
  if (g.debts.length > 0) payDebts(out, g, g.debts.length);
  out.event(g, resetEvent(asked, again.size));
  const reopening = beginReopening(g, nos);
  const stands = new Set(g.results.size === 0 ? [] : nos.filter((no) => runStands(g, no, again)));
  for (let i = 0; i < nos.length; i++) reopen(out, g, nos[i], stands.has(nos[i]), i < IMPLIED_ABOVE);
  const undecided: number[] = [];
  for (const no of choosing(g, nos)) {
    for (const n of reopenBranches(g.shape, (s) => g.state[s], no)) {
      g.state[n] = Absent.undecided;
      undecided.push(n);
    }
  }
  const open = recountAround(out, g, undecided.length === 0 ? nos : [...nos, ...undecided]);
  recount(g);
  recountFamilies(g, nos);
  g.failure = failureLeft(g);
  if (nos.length <= atOnce) {
    writeReopened(out, g, reopening, atOnce);
    startReopened(out, g, open, stands);
  } else {
    g.reopening = reopening;
    out.changes.taskPatches.push({ id: g.id, reopening: reopeningNote(g, reopening) });
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
function runStands(g: TaskGraph, no: number, again: StepSet): boolean {
  if (!g.results.has(no) || (!hasFailed(g, no) && !isFinalizing(g, no))) return false;
  if (g.phaseOf(no) === Phase.abort && (g.phaseAttempts.get(no) ?? 0) > 0) return false;
  return !g.shape.deps[no].some((e) => again.has(edgeStep(e)));
}

/** An attempt that is live keeps its slot until it returns; the next one begins then (endStopping). Its token is never given again. */
function reopen(out: Decisions, g: TaskGraph, no: number, stands: boolean, tell: boolean): void {
  const live = g.live.get(no);
  if (live !== undefined && !live.stopping && live.phase !== Phase.abort) {
    live.stopping = true;
    if (mayBeTold(out, g, no)) out.stops.push({ graph: g, no, token: live.token, cause: 'cancelled' });
  }
  const state = stands ? Step.waitingForChildren : Step.pending;
  g.ready.delete(no);
  g.unstored.delete(no);
  g.retryAt.delete(no);
  g.setPhase(no, stands && out.traits(g.shape.rules[no].handler).finalize ? Phase.finalize : Phase.run);
  g.phaseAttempts.delete(no);
  g.state[no] = state;
  if (!stands) {
    g.attempts[no] = 0;
    g.results.delete(no);
    g.forgetStarts(no);
  }
  if (tell) out.event(g, stepEvent(no, state, g.token[no], g.attempts[no]));
}

/** Counts anew what these and their dependants wait for; gives the ones that are not terminal. */
function recountAround(out: Decisions, g: TaskGraph, changed: readonly number[]): readonly number[] {
  const around = new StepSet(g.size);
  for (const no of changed) {
    if (!isAbsent(g.state[no])) around.add(no);
    for (const e of g.shape.outs[no]) if (!isAbsent(g.state[edgeStep(e)]) && !isStepTerminal(g.state[edgeStep(e)])) around.add(edgeStep(e));
  }
  for (const no of around.nos) {
    recountOpen(g, no);
    if (g.open[no] === 0 || !g.ready.delete(no)) continue;
    if (!g.unstored.delete(no)) out.step(g, no).rank = null;
  }
  return around.nos;
}

/** What parents know of the children that are open again. */
function recountFamilies(g: TaskGraph, again: readonly number[]): void {
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
