/** A graph from its rows: counters are derived here and never stored (design.md §3), and what ended by implication ends here too. */
import { ARRIVAL_CHUNK } from './arrival.ts';
import { absentSteps } from './branches.ts';
import { type Family, TaskGraph } from './graph.ts';
import { failsParent, isHandled, reasonBelow, runsNothing } from './failure.ts';
import type { NodeDefinition } from './node.ts';
import { ABORT_MS, Phase } from './phases.ts';
import { rank } from './rank.ts';
import { isReopening, readReopening } from './reopening.ts';
import { edgeOpen, isReady } from './readiness.ts';
import { type Shape, edgeRequired, edgeStep } from './shape.ts';
import { Reason, Step, isAbsent, isStepSuccessful, isStepTerminal } from './step-states.ts';
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
  /** What a large reset runs again, while its rows are written. */
  reopening?: string | null;
  meta: { expected?: { total: number; unit: 'bytes' | 'items' }; correlationId?: string; origin?: { type: string } } | null;
}

export interface StepRecord {
  no: number;
  state: number;
  token: number;
  attempts: number;
  phase: number;
  phaseAttempts: number;
  owner: number | null;
  rank: number | null;
  wakeAt: number | null;
  startedAt: number | null;
  firstStartedAt: number | null;
  finishedAt: number | null;
  reason: number | null;
  error: string | null;
  resultToken: number;
}

export interface NodeRecord {
  no: number;
  asked: number;
  /** JSON text of a NodeDefinition. */
  body: string;
}

/** The shape of one task: its template's, or none, with the nodes it has beside. */
export function shapeWithNodes(base: Shape, nodes: readonly NodeRecord[]): Shape {
  if (nodes.length === 0) return base;
  const shape = base.fork();
  addStoredNodes(shape, nodes);
  return shape;
}

/** The next of a task's nodes, for callers that take them in pieces. */
export function addStoredNodes(shape: Shape, nodes: readonly NodeRecord[]): void {
  for (const n of nodes) {
    if (n.no !== shape.size) throw new Error(`node ${n.no} follows ${shape.size - 1} steps`);
    shape.add(JSON.parse(n.body) as NodeDefinition, n.asked);
  }
}

/**
 * Every live attempt in the rows is taken up, whoever owns it: the caller declares those of other boots lost. `own`: the shape is this
 * task's alone.
 */
export function loadGraph(task: TaskRecord, stored: readonly StepRecord[], shape: Shape, own = false): TaskGraph {
  const loading = loadInSlices(task, stored, shape, own);
  for (;;) {
    const next = loading.next();
    if (next.done) return next.value;
  }
}

/** Steps looked at between two stops of `loadInSlices`. */
const SLICE = 4096;

/** As loadGraph, with a stop after every few thousand steps: 100,000 at once would hold the caller for a tenth of a second. */
export function* loadInSlices(task: TaskRecord, stored: readonly StepRecord[], shape: Shape, own = false): Generator<void, TaskGraph> {
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
  if (own) g.adoptShape();
  g.completedAt = task.completedAt;
  g.failure = task.error;
  g.nextSeq = task.nextSeq;
  g.correlationId = task.meta?.correlationId ?? null;
  g.expected = task.meta?.expected ?? null;
  g.held = task.state === Task.pending;
  const frozen = task.meta?.origin?.type === 'archive';
  const { rows: steps, reopening } = task.reopening == null ? { rows: stored, reopening: null } : readReopening(task.reopening, stored, g.size);
  if (stored.length > SLICE) yield;
  const rows: (StepRecord | undefined)[] = [];
  for (let i = 0; i < steps.length; i++) {
    if (i % SLICE === SLICE - 1) yield;
    const s = steps[i];
    rows[s.no] = s;
    g.state[s.no] = s.state;
    g.attempts[s.no] = s.attempts;
    g.token[s.no] = s.token;
    g.setPhase(s.no, s.phase);
    if (s.phaseAttempts > 0) g.setPhaseAttempts(s.no, s.phaseAttempts);
    if (s.resultToken > 0 && (s.resultToken !== s.token || s.state !== Step.complete)) g.setResultToken(s.no, s.resultToken);
    if (s.reason !== null) g.setReason(s.no, s.reason);
    if (s.owner !== null) g.live.set(s.no, { token: s.token, phase: s.phase, startedAt: s.startedAt ?? task.createdAt, stopping: s.state !== Step.inProgress });
    // One that has ended may go on where its own run stood (reset.ts).
    if (
      s.startedAt !== null &&
      (s.firstStartedAt !== null || s.owner === null) &&
      (!isStepTerminal(s.state) || (s.resultToken > 0 && s.state !== Step.complete))
    ) {
      g.noteStart(s.no, s.firstStartedAt ?? s.startedAt);
      g.ownLastStart().set(s.no, s.startedAt);
    }
    if (s.state === Step.waitingForRetry && !frozen) g.ownRetryAt().set(s.no, s.wakeAt ?? 0);
    if (s.state === Step.error && g.failure === null && s.error !== null && !isHandled(g, s.no)) g.failure = failureOf(shape.names[s.no], s.error);
  }
  if (task.state === Task.initializing) g.arriving = arrivedUpTo(g, steps);
  else {
    for (const [no, state] of absentSteps(shape, (no) => rows[no]?.state)) g.state[no] = state;
    if (!frozen) yield* applyImplied(g);
  }
  for (let no = 0; no < g.size; no++) {
    if (no % SLICE === SLICE - 1) yield;
    recountOpen(g, no);
  }
  recount(g);
  yield* recountFamilies(g);
  for (let i = 0; i < steps.length; i++) {
    if (i % SLICE === SLICE - 1) yield;
    const s = steps[i];
    if (s.phase === Phase.abort && isStepTerminal(s.state)) loadAbort(g, s);
    else if (isReady(g, s.no) && (reopening === null || !isReopening(reopening, s.no))) {
      if (runsNothing(g, s.no)) {
        // More had become ready at once than one turn completes.
        g.backlogSince = g.createdAt;
        g.ownBacklog().push(s.no);
        continue;
      }
      if (s.rank === null) g.ownUnstored().add(s.no);
      g.ready.set(s.no, s.rank ?? rank(g.priorityOf(s.no), readyAt(g, s.no, rows)));
    }
  }
  g.reopening = reopening;
  return g;
}

/** Where the next chunk of an arriving task begins: not every number has a row where a template has decisions. */
function arrivedUpTo(g: TaskGraph, steps: readonly StepRecord[]): number {
  const last = steps.at(-1)?.no ?? -1;
  return Math.min(g.size, (Math.floor(last / ARRIVAL_CHUNK) + 1) * ARRIVAL_CHUNK);
}

/**
 * A tree that was arriving when its graph was dropped is read with the nodes that are stored: it goes on with the shape of the
 * submission, which has all of them.
 */
export function resumeArrival(g: TaskGraph, shape: Shape, fill: () => void): void {
  if (g.arriving < 0 || g.shape === shape) return;
  g.shape = shape;
  g.adoptShape();
  g.fit();
  fill();
  for (let no = 0; no < g.size; no++) recountOpen(g, no);
  recount(g);
  g.families.clear();
  for (const _ of recountFamilies(g));
}

/** Where its abort hook stands: ready, waiting to be tried again, under way, or done (then the row holds none of these). */
function loadAbort(g: TaskGraph, s: StepRecord): void {
  if (s.owner !== null) {
    // No attempt to abort has begun: what holds the slot is the attempt that was told to stop, and the hook follows it.
    const live = g.live.get(s.no)!;
    if (s.phaseAttempts === 0) live.phase = Phase.run;
    else {
      live.stopping = false;
      live.startedAt = (s.wakeAt ?? g.createdAt) - ABORT_MS;
    }
  } else if (s.rank !== null) g.ready.set(s.no, s.rank);
  else if (s.wakeAt !== null) g.ownRetryAt().set(s.no, s.wakeAt);
}

function failureOf(name: string, text: string): string {
  const e = JSON.parse(text) as { message?: string };
  return JSON.stringify({ ...e, message: `step ${name}: ${e.message ?? ''}`, retryable: false });
}

/** When the last of its dependencies ended; the submission, where it has none. */
function readyAt(g: TaskGraph, no: number, rows: readonly (StepRecord | undefined)[]): number {
  let at = g.createdAt;
  for (const e of g.shape.deps[no]) at = Math.max(at, rows[edgeStep(e)]?.finishedAt ?? 0);
  return at;
}

/**
 * Pending steps below a failure, tied children of a parent that has ended, and all pending steps of a task that has ended, are
 * cancelled though their rows may not say so yet.
 */
function* applyImplied(g: TaskGraph): Generator<void, void> {
  const stack: number[] = [];
  for (const no of g.shape.parents()) dropNotRespawned(g, no);
  for (let no = 0; no < g.size; no++) {
    if (isStepTerminal(g.state[no]) && !isStepSuccessful(g.state[no]) && !isAbsent(g.state[no])) stack.push(no);
  }
  let done = 0;
  for (let no = stack.pop(); no !== undefined; no = stack.pop()) {
    if (++done % SLICE === 0) yield;
    let below: number | undefined;
    for (const child of g.shape.children(no)) {
      if (!g.shape.isTied(child) || g.state[child] !== Step.pending) continue;
      imply(g, child, (below ??= impliedBelow(g, no)));
      stack.push(child);
    }
    if (g.policy === 'block' && g.state[no] === Step.error && !isHandled(g, no)) continue;
    for (const e of g.shape.outs[no]) {
      const next = edgeStep(e);
      if (!edgeRequired(e) || g.state[next] !== Step.pending) continue;
      imply(g, next, endedWithTask(g, no) ?? Reason.dependencyFailed);
      stack.push(next);
    }
  }
  if (!isTaskTerminal(g.taskState)) return;
  let reason: number = Reason.taskEnded;
  for (let no = 0; no < g.size; no++) if (endedWithTask(g, no) === Reason.expired) reason = Reason.expired;
  for (let no = 0; no < g.size; no++) if (g.state[no] === Step.pending) imply(g, no, reason);
}

/** Children that a run which returned did not ask for again, of which there were too many for one commit. */
function dropNotRespawned(g: TaskGraph, parent: number): void {
  const state = g.state[parent];
  if (state !== Step.waitingForChildren && g.phaseOf(parent) !== Phase.finalize && !isStepTerminal(state)) return;
  for (const child of g.shape.children(parent)) {
    if (!g.shape.isTied(child) || g.state[child] !== Step.pending) continue;
    if (state === Step.complete || !countsFor(g, parent, child)) imply(g, child, Reason.notRespawned);
  }
}

/** The reason that the children of this step were cancelled for. */
function impliedBelow(g: TaskGraph, no: number): number {
  if (g.state[no] === Step.error) {
    for (const child of g.shape.children(no)) if (g.shape.isTied(child) && g.state[child] === Step.error) return Reason.siblingFailed;
    return Reason.parentFailed;
  }
  return reasonBelow(g, no);
}

/** What parents know of their tied children. */
function* recountFamilies(g: TaskGraph): Generator<void, void> {
  let done = 0;
  for (const no of g.shape.parents()) {
    let tied = false;
    for (const child of g.shape.children(no)) {
      if (++done % SLICE === 0) yield;
      if (!g.shape.isTied(child)) continue;
      tied = true;
      const facts = g.shape.facts(child);
      if (facts?.spawnKey != null) g.spawnedBy(no).set(facts.spawnKey, child);
    }
    const counted = countFamily(g, no);
    if (tied || counted.running > 0) Object.assign(g.family(no), counted);
  }
}

/** Derives what a parent counts of its children from their states. The reconciler compares with what it gives. */
export function countFamily(g: TaskGraph, parent: number): Pick<Family, 'open' | 'failed' | 'running'> {
  let open = 0;
  let failed = 0;
  let running = 0;
  for (const child of g.shape.children(parent)) {
    if (g.live.size > 0 && g.live.has(child) && g.shape.limitedBy(child) === parent) running++;
    if (!g.shape.isTied(child)) continue;
    if (!isStepTerminal(g.state[child])) open++;
    else if (failsParent(g, child) && countsFor(g, parent, child)) failed++;
  }
  return { open, failed, running };
}

/** A child that the parent's last run did not ask for again is none of its concern. */
export function countsFor(g: TaskGraph, parent: number, child: number): boolean {
  const asked = g.shape.facts(child)?.asked ?? 0;
  const result = g.results.get(parent);
  return asked === 0 || result === undefined || asked === result;
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
  let open = 0;
  for (const e of g.shape.deps[no]) if (edgeOpen(edgeRequired(e), g.state[edgeStep(e)])) open++;
  g.open[no] = open;
}

/** Derives every counter of the task from the states. The reconciler compares with what it gives. */
export function recount(g: TaskGraph): void {
  g.created = g.remaining = g.running = g.complete = g.errors = g.unhandled = g.cancelled = g.resolved = 0;
  for (let no = 0; no < g.size; no++) {
    if (isAbsent(g.state[no])) continue;
    g.created++;
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
