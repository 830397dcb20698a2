import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isTuttiError } from '../../../src/core/errors.ts';
import { MAX_SUBTASKS } from '../../../src/core/plan.ts';
import type { SubtaskRow } from '../../../src/engine/plan-port.ts';
import { PermanentError } from '../../../src/sdk/handler-errors.ts';
import { HandlerRegistry } from '../../../src/sdk/handler-registry.ts';
import { CallStopped } from '../../../src/sdk/plans/local-generator-host.ts';
import type { AnyTaskType, PlanContext } from '../../../src/sdk/plans/task-type.ts';
import { finishedBatch, playedHost } from './fake-plan-port.ts';

const least: AnyTaskType = { name: 'Backfill', nextBatch: () => ({ kind: 'done' }), subtask: () => null };
const never = (): Promise<never> => new Promise(() => {});

describe('task types of a process', () => {
  test('are known by name and alias, and their subtasks are handlers', async () => {
    const seen: unknown[] = [];
    const type: AnyTaskType = {
      ...least,
      aliases: ['Fill'],
      subtask(ctx) {
        seen.push(this === type, ctx.input);
        return 'done';
      },
    };
    const { host, port, handlers } = playedHost([type, { ...least, name: 'Another' }]);
    assert.deepEqual(
      host.taskTypes().map((t) => t.name),
      ['Another', 'Backfill'],
    );
    assert.equal(host.taskType('Fill')?.name, 'Backfill');
    assert.equal(host.taskType('backfill'), null);
    assert.equal(port.host, host);
    const registry = new HandlerRegistry();
    registry.registerAll(handlers);
    assert.equal(registry.resolve('plan/Backfill', undefined)?.({ input: 7 } as never), 'done');
    assert.deepEqual(seen, [true, 7]);
    host.close();
    assert.ok(port.closed);
  });

  test('a name or alias that is taken is refused, and then none of the list is known', () => {
    const { host, port, handlers } = playedHost([{ ...least, aliases: ['Fill'] }]);
    const before = handlers.length;
    for (const [type, says] of [
      [{ ...least }, /"Backfill" is a name of another task type of that name already/],
      [{ ...least, name: 'Fill' }, /"Fill": "Fill" is a name of the task type "Backfill" already/],
      [{ ...least, name: 'New', aliases: ['Backfill'] }, /"New": "Backfill" is a name of the task type "Backfill"/],
    ] as const) {
      assert.throws(
        () => host.register([{ ...least, name: 'Good' }, type]),
        (e) => isTuttiError(e) && e.code === 'INVALID_INPUT' && says.test(e.message),
      );
    }
    assert.equal(host.taskTypes().length, 1);
    assert.equal(handlers.length, before);
    assert.equal(port.changes, 0);
  });

  test('replaced: the new code answers, the old aliases are free, calls under way keep theirs', async () => {
    let go = (): void => undefined;
    const slow = new Promise<void>((done) => (go = done));
    const old: AnyTaskType = { ...least, aliases: ['Fill'], nextBatch: async () => (await slow, { kind: 'done', message: 'old' }) };
    const p = playedHost([old]);
    const begun = p.call();
    await Promise.resolve();
    await Promise.resolve();
    p.host.register(
      [
        { ...least, nextBatch: () => ({ kind: 'done', message: 'new' }) },
        { ...least, name: 'Other', aliases: ['Fill'] },
      ],
      { replace: true },
    );
    assert.equal(p.port.changes, 1);
    assert.equal(p.host.taskType('Fill')?.name, 'Other');
    assert.deepEqual(await p.call(), { kind: 'done', message: 'new' });
    go();
    assert.deepEqual(await begun, { kind: 'done', message: 'old' });
  });
});

describe('a call', () => {
  test('sees the plan, frozen, and reads the resource; it begins after the caller has gone on', async () => {
    let ctx: PlanContext | undefined;
    const { call } = playedHost([
      {
        ...least,
        async nextBatch(c) {
          ctx = c;
          return {
            kind: 'done',
            customStats: {
              item: JSON.stringify(await c.item('segment/a')),
              items: (await c.items({ prefix: 'x' })).length,
              body: JSON.stringify(await c.resourceBody()),
              kept: (await c.settings())?.of,
            } as never,
          };
        },
      },
    ]);
    const pending = call({
      state: '{"cursor":{"page":3}}',
      attempt: 2,
      batches: 4,
      triggeredBy: 'ann',
      customStats: { a: '1' },
      inputs: { total: 9, inFlight: 0, processed: 4 },
    });
    assert.equal(ctx, undefined);
    assert.deepEqual(await pending, {
      kind: 'done',
      customStats: { item: '{"key":"segment/a","version":1,"body":{"rows":3}}', items: '0', body: '{"of":"feed"}', kept: 'feed Backfill' },
    });
    const c = ctx as unknown as PlanContext<{ cursor: { page: number } }>;
    assert.deepEqual(
      [c.planId, c.resource, c.taskType, c.source, c.triggeredBy, c.attempt, c.batches],
      ['feed__Backfill__id', 'feed', 'Backfill', 'ADHOC_CONFIG', 'ann', 2, 4],
    );
    assert.deepEqual(
      [c.properties, c.state, c.inputs, c.customStats, c.createdAt, c.maxSubtasks],
      [{ size: '10' }, { cursor: { page: 3 } }, { total: 9, inFlight: 0, processed: 4 }, { a: '1' }, 1_700_000_000_000, MAX_SUBTASKS],
    );
    for (const part of [c, c.properties, c.state, c.state.cursor, c.inputs, c.customStats]) assert.ok(Object.isFrozen(part));
  });

  test('goes to the function of its kind', async () => {
    const type: AnyTaskType = {
      ...least,
      startPlan: (c) => ({ state: [c.state], inputsToProcess: 1 }),
      nextBatch: () => ({ kind: 'done', message: 'next' }),
      generateOnce: () => ({ kind: 'done', message: 'once' }),
      onBatchFinished: (_, b) => ({ processed: b.counts.complete }),
      onPlanEnd: (_, status, message) => ({ message: `${status}: ${message}` }),
    };
    const { call } = playedHost([type]);
    assert.deepEqual(await call({ kind: 'start' }), { kind: 'started', total: 1, state: '[null]' });
    assert.deepEqual(await call({ kind: 'next' }), { kind: 'done', message: 'next' });
    assert.deepEqual(await call({ kind: 'once' }), { kind: 'done', message: 'once' });
    assert.deepEqual(await call({ kind: 'finish', batch: finishedBatch() }), { kind: 'finished', processed: 1 });
    assert.deepEqual(await call({ kind: 'end', outcome: { status: 'FAILED', message: 'why' } }), { kind: 'ended', message: 'FAILED: why' });
    assert.deepEqual(await playedHost([least]).call({ kind: 'once' }), { kind: 'done' }, 'without generateOnce it is the first nextBatch');
  });

  test('of a type that nobody has', async () => {
    const { call } = playedHost([least]);
    assert.deepEqual(await call({ taskType: 'Gone' }), { kind: 'failed', message: 'nobody here has the task type "Gone"' });
  });

  for (const [what, thrown, message, refused] of [
    ['an error', new Error('no route', { cause: new Error('refused') }), 'no route: refused', false],
    ['a PermanentError', new PermanentError('no such account'), 'no such account', true],
    ['text', 'boom', 'boom', false],
    [
      'an error that cannot be read',
      Object.defineProperty({}, 'message', {
        get: () => {
          throw new Error('x');
        },
      }),
      'the handler threw something that cannot be read',
      false,
    ],
  ] as const) {
    test(`that throws ${what} has failed, at once or later`, async () => {
      for (const nextBatch of [
        (): never => {
          throw thrown;
        },
        () => Promise.reject(thrown as Error),
      ]) {
        const { call, failures } = playedHost([{ ...least, nextBatch }]);
        assert.deepEqual(await call(), { kind: 'failed', message, ...(refused ? { refused } : {}) });
        assert.deepEqual(failures, [['nextBatch of Backfill', thrown]]);
      }
    });
  }

  test('whose answer cannot be used has failed, with function and path, and may be made again', async () => {
    const { call, failures } = playedHost([
      { ...least, nextBatch: () => ({ kind: 'batch', subtasks: [{ input: 1 }, { input: 1n }] }), onPlanEnd: () => 3 as never },
    ]);
    assert.deepEqual(await call(), { kind: 'failed', message: 'nextBatch of Backfill: subtasks[1].input is a BigInt; keep it as a string' });
    assert.deepEqual(await call({ kind: 'end', outcome: { status: 'COMPLETED', message: '' } }), {
      kind: 'failed',
      message: 'onPlanEnd of Backfill: the answer must be an object, not 3',
    });
    assert.equal(failures.length, 2);
  });

  test('that takes too long is told to stop, has a moment, and its answer is dropped', async () => {
    const { call, timers } = playedHost([
      {
        ...least,
        nextBatch: ({ signal }) =>
          new Promise((done) => signal.addEventListener('abort', () => done({ kind: 'done', message: (signal.reason as Error).message }))),
      },
    ]);
    const pending = call({ timeoutMs: 500 });
    await Promise.resolve();
    await Promise.resolve();
    timers.fire(500);
    assert.deepEqual(await pending, { kind: 'failed', message: 'nextBatch of Backfill took longer than 500 ms' });
    assert.equal(timers.armed.size, 0);
  });

  test('that does not listen is left behind after that moment; what it reads then is refused', async () => {
    let late: Promise<unknown> = Promise.resolve();
    const { call, timers } = playedHost([
      {
        ...least,
        nextBatch: (ctx) => {
          late = new Promise<void>((done) => ctx.signal.addEventListener('abort', () => done())).then(() => ctx.items());
          late.catch(() => undefined);
          return never();
        },
      },
    ]);
    const pending = call({ timeoutMs: 500 });
    await Promise.resolve();
    await Promise.resolve();
    timers.fire(500);
    timers.fire(2000);
    assert.deepEqual(await pending, { kind: 'failed', message: 'nextBatch of Backfill took longer than 500 ms' });
    await assert.rejects(late, (e) => e instanceof CallStopped && e.name === 'AbortError');
    assert.equal(timers.armed.size, 0);
  });

  test('is told of an abort by the engine, with its reason; one that was aborted before it began is not begun', async () => {
    let begun = 0;
    const { call } = playedHost([
      {
        ...least,
        nextBatch: ({ signal }) => {
          begun++;
          return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
        },
      },
    ]);
    const stop = new AbortController();
    const pending = call({}, stop.signal);
    await Promise.resolve();
    await Promise.resolve();
    stop.abort(new Error('the plan is being aborted'));
    assert.deepEqual(await pending, { kind: 'failed', message: 'nextBatch of Backfill was told to stop: the plan is being aborted' });
    assert.deepEqual(await call({}, stop.signal), { kind: 'failed', message: 'nextBatch of Backfill was told to stop: the plan is being aborted' });
    assert.equal(begun, 1);
  });
});

describe('a batch that ended', () => {
  const row = (no: number, more: Partial<SubtaskRow> = {}): SubtaskRow => ({
    no,
    name: `s${no}`,
    input: `{"no":${no}}`,
    units: 1,
    state: 'complete',
    result: `[${no}]`,
    error: null,
    ...more,
  });

  test('gives its subtasks in order, read in pages as they are asked for, and anew by each loop', async () => {
    const numbers: number[] = [];
    const p = playedHost([
      {
        ...least,
        async onBatchFinished(_, batch) {
          for await (const s of batch.subtasks) if (s.state === 'complete') numbers.push(s.result[0]);
          for await (const s of batch.subtasks) if (s.name === 's1') break;
          return undefined;
        },
      },
    ]);
    p.port.rows = Array.from({ length: 250 }, (_, no) => row(no));
    assert.deepEqual(await p.call({ kind: 'finish', batch: finishedBatch() }), { kind: 'finished' });
    assert.deepEqual(
      numbers,
      Array.from({ length: 250 }, (_, no) => no),
    );
    assert.deepEqual(
      p.port.pages.map((q) => [q.task, q.from]),
      [
        [7, 0],
        [7, 100],
        [7, 200],
        [7, 0],
      ],
    );
  });

  test('says of each how it ended; values are frozen', async () => {
    const seen: unknown[] = [];
    const p = playedHost([
      {
        ...least,
        async onBatchFinished(_, batch) {
          assert.ok(Object.isFrozen(batch) && Object.isFrozen(batch.counts));
          for await (const s of batch.subtasks) {
            assert.ok(Object.isFrozen(s) && Object.isFrozen(s.input));
            seen.push(s);
          }
          return undefined;
        },
      },
    ]);
    p.port.rows = [
      row(0, { result: null, units: 5 }),
      row(1, { state: 'error', result: null, error: { code: 'handler_error', message: 'broken' } }),
      row(2, { state: 'cancelled', result: null }),
      row(3, { state: 'running', result: null }),
    ];
    await p.call({ kind: 'finish', batch: finishedBatch() });
    assert.deepEqual(seen, [
      { name: 's0', input: { no: 0 }, units: 5, state: 'complete', result: null },
      { name: 's1', input: { no: 1 }, units: 1, state: 'error', error: { code: 'handler_error', message: 'broken' } },
      { name: 's2', input: { no: 2 }, units: 1, state: 'cancelled', error: { code: 'cancelled', message: 'it did not complete' } },
      { name: 's3', input: { no: 3 }, units: 1, state: 'cancelled', error: { code: 'running', message: 'it did not complete' } },
    ]);
  });
});

describe('settings', () => {
  test('are held against what the type says of them; what it throws, or gives instead of texts, is a problem too', async () => {
    const check = (validate: AnyTaskType['validate'], settings = { size: '0' }): Promise<string[]> =>
      playedHost([{ ...least, validate }]).host.checkSettings('Backfill', settings, 'feed');
    assert.deepEqual(await check(undefined), []);
    assert.deepEqual(await check((s, resource) => (s.size === '0' ? [`size of ${resource} must be 1 or more`] : [])), ['size of feed must be 1 or more']);
    assert.deepEqual(await check(async () => Promise.reject(new Error('no connection'))), ['the settings cannot be checked: no connection']);
    assert.deepEqual(await check((s) => ((s as { size: string }).size = '1') as never), [
      "the settings cannot be checked: Cannot assign to read only property 'size' of object '#<Object>'",
    ]);
    assert.deepEqual(await check(() => [3] as never), ['validate of Backfill: must give a list of texts, not a list']);
    assert.deepEqual(await playedHost([least]).host.checkSettings('Gone', {}, 'feed'), ['nobody here has the task type "Gone"']);
  });

  test('a check that takes too long is a problem', async () => {
    const p = playedHost([{ ...least, callTimeout: 700, validate: never }]);
    const pending = p.host.checkSettings('Backfill', {}, 'feed');
    await Promise.resolve();
    await Promise.resolve();
    p.timers.fire(700);
    p.timers.fire(2000);
    assert.deepEqual(await pending, ['the settings cannot be checked: validate of Backfill took longer than 700 ms']);
  });
});

test('an answer is read with the limits it was given', async () => {
  const { call } = playedHost([{ ...least, nextBatch: () => ({ kind: 'done', state: 'x'.repeat(20) }) }], { limits: { valueBytes: 20 } });
  assert.deepEqual(await call(), { kind: 'failed', message: 'nextBatch of Backfill: state is 22 bytes as JSON; the limit is 20 bytes' });
});
