import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AttemptOutcome } from '../../src/engine/worker-port.ts';
import { PermanentError, RetryableError } from '../../src/sdk/handler-errors.ts';
import type { StepFunction } from '../../src/sdk/step-types.ts';
import { assignment, rig } from './fake-worker-port.ts';

const outcomeOf = (code: StepFunction, now = 0): Promise<AttemptOutcome> => rig(code, now).run(assignment());
async function errorOf(code: StepFunction): Promise<{ code: string; message: string; retryable: boolean; stack?: string }> {
  const outcome = await outcomeOf(code);
  assert.ok(!outcome.ok);
  return outcome.error;
}
async function failWith(value: unknown): Promise<{ code: string; message: string; retryable: boolean; stack?: string }> {
  const thrown = await errorOf(() => {
    throw value;
  });
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what handlers reject with is theirs to choose
  const rejected = await errorOf(() => Promise.reject(value));
  assert.deepEqual([rejected.code, rejected.message, rejected.retryable], [thrown.code, thrown.message, thrown.retryable]);
  return thrown;
}

describe('what a handler returns', () => {
  test('a value, a promise and a thenable give the same', async () => {
    const expected = { ok: true, body: '{"a":1}' };
    assert.deepEqual(await outcomeOf(() => ({ a: 1 })), expected);
    assert.deepEqual(await outcomeOf(async () => ({ a: 1 })), expected);
    assert.deepEqual(await outcomeOf(() => ({ then: (done: (v: unknown) => void) => done({ a: 1 }) })), expected);
    assert.deepEqual(await outcomeOf(() => undefined), { ok: true, body: 'null', empty: true });
  });

  test('a thenable that settles twice counts once, with its first answer', async () => {
    const r = rig(() => ({
      then: (done: (v: unknown) => void, fail: (e: unknown) => void) => {
        done(1);
        fail(new Error('late'));
        done(2);
        throw new Error('later');
      },
    }));
    assert.deepEqual(await r.run(assignment()), { ok: true, body: '1' });
    await r.run(assignment({ token: 2 }));
    assert.equal(r.port.results.length, 2);
  });

  test('a then that throws, or cannot be read, fails the attempt', async () => {
    assert.equal(
      (
        await errorOf(() => ({
          then: () => {
            throw new Error('in then');
          },
        }))
      ).message,
      'in then',
    );
    assert.equal(
      (
        await errorOf(() => ({
          get then() {
            throw new Error('in getter');
          },
        }))
      ).message,
      'in getter',
    );
  });

  test('what cannot be stored fails for good and says where', async () => {
    const e = await errorOf(async () => ({ items: [{ id: 10n }] }));
    assert.deepEqual([e.code, e.retryable], ['unstorable_result', false]);
    assert.match(e.message, /result\.items\[0\]\.id is a BigInt/);
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    assert.match((await errorOf(() => cycle)).message, /cycle/);
  });

  test('what is above 1 MiB fails for good and names the limit', async () => {
    const e = await errorOf(() => 'x'.repeat(1_048_576));
    assert.deepEqual([e.code, e.retryable], ['result_too_large', false]);
    assert.match(e.message, /1048578 bytes.*1048576/);
    assert.equal((await outcomeOf(() => 'x'.repeat(1_048_574))).ok, true);
  });
});

describe('what a handler throws', () => {
  test('an Error may be tried again and keeps the head of its stack', async () => {
    const e = await failWith(new Error('card declined'));
    assert.deepEqual([e.code, e.message, e.retryable], ['handler_error', 'card declined', true]);
    assert.match(e.stack ?? '', /local-worker\.test\.ts/);
    assert.ok((e.stack ?? '').length <= 2000);
  });

  test('causes are told: they are what went wrong', async () => {
    const e = await failWith(new Error('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:1') }));
    assert.equal(e.message, 'fetch failed: connect ECONNREFUSED 127.0.0.1:1');
  });

  test('PermanentError is final, with its own code', async () => {
    assert.deepEqual(
      { ...(await failWith(new PermanentError('no such order'))), stack: '' },
      { code: 'permanent_error', message: 'no such order', retryable: false, stack: '' },
    );
    assert.equal((await failWith(new PermanentError('x', { code: 'order_unknown' }))).code, 'order_unknown');
  });

  test('a PermanentError of another copy of the package is one too', async () => {
    const foreign = Object.assign(new Error('theirs'), { [Symbol.for('tutti.PermanentError')]: true, code: 'theirs' });
    assert.deepEqual([(await failWith(foreign)).retryable, (await failWith(foreign)).code], [false, 'theirs']);
  });

  // spec row 67: a failure that carries Retry-After
  const waits: [after: number | string | undefined, ms: number | undefined][] = [
    [7000, 7000],
    ['7s', 7000],
    ['7', 7000],
    ['1m30s', 90_000],
    ['Thu, 01 Jan 1970 00:02:00 GMT', 60_000],
    ['Tue, 29 Feb 2028 12:00:00 GMT', Date.UTC(2028, 1, 29, 12) - 60_000],
    ['Wed, 31 Dec 1969 23:59:59 GMT', 0],
    ['soon', undefined],
    [-1, undefined],
    [Number.NaN, undefined],
    [undefined, undefined],
  ];
  for (const [after, ms] of waits) {
    test(`row 67: RetryableError after ${after} waits ${ms} ms`, async () => {
      const outcome = await rig(() => {
        throw new RetryableError({ after });
      }, 60_000).run(assignment());
      assert.ok(!outcome.ok);
      assert.deepEqual([outcome.error.code, outcome.error.retryable, outcome.retryAfterMs], ['retryable_error', true, ms]);
    });
  }

  test('anything else that can be thrown is told as well as it can be', async () => {
    assert.equal((await failWith('plain text')).message, 'plain text');
    assert.equal((await failWith(undefined)).message, 'the handler threw undefined');
    assert.equal((await failWith(null)).message, 'the handler threw null');
    assert.equal((await failWith(7)).message, 'the handler threw 7');
    assert.equal((await failWith(Symbol('s'))).message, 'the handler threw Symbol(s)');
    assert.equal((await failWith({ message: 'like an error' })).message, 'like an error');
    assert.equal((await failWith({})).message, 'the handler threw an object without a message');
    assert.equal((await failWith(Object.create(null))).retryable, true);
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error('trap');
        },
        has: () => {
          throw new Error('trap');
        },
      },
    );
    assert.equal(
      (
        await errorOf(() => {
          throw hostile;
        })
      ).code,
      'handler_error',
    );
    const long = await failWith(new Error('x'.repeat(100_000)));
    assert.equal(long.message.length, 4000);
    assert.equal((await failWith(new Error('a\u0000b\ud800'))).message, 'a\ufffdb\ufffd');
  });
});

describe('which handler runs', () => {
  test('row 100: one object, a method per step, call where none is named', async () => {
    class Orders {
      prefix = 'did ';
      call(): string {
        return `${this.prefix}call`;
      }
      ship(): string {
        return `${this.prefix}ship`;
      }
    }
    const r = rig(new Orders());
    assert.deepEqual(await r.run(assignment()), { ok: true, body: '"did call"' });
    assert.deepEqual(await r.run(assignment({ method: 'ship' })), { ok: true, body: '"did ship"' });
    for (const method of ['cancel', 'constructor', 'toString', 'prefix']) {
      const missing = await r.run(assignment({ method }));
      assert.ok(!missing.ok && !missing.error.retryable);
      assert.equal(missing.error.code, 'handler_not_found');
      assert.match(missing.error.message, new RegExp(`"h" has no method "${method}"`));
    }
  });

  test('a handler that nobody registered fails for good', async () => {
    const outcome = await rig(() => 1).run(assignment({ handler: 'zz' }));
    assert.ok(!outcome.ok);
    assert.deepEqual(outcome.error, { code: 'handler_not_found', message: 'no handler "zz" is registered here', retryable: false });
  });

  test('the newest registration wins, and the engine hears of each', async () => {
    const r = rig(() => 'old');
    assert.equal(r.port.hello.hasHandler('h'), true);
    assert.equal(r.port.hello.hasHandler('later'), false);
    r.registry.register('h', () => 'new');
    r.registry.registerAll([
      { name: 'later', code: () => 1, meta: {} },
      { name: 'other', code: () => 1, meta: {} },
    ]);
    assert.equal(r.port.changes, 2);
    assert.equal(r.port.hello.hasHandler('later'), true);
    assert.deepEqual(await r.run(assignment()), { ok: true, body: '"new"' });
  });
});

describe('running', () => {
  test('no handler is called while the engine assigns', async () => {
    let called = false;
    const r = rig(() => void (called = true));
    r.port.sink.assign([assignment()]);
    assert.equal(called, false);
    assert.equal(r.worker.running, 1);
    await r.port.answers(1);
    assert.equal(called, true);
    assert.equal(r.worker.running, 0);
  });

  test('one bad handler in a batch does not keep the others from running', async () => {
    const r = rig(({ attempt }) => {
      if (attempt === 2) throw new Error('second');
      return attempt;
    });
    r.port.sink.assign([1, 2, 3].map((n) => assignment({ no: n, attempt: n })));
    await r.port.answers(3);
    assert.deepEqual(
      r.port.results.map((x) => [x.no, x.outcome.ok]),
      [
        [1, true],
        [2, false],
        [3, true],
      ],
    );
  });

  test('stop aborts the signal of that attempt only, with the reason', async () => {
    const reasons: unknown[] = [];
    const r = rig(
      ({ signal, stepName }) =>
        new Promise((_, fail) => {
          signal.addEventListener('abort', () => {
            reasons.push(stepName);
            fail(signal.reason as Error);
          });
        }),
    );
    r.port.sink.assign([assignment({ token: 1, stepName: 'one' }), assignment({ token: 2, stepName: 'two' })]);
    await Promise.resolve();
    r.port.sink.stop({ task: 1, no: 0, token: 2, reason: 'timeout' });
    r.port.sink.stop({ task: 9, no: 9, token: 9, reason: 'timeout' });
    await r.port.answers(1);
    assert.deepEqual(reasons, ['two']);
    const { outcome, token } = r.port.results[0];
    assert.ok(!outcome.ok);
    assert.deepEqual([token, outcome.error.code, outcome.error.retryable], [2, 'step_timeout', true]);
    r.port.sink.stop({ task: 1, no: 0, token: 1, reason: 'cancelled' });
    await r.port.answers(2);
    assert.ok(!r.port.results[1].outcome.ok && r.port.results[1].outcome.error.code === 'cancelled');
  });

  test('a signal that is first looked at after the stop is aborted already', async () => {
    const r = rig(({ signal }) => [signal.aborted, (signal.reason as { code: string }).code, (signal.reason as Error).name]);
    r.port.sink.assign([assignment()]);
    r.port.sink.stop({ task: 1, no: 0, token: 1, reason: 'cancelled' });
    r.port.sink.stop({ task: 1, no: 0, token: 1, reason: 'timeout' });
    await r.port.answers(1);
    assert.deepEqual(r.port.results[0].outcome, { ok: true, body: '[true,"cancelled","AbortError"]' });
  });

  test('close stops what runs and hears no more of new handlers', async () => {
    const r = rig(({ signal }) => new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason as Error))));
    r.port.sink.assign([assignment()]);
    await Promise.resolve();
    r.worker.close();
    r.worker.close();
    await r.port.answers(1);
    assert.ok(!r.port.results[0].outcome.ok && r.port.results[0].outcome.error.code === 'attempt_lost');
    assert.equal(r.port.closed, true);
    r.registry.register('x', () => 1);
    assert.equal(r.port.changes, 0);
  });

  test('a session that throws is a fault, not a crash', async () => {
    const r = rig(async () => 1);
    const session = r.port as unknown as { results: { push: (x: unknown) => number } };
    const told = new Promise<void>((done) => {
      session.results.push = () => {
        queueMicrotask(done);
        throw new Error('inbox gone');
      };
    });
    r.port.sink.assign([assignment()]);
    await told;
    assert.match(String(r.faults[0]), /inbox gone/);
  });
});
