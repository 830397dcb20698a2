/** The subtasks of StarTreeAlterTableTask: whether a segment's values can have the new type, and its file with the columns there are now. */
import type { SegmentFile } from '../segments.ts';
import { quoteName, quotePath } from '../sql-text.ts';
import { columnsOf } from '../table-schema.ts';
import type { TableSchema } from '../tables.ts';
import type { TableTaskContext } from './table-task-context.ts';

/** A column whose values must not get lost on the way to another type. */
export interface Cast {
  column: string;
  from: string;
  to: string;
  /** Version of the schema with the new type. */
  version: number;
}

export interface CheckInput {
  kind: 'check';
  resource: string;
  name: string;
  cast: Cast;
  attempt: number;
}

export interface RewriteInput {
  kind: 'rewrite';
  resource: string;
  name: string;
  version: number;
  /** Null: nothing to look out for. */
  cast: Cast | null;
  attempt: number;
}

/** Carries the switch: what happens, happens with the end of its batch. */
export interface SwitchInput {
  kind: 'switch';
  resource: string;
}

export type AlterInput = CheckInput | RewriteInput | SwitchInput;

export type AlterResult =
  /** `bad`: values that the new type cannot hold. */
  | { kind: 'check'; bad: number; example: string | null }
  | { kind: 'rewritten'; file: SegmentFile; schemaVersion: number }
  | { kind: 'changed' }
  | { kind: 'switch' };

export async function alterSegment(x: TableTaskContext, i: AlterInput, signal: AbortSignal): Promise<AlterResult> {
  if (i.kind === 'switch') return { kind: 'switch' };
  const stored = await x.segments.one(i.resource, i.name);
  if (stored === null || (i.kind === 'rewrite' && stored.version !== i.version))
    return i.kind === 'check' ? { kind: 'check', bad: 0, example: null } : { kind: 'changed' };
  const { segment } = stored;
  const { schema, ...table } = await x.segments.table(i.resource);
  const file = quotePath(x.segments.pathOf(segment));
  return x.segments.reading([segment], () =>
    x.duck.session(
      async (s): Promise<AlterResult> => {
        const { cast } = i;
        if (cast !== null && segment.schemaVersion < cast.version) {
          const old = `(SELECT ${columnsOf(schemaBefore(schema, cast), segment.schemaVersion).join(', ')} FROM read_parquet(${file}))`;
          const value = quoteName(cast.column);
          const lost = `${value} IS NOT NULL AND TRY_CAST(${value} AS ${cast.to}) IS NULL`;
          const [{ n, example }] = await s.rows(`SELECT count(*) AS n, left(any_value(${value})::VARCHAR, 60) AS example FROM ${old} WHERE ${lost}`);
          if (i.kind === 'check') return { kind: 'check', bad: Number(n), example: example as string | null };
          if (Number(n) > 0) throw new Error(castProblem(cast, i.name, Number(n), example as string | null));
        } else if (i.kind === 'check') return { kind: 'check', bad: 0, example: null };
        const select = `SELECT ${columnsOf(schema, segment.schemaVersion).join(', ')} FROM read_parquet(${file})`;
        const written = await x.segments.write({ ...table, schema }, { name: i.name, select, signal, session: s });
        if (written === null) throw new Error(`segment ${i.name} has no rows`);
        return { kind: 'rewritten', file: written, schemaVersion: schema.version };
      },
      { signal },
    ),
  );
}

export const castProblem = (c: Cast, segment: string, bad: number, example: string | null): string =>
  `segment ${segment}: ${bad} ${bad === 1 ? 'value' : 'values'} of ${c.column} cannot be ${c.to}, ${JSON.stringify(example)} among them: set onCastError to "null" to have NULL instead`;

/** As it was before the new type, if it is there already. */
function schemaBefore(schema: TableSchema, c: Cast): TableSchema {
  if (schema.version < c.version) return schema;
  return {
    ...schema,
    version: c.version - 1,
    columns: schema.columns.map((col) => (col.name === c.column ? { name: c.column, type: c.from } : col)),
    changes: schema.changes.filter((change) => change.version < c.version),
  };
}
