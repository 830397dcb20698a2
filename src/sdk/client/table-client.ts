import type {
  WireQueryResult,
  WireRowsAdded,
  WireSealed,
  WireSegmentPage,
  WireTable,
  WireTableDetails,
  WireTableDropped,
  WireTableList,
} from '../../contract/table-wire.ts';

interface CallOptions {
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  /** One value a line, made as it is sent. */
  lines?: Iterable<unknown> | AsyncIterable<unknown>;
  timeoutMs?: number;
}
type Call = <T>(method: string, path: string, o?: CallOptions) => Promise<T>;

export interface NewTableFields {
  name: string;
  type: 'OFFLINE' | 'REALTIME';
  schema: { columns: readonly { name: string; type: string }[]; timeColumn?: string | null };
  config?: Readonly<Record<string, unknown>>;
}

/** What reads or writes many files takes longer than other calls; a query has 30 s of its own. */
const SLOW_MS = 120_000;

/** /tables. A table goes by its id, or by its name where it is the only one of that name. */
export class TableClient {
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  create(body: NewTableFields): Promise<WireTable> {
    return this.#call('POST', '/tables', { body });
  }

  async list(): Promise<WireTable[]> {
    return (await this.#call<WireTableList>('GET', '/tables')).tables;
  }

  get(table: string): Promise<WireTableDetails> {
    return this.#call('GET', of(table));
  }

  setConfig(table: string, config: Readonly<Record<string, unknown>>): Promise<WireTable> {
    return this.#call('PUT', `${of(table)}/config`, { body: config });
  }

  drop(table: string, o: { ignoreActiveTasks?: boolean } = {}): Promise<WireTableDropped> {
    return this.#call('DELETE', of(table), { query: { ignoreActiveTasks: o.ignoreActiveTasks === true ? 'true' : undefined }, timeoutMs: SLOW_MS });
  }

  segments(table: string, query: { after?: string; limit?: number } = {}): Promise<WireSegmentPage> {
    return this.#call('GET', `${of(table)}/segments`, { query });
  }

  /** All of them or none; at most 100,000. */
  addRows(table: string, rows: Iterable<unknown> | AsyncIterable<unknown>): Promise<WireRowsAdded> {
    return this.#call('POST', `${of(table)}/rows`, { lines: rows, timeoutMs: SLOW_MS });
  }

  seal(table: string): Promise<WireSealed> {
    return this.#call('POST', `${of(table)}/seal`, { timeoutMs: SLOW_MS });
  }

  query(table: string, sql: string, o: { limit?: number } = {}): Promise<WireQueryResult> {
    return this.#call('GET', `${of(table)}/query`, { query: { sql, limit: o.limit }, timeoutMs: SLOW_MS });
  }
}

const of = (table: string): string => `/tables/${encodeURIComponent(table)}`;
