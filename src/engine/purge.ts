/** Removal of one task that has ended, by a person. */
import type { ChangeSet } from '../core/changes.ts';
import { TuttiError } from '../core/errors.ts';
import { TASK_STATES, isTaskTerminal } from '../core/task-states.ts';
import type { Store, StoredTask } from '../store/store.ts';
import type { GraphCache } from './graph-cache.ts';
import type { Host } from './host.ts';
import { refuseArchive } from './resets.ts';
import { STEPS_AT_ONCE, prune } from './retention.ts';
import type { TaskGuard } from './task-guard.ts';

export interface PurgeParts {
  store: Store;
  host: Host;
  graphs: GraphCache;
  guard: TaskGuard;
  commit: (changes: ChangeSet) => Promise<boolean>;
  /** Removes what is left of it, in a turn. */
  remove: (task: number) => Promise<void>;
}

/** Throws ILLEGAL_STATE while it lives, while others link to it or copy it, and for an archive. */
export async function purge(row: StoredTask, p: PurgeParts): Promise<void> {
  refuseArchive(row);
  const state = TASK_STATES[row.state];
  if (!isTaskTerminal(row.state))
    throw new TuttiError('ILLEGAL_STATE', `The task is ${state}; only one that has ended can be removed.`, { details: { state } });
  const g = p.graphs.get(row.id);
  if (g !== undefined && g.live.size > 0) {
    throw new TuttiError('ILLEGAL_STATE', 'Handlers of the task are still stopping; try again when they have returned.', {
      details: { stopping: g.live.size },
    });
  }
  const may = await p.guard.remove(row.id);
  if (may !== 'yes') {
    const why = may === 'linked' ? 'Other tasks link to it, and read its results; remove those first.' : 'It is being copied or reset; try again.';
    throw new TuttiError('ILLEGAL_STATE', `The task cannot be removed. ${why}`, { details: { state, linked: may === 'linked' } });
  }
  try {
    if (g !== undefined) {
      // An abort hook that has not begun goes with its task: nothing of it may start any more.
      g.ready.clear();
      p.graphs.drop(g);
    }
    if (row.totalSteps > STEPS_AT_ONCE && !(await prune({ store: p.store, host: p.host, task: row.id, commit: p.commit }))) {
      throw new TuttiError('STORE_UNAVAILABLE', 'The store cannot be written.', { retryAfter: 5 });
    }
    await p.remove(row.id);
  } finally {
    p.guard.removed(row.id);
  }
}
