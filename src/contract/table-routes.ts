/** Rows of the REST table for tables. */
import { z } from 'zod';
import { MAX_ROWS, QUERY_ROWS, SEGMENTS_PAGE, TABLE_TYPES } from '../tables/tables.ts';
import { addressNumber } from './address-number.ts';
import { noParams, noQuery } from './requests.ts';
import type { Route } from './routes.ts';
import * as wire from './table-wire.ts';
import { components } from './wire.ts';

const EMPTY = 'must not be empty';
const text = (max: number) =>
  z
    .string()
    .min(1, { error: EMPTY })
    .max(max, { error: `must be at most ${max} characters` });
const object = (what: string) => z.looseObject({}, { error: `${what} must be a JSON object` });

const tableParams = z.strictObject({ table: text(200).describe('`trips_OFFLINE`, or `trips` where it is the only table of that name') });

export const tableRequest = z
  .strictObject(
    {
      name: z.string({ error: 'must be a text' }).describe('1 to 120 letters, digits, `-` or `_`, first a letter'),
      type: z.enum(TABLE_TYPES, { error: `must be ${TABLE_TYPES.join(' or ')}` }).describe('OFFLINE: tasks fill it. REALTIME: rows are added to it'),
      schema: z
        .strictObject(
          {
            columns: z.array(z.strictObject({ name: z.string(), type: z.string() }, { error: 'must be an object with name and type' }), {
              error: 'must be a list of columns',
            }),
            timeColumn: z.string().nullish().describe('A column of DATE, TIMESTAMP or BIGINT (milliseconds since 1970)'),
          },
          { error: 'must be an object with columns' },
        )
        .describe('Types are those of DuckDB that a JSON value can carry, and `[]` behind one for a list; `STRING`, `LONG` and `INT` are known too'),
      config: object('config').optional().describe('As for PUT /tables/{table}/config'),
    },
    { error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : 'the body must be a JSON object') },
  )
  .register(components, { id: 'TableRequest' });

const tag = 'Tables';
// By hand: toLocaleString loads what ICU knows of all languages, 15 ms and 7 MB of every start.
const maxRows = String(MAX_ROWS).replace(/000$/, ',000');
const WRITE = ['BACKPRESSURE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN'] as const;
const OF_TABLE = ['INVALID_INPUT', 'FORBIDDEN', 'NOT_FOUND'] as const;

export const TABLE_ROUTES = {
  createTable: {
    method: 'POST',
    path: '/tables',
    summary: 'Create a table',
    tag,
    permission: 'tables:write',
    params: noParams,
    query: noQuery,
    body: tableRequest,
    status: 201,
    response: wire.table,
    errors: ['INVALID_INPUT', 'INVALID_JSON', 'FORBIDDEN', 'ALREADY_EXISTS', ...WRITE],
  },
  listTables: {
    method: 'GET',
    path: '/tables',
    summary: 'All tables',
    tag,
    permission: 'tables:read',
    params: noParams,
    query: noQuery,
    status: 200,
    response: wire.tableList,
    errors: [],
  },
  getTable: {
    method: 'GET',
    path: '/tables/{table}',
    summary: 'A table with its size',
    tag,
    permission: 'tables:read',
    params: tableParams,
    query: noQuery,
    status: 200,
    response: wire.tableDetails,
    errors: OF_TABLE,
  },
  setTableConfig: {
    method: 'PUT',
    path: '/tables/{table}/config',
    summary: 'Replace the config of a table; its schedules follow',
    tag,
    permission: 'tables:write',
    description:
      'Unknown task types, cron texts that cannot be read and settings that a task type complains of are refused, each by name, and nothing changes. ' +
      'Keys that nobody here knows are kept. 409 CONFLICT: somebody else changed it meanwhile.',
    params: tableParams,
    query: noQuery,
    body: object('the body'),
    status: 200,
    response: wire.table,
    errors: [...OF_TABLE, 'INVALID_JSON', 'CONFLICT', 'VALUE_TOO_LARGE', ...WRITE],
  },
  dropTable: {
    method: 'DELETE',
    path: '/tables/{table}',
    summary: 'Drop a table, with its plans, segments and files',
    tag,
    permission: 'tables:write',
    params: tableParams,
    query: z.strictObject({
      ignoreActiveTasks: z
        .enum(['true', 'false'], { error: 'must be true or false' })
        .optional()
        .describe('true: although subtasks of its plans run. Default: 409 then'),
    }),
    status: 200,
    response: wire.tableDropped,
    errors: [...OF_TABLE, 'ILLEGAL_STATE', ...WRITE],
  },
  listSegments: {
    method: 'GET',
    path: '/tables/{table}/segments',
    summary: 'Segments of a table, by name',
    tag,
    permission: 'tables:read',
    params: tableParams,
    query: z.strictObject({
      after: text(500).optional().describe('`next` of the page before'),
      limit: addressNumber(1, SEGMENTS_PAGE.max).optional().describe(`Default ${SEGMENTS_PAGE.default}`),
    }),
    status: 200,
    response: wire.segmentPage,
    errors: OF_TABLE,
  },
  addRows: {
    method: 'POST',
    path: '/tables/{table}/rows',
    summary: 'Add rows to a REALTIME table',
    tag,
    permission: 'tables:write',
    description:
      `All or none, durable when answered: a JSON array of objects, or one object a line (application/x-ndjson), at most ${maxRows}. ` +
      'Queries see them once they are sealed into a segment: by number, by time (`realtime` in the config), or by POST …/seal. 409: it is an OFFLINE table.',
    params: tableParams,
    query: noQuery,
    body: z.array(z.unknown(), { error: 'the body must be a JSON array of rows' }),
    lines: true,
    status: 200,
    response: wire.rowsAdded,
    errors: [...OF_TABLE, 'INVALID_JSON', 'ILLEGAL_STATE', 'VALUE_TOO_LARGE', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE', 'DUCKDB_MISSING', ...WRITE],
  },
  sealTable: {
    method: 'POST',
    path: '/tables/{table}/seal',
    summary: 'Make the rows that were added into segments now',
    tag,
    permission: 'tables:write',
    params: tableParams,
    query: noQuery,
    status: 200,
    response: wire.sealed,
    errors: [...OF_TABLE, 'ILLEGAL_STATE', 'CONFLICT', 'DUCKDB_MISSING', ...WRITE],
  },
  queryTable: {
    method: 'GET',
    path: '/tables/{table}/query',
    summary: 'One SELECT over the visible segments of a table',
    tag,
    permission: 'tables:read',
    description:
      'In the dialect of DuckDB. The table goes by its id, and by its name where it is the only one of that name; nothing else can be read, and nothing ' +
      'written. It has 30 seconds.',
    params: tableParams,
    query: z.strictObject({
      sql: text(100_000),
      limit: addressNumber(1, QUERY_ROWS.max).optional().describe(`Most rows of the answer. Default ${QUERY_ROWS.default}`),
    }),
    status: 200,
    response: wire.queryResult,
    errors: [...OF_TABLE, 'DUCKDB_MISSING'],
  },
} as const satisfies Record<string, Route>;
