/** What the files of each format become, and what is said of bad ones: file, line and column. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { fileIngestion } from '../../../src/tables/types/file-ingestion.ts';
import { readProblem } from '../../../src/tables/types/file-error.ts';
import { formatOf } from '../../../src/tables/types/file-source.ts';
import { type DrivenPlan, drivePlan } from './plan-driver.ts';
import { type TaskTable, taskTable } from './task-table.ts';

const COLUMNS = { id: 'BIGINT', name: 'VARCHAR', at: 'TIMESTAMP', price: 'DECIMAL(10,2)' };

const ingest = (t: TaskTable, settings: Record<string, string> = {}): Promise<DrivenPlan> =>
  drivePlan({
    resources: t.resources,
    type: fileIngestion(t.x),
    resource: t.id,
    settings: { inputDirURI: `file://${t.input}`, maxAttemptsPerFile: '1', ...settings },
  });

const row = (id: number, name: string | null = null, at: string | null = null, price: number | null = null): Record<string, unknown> => ({
  id,
  name,
  at,
  price,
});

const GOOD: { file: string; text: string; settings?: Record<string, string>; rows: Record<string, unknown>[] }[] = [
  { file: 'plain.csv', text: 'id,name,at,price\n1,x,2026-01-02 03:04:05,1.5\n', rows: [row(1, 'x', '2026-01-02T03:04:05', 1.5)] },
  { file: 'order.csv', text: 'price,ID,extra\r\n2.25,7,zzz\r\n', rows: [row(7, null, null, 2.25)] },
  { file: 'quotes.csv', text: 'id,"na""me",name\n1,x,"a,""b""\nc"\n2,y,\n', rows: [row(1, 'a,"b"\nc'), row(2)] },
  // No quotes in the first 20,000 lines, which is what a guess would look at.
  { file: 'late.csv', text: `id,name\n${'1,x\n'.repeat(30_000)}2,"a,b"\n`, rows: [] },
  { file: 'tabs.tsv', text: 'id\tname\n1\ta,b\n', rows: [row(1, 'a,b')] },
  { file: 'semi.csv', text: 'id;name\n1;a,b\n', rows: [row(1, 'a,b')] },
  { file: 'given.csv', text: 'id^name\n1^a,b\n', settings: { csvDelimiter: '^' }, rows: [row(1, 'a,b')] },
  { file: 'bare.csv', text: '1,x\n2,y\n', settings: { csvHeader: 'false' }, rows: [row(1, 'x'), row(2, 'y')] },
  { file: 'bom.csv', text: '\uFEFFid,name\n1,x\n', rows: [row(1, 'x')] },
  { file: 'empty.csv', text: '', rows: [] },
  { file: 'blank.csv', text: '\n\n', rows: [] },
  { file: 'head.csv', text: 'id,name\n', rows: [] },
  { file: 'one.csv', text: 'id\n5\n6\n', rows: [row(5), row(6)] },
  { file: 'times.csv', text: 'id,at\n1,02/01/2026 03:04\n', settings: { timestampFormat: '%d/%m/%Y %H:%M' }, rows: [row(1, null, '2026-01-02T03:04:00')] },
  { file: 'lines.jsonl', text: '{"id":1,"name":"x","more":[1]}\n\n{"id":"2"}\n', rows: [row(1, 'x'), row(2)] },
  { file: 'list.json', text: '[{"id":1},\n{"id":2,"at":"2026-01-02T03:04:05Z"}]', rows: [row(1), row(2, null, '2026-01-02T03:04:05')] },
  { file: 'records.json', text: '{"id":1}\n{"id":2}', rows: [row(1), row(2)] },
  { file: `odd 'n[a]me*.csv`, text: 'id\n1\n', rows: [row(1)] },
];

for (const { file, text, settings, rows } of GOOD) {
  test(`${file} is read`, async (t) => {
    const table = await taskTable(t, COLUMNS);
    table.file(file, text);
    const plan = await ingest(table, settings);
    assert.deepEqual([plan.status, plan.stats.failedFiles], ['COMPLETED', '0'], plan.message);
    if (file === 'late.csv') assert.deepEqual(await table.rows(`SELECT count(*) AS n, max(name) FILTER (id = 2) AS last FROM t`), [{ n: 30_001, last: 'a,b' }]);
    else assert.deepEqual(await table.rows('SELECT * FROM t ORDER BY id'), rows);
  });
}

test('compressed text and Parquet are read, columns go by their names', async (t) => {
  const table = await taskTable(t, COLUMNS);
  writeFileSync(path.join(table.input, 'a.csv.gz'), gzipSync('id,name\n1,x\n'));
  writeFileSync(path.join(table.input, 'b.jsonl.gz'), gzipSync('{"id":2}\n'));
  await table.duck.run(`COPY (SELECT '3' AS "ID", 9 AS other, '1.25' AS price) TO '${path.join(table.input, 'c.parquet')}' (FORMAT parquet)`);
  const plan = await ingest(table);
  assert.equal(plan.stats.failedFiles, '0', plan.message);
  assert.deepEqual(await table.rows('SELECT id, name, price FROM t ORDER BY id'), [
    { id: 1, name: 'x', price: null },
    { id: 2, name: null, price: null },
    { id: 3, name: null, price: 1.25 },
  ]);
});

const BAD: { file: string; text: string; says: RegExp }[] = [
  { file: 'type.csv', text: 'id,name\n1,x\n"2","y\nz"\nabc,w\n', says: /^type\.csv, line 5, column id: Could not convert string "abc" to 'BIGINT'$/ },
  { file: 'blank.csv', text: '\nid,name\n1,x\n', says: /^blank\.csv, line 1: it is empty, where the header should be$/ },
  { file: 'gap.csv', text: 'id,name\n1,x\n\n\nabc,w\n', says: /^gap\.csv, line 5, column id: / },
  { file: 'short.csv', text: 'id,name,at\n1,x,2026-01-01\n2,y\n', says: /^short\.csv, line 3: Expected Number of Columns: 3 Found: 2$/ },
  { file: 'twice.csv', text: 'id,name,ID\n1,x,2\n', says: /^twice\.csv, line 1: the header names column id twice$/ },
  { file: 'type.jsonl', text: '{"id":1}\n\n{"id":2,"price":"much"}\n', says: /^type\.jsonl, line 3, column price: / },
  { file: 'other.csv', text: 'a,b\n1,x\n', says: /^other\.csv, line 1: the header names none of the table's columns, which are id, name, at, price$/ },
  { file: 'utf16.csv', text: 'i\0d\0\n\x001\0', says: /^utf16\.csv, line 1: the header names none/ },
  { file: 'broken.jsonl', text: '{"id":1}\n{"id":2\n', says: /^broken\.jsonl, line 2: malformed JSON: / },
  { file: 'type.json', text: '[{"id":1},{"id":"x"}]', says: /^type\.json, line 2, column id: / },
  { file: 'no.parquet', text: 'id\n1\n', says: /^no\.parquet: .*(?:magic bytes|too small)/ },
  { file: 'what.bin', text: 'x', says: /^what\.bin: its name does not say its format/ },
];

for (const { file, text, says } of BAD) {
  test(`${file} is refused by line and column`, async (t) => {
    const table = await taskTable(t, COLUMNS);
    table.file(file, text);
    const plan = await ingest(table);
    assert.equal(plan.batches[0].failed, 1);
    assert.match(plan.batches[0].errors[0], says);
    assert.deepEqual(await table.rows(), []);
  });
}

test('a Parquet file of other columns is refused', async (t) => {
  const table = await taskTable(t, COLUMNS);
  await table.duck.run(`COPY (SELECT 1 AS other) TO '${path.join(table.input, 'p.parquet')}' (FORMAT parquet)`);
  const plan = await ingest(table);
  assert.match(plan.batches[0].errors[0], /^p\.parquet: it has none of the table's columns, which are id, name, at, price$/);
});

test('a bad value of a Parquet file is found by its row', async (t) => {
  const table = await taskTable(t, COLUMNS);
  await table.duck.run(`COPY (SELECT if(i = 4000, 'x', i::VARCHAR) AS id FROM range(5000) r(i)) TO '${path.join(table.input, 'p.parquet')}' (FORMAT parquet)`);
  const plan = await ingest(table);
  assert.deepEqual(plan.batches[0].errors, ['p.parquet, line 4001, column id: Could not convert "x" to BIGINT']);
});

test('long lines and long records are read whole; small files take little memory each', async (t) => {
  const table = await taskTable(t, COLUMNS);
  const long = 'é'.repeat(800_000);
  table.file('a.csv', `id,name\n1,x\n2,${long}\n3,y\n`);
  table.file('b.json', JSON.stringify([{ id: 4, name: long + long }]));
  table.file('c.jsonl', `${JSON.stringify({ id: 5, name: long + long })}\n{"id":6}\n`);
  for (let i = 0; i < 20; i++) table.file(`d${i}.csv`, `id,name\n${100 + i},"${`${i}\n`.repeat(60_000)}"\n`);
  const plan = await ingest(table);
  assert.equal(plan.stats.failedFiles, '0', plan.message);
  assert.deepEqual(await table.rows('SELECT id, length(name) AS n FROM t WHERE id < 10 ORDER BY id'), [
    { id: 1, n: 1 },
    { id: 2, n: 800_000 },
    { id: 3, n: 1 },
    { id: 4, n: 1_600_000 },
    { id: 5, n: 1_600_000 },
    { id: 6, n: null },
  ]);
});

test('a file is cut into segments of so many rows', async (t) => {
  const table = await taskTable(t, COLUMNS);
  table.file('a.csv', `id\n${Array.from({ length: 25 }, (_, i) => i).join('\n')}\n`);
  await ingest(table, { maxRowsPerSegment: '10' });
  assert.deepEqual(
    (await table.visible()).map((s) => s.segment.rows).toSorted((a, b) => a - b),
    [5, 10, 10],
  );
  assert.deepEqual(await table.rows('SELECT count(*) AS n, count(DISTINCT id) AS d, sum(id) AS s FROM t'), [{ n: 25, d: 25, s: 300 }]);
  await assert.rejects(async () => {
    const plan = await ingest(table, { maxRowsPerSegment: '0' });
    return plan;
  }, /maxRowsPerSegment must be a whole number from 1 to/);
});

test('formats by name, and the parts of messages', () => {
  assert.deepEqual(
    ['a.CSV', 'a.tsv.gz', 'a.ndjson', 'a.parquet', 'a.parquet.gz', 'csv', 'a.'].map((f) => formatOf(f, 'auto')),
    ['csv', 'csv', 'jsonl', 'parquet', null, null, null],
  );
  assert.equal(formatOf('x', 'json'), 'json');
  assert.deepEqual(readProblem('Out of Memory Error: could not allocate\nmore'), { line: null, column: null, message: 'could not allocate' });
  assert.equal(readProblem(`IO Error: ${'x'.repeat(1000)}`).message.length, 300);
});
