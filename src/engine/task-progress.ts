/**
 * How far live tasks are. Kept in memory for tasks whose handlers say something, or whose steps have children: nothing is written for it,
 * however often a handler reports (design.md §6), and after a restart it is derived again from what the rows say.
 */
import type { ChangeSet } from '../core/changes.ts';
import type { JsonObject } from '../core/definition.ts';
import type { TaskGraph } from '../core/graph.ts';
import { ProgressTree, TASK, type ProgressFacts } from '../core/progress-rollup.ts';
import { Step, type StepState, isAbsent, isStepTerminal } from '../core/step-states.ts';
import type { Active } from './dispatcher.ts';

export interface TaskProgressOptions {
  graph: (task: number) => TaskGraph | undefined;
  now: () => number;
  stepUuid: (task: number, no: number) => string;
  /** Lets what else waits on the loop go first. */
  pause: () => Promise<void>;
}

/** Steps taken up at a time: a graph of 100,000 would hold the loop for 150 ms. */
const SLICE = 2000;

export class TaskProgress {
  readonly #o: TaskProgressOptions;
  readonly #trees = new Map<number, ProgressTree>();
  /** Still being taken up, in slices: nothing is told of them yet. */
  readonly #partial = new Set<number>();

  constructor(o: TaskProgressOptions) {
    this.#o = o;
  }

  /** A running attempt has reported. */
  reported(a: Active): void {
    const p = a.progress;
    const g = this.#o.graph(a.task);
    if (p === null || g === undefined) return;
    this.#of(g).set(a.no, p.total === undefined ? { fraction: p.fraction, message: p.message } : { ...p, message: p.message }, this.#o.now());
  }

  /** What a durable turn changed. Costs nothing while no task is followed. */
  turn(changes: ChangeSet): void {
    if (this.#trees.size === 0) return;
    const now = this.#o.now();
    for (const w of changes.steps) {
      const tree = this.#trees.get(w.task);
      if (tree === undefined) continue;
      const g = this.#o.graph(w.task);
      if (w.insert && g !== undefined) this.#add(tree, g, w.no);
      if (isStepTerminal(w.fromState) && !isStepTerminal(w.state)) tree.reopened(w.no);
      if (isStepTerminal(w.state)) tree.ended(w.no, w.state as StepState, now);
      else if (w.state === Step.waitingForRetry) tree.retried(w.no);
      else if (w.state === Step.inProgress) tree.started(w.no, now);
    }
    for (const c of changes.checkpoints) this.#trees.get(c.task)?.checkpointed(c.no);
  }

  /** The graph has left memory: what is followed of it is derived again when it is asked for. */
  drop(task: number): void {
    this.#trees.delete(task);
    this.#partial.delete(task);
  }

  /** How far a step is, -1 the task; null: nothing but its state says so. */
  of(g: TaskGraph, no: number): ProgressFacts | null {
    return this.viewOf(g)?.(no) ?? null;
  }

  /** Of one view with many steps: the tree is derived once. */
  viewOf(g: TaskGraph): ((no: number) => ProgressFacts) | null {
    const tree = this.#trees.get(g.id) ?? (g.shape.hasParents ? this.#lookedAt(g) : undefined);
    if (tree === undefined || this.#partial.has(g.id)) return null;
    const now = this.#o.now();
    return (no) => tree.of(no, now);
  }

  /** What a progress event says of the step and of each that it counts for. */
  eventData(a: Active, nameOf: (no: number) => string): JsonObject {
    const tree = this.#trees.get(a.task);
    if (tree === undefined || this.#partial.has(a.task)) return {};
    const now = this.#o.now();
    const up = tree.ancestors(a.no);
    const parents = up.filter((no) => no !== TASK);
    const own = tree.of(a.no, now);
    return {
      ...amounts(own),
      parent: parents.length === 0 ? null : nameOf(parents[0]),
      parent_id: parents.length === 0 ? null : this.#o.stepUuid(a.task, parents[0]),
      ancestors: parents.map((no) => {
        const facts = tree.of(no, now);
        return { step: nameOf(no), step_id: this.#o.stepUuid(a.task, no), fraction: facts.fraction, parts: { ...facts.parts }, ...amounts(facts) };
      }),
      task_fraction: tree.of(TASK, now).fraction,
    };
  }

  #of(g: TaskGraph): ProgressTree {
    let tree = this.#trees.get(g.id);
    if (tree !== undefined) return tree;
    this.#trees.set(g.id, (tree = treeFor(g)));
    if (g.size <= SLICE) this.#take(tree, g, 0, g.size);
    else {
      this.#partial.add(g.id);
      void this.#takeInSlices(tree, g);
    }
    return tree;
  }

  /** Live graphs are followed from here on. One that is only looked at is derived for this look, unless that would take too long. */
  #lookedAt(g: TaskGraph): ProgressTree | undefined {
    if (this.#o.graph(g.id) === g) return this.#of(g);
    if (g.size > SLICE) return undefined;
    const tree = treeFor(g);
    this.#take(tree, g, 0, g.size);
    return tree;
  }

  /** Turns in between change what has been taken up, and are seen in the states of what has not. */
  async #takeInSlices(tree: ProgressTree, g: TaskGraph): Promise<void> {
    for (let from = 0; from < g.size; from += SLICE) {
      await this.#o.pause();
      if (this.#trees.get(g.id) !== tree) return;
      if (this.#o.graph(g.id) !== g) {
        this.drop(g.id);
        return;
      }
      this.#take(tree, g, from, Math.min(g.size, from + SLICE));
    }
    this.#partial.delete(g.id);
  }

  #take(tree: ProgressTree, g: TaskGraph, from: number, to: number): void {
    for (let no = from; no < to; no++) {
      if (isAbsent(g.state[no])) continue;
      this.#add(tree, g, no);
      if (isStepTerminal(g.state[no])) tree.ended(no, g.state[no] as StepState);
    }
  }

  #add(tree: ProgressTree, g: TaskGraph, no: number): void {
    const parent = g.shape.parent(no);
    const facts = g.shape.facts(no);
    tree.childAdded(parent < 0 ? TASK : parent, no, facts === undefined || facts.expected === 0 ? undefined : facts.expected, facts?.unit);
  }
}

const treeFor = (g: TaskGraph): ProgressTree => (g.expected === null ? new ProgressTree() : new ProgressTree(g.expected.total, g.expected.unit));

const amounts = (p: ProgressFacts): JsonObject => (p.total === null ? {} : { done: p.done, total: p.total, unit: p.unit, rate: p.rate, eta_ms: p.etaMs });
