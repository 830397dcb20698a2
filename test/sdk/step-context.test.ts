import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DependencyResult } from '../../src/engine/worker-port.ts';
import type { UntypedStepContext } from '../../src/sdk/step-types.ts';
import { assignment, type Rig, rig, withResults } from './fake-worker-port.ts';

const complete = (value: unknown): DependencyResult => ({ state: 'complete', body: JSON.stringify(value) });

/** Runs `look` as a handler and gives back what it saw; what it throws fails the test. */
async function see<T>(given: ReturnType<typeof assignment>, look: (ctx: UntypedStepContext, r: Rig) => T | Promise<T>): Promise<T> {
  let seen: { value: T } | { error: unknown } | undefined;
  const r: Rig = rig(async (ctx) => {
    try {
      seen = { value: await look(ctx, r) };
    } catch (error) {
      seen = { error };
    }
  });
  await r.run(given);
  assert.ok(seen);
  if ('error' in seen) throw seen.error;
  return seen.value;
}

describe('facts', () => {
  test('what the assignment says', async () => {
    const given = assignment({ attempt: 3, deadlineAt: 99, config: { a: { b: 1 } } });
    const seen = await see(given, ({ input, attempt, maxAttempts, isRetry, isLastRetry, taskId, stepId, stepName, correlationId, deadline, config }) => ({
      input,
      attempt,
      maxAttempts,
      isRetry,
      isLastRetry,
      taskId,
      stepId,
      stepName,
      correlationId,
      deadline,
      config,
    }));
    assert.deepEqual(seen, {
      input: { n: 1 },
      attempt: 3,
      maxAttempts: 3,
      isRetry: true,
      isLastRetry: true,
      taskId: 'task-1',
      stepId: 'step-1',
      stepName: 'work',
      correlationId: 'corr',
      deadline: 99,
      config: { a: { b: 1 } },
    });
  });

  test('rows 61 and 62: max_attempts 0 acts as 1', async () => {
    assert.deepEqual(await see(assignment({ maxAttempts: 0 }), (c) => [c.maxAttempts, c.isRetry, c.isLastRetry]), [1, false, true]);
  });

  test('input and config are frozen, and the definition they come from is not', async () => {
    const config = { a: { b: 1 } };
    await see(assignment({ config }), (ctx) => {
      assert.throws(() => void (ctx.input.n = 2), TypeError);
      assert.throws(() => void ((ctx.config.a as { b: number }).b = 2), TypeError);
      assert.equal(ctx.input, ctx.input);
    });
    config.a.b = 3;
    assert.deepEqual(await see(assignment(), (ctx) => ctx.config), {});
  });
});

describe('results', () => {
  test('a required one is its value, an optional one says how it ended', async () => {
    const error = { code: 'handler_error', message: 'no', retryable: true };
    const given = withResults([
      ['a', true, complete({ x: [1] })],
      ['b', false, complete('sent')],
      ['c', false, { state: 'error', error }],
      ['d', false, { state: 'cancelled', reason: 'by_request' }],
      ['e', false, { state: 'resolved_manually' }],
    ]);
    await see(given, ({ results }) => {
      assert.deepEqual(
        { ...results },
        {
          a: { x: [1] },
          b: { state: 'complete', value: 'sent' },
          c: { state: 'error', error },
          d: { state: 'cancelled', reason: 'by_request' },
          e: { state: 'resolved_manually' },
        },
      );
      assert.deepEqual(Object.keys(results), ['a', 'b', 'c', 'd', 'e']);
      assert.equal(results.a, results.a);
      assert.equal(results.stranger, undefined);
      assert.throws(() => results.a.x.push(2), TypeError);
      assert.throws(() => void (results.c.error.message = ''), TypeError);
      assert.throws(() => void (results.z = 1), TypeError);
    });
  });

  for (const size of [10, 20_000]) {
    test(`are iterated in declared order, each of ${size} characters`, async () => {
      const given = withResults([
        ['b', true, complete('x'.repeat(size))],
        ['a', false, complete(2)],
      ]);
      await see(given, async ({ results }) => {
        const seen: [string, unknown][] = [];
        for await (const [name, value] of results) seen.push([name, value]);
        assert.deepEqual(seen, [
          ['b', 'x'.repeat(size)],
          ['a', { state: 'complete', value: 2 }],
        ]);
        assert.equal(results.a, results.a);
        assert.deepEqual(Object.keys(results), ['b', 'a']);
      });
    });
  }

  test('one that was resolved by hand throws when it is read, and only then', async () => {
    const given = withResults([
      ['a', true, { state: 'resolved_manually' }],
      ['b', true, complete(1)],
    ]);
    assert.equal(await see(given, ({ results }) => results.b), 1);
    const r = rig(({ results }) => results.a);
    const outcome = await r.run(given);
    assert.ok(!outcome.ok);
    assert.deepEqual([outcome.error.code, outcome.error.retryable], ['resolved_without_result', false]);
  });

  test('above 1 MiB in all they are paged in by iterating, and reading one by name says so', async () => {
    const names = Array.from({ length: 250 }, (_, i) => `s${i}`);
    const given = assignment({ results: null, dependencies: names.map((name, i) => ({ name, required: i % 2 === 0 })), mergedInputs: true });
    const r: Rig = rig(async (ctx) => {
      const seen: unknown[] = [];
      for await (const pair of ctx.results) seen.push(pair);
      assert.deepEqual(seen.slice(0, 2), [
        ['s0', 0],
        ['s1', { state: 'complete', value: 1 }],
      ]);
      assert.equal(seen.length, 250);
      assert.deepEqual(Object.keys(ctx.results).length, 250);
      assert.throws(() => ctx.inputs, /iterate/);
      return ctx.results.s3;
    });
    r.port.stored = names.map((name, i) => [name, i % 2 === 0, complete(i)]);
    const outcome = await r.run(given);
    assert.ok(!outcome.ok);
    assert.deepEqual([outcome.error.code, outcome.error.retryable], ['results_too_large', false], outcome.error.message);
    assert.match(outcome.error.message, /for await/);
    assert.deepEqual(r.port.pages, [0, 100, 200]);
  });
});

test('inputs: the merged view, where it was asked for', async () => {
  const given = withResults(
    [
      ['a', true, complete({ x: 2, y: 3 })],
      ['b', false, complete([1])],
      ['c', false, { state: 'cancelled', reason: 'x' }],
    ],
    {
      mergedInputs: true,
      input: '{"x":1,"own":true}',
    },
  );
  assert.deepEqual(await see(given, ({ inputs }) => inputs), { x: 2, own: true, y: 3, b: [1] });
  assert.deepEqual(await see(given, ({ inputs, input }) => [inputs.x, input]), [2, { x: 1, own: true }]);
  await assert.rejects(
    see(assignment(), ({ inputs }) => inputs),
    { code: 'inputs_not_merged' },
  );
});

describe('checkpoint', () => {
  test('is handed over as text, and read back in this attempt and the next', async () => {
    await see(assignment({ checkpoint: '{"at":1}' }), async (ctx, r) => {
      assert.deepEqual(ctx.lastCheckpoint, { at: 1 });
      assert.equal(ctx.lastCheckpoint, ctx.lastCheckpoint);
      await ctx.checkpoint({ at: 2 });
      assert.deepEqual(r.port.checkpoints, ['{"at":2}']);
      assert.deepEqual(ctx.lastCheckpoint, { at: 2 });
    });
    assert.equal(await see(assignment(), (ctx) => ctx.lastCheckpoint), undefined);
  });

  test('that is refused leaves the last one standing', async () => {
    await see(assignment(), async (ctx, r) => {
      r.port.checkpointError = new Error('not live');
      await assert.rejects(ctx.checkpoint({ at: 1 }), /not live/);
      assert.equal(ctx.lastCheckpoint, undefined);
    });
  });

  test('of what cannot be stored fails the step for good', async () => {
    const outcome = await rig((ctx) => ctx.checkpoint({ n: 1n })).run(assignment());
    assert.ok(!outcome.ok);
    assert.deepEqual([outcome.error.code, outcome.error.retryable], ['unstorable_value', false]);
    assert.match(outcome.error.message, /checkpoint\.n/);
  });
});

test('progress that says nothing is a mistake that no retry mends', async () => {
  for (const wrong of [[undefined], [null], ['half'], [0.5, 7], [{ items: 1, message: {} }]]) {
    const outcome = await rig((ctx) => (ctx.progress as (...args: unknown[]) => void)(...wrong)).run(assignment());
    assert.ok(!outcome.ok);
    assert.deepEqual([outcome.error.code, outcome.error.retryable], ['invalid_progress', false], JSON.stringify(wrong));
  }
});

test('children that are no children are refused for good', async () => {
  const WRONG: [children: unknown, code: string][] = ['x', 5, undefined, null, [null], [5]].map((children) => [children, 'invalid_spawn']);
  WRONG.push([[{ handler: 'h', inputs: 1n }], 'unstorable_value']);
  for (const [wrong, code] of WRONG) {
    const outcome = await rig((ctx) => ctx.spawnAll(wrong as never)).run(assignment());
    assert.ok(!outcome.ok);
    assert.deepEqual([outcome.error.code, outcome.error.retryable], [code, false]);
  }
});

test('progress and heartbeat work when taken out of the context, and progress stays within 0 and 1', async () => {
  await see(assignment(), ({ progress, heartbeat }, r) => {
    progress(0.5, 'half');
    progress(7);
    progress(Number.NaN);
    heartbeat();
    assert.deepEqual(r.port.progress, [
      { fraction: 0.5, message: 'half' },
      { fraction: 1, message: undefined },
      { fraction: 0, message: undefined },
    ]);
    assert.equal(r.port.heartbeats, 1);
  });
});

describe('log', () => {
  test('passes lines on, with fields, whatever they are', async () => {
    await see(assignment(), ({ log }, r) => {
      log.info('hello', { a: 1 });
      log.warn(new Error('x') as never);
      log.debug({ n: 1n } as never, { n: 1n });
      log.error('a\u0000\ud800');
      assert.deepEqual(
        r.port.lines.map((l) => l.level),
        ['info', 'warn', 'debug', 'error'],
      );
      assert.deepEqual([r.port.lines[0].message, r.port.lines[3].message], ['hello {"a":1}', 'a\ufffd\ufffd']);
    });
  });

  test('keeps 1,000 lines, says once that the rest is dropped', async () => {
    await see(assignment(), ({ log }, r) => {
      for (let i = 0; i < 1500; i++) log.info(`line ${i}`);
      assert.equal(r.port.lines.length, 1001);
      assert.equal(r.port.lines[999].message, 'line 999');
      assert.match(r.port.lines[1000].message, /dropped.*1000 lines or 256 KiB/);
    });
  });

  test('keeps 256 KiB, counted in bytes', async () => {
    await see(assignment(), ({ log }, r) => {
      for (let i = 0; i < 5; i++) log.info('é'.repeat(40_000));
      assert.equal(r.port.lines.length, 4);
      assert.match(r.port.lines[3].message, /dropped/);
    });
  });
});

test('row 109: any other ancestor can be asked for, and a stranger is an error', async () => {
  await see(assignment(), async (ctx, r) => {
    r.port.ancestors.set('first', complete({ a: 1 }));
    assert.deepEqual(await ctx.ancestor('first'), { state: 'complete', value: { a: 1 } });
    await assert.rejects(ctx.ancestor('zz'), { name: 'PermanentError', code: 'not_an_ancestor' });
  });
});

test('what a handler leaves running after it returned is passed on to nobody', async () => {
  let late: UntypedStepContext | undefined;
  const r = rig((ctx) => void (late = ctx));
  await r.run(assignment());
  assert.ok(late);
  late.progress(1);
  late.heartbeat();
  late.log.info('late');
  await assert.rejects(late.checkpoint(1), { code: 'ILLEGAL_STATE' });
  assert.deepEqual([r.port.progress.length, r.port.heartbeats, r.port.lines.length, r.port.checkpoints.length], [0, 0, 0, 0]);
});
