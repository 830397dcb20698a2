/** What looks at a large task as a whole lets others go first every now and then (design.md §9). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { graph, openEngine, step } from './engine-setup.ts';

const MANY = 9000;

/** How often the loop came round while the answer was made. */
async function turnsDuring<T>(ask: () => Promise<T>): Promise<{ turns: number; answer: T }> {
  let turns = 0;
  let over = false;
  const count = (): void => {
    turns++;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  const answer = await ask();
  over = true;
  return { turns, answer };
}

test('explain, audit and the outcome of thousands of failed steps', async () => {
  const e = await openEngine({ slots: 500 });
  const once = { retry: { retryable: true, maxAttempts: 1, backoff: 'none', baseMs: 0, maxMs: 0, jitter: 0 } } as const;
  await e.engine.register(graph('bad', Array.from({ length: MANY }, (_, i) => step(`s${i}`, [], { ...once, handler: 'bad' }))));
  e.worker.handle('bad', async () => {
    throw new Error('no');
  });
  const { id } = await e.engine.submit({ namespace: 't', name: 'bad', input: {} });
  await e.engine.done(id);
  const explained = await turnsDuring(() => e.engine.explain(id));
  assert.equal(explained.answer.length, MANY);
  assert.ok(explained.turns >= MANY / 1000, `explain: ${explained.turns}`);
  const audited = await turnsDuring(() => e.engine.audit(id));
  assert.equal(audited.answer.length, MANY);
  assert.deepEqual([...new Set(audited.answer.map((a) => a.outcome))], ['failed']);
  assert.ok(audited.turns >= 2, `audit: ${audited.turns}`);
  const outcome = await turnsDuring(() => e.engine.done(id));
  assert.equal(outcome.answer.failedSteps.length, MANY);
  assert.ok(outcome.turns >= 3, `outcome: ${outcome.turns}`);
  await e.close();
});
