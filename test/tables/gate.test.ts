import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gate } from '../../src/tables/gate.ts';

test('so many pass, so many wait, and the next is refused; a place that comes free goes to whoever waited longest', async () => {
  const gate = new Gate(1, 2);
  const open: (() => void)[] = [];
  const done: string[] = [];
  const pass = (name: string): Promise<void> =>
    gate.pass(async () => {
      await new Promise<void>((resolve) => open.push(resolve));
      done.push(name);
    });
  const all = [pass('a'), pass('b'), pass('c')];
  await assert.rejects(pass('d'), { code: 'BACKPRESSURE', retryAfter: 5 });
  for (const one of all) {
    open.shift()!();
    await one;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(done, ['a', 'b', 'c']);
  await gate.empty();
});
