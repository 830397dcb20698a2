/**
 * The five statuses by which people speak of a tree, beside our ten states, and how they and the progress of children add up to
 * their parent's. Arrays are indexed by step number; `parent` holds -1 for what stands at the top and has no cycles.
 */
import { Step, type StepState } from './step-states.ts';

export const SIMPLE_STATUSES = ['pending', 'in_progress', 'completed', 'failed', 'cancelled'] as const;
export type SimpleStatus = (typeof SIMPLE_STATUSES)[number];

export function simpleStatus(state: StepState): SimpleStatus {
  switch (state) {
    case Step.pending:
    case Step.enqueued:
      return 'pending';
    case Step.inProgress:
    case Step.enqueuedForOrchestration:
    case Step.waitingForRetry:
    case Step.waitingForChildren:
      return 'in_progress';
    case Step.complete:
    case Step.resolvedManually:
      return 'completed';
    case Step.error:
      return 'failed';
    case Step.cancelled:
      return 'cancelled';
    default:
      return state satisfies never;
  }
}

/**
 * The status of each step as its tree shows it. Without children: its own. With children: theirs, and its own is not looked at. In
 * this order: any failed is failed; any in progress is in progress; any pending is pending; all cancelled is cancelled; otherwise,
 * some complete and perhaps some cancelled, it is completed. So a cancelled child does not make its parent look pending for ever.
 * `ownFailure`: a step that failed itself is failed, too, however its children stand: their success must not hide it.
 */
export function calculateStatus(parent: readonly number[], status: readonly SimpleStatus[], o: { ownFailure?: boolean } = {}): SimpleStatus[] {
  const result = [...status];
  const counts = new Int32Array(parent.length * SIMPLE_STATUSES.length);
  const has = (no: number, s: SimpleStatus): boolean => counts[no * SIMPLE_STATUSES.length + SIMPLE_STATUSES.indexOf(s)] > 0;
  for (const { no, isLeaf } of childrenFirst(parent)) {
    if (!isLeaf && !(o.ownFailure === true && status[no] === 'failed'))
      result[no] = (['failed', 'in_progress', 'pending', 'completed'] as const).find((s) => has(no, s)) ?? 'cancelled';
    if (parent[no] >= 0) counts[parent[no] * SIMPLE_STATUSES.length + SIMPLE_STATUSES.indexOf(result[no])]++;
  }
  return result;
}

/** The progress of each step as its tree shows it, 0..1. Without children: its own. With children: the plain mean of theirs. */
export function calculateProgress(parent: readonly number[], progress: readonly number[]): number[] {
  const result = [...progress];
  const sums = new Float64Array(parent.length);
  const children = new Int32Array(parent.length);
  for (const { no, isLeaf } of childrenFirst(parent)) {
    if (!isLeaf) result[no] = sums[no] / children[no];
    if (parent[no] < 0) continue;
    sums[parent[no]] += result[no];
    children[parent[no]]++;
  }
  return result;
}

/** Every step after all of its children, whatever their numbers. */
function* childrenFirst(parent: readonly number[]): Generator<{ no: number; isLeaf: boolean }> {
  const open = new Int32Array(parent.length);
  for (const up of parent) if (up >= 0) open[up]++;
  for (let leaf = 0; leaf < parent.length; leaf++) {
    if (open[leaf] !== 0) continue;
    // Marked, so that a parent with a higher number is not taken for a leaf when its turn comes.
    open[leaf] = -1;
    yield { no: leaf, isLeaf: true };
    for (let up = parent[leaf]; up >= 0 && --open[up] === 0; up = parent[up]) {
      open[up] = -1;
      yield { no: up, isLeaf: false };
    }
  }
}
