/** What the routes of tables answer with. Names are camelCase, as those of task plans are. */
import { z } from 'zod';
import { TABLE_TYPES } from '../tables/tables.ts';
import { components } from './wire.ts';

const count = z.int().nonnegative();
const epochMs = z.int().describe('Milliseconds since 1970');
const column = z.object({ name: z.string(), type: z.string().describe('As DuckDB writes it, such as `DECIMAL(18,3)`') });
const object = z.record(z.string(), z.unknown());

const tableFields = {
  id: z.string().describe('`<name>_<type>`'),
  name: z.string(),
  type: z.enum(TABLE_TYPES),
  schema: z.object({ columns: z.array(column), timeColumn: z.string().nullable(), version: count.describe('Grows with every change of a column') }),
  config: object.describe('As it was given; settings of task types are texts'),
  createdAtMs: epochMs,
};

export const table = z.object(tableFields).register(components, { id: 'Table' });

export const tableDetails = z
  .object({
    ...tableFields,
    segments: count.describe('Visible ones'),
    rows: count.describe('In visible segments'),
    bytes: count,
    unsealedRows: count.describe('Kept, and not in a segment yet'),
    sealError: z.string().nullable().describe('Why they could not be made into one when it was last tried'),
  })
  .register(components, { id: 'TableDetails' });

export const tableList = z.object({ tables: z.array(table).describe('In the order of their ids, those that the caller may read') });

export const segment = z
  .object({
    name: z.string(),
    uri: z.string().describe('`file://…`, a Parquet file that is never changed'),
    rows: count,
    bytes: count,
    minTimeMs: z.number().nullable().describe('Null: there is no time column, or no value in it'),
    maxTimeMs: z.number().nullable(),
    createdAtMs: epochMs,
    visible: z.boolean().describe('Whether queries see it'),
    schemaVersion: count,
    lineage: object.describe('Where it comes from'),
  })
  .register(components, { id: 'Segment' });

export const segmentPage = z.object({
  segments: z.array(segment).describe('By name'),
  next: z.string().nullable().describe('What `after` of the next page is; null: this is the last one'),
});
export const tableDropped = z.object({ status: z.string(), table: z.string() });
export const rowsAdded = z.object({ added: count, unsealedRows: count.describe('Of the table, these included') });
export const sealed = z.object({ segments: z.array(z.string()).describe('Names of the new ones'), rows: count });
export const queryResult = z
  .object({
    columns: z.array(column),
    rows: z
      .array(z.array(z.unknown()))
      .describe('In the order of the columns. Whole numbers that JavaScript has not exactly are texts; times are ISO texts, UTC'),
    truncated: z.boolean().describe('There were more rows than `limit`, or than an answer holds'),
  })
  .register(components, { id: 'TableQueryResult' });

export type WireTable = z.output<typeof table>;
export type WireTableDetails = z.output<typeof tableDetails>;
export type WireTableList = z.output<typeof tableList>;
export type WireSegment = z.output<typeof segment>;
export type WireSegmentPage = z.output<typeof segmentPage>;
export type WireTableDropped = z.output<typeof tableDropped>;
export type WireRowsAdded = z.output<typeof rowsAdded>;
export type WireSealed = z.output<typeof sealed>;
export type WireQueryResult = z.output<typeof queryResult>;
