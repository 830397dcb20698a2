/** Decisions that fail, are cancelled, lie within one another or feed one convergence, on the real engine. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PermanentError, route, template, to, type AnyTemplate, type FailurePolicy, Tutti } from '../../src/main.ts';
import { Hold, opened, quiet, shown, stepIs, taskIs, whole, type Work } from '../support/live-task.ts';

const taken = (results: Record<string, unknown>): string[] => Object.keys(results).filter((name) => results[name] !== undefined);

/** One decision over three branches a, b, c and a convergence over them, with what decides given. */
const three = (decide: Work, more: { policy?: FailurePolicy; maxAttempts?: number } = {}): AnyTemplate =>
  template('rows/three@1.0.0', { onFailure: more.policy ?? 'fail' })
    .untyped()
    .step('first', () => 1)
    .decision(
      'choose',
      { after: ['first'], retry: { maxAttempts: more.maxAttempts ?? 3, baseMs: 0, jitter: 0 } },
      { a: (b) => b.step('a', () => 'a'), b: (b) => b.step('b', () => 'b'), c: (b) => b.step('c', () => 'c') },
      decide,
    )
    .step('join', { after: ['a', 'b', 'c'] }, ({ results }) => taken(results));
const THREE = 'rows/three@1.0.0';

describe('decisions that end otherwise', () => {
  test('one that fails at first is tried again, and what it then chooses comes to be', async (t) => {
    const tutti = await opened(t, [
      three(({ attempt }) => {
        if (attempt === 1) throw new Error('not yet');
        return to('b');
      }),
    ]);
    const task = await tutti.submit(THREE, {});
    assert.deepEqual(await task.result(), { join: ['b'] });
    assert.equal((await task.step('choose')).attempts, 2);
  });

  for (const policy of ['fail', 'fail_fast'] as const) {
    test(`one that fails for good under policy ${policy}: nothing of it comes to be, the task fails`, async (t) => {
      const tutti = await opened(t, [
        three(
          () => {
            throw new PermanentError('cannot choose');
          },
          { policy },
        ),
      ]);
      const task = await tutti.submit(THREE, {});
      assert.equal((await task.done()).state, 'error');
      assert.deepEqual(await whole(tutti, task), { first: 'complete', choose: 'error', a: 'not_taken', b: 'not_taken', c: 'not_taken', join: 'not_taken' });
      assert.equal((await task.view()).totalSteps, 2);
    });
  }

  test('one that fails for good under policy block: the task waits for a person, whose reset has it choose', async (t) => {
    let wrong = true;
    const tutti = await opened(t, [
      three(
        () => {
          if (wrong) throw new PermanentError('cannot choose');
          return to('a', 'b');
        },
        { policy: 'block' },
      ),
    ]);
    const task = await tutti.submit(THREE, {});
    await taskIs(task, 'blocked_by_failures');
    assert.deepEqual(await shown(task), { first: 'complete', choose: 'error' });
    wrong = false;
    await task.reset('choose');
    assert.deepEqual(await task.result(), { join: ['a', 'b'] });
  });

  test('one of a task that is cancelled: nothing comes to be, also of what it returns later', async (t) => {
    const gate = new Hold();
    const tutti = await opened(t, [three(async () => (await gate.wait(), to('a')))]);
    const task = await tutti.submit(THREE, {});
    await gate.until(1);
    await task.cancel({ reason: 'not wanted' });
    gate.open();
    assert.equal((await task.done()).state, 'cancelled');
    assert.deepEqual(await whole(tutti, task), {
      first: 'complete',
      choose: 'cancelled (task_ended)',
      a: 'not_taken',
      b: 'not_taken',
      c: 'not_taken',
      join: 'not_taken',
    });
  });

  test('an optional edge to a step that is not taken says so, and one to a step that failed says how', async (t) => {
    const t4 = template('rows/optional@1.0.0')
      .decision(
        'choose',
        {},
        {
          a: (b) =>
            b.step('a', { retry: { maxAttempts: 1 } }, (): string => {
              throw new Error('broken');
            }),
          b: (b) => b.step('b', () => 'b'),
        },
        () => to('a'),
      )
      .step('join', { after: { a: 'optional', b: 'optional' } }, ({ results }) => [results.a.state, results.b.state]);
    const tutti = await opened(t, [t4]);
    const task = await tutti.submit(t4, {});
    assert.deepEqual(await task.result(), { join: ['error', 'not_taken'] });
    assert.deepEqual((await task.view()).failedStepNames, ['a']);
  });

  test('a chosen step that needs one which failed long before ends visibly, and the task fails, whatever the failure was before', async (t) => {
    for (const policy of ['fail', 'block'] as const) {
      const gate = new Hold();
      const t5 = template(`rows/late_${policy}@1.0.0`, { onFailure: policy })
        .step('broken', { retry: { maxAttempts: 1 } }, (): number => {
          throw new Error('broken');
        })
        .step('looks', { after: { broken: 'optional' } }, ({ results }) => results.broken.state)
        .decision('choose', { after: ['looks'] }, { a: (b) => b.step('a', { after: ['broken'] }, () => 'a') }, async () => (await gate.wait(), to('a')));
      const tutti = await opened(t, [t5]);
      const task = await tutti.submit(t5, {});
      await gate.until(1);
      assert.equal((await task.view()).state, 'steps_in_process');
      gate.open();
      await taskIs(task, policy === 'block' ? 'blocked_by_failures' : 'error');
      assert.equal((await shown(task)).a, policy === 'block' ? 'pending' : 'cancelled (dependency_failed)');
      await tutti.engine.task(task.id);
      assert.equal(tutti.engine.metrics().reconcilerRepairs, 0);
    }
  });
});

describe('several decisions', () => {
  const nested = (inner: string[], chosen: string[]): AnyTemplate =>
    template('rows/nested@1.0.0')
      .untyped()
      .decision(
        'outer',
        {},
        {
          deep: (b) =>
            b
              .step('x', () => 'x')
              .decision('inner', { after: ['x'] }, { p: (c) => c.step('p', () => 'p'), q: (c) => c.step('q', { after: ['x'] }, () => 'q') }, () => route(inner))
              .step('joined', { after: ['p', 'q'] }, ({ results }) => taken(results)),
          flat: (b) => b.step('only', () => 'only'),
        },
        () => route(chosen),
      )
      .step('end', { after: ['joined', 'only'] }, ({ results }) => taken(results))
      .step('last', { after: ['end'] }, ({ results }) => results.end);
  const cases: [inner: string[], outer: string[], exist: string, result: unknown][] = [
    [['p'], ['deep'], 'outer x inner p joined end last', { last: ['joined'] }],
    [['p', 'q'], ['deep', 'flat'], 'outer x inner p q joined only end last', { last: ['joined', 'only'] }],
    [[], ['deep', 'flat'], 'outer x inner only end last', { last: ['only'] }],
    [['q'], ['flat'], 'outer only end last', { last: ['only'] }],
    [[], ['deep'], 'outer x inner', {}],
    [['p'], [], 'outer', {}],
  ];
  for (const [inner, outer, exist, result] of cases) {
    test(`nested: outer gives [${outer.join()}], inner [${inner.join()}]: ${exist}`, async (t) => {
      const tutti = await opened(t, [nested(inner, outer)]);
      const task = await tutti.submit('rows/nested@1.0.0', {});
      assert.equal((await task.done()).state, 'complete');
      assert.equal((await task.steps()).map((s) => s.name).join(' '), exist);
      if (Object.keys(result as object).length > 0) assert.deepEqual(await task.result(), result);
    });
  }

  test('two decisions feed one convergence: it waits for both to have decided, and for what each chose', async (t) => {
    const slow = new Hold();
    const two = (second: string[]): AnyTemplate =>
      template(`rows/two_${second.join('') || 'none'}@1.0.0`)
        .untyped()
        .decision('one', {}, { a: (b) => b.step('a', () => 'a'), b: (b) => b.step('b', () => 'b') }, () => to('a'))
        .decision('two', {}, { c: (b) => b.step('c', () => 'c'), d: (b) => b.step('d', () => 'd') }, async () => (await slow.wait(), route(second)))
        .step('join', { after: ['a', 'b', 'c', 'd'] }, ({ results }) => taken(results));
    for (const [i, [second, joined]] of (
      [
        [['d'], ['a', 'd']],
        [[], ['a']],
      ] as [string[], string[]][]
    ).entries()) {
      const t6 = two(second);
      const tutti = await opened(t, [t6]);
      const task = await tutti.submit(t6.id, {});
      await slow.until(i + 1);
      await stepIs(task, 'a', 'complete');
      assert.equal((await task.step('join')).state, 'pending');
      const [said] = await task.explain('join');
      assert.deepEqual(
        said.gates.map((g) => g.message),
        ['It waits for c (required), which is undecided.', 'It waits for d (required), which is undecided.'],
      );
      slow.letGo();
      assert.deepEqual(await task.result(), { join: joined });
    }
  });
});

test('a decision is over when it has chosen: a finalizer of its handler is not run, and it cannot spawn', async (t) => {
  const seen: string[] = [];
  const t7 = template('rows/finalized@1.0.0')
    .decision('choose', { handler: 'choose' }, { a: (b) => b.step('a', () => 'a') })
    .decision('spawns', { retry: { maxAttempts: 3 } }, { b: (b) => b.step('b', () => 'b') }, async ({ spawn }) => {
      await spawn('choose');
      return to('b');
    });
  const choose = { call: () => to('a'), finalize: () => void seen.push('finalize') };
  const tutti = await Tutti.open({ store: ':memory:', templates: [t7], handlers: { choose }, logger: quiet });
  t.after(() => tutti.close({ drain: 0 }));
  const task = await tutti.submit(t7, {});
  const end = await task.done();
  assert.deepEqual(
    end.failedSteps.map((s) => [s.name, s.error?.code, s.error?.message]),
    [['spawns', 'invalid_input', 'a step of type decision has no children of its own; let a step that follows it spawn them']],
  );
  assert.deepEqual(await whole(tutti, task), { choose: 'complete', a: 'complete', spawns: 'error', b: 'not_taken' });
  assert.deepEqual(seen, []);
});
