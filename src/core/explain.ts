/** Why a step is not running, from the functions that decide whether it runs. */
import { runsNothing } from './failure.ts';
import { limitingParent } from './family.ts';
import type { TaskGraph } from './graph.ts';
import { Phase, isAborting } from './phases.ts';
import { isReady, unmetDependencies } from './readiness.ts';
import { edgeStep } from './shape.ts';
import { Absent, STEP_STATES, Step, isAbsent, isStepTerminal } from './step-states.ts';
import { TASK_STATES, Task, isTaskTerminal } from './task-states.ts';

export interface Surroundings {
  now: number;
  slots: number;
  slotsUsed: number;
  hasHandler: boolean;
  /** Neither step nor handler says that a running attempt must not be disturbed. */
  cancelable: boolean;
  /** Ready steps in memory that go before this one; null: not counted. */
  ahead: number | null;
  draining: boolean;
  storeWritable: boolean;
  /** Of the running attempt: its last sign of life, and when it times out. */
  lastSignAt: number | null;
}

export interface ExplainedGate {
  kind:
    | 'dependency'
    | 'dependency_failed'
    | 'retry_wait'
    | 'slots'
    | 'no_handler'
    | 'undecided'
    | 'not_taken'
    | 'task_arriving'
    | 'task_reopening'
    | 'task_held'
    | 'task_blocked'
    | 'task_ended'
    | 'running'
    | 'waiting_for_children'
    | 'parent_limit'
    | 'aborting'
    | 'stopping'
    | 'terminal'
    | 'starting'
    | 'store_unavailable'
    | 'draining';
  message: string;
  details: { [key: string]: string | number | boolean | null };
}

/** Gates in the order the engine meets them; a step whose only gate is `starting` is started by the next turn. */
export function explainStep(g: TaskGraph, no: number, s: Surroundings): ExplainedGate[] {
  const gates: ExplainedGate[] = [];
  const state = g.state[no];
  const live = g.live.get(no);
  const rules = g.shape.rules[no];
  const gate = (kind: ExplainedGate['kind'], message: string, details: ExplainedGate['details'] = {}): void => void gates.push({ kind, message, details });

  if (isAbsent(state)) return [absentGate(g, no)];
  if (live?.stopping)
    gate('stopping', 'Its last attempt was told to stop and has not returned; no other begins beside it.', {
      token: live.token,
      running_ms: s.now - live.startedAt,
    });
  if (isStepTerminal(state)) {
    gate('terminal', `It has ended: ${STEP_STATES[state]}${g.reasonOf(no) === null ? '' : ` (${g.reasonOf(no)})`}.`, {
      state: STEP_STATES[state],
      reason: g.reasonOf(no),
    });
    if (isAborting(g, no))
      gate('aborting', aborting(g, no, s.now), { attempts: g.phaseAttempts.get(no) ?? 0, max_attempts: Math.max(1, rules.retry.maxAttempts) });
    return gates;
  }
  const finalizes = g.phaseOf(no) === Phase.finalize;
  const attempts = finalizes ? (g.phaseAttempts.get(no) ?? 0) : g.attempts[no];
  const attempt = finalizes ? 'Finalize attempt' : 'Attempt';
  if (state === Step.inProgress && live !== undefined) {
    gate('running', `${attempt} ${attempts} has been running for ${s.now - live.startedAt} ms.`, {
      attempt: attempts,
      running_ms: s.now - live.startedAt,
      since_last_sign_ms: s.lastSignAt === null ? null : s.now - s.lastSignAt,
      timeout_ms: rules.timeoutMs || null,
      heartbeat_ms: rules.heartbeatMs || null,
      cancelable: s.cancelable,
    });
    return gates;
  }
  if (isTaskTerminal(g.taskState)) gate('task_ended', `Its task has ended: ${TASK_STATES[g.taskState]}.`, { task_state: TASK_STATES[g.taskState] });
  if (g.held) gate('task_held', 'Its task is stored and was not let run: execute it.');
  if (g.arriving >= 0) gate('task_arriving', `Its task is still arriving: ${g.arriving} of ${g.size} steps are stored.`, { stored: g.arriving, total: g.size });
  if (g.reopening !== null && !g.ready.has(no))
    gate('task_reopening', `Its task is being reset: ${g.reopening.at} of ${g.reopening.nos.length} steps are written.`, {
      written: g.reopening.at,
      total: g.reopening.nos.length,
    });
  const due = g.retryAt.get(no);
  if (due !== undefined)
    gate('retry_wait', `${attempt} ${attempts + 1} of ${Math.max(1, rules.retry.maxAttempts)} is due in ${Math.max(0, due - s.now)} ms.`, {
      due_at: due,
      attempts,
      max_attempts: rules.retry.maxAttempts,
    });
  const family = g.families.get(no);
  if (state === Step.waitingForChildren && family !== undefined && family.open > 0) {
    const children = g.shape.children(no).filter((c) => g.shape.isTied(c)).length;
    gate('waiting_for_children', `Its own handler has returned; it waits for ${family.open} of its ${children} children.`, {
      open: family.open,
      children,
      failed: family.failed,
    });
  }
  for (const d of unmetDependencies(g, no)) {
    const name = g.shape.names[d.no];
    const state = STEP_STATES[g.state[d.no]] ?? 'undecided';
    const details = { name, required: d.required, state };
    if (d.never) gate('dependency_failed', `It requires ${name}, which ended without success.`, details);
    else gate('dependency', `It waits for ${name} (${d.required ? 'required' : 'optional'}), which is ${state}.`, details);
  }
  if (g.taskState === Task.blockedByFailures) gate('task_blocked', 'Its task is blocked by a failed step and waits for a person.');
  if (gates.length > 0 || !isReady(g, no)) return gates;
  if (runsNothing(g, no)) {
    gate('starting', 'It runs nothing, and is completed by one of the next turns.', { ahead: null });
    return gates;
  }
  if (!s.hasHandler) gate('no_handler', `Nobody here has the handler ${rules.handler}.`, { handler: rules.handler });
  if (s.draining) gate('draining', 'This process is shutting down and starts nothing.');
  if (!s.storeWritable) gate('store_unavailable', 'The store cannot be written at the moment.');
  if (gates.length > 0) return gates;
  const parent = limitingParent(g, no);
  if (parent >= 0) {
    const { maxChildren } = g.shape.rules[parent];
    gate('parent_limit', `${g.shape.names[parent]} lets ${maxChildren} of its children run at once, and so many do.`, {
      parent: g.shape.names[parent],
      limit: maxChildren,
      running: g.family(parent).running,
    });
  } else if (s.slotsUsed >= s.slots)
    gate('slots', `All ${s.slots} slots are in use${s.ahead === null ? '' : `; ${s.ahead} ready steps go first`}.`, {
      slots: s.slots,
      used: s.slotsUsed,
      ahead: s.ahead,
    });
  else gate('starting', 'It is ready and is started by the next turn.', { ahead: s.ahead });
  return gates;
}

/** Of a step of the template that does not exist: what has still to be chosen, or that nothing will bring it about any more. */
function absentGate(g: TaskGraph, no: number): ExplainedGate {
  const { deps, names, types } = g.shape;
  if (types[no] === 'batch_worker' && no < g.shape.base && g.state[no] === Absent.notTaken && hasWorkers(g, no)) {
    return { kind: 'not_taken', message: 'It is the pattern of the workers of a batch, which run in its place.', details: {} };
  }
  if (g.state[no] === Absent.notTaken) return { kind: 'not_taken', message: 'It was not taken: nothing chose it.', details: {} };
  const waits: string[] = [];
  const chooses: string[] = [];
  for (const e of deps[no]) {
    const dep = edgeStep(e);
    if (g.state[dep] === Absent.undecided) waits.push(names[dep]);
    else if ((types[dep] === 'decision' || types[dep] === 'batchable') && !isStepTerminal(g.state[dep])) chooses.push(names[dep]);
  }
  const who = chooses.length > 0 ? chooses : waits;
  const list = who.slice(0, MAX_NAMED).join(', ') + (who.length > MAX_NAMED ? ` and ${who.length - MAX_NAMED} more` : '');
  const what = chooses.length > 0 ? `${who.length > 1 ? 'have' : 'has'} not chosen` : `${who.length > 1 ? 'have' : 'has'} not been chosen`;
  return { kind: 'undecided', message: `It does not exist yet: ${list} ${what}.`, details: { waits_for: list } };
}

const MAX_NAMED = 5;

/** Did its batchable step put workers in its place? */
const hasWorkers = (g: TaskGraph, no: number): boolean =>
  g.shape.deps[no].some((e) => g.shape.batch(edgeStep(e))?.workerTemplate === g.shape.names[no] && g.state[edgeStep(e)] === Step.complete);

function aborting(g: TaskGraph, no: number, now: number): string {
  const live = g.live.get(no);
  if (live !== undefined)
    return live.phase === Phase.abort
      ? `Its abort hook has been running for ${now - live.startedAt} ms.`
      : 'Its abort hook begins when that attempt has returned.';
  const due = g.retryAt.get(no);
  return due === undefined ? 'Its abort hook waits for a slot.' : `Its abort hook is tried again in ${Math.max(0, due - now)} ms.`;
}
