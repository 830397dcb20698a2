import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TuttiError } from '../../src/core/errors.ts';
import type { UntypedStepContext, YieldedCheckpoint } from '../../src/sdk/step-types.ts';
import { MAX_YIELD_HISTORY } from '../../src/sdk/worker/checkpoint-yield.ts';
import { assignment, rig } from './fake-worker-port.ts';

const upTo = (n: number) => (ctx: UntypedStepContext) => {
  const at = ((ctx.lastCheckpoint as YieldedCheckpoint | undefined)?.cursor as number | undefined) ?? 0;
  return at < n ? ctx.checkpointYield({ cursor: at + 1, itemsProcessed: at + 1 }) : at;
};
const codeOf = (outcome: Awaited<ReturnType<ReturnType<typeof rig>['run']>>): [string, boolean] => {
  assert.ok(!outcome.ok);
  return [outcome.error.code, outcome.error.retryable];
};

test('each checkpoint is kept before the handler is called again', async () => {
  const kept: number[] = [];
  const r = rig((ctx: UntypedStepContext) => {
    kept.push(r.port.checkpoints.length);
    return upTo(3)(ctx);
  });
  assert.deepEqual(await r.run(assignment()), { ok: true, body: '3' });
  assert.deepEqual(kept, [0, 1, 2, 3]);
  assert.equal(r.worker.running, 0);
  assert.deepEqual(JSON.parse(r.port.checkpoints[1]), {
    cursor: 2,
    items_processed: 2,
    timestamp: 0,
    accumulated_results: null,
    history: [
      { cursor: 1, timestamp: 0 },
      { cursor: 2, timestamp: 0 },
    ],
  });
});

test(`the history keeps the last ${MAX_YIELD_HISTORY} places`, async () => {
  const r = rig(upTo(250));
  await r.run(assignment());
  const { history } = JSON.parse(r.port.checkpoints.at(-1) as string) as YieldedCheckpoint;
  assert.deepEqual([history.length, history[0].cursor, history[MAX_YIELD_HISTORY - 1].cursor], [MAX_YIELD_HISTORY, 151, 250]);
});

test('a plain checkpoint before it is replaced, and its history is none', async () => {
  const r = rig((ctx: UntypedStepContext) =>
    (ctx.lastCheckpoint as YieldedCheckpoint).cursor === 9 ? 'done' : ctx.checkpointYield({ cursor: 9, itemsProcessed: 1 }),
  );
  assert.deepEqual(await r.run(assignment({ checkpoint: '{"mine":true,"history":3}' })), { ok: true, body: '"done"' });
  assert.equal((JSON.parse(r.port.checkpoints[0]) as YieldedCheckpoint).history.length, 1);
});

test('a store that cannot keep it: checkpoint_error, to be tried again', async () => {
  const r = rig(upTo(3));
  r.port.checkpointError = new TuttiError('STORE_UNAVAILABLE', 'the disk is full');
  const outcome = await r.run(assignment());
  assert.deepEqual(codeOf(outcome), ['checkpoint_error', true]);
  assert.match(outcome.ok ? '' : outcome.error.message, /the disk is full/);
});

test('what is too large or cannot be stored: checkpoint_error for good, since it never can', async () => {
  for (const cursor of [1n, Number.NaN, 'x'.repeat(1_048_577)])
    assert.deepEqual(codeOf(await rig((ctx: UntypedStepContext) => ctx.checkpointYield({ cursor, itemsProcessed: 0 })).run(assignment())), [
      'checkpoint_error',
      false,
    ]);
});

test('a yield that makes no sense is refused by field, for good', async () => {
  const BAD: [point: unknown, why: RegExp][] = [
    [undefined, /takes \{ cursor/],
    [[], /takes \{ cursor/],
    [{ cursor: 1 }, /itemsProcessed must be/],
    [{ cursor: 1, itemsProcessed: -1 }, /itemsProcessed must be/],
    [{ cursor: 1, itemsProcessed: Number.NaN }, /itemsProcessed must be/],
    [{ cursor: 1, itemsProcessed: '5' }, /itemsProcessed must be/],
    [{ cursor: 1, itemsProcessed: 1, items: 2 }, /no field "items"/],
  ];
  for (const [point, why] of BAD) {
    const outcome = await rig((ctx: UntypedStepContext) => ctx.checkpointYield(point as never)).run(assignment());
    assert.deepEqual(codeOf(outcome), ['yield_refused', false]);
    assert.match(outcome.ok ? '' : outcome.error.message, why);
  }
});

test('told to stop while it is kept: it ends with the reason of the stop', async () => {
  let calls = 0;
  const r = rig((ctx: UntypedStepContext) => {
    calls++;
    r.port.sink.stop({ task: 1, no: 0, token: 1, reason: 'timeout' });
    return ctx.checkpointYield({ cursor: 1, itemsProcessed: 1 });
  });
  assert.deepEqual(codeOf(await r.run(assignment())), ['step_timeout', true]);
  assert.equal(calls, 1);
});

test('it is refused in finalize, and after children were spawned', async () => {
  const r = rig({ call: () => 1, finalize: (ctx: UntypedStepContext) => ctx.checkpointYield({ cursor: 1, itemsProcessed: 1 }) });
  assert.deepEqual(codeOf(await r.run(assignment({ phase: 'finalize', own: '1' }))), ['yield_refused', false]);
  const spawning = rig(async (ctx: UntypedStepContext) => {
    await ctx.spawn('h');
    return ctx.checkpointYield({ cursor: 1, itemsProcessed: 1 });
  });
  assert.deepEqual(codeOf(await spawning.run(assignment())), ['yield_refused', false]);
});
