/**
 * Taking up what the last process left (I10): unfinished arrivals are removed, begun tasks are read and their lost attempts decided,
 * and tasks that never began are fetched by the rank of their first steps as slots come free.
 */
import { ChangeSet } from '../core/changes.ts';
import { ABORT_MS } from '../core/phases.ts';
import { Task } from '../core/task-states.ts';
import { StoreFailure } from '../store/store.ts';
import type { EngineParts } from './engine-parts.ts';
import { HORIZON_MS } from './timers.ts';

const SLICE = 200;
/** Reads that may fail in a row of slices before a start is given up; a tenth of a second apart. */
const PATIENCE = 100;
const BEGUN = [Task.stepsInProcess, Task.evaluatingResults, Task.waitingForDependencies, Task.waitingForRetry, Task.blockedByFailures];

/** Before anything else runs. Resolves with how many were removed. */
export async function removeArrivals(p: EngineParts): Promise<number> {
  let removed = 0;
  for (;;) {
    const ids = await p.store.taskIds({ states: [Task.initializing], after: 0, limit: 16 });
    if (ids.length === 0) return removed;
    const changes = new ChangeSet();
    changes.removals.push(...ids);
    await p.store.commit(changes);
    removed += ids.length;
  }
}

/** Reads begun tasks in slices while the loop is already running; `adopt` takes each up. Resolves with how many there were. */
export async function resumeBegun(p: EngineParts, o: { adopt: (ids: number[]) => Promise<void>; stopped: () => boolean }): Promise<number> {
  let resumed = 0;
  let failures = 0;
  for (let after = 0; !o.stopped(); ) {
    let ids: number[];
    try {
      ids = await p.store.taskIds({ states: BEGUN, after, limit: SLICE });
      await o.adopt(ids);
    } catch (e) {
      // The loop runs already and may have lost the connection: it is opening another.
      if (!(e instanceof StoreFailure) || ++failures > PATIENCE) throw e;
      await new Promise<void>((resolve) => void p.host.timer(100, resolve));
      continue;
    }
    if (ids.length === 0) return resumed;
    resumed += ids.length;
    after = ids[ids.length - 1];
    await new Promise<void>((resolve) => p.host.soon(resolve));
  }
  return resumed;
}

/**
 * Abort hooks that ran when the last process died: their tasks may have ended, so nothing else leads to them before their time is over.
 * Call it when begun tasks have been read. More than a thousand of them are found by their timers.
 */
export async function resumeAborts(p: EngineParts, adopt: (ids: number[]) => Promise<void>): Promise<void> {
  const due = await p.store.due({ until: p.host.now() + ABORT_MS, limit: 1000 });
  const ids = new Set<number>();
  for (const d of due) if (d.no >= 0 && p.graphs.get(d.task) === undefined) ids.add(d.task);
  if (ids.size > 0) await adopt([...ids]);
}

/** Rows of one scan, as long as those that are due go on when they are told. */
const DUE_AT_ONCE = 1000;

/** Retries and deadlines of the next minute, read twice as often. */
export class TimerScan {
  readonly #p: EngineParts;
  #limit = DUE_AT_ONCE;
  /** The last row of a scan that had as many as it may. */
  #last = '';
  #cancel: (() => void) | null = null;
  #stopped = false;

  constructor(parts: EngineParts) {
    this.#p = parts;
  }

  async run(): Promise<void> {
    if (this.#stopped) return;
    const { host, store, timers } = this.#p;
    try {
      const due = await store.due({ until: host.now() + HORIZON_MS, limit: this.#limit });
      for (const d of due) timers.add({ at: d.at, kind: d.no < 0 ? 'deadline' : 'retry', task: d.task, no: d.no, token: 0 });
      if (due.length === this.#limit) {
        const { at, task, no } = due[due.length - 1];
        const last = `${at} ${task} ${no}`;
        // Overdue, and found once more: these wait for something else (an attempt that has not returned), and hide what comes after them.
        if (at <= host.now() && last === this.#last) this.#limit *= 2;
        this.#last = last;
        this.#again(Math.max(100, (at - host.now()) / 2));
        return;
      }
      while (this.#limit > DUE_AT_ONCE && due.length < this.#limit / 2) this.#limit /= 2;
      this.#again(HORIZON_MS / 2);
    } catch {
      this.#again(1000);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #again(ms: number): void {
    if (!this.#stopped) this.#cancel = this.#p.host.timer(Math.min(ms, HORIZON_MS / 2), () => void this.run());
  }
}
