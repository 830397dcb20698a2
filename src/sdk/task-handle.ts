import { isTuttiError } from '../core/errors.ts';
import type { TreeElement } from '../core/tree-element.ts';
import type { EngineFacade } from '../engine/facade.ts';
import type { AuditView, ExplainView, StepView, TaskEvent, TaskOutcome, TaskView, TreeQuery, TreeView } from '../engine/views.ts';
import { TaskError } from './task-error.ts';

/** One task, as the code that submitted or found it holds it. It keeps nothing but the id: every verb asks the engine. */
export class TaskHandle<R = unknown> {
  /** UUIDv7. */
  readonly id: string;
  readonly #engine: EngineFacade;

  constructor(engine: EngineFacade, id: string) {
    this.#engine = engine;
    this.id = id;
  }

  /**
   * Waits for the end and gives the result; rejects with TaskError when the task ended otherwise than complete.
   * A step that left no result (its failure was handled, or a person resolved it) is absent from it, or null where `.returns()` names it alone.
   */
  async result(): Promise<R> {
    try {
      return (await this.#engine.result(this.id)) as R;
    } catch (e) {
      if (!isTuttiError(e) || e.code !== 'TASK_FAILED' || e instanceof TaskError) throw e;
      throw new TaskError(await this.#engine.done(this.id), e);
    }
  }

  /** Waits for the end, whatever it is, and says which; a failed task is an answer here, not an exception. */
  done(): Promise<TaskOutcome> {
    return this.#engine.done(this.id);
  }

  view(): Promise<TaskView> {
    return this.#engine.task(this.id);
  }

  /** State, result, error and attempts of every step, in template order. */
  steps(): Promise<StepView[]> {
    return this.#engine.steps(this.id, { results: true });
  }

  /** One step by name or id. */
  step(nameOrId: string): Promise<StepView> {
    return this.#engine.step(this.id, nameOrId);
  }

  /** Ends the task now; running handlers get their signal. `reason` is kept as the error of what it cancels. */
  cancel(o: { reason?: string; by?: string } = {}): Promise<TaskView> {
    return this.#engine.cancel(this.id, { errorMessage: o.reason, by: o.by });
  }

  /**
   * Runs again what failed and what depends on it, or one step (by name or id) with what depends on it. Throws ILLEGAL_STATE where nothing
   * has failed, with the state and the legal verbs in `details`.
   */
  reset(step?: string): Promise<TaskView> {
    return this.#engine.reset(this.id, step);
  }

  /** Lets a tree run that was submitted with `execute: false`. */
  execute(): Promise<TaskView> {
    return this.#engine.executeTree(this.id);
  }

  /**
   * Adds elements, at most 1,000 at once, while the task has not ended. They may name its steps, by id or name, as parents and dependencies.
   * Gives their views, children right after their parent.
   */
  addSteps(elements: Iterable<TreeElement> | AsyncIterable<TreeElement>): Promise<StepView[]> {
    return this.#engine.addSteps(this.id, elements);
  }

  /** Ends one step now, with its tied children and what requires it; `reason` is kept as its error. */
  cancelStep(nameOrId: string, o: { reason?: string } = {}): Promise<StepView> {
    return this.#engine.cancelStep(this.id, nameOrId, { errorMessage: o.reason });
  }

  /** Steps as they are filed, with calculated status and progress: at most 1,000 in one answer, the rest by cursor. */
  tree(q: TreeQuery = {}): Promise<TreeView> {
    return this.#engine.tree(this.id, q);
  }

  patch(o: { priority?: number; tags?: string[] }): Promise<TaskView> {
    return this.#engine.patch(this.id, o);
  }

  /** Events from the durable log, then live ones, until the task's last. `after`: only those with a higher seq. */
  events(o: { after?: number; signal?: AbortSignal } = {}): AsyncIterable<TaskEvent> {
    return this.#engine.events(this.id, o);
  }

  /** Why a step is not running, or what it is doing; of all steps that are not terminal, or of one. */
  explain(step?: string): Promise<ExplainView[]> {
    return this.#engine.explain(this.id, step);
  }

  audit(step?: string): Promise<AuditView[]> {
    return this.#engine.audit(this.id, step);
  }

  /** Lines that the step's handler wrote with `ctx.log`. */
  log(step: string): Promise<{ at: number; level: string; message: string; token: number }[]> {
    return this.#engine.attemptLog(this.id, step);
  }

  /** Removes the terminal task and all that hangs on it. */
  purge(): Promise<void> {
    return this.#engine.purge(this.id);
  }
}
