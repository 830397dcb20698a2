import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tutti } from '../../src/main.ts';

test('a handler that spawns 20,000 children keeps nobody else from being stored and run', async () => {
  const tutti = await Tutti.open({ store: ':memory:' });
  let spawned = false;
  let begun!: () => void;
  const spawning = new Promise<void>((resolve) => (begun = resolve));
  tutti.handler('nothing', () => null);
  tutti.handler('fan', async ({ spawnAll }) => {
    begun();
    await spawnAll(Array.from({ length: 20_000 }, (_, i) => ({ handler: 'nothing', key: `k${i}` })));
    spawned = true;
  });
  const big = await tutti.submitTree([{ name: 'parent', handler: 'fan' }]);
  await spawning;
  const small = await tutti.submitTree([{ name: 'small', handler: 'nothing', priority: 0 }]);
  assert.equal((await small.done()).state, 'complete');
  assert.equal(spawned, false, 'the small task ended while children were still being asked for');
  assert.equal((await big.done()).state, 'complete');
  await tutti.close();
});

test('a spawn that is not awaited is decided before the result that follows it', async () => {
  const tutti = await Tutti.open({ store: ':memory:' });
  tutti.handler('nothing', () => null);
  tutti.handler('hasty', ({ spawnAll }) => {
    void spawnAll(Array.from({ length: 450 }, (_, i) => ({ handler: 'nothing', key: `a${i}` })));
    void spawnAll(Array.from({ length: 450 }, (_, i) => ({ handler: 'nothing', key: `b${i}` })));
    return 'gone';
  });
  const task = await tutti.submitTree([{ name: 'parent', handler: 'hasty' }]);
  assert.equal((await task.done()).state, 'complete');
  assert.equal((await task.view()).completedSteps, 901);
  await tutti.close();
});

test('an option that spawn does not know fails the step for good, by name', async () => {
  const tutti = await Tutti.open({ store: ':memory:' });
  tutti.handler('nothing', () => null);
  tutti.handler('typo', async ({ spawn }) => {
    await spawn('nothing', {}, { prio: 1 } as never);
  });
  const end = await (await tutti.submitTree([{ name: 'parent', handler: 'typo' }])).done();
  assert.match(end.failedSteps[0].error?.message ?? '', /"prio" is no option/);
  await tutti.close();
});
