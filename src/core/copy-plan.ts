/**
 * What a copy of a task is made of (spec/apflow.md §5): `copy` runs again from the start, `link` reads through to the original, `archive`
 * keeps how everything stood, `mixed` links the steps that are named and copies the others. The original is only looked at.
 */
import { selectSteps } from './copy-selection.ts';
import { DEFAULT_RETRY, type JsonObject } from './definition.ts';
import { TuttiError } from './errors.ts';
import type { TaskGraph } from './graph.ts';
import type { NewNode } from './grow.ts';
import type { StepRecord } from './load-graph.ts';
import type { NodeDefinition, NodeOrigin } from './node.ts';
import { hasOwnInput } from './nodes.ts';
import type { Preset } from './preset.ts';
import { edgeRequired, edgeStep } from './shape.ts';
import { Absent, STEP_STATES, Step, isAbsent, isStepSuccessful } from './step-states.ts';

export const COPY_MODES = ['copy', 'link', 'archive', 'mixed'] as const;
export type CopyMode = (typeof COPY_MODES)[number];

/** A task as it stood at one moment. */
export interface CopySource {
  graph: TaskGraph;
  /** By number, of the steps that no template defines. */
  nodes: ReadonlyMap<number, NodeDefinition>;
  rows: ReadonlyMap<number, StepRecord>;
}

export interface CopyOverride {
  /** JSON text. */
  inputs?: string;
  params?: JsonObject;
  priority?: number;
}

export interface CopyOptions {
  mode: CopyMode;
  element?: number;
  recursive: boolean;
  includeDependencies: boolean;
  includeDependents: boolean;
  /** Of mode mixed: the steps to be linked, with their tied children. */
  link: readonly number[];
  /** Of the root. */
  override: CopyOverride;
  /** By number of the original. */
  overrides: ReadonlyMap<number, CopyOverride>;
  now: number;
}

export interface CopyPlan {
  nodes: NewNode[];
  /** Number of the original of each. */
  from: number[];
}

/** Steps between two pauses. */
const SLICE = 2048;

/** Throws INVALID_INPUT or ILLEGAL_STATE. */
export function planCopy(s: CopySource, o: CopyOptions): CopyPlan {
  const steps = planningCopy(s, o);
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value;
}

/** The same in slices, for callers that share their thread. */
export function* planningCopy(s: CopySource, o: CopyOptions): Generator<void, CopyPlan> {
  const g = s.graph;
  const frozen = o.mode === 'archive';
  const linked = o.mode === 'mixed' ? tiedBelow(g, o.link) : null;
  const isLink = (no: number): boolean => o.mode === 'link' || linked?.has(no) === true;
  const from = selectSteps(g, { ...o, spawned: (no) => frozen || isLink(no) });
  if (from.length === 0) throw new TuttiError('ILLEGAL_STATE', 'The task has no steps to take.');
  const place = new Map(from.map((no, i) => [no, i]));
  check(g, o, { place, isLink });
  const root = rootOf(g, o, from, place);
  const make = (no: number): NewNode => {
    const definition = definitionOf(g, no, s.nodes.get(no));
    setPlace(g, o, no, { definition, place, node: s.nodes.get(no) });
    if (isLink(no)) return linkOf(g, no, definition, o.now);
    const source = g.shape.facts(no)?.link ?? { task: g.id, no, token: 0 };
    definition.origin = { type: frozen ? 'archive' : 'copy', ...firstOf(g, no, s.nodes.get(no)?.origin) };
    const inputsFrom = { task: source.task, no: source.no };
    if (frozen) return { definition, inputs: null, inputsFrom, preset: frozenAs(g, no, s.rows.get(no)) };
    const override = { ...(no === root || (root < 0 && !hasOwnInput(g, no)) ? o.override : {}), ...o.overrides.get(no) };
    if (override.params !== undefined) {
      definition.params = withHandler(definition.params, override.params);
      // As in a submission: whoever names a handler there means it.
      if (typeof override.params.executor_id === 'string' && override.params.executor_id !== '') definition.handler = override.params.executor_id;
    }
    if (override.priority !== undefined) definition.priority = override.priority;
    return override.inputs === undefined ? { definition, inputs: null, inputsFrom } : { definition, inputs: override.inputs };
  };
  yield;
  const nodes: NewNode[] = [];
  for (const no of from) {
    nodes.push(make(no));
    if (nodes.length % SLICE === 0) yield;
  }
  return { nodes, from };
}

/** Who the handler is stays, unless the new params name one. */
const withHandler = (old: JsonObject | undefined, params: JsonObject): JsonObject =>
  old?.executor_id === undefined || params.executor_id !== undefined ? params : { executor_id: old.executor_id, ...params };

function tiedBelow(g: TaskGraph, roots: readonly number[]): Set<number> {
  const all = new Set(roots);
  for (const no of all) for (const child of g.shape.children(no)) if (g.shape.isTied(child) && !isAbsent(g.state[child])) all.add(child);
  return all;
}

function check(g: TaskGraph, o: CopyOptions, made: { place: ReadonlyMap<number, number>; isLink: (no: number) => boolean }): void {
  for (const no of o.link) {
    if (!made.place.has(no)) throw new TuttiError('INVALID_INPUT', `link names ${g.shape.names[no]}, which is not among what is copied`, { field: 'link' });
  }
  for (const no of made.place.keys()) {
    if (made.isLink(no)) {
      if (isStepSuccessful(g.state[no])) continue;
      const state = STEP_STATES[g.state[no]];
      throw new TuttiError('ILLEGAL_STATE', `Only a fully completed task tree can be linked: ${g.shape.names[no]} is ${state}.`, {
        details: { step: g.shape.names[no], state },
      });
    }
    if (o.mode === 'archive') continue;
    for (const e of g.shape.outs[no]) {
      if (g.state[edgeStep(e)] !== Absent.undecided) continue;
      throw new TuttiError(
        'ILLEGAL_STATE',
        `The step ${g.shape.names[no]} has branches that are not decided yet; copy the task when they are, or archive it.`,
        {
          details: { step: g.shape.names[no], branch: g.shape.names[edgeStep(e)] },
        },
      );
    }
  }
  for (const no of o.overrides.keys()) {
    const field = `overrides.elements.${g.shape.names[no]}`;
    if (!made.place.has(no)) throw new TuttiError('INVALID_INPUT', `${field} is not among what is copied`, { field });
    if (made.isLink(no)) throw new TuttiError('INVALID_INPUT', `${field} is linked, and a link has no data of its own`, { field });
  }
}

/** The step that overrides without a name are for; -1: there are none, or they are for the task's input, which the steps of a template share. */
function rootOf(g: TaskGraph, o: CopyOptions, from: readonly number[], place: ReadonlyMap<number, number>): number {
  const { inputs, params } = o.override;
  if (o.element !== undefined) return o.element;
  const roots = from.filter((no) => !place.has(g.shape.parent(no)));
  if (roots.length === 1) return roots[0];
  if (params === undefined && (inputs === undefined || !from.some((no) => hasOwnInput(g, no)))) return -1;
  throw new TuttiError('INVALID_INPUT', `what is copied has ${roots.length} steps at the top; say in overrides.elements which of them is meant`, {
    field: 'overrides',
  });
}

/** As a node, without its place among the others. */
function definitionOf(g: TaskGraph, no: number, node: NodeDefinition | undefined): NodeDefinition {
  if (node !== undefined && node.of === undefined) {
    const { id: _id, parent: _parent, tied: _tied, deps: _deps, origin: _origin, ...own } = node;
    return own;
  }
  const r = g.shape.rules[no];
  return {
    name: g.shape.names[no],
    handler: r.handler,
    ...(r.method === undefined ? {} : { method: r.method }),
    ...(r.config === undefined ? {} : { params: r.config }),
    ...(r.priority < 0 ? {} : { priority: r.priority }),
    ...(r.retry === DEFAULT_RETRY ? {} : { retry: r.retry }),
    ...(r.timeoutMs === 0 ? {} : { timeoutMs: r.timeoutMs }),
    ...(r.heartbeatMs === 0 ? {} : { heartbeatMs: r.heartbeatMs }),
    ...(r.allowFailure ? { allowFailure: true } : {}),
    ...(r.cancelable ? {} : { cancelable: false }),
    ...(r.onChildFailure === 'fail_fast' ? {} : { onChildFailure: r.onChildFailure }),
    ...(r.maxChildren === 0 ? {} : { maxChildren: r.maxChildren }),
  };
}

/** Its parent and its dependencies, by their new numbers; those that are not taken along are left out. */
function setPlace(
  g: TaskGraph,
  o: CopyOptions,
  no: number,
  into: { definition: NodeDefinition; place: ReadonlyMap<number, number>; node: NodeDefinition | undefined },
): void {
  const { definition, place, node } = into;
  if (!o.recursive) return;
  const parent = place.get(g.shape.parent(no));
  if (parent !== undefined) {
    definition.parent = parent;
    if (g.shape.isTied(no)) definition.tied = true;
  }
  const deps = new Map<number, [no: number, required: boolean, type?: string]>();
  const types = new Map<number, string>();
  for (const [dep, , type] of node?.deps ?? []) if (type !== undefined) types.set(dep, type);
  for (const e of g.shape.deps[no]) {
    const dep = place.get(edgeStep(e));
    if (dep === undefined) continue;
    const known = deps.get(dep);
    const type = types.get(edgeStep(e));
    if (known !== undefined) known[1] ||= edgeRequired(e);
    else deps.set(dep, type === undefined ? [dep, edgeRequired(e)] : [dep, edgeRequired(e), type]);
  }
  if (deps.size > 0) definition.deps = [...deps.values()];
}

/** The first ancestor: a copy of a copy names what that was copied from. */
const firstOf = (g: TaskGraph, no: number, origin: NodeOrigin | undefined): { task: number; no: number } =>
  origin === undefined ? { task: g.id, no } : { task: origin.task, no: origin.no };

/** A link to a link is one to the original: nothing is read through twice. */
function linkOf(g: TaskGraph, no: number, definition: NodeDefinition, now: number): NewNode {
  const to = g.shape.facts(no)?.link ?? { task: g.id, no, token: g.state[no] === Step.complete ? g.resultToken(no) : 0 };
  definition.origin = { type: 'link', task: to.task, no: to.no, token: to.token };
  const preset: Preset = {
    state: g.state[no],
    token: 0,
    attempts: 0,
    startedAt: null,
    firstStartedAt: null,
    finishedAt: now,
    reason: null,
    error: null,
    resultToken: 0,
    result: null,
  };
  return { definition, inputs: null, preset };
}

function frozenAs(g: TaskGraph, no: number, row: StepRecord | undefined): Preset {
  const link = g.shape.facts(no)?.link ?? null;
  const token = link?.token ?? row?.token ?? 0;
  const resultToken = link?.token ?? row?.resultToken ?? 0;
  return {
    state: g.state[no],
    token,
    attempts: g.attempts[no],
    startedAt: row?.startedAt ?? null,
    firstStartedAt: row?.firstStartedAt ?? null,
    // What ended by implication ended with the task.
    finishedAt: row?.finishedAt ?? (g.state[no] >= Step.complete ? g.completedAt : null),
    reason: g.state[no] === Step.cancelled ? (g.reason?.[no] ?? row?.reason ?? null) : null,
    error: row?.error ?? null,
    resultToken,
    result: resultToken === 0 ? null : { task: link?.task ?? g.id, no: link?.no ?? no, token: resultToken },
  };
}
