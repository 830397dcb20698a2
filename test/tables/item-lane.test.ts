import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMIT_CHARS, ItemLane } from '../../src/tables/item-lane.ts';

test('those that wait share a commit, as long as it is a short one', async () => {
  const commits: unknown[][] = [];
  const lane = new ItemLane(async (bodies) => {
    commits.push(bodies);
    await new Promise<void>((resolve) => setImmediate(resolve));
  });
  const half = COMMIT_CHARS / 2;
  const add = (name: string, chars: number): Promise<void> => lane.add({ bodies: [name], chars });
  await Promise.all([add('first', 1), add('a', half), add('b', half), add('c', half), add('whole', 3 * COMMIT_CHARS), add('d', 1), add('e', 1)]);
  assert.deepEqual(commits, [['first'], ['a', 'b'], ['c'], ['whole'], ['d', 'e']]);
});
