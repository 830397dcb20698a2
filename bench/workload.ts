/** What a workload is: how it runs in its own process, what it yields, what the yield is held against. */
import type { Bed } from './bed.ts';
import type { FloorName } from './floors.ts';

export type Size = 'full' | 'quick';

/** One process's measurements by metric name. */
export type Numbers = Record<string, number>;

export interface Budget {
  /** Which column the limit is about. */
  of: 'value' | 'ratio';
  atMost?: number;
  atLeast?: number;
}

export interface Line {
  /** Key in what `run` returns. */
  metric: string;
  unit: string;
  /** From the numbers of a floor measured in the same run, or of the workload itself. */
  floor?: (floor: Numbers, self: Numbers) => number;
  /** Budget of design.md §9 at this number of slots; undefined: none is set. */
  budget?: (slots: number) => Budget | undefined;
}

export interface Workload {
  name: string;
  /** One line for the table. */
  about: string;
  floor?: FloorName;
  /** `every`: measured with 50 slots and with 500. `one`: with the chosen number only. */
  slots: 'one' | 'every';
  /** Fresh processes per number of slots. */
  repetitions: Record<Size, number>;
  /** Flags of the measured process's Node. Default: none. */
  nodeFlags?: readonly string[];
  /** Seconds after which a process is given up. */
  limit: number;
  /** Throws when a result is wrong or a step did not run exactly once. */
  run(bed: Bed): Promise<Numbers>;
  lines: Line[];
}

export const atMost = (limit: number, of: Budget['of'] = 'value'): Budget => ({ of, atMost: limit });
export const atLeast = (limit: number, of: Budget['of'] = 'value'): Budget => ({ of, atLeast: limit });

/** Budget for 50 slots and the bracketed one for 500; another number of slots has none. */
export const bySlots =
  (at50: Budget, at500?: Budget) =>
  (slots: number): Budget | undefined =>
    slots === 50 ? at50 : slots === 500 ? at500 : undefined;

export function verify(ok: boolean, what: string): asserts ok {
  if (!ok) throw new Error(`wrong result: ${what}`);
}
