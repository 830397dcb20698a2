import type { PlanConfig } from './plan-port.ts';

/** Everything the engine takes from outside (I12): time, a way to run later, randomness. The composition root gives the real ones, the simulation its own. */
export interface Host {
  /** Milliseconds since 1970. */
  now(): number;
  /** A finer clock for metrics only, milliseconds. */
  ticks(): number;
  /** Runs `fn` after the I/O that waits now has been read (setImmediate). */
  soon(fn: () => void): void;
  /** Runs `fn` after `ms`; returns its cancel. Never keeps the process alive. */
  timer(ms: number, fn: () => void): () => void;
  /** 0 <= n < 1. */
  random(): number;
  uuid(): string;
  /** How full the disk of the store and the machine's memory are, in percent; null where it cannot be read. Absent: nobody knows. */
  pressure?(): Promise<{ diskPercent: number | null; memoryPercent: number | null }>;
  /** Reports what a person should know; never called per step. */
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, details?: Record<string, unknown>): void;
}

export interface EngineConfig {
  channels: { taskRequest: number; resultProcessor: number; stepEnqueuer: number; taskFinalizer: number };
  turn: { maxRows: number; maxMs: number };
  cache: { maxSteps: number; payloadBytes: number };
  limits: {
    contextBytes: number;
    contextDepth: number;
    contextItems: number;
    contextString: number;
    valueBytes: number;
    treeElements: number;
    treeBytes: number;
  };
  retention: { enabled: boolean; maxAgeMs: number; maxCount: number; intervalMs: number };
  plans: PlanConfig;
  /** How long a stopped handler keeps its slot before it is given up. */
  graceMs: number;
  /** Others may join with handlers this process lacks: unknown handlers wait instead of being refused at submit. */
  openToWorkers: boolean;
}

export const DEFAULT_ENGINE_CONFIG: EngineConfig = {
  channels: { taskRequest: 1000, resultProcessor: 2000, stepEnqueuer: 1000, taskFinalizer: 500 },
  turn: { maxRows: 1024, maxMs: 10 },
  cache: { maxSteps: 1_000_000, payloadBytes: 16 * 2 ** 20 },
  limits: {
    contextBytes: 2 ** 20,
    contextDepth: 10,
    contextItems: 1000,
    contextString: 10_000,
    valueBytes: 2 ** 20,
    treeElements: 200_000,
    treeBytes: 256 * 2 ** 20,
  },
  retention: { enabled: true, maxAgeMs: 30 * 86_400_000, maxCount: 1_000_000, intervalMs: 60_000 },
  plans: {
    enabled: true,
    pollMs: 10_000,
    orphanMs: 28_800_000,
    retentionMs: 30 * 86_400_000,
    retentionCount: 10_000,
    maxDiskPercent: 90,
    maxMemoryPercent: 90,
    maxInboxSaturation: 0.8,
  },
  graceMs: 30_000,
  openToWorkers: false,
};
