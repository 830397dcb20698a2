/** What waits for what: the samples of dependencies. */
import { TaskTreeNode, type TreeTask } from 'tutti/trees';
import { openManager } from './open-manager.ts';

export async function basicDependency(): Promise<string[]> {
  await using sample = await openManager(['fetch_data', 'process_data']);
  const { taskManager } = sample;

  // Task 1: Fetch data
  const fetchTask = await taskManager.taskRepository.createTask({
    name: 'fetch_data',
    user_id: 'user123',
    priority: 1,
    inputs: { url: 'https://api.example.com/data' },
  });

  // Task 2: Process data (depends on Task 1)
  const processTask = await taskManager.taskRepository.createTask({
    name: 'process_data',
    user_id: 'user123',
    parent_id: fetchTask.id,
    dependencies: [{ id: fetchTask.id, required: true }], // Waits for fetchTask
    priority: 2,
    inputs: { operation: 'analyze' },
  });

  // Build tree
  const taskTree = new TaskTreeNode(fetchTask);
  taskTree.addChild(new TaskTreeNode(processTask));

  // Execute
  // Execution order: fetchTask → processTask (automatic!)
  await taskManager.distributeTaskTree(taskTree);
  return sample.ran;
}

export async function sequentialPipeline(): Promise<string[]> {
  await using sample = await openManager(['fetch_data', 'process_data', 'save_results']);
  const { taskManager } = sample;

  // Step 1: Fetch
  const fetch = await taskManager.taskRepository.createTask({
    name: 'fetch_data',
    user_id: 'user123',
    priority: 1,
  });

  // Step 2: Process (depends on fetch)
  const process = await taskManager.taskRepository.createTask({
    name: 'process_data',
    user_id: 'user123',
    parent_id: fetch.id,
    dependencies: [{ id: fetch.id, required: true }],
    priority: 2,
  });

  // Step 3: Save (depends on process)
  const save = await taskManager.taskRepository.createTask({
    name: 'save_results',
    user_id: 'user123',
    parent_id: fetch.id,
    dependencies: [{ id: process.id, required: true }],
    priority: 3,
  });

  // Build pipeline
  const root = new TaskTreeNode(fetch);
  root.addChild(new TaskTreeNode(process));
  root.addChild(new TaskTreeNode(save));

  // Execute
  // Order: Fetch → Process → Save (automatic!)
  await taskManager.distributeTaskTree(root);
  return sample.ran;
}

export async function multipleDependencies(): Promise<string[]> {
  await using sample = await openManager(['task1', 'task2', 'task3']);
  const { taskManager } = sample;
  const rootTask = await taskManager.taskRepository.createTask({ name: 'root_task', user_id: 'user123' });

  // Task 1
  const task1 = await taskManager.taskRepository.createTask({
    name: 'task1',
    user_id: 'user123',
    priority: 1,
  });

  // Task 2
  const task2 = await taskManager.taskRepository.createTask({
    name: 'task2',
    user_id: 'user123',
    priority: 1,
  });

  // Task 3 depends on BOTH Task 1 and Task 2
  const task3 = await taskManager.taskRepository.createTask({
    name: 'task3',
    user_id: 'user123',
    parent_id: rootTask.id,
    dependencies: [
      { id: task1.id, required: true },
      { id: task2.id, required: true },
    ],
    priority: 2,
  });

  await taskManager.distributeTaskTree(new TaskTreeNode(rootTask).addChild(new TaskTreeNode(task3)));
  return sample.ran;
}

/** The fallback runs even if the primary fails: its dependency is optional. */
export async function optionalDependency(): Promise<{ ran: string[]; primary: TreeTask; fallback: TreeTask }> {
  await using sample = await openManager(['primary_task', 'fallback_task'], { failing: ['primary_task'] });
  const { taskManager } = sample;

  // Primary task
  const primary = await taskManager.taskRepository.createTask({
    name: 'primary_task',
    user_id: 'user123',
    priority: 1,
    retry: { max_attempts: 1 },
  });

  // Fallback task (runs even if primary fails)
  const fallback = await taskManager.taskRepository.createTask({
    name: 'fallback_task',
    user_id: 'user123',
    dependencies: [{ id: primary.id, required: false }], // Optional
    priority: 2,
  });

  await taskManager.distributeTaskTree(new TaskTreeNode(fallback));
  const { taskRepository } = taskManager;
  return { ran: sample.ran, primary: await taskRepository.getTaskById(primary.id), fallback: await taskRepository.getTaskById(fallback.id) };
}
