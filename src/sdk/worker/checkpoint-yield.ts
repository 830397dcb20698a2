/** A handler that gives back the word in the middle of its work: what it says is kept, and it is called again (spec/tasker.md §4.5). */
import { serialise } from '../../core/values.ts';
import type { AttemptOutcome } from '../../engine/worker-port.ts';
import type { YieldedCheckpoint, YieldPoint } from '../step-types.ts';

/** Places a checkpoint remembers having been at. */
export const MAX_YIELD_HISTORY = 100;

/** What `ctx.checkpointYield` gives, for the worker to find among results. */
export class Yielded {
  readonly point: YieldPoint;

  constructor(point: YieldPoint) {
    this.point = point;
  }
}

/** JSON text of the checkpoint; `before`: of the one before it, or null. Throws UNSTORABLE_VALUE, VALUE_TOO_LARGE. */
export function checkpointOf({ cursor, itemsProcessed, accumulated }: YieldPoint, before: string | null, now: number): string {
  const history = [...historyOf(before), { cursor: cursor ?? null, timestamp: now }].slice(-MAX_YIELD_HISTORY);
  const kept = { cursor: cursor ?? null, items_processed: itemsProcessed, timestamp: now, accumulated_results: accumulated ?? null, history };
  return serialise(kept satisfies YieldedCheckpoint, { name: 'checkpoint' });
}

/** Nothing, where the last checkpoint was another. */
function historyOf(before: string | null): YieldedCheckpoint['history'] {
  if (before === null) return [];
  const history = (JSON.parse(before) as Partial<YieldedCheckpoint> | null)?.history;
  return Array.isArray(history) ? history : [];
}

/** The attempt fails, and the next one goes on from what was kept before. */
export const notKept = (e: unknown): AttemptOutcome => ({
  ok: false,
  error: {
    code: 'checkpoint_error',
    message: `the checkpoint could not be kept: ${e instanceof Error ? e.message : String(e)}`.slice(0, 4_000),
    retryable: true,
  },
});
