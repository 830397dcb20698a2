/** One query of a caller, as it is carried out in a process of its own. */
import path from 'node:path';
import { TuttiError } from '../core/errors.ts';
import type { Duck, DuckResult } from './duckdb.ts';
import { guardSelect } from './sql-guard.ts';
import { quoteName, quotePaths } from './sql-text.ts';

/** Files of the same columns: `SELECT …` of what is in them; without files it is the whole of it. */
export interface QuerySource {
  select: string;
  files: string[];
}

export interface QueryJob {
  /** Paths of files begin there. */
  folder: string;
  /** The table: all of these. Nothing but their files can be seen. */
  sources: QuerySource[];
  /** Under which it goes. */
  names: string[];
  sql: string;
  limit: number;
  /** Characters of JSON that the rows may have. */
  maxBytes: number;
}

/** Throws INVALID_INPUT with DuckDB's words for what is wrong with the text. */
export async function runQuery(duck: Duck, job: QueryJob): Promise<DuckResult> {
  const pathOf = (file: string): string => path.join(job.folder, file);
  try {
    return await duck.sandbox(
      { files: job.sources.flatMap((s) => s.files.map(pathOf)) },
      async (s) => {
        await guardSelect(s, job.sql, job.names);
        return await s.only(job.sql, async (prepared, { StatementType }) => {
          // The tree has said so already; this is DuckDB's own word for it.
          if (prepared.statementType !== StatementType.SELECT) throw new TuttiError('INVALID_INPUT', 'sql must be a SELECT.', { field: 'sql' });
          return await s.read(prepared, [], job);
        });
      },
      {
        before: async (s) => {
          const select = selectSources(job.sources, pathOf);
          for (const name of job.names) await s.run(`CREATE VIEW ${quoteName(name)} AS ${select}`);
        },
      },
    );
  } catch (e) {
    throw asInvalid(e);
  }
}

export const selectSources = (sources: readonly QuerySource[], pathOf: (file: string) => string): string =>
  sources
    .map(({ select, files }) => (files.length === 0 ? select : `${select} FROM read_parquet(${quotePaths(files.map(pathOf))}, union_by_name = false)`))
    .join('\nUNION ALL\n');

/** DuckDB's errors of a stranger's SQL are the stranger's; ours are ours. */
function asInvalid(e: unknown): unknown {
  if (!(e instanceof Error) || e instanceof TuttiError) return e;
  const { code } = e as { code?: unknown };
  if (code === 'ERR_STRING_TOO_LONG')
    return new TuttiError('INVALID_INPUT', 'A value of the answer is longer than JavaScript can hold.', { field: 'sql', cause: e });
  if (code !== undefined || /^(?:INTERNAL|IO) Error/.test(e.message)) return e;
  return new TuttiError('INVALID_INPUT', e.message, { field: 'sql', cause: e });
}
