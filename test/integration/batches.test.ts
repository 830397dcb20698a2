/** Batches under pressure: limits, the three failure strategies, thousands of workers, on the real engine. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { batches, cursorsFor, noBatches, PermanentError, route, template, type AnyTemplate, type UntypedStepContext } from '../../src/main.ts';
import { Hold, opened, shown, statesOf, type Work, stepIs } from '../support/live-task.ts';

/** Of a worker, whatever form it is written in. */
const cursorOf = (ctx: UntypedStepContext): { batch_id: string; start_cursor: number; end_cursor: number; batch_size: number } => ctx.config.cursor as never;

/** Three batches whose workers do what `work` says; `join` tells what it sees. */
const three = (
  work: Work,
  o: { onFailure?: 'continue_on_failure' | 'isolate' | 'fail_fast'; parallelism?: number; n?: number; policy?: 'fail' | 'fail_fast' | 'block' } = {},
): AnyTemplate =>
  template('rows/three@1.0.0', { onFailure: o.policy ?? 'fail' })
    .untyped()
    .batchable('split', { parallelism: o.parallelism ?? 10, onFailure: o.onFailure ?? 'continue_on_failure' }, () =>
      batches(cursorsFor((o.n ?? 3) * 10, { batchSize: 10 })),
    )
    .batchWorker('each', { of: 'split', retry: { maxAttempts: 2, baseMs: 0, jitter: 0 } }, work)
    .step('join', { after: ['each'] }, ({ results }) => results.each)
    .step('after', { after: ['join'] }, ({ results }) => results.join);
const THREE = 'rows/three@1.0.0';

for (const k of [1, 3]) {
  test(`parallelism ${k}: never more than ${k} of 12 workers at once, though there are slots`, async (t) => {
    let now = 0;
    let most = 0;
    const tutti = await opened(t, [
      three(
        async () => {
          most = Math.max(most, ++now);
          await new Promise<void>((done) => setImmediate(done));
          now--;
        },
        { parallelism: k, n: 12 },
      ),
    ]);
    const task = await tutti.submit(THREE, {});
    assert.equal((await task.done()).state, 'complete');
    assert.equal(most, k);
  });
}

describe('a worker that fails for good', () => {
  const failing: Work = (ctx) => {
    if (cursorOf(ctx).batch_id === '002') throw new PermanentError('this batch is broken');
    return cursorOf(ctx).batch_id;
  };

  test('continue_on_failure: what waits runs over those that succeeded, the failure is handled and told', async (t) => {
    const tutti = await opened(t, [three(failing)]);
    const task = await tutti.submit(THREE, {});
    assert.deepEqual(await task.result(), { after: ['001', '003'] });
    assert.deepEqual((await task.view()).failedStepNames, ['each_002']);
    assert.equal((await task.view()).failedSteps, 1);
  });

  test('continue_on_failure, all of them: what waits runs over nothing', async (t) => {
    const tutti = await opened(t, [
      three(() => {
        throw new PermanentError('no');
      }),
    ]);
    const task = await tutti.submit(THREE, {});
    assert.deepEqual(await task.result(), { after: [] });
  });

  test('continue_on_failure and nothing that waits: the task fails', async (t) => {
    const t1 = template('rows/alone@1.0.0')
      .untyped()
      .batchable('split', {}, () => batches(cursorsFor(30, { batchSize: 10 })))
      .batchWorker('each', { of: 'split' }, failing);
    const tutti = await opened(t, [t1]);
    const task = await tutti.submit(t1.id, {});
    assert.equal((await task.done()).state, 'error');
    assert.deepEqual(await shown(task), { split: 'complete', each_001: 'complete', each_002: 'error', each_003: 'complete' });
  });

  test('isolate: all others end well, what waits ends dependency_failed, the task fails', async (t) => {
    const tutti = await opened(t, [three(failing, { onFailure: 'isolate', parallelism: 1, n: 4 })]);
    const task = await tutti.submit(THREE, {});
    assert.equal((await task.done()).state, 'error');
    assert.deepEqual(await shown(task), {
      split: 'complete',
      join: 'cancelled (dependency_failed)',
      after: 'cancelled (dependency_failed)',
      each_001: 'complete',
      each_002: 'error',
      each_003: 'complete',
      each_004: 'complete',
    });
  });

  test('isolate: a reset runs the failed batch alone, and what waits', async (t) => {
    let broken = true;
    const calls: string[] = [];
    const tutti = await opened(t, [
      three(
        (ctx) => {
          calls.push(ctx.stepName);
          if (broken) return failing(ctx);
          return cursorOf(ctx).batch_id;
        },
        { onFailure: 'isolate' },
      ),
    ]);
    const task = await tutti.submit(THREE, {});
    await task.done();
    broken = false;
    calls.length = 0;
    await task.reset();
    assert.deepEqual(await task.result(), { after: ['001', '002', '003'] });
    assert.deepEqual(calls, ['each_002']);
  });

  test('fail_fast: the first failure ends the other workers, running and waiting, as sibling_failed', async (t) => {
    const told: string[] = [];
    const running = new Hold();
    const tutti = await opened(t, [
      three(
        async (ctx) => {
          if (cursorOf(ctx).batch_id === '001') {
            ctx.signal.addEventListener('abort', () => {
              told.push((ctx.signal.reason as { code: string }).code);
              running.open();
            });
            return await running.wait();
          }
          await running.until(1);
          return failing(ctx);
        },
        { onFailure: 'fail_fast', parallelism: 2, n: 5 },
      ),
    ]);
    const task = await tutti.submit(THREE, {});
    assert.equal((await task.done()).state, 'error');
    assert.deepEqual(await shown(task), {
      split: 'complete',
      join: 'cancelled (dependency_failed)',
      after: 'cancelled (dependency_failed)',
      each_001: 'cancelled (sibling_failed)',
      each_002: 'error',
      each_003: 'cancelled (sibling_failed)',
      each_004: 'cancelled (sibling_failed)',
      each_005: 'cancelled (sibling_failed)',
    });
    assert.deepEqual(told, ['cancelled']);
    assert.equal(tutti.engine.metrics().reconcilerRepairs, 0);
  });

  test('isolate under policy block: the task waits for a person, who mends the batch', async (t) => {
    let broken = true;
    const tutti = await opened(t, [three((ctx) => (broken ? failing(ctx) : cursorOf(ctx).batch_id), { onFailure: 'isolate', policy: 'block' })]);
    const task = await tutti.submit(THREE, {});
    for await (const e of task.events()) if (e.type === 'task.state' && e.data.state === 'blocked_by_failures') break;
    assert.equal((await shown(task)).join, 'pending');
    broken = false;
    await task.reset('each_002');
    assert.deepEqual(await task.result(), { after: ['001', '002', '003'] });
  });
});

test('a batchable step that is cancelled or fails leaves nothing behind; explain says so of its worker', async (t) => {
  const t1 = template('rows/gone@1.0.0')
    .untyped()
    .batchable('split', { retry: { maxAttempts: 1 } }, () => {
      throw new Error('no rows');
    })
    .batchWorker('each', { of: 'split' }, () => 1)
    .step('join', { after: ['each'] }, () => 1);
  const tutti = await opened(t, [t1, three(() => 1)]);
  const failed = await tutti.submit(t1.id, {});
  assert.equal((await failed.done()).state, 'error');
  assert.deepEqual(statesOf(await tutti.engine.steps(failed.id, { includeNotTaken: true })), { split: 'error', each: 'not_taken', join: 'not_taken' });
  assert.deepEqual(
    (await failed.explain('each'))[0].gates.map((g) => g.message),
    ['It was not taken: nothing chose it.'],
  );
  const well = await tutti.submit(THREE, {});
  await well.done();
  assert.deepEqual(
    (await well.explain('each'))[0].gates.map((g) => g.message),
    ['It is the pattern of the workers of a batch, which run in its place.'],
  );
});

test('2,000 workers: each runs once, and the convergence walks over all of them', async (t) => {
  const seen = new Set<number>();
  const t1 = template('rows/many@1.0.0')
    .batchable('split', { parallelism: 100 }, () => batches(cursorsFor(2_000, { batchSize: 1 })))
    .batchWorker('each', { of: 'split' }, ({ cursor }) => {
      assert.ok(!seen.has(cursor.start_cursor));
      seen.add(cursor.start_cursor);
      return cursor.start_cursor;
    })
    .step('sum', { after: ['each'] }, ({ results }) => results.each.reduce((a, b) => a + b, 0));
  const tutti = await opened(t, [t1], { slots: 100 });
  const task = await tutti.submit(t1, {});
  assert.deepEqual(await task.result(), { sum: 1_999_000 });
  assert.equal(seen.size, 2_000);
  const view = await task.view();
  assert.deepEqual([view.totalSteps, view.completedSteps], [2002, 2002]);
});

test('batches of several branches, one of them empty, one not taken, come together', async (t) => {
  const t1 = template('rows/both@1.0.0')
    .decision(
      'choose',
      {},
      {
        one: (b) =>
          b
            .batchable('split_left', {}, () => batches(cursorsFor(20, { batchSize: 10 })))
            .batchWorker('left', { of: 'split_left' }, ({ cursor }) => cursor.batch_size),
        two: (b) => b.batchable('split_right', {}, () => noBatches()).batchWorker('right', { of: 'split_right' }, () => 1),
        three: (b) => b.batchable('split_none', {}, () => noBatches()).batchWorker('none', { of: 'split_none' }, () => 1),
      },
      () => route(['one', 'two']),
    )
    .step('join', { after: ['left', 'right', 'none'] }, ({ results }) => [results.left ?? null, results.right ?? null, results.none ?? null]);
  const tutti = await opened(t, [t1]);
  const task = await tutti.submit(t1, {});
  assert.deepEqual(await task.result(), { join: [[10, 10], [], null] });
});

test('a step that is there before the batch is divided waits for every worker of it', async (t) => {
  const dividing = new Hold();
  const last = new Hold();
  const t1 = template('rows/early@1.0.0')
    .decision('choose', {}, { a: (b) => b.step('a', () => 'a') }, () => route(['a']))
    .batchable('split', {}, async () => {
      await dividing.wait();
      return batches(cursorsFor(30, { batchSize: 10 }));
    })
    .batchWorker('each', { of: 'split' }, async ({ cursor }) => {
      if (cursor.batch_id === '003') await last.wait();
      return cursor.start_cursor;
    })
    .step('join', { after: ['a', 'each'] }, ({ results }) => [results.a ?? null, ...results.each]);
  const tutti = await opened(t, [t1]);
  const task = await tutti.submit(t1, {});
  await stepIs(task, 'a', 'complete');
  assert.equal((await shown(task)).join, 'pending');
  dividing.open();
  await stepIs(task, 'each_001', 'complete');
  await stepIs(task, 'each_002', 'complete');
  await last.until(1);
  assert.deepEqual(
    (await task.explain('join'))[0].gates.map((g) => g.message),
    ['It waits for each_003 (optional), which is in_progress.'],
  );
  last.open();
  assert.deepEqual(await task.result(), { join: ['a', 0, 10, 20] });
});
