/** A graph from its rows: counters are derived here and never stored (design.md §3), and what ended by implication ends here too. */
import { TaskGraph } from './graph.ts';
import { isHandled } from './failure.ts';
import { rank } from './rank.ts';
import { edgeOpen, isReady } from './readiness.ts';
import type { Shape } from './shape.ts';
import { Reason, Step, isStepSuccessful, isStepTerminal } from './step-states.ts';
import { Task, isTaskTerminal } from './task-states.ts';
import type { FailurePolicy } from './definition.ts';

export interface TaskRecord {
  id: number;
  template: number | null;
  state: number;
  priority: number;
  policy: FailurePolicy;
  createdAt: number;
  completedAt: number | null;
  wakeAt: number | null;
  error: string | null;
  nextSeq: number;
  meta: { correlationId?: string } | null;
}

export interface StepRecord {
  no: number;
  state: number;
  token: number;
  attempts: number;
  phase: number;
  owner: number | null;
  rank: number | null;
  wakeAt: number | null;
  startedAt: number | null;
  finishedAt: number | null;
  reason: number | null;
  error: string | null;
}

/** Every live attempt in the rows is taken up, whoever owns it: the caller declares those of other boots lost. */
export function loadGraph(task: TaskRecord, steps: readonly StepRecord[], shape: Shape): TaskGraph {
  const g = new TaskGraph({
    id: task.id,
    template: task.template,
    shape,
    policy: task.policy,
    priority: task.priority,
    createdAt: task.createdAt,
    deadlineAt: isTaskTerminal(task.state) ? null : task.wakeAt,
    taskState: task.state,
  });
  g.completedAt = task.completedAt;
  g.failure = task.error;
  g.nextSeq = task.nextSeq;
  g.correlationId = task.meta?.correlationId ?? null;
  for (const s of steps) {
    g.state[s.no] = s.state;
    g.attempts[s.no] = s.attempts;
    g.token[s.no] = s.token;
    if (s.reason !== null) g.setReason(s.no, s.reason);
    if (s.owner !== null) g.live.set(s.no, { token: s.token, phase: s.phase, startedAt: s.startedAt ?? task.createdAt, stopping: s.state !== Step.inProgress });
    else if (s.startedAt !== null && !isStepTerminal(s.state)) g.ownLastStart().set(s.no, s.startedAt);
    if (s.state === Step.waitingForRetry) g.ownRetryAt().set(s.no, s.wakeAt ?? 0);
    if (s.state === Step.error && g.failure === null && s.error !== null && !isHandled(g, s.no)) g.failure = failureOf(shape.names[s.no], s.error);
  }
  if (task.state === Task.initializing) g.arriving = steps.length;
  else applyImplied(g);
  for (let no = 0; no < g.size; no++) recountOpen(g, no);
  recount(g);
  if (!isTaskTerminal(g.taskState)) {
    for (const s of steps) {
      if (!isReady(g, s.no)) continue;
      if (s.rank === null) g.ownUnstored().add(s.no);
      g.ready.set(s.no, s.rank ?? rank(g.priorityOf(s.no), readyAt(g, s.no, steps)));
    }
  }
  return g;
}

function failureOf(name: string, text: string): string {
  const e = JSON.parse(text) as { message?: string };
  return JSON.stringify({ ...e, message: `step ${name}: ${e.message ?? ''}`, retryable: false });
}

/** When the last of its dependencies ended; the submission, where it has none. */
function readyAt(g: TaskGraph, no: number, steps: readonly StepRecord[]): number {
  const { depStart, deps } = g.shape;
  let at = g.createdAt;
  for (let e = depStart[no]; e < depStart[no + 1]; e++) at = Math.max(at, steps[deps[e]]?.finishedAt ?? 0);
  return at;
}

/** Pending steps below a failure, and all of them in a task that has ended, are cancelled though their rows may not say so yet. */
function applyImplied(g: TaskGraph): void {
  const { outStart, outs, outRequired } = g.shape;
  const stack: number[] = [];
  for (let no = 0; no < g.size; no++) {
    if (isStepTerminal(g.state[no]) && !isStepSuccessful(g.state[no])) stack.push(no);
  }
  while (stack.length > 0) {
    const no = stack.pop()!;
    if (g.policy === 'block' && g.state[no] === Step.error && !isHandled(g, no)) continue;
    for (let e = outStart[no]; e < outStart[no + 1]; e++) {
      const next = outs[e];
      if (outRequired[e] === 0 || g.state[next] !== Step.pending) continue;
      imply(g, next, endedWithTask(g, no) ?? Reason.dependencyFailed);
      stack.push(next);
    }
  }
  if (!isTaskTerminal(g.taskState)) return;
  let reason: number = Reason.taskEnded;
  for (let no = 0; no < g.size; no++) if (endedWithTask(g, no) === Reason.expired) reason = Reason.expired;
  for (let no = 0; no < g.size; no++) if (g.state[no] === Step.pending) imply(g, no, reason);
}

/** The reason of a step that was cancelled because its task ended, and not for its dependencies. */
function endedWithTask(g: TaskGraph, no: number): number | undefined {
  const reason = g.state[no] === Step.cancelled ? g.reason?.[no] : undefined;
  return reason === Reason.taskEnded || reason === Reason.expired ? reason : undefined;
}

function imply(g: TaskGraph, no: number, reason: number): void {
  g.state[no] = Step.cancelled;
  g.setReason(no, reason);
  g.ownDebts().push(no);
  g.debtsAt = g.completedAt ?? g.createdAt;
}

/** Derives a step's open dependencies from their states. */
export function recountOpen(g: TaskGraph, no: number): void {
  const { depStart, deps, depRequired } = g.shape;
  let open = 0;
  for (let e = depStart[no]; e < depStart[no + 1]; e++) if (edgeOpen(depRequired[e] === 1, g.state[deps[e]])) open++;
  g.open[no] = open;
}

/** Derives every counter of the task from the states. The reconciler compares with what it gives. */
export function recount(g: TaskGraph): void {
  g.remaining = g.running = g.complete = g.errors = g.unhandled = g.cancelled = g.resolved = 0;
  for (let no = 0; no < g.size; no++) {
    switch (g.state[no]) {
      case Step.complete:
        g.complete++;
        break;
      case Step.error:
        g.errors++;
        if (!isHandled(g, no)) g.unhandled++;
        break;
      case Step.cancelled:
        g.cancelled++;
        break;
      case Step.resolvedManually:
        g.resolved++;
        break;
      default:
        g.remaining++;
    }
    if (g.state[no] === Step.inProgress) g.running++;
  }
}
