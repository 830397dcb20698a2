import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseBatches } from '../../src/core/batches.ts';
import { parseDecision } from '../../src/core/branches.ts';
import { DEFAULT_BATCH, type StepDefinition } from '../../src/core/definition.ts';
import { isTuttiError } from '../../src/core/errors.ts';
import type { Assignment, DependencyResult } from '../../src/engine/worker-port.ts';
import { batches, cursorsFor, none, noBatches, route, to } from '../../src/sdk/branches.ts';
import type { UntypedStepContext } from '../../src/sdk/step-types.ts';
import { type AnyTemplate, template } from '../../src/sdk/template.ts';
import { rig, withResults } from './fake-worker-port.ts';

/** One line per step: name, type unless standard, dependencies (`?`: optional), branches. */
const sketch = (t: AnyTemplate): string[] =>
  t.definition().steps.map((s) => {
    const deps = s.dependencies.map((d) => d.name + (d.required ? '' : '?')).join(' ');
    const branches = Object.entries(s.branches ?? {}).map(([name, steps]) => `${name}=${steps.join('+')}`);
    return [`${s.name}${s.type === 'standard' ? '' : `:${s.type}`} <- ${deps}`.trim(), ...branches].join(' | ');
  });
const stepOf = (t: AnyTemplate, name: string): StepDefinition | undefined => t.definition().steps.find((s) => s.name === name);
const begin = () => template('a/b@1.0.0').step('first', () => 1);
const refused = (make: () => unknown): string => {
  try {
    make();
  } catch (e) {
    assert.ok(isTuttiError(e), String(e));
    assert.equal(e.code, 'INVALID_TEMPLATE');
    return e.message;
  }
  return assert.fail('it was accepted');
};

describe('decisions', () => {
  test('branches become steps below the decision; what follows them, a convergence; what follows that, another', () => {
    const t = begin()
      .decision(
        'route',
        { after: ['first'] },
        {
          auto: (b) => b.step('approve', () => 1),
          manager: (b) =>
            b
              .step('ask', { after: ['first'] }, () => 1)
              .step('wait', { after: ['ask', 'first'] }, () => 1)
              .step('note', { after: ['route'] }, () => 1),
          nothing: (b) => b,
        },
        () => to('auto'),
      )
      .step('final', { after: { approve: 'required', wait: 'optional' } }, () => 1)
      .step('after', { after: ['final', 'first'] }, () => 1)
      .step('apart', { after: ['first'] }, () => 1);
    assert.deepEqual(sketch(t), [
      'first <-',
      'route:decision <- first | auto=approve | manager=ask+wait+note | nothing=',
      'approve <- route',
      'ask <- first route',
      'wait <- ask first',
      'note <- route',
      'final:deferred_convergence <- approve wait?',
      'after:deferred_convergence <- final first',
      'apart <- first',
    ]);
    assert.deepEqual(
      [...t.handlers().keys()].map((name) => name.split(':')[1]),
      ['first', 'route', 'approve', 'ask', 'wait', 'note', 'final', 'after', 'apart'],
    );
  });

  test('a decision within a branch: its own branches, and a convergence that comes with them, not with the outer branch', () => {
    const t = begin().decision(
      'outer',
      {},
      {
        deep: (b) =>
          b
            .step('a', () => 1)
            .decision('inner', { after: ['a'] }, { p: (c) => c.step('p', { after: ['a'] }, () => 1), q: (c) => c.step('q', () => 1) }, () => to('p'))
            .step('joined', { after: ['p', 'q'] }, () => 1)
            .step('more', { after: ['joined'] }, () => 1),
      },
      () => to('deep'),
    );
    assert.deepEqual(sketch(t).slice(1), [
      'outer:decision <- | deep=a+inner',
      'a <- outer',
      'inner:decision <- a | p=p | q=q',
      'p <- a inner',
      'q <- inner',
      'joined:deferred_convergence <- p q',
      'more:deferred_convergence <- joined',
    ]);
  });

  test('a branch of one decision may use what another chose', () => {
    const t = begin()
      .decision('one', {}, { x: (b) => b.step('x', () => 1) }, () => to('x'))
      .decision('two', {}, { y: (b) => b.step('y', { after: ['x'] }, ({ results }) => results.x ?? 0) }, () => none());
    assert.deepEqual(sketch(t).slice(-1), ['y <- x two']);
  });

  test('two templates may grow from one with branches', () => {
    const t = begin().decision('route', {}, { x: (b) => b.step('x', () => 1) }, () => to('x'));
    assert.deepEqual(sketch(t.step('left', { after: ['x'] }, () => 1)).at(-1), 'left:deferred_convergence <- x');
    assert.deepEqual(sketch(t.step('right', () => 1)).at(-1), 'right <-');
  });

  const cases: [what: string, make: () => AnyTemplate, says: RegExp][] = [
    [
      'a step after the decision itself',
      () =>
        begin()
          .decision('route', {}, { x: (b) => b.step('x', () => 1) }, () => to('x'))
          .step('y', { after: ['route'] }, () => 1),
      /step "y": after: "route" is a decision/,
    ],
    [
      'a branch that gives back something else',
      () => begin().decision('route', {}, { x: () => begin() }, () => to('x')),
      /step "route": branches\.x: must return the builder/,
    ],
    [
      'a branch that gives back nothing',
      () =>
        begin()
          .untyped()
          .decision('route', {}, { x: () => undefined as never }, () => to('x')),
      /branches\.x/,
    ],
    [
      'one name in two branches',
      () => begin().decision('route', {}, { x: (b) => b.step('same', () => 1), y: (b) => b.step('same', () => 1) }, () => to('x')),
      /step "same": name: another step/,
    ],
    ['no function', () => begin().untyped().decision('route', {}, {}), /step "route": handler: is missing/],
    [
      'a convergence of two decisions’ steps within a branch',
      () =>
        begin()
          .decision('one', {}, { x: (b) => b.step('x', () => 1) }, () => to('x'))
          .decision(
            'two',
            {},
            {
              y: (b) => b.decision('three', {}, { z: (c) => c.step('z', () => 1) }, () => to('z')).step('both', { after: ['x', 'z'] }, () => 1),
            },
            () => to('y'),
          ),
      /step "both": after: "x" may not come to be/,
    ],
  ];
  for (const [what, make, says] of cases)
    test(`${what} is refused`, () =>
      assert.match(
        refused(() => make().definition()),
        says,
      ));

  test('what a decision returns is what the engine reads', () => {
    assert.deepEqual(parseDecision(to('a', 'b')), { names: ['a', 'b'] });
    assert.deepEqual(parseDecision(route(['a'])), { names: ['a'] });
    assert.deepEqual(parseDecision(route([])), { names: [] });
    assert.deepEqual(parseDecision(none()), { names: [] });
  });
});

describe('batches', () => {
  const csv = () =>
    begin()
      .batchable('analyse', { after: ['first'], batchSize: 200, parallelism: 5, onFailure: 'isolate', cursorField: 'row' }, () =>
        batches(cursorsFor(1000, { batchSize: 200 }), { totalItems: 1000 }),
      )
      .batchWorker('work', { of: 'analyse', retry: { maxAttempts: 1 } }, ({ cursor, batch }) => ({ n: cursor.batch_size, of: batch.total_items }))
      .step('sum', { after: ['work'] }, ({ results }) => results.work.length)
      .step('report', { after: ['sum'] }, () => 1);

  test('analyser, worker and what follows', () => {
    assert.deepEqual(sketch(csv()), [
      'first <-',
      'analyse:batchable <- first',
      'work:batch_worker <- analyse',
      'sum:deferred_convergence <- work',
      'report <- sum',
    ]);
    assert.deepEqual(stepOf(csv(), 'analyse')?.batch, {
      workerTemplate: 'work',
      batchSize: 200,
      parallelism: 5,
      failureStrategy: 'isolate',
      cursorField: 'row',
    });
    assert.equal(stepOf(csv(), 'work')?.retry.maxAttempts, 1);
  });

  test('defaults', () => {
    const t = begin()
      .batchable('analyse', {}, () => noBatches())
      .batchWorker('work', { of: 'analyse' }, () => 1);
    assert.deepEqual(stepOf(t, 'analyse')?.batch, { ...DEFAULT_BATCH, workerTemplate: 'work' });
  });

  test('a batch within a branch comes with the branch, its workers and their convergence with the batch', () => {
    const t = begin().decision(
      'route',
      {},
      {
        many: (b) =>
          b
            .batchable('split', {}, () => noBatches())
            .batchWorker('each', { of: 'split' }, () => 1)
            .step('total', { after: ['each'] }, () => 1)
            .step('tell', { after: ['total'] }, () => 1),
      },
      () => to('many'),
    );
    assert.deepEqual(sketch(t).slice(1), [
      'route:decision <- | many=split',
      'split:batchable <- route',
      'each:batch_worker <- split',
      'total:deferred_convergence <- each',
      'tell <- total',
    ]);
  });

  test('a worker finds its cursor; for no batches it is not called', () => {
    const work = csv().handlers().get('a/b@1.0.0:work');
    const call = (config: object): unknown => work?.({ config } as UntypedStepContext);
    assert.deepEqual(call({ cursor: { batch_size: 7 }, batch_metadata: { total_items: 9 }, is_no_op: false }), { n: 7, of: 9 });
    assert.equal(call({ cursor: { batch_size: 0 }, batch_metadata: {}, is_no_op: true }), null);
  });

  test('what an analyser returns is what the engine reads', () => {
    const config = { ...DEFAULT_BATCH, workerTemplate: 'work' };
    const plan = parseBatches(JSON.parse(JSON.stringify(batches(cursorsFor(1000, { batchSize: 200 }), { totalItems: 1000 }))), config);
    assert.ok(!('error' in plan));
    assert.deepEqual([plan.cursors.length, plan.totalItems, plan.cursors[4].end_cursor], [5, 1000, 1000]);
    assert.deepEqual(parseBatches(noBatches(), config), { cursors: [], totalItems: 0 });
  });

  const analyser = () => begin().batchable('analyse', {}, () => noBatches());
  const cases: [what: string, make: () => AnyTemplate, says: RegExp][] = [
    ['no worker', analyser, /step "analyse": batch: has no worker/],
    ['a worker of a standard step', () => begin().batchWorker('work', { of: 'first' }, () => 1), /step "work": of: "first" is no batchable step/],
    [
      'two workers',
      () =>
        analyser()
          .batchWorker('work', { of: 'analyse' }, () => 1)
          .batchWorker('more', { of: 'analyse' }, () => 1),
      /step "more": of: "analyse" has the worker "work" already/,
    ],
    [
      'a batch of 0',
      () =>
        begin()
          .batchable('analyse', { batchSize: 0 }, () => noBatches())
          .batchWorker('work', { of: 'analyse' }, () => 1),
      /batch\.batchSize/,
    ],
    [
      'batch options of a standard step',
      () =>
        begin()
          .untyped()
          .step('x', { batchSize: 3 } as never, () => 1),
      /batchSize: is no option/,
    ],
    [
      'a decision after workers',
      () =>
        analyser()
          .batchWorker('work', { of: 'analyse' }, () => 1)
          .decision('route', { after: ['work'] }, {}, () => none()),
      /only a deferred_convergence may depend/,
    ],
  ];
  for (const [what, make, says] of cases)
    test(`${what} is refused`, () =>
      assert.match(
        refused(() => make().definition()),
        says,
      ));
});

describe('results of a batch', () => {
  const complete = (n: number): DependencyResult => ({ state: 'complete', body: String(n) });
  const failed: DependencyResult = { state: 'error', error: { code: 'x', message: 'y', retryable: false } };
  const given = (required: boolean, workers: Record<string, DependencyResult>, more: [string, boolean, DependencyResult][] = []): Assignment =>
    withResults(
      [['work', required, { state: 'not_taken' }], ...Object.entries(workers).map(([n, r]): [string, boolean, DependencyResult] => [n, false, r]), ...more],
      {
        batches: [{ name: 'work', workers: Object.keys(workers).filter((n) => n !== 'work_000') }],
      },
    );
  const see = async (a: Assignment, look: (ctx: UntypedStepContext) => unknown): Promise<unknown> => {
    const outcome = await rig(async (ctx: UntypedStepContext) => look(ctx)).run(a);
    return outcome.ok ? JSON.parse(outcome.body) : assert.fail(JSON.stringify(outcome));
  };

  test('a list in the order of the batches, without those that failed', async () => {
    const a = given(true, { work_b: complete(2), work_a: complete(1), work_c: failed });
    assert.deepEqual(await see(a, ({ results }) => results.work), [2, 1]);
  });

  test('how each ended, where the batch is optional', async () => {
    const ended = await see(given(false, { work_1: complete(1), work_2: failed }), ({ results }) => results.work.map((w: { state: string }) => w.state));
    assert.deepEqual(ended, ['complete', 'error']);
  });

  test('no batches: an empty list; a batch that was not taken: nothing', async () => {
    assert.deepEqual(await see(given(true, { work_000: complete(0) }), ({ results }) => results.work), []);
    const none = withResults([['work', true, { state: 'not_taken' }]], { batches: [] });
    assert.equal(await see(none, ({ results }) => results.work === undefined), true);
  });

  test('one by one they are there too, and only so are they walked', async () => {
    const a = given(true, { work_1: complete(1), work_2: complete(2) }, [['other', true, complete(3)]]);
    const seen = await see(a, async ({ results }) => {
      const walked: unknown[] = [];
      for await (const [name, value] of results) walked.push([name, value]);
      return [results.work, results.work_1, results.other, walked, Object.isFrozen(results.work)];
    });
    const one = { state: 'complete', value: 1 };
    const two = { state: 'complete', value: 2 };
    assert.deepEqual(seen, [
      [1, 2],
      one,
      3,
      [
        ['work_1', one],
        ['work_2', two],
        ['other', 3],
      ],
      true,
    ]);
  });
});
