import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handler, template, Tutti } from '../../src/main.ts';

test('an embedded engine lists its handlers, runs built-in ones, checks inputs, and counts errors of hooks', async (t) => {
  const said: string[] = [];
  const flow = template('tests/facts@1.0.0')
    .step('cpu', { handler: 'system_info' })
    .step('strict', { after: ['cpu'], handler: 'strict', allowFailure: true })
    .step('all', { after: { cpu: 'required', strict: 'optional' }, handler: 'aggregate_results_executor' });
  const tutti = await Tutti.open({
    store: ':memory:',
    tables: false,
    templates: [flow],
    handlers: [handler('strict', () => 'never', { inputSchema: { required: ['gone'] }, cancelable: false, description: 'Wants more' })],
    logger: (level, message) => void said.push(`${level}: ${message}`),
  });
  t.after(() => tutti.close());

  const views = tutti.engine.handlers();
  assert.deepEqual(
    views.map((h) => h.id),
    ['aggregate_results', 'strict', 'system_info'],
  );
  assert.deepEqual([views[1].description, views[1].cancelable], ['Wants more', false]);

  const seen: string[] = [];
  tutti.hooks({
    beforeStep: (ctx) => void seen.push(`before ${ctx.stepName}`),
    afterStep: (ctx, outcome) => {
      seen.push(`after ${ctx.stepName} ${outcome.ok ? 'well' : outcome.error.code}`);
      throw new Error('of a hook');
    },
  });
  const task = await tutti.submit(flow, { resource: 'cpu' });
  const result = (await task.result()) as { all: { results: Record<string, unknown>; failed: { name: string; error: { code: string } }[] } };
  assert.deepEqual(Object.keys(result.all.results), ['cpu']);
  assert.deepEqual(
    result.all.failed.map((f) => [f.name, f.error.code]),
    [['strict', 'invalid_input']],
  );
  assert.equal((await task.step('strict')).attempts, 1);
  assert.deepEqual(seen, ['before cpu', 'after cpu well', 'before strict', 'after strict invalid_input', 'before all', 'after all well']);
  assert.equal(tutti.engine.metrics().hookErrors, 3);
  assert.equal(said.filter((line) => line === 'warn: the hook afterStep threw').length, 3);
});
