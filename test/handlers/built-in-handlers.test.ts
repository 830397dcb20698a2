import assert from 'node:assert/strict';
import { availableParallelism, totalmem } from 'node:os';
import { describe, test } from 'node:test';
import type { Assignment, AttemptOutcome, DependencyResult } from '../../src/engine/worker-port.ts';
import type { AggregatedResults } from '../../src/handlers/aggregate-results.ts';
import { builtInHandlers } from '../../src/handlers/built-in-handlers.ts';
import type { SystemInfo } from '../../src/handlers/system-info.ts';
import { systemInfo } from '../../src/handlers/system-info.ts';
import { HandlerRegistry } from '../../src/sdk/handler-registry.ts';
import { problemOfSchema } from '../../src/sdk/input-schema.ts';
import type { UntypedStepContext } from '../../src/sdk/step-types.ts';
import { assignment, withResults } from '../sdk/fake-worker-port.ts';
import { watchedWorker, type WatchedWorker } from '../sdk/watched-worker.ts';

const worker = (): WatchedWorker => {
  const w = watchedWorker();
  w.registry.registerAll(builtInHandlers(() => Date.UTC(2026, 0, 2)));
  return w;
};
const valueOf = (outcome: AttemptOutcome): unknown => {
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return JSON.parse(outcome.body);
};

describe('system_info', () => {
  const ask = async (input: unknown, more: Partial<Assignment> = {}): Promise<AttemptOutcome> =>
    await worker().run(assignment({ handler: 'system_info', input: JSON.stringify(input), ...more }));

  test('gives what was asked for, and facts', async () => {
    const cpu = valueOf(await ask({ resource: 'cpu' })) as SystemInfo;
    assert.deepEqual(Object.keys(cpu), ['cpu']);
    assert.equal(cpu.cpu?.cores, availableParallelism());
    const memory = valueOf(await ask({ resource: 'memory' })) as SystemInfo;
    assert.deepEqual(Object.keys(memory), ['memory']);
    assert.equal(memory.memory?.total_bytes, totalmem());
    const { disk } = valueOf(await ask({ resource: 'disk' })) as SystemInfo;
    assert.ok(disk !== undefined && disk.total_bytes > 0 && disk.free_bytes <= disk.total_bytes && disk.used_percent >= 0 && disk.used_percent <= 100);
  });

  test('by default all of it; its alias is it', async () => {
    assert.deepEqual(Object.keys(valueOf(await ask({})) as SystemInfo), ['system', 'cpu', 'memory', 'disk']);
    assert.deepEqual(Object.keys(valueOf(await ask({ resource: 'all' }, { handler: 'system_info_executor' })) as SystemInfo), [
      'system',
      'cpu',
      'memory',
      'disk',
    ]);
  });

  test('the resource may come from merged inputs, and a result does not overrule the next one', async () => {
    const w = worker();
    const first = await w.run(assignment({ handler: 'system_info', input: '{"resource":"cpu"}', mergedInputs: true }));
    assert.ok(first.ok);
    const next = withResults([['cpu', true, { state: 'complete', body: first.body }]], {
      handler: 'system_info',
      input: '{"resource":"memory"}',
      mergedInputs: true,
      token: 2,
    });
    assert.deepEqual(Object.keys(valueOf(await w.run(next)) as SystemInfo), ['memory']);
  });

  test('a resource that there is not fails for good', async () => {
    for (const resource of ['gpu', null, 7]) {
      const outcome = await ask({ resource });
      assert.ok(!outcome.ok);
      assert.deepEqual([outcome.error.code, outcome.error.retryable], ['invalid_input', false]);
      assert.match(outcome.error.message, /input\.resource must be one of cpu, memory, disk, all/);
    }
    // Also when it is called by other code, past the schema.
    await assert.rejects(systemInfo({ inputs: { resource: 'gpu' } } as unknown as UntypedStepContext), { name: 'PermanentError', code: 'invalid_input' });
  });
});

describe('aggregate_results', () => {
  const complete = (value: unknown): DependencyResult => ({ state: 'complete', body: JSON.stringify(value) });
  const THREE: [string, boolean, DependencyResult][] = [
    ['10', true, complete({ n: 1 })],
    ['2', true, complete(null)],
    ['c', false, complete([3])],
  ];

  test('spec/apflow.md §8.2 row 32: three dependencies, by name and by id', async () => {
    const a = withResults(THREE, { handler: 'aggregate_results', dependencyIds: ['id-10', 'id-2', 'id-c'] });
    assert.deepEqual(valueOf(await worker().run(a)), {
      summary: '3 results',
      timestamp: '2026-01-02T00:00:00.000Z',
      results: { 10: { n: 1 }, 2: null, c: [3] },
      results_by_id: { 'id-10': { n: 1 }, 'id-2': null, 'id-c': [3] },
      result_count: 3,
      failed: [],
    });
  });

  test('its alias is it; without ids there is nothing by id', async () => {
    const found = valueOf(await worker().run(withResults(THREE, { handler: 'aggregate_results_executor' }))) as AggregatedResults;
    assert.deepEqual([found.result_count, found.results_by_id], [3, {}]);
  });

  test('optional dependencies without a result are left out and listed', async () => {
    const a = withResults(
      [
        ['good', true, complete(1)],
        ['bad', false, { state: 'error', error: { code: 'x', message: 'broke', retryable: false, stack: 'at …' } }],
        ['ended', false, { state: 'cancelled', reason: 'dependency_failed' }],
        ['resolved', true, { state: 'resolved_manually' }],
      ],
      { handler: 'aggregate_results', dependencyIds: ['1', '2', '3', '4'] },
    );
    const found = valueOf(await worker().run(a)) as AggregatedResults;
    assert.deepEqual(found.results, { good: 1 });
    assert.equal(found.result_count, 1);
    assert.equal(found.summary, '1 result; without one: bad, ended');
    assert.deepEqual(found.failed, [
      { name: 'bad', id: '2', state: 'error', error: { code: 'x', message: 'broke', retryable: false } },
      { name: 'ended', id: '3', state: 'cancelled', reason: 'dependency_failed' },
    ]);
  });

  test('two with one name are both there by id', async () => {
    const twins: typeof THREE = [
      ['same', true, complete(1)],
      ['same', true, complete(2)],
    ];
    const found = valueOf(await worker().run(withResults(twins, { handler: 'aggregate_results', dependencyIds: ['a', 'b'] }))) as AggregatedResults;
    assert.deepEqual([found.results, found.results_by_id, found.result_count], [{ same: 2 }, { a: 1, b: 2 }, 2]);
  });

  test('results that are too many to be sent along are read page by page', async () => {
    const w = worker();
    const many = Array.from({ length: 250 }, (_, i): [string, boolean, DependencyResult] => [`d${i}`, true, complete(i)]);
    w.port.stored = many;
    const a = withResults(many, { handler: 'aggregate_results', dependencyIds: many.map(([name]) => `id-${name}`) });
    const found = valueOf(await w.run({ ...a, results: null })) as AggregatedResults;
    assert.equal(found.result_count, 250);
    assert.equal(found.results_by_id['id-d249'], 249);
    assert.deepEqual(w.port.pages, [0, 100, 200]);
    const nameless = valueOf(await w.run({ ...a, token: 2, results: null, dependencyIds: undefined })) as AggregatedResults;
    assert.deepEqual([nameless.result_count, nameless.results_by_id], [250, {}]);
  });
});

test('both are described, and a registration of the same name goes before them', async () => {
  const w = worker();
  assert.deepEqual(
    w.registry.describe().map((h) => [h.id, h.aliases, h.source]),
    [
      ['aggregate_results', ['aggregate_results_executor'], 'built-in'],
      ['system_info', ['system_info_executor'], 'built-in'],
    ],
  );
  assert.deepEqual(w.registry.describe()[1].inputSchema, {
    type: 'object',
    properties: { resource: { enum: ['cpu', 'memory', 'disk', 'all'], default: 'all' } },
  });
  w.registry.register('system_info', () => 'mine');
  assert.deepEqual(await w.run(assignment({ handler: 'system_info_executor' })), { ok: true, body: '"mine"' });
});

test('the schemas that built-in handlers show are JSON Schemas', () => {
  const registry = new HandlerRegistry();
  registry.registerAll(builtInHandlers(() => 0));
  const shown = registry.describe().flatMap((h) => [h.inputSchema, h.outputSchema].filter((s) => s !== null));
  assert.equal(shown.length, 2);
  for (const schema of shown) assert.equal(problemOfSchema(schema), null);
});
