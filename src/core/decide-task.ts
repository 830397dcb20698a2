/** Decisions about a whole task: it arrives, it is cancelled, it is too old, it has become something else. */
import { ARRIVAL_CHUNK } from './arrival.ts';
import type { PayloadRow, StepWrite, TaskMeta } from './changes.ts';
import type { Decisions } from './decisions.ts';
import type { StepError } from './errors.ts';
import { READY_AT_ONCE, cancelRest, makeReady } from './failure.ts';
import { TaskGraph } from './graph.ts';
import { type NewNode, noteChild } from './grow.ts';
import { patchEvent, taskEvent } from './log.ts';
import { resumeArrival } from './load-graph.ts';
import { applyPresets, presetRow } from './preset.ts';
import { DEFAULT_PRIORITY, rank } from './rank.ts';
import { isReady } from './readiness.ts';
import type { Shape } from './shape.ts';
import { firedTick } from './schedule-ticks.ts';
import { Reason, Step, isStepTerminal } from './step-states.ts';
import { Task, isTaskTerminal, taskPath, type TaskState } from './task-states.ts';

export interface Submission {
  id: number;
  template: number | null;
  shape: Shape;
  /** Ad hoc: the shape is this task's own, and these are its steps by number. Null: the template says what they are. */
  nodes?: readonly NewNode[] | null;
  /** False: stored as pending, and nothing runs until it is begun. */
  execute?: boolean;
  /** An archive: the state it is given, and the error it ended with. Its steps are presets. */
  frozen?: { state: number; error: string | null } | null;
  /** Unique among live tasks of the same template. */
  key?: string | null;
  /** The tick of a schedule that it is made for: pending until the last of it is stored, and fired by that commit. */
  tick?: { schedule: number; at: number } | null;
  priority: number | undefined;
  /** JSON text of the input. */
  input: string;
  tags: string[] | null;
  meta: TaskMeta | null;
}

/** A new task: its row, its input, and as many of its steps as one turn takes. Call `arrive` until `arriving` is -1. */
export function createTask(out: Decisions, s: Submission): TaskGraph {
  const { shape } = s;
  const chunked = shape.size > ARRIVAL_CHUNK;
  const g = new TaskGraph({
    id: s.id,
    template: s.template,
    shape,
    policy: shape.policy,
    priority: s.priority ?? shape.priority ?? DEFAULT_PRIORITY,
    createdAt: out.now,
    // Of one that is held it begins when that is let run.
    deadlineAt: shape.deadlineMs > 0 && s.execute !== false ? out.now + shape.deadlineMs : null,
    taskState: chunked ? Task.initializing : Task.enqueuingSteps,
  });
  g.arriving = 0;
  g.held = s.execute === false;
  if (s.nodes != null) {
    g.adoptShape();
    applyPresets(g, s.nodes);
    for (let no = 0; no < shape.size; no++) noteChild(g, no);
    if (g.remaining === 0) g.held = false;
  }
  if (s.frozen != null) {
    g.frozen = s.frozen.state;
    g.failure = s.frozen.error;
    g.held = false;
  }
  g.correlationId = s.meta?.correlationId ?? null;
  g.expected = s.meta?.expected ?? null;
  out.touch(g);
  g.insertedTask = {
    id: s.id,
    template: s.template,
    state: g.taskState,
    priority: g.priority,
    policy: g.policy,
    createdAt: out.now,
    completedAt: null,
    wakeAt: g.deadlineAt,
    totalSteps: g.created,
    counts: null,
    error: null,
    key: s.key ?? null,
    tags: s.tags,
    meta: s.meta,
  };
  const input: PayloadRow = { task: s.id, no: -1, token: 0, body: s.input };
  out.changes.payloads.push(input);
  // The input and the log row, beside the task's row and its steps': 500 tasks of one step are 2,000 rows, not 1,000.
  out.weight += 2;
  if (chunked) out.event(g, taskEvent(Task.initializing, [Task.pending]));
  arrive(out, g, s.nodes ?? null, s.tick ?? null);
  return g;
}

/** Before the next chunk: a graph that was read again in the middle of its arrival has forgotten what its rows do not say. */
export function resumeTask(g: TaskGraph, s: Submission): void {
  resumeArrival(g, s.shape, () => {
    applyPresets(g, s.nodes ?? []);
    g.held = s.execute === false && s.frozen == null && g.remaining > 0;
    g.frozen = s.frozen?.state ?? null;
    g.failure = s.frozen?.error ?? null;
  });
}

/** Stores the next chunk of an arriving task's steps; with the last one the task begins. */
export function arrive(out: Decisions, g: TaskGraph, nodes: readonly NewNode[] | null = null, tick: Submission['tick'] = null): void {
  out.touch(g);
  const from = g.arriving;
  const to = Math.min(g.size, from + ARRIVAL_CHUNK);
  const rows = new Array<StepWrite | undefined>(to - from);
  for (let no = from; no < to; no++) {
    if (!g.shape.exists(no)) continue;
    if (nodes !== null) {
      const { definition, inputs, inputsFrom, preset } = nodes[no];
      out.changes.nodes.push({ task: g.id, no, parent: definition.parent ?? null, asked: 0, body: JSON.stringify(definition) });
      if (definition.id !== undefined) out.changes.elementIds.push({ id: definition.id, task: g.id, no });
      if (inputs !== null) out.changes.payloads.push({ task: g.id, no, token: 0, body: inputs });
      else if (inputsFrom !== undefined)
        out.changes.payloadCopies.push({ task: g.id, no, token: 0, fromTask: inputsFrom.task, fromNo: inputsFrom.no, fromToken: 0 });
      out.weight += 2;
      if (preset !== undefined) {
        rows[no - from] = presetRow(out, g, no, definition, preset);
        continue;
      }
    }
    rows[no - from] = {
      insert: true,
      task: g.id,
      no,
      fromToken: 0,
      fromState: Step.pending,
      state: Step.pending,
      token: 0,
      attempts: 0,
      phase: 0,
      phaseAttempts: 0,
      owner: null,
      rank: g.open[no] === 0 && !g.held && g.shape.rules[no].handler !== '' ? rank(g.priorityOf(no), g.createdAt) : null,
      wakeAt: null,
      startedAt: null,
      firstStartedAt: null,
      finishedAt: null,
      reason: null,
      error: null,
      resultToken: 0,
    };
  }
  g.inserted = rows;
  out.weight += rows.length;
  g.insertedFrom = from;
  g.arriving = to < g.size ? to : -1;
  if (g.arriving < 0 && tick != null) out.changes.ticks.push(firedTick(tick, g.id, out.now));
  if (g.arriving >= 0 || g.held || g.frozen !== null) return;
  enqueueRoots(out, g);
}

/** A task that was stored and not let run begins. False: it is not waiting for that. */
export function executeTask(out: Decisions, g: TaskGraph): boolean {
  if (!g.held || isTaskTerminal(g.taskState)) return false;
  g.held = false;
  out.touch(g);
  // Not its roots alone: some may have been cancelled while it was held, and what waited for them is free.
  for (let no = 0; no < g.size; no++) if (isReady(g, no) && !g.ready.has(no)) makeReady(out, g, no, out.now);
  beginDeadline(out, g);
  return true;
}

/** The task has its whole time before it. */
function beginDeadline(out: Decisions, g: TaskGraph): void {
  g.deadlineAt = g.shape.deadlineMs > 0 ? out.now + g.shape.deadlineMs : null;
  if (g.deadlineAt !== null) out.timers.push({ graph: g, no: -1, at: g.deadlineAt });
}

function enqueueRoots(out: Decisions, g: TaskGraph): void {
  // What is complete from the start, a link, leaves others with nothing to wait for.
  const first: number[] = [];
  for (let no = 0; no < g.size; no++) if (g.open[no] === 0 && g.state[no] === Step.pending) first.push(no);
  for (const no of first) {
    if (g.shape.rules[no].handler === '') {
      makeReady(out, g, no, out.now);
      continue;
    }
    if (out.madeReady++ >= READY_AT_ONCE) {
      g.backlogSince = g.createdAt;
      g.ownBacklog().push(no);
      continue;
    }
    const r = rank(g.priorityOf(no), g.createdAt);
    g.ready.set(no, r);
    if (g.inserted === null) g.ownUnstored().add(no);
    out.ready.push({ graph: g, no, rank: r });
  }
  if (g.deadlineAt !== null) out.timers.push({ graph: g, no: -1, at: g.deadlineAt });
}

/**
 * What the task is now that this turn has decided about its steps. The states passed through inside the commit are named in the
 * log and not written one by one.
 */
export function evaluateTask(out: Decisions, g: TaskGraph): void {
  if (isTaskTerminal(g.taskState) || g.arriving >= 0) return;
  const to = targetState(g);
  moveTo(out, g, to === Task.enqueuingSteps && !canBeFound(out, g) ? Task.stepsInProcess : to);
}

/** A task that has not begun is found after a crash by the rank in the row of a ready step (I10). Where none has one, the first gets it. */
function canBeFound(out: Decisions, g: TaskGraph): boolean {
  if (g.ready.size > g.unstored.size) return true;
  for (const [no, r] of g.ready) {
    out.step(g, no).rank = r;
    g.unstored.delete(no);
    return true;
  }
  return false;
}

function targetState(g: TaskGraph): TaskState {
  if (g.frozen !== null) return g.frozen as TaskState;
  if (g.held) return Task.pending;
  if (g.reopening !== null) return Task.evaluatingResults;
  if (g.remaining === 0) {
    // Of a task whose every step was taken away by hand nothing is left to be complete.
    if (g.unhandled === 0 && g.lastCancel !== null && g.complete + g.resolved + g.errors === 0) {
      g.failure = g.lastCancel;
      return Task.cancelled;
    }
    if (g.unhandled === 0) return Task.complete;
    return g.policy === 'block' ? Task.blockedByFailures : Task.error;
  }
  if (g.running > 0) return Task.stepsInProcess;
  if (g.ready.size > 0 || g.backlog.length > 0) return hasBegun(g) ? Task.stepsInProcess : Task.enqueuingSteps;
  if (g.retryAt.size > 0) return Task.waitingForRetry;
  if (g.unhandled > 0) return Task.blockedByFailures;
  return Task.waitingForDependencies;
}

/** Some attempt was started, ever. Tasks not begun are found by the rank of their stored ready steps, begun ones by their state. */
export const hasBegun = (g: TaskGraph): boolean => g.taskState !== Task.initializing && g.taskState !== Task.enqueuingSteps && g.taskState !== Task.pending;

function moveTo(out: Decisions, g: TaskGraph, to: TaskState): void {
  const from = g.taskState as TaskState;
  const fresh = g.insertedTask;
  if (from === to && fresh === null) return;
  const ends = isTaskTerminal(to);
  const completedAt = ends ? out.now : null;
  const counts = ends ? g.counts : null;
  const error = ends && to !== Task.complete ? g.failure : null;
  const wakeAt = !ends ? g.deadlineAt : g.debts.length > 0 ? out.now : null;
  if (fresh !== null) {
    fresh.state = to;
    fresh.completedAt = completedAt;
    fresh.counts = counts;
    fresh.error = error;
    fresh.wakeAt = wakeAt;
    const via =
      to === Task.pending ? [] : to === Task.enqueuingSteps ? [Task.pending, Task.initializing] : [Task.pending, ...(taskPath(Task.pending, to) ?? [])];
    out.event(g, taskEvent(to, g.stateBefore === Task.initializing ? (taskPath(Task.initializing, to) ?? []) : via, endExtra(g, to)));
  } else {
    out.touch(g);
    out.changes.taskUpdates.push({ id: g.id, fromState: from, state: to, completedAt, wakeAt, counts, error });
    out.event(g, taskEvent(to, taskPath(from, to) ?? [], endExtra(g, to)));
  }
  g.taskState = to;
  if (!ends) return;
  g.completedAt = out.now;
  out.ended.push(g);
  if (to === Task.error && g.policy !== 'record' && g.frozen === null) {
    const failure = JSON.parse(g.failure ?? '{"code":"unknown"}') as StepError;
    out.changes.deadLetters.push({
      task: g.id,
      at: out.now,
      reason: deadLetterReason(failure),
      snapshot: JSON.stringify({ error: failure, counts: g.counts, original_state: from, created_at: g.createdAt }),
    });
  }
}

const endExtra = (g: TaskGraph, to: TaskState): string => (isTaskTerminal(to) && to !== Task.complete && g.failure !== null ? `{"error":${g.failure}}` : '');

/** What trying again would not have changed. */
const PERMANENT = new Set([
  'permanent_error',
  'unstorable_result',
  'result_too_large',
  'invalid_input',
  'invalid_input_schema',
  'invalid_decision',
  'invalid_batches',
  'yield_refused',
  'invalid_progress',
  'invalid_spawn',
  'spawn_mismatch',
  'unknown_handler',
  'handler_not_found',
  'child_failed',
]);

function deadLetterReason(e: StepError): string {
  if (e.code === 'task_deadline') return 'staleness_timeout';
  return PERMANENT.has(e.code) ? 'permanent_failure' : 'max_retries_exceeded';
}

/** Terminal, also by what this turn has decided before: a last result that is present beats the cancel or deadline that came with it. */
function hasEnded(out: Decisions, g: TaskGraph): boolean {
  if (g.remaining === 0) evaluateTask(out, g);
  return isTaskTerminal(g.taskState);
}

/** A person ends the task: in this commit, whatever its handlers do (design.md §2). False when it is terminal already. */
export function cancelTask(out: Decisions, g: TaskGraph, message: string): boolean {
  if (hasEnded(out, g)) return false;
  const error = JSON.stringify({ code: 'cancelled', message, retryable: false } satisfies StepError);
  g.failure = error;
  cancelRest(out, g, Reason.taskEnded, error);
  moveTo(out, g, Task.cancelled);
  return true;
}

/** The task's deadline has passed. */
export function expireTask(out: Decisions, g: TaskGraph): boolean {
  if (g.deadlineAt === null || g.deadlineAt > out.now || hasEnded(out, g)) return false;
  // Since it was created, let run or reset. A batch, whose plan said it, is none of the latter two.
  const ms = g.shape.deadlineMs > 0 ? g.shape.deadlineMs : g.deadlineAt - g.createdAt;
  g.failure = JSON.stringify({
    code: 'task_deadline',
    message: `The task did not end within ${ms} ms.`,
    retryable: false,
  } satisfies StepError);
  cancelRest(out, g, Reason.expired, null);
  moveTo(out, g, Task.error);
  return true;
}

/** Its steps were reset: it lives again, with its whole time before it, and is at once what they make of it. */
export function reopenTask(out: Decisions, g: TaskGraph): void {
  g.completedAt = null;
  beginDeadline(out, g);
  moveTo(out, g, targetState(g));
}

/** Priority and tags of a live task. Ready steps are ranked anew by when they became ready. False when it is terminal. */
export function patchTask(out: Decisions, g: TaskGraph, p: { priority?: number; tags?: string[] }): boolean {
  if (isTaskTerminal(g.taskState)) return false;
  out.changes.taskPatches.push({ id: g.id, ...p });
  out.event(g, patchEvent(JSON.stringify(p)));
  if (p.priority === undefined || p.priority === g.priority) return true;
  const before = new Map([...g.ready.keys()].map((no) => [no, g.priorityOf(no)]));
  g.priority = p.priority;
  for (const [no, old] of [...g.ready]) {
    const after = g.priorityOf(no);
    if (after === before.get(no) || isStepTerminal(g.state[no])) continue;
    const r = old - rank(before.get(no)!, 0) + rank(after, 0);
    g.ready.set(no, r);
    out.ready.push({ graph: g, no, rank: r });
    // Stored where the old one was: a task that is not begun is found again by it. A row for each of 100,000 would take a second.
    if (!g.unstored.has(no)) out.step(g, no).rank = r;
  }
  return true;
}
