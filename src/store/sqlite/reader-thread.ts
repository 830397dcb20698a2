/** Body of the reader's thread: answers list queries from a read-only connection, one statement at a time, so that no snapshot lives long. */
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { type ListArgs, ListQueries, type ListVerb } from './list-queries.ts';
import { sqliteCode } from './failure.ts';

export type ReaderRequest = { id: number; verb: ListVerb; q: ListArgs<ListVerb> } | { close: true };
export type ReaderAnswer = { id: number; value: unknown } | { id: number; message: string; errcode: number };

const { path } = workerData as { path: string };
const port = parentPort;
if (port === null) throw new Error('reader-thread is the body of a worker thread');

let db: DatabaseSync | undefined;
let queries: ListQueries | undefined;

const open = (): ListQueries => {
  db = new DatabaseSync(path, { readOnly: true });
  db.exec('pragma busy_timeout = 2000; pragma cache_size = -8192; pragma temp_store = memory; pragma trusted_schema = off');
  return new ListQueries(db);
};

port.on('message', (request: ReaderRequest) => {
  if ('close' in request) {
    db?.close();
    port.close();
    return;
  }
  let answer: ReaderAnswer;
  try {
    queries ??= open();
    answer = { id: request.id, value: queries.run(request.verb, request.q) };
  } catch (e) {
    answer = { id: request.id, message: e instanceof Error ? e.message : String(e), errcode: sqliteCode(e) };
  }
  port.postMessage(answer);
});
