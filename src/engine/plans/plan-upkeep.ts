/**
 * What keeps plans going when nothing else does: the poll (spec/startree.md §5, the net beneath the turn that ends a batch), timers of calls
 * that are tried again, the look at disk and memory, the sweep for plans of resources that are gone, and the removal of old ones.
 */
import { batchEndOfRow } from '../../core/batch-end.ts';
import { ChangeSet } from '../../core/changes.ts';
import { type Plan, PlanPhase } from '../../core/plan.ts';
import { isTaskTerminal } from '../../core/task-states.ts';
import type { EngineParts } from '../engine-parts.ts';
import type { PlanBook } from './plan-book.ts';
import type { PlanCommand } from './plan-command.ts';
import type { ResourceKinds } from './resource-kinds.ts';

const LONGEST_MS = 60_000;
/** How long a kind of resources has to say whether one is there. */
const ASK_MS = 10_000;

export interface PlanUpkeepOptions {
  parts: EngineParts;
  book: PlanBook;
  kinds: ResourceKinds;
  force: (c: PlanCommand) => void;
  /** Begins what is due of a plan. */
  poke: (plan: number) => void;
  /** Removes all plans of a resource, if it is gone; nobody makes one meanwhile. */
  drop: (resource: string, gone: () => boolean | Promise<boolean>) => Promise<boolean>;
  commit: (changes: ChangeSet) => Promise<boolean>;
}

export class PlanUpkeep {
  readonly #o: PlanUpkeepOptions;
  #cancels: (() => void)[] = [];
  /** Armed timers of plans that wait. */
  readonly #wakes = new Map<number, () => void>();
  #stopped = false;
  /** Orphans are being looked for. */
  #looking = false;
  polledAt: number;
  /** Why no batch may begin on this machine; null: nothing is known to be full. */
  pressure: string | null = null;

  constructor(o: PlanUpkeepOptions) {
    this.#o = o;
    this.polledAt = o.parts.host.now();
  }

  start(): void {
    const { pollMs, orphanMs } = this.#o.parts.config.plans;
    this.#every(0, pollMs, () => this.poll());
    // Also soon after the start: a process may never live as long as the interval.
    this.#every(
      1,
      orphanMs,
      async () => {
        await this.sweep();
        await this.#retire();
      },
      Math.min(pollMs, orphanMs),
    );
  }

  stop(): void {
    this.#stopped = true;
    for (const cancel of [...this.#cancels, ...this.#wakes.values()]) cancel();
    this.#cancels = [];
    this.#wakes.clear();
  }

  /** One look at every plan that has not ended. */
  async poll(): Promise<void> {
    const { book, parts } = this.#o;
    this.polledAt = parts.host.now();
    await this.measure();
    // Beside it: a kind that takes its time to answer must not hold up the plans of others.
    if (!this.#looking) {
      this.#looking = true;
      void this.#removeOrphans().finally(() => (this.#looking = false));
    }
    for (const p of book.all()) {
      if (this.#stopped) return;
      if (p.phase !== PlanPhase.batch || p.batchTask === null) {
        this.#o.poke(p.id);
        continue;
      }
      if (parts.graphs.get(p.batchTask) !== undefined) continue;
      const task = p.batchTask;
      // A failed read is not "gone": it throws, and the next poll looks again.
      const row = await parts.store.loadTask(task);
      if (row !== null && !isTaskTerminal(row.state)) continue;
      this.#o.force({ kind: 'end_batch', plan: p.id, end: batchEndOfRow(task, row, book.openBatch(p.id)?.total ?? 0) });
    }
  }

  pokeAll(taskType?: string): void {
    for (const p of this.#o.book.all()) if (taskType === undefined || p.taskType === taskType) this.#o.poke(p.id);
  }

  /** Looks at the plan at that time (I13). No timer is longer than a minute: it is armed anew, and so follows a clock that jumps. */
  wakeAt(plan: number, at: number): void {
    this.#wakes.get(plan)?.();
    this.#wakes.delete(plan);
    if (this.#stopped) return;
    const { book, parts, poke } = this.#o;
    const wait = Math.min(Math.max(0, at - parts.host.now()), LONGEST_MS);
    const cancel = parts.host.timer(wait, () => {
      this.#wakes.delete(plan);
      const due = book.get(plan)?.wakeAt ?? null;
      if (due === null || this.#stopped) return;
      if (due > parts.host.now()) this.wakeAt(plan, due);
      else poke(plan);
    });
    this.#wakes.set(plan, cancel);
  }

  /** Removes plans whose resource is gone. A kind that this process does not know, or that cannot be asked, is not "gone". */
  async sweep(): Promise<number> {
    const { parts } = this.#o;
    let removed = 0;
    for (const resource of await parts.store.plannedResources()) {
      if (this.#stopped) return removed;
      const plans = await parts.store.plansOf({ resource, newest: true, limit: 1 });
      if (plans.length > 0 && (await this.#o.drop(resource, () => this.#isGone(plans[0])))) removed++;
    }
    return removed;
  }

  /** Live plans whose resource is gone go with it. */
  async #removeOrphans(): Promise<void> {
    const asked = new Set<string>();
    for (const p of this.#o.book.all()) {
      if (this.#stopped) return;
      // Plans of several types may be of one.
      if (asked.has(p.resource)) continue;
      asked.add(p.resource);
      if (await this.#isGone(p))
        await this.#o
          .drop(p.resource, () => this.#isGone(p))
          .catch((e: unknown) => this.#o.parts.host.log('warn', `the plans of ${p.resource} could not be removed`, { error: String(e) }));
    }
  }

  async #isGone({ resource, kind }: Pick<Plan, 'resource' | 'kind'>): Promise<boolean> {
    try {
      const gone = async (): Promise<boolean> =>
        // Of another kind it is there all the same, and its plans with it.
        (await this.#o.kinds.get(kind)?.exists(resource)) === false && (await this.#o.kinds.kindOf(resource)) === null;
      return await this.#inTime(gone());
    } catch (e) {
      const error = e instanceof Error ? e.message : String(e);
      this.#o.parts.host.log('warn', `whether ${resource} exists could not be asked: its plans stay`, { error });
      return false;
    }
  }

  /** A user's function that never answers must not stop the poll of all plans. */
  async #inTime<T>(asked: Promise<T>): Promise<T> {
    let cancel = (): void => {};
    const late = new Promise<never>((_, reject) => {
      cancel = this.#o.parts.host.timer(ASK_MS, () => reject(new Error(`there was no answer within ${ASK_MS / 1000} s`)));
    });
    asked.catch(() => undefined);
    return await Promise.race([asked, late]).finally(() => cancel());
  }

  /** Ended plans by age and number. */
  async #retire(): Promise<void> {
    const { host, store, config } = this.#o.parts;
    const { retentionMs, retentionCount } = config.plans;
    for (;;) {
      const ids = await store.endedPlans({ before: host.now() - retentionMs, keep: retentionCount, limit: 100 });
      const changes = new ChangeSet();
      for (const id of ids) {
        const p = await store.planByNumber(id);
        if (p !== null) changes.planRemovals.push({ plan: id, fromVersion: p.version });
      }
      if (changes.planRemovals.length === 0 || this.#stopped || !(await this.#o.commit(changes))) return;
      if (ids.length < 100) return;
    }
  }

  /** Looks at disk and memory: before the first batch of this process, and with every poll. */
  async measure(): Promise<void> {
    const { host, config } = this.#o.parts;
    const { maxDiskPercent, maxMemoryPercent } = config.plans;
    // What cannot be read does not block.
    const found = await host.pressure?.().catch(() => null);
    const disk = found?.diskPercent ?? 0;
    const memory = found?.memoryPercent ?? 0;
    if (disk > maxDiskPercent) this.pressure = `The disk is ${Math.round(disk)} % full; the limit is ${maxDiskPercent} %.`;
    else if (memory > maxMemoryPercent) this.pressure = `The memory is ${Math.round(memory)} % full; the limit is ${maxMemoryPercent} %.`;
    else this.pressure = null;
  }

  #every(slot: number, ms: number, work: () => Promise<void>, first = ms): void {
    if (this.#stopped) return;
    this.#cancels[slot] = this.#o.parts.host.timer(Math.min(first, 2 ** 31 - 1), () => {
      work()
        .catch((e: unknown) => this.#o.parts.host.log('warn', 'the upkeep of plans failed', { message: e instanceof Error ? e.message : String(e) }))
        .finally(() => this.#every(slot, ms, work));
    });
  }
}
