/** Elements that are added to a live task: what the graph, as it is at that moment, has to say to them. */
import { TuttiError } from './errors.ts';
import type { TaskGraph } from './graph.ts';
import type { NewNode } from './grow.ts';
import { MAX_STEPS } from './ids.ts';
import type { NodeDefinition } from './node.ts';
import { Phase } from './phases.ts';
import { edgeStep } from './shape.ts';
import { showValue } from './show-value.ts';
import { Step, isAbsent, isStepTerminal } from './step-states.ts';

/** One command adds at most this many, all or none; callers with more add in turn. */
export const ADDED_AT_ONCE = 1000;
/** Steps that are looked at for a circle through tied children before we give up. */
const WALK = 200_000;

/**
 * The nodes to add, numbered for the graph as it is now. `base`: how many steps it had when their numbers were given; it may have grown
 * since. Changes nothing, so it may be asked twice. The error: INVALID_INPUT, or ILLEGAL_STATE where a parent takes no more tied children.
 * `doubtful`: they may have been added by a commit whose outcome was not known; a number then: they were, from this one on.
 */
export function elementsToAdd(g: TaskGraph, nodes: readonly NewNode[], base: number, doubtful = false): readonly NewNode[] | TuttiError | number {
  if (doubtful) {
    const first = g.shape.numberOf.get(nodes[0].definition.name) ?? -1;
    if (first >= base && nodes.every((n, i) => g.shape.names[first + i] === n.definition.name)) return first;
  }
  if (g.size + nodes.length > MAX_STEPS)
    return new TuttiError('INVALID_INPUT', `a task has at most ${MAX_STEPS} steps`, { field: 'tasks', details: { limit: MAX_STEPS } });
  const shift = g.size - base;
  if (shift > 0) {
    const names = new Set(nodes.map((n) => n.definition.name));
    for (let no = base; no < g.size; no++)
      if (names.has(g.shape.names[no])) return invalid(`Duplicate task name ${showValue(g.shape.names[no])}: the task has a step of this name already`);
  }
  for (const { definition } of nodes) {
    const e = definition.parent === undefined || definition.parent >= base ? null : refusedBy(g, definition.parent, definition);
    if (e !== null) return e;
  }
  const circle = tiedCircle(g, nodes, base);
  if (circle !== null) return circle;
  return shift === 0 ? nodes : nodes.map((n) => ({ definition: moved(n.definition, base, shift), inputs: n.inputs }));
}

function moved(d: NodeDefinition, base: number, shift: number): NodeDefinition {
  const at = (no: number): number => (no >= base ? no + shift : no);
  return {
    ...d,
    ...(d.parent === undefined ? {} : { parent: at(d.parent) }),
    ...(d.deps === undefined ? {} : { deps: d.deps.map(([no, ...rest]): NonNullable<NodeDefinition['deps']>[number] => [at(no), ...rest]) }),
  };
}

/** What an existing parent has against it. */
function refusedBy(g: TaskGraph, parent: number, d: NodeDefinition): TuttiError | null {
  const name = showValue(g.shape.names[parent]);
  if (isAbsent(g.state[parent]))
    return new TuttiError('ILLEGAL_STATE', `the step ${name} was not taken, or not yet: nothing can be filed under it`, { field: 'parent_id' });
  if (d.tied !== true) return null;
  if (d.key !== undefined && g.spawned.get(parent)?.has(`k${d.key}`) === true) return invalid(`${name} has a child with the key ${showValue(d.key)} already`);
  if (takesChildren(g, parent)) return null;
  return new TuttiError('ILLEGAL_STATE', `the step ${name} takes no more tied children: its own have ended`, { field: 'parent_id' });
}

/** It has not ended, and has not been told that its children have. */
function takesChildren(g: TaskGraph, no: number): boolean {
  if (isStepTerminal(g.state[no])) return false;
  return g.phaseOf(no) === Phase.run || (g.state[no] === Step.waitingForChildren && (g.families.get(no)?.open ?? 0) > 0);
}

/**
 * A tied child that waits, over however many steps, for what waits for its parent would wait for ever: the parent ends after it. Only
 * ties to existing parents can close such a circle; circles among the new elements were found before.
 */
function tiedCircle(g: TaskGraph, nodes: readonly NewNode[], base: number): TuttiError | null {
  let budget = WALK;
  const tied = new Map<number, number[]>();
  nodes.forEach(({ definition: d }, i) => {
    if (d.tied !== true || d.parent === undefined) return;
    const siblings = tied.get(d.parent);
    if (siblings === undefined) tied.set(d.parent, [base + i]);
    else siblings.push(base + i);
  });
  for (const [parent, children] of tied) {
    if (parent >= base) continue;
    const seen = new Set(children);
    const open = [...children];
    for (let no = open.pop(); no !== undefined; no = open.pop()) {
      if (no === parent)
        return invalid(
          `Circular dependency detected: ${showValue(g.shape.names[parent])} ends after the tied children that are added to it, and one of them waits for it`,
        );
      if (--budget < 0) return invalid('too many steps would have to be looked at to see that no tied child waits for its own parent: add fewer at once');
      for (const next of waitsFor(g, nodes, base, no, tied)) {
        if (seen.has(next)) continue;
        seen.add(next);
        open.push(next);
      }
    }
  }
  return null;
}

/** What has to end before this one can: its dependencies, and its tied children. What has ended holds up nobody. */
function* waitsFor(g: TaskGraph, nodes: readonly NewNode[], base: number, no: number, tied: ReadonlyMap<number, number[]>): Generator<number> {
  yield* tied.get(no) ?? [];
  if (no >= base) {
    for (const [dep] of nodes[no - base].definition.deps ?? []) if (dep >= base || !isStepTerminal(g.state[dep])) yield dep;
    return;
  }
  for (const e of g.shape.deps[no]) if (!isStepTerminal(g.state[edgeStep(e)])) yield edgeStep(e);
  for (const child of g.shape.children(no)) if (g.shape.isTied(child) && !isStepTerminal(g.state[child])) yield child;
}

const invalid = (message: string): TuttiError => new TuttiError('INVALID_INPUT', message, { field: 'tasks' });
