/** Rows of the behaviour list about batches, each on the real engine; the first ones in three forms. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import {
  batches,
  cursorsFor,
  loadTemplateFile,
  noBatches,
  template,
  to,
  Tutti,
  type AnyTemplate,
  type TaskHandle,
  type TemplateRegistration,
  type UntypedStepContext,
} from '../../src/main.ts';
import { Hold, opened, quiet, shown, stepIs, storeFile, type Work } from '../support/live-task.ts';

const ids = (n: number): string[] => Array.from({ length: n }, (_, i) => String(i + 1).padStart(3, '0'));
/** Of a worker, whatever form it is written in. */
const cursorOf = (ctx: UntypedStepContext): { batch_id: string; start_cursor: number; end_cursor: number; batch_size: number } => ctx.config.cursor as never;

// --- the CSV of the specification: rows are counted and their numbers summed

const analyse: Work = ({ input }) => ({
  found: input.rows,
  batch_processing_outcome: {
    type: 'create_batches',
    worker_template_name: 'process_csv_batch',
    cursor_configs: cursorsFor(input.rows, { batchSize: input.size, maxWorkers: input.cap ?? 2_000 }),
    total_items: input.rows,
  },
});
const processRows: Work = (ctx) => {
  const { start_cursor: start, end_cursor: end } = cursorOf(ctx);
  let sum = 0;
  for (let row = start; row < end; row++) sum += row;
  return { rows: end - start, sum };
};
interface Part {
  rows: number;
  sum: number;
}
const total = (parts: readonly Part[]): Part & { workers: number } => ({
  rows: parts.reduce((n, p) => n + p.rows, 0),
  sum: parts.reduce((n, p) => n + p.sum, 0),
  workers: parts.length,
});

const ID = 'files/csv@1.0.0';
const typed = (): AnyTemplate =>
  template<{ rows: number; size: number; cap?: number }>(ID)
    .batchable('analyze_csv', { batchSize: 200 }, ({ input }) =>
      batches(cursorsFor(input.rows, { batchSize: input.size, maxWorkers: input.cap ?? 2_000 }), { totalItems: input.rows }),
    )
    .batchWorker('process_csv_batch', { of: 'analyze_csv' }, ({ cursor }) => {
      let sum = 0;
      for (let row = cursor.start_cursor; row < cursor.end_cursor; row++) sum += row;
      return { rows: cursor.batch_size, sum };
    })
    .step('aggregate', { after: ['process_csv_batch'] }, ({ results }) => total(results.process_csv_batch));
const untyped = (): AnyTemplate =>
  template(ID)
    .untyped()
    .batchable('analyze_csv', { batchSize: 200 }, analyse)
    .batchWorker('process_csv_batch', { of: 'analyze_csv' }, processRows)
    .step('aggregate', { after: ['process_csv_batch'] }, ({ results }) => total(results.process_csv_batch));
const YAML = `
name: csv
namespace_name: files
version: "1.0.0"
steps:
  - name: analyze_csv
    type: batchable
    handler: { callable: csv.analyse }
    batch_config: { batch_size: 200, worker_template: process_csv_batch }
  - { name: process_csv_batch, type: batch_worker, dependencies: [analyze_csv], handler: { callable: csv.process } }
  - { name: aggregate, type: deferred_convergence, dependencies: [process_csv_batch], handler: { callable: csv.aggregate } }
`;
const FORMS: Record<string, () => [AnyTemplate | TemplateRegistration, Record<string, Work>]> = {
  'typed builder': () => [typed(), {}],
  'builder without types': () => [untyped(), {}],
  YAML: () => [
    loadTemplateFile(YAML, 'csv.yaml'),
    { 'csv.analyse': analyse, 'csv.process': processRows, 'csv.aggregate': ({ results }) => total(results.process_csv_batch) },
  ],
};

for (const [form, make] of Object.entries(FORMS)) {
  describe(`csv, ${form}`, () => {
    const start = async (t: TestContext, input: object): Promise<{ tutti: Tutti; task: TaskHandle }> => {
      const [definition, handlers] = make();
      const tutti = await opened(t, [definition], { handlers });
      return { tutti, task: await tutti.submit(ID, input) };
    };

    test('row 38: 1000 rows in batches of 200: 5 workers _001 to _005, 7 steps, an aggregate of 1000 rows', async (t) => {
      const { task } = await start(t, { rows: 1000, size: 200 });
      assert.deepEqual(await task.result(), { aggregate: { rows: 1000, sum: 499_500, workers: 5 } });
      const steps = await task.steps();
      assert.deepEqual(steps.map((s) => s.name).sort(), ['aggregate', 'analyze_csv', ...ids(5).map((id) => `process_csv_batch_${id}`)].sort());
      assert.ok(steps.every((s) => s.state === 'complete' && s.attempts === 1));
      assert.equal((await task.view()).totalSteps, 7);
    });

    test('row 39: 12 rows in batches of 5: the last worker has what is left', async (t) => {
      const { task } = await start(t, { rows: 12, size: 5 });
      assert.deepEqual(await task.result(), { aggregate: { rows: 12, sum: 66, workers: 3 } });
      assert.deepEqual(((await task.step('process_csv_batch_003')).result as unknown as Part).rows, 2);
    });

    test('row 40: 5000 items in batches of 1000: 5 workers and the aggregate complete', async (t) => {
      const { task } = await start(t, { rows: 5000, size: 1000 });
      assert.deepEqual(await task.result(), { aggregate: { rows: 5000, sum: 12_497_500, workers: 5 } });
    });

    for (const [items, workers] of [
      [1000, 1],
      [1001, 2],
      [3500, 4],
      [25_000, 10],
    ]) {
      test(`row 41: ${items} items in batches of 1000, at most 10 workers: ${workers}`, async (t) => {
        const { task } = await start(t, { rows: items, size: 1000, cap: 10 });
        assert.deepEqual(await task.result(), { aggregate: { rows: items, sum: (items * (items - 1)) / 2, workers } });
      });
    }
  });
}

test('row 42: nothing to do: one placeholder that no code sees, then what follows, over an empty list', async (t) => {
  const seen: string[] = [];
  const t1 = template('rows/empty@1.0.0')
    .batchable('split', {}, () => noBatches())
    .batchWorker('each', { of: 'split' }, ({ stepName }) => void seen.push(stepName))
    .step('sum', { after: ['each'] }, ({ results }) => results.each.length);
  const tutti = await opened(t, [t1]);
  const task = await tutti.submit(t1, {});
  assert.deepEqual(await task.result(), { sum: 0 });
  assert.deepEqual(await shown(task), { split: 'complete', sum: 'complete', each_000: 'complete' });
  assert.deepEqual(seen, []);
});

test('row 42 for handlers by name: the placeholder goes through the handler, and is told what it is', async (t) => {
  const seen: unknown[] = [];
  const t1 = template('rows/empty@1.0.0')
    .batchable('split', { handler: 'split' })
    .batchWorker('each', { of: 'split', handler: 'each' })
    .step('sum', { after: ['each'] }, ({ results }) => results.each.length);
  const tutti = await opened(t, [t1], { handlers: { split: () => noBatches(), each: ({ config }) => void seen.push([config.is_no_op, config.cursor]) } });
  const task = await tutti.submit(t1, {});
  assert.deepEqual(await task.result(), { sum: 0 });
  assert.deepEqual(seen, [[true, { batch_id: '000', start_cursor: 0, end_cursor: 0, batch_size: 0 }]]);
});

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

test('row 43: a batchable step that is tried again after it was lost makes its workers once', async (t) => {
  const store = storeFile(t);
  const held = new Hold();
  const first = await Tutti.open({ store, templates: [three(async (ctx) => (cursorOf(ctx).batch_id === '001' ? 1 : held.wait()))], logger: quiet });
  const task = await first.submit(THREE, {});
  await held.until(2);
  await stepIs(task, 'each_001', 'complete');
  const before = (await task.steps()).map((s) => [s.id, s.name]);
  await first.close({ drain: 0 });
  held.open();
  const calls: string[] = [];
  const second = await Tutti.open({ store, templates: [three((ctx) => (calls.push(ctx.stepName), cursorOf(ctx).start_cursor))], logger: quiet });
  t.after(() => second.close());
  const again = await second.get(task.id);
  assert.deepEqual(await again.result(), { after: [1, 10, 20] });
  assert.deepEqual(
    (await again.steps()).map((s) => [s.id, s.name]),
    before,
  );
  assert.deepEqual(calls.sort(), ['each_002', 'each_003']);
  assert.deepEqual(
    (await again.steps()).map((s) => s.attempts),
    [1, 1, 1, 1, 2, 2],
  );
});

test('row 44: a worker finds its cursor, facts of the batch and its template in its config', async (t) => {
  const seen: unknown[] = [];
  const t1 = template('rows/inputs@1.0.0')
    .batchable('split', { batchSize: 7, parallelism: 2, onFailure: 'isolate', cursorField: 'row' }, () =>
      batches([{ batch_id: 'eu', start_cursor: 'a', end_cursor: 'm', batch_size: 3, region: 'eu' }], { totalItems: 3 }),
    )
    .batchWorker('each', { of: 'split', config: { currency: 'EUR' } }, ({ config, cursor, batch, input }) => {
      seen.push(config, cursor, batch, input);
      return cursor.region;
    })
    .step('join', { after: ['each'] }, ({ results }) => results.each);
  const tutti = await opened(t, [t1]);
  const task = await tutti.submit(t1, { all: true });
  assert.deepEqual(await task.result(), { join: ['eu'] });
  const cursor = { batch_id: 'eu', start_cursor: 'a', end_cursor: 'm', batch_size: 3, region: 'eu' };
  const facts = { batch_id: 'eu', batch_size: 7, total_items: 3, parallelism: 2, failure_strategy: 'isolate', cursor_field: 'row' };
  assert.deepEqual(seen, [{ currency: 'EUR', cursor, batch_metadata: facts, is_no_op: false, worker_template: 'each' }, cursor, facts, { all: true }]);
});

test('row 45: a worker is tried again as its template says', async (t) => {
  const tutti = await opened(t, [
    three(({ attempt, config }) => {
      if (attempt === 1) throw new Error('the first try fails');
      return (config.cursor as { batch_id: string }).batch_id;
    }),
  ]);
  const task = await tutti.submit(THREE, {});
  assert.deepEqual(await task.result(), { after: ['001', '002', '003'] });
  assert.equal((await task.step('each_002')).attempts, 2);
});

test('row 46: an outcome that is none fails the step for good; no worker comes to be', async (t) => {
  const cursor = { batch_id: '001', start_cursor: 0, end_cursor: 1, batch_size: 1 };
  const cases: [says: RegExp, body: unknown][] = [
    [/cursor_configs must be a list of at least one cursor/, { type: 'create_batches', cursor_configs: [] }],
    [/a batchable step returns/, undefined],
    [/a batchable step returns/, { cursors: [] }],
    [/batch_id "001" is there twice/, { type: 'create_batches', cursor_configs: [cursor, cursor] }],
    [/end_cursor is missing/, { type: 'create_batches', cursor_configs: [{ batch_id: '001', start_cursor: 0, batch_size: 1 }] }],
    [/worker_template_name must be "each"/, { type: 'create_batches', worker_template_name: 'other', cursor_configs: [cursor] }],
    [
      /at most 2000 are allowed/,
      { type: 'create_batches', cursor_configs: cursorsFor(2_001, { batchSize: 1 }).flatMap((c) => [c, { ...c, batch_id: `x${c.batch_id}` }]) },
    ],
    [/there is a step "each_x" already/, { type: 'create_batches', cursor_configs: [{ ...cursor, batch_id: 'x' }] }],
  ];
  let body: unknown;
  const t1 = template('rows/wrong@1.0.0')
    .untyped()
    .step('each_x', () => 1)
    .batchable('split', { after: ['each_x'] }, () => body)
    .batchWorker('each', { of: 'split' }, () => 1)
    .step('join', { after: ['each'] }, () => 1);
  const tutti = await opened(t, [t1]);
  for (const [says, wrong] of cases) {
    body = wrong;
    const task = await tutti.submit(t1.id, {});
    const end = await task.done();
    assert.deepEqual([end.state, ...end.failedSteps.map((s) => [s.name, s.error?.code])], ['error', ['split', 'invalid_batches']]);
    assert.match(end.failedSteps[0].error?.message ?? '', says);
    assert.deepEqual(await shown(task), { each_x: 'complete', split: 'error' });
    assert.equal((await task.step('split')).attempts, 1);
  }
});

describe('decision and batches in one graph', () => {
  const done: Record<string, number> = {};
  const count = (n: number): number => {
    done[n] = (done[n] ?? 0) + 1;
    return n;
  };
  const numbers = template<{ numbers: number[] }>('rows/numbers@1.0.0')
    .step('count_even', ({ input }) => input.numbers.filter((n) => n % 2 === 0))
    .step('count_odd', {}, ({ input }) => input.numbers.filter((n) => n % 2 !== 0))
    .step('validate', ({ input }) => input.numbers.length)
    .decision(
      'choose',
      { after: ['count_even', 'count_odd'] },
      {
        even: (b) =>
          b
            .batchable('analyze_even', { after: ['count_even'], batchSize: 2 }, ({ results }) =>
              batches(cursorsFor(results.count_even.length, { batchSize: 2 })),
            )
            .batchWorker('even_worker', { of: 'analyze_even' }, async ({ cursor, ancestor }) => {
              const all = await ancestor('count_even');
              return all.state === 'complete' ? all.value.slice(cursor.start_cursor, cursor.end_cursor).map(count) : [];
            }),
        odd: (b) =>
          b
            .batchable('analyze_odd', { after: ['count_odd'], batchSize: 2 }, ({ results }) => batches(cursorsFor(results.count_odd.length, { batchSize: 2 })))
            .batchWorker('odd_worker', { of: 'analyze_odd' }, async ({ cursor, ancestor }) => {
              const all = await ancestor('count_odd');
              return all.state === 'complete' ? all.value.slice(cursor.start_cursor, cursor.end_cursor).map(count) : [];
            }),
      },
      ({ results }) => (results.count_even.length >= results.count_odd.length ? to('even') : to('odd')),
    )
    .step('aggregate', { after: { even_worker: 'required', odd_worker: 'required' } }, ({ results }) => ({
      even: results.even_worker?.flat() ?? null,
      odd: results.odd_worker?.flat() ?? null,
    }))
    .returns('aggregate');

  test('row 50: on creation 4 steps exist, and the decision needs 2 parents', async (t) => {
    const held = new Hold();
    const t1 = template('rows/held@1.0.0')
      .untyped()
      .step('count_even', () => held.wait())
      .step('count_odd', () => held.wait())
      .step('validate', () => held.wait())
      .decision('choose', { after: ['count_even', 'count_odd'] }, { even: (b) => b.step('x', () => 1) }, () => to('even'));
    const tutti = await opened(t, [t1]);
    const task = await tutti.submit(t1.id, {});
    await held.until(3);
    assert.equal((await task.view()).totalSteps, 4);
    assert.equal((await task.step('choose')).totalParents, 2);
    held.open();
    assert.equal((await task.done()).state, 'complete');
  });

  const cases: [what: string, given: number[], path: 'even' | 'odd', workers: number][] = [
    ['row 47: 2, 4, 6, 8, 10, 12', [2, 4, 6, 8, 10, 12], 'even', 3],
    ['row 48: 1, 3, 5, 7, 9', [1, 3, 5, 7, 9], 'odd', 3],
    ['row 49: equal counts of 1 to 10', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 'even', 3],
    ['row 51: one odd among many', [2, 4, 6, 8, 1], 'even', 2],
  ];
  for (const [what, given, way, workers] of cases) {
    test(`${what}: the ${way} way only, ${workers} workers, row 52: nothing is done twice`, async (t) => {
      for (const n of Object.keys(done)) delete done[n];
      const tutti = await opened(t, [numbers]);
      const task = await tutti.submit(numbers, { numbers: given });
      const wanted = given.filter((n) => (n % 2 === 0) === (way === 'even'));
      assert.deepEqual(await task.result(), way === 'even' ? { even: wanted, odd: null } : { even: null, odd: wanted });
      const names = (await task.steps()).map((s) => s.name);
      assert.equal(names.filter((n) => n.startsWith(`${way}_worker_`)).length, workers);
      assert.deepEqual(
        names.filter((n) => n.includes(way === 'even' ? 'odd_' : 'even_')),
        [],
      );
      assert.ok((await task.steps()).every((s) => s.state === 'complete'));
      assert.equal((await task.view()).totalSteps, 6 + workers);
      assert.deepEqual(done, Object.fromEntries(wanted.map((n) => [n, 1])));
    });
  }
});
