/** Where tasks ended: who waits for it, what is told, what a complete task's result is. */
import type { Json } from '../core/definition.ts';
import { type StepError, TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { taskUuid } from '../core/ids.ts';
import { Step } from '../core/step-states.ts';
import { TASK_STATES, Task } from '../core/task-states.ts';
import type { Store, StoredTask } from '../store/store.ts';
import type { PayloadCache } from './payload-cache.ts';
import type { Queries } from './queries.ts';
import type { DependencyResult } from './worker-port.ts';
import type { TaskOutcome } from './views.ts';

interface Waiter {
  resolve: (o: TaskOutcome) => void;
  reject: (e: unknown) => void;
}

export interface OutcomesOptions {
  store: Store;
  queries: Queries;
  payloads: PayloadCache;
  /** What steps gave, wherever it is kept. */
  results: (g: TaskGraph, nos: readonly number[]) => Promise<DependencyResult[]>;
  soon: (fn: () => void) => void;
  tag: number;
}

/** Steps looked at before whoever waits on the loop goes first. */
const SLICE = 4096;

export class Outcomes {
  readonly #o: OutcomesOptions;
  readonly #waiters = new Map<number, Set<Waiter>>();
  readonly #justEnded = new Map<number, TaskGraph>();
  #closed = false;

  constructor(o: OutcomesOptions) {
    this.#o = o;
  }

  awaited(id: number): boolean {
    return this.#waiters.has(id);
  }

  /** The graph of a task that completed a moment ago, so that who waited needs no read. */
  justEnded(id: number): TaskGraph | undefined {
    return this.#justEnded.get(id);
  }

  /** Of a task that lives. */
  wait(id: number): Promise<TaskOutcome> {
    return new Promise((resolve, reject) => this.#add(id, { resolve, reject }));
  }

  /** Of a task that may have ended already: call `leave` when that turns out, or nobody ever tells. */
  join(id: number): { told: Promise<TaskOutcome>; leave: () => void } {
    const { promise: told, resolve, reject } = Promise.withResolvers<TaskOutcome>();
    const waiter: Waiter = { resolve, reject };
    this.#add(id, waiter);
    // Who does not come to waiting does not hear that the engine was closed either.
    told.catch(() => undefined);
    const leave = (): void => {
      const waiters = this.#waiters.get(id);
      if (waiters?.delete(waiter) === true && waiters.size === 0) this.#waiters.delete(id);
    };
    return { told, leave };
  }

  #add(id: number, waiter: Waiter): void {
    if (this.#closed) {
      waiter.reject(closed());
      return;
    }
    const waiters = this.#waiters.get(id);
    if (waiters === undefined) this.#waiters.set(id, new Set([waiter]));
    else waiters.add(waiter);
  }

  /** A durable commit ended the task. */
  ended(g: TaskGraph): void {
    const waiters = this.#waiters.get(g.id);
    if (waiters === undefined) {
      this.#o.payloads.drop(g.id);
      return;
    }
    this.#waiters.delete(g.id);
    if (g.taskState === Task.complete && g.errors === 0) {
      this.#justEnded.set(g.id, g);
      this.#o.soon(() => {
        this.#justEnded.delete(g.id);
        this.#o.payloads.drop(g.id);
      });
      const outcome: TaskOutcome = { id: taskUuid(g.id, this.#o.tag), state: 'complete', error: null, failedSteps: [] };
      for (const w of waiters) w.resolve(outcome);
      return;
    }
    this.#o.payloads.drop(g.id);
    void this.#tell(g.id, waiters, 1);
  }

  /** Reads how it ended; the commit is durable, so a store that cannot be read now is asked again. */
  async #tell(id: number, waiters: ReadonlySet<Waiter>, reads: number): Promise<void> {
    try {
      const outcome = await this.of((await this.#o.store.loadTask(id))!);
      for (const w of waiters) w.resolve(outcome);
    } catch (e) {
      if (reads < 1000) this.#o.soon(() => void this.#tell(id, waiters, reads + 1));
      else for (const w of waiters) w.reject(new TuttiError('STORE_UNAVAILABLE', 'The store cannot be read at the moment.', { retryAfter: 5, cause: e }));
    }
  }

  close(): void {
    this.#closed = true;
    for (const waiters of this.#waiters.values()) for (const w of waiters) w.reject(closed());
    this.#waiters.clear();
  }

  async of(row: StoredTask): Promise<TaskOutcome> {
    const failedSteps: TaskOutcome['failedSteps'] = [];
    if (row.counts === null || row.counts.error > 0) {
      const { names } = (await this.#o.queries.readGraph(row)).shape;
      for (const [i, s] of (await this.#o.queries.stepRows(row.id)).entries()) {
        if (i % SLICE === SLICE - 1) await new Promise<void>((resolve) => this.#o.soon(resolve));
        if (s.state === Step.error) failedSteps.push({ name: names[s.no], error: s.error === null ? null : (JSON.parse(s.error) as StepError) });
      }
    }
    return {
      id: taskUuid(row.id, this.#o.tag),
      state: TASK_STATES[row.state],
      error: row.error === null ? null : (JSON.parse(row.error) as StepError),
      failedSteps,
    };
  }

  /** design.md §2: what `.returns()` names, else the results of the steps nobody depends on, by name. */
  async resultOf(g: TaskGraph): Promise<Json> {
    const { returns, numberOf, leaves, names } = g.shape;
    const nos = typeof returns === 'string' ? [numberOf.get(returns)!] : returns === undefined ? [...leaves] : returns.map((n) => numberOf.get(n)!);
    const complete = nos.filter((no) => g.state[no] === Step.complete);
    const values: [string, Json][] = [];
    for (let from = 0; from < complete.length; from += 1000) {
      const page = complete.slice(from, from + 1000);
      const results = await this.#o.results(g, page);
      for (const [i, r] of results.entries()) if (r.state === 'complete') values.push([names[page[i]], JSON.parse(r.body) as Json]);
      if (complete.length > 1000) await new Promise<void>((resolve) => this.#o.soon(resolve));
    }
    if (typeof returns === 'string') return values[0]?.[1] ?? null;
    // Defines each as its own property, whatever an element is called.
    const result: { [name: string]: Json } = Object.fromEntries(values);
    return result;
  }
}

const closed = (): TuttiError => new TuttiError('SHUTTING_DOWN', 'The engine was closed before the task ended.');

export function failureOf(o: TaskOutcome): TuttiError {
  const first = o.failedSteps[0];
  const why = o.error?.message ?? (first === undefined ? '' : `step ${first.name}: ${first.error?.message ?? ''}`);
  return new TuttiError('TASK_FAILED', `task ${o.id} ended in ${o.state}${why === '' ? '' : `: ${why}`}`, {
    details: { state: o.state, failedSteps: o.failedSteps, error: o.error },
  });
}
