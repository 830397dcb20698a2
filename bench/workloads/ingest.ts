/** Files into a table: a plan of FileIngestionTask against one plain COPY of the same files by DuckDB with the same memory and cores. */
import { mkdirSync, openSync, writeSync, closeSync, rmSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { Tutti } from '../../src/main.ts';
import { quotePath, quoteText } from '../../src/tables/sql-text.ts';
import { atLeast, verify, type Workload } from '../workload.ts';

const ROWS = 12_500;
const COLUMNS = [
  { name: 'id', type: 'BIGINT' },
  { name: 'at', type: 'TIMESTAMP' },
  { name: 'name', type: 'VARCHAR' },
  { name: 'amount', type: 'DOUBLE' },
  { name: 'note', type: 'VARCHAR' },
];
const MEMORY = '1GB';
/** Files of 1 MB are small: so many of them share a segment. */
const FILES_PER_TASK = 20;

/** About 1 MB each. */
function write(folder: string, files: number): number {
  mkdirSync(folder);
  let bytes = 0;
  for (let f = 0; f < files; f++) {
    const lines = ['id,at,name,amount,note'];
    for (let i = 0; i < ROWS; i++) {
      const id = f * ROWS + i;
      const second = String(id % 60).padStart(2, '0');
      lines.push(
        `${id},2026-11-21 10:${String((id >> 6) % 60).padStart(2, '0')}:${second},customer-${(id * 2654435761) % 100_003},${(id % 9973) / 100},order ${id} of a customer who pays`,
      );
    }
    const text = `${lines.join('\n')}\n`;
    bytes += text.length;
    const fd = openSync(join(folder, `part-${String(f).padStart(4, '0')}.csv`), 'w');
    writeSync(fd, text);
    closeSync(fd);
  }
  return bytes;
}

export const ingestWorkload: Workload = {
  name: 'ingest',
  about: '1,000 CSV files (1 GB) into a table by a plan, twenty to a subtask, against one plain COPY of DuckDB',
  slots: 'one',
  repetitions: { quick: 1, full: 3 },
  limit: 300,
  lines: [
    { metric: 'ratio', unit: 'x', floor: () => 1, budget: () => atLeast(0.8) },
    { metric: 'mb_per_s', unit: 'MB/s', floor: (_, self) => self['copy_mb_per_s'] },
    // As it is left alone: a file to a subtask and a segment.
    { metric: 'ratio_one_by_one', unit: 'x', floor: () => 1 },
    { metric: 'peak_mb', unit: 'MB' },
  ],
  async run(bed) {
    const files = bed.pick(100, 1000);
    const folder = join(bed.dir, 'files');
    const bytes = write(folder, files);
    const copy = async (round: number): Promise<number> => {
      const out = join(bed.dir, `copy-${round}.parquet`);
      const duck = await DuckDBInstance.create(':memory:', { memory_limit: MEMORY });
      const connection = await duck.connect();
      const types = COLUMNS.map((c) => `'${c.name}': '${c.type}'`).join(', ');
      const start = performance.now();
      await connection.run(
        `copy (select * from read_csv(${quoteText(join(folder, '*.csv'))}, header = true, columns = {${types}})) to ${quotePath(out)} (format parquet)`,
      );
      const ms = performance.now() - start;
      connection.closeSync();
      duck.closeSync();
      rmSync(out);
      return ms;
    };
    const tutti = await Tutti.open({ store: bed.file, slots: bed.slots, tables: { folder: join(bed.dir, 'tables'), memory: MEMORY } });
    const ingest = async (table: string, filesPerTask: number): Promise<number> => {
      await tutti.tables.create({ name: table, type: 'OFFLINE', schema: { columns: COLUMNS } });
      // DuckDB is loaded before the clock starts, as for the COPY.
      await tutti.tables.query(table, `select count(*) from ${table}`);
      const settings = { inputDirURI: folder, includeFileNamePattern: '*.csv', filesPerTask, tableMaxNumTasks: filesPerTask > 1 ? 10 : 100 };
      const start = performance.now();
      const plan = await tutti.plans.run('FileIngestionTask', `${table}_OFFLINE`, settings);
      const view = await plan!.done();
      const ms = performance.now() - start;
      verify(view.status === 'COMPLETED' && view.inputsProcessed === files, view.statusMessage);
      const { rows } = await tutti.tables.query(table, `select count(*), sum(id) from ${table}`);
      const n = files * ROWS;
      verify(Number(rows[0][0]) === n && Number(rows[0][1]) === (n * (n - 1)) / 2, `the table has ${JSON.stringify(rows)}`);
      return ms;
    };
    const before = await copy(0);
    const ms = await ingest('orders', FILES_PER_TASK);
    // Right before and right after: the machine's pace changes within half a minute.
    const copyMs = (before + (await copy(1))) / 2;
    const oneByOneMs = await ingest('orders_one_by_one', 1);
    const peak = process.resourceUsage().maxRSS / 1024;
    await tutti.close();
    verify(readdirSync(folder).length === files, 'the files are where they were');
    return {
      ratio: copyMs / ms,
      ratio_one_by_one: copyMs / oneByOneMs,
      mb_per_s: bytes / 1e6 / (ms / 1000),
      copy_mb_per_s: bytes / 1e6 / (copyMs / 1000),
      peak_mb: peak,
    };
  },
};
