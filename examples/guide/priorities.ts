/** Which of the ready ones goes first. One slot: with a free one for each they would all start. */
import { TaskTreeNode } from 'tutti/trees';
import { openManager } from './open-manager.ts';

export async function basicPriority(): Promise<string[]> {
  await using sample = await openManager(['urgent_task', 'normal_task'], { slots: 1 });
  const { taskManager } = sample;
  const root = await taskManager.taskRepository.createTask({ name: 'root_task', user_id: 'user123' });

  // Normal task (executes after urgent)
  const normal = await taskManager.taskRepository.createTask({
    name: 'normal_task',
    user_id: 'user123',
    priority: 2, // Normal priority
  });

  // Urgent task (executes first)
  const urgent = await taskManager.taskRepository.createTask({
    name: 'urgent_task',
    user_id: 'user123',
    priority: 0, // Highest priority
  });

  await taskManager.distributeTaskTree(new TaskTreeNode(root).addChild(new TaskTreeNode(normal)).addChild(new TaskTreeNode(urgent)));
  return sample.ran;
}

/** Dependencies take precedence over priorities. */
export async function priorityWithDependencies(): Promise<string[]> {
  await using sample = await openManager(['task1', 'task2'], { slots: 1 });
  const { taskManager } = sample;

  // Task 1 (priority 2, no dependencies)
  const task1 = await taskManager.taskRepository.createTask({
    name: 'task1',
    user_id: 'user123',
    priority: 2,
  });

  // Task 2 (priority 0, depends on Task 1)
  const task2 = await taskManager.taskRepository.createTask({
    name: 'task2',
    user_id: 'user123',
    dependencies: [{ id: task1.id, required: true }],
    priority: 0, // Higher priority, but still waits for Task 1!
  });

  await taskManager.distributeTaskTree(new TaskTreeNode(task2));
  return sample.ran;
}

/** Priorities by convention. */
export async function priorityConventions(): Promise<string[]> {
  await using sample = await openManager(['process_payment', 'process_data', 'cleanup'], { slots: 1 });
  const { taskManager } = sample;
  const root = new TaskTreeNode(await taskManager.taskRepository.createTask({ name: 'nightly' }));

  // Background cleanup
  const cleanup = await taskManager.taskRepository.createTask({ name: 'cleanup', priority: 3 });

  // Normal data processing
  const data = await taskManager.taskRepository.createTask({ name: 'process_data', priority: 2 });

  // Critical payment processing
  const payment = await taskManager.taskRepository.createTask({ name: 'process_payment', priority: 0 });

  for (const task of [cleanup, data, payment]) root.addChild(new TaskTreeNode(task));
  await taskManager.distributeTaskTree(root);
  return sample.ran;
}
