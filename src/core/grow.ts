/**
 * Steps that come to a task after it began, or that no template defines: elements of a tree, spawned children, steps of a chosen
 * branch. A step added on a dependency that is already terminal is decided at once.
 */
import type { StepWrite } from './changes.ts';
import type { Decisions } from './decisions.ts';
import { cancelStep, isHandled, makeReady, propagate } from './failure.ts';
import type { TaskGraph } from './graph.ts';
import { addedEvent } from './log.ts';
import type { NodeDefinition } from './node.ts';
import type { Preset } from './preset.ts';
import { edgeOpen } from './readiness.ts';
import { hasFailed } from './rerun.ts';
import { edgeRequired, edgeStep } from './shape.ts';
import { Reason, Step, isStepSuccessful, isStepTerminal, isAbsent } from './step-states.ts';

/** A node to be, with its inputs as JSON text; null: it has none of its own and sees the task's. */
export interface NewNode {
  definition: NodeDefinition;
  inputs: string | null;
  /** Its inputs are those of this step of another task. */
  inputsFrom?: { task: number; no: number };
  /** It comes as it is here, and is not run: a link, or a step of an archive. */
  preset?: Preset;
}

const blank = (task: number, no: number): StepWrite => ({
  insert: true,
  task,
  no,
  fromToken: 0,
  fromState: Step.pending,
  state: Step.pending,
  token: 0,
  attempts: 0,
  phase: 0,
  phaseAttempts: 0,
  owner: null,
  rank: null,
  wakeAt: null,
  startedAt: null,
  firstStartedAt: null,
  finishedAt: null,
  reason: null,
  error: null,
  resultToken: 0,
});

/** Adds nodes to a live task. Their parents and dependencies exist, or are among them. Gives the first one's number; the rest follow. */
export function addNodes(out: Decisions, g: TaskGraph, nodes: readonly NewNode[], asked: number): number {
  out.touch(g);
  const shape = g.growingShape();
  const first = shape.size;
  const failures = failuresAmong(
    g,
    nodes.flatMap((n) => n.definition.deps?.map(([dep]) => dep) ?? []),
  );
  for (const n of nodes) shape.add(n.definition, asked);
  g.fit();
  nodes.forEach((n, i) => {
    const no = first + i;
    out.changes.nodes.push({ task: g.id, no, parent: n.definition.parent ?? null, asked, body: JSON.stringify(n.definition) });
    if (n.definition.id !== undefined) out.changes.elementIds.push({ id: n.definition.id, task: g.id, no });
    if (n.inputs !== null) out.changes.payloads.push({ task: g.id, no, token: 0, body: n.inputs });
    out.weight += 2;
    noteChild(g, no);
  });
  for (let no = first; no < shape.size; no++) create(out, g, no);
  judgeAnew(g, failures);
  // A step that was there already waits for the workers of a batch as well.
  for (let no = first; no < shape.size; no++) for (const e of shape.outs[no]) if (edgeStep(e) < first) g.open[edgeStep(e)]++;
  for (let no = first; no < shape.size; no++) begin(out, g, no);
  return first;
}

/** Steps of the template that a decision has chosen: their rows, with the numbers the template gave them. */
export function createTemplateSteps(out: Decisions, g: TaskGraph, nos: readonly number[]): void {
  out.touch(g);
  const failures = failuresAmong(
    g,
    nos.flatMap((no) => g.shape.deps[no].map(edgeStep)),
  );
  for (const no of nos) {
    g.state[no] = Step.pending;
    create(out, g, no);
  }
  judgeAnew(g, failures);
  for (const no of nos) begin(out, g, no);
}

/** Of these steps those that have failed, and whether that is handled so far. Steps still to be added are none. */
function failuresAmong(g: TaskGraph, deps: readonly number[]): Map<number, boolean> {
  const found = new Map<number, boolean>();
  for (const no of deps) if (no < g.size && g.state[no] === Step.error && !found.has(no)) found.set(no, isHandled(g, no));
  return found;
}

/** Who depends on a failed step decides whether its failure is handled, and there are more of these now. */
function judgeAnew(g: TaskGraph, failures: ReadonlyMap<number, boolean>): void {
  for (const [no, before] of failures) {
    if (isHandled(g, no) === before) continue;
    g.unhandled += before ? 1 : -1;
    if (before) g.failure ??= JSON.stringify({ code: 'step_failed', message: `step ${g.shape.names[no]}: failed`, retryable: false });
    else if (g.unhandled === 0) g.failure = null;
  }
}

/** A tied child is counted by its parent, and known by its spawn key. */
export function noteChild(g: TaskGraph, no: number): void {
  const parent = g.tiedTo(no);
  if (parent < 0) return;
  if (!isStepTerminal(g.state[no])) g.family(parent).open++;
  const key = g.shape.facts(no)?.spawnKey;
  if (key !== undefined && key !== null) g.spawnedBy(parent).set(key, no);
}

function create(out: Decisions, g: TaskGraph, no: number): void {
  g.created++;
  g.remaining++;
  g.grown = true;
  g.writes!.set(no, blank(g.id, no));
  out.weight++;
  out.event(g, addedEvent(no, g.shape.names[no], g.shape.parent(no)));
}

/** What the states of its dependencies and its parent make of a step that is new. */
function begin(out: Decisions, g: TaskGraph, no: number): void {
  let open = 0;
  let failed = false;
  for (const e of g.shape.deps[no]) {
    const state = g.state[edgeStep(e)];
    if (edgeOpen(edgeRequired(e), state)) open++;
    if (!edgeRequired(e) || !isStepTerminal(state) || isAbsent(state) || isStepSuccessful(state)) continue;
    // Under policy block a person may still mend it, and the step waits for that.
    if (g.policy !== 'block' || state !== Step.error || isHandled(g, edgeStep(e))) failed = true;
  }
  g.open[no] = open;
  if (g.state[no] !== Step.pending) return;
  const parent = g.tiedTo(no);
  if (parent >= 0 && isStepTerminal(g.state[parent])) {
    cancelStep(out, g, no, Reason.parentFailed, null, 0);
    propagate(out, g, no);
  } else if (failed) {
    cancelStep(out, g, no, Reason.dependencyFailed, null, 0);
    propagate(out, g, no);
  } else if (open === 0 && !g.held && g.arriving < 0) makeReady(out, g, no, out.now);
}

export type Spawned = { ok: true; no: number; adopted: boolean } | { ok: false; message: string };

/**
 * A live attempt of `parent` asks for children. Each is identified by its key, else by its position in the attempt; one that an earlier
 * attempt made is adopted as it stands (design.md §2). A mismatch is told, and nothing is added.
 */
export function spawn(out: Decisions, g: TaskGraph, parent: number, token: number, nodes: readonly NewNode[]): Spawned[] {
  const keys = g.spawnedBy(parent);
  const found = nodes.map(({ definition: d }): Spawned | null => {
    const no = keys.get(d.key !== undefined ? `k${d.key}` : `p${d.position ?? 0}`);
    if (no === undefined) return null;
    const facts = g.shape.facts(no)!;
    // Asked for before the parent was reset: it may be asked for other things now, and what failed then is not its concern.
    if (facts.asked > 0 && facts.asked <= token - g.attempts[parent] && ((d.key === undefined && facts.hash !== d.hash) || isGone(g, no))) return null;
    if (g.shape.rules[no].handler !== d.handler)
      return { ok: false, message: `the child ${g.shape.names[no]} was spawned for handler ${g.shape.rules[no].handler}, not ${d.handler}` };
    if (d.key === undefined && facts.hash !== d.hash)
      return {
        ok: false,
        message: `spawn number ${(d.position ?? 0) + 1} had other inputs in an earlier attempt; give children a key when their order may change`,
      };
    return { ok: true, no, adopted: true };
  });
  const wrong = found.find((f) => f !== null && !f.ok);
  if (wrong !== undefined && wrong !== null) return [wrong];
  const fresh = nodes.filter((n, i) => found[i] === null);
  const distinct = new Map<string, NewNode>();
  for (const n of fresh) {
    const key = n.definition.key !== undefined ? `k${n.definition.key}` : `p${n.definition.position ?? 0}`;
    const same = distinct.get(key);
    if (same === undefined) distinct.set(key, n);
    else if (same.definition.handler !== n.definition.handler)
      return [
        {
          ok: false,
          message: `two children of ${n.definition.key === undefined ? 'one place' : `key ${n.definition.key}`} were asked for, of handlers ${same.definition.handler} and ${n.definition.handler}`,
        },
      ];
  }
  if (distinct.size > 0) addNodes(out, g, [...distinct.values()], token);
  return nodes.map((n, i): Spawned => {
    const f = found[i];
    if (f === null || !f.ok)
      return { ok: true, no: keys.get(n.definition.key !== undefined ? `k${n.definition.key}` : `p${n.definition.position ?? 0}`)!, adopted: false };
    const facts = g.shape.facts(f.no)!;
    if (facts.asked !== token) {
      facts.asked = token;
      out.touch(g);
      out.changes.nodeUpdates.push({ task: g.id, no: f.no, asked: token });
      out.weight++;
    }
    return f;
  });
}

/** It came to nothing, and not because a person wanted that. */
const isGone = (g: TaskGraph, no: number): boolean => hasFailed(g, no) || (g.state[no] === Step.cancelled && g.reason?.[no] === Reason.notRespawned);

/** Children one command may ask for; a worker asks for more in turn. */
export const SPAWN_CHUNK = 500;
