/** `aggregate_results`: the results of all dependencies as one value. */
import type { StepError } from '../core/errors.ts';
import type { StepFunction, UntypedStepContext } from '../sdk/step-types.ts';
import type { RunContext } from '../sdk/worker/run-context.ts';

export interface AggregatedResults {
  /** For people: how many came, and which did not. */
  summary: string;
  /** RFC 3339. */
  timestamp: string;
  /** By name of dependency. Of two with one name the later. */
  results: Record<string, unknown>;
  /** By id of dependency. */
  results_by_id: Record<string, unknown>;
  /** Dependencies that gave a result. */
  result_count: number;
  /** Optional dependencies that failed or were cancelled. */
  failed: { name: string; id: string | null; state: 'error' | 'cancelled'; error?: StepError; reason?: string }[];
}

/** `now`: milliseconds since 1970. A dependency that a person resolved without a result is in neither list. */
export const aggregateResults =
  (now: () => number): StepFunction =>
  async (ctx: UntypedStepContext): Promise<AggregatedResults> => {
    // Entries, not assignments: a dependency may be called `__proto__`, which is then refused by name and not lost.
    const byName: [string, unknown][] = [];
    const byId: [string, unknown][] = [];
    const failed: AggregatedResults['failed'] = [];
    for await (const { name, id, outcome } of (ctx as unknown as RunContext).settledDependencies()) {
      if (outcome.state === 'complete') {
        byName.push([name, outcome.value]);
        if (id !== null) byId.push([id, outcome.value]);
      } else if (outcome.state === 'error') failed.push({ name, id, state: 'error', error: withoutStack(outcome.error) });
      else if (outcome.state === 'cancelled') failed.push({ name, id, state: 'cancelled', reason: outcome.reason });
    }
    return {
      summary: summaryOf(byName.length, failed),
      timestamp: new Date(now()).toISOString(),
      results: Object.fromEntries(byName),
      results_by_id: Object.fromEntries(byId),
      result_count: byName.length,
      failed,
    };
  };

const withoutStack = ({ code, message, retryable }: StepError): StepError => ({ code, message, retryable });

/** Names in the summary; the rest is counted. */
const NAMED = 10;

function summaryOf(count: number, failed: readonly { name: string }[]): string {
  const text = `${count} ${count === 1 ? 'result' : 'results'}`;
  if (failed.length === 0) return text;
  const names = failed.slice(0, NAMED).map((f) => f.name);
  const more = failed.length - names.length;
  return `${text}; without one: ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
