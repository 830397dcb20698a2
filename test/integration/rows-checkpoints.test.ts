/** Rows of the behaviour list about checkpoint yield (spec/tasker.md §4.5), on the real engine. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { batches, cursorsFor, PermanentError, type StepContext, type TaskHandle, template, Tutti, type YieldedCheckpoint } from '../../src/main.ts';

const quiet = (): void => undefined;
async function opened(t: TestContext, store: string, templates: Parameters<typeof Tutti.open>[0]['templates']): Promise<Tutti> {
  const tutti = await Tutti.open({ store, templates, logger: quiet });
  t.after(() => tutti.close({ drain: 0 }));
  return tutti;
}

type Ctx = Pick<StepContext<{ readonly total: number; readonly every: number }>, 'input' | 'attempt' | 'lastCheckpoint' | 'checkpointYield'>;
const last = (ctx: { lastCheckpoint: unknown }): YieldedCheckpoint | undefined => ctx.lastCheckpoint as YieldedCheckpoint | undefined;

/** Adds up the items from where it was left, `every` of them at a time; `at` is told of each item. */
const work = (at: (item: number, ctx: Ctx) => void) => (ctx: Ctx) => {
  const { total, every } = ctx.input;
  const before = last(ctx);
  const from = (before?.cursor as number | undefined) ?? 0;
  let { sum, used } = (before?.accumulated_results as { sum: number; used: number } | undefined) ?? { sum: 0, used: 0 };
  const end = Math.min(total, from + every);
  for (let item = from; item < end; item++) {
    at(item, ctx);
    sum += item;
  }
  if (end < total) return ctx.checkpointYield({ cursor: end, itemsProcessed: end, accumulated: { sum, used: ++used } });
  return { total_processed: end, sum, checkpoints_used: used };
};
const flow = (at: (item: number, ctx: Ctx) => void, more: { timeout?: string } = {}) =>
  template<{ total: number; every: number }>('rows/yield@1.0.0')
    .step('work', { retry: { maxAttempts: 3, baseMs: 0, jitter: 0 }, ...more }, work(at))
    .step('after', { after: ['work'] }, ({ results }) => results.work.total_processed);

test('row 53: 100 items, a yield after each 25: all are processed in one attempt, in progress all the time', async (t) => {
  const seen: number[] = [];
  const attempts = new Set<number>();
  const f = flow((item, ctx) => {
    seen.push(item);
    attempts.add(ctx.attempt);
  });
  const tutti = await opened(t, ':memory:', [f]);
  const task = await tutti.submit(f, { total: 100, every: 25 });
  const states: unknown[] = [];
  for await (const e of task.events()) if (e.type === 'step.state' && e.data.step === 'work') states.push(e.data.state);
  assert.deepEqual(states, ['in_progress', 'complete']);
  const step = await task.step('work');
  assert.deepEqual(step.result, { total_processed: 100, sum: 4950, checkpoints_used: 3 });
  assert.equal(step.attempts, 1);
  assert.deepEqual([...attempts], [1]);
  assert.deepEqual(
    seen,
    Array.from({ length: 100 }, (_, i) => i),
  );
  assert.deepEqual(await task.result(), { after: 100 });
  const kept = step.checkpoint as unknown as YieldedCheckpoint;
  assert.deepEqual([kept.cursor, kept.items_processed, kept.accumulated_results], [75, 75, { sum: 2775, used: 3 }]);
  assert.deepEqual(
    kept.history.map((h) => h.cursor),
    [25, 50, 75],
  );
  assert.ok(kept.history.every((h) => Number.isSafeInteger(h.timestamp)) && kept.timestamp === kept.history[2].timestamp);
});

test('row 54: a failure after 60 of 100 items: the retry goes on at the last yield, and what was done before is not done again', async (t) => {
  const seen: string[] = [];
  const f = flow((item, { attempt }) => {
    if (item === 60 && attempt === 1) throw new Error('the first try breaks here');
    seen.push(`${attempt}:${item}`);
  });
  const tutti = await opened(t, ':memory:', [f]);
  const task = await tutti.submit(f, { total: 100, every: 25 });
  assert.deepEqual(await task.result(), { after: 100 });
  const step = await task.step('work');
  assert.equal(step.attempts, 2);
  assert.deepEqual(step.result, { total_processed: 100, sum: 4950, checkpoints_used: 3 });
  const range = (attempt: number, from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `${attempt}:${from + i}`);
  assert.deepEqual(seen, [...range(1, 0, 60), ...range(2, 50, 100)]);
});

test('row 55: a permanent failure after 30 items: one attempt, the step ends in error, the task does not complete', async (t) => {
  const f = flow((item) => {
    if (item === 30) throw new PermanentError('item 30 cannot be read');
  });
  const tutti = await opened(t, ':memory:', [f]);
  const task = await tutti.submit(f, { total: 100, every: 25 });
  assert.equal((await task.done()).state, 'error');
  const step = await task.step('work');
  assert.deepEqual([step.state, step.attempts, step.error?.message], ['error', 1, 'item 30 cannot be read']);
  assert.equal((step.checkpoint as unknown as YieldedCheckpoint).cursor, 25);
});

test('a process that goes away between two calls: the next goes on from the last yield', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'tutti-yield-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const store = path.join(folder, 'a.db');
  const reached = Promise.withResolvers<void>();
  const wait = new Promise<never>(() => undefined);
  // The first process never comes beyond item 50.
  const first = template<{ total: number; every: number }>('rows/yield@1.0.0')
    .step(
      'work',
      { retry: { maxAttempts: 3, baseMs: 0, jitter: 0 } },
      async (ctx): Promise<{ total_processed: number; sum: number; checkpoints_used: number }> => {
        if (last(ctx)?.cursor !== 50) return work(() => undefined)(ctx);
        reached.resolve();
        return await wait;
      },
    )
    .step('after', { after: ['work'] }, ({ results }) => results.work.total_processed);
  const one = await Tutti.open({ store, templates: [first], logger: quiet });
  const { id } = await one.submit(first, { total: 100, every: 25 });
  await reached.promise;
  await one.close({ drain: 0 });
  const seen: number[] = [];
  const two = await opened(t, store, [flow((item) => void seen.push(item))]);
  const task = await two.get(id);
  assert.deepEqual(await task.result(), { after: 100 });
  assert.deepEqual([seen[0], seen.length], [50, 50]);
  assert.deepEqual((await task.step('work')).result, { total_processed: 100, sum: 4950, checkpoints_used: 3 });
});

test('a task that is cancelled between two calls: the handler is not called again', async (t) => {
  const tutti: { now?: Tutti; task?: TaskHandle } = {};
  let calls = 0;
  const ended = Promise.withResolvers<void>();
  const f = template('rows/cancelled@1.0.0').step('work', async (ctx): Promise<number> => {
    calls++;
    if (calls === 3) {
      ctx.signal.addEventListener('abort', () => ended.resolve());
      await tutti.task?.cancel();
      await ended.promise;
    }
    return ctx.checkpointYield({ cursor: calls, itemsProcessed: calls });
  });
  tutti.now = await opened(t, ':memory:', [f]);
  tutti.task = await tutti.now.submit(f, {});
  assert.equal((await tutti.task.done()).state, 'cancelled');
  await tutti.now.close();
  assert.equal(calls, 3);
});

test('yields do not outlive the timeout of their attempt', async (t) => {
  let calls = 0;
  const f = template('rows/timed@1.0.0').step('work', { timeout: 30, retry: { maxAttempts: 1 } }, async (ctx): Promise<number> => {
    calls++;
    return ctx.checkpointYield({ cursor: calls, itemsProcessed: calls });
  });
  const tutti = await opened(t, ':memory:', [f]);
  const task = await tutti.submit(f, {});
  const end = await task.done();
  assert.deepEqual([end.state, end.failedSteps[0].error?.code], ['error', 'step_timeout']);
  await tutti.close();
  const then = calls;
  await new Promise((done) => setImmediate(done));
  assert.equal(calls, then);
  assert.ok(calls > 1);
});

test('a checkpoint that no store could keep fails the step for good with checkpoint_error', async (t) => {
  const from: unknown[] = [];
  const f = template('rows/unkept@1.0.0').step('work', { retry: { maxAttempts: 2, baseMs: 0, jitter: 0 } }, (ctx): number => {
    from.push([ctx.attempt, last(ctx)?.cursor ?? null]);
    if (last(ctx) === undefined) return ctx.checkpointYield({ cursor: 'a', itemsProcessed: 1 });
    return ctx.checkpointYield({ cursor: new Map(), itemsProcessed: 2 });
  });
  const tutti = await opened(t, ':memory:', [f]);
  const task = await tutti.submit(f, {});
  const [failed] = (await task.done()).failedSteps;
  assert.deepEqual([failed.error?.code, failed.error?.retryable], ['checkpoint_error', false]);
  assert.deepEqual(from, [
    [1, null],
    [1, 'a'],
  ]);
});

test('workers of a batch yield as any step does', async (t) => {
  const f = template('rows/batch_yield@1.0.0')
    .batchable('split', {}, () => batches(cursorsFor(40, { batchSize: 10 })))
    .batchWorker('each', { of: 'split' }, (ctx) => {
      const at = (last(ctx)?.cursor as number | undefined) ?? ctx.cursor.start_cursor;
      const sum = ((last(ctx)?.accumulated_results as number | undefined) ?? 0) + at;
      return at + 1 < ctx.cursor.end_cursor ? ctx.checkpointYield({ cursor: at + 1, itemsProcessed: at, accumulated: sum }) : sum;
    })
    .step('sum', { after: ['each'] }, ({ results }) => results.each.reduce((a, b) => a + b, 0));
  const tutti = await opened(t, ':memory:', [f]);
  const task = await tutti.submit(f, {});
  assert.deepEqual(await task.result(), { sum: 780 });
});
