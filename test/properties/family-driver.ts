/**
 * Runs one task with tied children through the pure core, turn by turn, every commit written to the mirror. After each commit the
 * rows are read back as a graph, which must be the one in hand: what the process knows is what a restart would know.
 */
import assert from 'node:assert/strict';
import { endStopping, finishAttempt, loseAttempt, startStep, timeoutAttempt, wakeStep } from '../../src/core/decide-attempt.ts';
import { cancelOne } from '../../src/core/decide-step.ts';
import { arrive, cancelTask, createTask, evaluateTask } from '../../src/core/decide-task.ts';
import { Decisions } from '../../src/core/decisions.ts';
import type { FailurePolicy, StepDefinition, TemplateDefinition } from '../../src/core/definition.ts';
import { payDebts, takeBacklog } from '../../src/core/failure.ts';
import { holdForParent, limitingParent } from '../../src/core/family.ts';
import type { TaskGraph } from '../../src/core/graph.ts';
import { type NewNode, type Spawned, addNodes, spawn } from '../../src/core/grow.ts';
import { type NodeRecord, type StepRecord, loadGraph, shapeWithNodes } from '../../src/core/load-graph.ts';
import type { NodeDefinition } from '../../src/core/node.ts';
import { type Shape, compileShape, emptyShape } from '../../src/core/shape.ts';
import { CANCEL_REASONS, STEP_STATES } from '../../src/core/step-states.ts';
import { TASK_STATES } from '../../src/core/task-states.ts';
import { FamilyMirror, type MirroredTask } from '../support/family-mirror.ts';
import type { FamilyTraits } from '../support/family-rules.ts';
import { type StepSketch, graph } from '../support/template-fixtures.ts';

const TASK_ID = 4096 * 77;
const PLAIN: FamilyTraits = { finalize: false, abort: false, cancelable: true };

export interface DriverOptions {
  steps?: readonly StepSketch[];
  /** Elements of a tree, instead of steps of a template. */
  nodes?: readonly NodeDefinition[];
  policy?: FailurePolicy;
  traits?: Record<string, Partial<FamilyTraits>>;
}

export class FamilyDriver {
  now = 1_800_000_000_000;
  readonly mirror: FamilyMirror;
  readonly base: Shape;
  readonly traits: (handler: string) => FamilyTraits;
  graph: TaskGraph;
  /** Ready steps that were offered in the last turn, as the queue of the engine gets them. */
  queue: number[] = [];
  #boot = 1;
  #decisions: Decisions | null = null;

  constructor(o: DriverOptions) {
    this.traits = (handler) => ({ ...PLAIN, ...o.traits?.[handler] });
    this.mirror = new FamilyMirror(this.traits);
    const policy = o.policy ?? 'fail';
    if (o.nodes === undefined) {
      const definition: TemplateDefinition = graph('family', o.steps ?? [{ name: 'p' }], { policy });
      this.mirror.definitions.set(1, definition);
      this.base = compileShape(definition);
      this.graph = createTask(this.out, { id: TASK_ID, template: 1, shape: this.base, priority: undefined, input: '{}', tags: null, meta: null });
    } else {
      this.base = emptyShape(policy);
      const shape = emptyShape(policy);
      for (const n of o.nodes) shape.add(n, 0);
      const nodes: NewNode[] = o.nodes.map((definition) => ({ definition, inputs: '{}' }));
      this.graph = createTask(this.out, { id: TASK_ID, template: null, shape, nodes, priority: undefined, input: '{}', tags: null, meta: null });
    }
    this.commit();
    const rest = o.nodes?.map((definition): NewNode => ({ definition, inputs: '{}' })) ?? null;
    while (this.graph.arriving >= 0) {
      arrive(this.out, this.graph, rest);
      this.commit();
    }
  }

  get task(): MirroredTask {
    return this.mirror.tasks.get(TASK_ID)!;
  }

  get taskState(): string {
    return TASK_STATES[this.task.state];
  }

  /** The turn in hand, begun with the first decision after the last commit. */
  get out(): Decisions {
    this.#decisions ??= new Decisions(this.now, this.#boot, this.traits);
    return this.#decisions;
  }

  /** State, or for a cancelled step why, as stored. */
  state(ref: number | string): string {
    const no = this.no(ref);
    const { state, reason } = this.task.rows[no];
    return state === 8 ? `cancelled: ${CANCEL_REASONS[reason!]}` : STEP_STATES[state];
  }

  no(ref: number | string): number {
    if (typeof ref === 'number') return ref;
    const no = this.task.facts.findIndex((f) => f.name === ref);
    assert.ok(no >= 0, `no step ${ref}`);
    return no;
  }

  /** Ends the turn. */
  commit(): void {
    const { out } = this;
    for (const g of [...out.touched]) evaluateTask(out, g);
    const offered = out.ready.map((r) => r.no);
    this.mirror.apply(out.seal());
    this.queue.push(...offered);
    this.#decisions = null;
    if (this.graph.arriving < 0) this.checkReload();
  }

  /** Takes from the queue what may start, as the enqueuer does, and leaves out what its parent's limit holds back. */
  startReady(most = Number.POSITIVE_INFINITY, may: (no: number) => boolean = () => true): number[] {
    const started: number[] = [];
    const left: number[] = [];
    for (const no of this.queue) {
      if (!this.graph.ready.has(no)) continue;
      const limit = limitingParent(this.graph, no);
      if (limit >= 0) holdForParent(this.graph, limit, no);
      else if (started.length >= most || !may(no)) left.push(no);
      else {
        startStep(this.out, this.graph, no);
        started.push(no);
      }
    }
    this.queue = left;
    this.commit();
    return started;
  }

  /** The named step gets a slot, in a turn of its own. */
  start(ref: number | string): number {
    const no = this.no(ref);
    assert.ok(this.graph.ready.has(no), `${ref} is not ready: ${this.state(no)}`);
    this.queue = this.queue.filter((n) => n !== no);
    startStep(this.out, this.graph, no);
    this.commit();
    return this.graph.live.get(no)!.token;
  }

  /** Decides a result without ending the turn. */
  give(ref: number | string, what: 'ok' | 'retryable' | 'permanent' | 'nothing', token?: number): boolean {
    const no = this.no(ref);
    const t = token ?? this.graph.live.get(no)?.token ?? 0;
    const outcome =
      what === 'ok'
        ? { ok: true as const, body: `"${no}/${t}"` }
        : what === 'nothing'
          ? { ok: true as const, body: 'null', empty: true }
          : { ok: false as const, error: { code: 'handler_error', message: 'scripted', retryable: what === 'retryable' } };
    return finishAttempt(this.out, this.graph, no, t, outcome);
  }

  finish(ref: number | string, what: 'ok' | 'retryable' | 'permanent' | 'nothing' = 'ok', token?: number): void {
    assert.ok(this.give(ref, what, token), `${ref} takes no result`);
    this.commit();
  }

  run(ref: number | string, what: 'ok' | 'retryable' | 'permanent' | 'nothing' = 'ok'): void {
    this.start(ref);
    this.finish(ref, what);
  }

  /** The live attempt of `parent` asks for children: a text is its key, of handler `child`. */
  ask(parent: number | string, children: readonly (string | (Partial<NodeDefinition> & { position?: number }))[]): Spawned[] {
    const no = this.no(parent);
    const nodes = children.map((c): NewNode => {
      const d = typeof c === 'string' ? { key: c } : c;
      return {
        definition: { name: d.key ?? `p${d.position}`, handler: 'child', parent: no, tied: true, ...(d.key === undefined ? { hash: 1 } : {}), ...d },
        inputs: '{}',
      };
    });
    return spawn(this.out, this.graph, no, this.graph.live.get(no)!.token, nodes);
  }

  spawn(parent: number | string, children: Parameters<FamilyDriver['ask']>[1]): number[] {
    const spawned = this.ask(parent, children);
    this.commit();
    return spawned.map((s) => {
      assert.ok(s.ok, 'message' in s ? s.message : '');
      return s.no;
    });
  }

  add(nodes: readonly NodeDefinition[]): number {
    const first = addNodes(
      this.out,
      this.graph,
      nodes.map((definition) => ({ definition, inputs: '{}' })),
      0,
    );
    this.commit();
    return first;
  }

  cancelStep(ref: number | string): boolean {
    const done = cancelOne(this.out, this.graph, this.no(ref), 'by the test');
    this.commit();
    return done;
  }

  cancel(): void {
    cancelTask(this.out, this.graph, 'by the test');
    this.commit();
  }

  timeout(ref: number | string): void {
    const no = this.no(ref);
    timeoutAttempt(this.out, this.graph, no, this.graph.live.get(no)!.token, { code: 'step_timeout', message: 'too long', retryable: true });
    this.commit();
  }

  abandon(ref: number | string): void {
    endStopping(this.out, this.graph, this.no(ref), 'abandoned');
    this.commit();
  }

  /** Time passes until the next retry, and it is decided. */
  wake(): void {
    const at = Math.min(...this.graph.retryAt.values());
    this.now = Math.max(this.now, at);
    for (const [no, due] of [...this.graph.retryAt]) if (due <= this.now) wakeStep(this.out, this.graph, no);
    this.commit();
  }

  /** What large decisions left for later. */
  followUp(rows = 256): void {
    for (;;) {
      if (this.graph.debts.length > 0) payDebts(this.out, this.graph, rows);
      else if (this.graph.backlog.length > 0) takeBacklog(this.out, this.graph);
      else return;
      this.commit();
    }
  }

  load(): TaskGraph {
    const t = this.task;
    const shape = shapeWithNodes(this.base, structuredClone(t.nodes) satisfies NodeRecord[]);
    return loadGraph(
      {
        id: TASK_ID,
        template: this.mirror.definitions.size === 0 ? null : 1,
        state: t.state,
        priority: t.priority,
        policy: this.base.policy,
        createdAt: t.createdAt,
        completedAt: t.completedAt,
        wakeAt: null,
        error: t.error,
        meta: null,
        nextSeq: t.nextSeq,
      },
      structuredClone(t.rows) satisfies StepRecord[],
      shape,
      shape !== this.base,
    );
  }

  /** A refused commit, or a graph that left memory: what was decided is forgotten, and the rows are the truth. */
  forget(): void {
    this.#decisions = null;
    this.graph = this.load();
    this.queue = [...this.graph.ready.keys()];
  }

  /** A kill: every attempt of the old process is lost. */
  crash(): void {
    this.#boot++;
    this.forget();
    const before = this.mirror.returned;
    this.mirror.returned = () => true;
    for (const no of [...this.graph.live.keys()]) loseAttempt(this.out, this.graph, no);
    this.commit();
    this.mirror.returned = before;
  }

  /** Everything a graph knows of a task is derived from its rows (design.md §3). */
  checkReload(): void {
    const figures = (x: TaskGraph): Record<string, unknown> => ({
      state: [...x.state].slice(0, x.size),
      attempts: [...x.attempts].slice(0, x.size),
      token: [...x.token].slice(0, x.size),
      open: [...x.open].slice(0, x.size).map((n, no) => (x.state[no] === 0 ? n : 0)),
      phase: [...x.phase].filter(([, p]) => p > 0).sort((a, b) => a[0] - b[0]),
      phaseAttempts: [...x.phaseAttempts].filter(([no, n]) => n > 0 && x.phaseOf(no) > 0).sort((a, b) => a[0] - b[0]),
      counts: [x.created, x.remaining, x.running, x.complete, x.errors, x.unhandled, x.cancelled, x.resolved],
      live: [...x.live].map(([no, a]) => [no, a.token]).sort((a, b) => a[0] - b[0]),
      ready: [...x.ready.keys(), ...x.backlog.slice(x.backlogAt)].sort((a, b) => a - b),
      retryAt: [...x.retryAt].sort((a, b) => a[0] - b[0]),
      debts: [...x.debts].sort((a, b) => a - b),
      results: [...Array(x.size).keys()].map((no) => (x.results.has(no) ? x.results.get(no) : x.state[no] === 6 ? x.token[no] : 0)),
      families: [...x.families]
        // Of one that has ended nobody asks any more.
        .filter(([no]) => x.shape.children(no).some((c) => x.shape.isTied(c)) && x.state[no] < 6)
        .map(([no, f]) => [no, f.open, f.failed, f.running])
        .sort((a, b) => a[0] - b[0]),
      asked: [...Array(x.size).keys()].map((no) => x.shape.facts(no)?.asked ?? 0),
      reasons: [...Array(x.size).keys()].map((no) => x.reasonOf(no)),
      nextSeq: x.nextSeq,
    });
    assert.deepEqual(figures(this.graph), figures(this.load()), 'the graph in memory is not what its rows say');
  }
}

export type { StepDefinition };
