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

test('explain and audit of thousands of failed steps, of a task in memory', async () => {
  const e = await openEngine({ slots: 500 });
  const once = { retry: { retryable: true, maxAttempts: 1, backoff: 'none', baseMs: 0, maxMs: 0, jitter: 0 } } as const;
  const bad = Array.from({ length: MANY }, (_, i) => step(`s${i}`, [], { ...once, handler: 'bad' }));
  await e.engine.register(graph('bad', [...bad, step('last', [], { handler: 'last' })]));
  e.worker.handle('bad', async () => {
    throw new Error('no');
  });
  e.worker.handle('last', () => new Promise(() => {}));
  const { id } = await e.engine.submit({ namespace: 't', name: 'bad', input: {} });
  let failed = 0;
  for await (const ev of e.engine.events(id)) if (ev.type === 'step.state' && ev.data.state === 'error' && ++failed === MANY) break;
  const explained = await turnsDuring(() => e.engine.explain(id));
  assert.equal(explained.answer.length, MANY + 1);
  assert.ok(explained.turns >= MANY / 1000, `explain: ${explained.turns}`);
  const audited = await turnsDuring(() => e.engine.audit(id));
  assert.equal(audited.answer.length, MANY);
  assert.deepEqual([...new Set(audited.answer.map((a) => a.outcome))], ['failed']);
  assert.ok(audited.turns >= MANY / 1000, `audit: ${audited.turns}`);
  await e.close();
});
