/** A tree that is gathered wrongly is refused; walked as it stands, one below itself would have no end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tutti } from '../../src/main.ts';
import { TaskManager, TaskTreeNode } from '../../src/trees.ts';

test('a task below itself, or in two places, is refused, and can still be distributed', async (t) => {
  const tutti = await Tutti.open({ store: ':memory:' });
  t.after(() => tutti.close());
  tutti.handler('work', () => 1);
  const manager = new TaskManager(tutti);
  const [a, b] = [
    await manager.taskRepository.createTask({ name: 'work' }),
    await manager.taskRepository.createTask({ name: 'b', params: { executor_id: 'work' } }),
  ];
  const refused = { code: 'INVALID_INPUT', message: /stands in the tree twice, or below itself/ };

  const circle = new TaskTreeNode(a);
  const inner = new TaskTreeNode(b).addChild(circle);
  circle.addChild(inner);
  await assert.rejects(manager.distributeTaskTree(circle), refused);
  assert.throws(() => circle.calculateProgress(), refused);
  const twice = new TaskTreeNode(a).addChild(new TaskTreeNode(b)).addChild(new TaskTreeNode(b));
  await assert.rejects(manager.distributeTaskTree(twice), refused);

  const right = await manager.distributeTaskTree(new TaskTreeNode(a).addChild(new TaskTreeNode(b)));
  assert.equal(right.calculateStatus(), 'completed');
});
