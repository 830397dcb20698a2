/** Facts of steps that no template defines. */
import type { TaskGraph } from './graph.ts';

/** Elements and spawned children have inputs of their own; workers of a batch see the task's, and their cursor as config. */
export const hasOwnInput = (g: TaskGraph, no: number): boolean => no >= g.shape.base && g.shape.types[no] !== 'batch_worker';

/** The key a child was spawned under, or the id it was submitted with; null: it has neither. */
export function keyOf(g: TaskGraph, no: number): string | null {
  const facts = g.shape.facts(no);
  if (facts === undefined) return null;
  return facts.spawnKey !== null && facts.spawnKey.startsWith('k') ? facts.spawnKey.slice(1) : facts.id;
}

/** How many steps stand above this one. */
export function depthOf(g: TaskGraph, no: number): number {
  let depth = 0;
  for (let at = g.shape.parent(no); at >= 0; at = g.shape.parent(at)) depth++;
  return depth;
}

/** Parents may stand this deep below one another. */
export const MAX_DEPTH = 100;
