/** What the engine is given of the real world: clock, timers, randomness, ids, how full the machine is, and where log lines go (I12). */
import { randomUUID } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import type { Host } from './engine/host.ts';

/** Takes one line for a person and its details. Never called per step. */
export type Logger = (level: 'debug' | 'info' | 'warn' | 'error', message: string, details?: Record<string, unknown>) => void;

export const toStderr: Logger = (level, message, details) => {
  if (level !== 'warn' && level !== 'error') return;
  process.stderr.write(`tutti ${level}: ${message}${details === undefined ? '' : ` ${JSON.stringify(details)}`}\n`);
};

/** Longest delay that Node keeps; above it a timer would fire at once. Whoever waits longer is woken early and arms it again. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const realTimer: Host['timer'] = (ms, fn) => {
  const timer = setTimeout(fn, Math.max(0, Math.min(ms, LONGEST_TIMER_MS)));
  timer.unref();
  return () => clearTimeout(timer);
};

/** How full disk and memory are; what cannot be read is null. A container's limit counts as its memory. */
const pressureOf = async (folder: string): Promise<{ diskPercent: number | null; memoryPercent: number | null }> => {
  const disk = await statfs(folder).catch(() => null);
  // As df counts: what only root may take is not free.
  const used = disk === null ? 0 : disk.blocks - disk.bfree;
  const all = disk === null ? 0 : used + disk.bavail;
  const limit = process.constrainedMemory();
  const memory = limit > 0 && limit < totalmem() ? limit : totalmem();
  return { diskPercent: all > 0 ? (100 * used) / all : null, memoryPercent: memory > 0 ? 100 * (1 - process.availableMemory() / memory) : null };
};

export const realHost = (log: Logger, folder: string): Host => ({
  now: () => Date.now(),
  ticks: () => performance.now(),
  soon: (fn) => void setImmediate(fn),
  timer: realTimer,
  pressure: () => pressureOf(folder),
  random: () => Math.random(),
  uuid: () => randomUUID(),
  log,
});
