/** The words of the tree guide over the engine: create tasks one by one, gather them, distribute them, and look at how they ended. */
import { TuttiError } from '../../core/errors.ts';
import type { TreeElement } from '../../core/tree-element.ts';
import type { TaskEvent } from '../../engine/views.ts';
import type { Tutti } from '../tutti.ts';
import { type Draft, TaskRepository } from './task-repository.ts';
import type { TaskTreeNode } from './task-tree-node.ts';
import type { TreeTask } from './tree-task.ts';

export class TaskManager {
  readonly taskRepository: TaskRepository;
  readonly #tutti: Tutti;

  constructor(tutti: Tutti) {
    this.#tutti = tutti;
    this.taskRepository = new TaskRepository(tutti.engine);
  }

  /**
   * Runs what was gathered, together with what it depends on, as one task, and resolves when that has ended, however it ended: each node's
   * `task` says how. Throws as `submitTree` does, and ALREADY_EXISTS when part of it was distributed before; nothing runs then.
   */
  async distributeTaskTree(tree: TaskTreeNode): Promise<TaskTreeNode> {
    const taskId = await this.#submit(tree);
    await this.#tutti.engine.done(taskId);
    await this.#refresh(tree);
    return tree;
  }

  /** The same, and tells of every event while it runs, in order, each awaited. What `callback` throws ends the telling and rejects; the task goes on. */
  async distributeTaskTreeWithStreaming(tree: TaskTreeNode, callback: (event: TaskEvent) => unknown): Promise<TaskTreeNode> {
    const taskId = await this.#submit(tree);
    for await (const event of this.#tutti.engine.events(taskId)) await callback(event);
    await this.#tutti.engine.done(taskId);
    await this.#refresh(tree);
    return tree;
  }

  /** Ends one task at once, with what requires it. `errorMessage` is kept as its error. Throws ILLEGAL_STATE, with its status, when it has ended. */
  async cancelTask(id: string, errorMessage?: string): Promise<TreeTask> {
    const { engine } = this.#tutti;
    const { taskId } = await this.taskRepository.getTaskById(id);
    if (taskId !== null) await engine.cancelStep(taskId, id, { errorMessage });
    else {
      const draft = await this.taskRepository.draft(id);
      if (draft !== null) await engine.cancel(draft.view.id, { errorMessage });
    }
    return await this.taskRepository.getTaskById(id);
  }

  async #submit(tree: TaskTreeNode): Promise<string> {
    const filed = new Map<string, string | undefined>();
    for (const { node, parent } of tree.nodes()) filed.set(node.task.id, parent?.task.id);
    const drafts = new Map<string, Draft>();
    const wanted = [...filed.keys()];
    for (let id = wanted.shift(); id !== undefined; id = wanted.shift()) {
      if (drafts.has(id)) continue;
      const draft = await this.taskRepository.draft(id);
      if (draft === null || draft.view.state !== 'pending') throw await this.#notDistributable(id);
      drafts.set(id, draft);
      // What it waits for has to run, too, gathered or not.
      for (const dep of draft.element.dependencies ?? []) {
        const other = typeof dep === 'string' ? dep : dep.id;
        if (other !== undefined && !drafts.has(other) && (await this.taskRepository.draft(other)) !== null) wanted.push(other);
      }
    }
    const elements = [...drafts].map(([id, { element }]): TreeElement => {
      const own = element.parent_id !== undefined && drafts.has(element.parent_id) ? element.parent_id : undefined;
      return { ...element, parent_id: filed.get(id) ?? own };
    });
    const handle = await this.#tutti.submitTree(elements);
    await this.taskRepository.remove([...drafts.values()]);
    return handle.id;
  }

  async #notDistributable(id: string): Promise<TuttiError> {
    const { status, taskId } = await this.taskRepository.getTaskById(id);
    if (taskId !== null)
      return new TuttiError('ALREADY_EXISTS', `already_running: the task ${id} was distributed before; it is ${status}`, {
        field: 'id',
        details: { id, status },
      });
    return new TuttiError('ILLEGAL_STATE', `the task ${id} is ${status}`, { details: { id, current_status: status } });
  }

  async #refresh(tree: TaskTreeNode): Promise<void> {
    for (const { node } of tree.nodes()) node.task = await this.taskRepository.getTaskById(node.task.id);
  }
}
