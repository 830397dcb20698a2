/** Reset of a task or of one step. What it is asked of has mostly ended, so its graph is read for it and kept until it is decided. */
import { TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import type { StoredTask } from '../store/store.ts';
import type { ResultCommand } from './commands.ts';
import type { TaskGuard } from './task-guard.ts';
import type { TaskView } from './views.ts';

export interface ResetParts {
  guard: TaskGuard;
  row: (taskId: string) => Promise<StoredTask>;
  stepNo: (row: StoredTask, ref: string) => number | Promise<number>;
  /** Resolves when it is durable. */
  post: (c: ResultCommand) => Promise<void>;
  view: (taskId: string) => Promise<TaskView>;
  /** Nothing waits for the graph of this task any more: it may leave memory if it has nothing left to do. */
  letGo: (task: number) => void;
}

export class Resets {
  readonly #p: ResetParts;
  /** Tasks that a command wants in memory though they have ended, and how many do. */
  readonly #wanted = new Map<number, number>();

  constructor(parts: ResetParts) {
    this.#p = parts;
  }

  wants(g: TaskGraph): boolean {
    return this.#wanted.has(g.id);
  }

  async reset(taskId: string, stepRef?: string): Promise<TaskView> {
    const row = await this.#p.row(taskId);
    refuseArchive(row);
    const letGo = this.#p.guard.use(row.id);
    try {
      await this.#run(row, stepRef);
    } finally {
      letGo();
    }
    return await this.#p.view(taskId);
  }

  async #run(row: StoredTask, stepRef: string | undefined): Promise<void> {
    const no = stepRef === undefined ? null : await this.#p.stepNo(row, stepRef);
    this.#wanted.set(row.id, (this.#wanted.get(row.id) ?? 0) + 1);
    try {
      await this.#p.post({ kind: 'reset', task: row.id, no, done: () => undefined });
    } finally {
      const left = this.#wanted.get(row.id)! - 1;
      if (left > 0) this.#wanted.set(row.id, left);
      else {
        this.#wanted.delete(row.id);
        this.#p.letGo(row.id);
      }
    }
  }
}

/** An archive stays as it was made. Throws ILLEGAL_STATE. */
export function refuseArchive(row: StoredTask): void {
  if (row.meta?.origin?.type !== 'archive') return;
  throw new TuttiError('ILLEGAL_STATE', 'The task is an archive: it stays as it was made, and is neither changed nor removed.', {
    details: { state: 'archive', legal: ['copy'] },
  });
}
