/** A root with two children. */
import { TaskTreeNode } from 'tutti/trees';
import { openManager } from './open-manager.ts';

export async function hierarchicalTree(): Promise<TaskTreeNode> {
  await using sample = await openManager(['child_task_1', 'child_task_2']);
  const { taskManager } = sample;

  // Create root task
  const rootTask = await taskManager.taskRepository.createTask({
    name: 'root_task',
    user_id: 'user123',
    priority: 1,
  });

  // Create child tasks
  const child1 = await taskManager.taskRepository.createTask({
    name: 'child_task_1',
    user_id: 'user123',
    parent_id: rootTask.id, // Child of root
    priority: 2,
    inputs: { step: 1 },
  });

  const child2 = await taskManager.taskRepository.createTask({
    name: 'child_task_2',
    user_id: 'user123',
    parent_id: rootTask.id, // Also child of root
    priority: 2,
    inputs: { step: 2 },
  });

  // Build tree
  const root = new TaskTreeNode(rootTask);
  root.addChild(new TaskTreeNode(child1));
  root.addChild(new TaskTreeNode(child2));

  // Execute
  await taskManager.distributeTaskTree(root);
  return root;
}
