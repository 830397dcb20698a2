import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slices } from '../../src/tables/slices.ts';

test('in one turn of the loop one goes on, in the order they came', async () => {
  const turns: (() => void)[] = [];
  const slices = new Slices((fn) => turns.push(fn));
  const gone: string[] = [];
  for (const name of ['a', 'b', 'c']) void slices.next().then(() => gone.push(name));
  const turn = async (): Promise<string> => {
    assert.equal(turns.length, 1, 'one turn is asked for, however many wait');
    turns.shift()!();
    await Promise.resolve();
    return gone.join('');
  };
  assert.deepEqual([await turn(), await turn(), await turn(), turns.length], ['a', 'ab', 'abc', 0]);
  void slices.next().then(() => gone.push('d'));
  assert.equal(await turn(), 'abcd');
});
