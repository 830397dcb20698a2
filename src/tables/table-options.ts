/** What `Tutti.open({ tables })` takes, checked and completed. */
import path from 'node:path';
import { TuttiError } from '../core/errors.ts';
import type { ResourceKind } from '../engine/resource-port.ts';
import { refuseUnknownOptions } from '../sdk/unknown-options.ts';
import type { TablesConfig } from './open-tables.ts';

export interface TableOptions {
  /** Where the files lie. It belongs to one store. */
  folder?: string;
  /** Memory of DuckDB for the work of tasks; each of at most two queries at once has a quarter of it besides. Default `1GB`. */
  memory?: string;
  /** Threads of DuckDB. Default 0: as many as there are cores. */
  threads?: number;
  /** Folders below which tasks may read the files that settings name. Default: everywhere. */
  inputRoots?: readonly string[];
  /** The same for writing. */
  outputRoots?: readonly string[];
  /** Who may do what to a table. Default: everybody everything. */
  authorise?: ResourceKind['authorise'];
}

const NAMES: Record<keyof TableOptions, true> = { folder: true, memory: true, threads: true, inputRoots: true, outputRoots: true, authorise: true };

/** `temporary`: a folder for a store that keeps nothing. Throws INVALID_INPUT, naming the option. */
export function tablesConfigOf(o: TableOptions | undefined, store: string, temporary: string): TablesConfig;
export function tablesConfigOf(o: false | TableOptions | undefined, store: string, temporary: string): TablesConfig | null;
export function tablesConfigOf(o: false | TableOptions | undefined, store: string, temporary: string): TablesConfig | null {
  if (o === false) return null;
  if (o !== undefined) {
    if (typeof o !== 'object' || o === null) throw new TuttiError('INVALID_INPUT', 'tables must be options, or false', { field: 'tables' });
    refuseUnknownOptions('Tutti.open', o, Object.keys(NAMES), 'tables');
  }
  const { folder, memory = '1GB', threads = 0, inputRoots, outputRoots, authorise } = o ?? {};
  return {
    folder: folder ?? (store === ':memory:' ? temporary : besideStore(store)),
    temporary: folder === undefined && store === ':memory:',
    memory,
    threads,
    inputRoots: inputRoots ?? null,
    outputRoots: outputRoots ?? null,
    ...(authorise === undefined ? {} : { authorise }),
  };
}

/** Named after the store's file, so that two stores in one folder do not share it. */
function besideStore(store: string): string {
  const { dir, name } = path.parse(String(store));
  return path.join(dir, `${name}.tables`);
}
