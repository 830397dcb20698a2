/** `npm run example csv`: a real file of 1,000 rows, five workers, and totals that are counted here in another way. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { csvInventory } from '../../examples/csv-inventory.ts';
import { INVENTORY_ROWS, inventoryCsv } from '../../examples/data/make-inventory.ts';
import { Tutti } from '../../src/main.ts';

const file = (name: string): string => new URL(`../../examples/${name}`, import.meta.url).pathname;
const csv = readFileSync(file('data/inventory.csv'), 'utf8');

/** From the right: no number has a comma in it, whatever the names have. */
const numbers = csv
  .trimEnd()
  .split('\n')
  .slice(1)
  .map((line) => /,(\w+),(\d+),(\d+),W\d$/.exec(line) as RegExpExecArray)
  .map(([, category, quantity, price]) => ({ category, quantity: Number(quantity), value: Number(quantity) * Number(price) }));
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

test('the file is what its script writes, with names that need quotes', () => {
  assert.equal(csv, inventoryCsv());
  assert.equal(numbers.length, INVENTORY_ROWS);
  assert.ok(csv.includes('""') && /"[^"\n]*,/.test(csv));
});

test('five workers of 200 rows each, and an aggregate over all 1,000', async (t) => {
  const tutti = await Tutti.open({ store: ':memory:', templates: [csvInventory] });
  t.after(() => tutti.close());
  const task = await tutti.submit(csvInventory, {});
  const result = await task.result();
  const { categories, dearest, ...totals } = result;
  assert.deepEqual(totals, { rows: 1000, quantity: sum(numbers.map((n) => n.quantity)), value_cents: sum(numbers.map((n) => n.value)), workers: 5 });
  assert.deepEqual(
    Object.fromEntries(Object.entries(categories).map(([name, c]) => [name, [c.rows, c.quantity, c.value_cents]])),
    Object.fromEntries(
      [...Map.groupBy(numbers, (n) => n.category)].map(([name, of]) => [name, [of.length, sum(of.map((n) => n.quantity)), sum(of.map((n) => n.value))]]),
    ),
  );
  assert.equal(dearest?.value_cents, Math.max(...numbers.map((n) => n.value)));
  const steps = await task.steps();
  assert.deepEqual(
    steps.map((s) => [s.name, s.state]),
    ['analyse', 'aggregate', ...['001', '002', '003', '004', '005'].map((id) => `count_rows_${id}`)].map((name) => [name, 'complete']),
  );
  for (const s of steps.filter((x) => x.name.startsWith('count_rows_'))) assert.equal((s.result as { rows: number }).rows, 200);
});

test('other sizes of a batch give the same totals', async (t) => {
  const tutti = await Tutti.open({ store: ':memory:', templates: [csvInventory] });
  t.after(() => tutti.close());
  for (const [batch_rows, workers] of [
    [1000, 1],
    [333, 4],
    [7, 143],
  ]) {
    const result = await (await tutti.submit(csvInventory, { batch_rows })).result();
    assert.deepEqual([result.rows, result.workers, result.value_cents], [1000, workers, sum(numbers.map((n) => n.value))]);
  }
});

test('a file that is not there, or of other columns, fails for good and says why', async (t) => {
  const tutti = await Tutti.open({ store: ':memory:', templates: [csvInventory], logger: () => undefined });
  t.after(() => tutti.close());
  for (const [name, says] of [
    ['nowhere.csv', /there is no file nowhere\.csv/],
    ['../csv-inventory.ts', /must be the name of a file/],
    ['orders.json', /must have the columns/],
  ] as const) {
    const end = await (await tutti.submit(csvInventory, { file: name })).done();
    assert.equal(end.state, 'error');
    assert.match(end.failedSteps[0].error?.message ?? '', says);
  }
});

test('npm run example csv prints them and exits with 0; of no file, with 1', async () => {
  const run = promisify(execFile);
  const args = ['--conditions=tutti-source', '--disable-warning=ExperimentalWarning', file('run-example.ts'), 'csv'];
  const { stdout } = await run(process.execPath, args);
  assert.match(stdout, /1,000 rows by 5 workers/);
  assert.equal(stdout.match(/✔/g)?.length, 7);
  await assert.rejects(run(process.execPath, [...args, 'nowhere.csv']), { code: 1, stdout: /✘ analyse: there is no file/ });
});
