/**
 * Tasks that are made one by one and gathered later. A task that is made is a draft: a stored task of its own that runs nothing. It goes
 * by the id it was given, which is then its key, or by its own. Distribution makes one tree of the gathered drafts, under the same ids, in
 * one commit.
 */
import { TuttiError, isTuttiError } from '../../core/errors.ts';
import { isUuid } from '../../core/ids.ts';
import { readElement, type TreeElement } from '../../core/tree-element.ts';
import type { EngineFacade } from '../../engine/facade.ts';
import type { TaskView } from '../../engine/views.ts';
import { type TreeTask, treeTaskOfDraft, treeTaskOfStep } from './tree-task.ts';

const DRAFT = 'draft';

export interface Draft {
  element: TreeElement;
  view: TaskView;
}

export class TaskRepository {
  readonly #engine: EngineFacade;

  constructor(engine: EngineFacade) {
    this.#engine = engine;
  }

  /** Stores a task as pending; nothing runs. Fields are those of a tree element (docs/trees.md). Throws INVALID_INPUT, ALREADY_EXISTS. */
  async createTask(element: TreeElement): Promise<TreeTask> {
    // Names of handlers are looked at when it is distributed: only then is it known whether it is a folder.
    const { definition } = readElement(element, 'task', false, {});
    if (element.children !== undefined)
      throw new TuttiError('INVALID_INPUT', 'task.children: create the children one by one, or use submitTree', { field: 'task.children' });
    const { id } = definition;
    if (id !== undefined && (await this.#step(id)) !== null)
      throw new TuttiError('ALREADY_EXISTS', `the id ${JSON.stringify(id)} already exists in database`, { field: 'id', details: { id } });
    const { task } = await this.#engine.submitTree({
      elements: [{ name: definition.name, handler: 'aggregate_results', inputs: { [DRAFT]: element } }],
      execute: false,
      key: id,
      tags: [DRAFT],
    });
    return treeTaskOfDraft(id ?? task.id, element, { createdAt: task.createdAt, status: 'pending', error: null });
  }

  /** As it is now. Throws NOT_FOUND. */
  async getTaskById(id: string): Promise<TreeTask> {
    const step = await this.#step(id);
    if (step !== null) return step;
    const draft = await this.draft(id);
    if (draft === null) throw new TuttiError('NOT_FOUND', `there is no task ${id}`);
    const { createdAt, simpleStatus: status, error } = draft.view;
    return treeTaskOfDraft(id, draft.element, { createdAt, status, error });
  }

  /** What was created under this id and not distributed yet. Null: nothing. */
  async draft(id: string): Promise<Draft | null> {
    const { tasks } = await this.#engine.list({ key: id, tag: DRAFT, limit: 1 });
    const view = tasks[0] ?? (isUuid(id) ? await orNull(this.#engine.task(id)) : null);
    if (view === null || !view.tags.includes(DRAFT)) return null;
    const [step] = await this.#engine.steps(view.id, { results: false, inputs: true });
    const element = (step.inputs as { [DRAFT]?: TreeElement } | undefined)?.[DRAFT];
    return element === undefined ? null : { element: { ...element, id }, view };
  }

  /** What was distributed stands in its tree from now on. A draft that stays behind does no harm: the tree is looked at first. */
  async remove(drafts: readonly Draft[]): Promise<void> {
    await Promise.all(
      drafts.map(async ({ view }) => {
        await this.#engine.cancel(view.id, { errorMessage: 'distributed' });
        await this.#engine.purge(view.id);
      }),
    );
  }

  async #step(id: string): Promise<TreeTask | null> {
    const step = await orNull(this.#engine.findElement(id));
    if (step === null) return null;
    const parent = step.parentId === null ? null : await orNull(this.#engine.findElement(step.parentId));
    return treeTaskOfStep(step, parent === null ? null : (parent.elementId ?? parent.id));
  }
}

/** Null: there is no such thing. */
async function orNull<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (e) {
    if (isTuttiError(e) && e.code === 'NOT_FOUND') return null;
    throw e;
  }
}
