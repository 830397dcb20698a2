/**
 * A process that runs queries of callers, one after the other, for query-processes.ts: what a text makes of memory, time or DuckDB itself
 * hits this process and not the engine.
 */
import { writeFileSync } from 'node:fs';
import { isTuttiError } from '../core/errors.ts';
import { Duck } from './duckdb.ts';
import type { QueryAnswer, QuerySetup } from './query-processes.ts';
import { type QueryJob, runQuery } from './run-query.ts';

// When memory runs out, this is the process to go. Where there is no such file there is no such choice.
try {
  writeFileSync('/proc/self/oom_score_adj', '1000');
} catch {}

const setup = JSON.parse(process.argv[2]) as QuerySetup;
// Whoever sent the query ends this process when its time is over: nothing is cancelled in here.
const duck = new Duck({ ...setup, timer: () => () => {} });

async function answer(job: QueryJob): Promise<QueryAnswer> {
  try {
    return { ok: true, result: await runQuery(duck, job) };
  } catch (e) {
    const message = e instanceof Error ? e.message : String(e);
    return isTuttiError(e) ? { ok: false, code: e.code, field: e.field, message } : { ok: false, code: 'INTERNAL', message };
  }
}

process.on('disconnect', () => process.exit());
process.on('message', (job: QueryJob) => {
  void answer(job).then((a) => process.send?.(a));
});
