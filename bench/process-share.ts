/** How much of the machine others used during a measurement: the reason to distrust a figure. Linux only, null elsewhere. */
import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** Processor seconds. */
export interface ProcessorTimes {
  /** Spent working, by anybody, over all processors. */
  worked: number;
  /** Everything, idle included. */
  all: number;
  /** Spent by this process and by its children that have ended, and theirs. */
  own: number;
}

export function processorTimes(): ProcessorTimes | null {
  try {
    const all = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1, 9).map(Number);
    const self = readFileSync('/proc/self/stat', 'utf8');
    const own = self
      .slice(self.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
      .map(Number);
    const seconds = (ticks: number[]): number => ticks.reduce((a, b) => a + b, 0) / TICKS_PER_SECOND;
    return { worked: seconds([all[0], all[1], all[2], all[5], all[6]]), all: seconds(all), own: seconds(own) };
  } catch {
    return null;
  }
}

/** Share of the machine between two readings that was neither idle nor ours, 0..1. */
export function strangersShare(before: ProcessorTimes | null, after: ProcessorTimes | null): number | null {
  if (before === null || after === null || after.all <= before.all) return null;
  return Math.max(0, (after.worked - before.worked - (after.own - before.own)) / (after.all - before.all));
}
