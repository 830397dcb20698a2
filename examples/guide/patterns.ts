/** The five patterns. */
import { TaskTreeNode, type TreeTask } from 'tutti/trees';
import { openManager } from './open-manager.ts';

/** Steps that must happen in order. */
export async function pipeline(): Promise<string[]> {
  await using sample = await openManager(['step1', 'step2', 'step3']);
  const { taskManager } = sample;
  const { taskRepository } = taskManager;

  const task1 = await taskRepository.createTask({ name: 'step1' });
  const task2 = await taskRepository.createTask({
    name: 'step2',
    dependencies: [{ id: task1.id, required: true }],
  });
  const task3 = await taskRepository.createTask({
    name: 'step3',
    dependencies: [{ id: task2.id, required: true }],
  });

  // What it waits for, directly or not, runs with it.
  await taskManager.distributeTaskTree(new TaskTreeNode(task3));
  return sample.ran;
}

/** One task, and several independent ones below it. */
export async function fanOut(): Promise<string[]> {
  await using sample = await openManager(['root', 'task1', 'task2', 'task3']);
  const { taskManager } = sample;
  const { taskRepository } = taskManager;

  const root = await taskRepository.createTask({ name: 'root' });
  const task1 = await taskRepository.createTask({ name: 'task1', parent_id: root.id }); // No dependencies
  const task2 = await taskRepository.createTask({ name: 'task2', parent_id: root.id }); // No dependencies
  const task3 = await taskRepository.createTask({ name: 'task3', parent_id: root.id }); // No dependencies

  const tree = new TaskTreeNode(root);
  for (const task of [task1, task2, task3]) tree.addChild(new TaskTreeNode(task));
  await taskManager.distributeTaskTree(tree);
  return sample.ran;
}

/** Several tasks converge to a final one. */
export async function fanIn(): Promise<string[]> {
  await using sample = await openManager(['task1', 'task2', 'task3', 'final']);
  const { taskManager } = sample;
  const { taskRepository } = taskManager;

  const task1 = await taskRepository.createTask({ name: 'task1' });
  const task2 = await taskRepository.createTask({ name: 'task2' });
  const task3 = await taskRepository.createTask({ name: 'task3' });

  const final = await taskRepository.createTask({
    name: 'final',
    dependencies: [
      { id: task1.id, required: true },
      { id: task2.id, required: true },
      { id: task3.id, required: true },
    ],
  });

  await taskManager.distributeTaskTree(new TaskTreeNode(final));
  return sample.ran;
}

/** Both together. */
export async function complexWorkflow(): Promise<string[]> {
  await using sample = await openManager(['task1', 'task2', 'task3', 'task4', 'task5', 'final']);
  const { taskManager } = sample;
  const { taskRepository } = taskManager;

  const root = await taskRepository.createTask({ name: 'root' });
  const task1 = await taskRepository.createTask({ name: 'task1', parent_id: root.id });
  const task2 = await taskRepository.createTask({ name: 'task2', parent_id: root.id });
  const task3 = await taskRepository.createTask({ name: 'task3', parent_id: root.id });

  const task4 = await taskRepository.createTask({
    name: 'task4',
    parent_id: root.id,
    dependencies: [
      { id: task1.id, required: true },
      { id: task2.id, required: true },
      { id: task3.id, required: true },
    ],
  });

  const task5 = await taskRepository.createTask({ name: 'task5', parent_id: root.id });

  const final = await taskRepository.createTask({
    name: 'final',
    parent_id: root.id,
    dependencies: [
      { id: task4.id, required: true },
      { id: task5.id, required: true },
    ],
  });

  const tree = new TaskTreeNode(root);
  for (const task of [task1, task2, task3, task4, task5, final]) tree.addChild(new TaskTreeNode(task));
  await taskManager.distributeTaskTree(tree);
  return sample.ran;
}

/** Fallback or alternative paths. */
export async function fallback(): Promise<{ ran: string[]; success: TreeTask }> {
  await using sample = await openManager(['primary', 'fallback', 'success'], { failing: ['primary'] });
  const { taskManager } = sample;
  const { taskRepository } = taskManager;

  const primary = await taskRepository.createTask({ name: 'primary', retry: { max_attempts: 1 } });
  const fallback = await taskRepository.createTask({ name: 'fallback' });

  const success = await taskRepository.createTask({
    name: 'success',
    dependencies: [
      { id: primary.id, required: false }, // Optional
      { id: fallback.id, required: false }, // Optional
    ],
  });

  await taskManager.distributeTaskTree(new TaskTreeNode(success));
  return { ran: sample.ran, success: await taskRepository.getTaskById(success.id) };
}
