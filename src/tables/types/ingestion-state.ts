/** What a plan of FileIngestionTask keeps between its calls, and what its subtasks are given and give. */
import { type FailedInputs, failureStats } from './failed-inputs.ts';
import type { LoadInput, LoadResult } from './load-file.ts';

export interface IngestionState {
  folder: string;
  /** The swap whose registry is read and written; null: there never was one. */
  set: string | null;
  /** What it loads is hidden until the plan's end makes `set` the table's current swap. */
  swap: boolean;
  phase: 'load' | 'remove' | 'done';
  /** From 1: how often the folder is gone through, since files that failed are tried again. */
  round: number;
  /** Last path that was looked at, in the phase `remove` the last key. */
  after: string | null;
  /** Files that failed before, each in a batch of its own, so that none holds up another (consistent push). */
  alone: boolean;
  /** Something of this round is to be done again. */
  again: boolean;
  /** Nothing is left to load: only then may a swap switch. */
  complete: boolean;
  failed: FailedInputs;
  files: number;
  rows: number;
  removed: number;
  /** There are segments of swaps that came to nothing. */
  leftovers: boolean;
}

export interface RemoveInput {
  kind: 'remove';
  folder: string;
  include: string;
  exclude: string | null;
  round: number;
  files: readonly { key: string; path: string }[];
}

export interface RemoveResult {
  kind: 'remove';
  /** Keys of those that are not there. */
  gone: string[];
}

export type IngestionInput = LoadInput | RemoveInput;
export type IngestionResult = LoadResult | RemoveResult;

export const ingestionStats = (s: IngestionState): Record<string, string> => ({
  files: String(s.files),
  rows: String(s.rows),
  removedFiles: String(s.removed),
  ...failureStats(s.failed, 'Files'),
});
