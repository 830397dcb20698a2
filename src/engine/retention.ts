import { ChangeSet } from '../core/changes.ts';
import type { Store } from '../store/store.ts';
import type { EngineParts } from './engine-parts.ts';
import type { Host } from './host.ts';
import type { TaskGuard } from './task-guard.ts';

/** Rows one removal commit may take: small, so that running work does not notice. */
const ROWS_PER_COMMIT = 256;

/** A task of more steps is emptied in slices before it is removed. */
export const STEPS_AT_ONCE = 100;

/** Removes the steps and payloads of a large terminal task in small commits. False: the store refused. */
export async function prune(o: { store: Store; host: Host; task: number; commit: (changes: ChangeSet) => Promise<boolean> }): Promise<boolean> {
  while ((await o.store.loadSteps({ task: o.task, after: -1, limit: 1 })).length > 0) {
    const changes = new ChangeSet();
    changes.prunes.push({ task: o.task, rows: ROWS_PER_COMMIT });
    if (!(await o.commit(changes))) return false;
    await new Promise<void>((resolve) => o.host.soon(resolve));
  }
  return true;
}

/** Removes finished tasks by age and count. The store searches away from the loop's thread; rows go in small commits between turns. */
export class Retention {
  readonly #p: EngineParts;
  readonly #commit: (changes: ChangeSet) => Promise<boolean>;
  readonly #guard: TaskGuard;
  #cancel: (() => void) | null = null;
  #stopped = false;
  removed = 0;

  constructor(o: { parts: EngineParts; commit: (changes: ChangeSet) => Promise<boolean>; guard: TaskGuard }) {
    this.#p = o.parts;
    this.#commit = o.commit;
    this.#guard = o.guard;
  }

  start(): void {
    if (this.#p.config.retention.enabled) this.#again(this.#p.config.retention.intervalMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /** One sweep; resolves with how many tasks it removed. */
  async sweep(): Promise<number> {
    const { host, store, config } = this.#p;
    let removed = 0;
    for (;;) {
      const ids = await store.expired({ before: host.now() - config.retention.maxAgeMs, keep: config.retention.maxCount, limit: 200 });
      const free = ids.filter((id) => this.#p.graphs.get(id) === undefined);
      if (free.length === 0 || this.#stopped) return removed;
      const before = removed;
      for (let i = 0; i < free.length && !this.#stopped; ) {
        const changes = new ChangeSet();
        try {
          for (let rows = 0; i < free.length && rows < ROWS_PER_COMMIT; ) {
            const id = free[i++];
            // Linked to since we asked, or about to be.
            if ((await this.#guard.remove(id)) !== 'yes') continue;
            changes.removals.push(id);
            const task = await store.loadTask(id);
            if ((task?.totalSteps ?? 0) > STEPS_AT_ONCE && !(await prune({ store, host, task: id, commit: this.#commit }))) return removed;
            rows += 4 + 3 * Math.min(STEPS_AT_ONCE, task?.totalSteps ?? 0);
          }
          if (changes.removals.length > 0 && !(await this.#commit(changes))) return removed;
        } finally {
          for (const id of changes.removals) this.#guard.removed(id);
        }
        removed += changes.removals.length;
        this.removed += changes.removals.length;
        await new Promise<void>((resolve) => host.soon(resolve));
      }
      if (removed === before) return removed;
    }
  }

  #again(ms: number): void {
    this.#cancel = this.#p.host.timer(ms, () => {
      this.sweep()
        .catch((e: unknown) => this.#p.host.log('warn', 'retention failed', { message: e instanceof Error ? e.message : String(e) }))
        .finally(() => {
          if (!this.#stopped) this.#again(this.#p.config.retention.intervalMs);
        });
    });
  }
}
