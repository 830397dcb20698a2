/**
 * Which steps of a template exist in a task (design.md §2, spec/tasker.md §4.3). A step below a decision or a batch does not exist until
 * it is chosen. Until then it is *undecided*; once nothing can choose it any more it is *not taken*. Neither is ever a row: both follow
 * from the rows there are, so what a choice changes and what loading finds are told by the same rules:
 *
 * - A step that depends on a decision itself is a branch: it exists only when it is named, by a decision it lies below.
 * - Another ordinary step exists once all its required dependencies exist and one that was chosen does, required or optional.
 * - A deferred convergence exists once one of its dependencies that was chosen does.
 * - What is named exists whatever its other dependencies are. What exists goes on existing.
 * - The pattern of a batch (batch_worker) never exists, its workers do; what comes after it exists once they do.
 */
import type { BatchConfig, StepType } from './definition.ts';
import { Absent, isAbsent, isStepSuccessful, isStepTerminal, Step } from './step-states.ts';

/** Edges are the other step's number times two, plus one if the dependency is required. */
export interface BranchShape {
  readonly size: number;
  readonly names: readonly string[];
  readonly types: readonly StepType[];
  readonly deps: readonly (readonly number[])[];
  readonly outs: readonly (readonly number[])[];
  readonly numberOf: ReadonlyMap<string, number>;
  /** What `initialSteps` says; null: all steps. Steps beyond its end exist since they were added. */
  readonly initial: readonly boolean[] | null;
  branches(no: number): Record<string, string[]> | undefined;
  batch(no: number): BatchConfig | undefined;
}

/** The state of a step by number, absent ones included. */
export type StateOf = (no: number) => number;

/** Steps by number, in step order, that come to exist, and those that now never will. */
export interface Choice {
  create: number[];
  notTaken: number[];
}

/** Names one decision may give, branches unfolded. */
export const MAX_STEPS_PER_DECISION = 100;

/** Which steps exist from the start. */
export function initialSteps(shape: Pick<BranchShape, 'size' | 'types' | 'deps' | 'outs'>): boolean[] {
  const initial = shape.types.map((type) => type !== 'batch_worker' && type !== 'deferred_convergence');
  const below = shape.types.flatMap((type, no) => (type === 'decision' || !initial[no] ? [no] : []));
  const seen = new Set(below);
  for (let no = below.pop(); no !== undefined; no = below.pop()) {
    for (const e of shape.outs[no]) {
      initial[e >> 1] = false;
      if (!seen.has(e >> 1)) below.push(e >> 1);
      seen.add(e >> 1);
    }
  }
  return initial;
}

/** Does this edge hold its dependant back? What is not taken does not: the dependant sees that it has no value. */
export function openEdge(required: boolean, state: number): boolean {
  if (isAbsent(state)) return state === Absent.undecided;
  return required ? !isStepSuccessful(state) : !isStepTerminal(state);
}

/**
 * The names in a decision's result: `{ type: 'no_branches' }` or `{ type: 'create_steps', step_names: [...] }`, either of them also as
 * `decision_point_outcome` of an object with more in it. `error`: it is none of these.
 */
export function parseDecision(body: unknown): { names: string[] } | { error: string } {
  const outcome = fieldsOf(fieldsOf(body)?.decision_point_outcome ?? body);
  const names = outcome?.step_names;
  if (outcome?.type === 'no_branches') return { names: [] };
  if (outcome?.type !== 'create_steps') return { error: 'a decision returns { type: "create_steps", step_names: [...] } or { type: "no_branches" }' };
  if (!Array.isArray(names) || names.length === 0) return { error: 'step_names must be a list of at least one name; for none return { type: "no_branches" }' };
  const wrong = names.findIndex((name) => typeof name !== 'string');
  return wrong < 0 ? { names: names as string[] } : { error: `step_names[${wrong}] must be the name of a branch or step` };
}

const fieldsOf = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;

/**
 * What a decision that completed with these names of branches or steps brings about. Names of steps that exist are skipped, so that
 * deciding the same twice changes nothing the second time. `error`: the decision's result is wrong; nothing may be made of it.
 */
export function chooseBranches(shape: BranchShape, state: StateOf, decision: number, names: readonly string[]): Choice | { error: string } {
  const below = descendants(shape, decision);
  const branches = shape.branches(decision) ?? {};
  const chosen = new Set<number>();
  for (const name of names) {
    for (const step of Object.hasOwn(branches, name) ? branches[name] : [name]) {
      const no = shape.numberOf.get(step);
      if (no === undefined) return { error: `names ${JSON.stringify(step)}, which is neither a branch nor a step` };
      if (!below.has(no)) return { error: `names ${JSON.stringify(step)}, which does not depend on this decision` };
      if (shape.types[no] === 'batch_worker') return { error: `names ${JSON.stringify(step)}, which only its batchable step can bring about` };
      chosen.add(no);
      if (chosen.size > MAX_STEPS_PER_DECISION) return { error: `names more than ${MAX_STEPS_PER_DECISION} steps` };
    }
  }
  return settle(shape, state, { over: decision, below, chosen });
}

/** What a batchable step that completed brings about: `worker` is the pattern of its workers, which the engine puts in its place. */
export function openBatch(shape: BranchShape, state: StateOf, batchable: number): Choice & { worker: number } {
  const worker = workerOf(shape, batchable);
  return { worker, ...settle(shape, state, { over: batchable, below: descendants(shape, worker), chosen: new Set(), opened: worker }) };
}

/** Steps that are not taken since this decision or batchable step ended without a choice: failed, cancelled or resolved by hand. */
export function dropBranches(shape: BranchShape, state: StateOf, no: number): number[] {
  return settle(shape, state, { over: no, below: descendants(shape, no), chosen: new Set() }).notTaken;
}

/** Steps that were not taken and are undecided again, since this decision or batchable step, reset, will choose once more. */
export function reopenBranches(shape: BranchShape, state: StateOf, no: number): number[] {
  const walk = new Walk(shape, state, -1);
  const undecided: number[] = [];
  for (const step of inOrder(shape, descendants(shape, no))) {
    if (state(step) !== Absent.notTaken || !walk.hopeful(step)) continue;
    walk.now.set(step, Absent.undecided);
    undecided.push(step);
  }
  return undecided.sort((a, b) => a - b);
}

/** State of every template step that has no row, for a task that is loaded; `state` gives undefined for these. Linear in the graph. */
export function absentSteps(shape: BranchShape, state: (no: number) => number | undefined): Map<number, number> {
  const absent = new Map<number, number>();
  if (shape.initial === null) return absent;
  const walk = new Walk(shape, (no) => absent.get(no) ?? state(no) ?? Absent.undecided, -1);
  const below = new Set<number>();
  for (let no = 0; no < shape.initial.length; no++) if (!shape.initial[no]) below.add(no);
  for (const no of inOrder(shape, below)) {
    if (state(no) === undefined) absent.set(no, walk.hopeful(no) ? Absent.undecided : Absent.notTaken);
  }
  return absent;
}

/** Number of the step that a batchable step's workers are made from. */
function workerOf(shape: BranchShape, batchable: number): number {
  const name = shape.batch(batchable)?.workerTemplate;
  const worker = name === undefined ? undefined : shape.numberOf.get(name);
  if (worker === undefined) throw new Error(`step ${shape.names[batchable]} has no batch worker`);
  return worker;
}

interface Decided {
  /** The decision or batchable step: it has ended, whatever its state says yet. */
  over: number;
  below: ReadonlySet<number>;
  chosen: ReadonlySet<number>;
  /** The batch worker whose workers come to be. */
  opened?: number;
}

/** One pass over everything below: proportional to that, never to the graph. */
function settle(shape: BranchShape, state: StateOf, d: Decided): Choice {
  const walk = new Walk(shape, state, d.over);
  const create: number[] = [];
  const notTaken: number[] = [];
  if (d.opened !== undefined) {
    // Its workers stand for it: what comes after sees a dependency that was chosen, and nothing more to hope for.
    walk.now.set(d.opened, Step.complete);
    if (state(d.opened) === Absent.undecided) notTaken.push(d.opened);
  }
  for (const no of inOrder(shape, d.below)) {
    const before = state(no);
    if (!isAbsent(before)) continue;
    if (d.chosen.has(no) || comesWith(shape, walk, no)) {
      walk.now.set(no, Step.pending);
      create.push(no);
    } else if (before === Absent.undecided && !walk.hopeful(no)) {
      walk.now.set(no, Absent.notTaken);
      notTaken.push(no);
    }
  }
  return { create: create.sort((a, b) => a - b), notTaken: notTaken.sort((a, b) => a - b) };
}

/** Does the step exist because of what it depends on? */
function comesWith(shape: BranchShape, walk: Walk, no: number): boolean {
  const type = shape.types[no];
  if (type === 'batch_worker') return false;
  let chosen = false;
  for (const e of shape.deps[no]) {
    const dep = e >> 1;
    const exists = !isAbsent(walk.at(dep));
    // An initial step was there anyway.
    if (exists && shape.initial?.[dep] === false) chosen = true;
    if (type !== 'deferred_convergence' && (shape.types[dep] === 'decision' || (!exists && (e & 1) === 1))) return false;
  }
  return chosen;
}

/** What may still be chosen, as states change during one pass. */
class Walk {
  readonly now = new Map<number, number>();
  readonly #shape: BranchShape;
  readonly #state: StateOf;
  readonly #over: number;
  /** Steps whose answer cannot change during the pass. */
  readonly #known = new Map<number, boolean>();

  constructor(shape: BranchShape, state: StateOf, over: number) {
    this.#shape = shape;
    this.#state = state;
    this.#over = over;
  }

  at(no: number): number {
    return this.now.get(no) ?? this.#state(no);
  }

  /** Can something that has not ended still bring it about? Asked of each step after all it depends on, so it looks no further twice. */
  hopeful(no: number): boolean {
    const asked = [no];
    while (asked.length > 0) {
      const step = asked[asked.length - 1];
      const answer = this.#known.get(step) ?? this.#look(step, asked);
      if (answer === undefined) continue;
      this.#known.set(step, answer);
      asked.pop();
    }
    return this.#known.get(no) as boolean;
  }

  /** undefined: something it depends on was pushed, and has to be asked first. */
  #look(no: number, asked: number[]): boolean | undefined {
    const { initial, types, deps } = this.#shape;
    if (initial === null || initial[no] !== false) return false;
    let later = false;
    for (const e of deps[no]) {
      const dep = e >> 1;
      // Nothing but its own batchable step makes workers.
      if (types[no] === 'batch_worker' ? types[dep] === 'batchable' && this.#alive(dep) : this.#opens(dep)) return true;
    }
    if (types[no] === 'batch_worker') return false;
    for (const e of deps[no]) {
      const known = this.#known.get(e >> 1);
      if (known === true) return true;
      if (known === undefined) {
        asked.push(e >> 1);
        later = true;
      }
    }
    return later ? undefined : false;
  }

  #opens(no: number): boolean {
    const type = this.#shape.types[no];
    if (type === 'batch_worker') return this.at(no) === Absent.undecided;
    return type === 'decision' && this.#alive(no);
  }

  #alive(no: number): boolean {
    return no !== this.#over && !isStepTerminal(this.at(no));
  }
}

/** Everything that depends on a step, directly or not. */
function descendants(shape: BranchShape, no: number): Set<number> {
  const found = new Set<number>();
  const stack = [no];
  for (let step = stack.pop(); step !== undefined; step = stack.pop()) {
    for (const e of shape.outs[step]) {
      if (found.has(e >> 1)) continue;
      found.add(e >> 1);
      stack.push(e >> 1);
    }
  }
  return found;
}

/** The steps of a set, each after those of the set that it depends on. */
function inOrder(shape: BranchShape, steps: ReadonlySet<number>): number[] {
  const waiting = new Map<number, number>();
  const order: number[] = [];
  for (const no of steps) {
    let n = 0;
    for (const e of shape.deps[no]) if (steps.has(e >> 1)) n++;
    waiting.set(no, n);
    if (n === 0) order.push(no);
  }
  for (let at = 0; at < order.length; at++) {
    for (const e of shape.outs[order[at]]) {
      const n = waiting.get(e >> 1);
      if (n === undefined) continue;
      waiting.set(e >> 1, n - 1);
      if (n === 1) order.push(e >> 1);
    }
  }
  return order;
}
