/** Steps as views: from the graph what can change, from their rows what only people want to know. */
import type { Json, JsonObject } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import type { NodeDefinition } from '../core/node.ts';
import { hasOwnInput, keyOf } from '../core/nodes.ts';
import { edgeRequired, edgeStep } from '../core/shape.ts';
import { completedParents, dependenciesSatisfied, isReady } from '../core/readiness.ts';
import { asReopened } from '../core/reopening.ts';
import { needsReexecution } from '../core/rerun.ts';
import { mayRetry } from '../core/retry.ts';
import { simpleStatus } from '../core/simple-status.ts';
import { Absent, CANCEL_REASONS, Step, STEP_STATES, type StepState, baseState, isAbsent, isStepTerminal } from '../core/step-states.ts';
import { Task } from '../core/task-states.ts';
import type { Store, StoredStep } from '../store/store.ts';
import type { ProgressFacts } from '../core/progress-rollup.ts';
import type { Dispatcher, StepProgress } from './dispatcher.ts';
import type { TaskProgress } from './task-progress.ts';
import type { StepProgressView, StepView } from './views.ts';

const PAGE = 1000;

export interface StepViewsParts {
  store: Store;
  dispatcher: Dispatcher;
  taskUuid: (task: number) => string;
  stepUuid: (task: number, no: number) => string;
  pause: () => Promise<void>;
  /** Absent: only what running handlers say is known. */
  progress?: TaskProgress;
}

export interface StepViewOptions {
  results: boolean;
  inputs?: boolean;
  checkpoint?: boolean;
}

export class StepViews {
  readonly #p: StepViewsParts;

  constructor(parts: StepViewsParts) {
    this.#p = parts;
  }

  /** In the order of the numbers, which ascend. */
  async of(g: TaskGraph, nos: readonly number[], o: StepViewOptions): Promise<StepView[]> {
    const views: StepView[] = [];
    for (let at = 0; at < nos.length; at += PAGE) {
      if (at > 0) await this.#p.pause();
      views.push(...(await this.#page(g, nos.slice(at, at + PAGE), o)));
    }
    return views;
  }

  async #page(g: TaskGraph, nos: readonly number[], o: StepViewOptions): Promise<StepView[]> {
    const { store } = this.#p;
    const rows = new Map<number, StoredStep>();
    const nodes = new Map<number, NodeDefinition>();
    for (const { first, count } of runsOf(nos)) {
      for (const r of await store.loadSteps({ task: g.id, after: first - 1, limit: count })) rows.set(r.no, asReopened(g, r));
      if (first + count <= g.shape.base) continue;
      for (const n of await store.loadNodes({ task: g.id, after: first - 1, limit: count })) nodes.set(n.no, JSON.parse(n.body) as NodeDefinition);
    }
    const rolled = this.#p.progress?.viewOf(g) ?? null;
    const views = nos.map((no) => this.#view(g, no, rows.get(no), nodes.get(no), rolled));
    if (o.results) {
      const complete = views.map((view, i) => ({ view, no: nos[i] })).filter(({ view }) => view.state === 'complete');
      const bodies = await store.payloads(complete.map(({ no }) => g.shape.facts(no)?.link ?? { task: g.id, no, token: rows.get(no)?.resultToken ?? 0 }));
      complete.forEach(({ view }, i) => (view.result = JSON.parse(bodies[i] ?? 'null') as Json));
    }
    if (o.inputs === true) {
      const own = views.map((view, i) => ({ view, no: nos[i] })).filter(({ no }) => hasOwnInput(g, no));
      const bodies = await store.payloads(own.map(({ no }) => ({ ...placeOf(g, no), token: 0 })));
      for (const [i, { view, no }] of own.entries()) view.inputs = JSON.parse(bodies[i] ?? (await this.#sharedInput(g, no)) ?? '{}') as Json;
    }
    if (o.checkpoint === true) {
      for (const [i, no] of nos.entries()) {
        const c = await store.checkpoint({ task: g.id, no });
        if (c !== null) views[i].checkpoint = JSON.parse(c.body) as Json;
      }
    }
    return views;
  }

  /** What is linked may be a step of a template, which works on its task's input. */
  async #sharedInput(g: TaskGraph, no: number): Promise<string | null> {
    const link = g.shape.facts(no)?.link;
    return link == null ? null : (await this.#p.store.payloads([{ task: link.task, no: -1, token: 0 }]))[0];
  }

  #dependencies(g: TaskGraph, no: number, node: NodeDefinition | undefined): StepView['dependencies'] {
    const types = new Map(node?.deps?.map(([dep, , type]) => [dep, type]));
    return g.shape.deps[no].map((e) => {
      const dep = edgeStep(e);
      const id = g.shape.facts(dep)?.id ?? this.#p.stepUuid(g.id, dep);
      return { id, name: g.shape.names[dep], required: edgeRequired(e), type: types.get(dep) ?? 'result' };
    });
  }

  #view(g: TaskGraph, no: number, r: StoredStep | undefined, node: NodeDefinition | undefined, rolled: ((no: number) => ProgressFacts) | null): StepView {
    const { shape } = g;
    const rules = shape.rules[no];
    const state = g.state[no];
    const live = g.live.get(no);
    const active = this.#p.dispatcher.active(g.id, no);
    const terminal = isStepTerminal(state);
    const finishedAt = terminal && !isAbsent(state) ? (r?.finishedAt ?? g.completedAt ?? g.updatedAt) : null;
    const error = r?.error ?? null;
    const failedAt = error !== null && (state === Step.error || state === Step.waitingForRetry) ? (r?.finishedAt ?? null) : null;
    const lastAttemptedAt = r?.startedAt ?? null;
    const startedAt = r?.firstStartedAt ?? lastAttemptedAt;
    const parent = shape.parent(no);
    const reason = state === Step.cancelled ? (g.reasonOf(no) ?? (r?.reason == null ? null : CANCEL_REASONS[r.reason])) : null;
    return {
      id: this.#p.stepUuid(g.id, no),
      taskId: this.#p.taskUuid(g.id),
      elementId: shape.facts(no)?.id ?? null,
      parentId: parent < 0 ? null : this.#p.stepUuid(g.id, parent),
      name: shape.names[no],
      ...statesOf(state),
      type: rules.type,
      tied: shape.isTied(no),
      hasChildren: shape.children(no).length > 0,
      key: shape.facts(no)?.spawnKey == null ? null : keyOf(g, no),
      userId: node?.userId ?? null,
      params: (no >= shape.base ? (node?.params ?? null) : null) as JsonObject | null,
      schemas: schemasOf(node),
      origin: node?.origin === undefined ? null : this.#origin(node.origin),
      reason,
      handler: rules.handler,
      createdAt: g.createdAt,
      updatedAt: Math.max(g.createdAt, lastAttemptedAt ?? 0, r?.finishedAt ?? 0, finishedAt ?? 0),
      startedAt,
      completedAt: finishedAt,
      dependencies: this.#dependencies(g, no, node),
      dependenciesSatisfied: dependenciesSatisfied(g, no),
      retryEligible: !terminal ? g.attempts[no] === 0 || mayRetry(rules.retry, g.attempts[no], true) : false,
      readyForExecution: isReady(g, no),
      totalParents: shape.deps[no].length,
      completedParents: completedParents(g, no),
      attempts: g.attempts[no],
      maxAttempts: Math.max(1, rules.retry.maxAttempts),
      lastFailureAt: failedAt,
      nextRetryAt: g.retryAt.get(no) ?? null,
      lastAttemptedAt,
      priority: g.priorityOf(no),
      error:
        error === null
          ? state === Step.cancelled && reason === 'task_ended' && g.taskState === Task.cancelled && g.failure !== null
            ? (JSON.parse(g.failure) as StepError)
            : null
          : (JSON.parse(error) as StepError),
      cancelable: rules.cancelable && this.#p.dispatcher.traits(rules.handler).cancelable,
      stopping: live?.stopping === true && active?.token === live.token,
      needsReexecution: needsReexecution(g, no, r?.finishedAt ?? null),
      progress: progressOf(active?.progress ?? null, rolled?.(no), Math.max(g.createdAt, lastAttemptedAt ?? 0, r?.finishedAt ?? 0)),
    };
  }

  #origin(o: NonNullable<NodeDefinition['origin']>): StepView['origin'] {
    return { type: o.type, taskId: this.#p.taskUuid(o.task), stepId: this.#p.stepUuid(o.task, o.no) };
  }
}

/** Where its data are: a link has none of its own. */
const placeOf = (g: TaskGraph, no: number): { task: number; no: number } => g.shape.facts(no)?.link ?? { task: g.id, no };

export function statesOf(state: number): Pick<StepView, 'state' | 'baseState' | 'simpleStatus'> {
  if (state === Absent.undecided) return { state: 'undecided', baseState: 'pending', simpleStatus: 'pending' };
  if (state === Absent.notTaken) return { state: 'not_taken', baseState: 'cancelled', simpleStatus: 'cancelled' };
  return { state: STEP_STATES[state], baseState: baseState(state), simpleStatus: simpleStatus(state as StepState) };
}

/** As they were submitted. */
function schemasOf(node: NodeDefinition | undefined): JsonObject | null {
  if (node === undefined || (node.schemas === undefined && node.inputSchema === undefined)) return null;
  return { ...node.schemas, ...(node.inputSchema === undefined ? {} : { input_schema: node.inputSchema }) };
}

/** Numbers that follow one another are read at once. */
function* runsOf(nos: readonly number[]): Generator<{ first: number; count: number }> {
  for (let at = 0; at < nos.length; ) {
    let to = at + 1;
    while (to < nos.length && nos[to] === nos[to - 1] + 1) to++;
    yield { first: nos[at], count: to - at };
    at = to;
  }
}

/** What the handler said last, and what follows from it for this step and from its children. */
function progressOf(reported: StepProgress | null, rolled: ProgressFacts | undefined, at: number): StepProgressView | null {
  if (rolled === undefined) {
    if (reported === null) return null;
    const { fraction, message, done = null, total = null, unit = null } = reported;
    return { fraction, message, at: reported.at, done, total, unit, parts: { done: 0, total: 0 }, rate: null, etaMs: null };
  }
  if (reported === null && rolled.parts.total === 0 && rolled.total === null && rolled.fraction === 0) return null;
  return { ...rolled, at: reported?.at ?? at };
}
