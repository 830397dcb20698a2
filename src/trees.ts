/** `tutti/trees`: the words of the tree guide over an engine in this process. */
export { TaskManager } from './sdk/trees/task-manager.ts';
export { TaskRepository } from './sdk/trees/task-repository.ts';
export { TaskTreeNode } from './sdk/trees/task-tree-node.ts';
export type { TreeTask } from './sdk/trees/tree-task.ts';
