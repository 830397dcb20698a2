/** The limit of a parent on how many of its tied children run at once (I8: what runs is counted from live attempts). */
import type { Decisions } from './decisions.ts';
import type { Family, TaskGraph } from './graph.ts';

/** The parent whose limit keeps this ready step from starting; -1: none. Also what explain asks. */
export function limitingParent(g: TaskGraph, no: number): number {
  const parent = g.shape.limitedBy(no);
  if (parent < 0) return -1;
  const { maxChildren } = g.shape.rules[parent];
  return maxChildren > 0 && g.family(parent).running >= maxChildren ? parent : -1;
}

/** Lays a ready step aside until one of its siblings has given its slot back. */
export function holdForParent(g: TaskGraph, parent: number, no: number): void {
  g.family(parent).held.push(no);
}

/** The ready step that was laid aside first; undefined: none is left. */
function takeHeld(g: TaskGraph, family: Family): { no: number; rank: number } | undefined {
  while (family.heldAt < family.held.length) {
    const no = family.held[family.heldAt++];
    const rank = g.ready.get(no);
    if (rank !== undefined) return { no, rank };
  }
  family.held = [];
  family.heldAt = 0;
  return undefined;
}

/** A sibling gave its slot back: the one that has waited longest is looked at again. */
export function releaseHeld(out: Decisions, g: TaskGraph, family: Family): void {
  const next = takeHeld(g, family);
  if (next === undefined) return;
  out.touch(g);
  out.ready.push({ graph: g, ...next });
}

/**
 * `no` was let go for a place among the running and will not take it, at least not now: it has ended, or no worker is there for it. A
 * sibling may have the place. Undefined: none waits for it.
 */
export function nextHeld(g: TaskGraph, no: number): { no: number; rank: number } | undefined {
  const parent = g.shape.limitedBy(no);
  const family = parent < 0 ? undefined : g.families.get(parent);
  return family === undefined || family.held.length === 0 || limitingParent(g, no) >= 0 ? undefined : takeHeld(g, family);
}

/** As nextHeld, for a ready step that this turn ends. */
export function passOn(out: Decisions, g: TaskGraph, no: number): void {
  const next = nextHeld(g, no);
  if (next !== undefined) out.ready.push({ graph: g, ...next });
}
