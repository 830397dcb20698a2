/**
 * Rules of templates with decisions and batches: what is chosen can be chosen, and nothing is left that nothing could ever choose.
 * Linear in steps and dependencies, but for branches listed out of order.
 */
import { MAX_STEPS_PER_DECISION } from './branches.ts';
import { FAILURE_STRATEGIES, type StepDefinition } from './definition.ts';

/** Decisions below one another, each not yet converged. */
export const MAX_DECISION_DEPTH = 20;
export const MAX_BATCH_SIZE = 100_000;
export const MAX_PARALLELISM = 1000;
/** Room for `_` and three digits after the name of a batch worker, within the 128 characters of a step's name. */
const MAX_WORKER_NAME = 124;

type Add = (no: number, field: string, message: string) => void;

/** What can be seen without knowing the graph. */
export function checkStepType(step: StepDefinition, add: (field: string, message: string) => void): void {
  const { branches, batch, type } = step;
  if (branches !== undefined) {
    if (type !== 'decision') add('branches', `belong to a decision, and the step is of type ${type}`);
    if (typeof branches !== 'object' || branches === null) add('branches', 'must be a mapping from branch to its steps');
    else {
      for (const [name, steps] of Object.entries(branches)) {
        if (!Array.isArray(steps)) add(`branches.${name}`, 'must be a list of steps');
        else if (steps.length > MAX_STEPS_PER_DECISION) add(`branches.${name}`, `has ${steps.length} steps; at most ${MAX_STEPS_PER_DECISION} are allowed`);
      }
    }
  }
  if (type === 'deferred_convergence' && step.dependencies.length === 0) add('dependencies', 'a deferred convergence has at least one');
  if (type === 'batchable' && batch === undefined) add('batch', 'is missing: a batchable step says how its batches are made');
  if (type === 'batch_worker' && String(step.name).length > MAX_WORKER_NAME) {
    add('name', `a batch worker's name has at most ${MAX_WORKER_NAME} characters, so that its workers' names fit`);
  }
  if (batch === undefined) return;
  if (type !== 'batchable') add('batch', `belongs to a batchable step, and the step is of type ${type}`);
  if (!isWhole(batch.batchSize, MAX_BATCH_SIZE)) add('batch.batchSize', `must be a whole number from 1 to ${MAX_BATCH_SIZE}, not ${String(batch.batchSize)}`);
  if (!isWhole(batch.parallelism, MAX_PARALLELISM)) {
    add('batch.parallelism', `must be a whole number from 1 to ${MAX_PARALLELISM}, not ${String(batch.parallelism)}`);
  }
  if (!FAILURE_STRATEGIES.includes(batch.failureStrategy)) add('batch.failureStrategy', `must be one of ${FAILURE_STRATEGIES.join(', ')}`);
  if (typeof batch.cursorField !== 'string' || batch.cursorField.length < 1 || batch.cursorField.length > 255) {
    add('batch.cursorField', 'must have 1 to 255 characters');
  }
}

/** What holds between steps of a graph that has no cycle and whose dependencies all exist. */
export function checkBranches(steps: readonly StepDefinition[], numberOf: ReadonlyMap<string, number>, add: Add): void {
  if (steps.every((s) => s.type === 'standard')) return;
  const deps = steps.map((s) => s.dependencies.map((d) => numberOf.get(d.name) as number));
  checkBatches(steps, deps, numberOf, add);
  checkDepth(steps, deps, add);
  let outs: number[][] | undefined;
  for (const [no, step] of steps.entries()) {
    for (const [name, listed] of Object.entries(step.branches ?? {})) {
      const field = `branches.${name}`;
      const other = numberOf.get(name);
      if (other !== undefined && !listed.includes(name)) add(no, field, `${JSON.stringify(name)} is also a step, which the branch does not have`);
      outs ??= dependantsOf(deps);
      checkBranch(steps, { deps, outs, numberOf }, no, listed, (message) => add(no, field, message));
    }
  }
}

interface Graph {
  deps: readonly (readonly number[])[];
  outs: readonly (readonly number[])[];
  numberOf: ReadonlyMap<string, number>;
}

function checkBranch(steps: readonly StepDefinition[], g: Graph, decision: number, listed: readonly string[], add: (message: string) => void): void {
  const below = new Set([decision]);
  const doubtful: number[] = [];
  for (const name of listed) {
    const no = g.numberOf.get(name);
    if (no === undefined) add(`names ${JSON.stringify(name)}, which is no step of this template`);
    else if (steps[no].type === 'batch_worker') add(`names ${JSON.stringify(name)}, a batch worker: only its batchable step brings it about`);
    // Most branches list their steps from the decision downwards.
    else if (g.deps[no].some((dep) => below.has(dep))) below.add(no);
    else doubtful.push(no);
  }
  if (doubtful.length === 0) return;
  const stack = [...below];
  for (let no = stack.pop(); no !== undefined; no = stack.pop()) {
    for (const next of g.outs[no]) {
      if (!below.has(next)) stack.push(next);
      below.add(next);
    }
  }
  for (const no of doubtful) if (!below.has(no)) add(`names ${JSON.stringify(steps[no].name)}, which does not depend on the decision`);
}

function checkBatches(steps: readonly StepDefinition[], deps: readonly number[][], numberOf: ReadonlyMap<string, number>, add: Add): void {
  const makers = new Map<number, number>();
  for (const [no, { batch }] of steps.entries()) {
    if (batch === undefined) continue;
    const name = JSON.stringify(batch.workerTemplate);
    const worker = numberOf.get(batch.workerTemplate);
    if (worker === undefined) add(no, 'batch.workerTemplate', `names ${name}, which is no step of this template`);
    else if (steps[worker].type !== 'batch_worker') add(no, 'batch.workerTemplate', `names ${name}, which is no batch_worker`);
    else if (makers.has(worker))
      add(no, 'batch.workerTemplate', `names ${name}, which already works for ${JSON.stringify(steps[makers.get(worker) ?? 0].name)}`);
    else if (!deps[worker].includes(no)) add(worker, 'dependencies', `a batch worker depends on its batchable step, ${JSON.stringify(steps[no].name)}`);
    if (worker !== undefined) makers.set(worker, no);
  }
  for (const [no, { type }] of steps.entries()) {
    if (type === 'batch_worker' && !makers.has(no)) add(no, 'type', 'no batchable step names this batch worker as its worker template');
    if (type === 'deferred_convergence') continue;
    const worker = deps[no].find((dep) => steps[dep].type === 'batch_worker');
    if (worker === undefined) continue;
    add(no, 'dependencies', `names the batch worker ${JSON.stringify(steps[worker].name)}, on which only a deferred_convergence may depend`);
  }
}

/**
 * How many decisions a step lies below, each one that a deferred convergence brings together again taken off; and that there is at least
 * one, or a batch, above each deferred convergence, which nothing would bring about otherwise.
 */
function checkDepth(steps: readonly StepDefinition[], deps: readonly number[][], add: Add): void {
  const depth = new Int32Array(steps.length);
  const chosen = new Uint8Array(steps.length);
  for (const no of inOrder(deps)) {
    let deepest = 0;
    let shallowest = Infinity;
    for (const dep of deps[no]) {
      const { type } = steps[dep];
      const below = depth[dep] + (type === 'decision' ? 1 : 0);
      deepest = Math.max(deepest, below);
      shallowest = Math.min(shallowest, below);
      // A convergence over the decision alone waits for a choice that is none.
      if (chosen[dep] === 1 || type === 'batch_worker') chosen[no] = 1;
      else if (type === 'decision' && steps[no].type !== 'deferred_convergence') chosen[no] = 1;
    }
    const converges = steps[no].type === 'deferred_convergence';
    depth[no] = converges ? Math.max(0, shallowest - 1) : deepest;
    if (converges && chosen[no] === 0) add(no, 'dependencies', 'a deferred convergence depends on a step that a decision or a batch brings about');
    if (steps[no].type === 'decision' && deepest >= MAX_DECISION_DEPTH) {
      add(no, 'dependencies', `the decision lies below ${deepest} others; at most ${MAX_DECISION_DEPTH} may lie within one another`);
      // Those below it would only say the same.
      depth[no] = -steps.length;
    }
  }
}

function dependantsOf(deps: readonly number[][]): number[][] {
  const outs: number[][] = deps.map(() => []);
  for (const [no, list] of deps.entries()) for (const dep of list) outs[dep].push(no);
  return outs;
}

function inOrder(deps: readonly number[][]): number[] {
  const outs = dependantsOf(deps);
  const waiting = deps.map((list) => list.length);
  const order = [...waiting.keys()].filter((no) => waiting[no] === 0);
  for (let at = 0; at < order.length; at++) for (const no of outs[order[at]]) if (--waiting[no] === 0) order.push(no);
  return order;
}

const isWhole = (value: unknown, high: number): boolean => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= high;
