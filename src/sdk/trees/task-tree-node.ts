import { TuttiError } from '../../core/errors.ts';
import { calculateProgress, calculateStatus, type SimpleStatus } from '../../core/simple-status.ts';
import type { TreeTask } from './tree-task.ts';

/** Tasks gathered for one distribution: who is filed under whom. It orders nothing; dependencies do. */
export class TaskTreeNode {
  task: TreeTask;
  readonly children: TaskTreeNode[] = [];

  constructor(task: TreeTask) {
    this.task = task;
  }

  addChild(child: TaskTreeNode): this {
    this.children.push(child);
    return this;
  }

  /** This node and all below it, parents first, each with its parent. INVALID_INPUT: a task stands there twice, or below itself. */
  *nodes(): Generator<{ node: TaskTreeNode; parent: TaskTreeNode | null }> {
    const open: { node: TaskTreeNode; parent: TaskTreeNode | null }[] = [{ node: this, parent: null }];
    const seen = new Set<string>();
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next.node.task.id)) {
        const message = `the task ${JSON.stringify(next.node.task.name)} stands in the tree twice, or below itself`;
        throw new TuttiError('INVALID_INPUT', message, { field: 'children' });
      }
      seen.add(next.node.task.id);
      yield next;
      for (const child of next.node.children.toReversed()) open.push({ node: child, parent: next.node });
    }
  }

  /** 0..1: the mean of the children's, or its own where it has none. */
  calculateProgress(): number {
    const { parent, tasks } = this.#flat();
    return calculateProgress(
      parent,
      tasks.map((t) => t.progress),
    )[0];
  }

  /** By its children where it has some: failed before in progress before pending before completed. */
  calculateStatus(): SimpleStatus {
    const { parent, tasks } = this.#flat();
    return calculateStatus(
      parent,
      tasks.map((t) => t.status),
    )[0];
  }

  #flat(): { parent: number[]; tasks: TreeTask[] } {
    const place = new Map<TaskTreeNode, number>();
    const parent: number[] = [];
    for (const n of this.nodes()) {
      parent.push(n.parent === null ? -1 : place.get(n.parent)!);
      place.set(n.node, place.size);
    }
    return { parent, tasks: [...place.keys()].map((n) => n.task) };
  }
}
