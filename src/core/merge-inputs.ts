/** The merged view of a step's inputs, `ctx.inputs` (design.md §5). It is computed for each attempt and never stored. */

/** The value of one completed dependency. */
export type Contribution = readonly [name: string, value: unknown];

/**
 * The task's own inputs with the results of completed dependencies laid over them, in the order listed:
 * - null contributes nothing; an object that has a key `result` contributes the value under it, and only that;
 * - an object's keys are laid over what is there, so a dependency wins over the own inputs and a later one over an earlier;
 * - anything else (array, text, number, flag) stands under the dependency's name.
 * Arguments stay as they are; the answer is a new, frozen object that shares their inner values.
 */
export function mergeInputs(own: unknown, contributions: Iterable<Contribution>): Readonly<Record<string, unknown>> {
  const merged: Record<string, unknown> = isObject(own) ? { ...own } : {};
  for (const [name, result] of contributions) {
    if (result === null || result === undefined) continue;
    const value = isObject(result) && Object.hasOwn(result, 'result') ? result.result : result;
    if (isObject(value)) Object.assign(merged, value);
    else merged[name] = value;
  }
  return Object.freeze(merged);
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
