/**
 * One task on the pure core and a store in memory, a turn at a time: every turn is committed, and the graph in hand is compared with
 * the one that its rows give.
 */
import assert from 'node:assert/strict';
import { finishAttempt, endStopping, loseAttempt, startStep, wakeStep } from '../../src/core/decide-attempt.ts';
import { arrive, createTask, evaluateTask } from '../../src/core/decide-task.ts';
import { Decisions } from '../../src/core/decisions.ts';
import type { ChangeSet } from '../../src/core/changes.ts';
import { DEFAULT_RETRY, type StepDefinition, type TemplateDefinition } from '../../src/core/definition.ts';
import type { TaskGraph } from '../../src/core/graph.ts';
import type { NewNode } from '../../src/core/grow.ts';
import { loadGraph, shapeWithNodes } from '../../src/core/load-graph.ts';
import type { HandlerTraits } from '../../src/core/phases.ts';
import { NO_TRAITS } from '../../src/core/phases.ts';
import { compileShape, emptyShape } from '../../src/core/shape.ts';
import { CANCEL_REASONS, STEP_STATES, Step } from '../../src/core/step-states.ts';
import { TASK_STATES } from '../../src/core/task-states.ts';
import { isAbsent, isStepTerminal } from '../../src/core/step-states.ts';
import type { StoredGraph } from '../../src/store/store.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';

export const coreStep = (name: string, after: string[] = [], o: Partial<StepDefinition> = {}): StepDefinition => ({
  name,
  type: 'standard',
  handler: name,
  dependencies: after.map((n) => (n.endsWith('?') ? { name: n.slice(0, -1), required: false } : { name: n, required: true })),
  retry: { ...DEFAULT_RETRY, maxAttempts: 1, jitter: 0 },
  ...o,
});

const TASK = 4096;

export class CoreTask {
  now = 1_800_000_000_000;
  readonly store = SqliteStore.open({ path: ':memory:', now: () => this.now, tag: 7 });
  graph!: TaskGraph;
  readonly traits: Record<string, Partial<HandlerTraits>>;
  /** Of the last turn. */
  changes!: ChangeSet;
  out!: Decisions;

  constructor(of: StepDefinition[] | { nodes: NewNode[] }, o: Partial<TemplateDefinition> & { traits?: Record<string, Partial<HandlerTraits>> } = {}) {
    const { traits, ...head } = o;
    this.traits = traits ?? {};
    const shape = Array.isArray(of)
      ? compileShape({ namespace: 't', name: 'x', version: '1.0.0', policy: 'fail', steps: of, ...head })
      : emptyShape(o.policy ?? 'fail');
    this.#base = shape;
    const nodes = Array.isArray(of) ? null : of.nodes;
    const own = nodes === null ? shape : shape.fork();
    if (nodes !== null) for (const n of nodes) own.add(n.definition, 0);
    this.turn((out) => {
      this.graph = createTask(out, {
        id: TASK,
        template: nodes === null ? 1 : null,
        shape: own,
        nodes,
        priority: undefined,
        input: '{}',
        tags: null,
        meta: null,
      });
    });
  }

  readonly #base;

  turn<T>(decide: (out: Decisions, g: TaskGraph) => T): T {
    this.now += 1000;
    const out = new Decisions(this.now, 1, (handler) => ({ ...NO_TRAITS, ...this.traits[handler] }));
    const value = decide(out, this.graph);
    for (const g of out.touched) evaluateTask(out, g);
    this.changes = out.seal();
    this.out = out;
    this.store.commit(this.changes);
    this.check();
    return value;
  }

  /** Starts every ready step in a turn of its own; gives their names. */
  startAll(): string[] {
    const nos = [...this.graph.ready].sort((a, b) => a[1] - b[1] || a[0] - b[0]).map(([no]) => no);
    if (nos.length > 0) this.turn((out, g) => nos.forEach((no) => startStep(out, g, no)));
    return nos.map((no) => this.graph.shape.names[no]);
  }

  no(name: string): number {
    const no = this.graph.shape.names.lastIndexOf(name);
    assert.ok(no >= 0, `there is no step ${name}`);
    return no;
  }

  ok(name: string, body = `"${name}"`): void {
    const no = this.no(name);
    this.turn((out, g) => assert.ok(finishAttempt(out, g, no, g.live.get(no)!.token, { ok: true, body })));
  }

  fail(name: string, retryable = false): void {
    const no = this.no(name);
    this.turn((out, g) => assert.ok(finishAttempt(out, g, no, g.live.get(no)!.token, { ok: false, error: { code: 'boom', message: 'boom', retryable } })));
  }

  /** Its stopping handler returns. */
  return(name: string): void {
    const no = this.no(name);
    this.turn((out, g) => endStopping(out, g, no, 'stopped'));
  }

  /** The process dies: the graph is read again, and what was live is lost. */
  crash(): void {
    this.graph = this.load();
    this.turn((out, g) => {
      for (const no of [...g.live.keys()]) loseAttempt(out, g, no);
    });
  }

  /** The next retry falls due. */
  wake(): void {
    const [[no, due]] = [...this.graph.retryAt].sort((a, b) => a[1] - b[1]);
    this.now = Math.max(this.now, due);
    this.turn((out, g) => wakeStep(out, g, no));
  }

  /** Runs whatever becomes ready; `fails` names what does. Gives the names in the order they began. */
  runAll(fails: readonly string[] = []): string[] {
    const begun: string[] = [];
    for (;;) {
      const names = this.startAll();
      for (const name of names) {
        begun.push(name);
        if (this.graph.live.get(this.no(name))?.stopping !== false) continue;
        if (fails.includes(name)) this.fail(name);
        else this.ok(name);
      }
      if (names.length === 0) return begun;
    }
  }

  get task(): string {
    return TASK_STATES[this.graph.taskState];
  }

  /** By name: its state, with the reason of what was cancelled. */
  get states(): Record<string, string> {
    const g = this.graph;
    return Object.fromEntries(
      g.shape.names.map((name, no) => {
        if (isAbsent(g.state[no])) return [name, g.state[no] === 11 ? 'not_taken' : 'undecided'];
        return [name, g.state[no] === Step.cancelled ? `cancelled/${CANCEL_REASONS[g.reason![no]]}` : STEP_STATES[g.state[no]]];
      }),
    );
  }

  rows(): StoredGraph {
    const all = { task: TASK, after: -1, limit: 1_000_000 };
    return { task: this.store.loadTask(TASK)!, steps: this.store.loadSteps(all), nodes: this.store.loadNodes(all) };
  }

  load(): TaskGraph {
    const { task, steps, nodes } = this.rows();
    const shape = shapeWithNodes(this.#base, nodes);
    return loadGraph(task, steps, shape, shape !== this.#base);
  }

  /** The next chunk of a large submission. */
  arriveMore(nodes: readonly NewNode[]): void {
    this.turn((out, g) => arrive(out, g, nodes));
  }

  check(): void {
    if (this.graph.arriving >= 0) return;
    const fresh = this.load();
    const figures = (g: TaskGraph): unknown => ({
      taskState: g.taskState,
      state: [...g.state].slice(0, g.size),
      attempts: [...g.attempts].slice(0, g.size),
      token: [...g.token].slice(0, g.size),
      open: [...g.open].slice(0, g.size).map((n, no) => (g.state[no] === Step.pending ? n : 0)),
      counts: [g.created, g.remaining, g.running, g.complete, g.errors, g.unhandled, g.cancelled],
      // A hook of a step that was reset goes on in peace; who reads it again cannot tell it from an attempt that is to stop.
      live: [...g.live].map(([no, a]) => [no, a.token, a.stopping || (a.phase === 2 && g.phaseOf(no) !== 2)]).sort((a, b) => Number(a[0]) - Number(b[0])),
      ready: [...g.ready.keys()].sort((a, b) => a - b),
      // What a parent that has ended knows of its children matters no more.
      families: [...g.families]
        .filter(([no]) => !isStepTerminal(g.state[no]))
        .map(([no, f]) => [no, f.open, f.failed, f.running])
        .filter(([, ...n]) => n.some((x) => x !== 0))
        .sort((a, b) => a[0] - b[0]),
      results: [...g.results].sort((a, b) => a[0] - b[0]),
      nextSeq: g.nextSeq,
    });
    assert.deepEqual(figures(this.graph), figures(fresh), 'the graph in memory is not what its rows say');
  }
}
