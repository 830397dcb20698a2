import { ChangeSet } from '../core/changes.ts';
import type { EngineParts } from './engine-parts.ts';

/** Rows one removal commit may take: small, so that running work does not notice. */
const ROWS_PER_COMMIT = 256;

/** Removes finished tasks by age and count. The store searches away from the loop's thread; rows go in small commits between turns. */
export class Retention {
  readonly #p: EngineParts;
  readonly #commit: (changes: ChangeSet) => Promise<boolean>;
  #cancel: (() => void) | null = null;
  #stopped = false;
  removed = 0;

  constructor(o: { parts: EngineParts; commit: (changes: ChangeSet) => Promise<boolean> }) {
    this.#p = o.parts;
    this.#commit = o.commit;
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
      for (let i = 0; i < free.length && !this.#stopped; ) {
        const changes = new ChangeSet();
        let rows = 0;
        while (i < free.length && rows < ROWS_PER_COMMIT) {
          const task = await store.loadTask(free[i]);
          rows += 4 + 3 * (task?.totalSteps ?? 0);
          changes.removals.push(free[i++]);
        }
        if (!(await this.#commit(changes))) return removed;
        removed += changes.removals.length;
        this.removed += changes.removals.length;
        await new Promise<void>((resolve) => host.soon(resolve));
      }
    }
  }

  #again(ms: number): void {
    this.#cancel = this.#p.host.timer(ms, () => {
      this.sweep().catch((e: unknown) => this.#p.host.log('warn', 'retention failed', { message: e instanceof Error ? e.message : String(e) })).finally(() => {
        if (!this.#stopped) this.#again(this.#p.config.retention.intervalMs);
      });
    });
  }
}
