/** A handler that gives back the word in the middle of its work: what it says is kept, and it is called again (spec/tasker.md §4.5). */
import { isTuttiError } from '../../core/errors.ts';
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

const FIELDS: Record<keyof YieldPoint, true> = { cursor: true, itemsProcessed: true, accumulated: true };

/** What of it makes no sense, whatever it holds; null: nothing. */
export function problemOfPoint(point: unknown): string | null {
  if (typeof point !== 'object' || point === null || Array.isArray(point)) return 'takes { cursor, itemsProcessed, accumulated }';
  for (const name of Object.keys(point)) if (!Object.hasOwn(FIELDS, name)) return `has no field ${JSON.stringify(name)}`;
  const { itemsProcessed } = point as Partial<YieldPoint>;
  return Number.isSafeInteger(itemsProcessed) && itemsProcessed! >= 0 ? null : 'itemsProcessed must be a whole number of 0 or more';
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

/** The attempt fails, and the next one goes on from what was kept before; there is none where this could never be kept. */
export const notKept = (e: unknown): AttemptOutcome => ({
  ok: false,
  error: {
    code: 'checkpoint_error',
    message: `the checkpoint could not be kept: ${e instanceof Error ? e.message : String(e)}`.slice(0, 4_000),
    retryable: !(isTuttiError(e) && (e.code === 'UNSTORABLE_VALUE' || e.code === 'VALUE_TOO_LARGE')),
  },
});
