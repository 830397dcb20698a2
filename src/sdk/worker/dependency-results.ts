/** `ctx.results`: what the dependencies gave, by name, frozen; parsed on first use and once per attempt. */
import { freezeDeep, parseFrozen } from '../../core/values.ts';
import type { Assignment, DependencyResult, WorkerSession } from '../../engine/worker-port.ts';
import { PermanentError, RetryableError } from '../handler-errors.ts';
import type { NotTaken, Settled } from '../step-types.ts';

/** Results of this many characters in all are parsed at once: cheaper than a getter for each. */
const EAGER_CHARS = 16_384;
/** Results asked for at a time when they are too many to be sent along. */
const PAGE = 100;

export type ResultsView = Record<string, unknown> & AsyncIterable<readonly [string, unknown]>;

/** Results that came along are walked as they lie there. */
const PUSHED = {
  async *[Symbol.asyncIterator](this: Record<string, unknown>): AsyncGenerator<readonly [string, unknown]> {
    for (const name of Object.keys(this)) yield [name, this[name]];
  },
};
Object.defineProperty(PUSHED, Symbol.asyncIterator, { enumerable: false });

export function resultsOf(a: Assignment, session: Pick<WorkerSession, 'fetchResults'>): ResultsView {
  if (a.results === null) return streamed(a, session);
  const view = Object.create(PUSHED) as ResultsView;
  let chars = 0;
  let eager = true;
  for (const [, required, result] of a.results) {
    if (result.state === 'complete') chars += result.body.length;
    else if (required && result.state !== 'not_taken') eager = false;
  }
  if (eager && chars <= EAGER_CHARS) {
    for (const [name, required, result] of a.results) view[name] = read(name, required, result);
  } else {
    for (const [name, required, result] of a.results) lazy(view, name, () => read(name, required, result));
  }
  if (a.batches !== undefined) return Object.freeze(withBatches(view, a.results, a.batches));
  return Object.freeze(view);
}

/**
 * The results of a batch as one list under its worker's name: of those that completed, or, where the batch is optional, how each ended.
 * One by one they are there as well, and only these are walked.
 */
function withBatches(view: ResultsView, results: NonNullable<Assignment['results']>, batches: NonNullable<Assignment['batches']>): ResultsView {
  const all = new Map(results.map(([name, required, result]) => [name, { required, result }]));
  const lists = Object.create(PUSHED) as ResultsView;
  const grouped = new Set(batches.map((b) => b.name));
  for (const [name] of results) if (!grouped.has(name)) lazy(lists, name, () => view[name]);
  for (const { name, workers } of batches) {
    const ended = workers.flatMap((w) => all.get(w)?.result ?? []);
    const make = (): unknown =>
      all.get(name)?.required === false
        ? Object.freeze(ended.map(settledOf))
        : Object.freeze(ended.flatMap((r) => (r.state === 'complete' ? [parseFrozen(r.body)] : [])));
    lazy(lists, name, make, false);
  }
  return lists;
}

/** Completed dependencies and their values, in declared order: what is laid over the inputs. */
export function* contributions(a: Assignment, view: ResultsView): Generator<readonly [string, unknown]> {
  for (const [name, required, result] of a.results ?? []) {
    if (result.state === 'complete') yield [name, required ? view[name] : (view[name] as { value: unknown }).value];
  }
}

/** How a dependency ended, with its value. */
export function settledOf(result: DependencyResult): Settled<unknown> | NotTaken {
  switch (result.state) {
    case 'complete':
      return Object.freeze({ state: 'complete', value: parseFrozen(result.body) });
    case 'error':
      return freezeDeep({ state: 'error', error: { ...result.error } });
    case 'cancelled':
      return Object.freeze({ state: 'cancelled', reason: result.reason });
    case 'resolved_manually':
      return Object.freeze({ state: 'resolved_manually' });
    case 'not_taken':
      return Object.freeze({ state: 'not_taken' });
    default:
      return result satisfies never;
  }
}

export const tooLargeToRead = (stepName: string): PermanentError =>
  new PermanentError(
    `the results of the dependencies of step ${JSON.stringify(stepName)} exceed 1 MiB in all and cannot be read by name; iterate: for await (const [name, value] of ctx.results)`,
    { code: 'results_too_large' },
  );

/** Above 1 MiB in all: nothing is held, pages are fetched while one walks. */
function streamed(a: Assignment, session: Pick<WorkerSession, 'fetchResults'>): ResultsView {
  const { dependencyCount } = a;
  const iterate = async function* (): AsyncGenerator<readonly [string, unknown]> {
    for (let from = 0; from < dependencyCount; ) {
      const page = await session.fetchResults({ task: a.task, no: a.no, from, limit: PAGE });
      if (page.length === 0) throw new RetryableError('the results cannot be read at the moment');
      for (const [name, required, result] of page) yield [name, read(name, required, result)];
      from += page.length;
    }
  };
  // A proxy instead of a getter per dependency: defining 100,000 of them would hold the loop for 50 ms.
  let names: Set<string> | undefined;
  const known = (name: string | symbol): name is string => typeof name === 'string' && (names ??= new Set(a.dependencies.map((d) => d.name))).has(name);
  const refuse = (): never => {
    throw tooLargeToRead(a.stepName);
  };
  return new Proxy(Object.create(null) as ResultsView, {
    get: (_, name) => (name === Symbol.asyncIterator ? iterate : known(name) ? refuse() : undefined),
    has: (_, name) => name === Symbol.asyncIterator || known(name),
    ownKeys: () => a.dependencies.map((d) => d.name),
    getOwnPropertyDescriptor: (_, name) => (known(name) ? { enumerable: true, configurable: true, get: refuse } : undefined),
    set: () => false,
    defineProperty: () => false,
    deleteProperty: () => false,
  });
}

/** A required dependency gives its value itself, an optional one says how it ended. */
function read(name: string, required: boolean, result: DependencyResult): unknown {
  if (!required) return settledOf(result);
  if (result.state === 'complete') return parseFrozen(result.body);
  // A branch that was not chosen has no value, and that is no mistake.
  if (result.state === 'not_taken') return undefined;
  throw new PermanentError(
    result.state === 'resolved_manually'
      ? `step ${JSON.stringify(name)} was resolved by hand and left no result`
      : `step ${JSON.stringify(name)} has no result: it ended in ${result.state}`,
    { code: 'resolved_without_result' },
  );
}

function lazy(view: object, name: string, make: () => unknown, enumerable = true): void {
  let made = false;
  let value: unknown;
  Object.defineProperty(view, name, {
    enumerable,
    get: () => {
      if (!made) {
        value = make();
        made = true;
      }
      return value;
    },
  });
}
