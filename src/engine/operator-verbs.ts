/**
 * What people do to a task that exists. Each verb is checked here and decided in a turn, behind what was said before it; it is answered
 * when it is durable (I1). An inbox that is full refuses at once: who gave the verb can give it again.
 */
import type { ChangeSet } from '../core/changes.ts';
import { TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { endedTaskVerbs } from '../core/legal-verbs.ts';
import { TASK_STATES, isTaskTerminal } from '../core/task-states.ts';
import type { StoredTask } from '../store/store.ts';
import type { ResultCommand } from './commands.ts';
import type { EngineParts } from './engine-parts.ts';
import type { PlanService } from './plans/plan-service.ts';
import { purge } from './purge.ts';
import { type Resets, refuseArchive } from './resets.ts';
import type { StoreGuard } from './store-guard.ts';
import { checkPriority, checkTags } from './submissions.ts';
import type { TaskGuard } from './task-guard.ts';
import type { TaskLookup } from './task-lookup.ts';
import type { TaskView } from './views.ts';

export interface OperatorVerbsOptions {
  parts: EngineParts;
  /** False: the inbox is full. */
  offer: (c: ResultCommand) => boolean;
  lookup: TaskLookup;
  resets: Resets;
  plans: PlanService;
  taskGuard: TaskGuard;
  guard: StoreGuard;
  view: (taskId: string) => Promise<TaskView>;
  /** Throws when the engine takes nothing new. */
  admit: () => void;
  storeWritable: () => boolean;
  commit: (changes: ChangeSet) => Promise<boolean>;
}

export class OperatorVerbs {
  readonly #o: OperatorVerbsOptions;

  constructor(o: OperatorVerbsOptions) {
    this.#o = o;
  }

  /** Resolves when the command is durable; its own `done` is replaced. */
  post(c: ResultCommand): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (_g: unknown, e: TuttiError | null): void => (e === null ? resolve() : reject(e));
      if (!this.#o.offer({ ...c, done } as ResultCommand))
        reject(new TuttiError('BACKPRESSURE', 'Too many commands are waiting.', { retryAfter: 1, details: { inbox: 'result_processor' } }));
    });
  }

  /** A task that has not ended, in a store that can be written. */
  async live(taskId: string): Promise<StoredTask> {
    const row = await this.#o.lookup.row(taskId);
    refuseArchive(row);
    if (isTaskTerminal(row.state))
      throw new TuttiError('ILLEGAL_STATE', `The task has ended: ${TASK_STATES[row.state]}.`, {
        details: { state: TASK_STATES[row.state], legal: endedTaskVerbs(row.state, row.policy) },
      });
    if (!this.#o.storeWritable()) throw new TuttiError('STORE_UNAVAILABLE', 'The store cannot be written.', { retryAfter: 5 });
    return row;
  }

  async cancel(taskId: string, o: { errorMessage?: string; by?: string } = {}): Promise<TaskView> {
    const message = messageOf(o);
    return await this.#verb(taskId, (task, done) => ({ kind: 'cancel', task, message, done }));
  }

  async patch(taskId: string, o: { priority?: number; tags?: string[] }): Promise<TaskView> {
    if (o.priority !== undefined) checkPriority(o.priority);
    if (o.tags !== undefined) checkTags(o.tags);
    const patch = { ...(o.priority === undefined ? {} : { priority: o.priority }), ...(o.tags === undefined ? {} : { tags: o.tags }) };
    return await this.#verb(taskId, (task, done) => ({ kind: 'patch', task, patch, done }));
  }

  async reset(taskId: string, stepRef?: string): Promise<TaskView> {
    this.#o.admit();
    if (await this.#o.plans.isBatch(this.#o.lookup.no(taskId)))
      throw new TuttiError('ILLEGAL_STATE', 'The task is a batch of a plan: what failed comes again in a later batch.', { details: { legal: ['cancel'] } });
    return await this.#o.resets.reset(taskId, stepRef);
  }

  async purge(taskId: string): Promise<void> {
    const { parts, lookup, plans, taskGuard, guard, commit } = this.#o;
    const row = await lookup.row(taskId);
    await plans.refuseHeld(row.id);
    await guard(() =>
      purge(row, {
        store: parts.store,
        host: parts.host,
        graphs: parts.graphs,
        guard: taskGuard,
        commit,
        remove: (task) => this.post({ kind: 'remove', task, done: () => undefined }),
      }),
    );
  }

  async #verb(taskId: string, make: (task: number, done: (g: TaskGraph | null, e: TuttiError | null) => void) => ResultCommand): Promise<TaskView> {
    const row = await this.live(taskId);
    await this.post(make(row.id, () => undefined));
    return await this.#o.view(taskId);
  }
}

/** What a person says of a cancel. */
export function messageOf({ errorMessage = 'Cancelled by user' }: { errorMessage?: string }): string {
  if (typeof errorMessage !== 'string') throw new TuttiError('INVALID_INPUT', 'error_message must be text', { field: 'error_message' });
  if (errorMessage.length > 10_000) throw new TuttiError('INVALID_INPUT', 'error_message has at most 10,000 characters', { field: 'error_message' });
  return errorMessage;
}
