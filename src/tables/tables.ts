/** Tables as a server, a client and the SDK see them; what they are made of lies beside this file and is nobody else's business. */
import type { Json, JsonObject } from '../core/definition.ts';
import type { Caller } from '../engine/resource-port.ts';

export const TABLE_TYPES = ['OFFLINE', 'REALTIME'] as const;
/** OFFLINE: filled by tasks. REALTIME: filled by callers, row by row. */
export type TableType = (typeof TABLE_TYPES)[number];

/** Name of the resource kind. */
export const TABLE_KIND = 'table';

export interface TableColumn {
  name: string;
  /** As DuckDB writes it: `BIGINT`, `DECIMAL(18,3)`, `VARCHAR[]`. */
  type: string;
}

/** What was done to a schema, so that segments written before can be read as what they are now. */
export type SchemaChange = { version: number } /** `default`: an SQL expression; null: NULL. */ & (
  | { op: 'add'; column: string; default: string | null }
  | { op: 'drop'; column: string }
  | { op: 'rename'; from: string; to: string }
  /** `type`: what it became. */
  | { op: 'retype'; column: string; type: string }
);

export interface TableSchema {
  /** 1 when the table is made, and one more with every change. */
  version: number;
  columns: TableColumn[];
  /** Column of DATE, TIMESTAMP or milliseconds since 1970, from which segments know what time they span; null: none. */
  timeColumn: string | null;
  /** Oldest first; those that no segment needs any more may be left out. */
  changes: SchemaChange[];
}

export interface NewTable {
  name: string;
  type: TableType;
  schema: { columns: readonly { name: string; type: string }[]; timeColumn?: string | null };
  config?: JsonObject;
}

export interface TableView {
  /** `<name>_<type>` */
  id: string;
  name: string;
  type: TableType;
  schema: { columns: TableColumn[]; timeColumn: string | null; version: number };
  config: JsonObject;
  createdAtMs: number;
}

export interface TableDetails extends TableView {
  /** Visible ones. */
  segments: number;
  rows: number;
  bytes: number;
  /** Rows of a REALTIME table that are kept, and not in a segment yet. */
  unsealedRows: number;
  /** Why the rows could not be sealed when it was last tried; null: nothing is wrong. */
  sealError: string | null;
}

export interface SegmentView {
  name: string;
  /** `file://…` */
  uri: string;
  rows: number;
  bytes: number;
  /** Milliseconds since 1970; null: there is no time column, or no value in it. */
  minTimeMs: number | null;
  maxTimeMs: number | null;
  createdAtMs: number;
  visible: boolean;
  schemaVersion: number;
  lineage: Record<string, Json>;
}

export interface SegmentPage {
  segments: SegmentView[];
  /** What `after` of the next page is; null: this is the last one. */
  next: string | null;
}

export interface QueryResult {
  columns: TableColumn[];
  rows: Json[][];
  /** There were more rows than `limit`, or more bytes than an answer has. */
  truncated: boolean;
}

export const QUERY_ROWS = { default: 10_000, max: 100_000 } as const;
export const SEGMENTS_PAGE = { default: 100, max: 1000 } as const;
/** Most rows of one request. */
export const MAX_ROWS = 100_000;
/** Objects by the names of columns; those that come one after the other are checked as they come. */
export type NewRows = readonly unknown[] | AsyncIterable<unknown>;

/**
 * The door to tables. A table goes by its id (`trips_OFFLINE`) or, where it is the only one of its name, by its name (`trips`).
 * Throws of every verb: NOT_FOUND, INVALID_INPUT, STORE_UNAVAILABLE, SHUTTING_DOWN; where data is read or written, DUCKDB_MISSING.
 */
export interface Tables {
  /** Throws ALREADY_EXISTS. */
  create(t: NewTable): Promise<TableView>;
  /** Whether the caller may make a table of this id. */
  mayCreate(caller: Caller, id: string): Promise<boolean>;
  /** In the order of their ids. */
  list(): Promise<TableView[]>;
  get(table: string): Promise<TableDetails>;
  /** Its id. INVALID_INPUT: two tables have the name. */
  idOf(table: string): Promise<string>;
  /** What is refused says why, key by key; nothing is kept of it. Throws CONFLICT: somebody else changed it meanwhile. */
  setConfig(table: string, config: JsonObject): Promise<TableView>;
  /** With its plans, segments and files. Throws ILLEGAL_STATE while subtasks of its plans run, unless they are to be ignored. */
  drop(table: string, o?: { ignoreActiveTasks?: boolean }): Promise<{ id: string }>;
  segments(table: string, q?: { after?: string; limit?: number }): Promise<SegmentPage>;
  /**
   * All of them or none, kept when it resolves. Throws ILLEGAL_STATE (an OFFLINE table); BACKPRESSURE: too many wait to be sealed, or are
   * in work with other calls.
   */
  addRows(table: string, rows: NewRows): Promise<{ added: number; unsealedRows: number }>;
  /** Turns what was added so far into segments now. Throws ILLEGAL_STATE (an OFFLINE table). */
  seal(table: string): Promise<{ segments: string[]; rows: number }>;
  /** One SELECT over the visible segments. */
  query(table: string, sql: string, o?: { limit?: number; signal?: AbortSignal }): Promise<QueryResult>;
}
