import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BatchCursor, type BatchPlan, cursorsFor, MAX_BATCH_WORKERS, parseBatches, planBatches } from '../../src/core/batches.ts';
import { type BatchConfig, DEFAULT_BATCH, type JsonObject } from '../../src/core/definition.ts';

const config: BatchConfig = { ...DEFAULT_BATCH, workerTemplate: 'process_csv_batch', batchSize: 200, parallelism: 5, cursorField: 'row' };
const cursor = (batch_id: string, more: object = {}): JsonObject => ({ batch_id, start_cursor: 0, end_cursor: 10, batch_size: 10, ...more });
const created = (cursors: unknown, more: object = {}): JsonObject => ({ type: 'create_batches', cursor_configs: cursors, ...more }) as JsonObject;
const parsed = (body: unknown, c: BatchConfig = config): BatchPlan => {
  const plan = parseBatches(body, c);
  return 'error' in plan ? assert.fail(plan.error) : plan;
};
const free = (): boolean => false;

describe('row 41: items, batches of 1000, at most 10 workers', () => {
  for (const [items, workers] of [
    [0, 0],
    [1, 1],
    [1000, 1],
    [1001, 2],
    [3500, 4],
    [10_000, 10],
    [10_001, 10],
    [25_000, 10],
  ]) {
    test(`${items} items make ${workers} workers, which do each item once`, () => {
      const cursors = cursorsFor(items, { batchSize: 1000, maxWorkers: 10 });
      assert.equal(cursors.length, workers);
      let at = 0;
      for (const c of cursors) {
        assert.equal(c.start_cursor, at);
        assert.equal(c.batch_size, (c.end_cursor as number) - at);
        assert.ok(c.batch_size > 0);
        at = c.end_cursor as number;
      }
      assert.equal(at, items);
    });
  }
});

test('row 38: 1000 rows in batches of 200 are five workers, _001 to _005', () => {
  const plan = parsed(created(cursorsFor(1000, { batchSize: 200 }), { worker_template_name: 'process_csv_batch', worker_count: 5, total_items: 1000 }));
  const planned = planBatches(plan, config, undefined, free);
  assert.deepEqual(
    'workers' in planned ? planned.workers.map((w) => w.name) : [],
    [1, 2, 3, 4, 5].map((n) => `process_csv_batch_00${n}`),
  );
});

test('row 40: 5000 items in batches of 1000 are five workers', () => assert.equal(cursorsFor(5000, { batchSize: 1000 }).length, 5));

test('row 44: a worker is told its cursor, the batch and what its template says', () => {
  const plan = parsed(created([cursor('a', { only: ['x'] })], { total_items: 10 }));
  assert.deepEqual(planBatches(plan, config, { file: 'stock.csv' }, free), {
    workers: [
      {
        name: 'process_csv_batch_a',
        batchId: 'a',
        isNoOp: false,
        inputs: {
          file: 'stock.csv',
          cursor: { batch_id: 'a', start_cursor: 0, end_cursor: 10, batch_size: 10, only: ['x'] },
          batch_metadata: {
            batch_id: 'a',
            batch_size: 200,
            total_items: 10,
            parallelism: 5,
            failure_strategy: 'continue_on_failure',
            cursor_field: 'row',
          },
          is_no_op: false,
          worker_template: 'process_csv_batch',
        },
      },
    ],
  });
});

test('no batches make one placeholder, 000', () => {
  for (const body of [{ type: 'no_batches' }, { batch_processing_outcome: { type: 'no_batches' } }]) {
    const planned = planBatches(parsed(body), config, { file: 'x' }, free);
    assert.ok('workers' in planned);
    assert.equal(planned.workers.length, 1);
    const { name, isNoOp, inputs } = planned.workers[0];
    assert.deepEqual([name, isNoOp, inputs.is_no_op, inputs.file], ['process_csv_batch_000', true, true, 'x']);
  }
});

test('a worker is never called like another step', () => {
  const planned = planBatches(parsed(created([cursor('1'), cursor('2')])), config, undefined, (name) => name === 'process_csv_batch_2');
  assert.match('error' in planned ? planned.error : '', /"process_csv_batch_2" already/);
});

test('an outcome within a larger result is read, and a total that is not told is null', () => {
  assert.deepEqual(parsed({ batch_processing_outcome: created([cursor('1')]), rows: 3 }), { cursors: [cursor('1')], totalItems: null });
});

test('cursors may be text, dates and the like', () => {
  const c = cursor('1', { start_cursor: 'a@x', end_cursor: null }) as BatchCursor;
  assert.deepEqual(parsed(created([c])).cursors, [c]);
});

describe('errors', () => {
  const many = Array.from({ length: MAX_BATCH_WORKERS + 1 }, (_, i) => cursor(String(i + 1)));
  const cases: [what: string, body: unknown, says: RegExp][] = [
    ['row 46: an empty list', created([]), /at least one cursor/],
    ['no outcome', { rows: 3 }, /a batchable step returns/],
    ['nothing', null, /a batchable step returns/],
    ['another outcome', { type: 'create_steps', step_names: ['a'] }, /a batchable step returns/],
    ['no list', created('all'), /list/],
    ['another worker', created([cursor('1')], { worker_template_name: 'other' }), /must be "process_csv_batch"/],
    ['another count', created([cursor('1')], { worker_count: 2 }), /worker_count must be 1, the number/],
    ['a total that is none', created([cursor('1')], { total_items: 1.5 }), /total_items/],
    ['too many', created(many), /2001 cursors; at most 2000/],
    ['an id twice', created([cursor('1'), cursor('2'), cursor('1')]), /cursor_configs\[2\]\.batch_id "1" is there twice/],
    ['an id that is no name', created([cursor('a b')]), /cursor_configs\[0\]\.batch_id must be letters/],
    ['an id too long', created([cursor('x'.repeat(111))]), /at most 128/],
    ['a number as id', created([cursor('1', { batch_id: 1 })]), /\.batch_id must be text/],
    ['the placeholder’s id', created([cursor('000')]), /stands for no batches/],
    ['no start', created([cursor('1', { start_cursor: undefined })]), /\.start_cursor is missing/],
    ['no end', created([cursor('1', { end_cursor: undefined })]), /\.end_cursor is missing/],
    ['no size', created([cursor('1', { batch_size: undefined })]), /\.batch_size/],
    ['a cursor that is none', created(['1']), /cursor_configs\[0\] must be an object/],
  ];
  for (const [what, body, says] of cases) {
    test(what, () => {
      const plan = parseBatches(body, config);
      assert.match('error' in plan ? plan.error : '', says);
    });
  }
  for (const [field, make] of [
    ['totalItems', () => cursorsFor(-1)],
    ['totalItems', () => cursorsFor(1.5)],
    ['batchSize', () => cursorsFor(10, { batchSize: 0 })],
    ['maxWorkers', () => cursorsFor(10, { maxWorkers: 2_001 })],
  ] as const) {
    test(`cursorsFor: ${field}`, () => assert.throws(make, { code: 'INVALID_INPUT', field }));
  }
});

test('ten thousand workers are planned in one go', () => {
  const plan = parsed(created(cursorsFor(1_000_000, { batchSize: 1 })));
  assert.equal(plan.cursors.length, MAX_BATCH_WORKERS);
  const planned = planBatches(plan, config, undefined, free);
  assert.equal('workers' in planned && new Set(planned.workers.map((w) => w.name)).size, MAX_BATCH_WORKERS);
});
