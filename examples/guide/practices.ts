/** Explicit order, errors that are looked at, a cancel, and events while it runs. */
import { TaskTreeNode, type TreeTask } from 'tutti/trees';
import { openManager } from './open-manager.ts';

/** Order that is relied on is written down. */
export async function explicitDependency(): Promise<string[]> {
  await using sample = await openManager(['other_task', 'child']);
  const { taskManager } = sample;
  const { taskRepository } = taskManager;

  const root = await taskRepository.createTask({ name: 'root' });
  const other = await taskRepository.createTask({ id: 'other_task', name: 'other_task' });
  const child = await taskRepository.createTask({
    name: 'child',
    parent_id: root.id, // Organizational
    dependencies: [{ id: 'other_task', required: true }], // Execution
  });

  await taskManager.distributeTaskTree(new TaskTreeNode(root).addChild(new TaskTreeNode(child)).addChild(new TaskTreeNode(other)));
  return sample.ran;
}

/** A distribution resolves however it ends; each task says how. */
export async function errorsHandled(): Promise<string[]> {
  await using sample = await openManager(['fetch_user_data', 'process_payment', 'send_notification_email'], { failing: ['process_payment'] });
  const { taskManager } = sample;
  const { taskRepository } = taskManager;

  const tasks: TreeTask[] = [];
  const taskTree = new TaskTreeNode(await taskRepository.createTask({ name: 'order' }));
  for (const name of ['fetch_user_data', 'process_payment', 'send_notification_email']) {
    const task = await taskRepository.createTask({ name, retry: { max_attempts: 1 } });
    tasks.push(task);
    taskTree.addChild(new TaskTreeNode(task));
  }

  await taskManager.distributeTaskTree(taskTree);

  // Check all tasks
  const told: string[] = [];
  for (const task of tasks) {
    const result = await taskRepository.getTaskById(task.id);
    if (result.status === 'failed') {
      told.push(`Task ${result.name} failed: ${result.error?.message}`);
      // Handle failure appropriately
    }
  }
  return told;
}

export async function taskCancellation(): Promise<TreeTask> {
  await using sample = await openManager(['report']);
  const { taskManager } = sample;
  await taskManager.taskRepository.createTask({ id: 'task_123', name: 'report' });

  const result = await taskManager.cancelTask('task_123', 'User requested cancellation');
  return result;
}

export async function streamingExecution(): Promise<string[]> {
  await using sample = await openManager(['fetch_data']);
  const { taskManager } = sample;
  const taskTree = new TaskTreeNode(await taskManager.taskRepository.createTask({ name: 'fetch_data' }));

  // Execute with streaming
  const told: string[] = [];
  await taskManager.distributeTaskTreeWithStreaming(taskTree, (event) => {
    told.push(event.type);
  });
  return told;
}

/** What a dependency gave is merged into the inputs of who waits for it; what was stored stays as it was. */
export async function dependencyResolution(): Promise<{ given: unknown; stored: unknown }> {
  await using sample = await openManager(['fetch', 'process']);
  const { taskManager } = sample;
  const { taskRepository } = taskManager;
  const fetch = await taskRepository.createTask({ name: 'fetch' });
  const process = await taskRepository.createTask({ name: 'process', inputs: { operation: 'analyze' }, dependencies: [{ id: fetch.id, required: true }] });

  await taskManager.distributeTaskTree(new TaskTreeNode(process));
  return { given: sample.inputs.get('process'), stored: (await taskRepository.getTaskById(process.id)).inputs };
}
