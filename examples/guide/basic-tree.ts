/** The simplest tree: one task, and what the machine says of its processors. */
import { Tutti } from 'tutti';
import { TaskManager, TaskTreeNode, type TreeTask } from 'tutti/trees';

export async function basicTree(): Promise<TreeTask> {
  await using tutti = await Tutti.open({ store: ':memory:' });
  const taskManager = new TaskManager(tutti);

  // Create a task
  const task = await taskManager.taskRepository.createTask({
    name: 'system_info_executor', // Executor ID
    user_id: 'user123',
    priority: 2,
    inputs: { resource: 'cpu' },
  });

  // Build task tree (even single tasks need a tree)
  const taskTree = new TaskTreeNode(task);

  // Execute
  await taskManager.distributeTaskTree(taskTree);

  // Get result
  const result = await taskManager.taskRepository.getTaskById(task.id);
  return result;
}

if (import.meta.main) {
  const result = await basicTree();
  console.log(`Status: ${result.status}`);
  console.log(`Result: ${JSON.stringify(result.result)}`);
}
