/** A parent organises, a dependency orders: the three samples of the distinction. */
import { TaskTreeNode } from 'tutti/trees';
import { openManager } from './open-manager.ts';

/** Task B is a child of task A, and waits for nothing. */
export async function parentOnly(): Promise<string[]> {
  await using sample = await openManager(['task_a', 'task_b']);
  const { createTask } = createWith(sample);
  const taskA = await createTask({ name: 'task_a' });
  const taskB = await createTask({ name: 'task_b', parent_id: taskA.id });

  await sample.taskManager.distributeTaskTree(new TaskTreeNode(taskA).addChild(new TaskTreeNode(taskB)));
  return sample.ran;
}

/** Task B waits for task C. */
export async function dependencyOnly(): Promise<string[]> {
  await using sample = await openManager(['task_c', 'task_b']);
  const { createTask } = createWith(sample);
  const taskC = await createTask({ name: 'task_c' });
  const taskB = await createTask({ name: 'task_b', dependencies: [{ id: taskC.id, required: true }] });

  // C was not gathered, and runs because B waits for it.
  await sample.taskManager.distributeTaskTree(new TaskTreeNode(taskB));
  return sample.ran;
}

/** Task B is filed under A, and waits for C: C runs first, then B, whatever the parent is. */
export async function combined(): Promise<string[]> {
  await using sample = await openManager(['task_a', 'task_b', 'task_c']);
  const { createTask } = createWith(sample);
  const taskA = await createTask({ name: 'task_a' });
  const taskC = await createTask({ name: 'task_c' });
  const taskB = await createTask({ name: 'task_b', parent_id: taskA.id, dependencies: [{ id: taskC.id, required: true }] });

  await sample.taskManager.distributeTaskTree(new TaskTreeNode(taskA).addChild(new TaskTreeNode(taskB)));
  return sample.ran;
}

const createWith = (sample: Awaited<ReturnType<typeof openManager>>) => ({
  createTask: sample.taskManager.taskRepository.createTask.bind(sample.taskManager.taskRepository),
});
