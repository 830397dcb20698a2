/**
 * Order of ready steps (design.md §3): priority 0 strictly first; 1 to 3 by the time they became ready, each class below 1 set back
 * by one ageing step, so that no later arrival overtakes a step of these classes that is older by more than two ageing steps.
 * Equal ranks go by task, then by step number.
 */
export const AGEING_STEP_MS = 5 * 60_000;
/** Larger than any time in milliseconds until the year 5138. */
const URGENT = 1e14;

export const DEFAULT_PRIORITY = 2;

export function rank(priority: number, readyAt: number): number {
  return priority === 0 ? readyAt - URGENT : readyAt + (priority - 1) * AGEING_STEP_MS;
}
