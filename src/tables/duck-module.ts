/** DuckDB is an optional peer: it is loaded when the first table needs it, and where it is missing the error says what to install. */
import { TuttiError } from '../core/errors.ts';

export type DuckModule = typeof import('@duckdb/node-api');

/** The version this package is tested with; package.json pins the same. */
export const DUCKDB_VERSION = '1.5.6-r.1';

const MISSING = new Set(['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND', 'ERR_DLOPEN_FAILED']);

export async function loadDuck(load: () => Promise<DuckModule> = () => import('@duckdb/node-api')): Promise<DuckModule> {
  try {
    return await load();
  } catch (e) {
    if (!MISSING.has(String((e as { code?: unknown }).code))) throw e;
    throw new TuttiError('DUCKDB_MISSING', `Tables need DuckDB, which cannot be loaded here (${firstLine(e)}): npm i @duckdb/node-api@${DUCKDB_VERSION}`, {
      cause: e,
    });
  }
}

const firstLine = (e: unknown): string => (e instanceof Error ? e.message : String(e)).split('\n')[0];
