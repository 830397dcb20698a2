/**
 * A process that runs queries of callers, one after the other, for query-processes.ts: what a text makes of memory, time or DuckDB itself
 * hits this process and not the engine.
 */
import { writeFileSync } from 'node:fs';
import type { Json } from '../core/definition.ts';
import { isTuttiError } from '../core/errors.ts';
import { Duck } from './duckdb.ts';
import type { QueryAnswer, QueryFiles, QueryMessage, QuerySetup } from './query-processes.ts';
import { type QueryJob, runQuery } from './run-query.ts';

/** Characters of JSON that go to the engine's process at one go. */
const PIECE_CHARS = 262_144;

// When memory runs out, this is the process to go. Where there is no such file there is no such choice.
try {
  writeFileSync('/proc/self/oom_score_adj', '1000');
} catch {}

const setup = JSON.parse(process.argv[2]) as QuerySetup;
// Whoever sent the query ends this process when its time is over: nothing is cancelled in here.
const duck = new Duck({ ...setup, timer: () => () => {} });

/** Files of the job that is coming: a long list is sent in pieces. */
let files: QueryFiles[] = [];
let sendMore = (): void => {};

async function answer(job: QueryJob): Promise<QueryAnswer> {
  for (const f of files) for (const file of f.files) job.sources[f.source].files.push(file);
  files = [];
  try {
    const { columns, rows, truncated } = await runQuery(duck, job);
    for (const piece of pieces(rows)) {
      const asked = new Promise<void>((resolve) => (sendMore = resolve));
      process.send?.({ rows: piece } satisfies QueryAnswer);
      await asked;
    }
    return { ok: true, columns, truncated };
  } catch (e) {
    const message = e instanceof Error ? e.message : String(e);
    return isTuttiError(e) ? { ok: false, code: e.code, field: e.field, message } : { ok: false, code: 'INTERNAL', message };
  }
}

/** Rows of so many characters together that reading them takes nobody long. */
function* pieces(rows: readonly Json[][]): Generator<Json[][]> {
  let piece: Json[][] = [];
  let chars = 0;
  for (const row of rows) {
    piece.push(row);
    chars += JSON.stringify(row).length;
    if (chars < PIECE_CHARS) continue;
    yield piece;
    piece = [];
    chars = 0;
  }
  if (piece.length > 0) yield piece;
}

process.on('disconnect', () => process.exit());
process.on('message', (message: QueryMessage) => {
  if ('files' in message) files.push(message);
  else if ('more' in message) sendMore();
  else void answer(message.job).then((a) => process.send?.(a));
});
