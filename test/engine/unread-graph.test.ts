/** A command whose graph cannot be read waits for it without keeping the loop busy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import { oneStep } from './engine-setup.ts';
import { SimulatedEngine } from './simulated-engine.ts';

test('while the graph of a cancelled task cannot be read, the loop rests between two reads', async () => {
  const s = await SimulatedEngine.open({ cache: { maxSteps: 0, payloadBytes: 1000 } });
  const { engine, inner } = s;
  await s.complete(engine.register(oneStep('a', { retry: { ...DEFAULT_RETRY, baseMs: 20_000, jitter: 0 } })), 'register');
  s.worker.handle('a', async () => Promise.reject(new Error('scripted')));
  const { id } = await s.complete(engine.submit({ namespace: 't', name: 'a', input: {} }), 'submit');
  await s.machine.advanceBy(1000);
  assert.equal(engine.metrics().cachedSteps, 0, 'its graph has left memory');
  const read = inner.loadGraphs.bind(inner);
  let reads = 0;
  inner.loadGraphs = () => {
    reads++;
    throw new Error('cannot be read');
  };
  const cancelled = engine.cancel(id);
  // Throws where the loop never rests.
  await s.machine.settle();
  await s.machine.advanceBy(1000);
  assert.ok(reads >= 5 && reads <= 20, `${reads} reads in a second`);
  inner.loadGraphs = read;
  assert.equal((await s.complete(cancelled, 'cancel')).state, 'cancelled');
  await s.close();
});
