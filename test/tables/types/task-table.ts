/** A table, DuckDB and the task types on it, in a folder that goes with the test. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { Json } from '../../../src/core/definition.ts';
import type { StoredSegment } from '../../../src/tables/segments.ts';
import { selectSegments } from '../../../src/tables/table-query.ts';
import { readSchema } from '../../../src/tables/table-schema.ts';
import type { TableTaskContext } from '../../../src/tables/types/table-task-context.ts';
import { type TestSegments, openSegments } from '../open-duck.ts';

export const TABLE = 'trips_OFFLINE';

export interface TaskTable extends TestSegments {
  x: TableTaskContext;
  id: string;
  /** Folder of input files. */
  input: string;
  file(name: string, text: string): string;
  /** Rows as readers see them. */
  rows(sql?: string): Promise<Record<string, unknown>[]>;
  visible(): Promise<StoredSegment[]>;
  /** A segment of its own, as if a task had made it. */
  addSegment(name: string, select: string, o?: { createdAt?: number; swap?: string | null }): Promise<void>;
}

export async function taskTable(
  t: TestContext,
  columns: Record<string, string>,
  o: { id?: string; timeColumn?: string; config?: Json } = {},
): Promise<TaskTable> {
  const made = openSegments(t);
  const id = o.id ?? TABLE;
  const schema = readSchema({ columns: Object.entries(columns).map(([name, type]) => ({ name, type })), timeColumn: o.timeColumn ?? null });
  await made.resources.create({
    id,
    kind: 'table',
    body: { type: id.endsWith('_REALTIME') ? 'REALTIME' : 'OFFLINE', schema, config: o.config ?? {} } as unknown as Json,
  });
  const input = path.join(made.folder, 'input');
  mkdirSync(input);
  const visible = (): Promise<StoredSegment[]> => made.segments.visible(id);
  return {
    ...made,
    x: { duck: made.duck, segments: made.segments, resources: made.resources, now: () => made.clock.now, inputRoots: null, outputRoots: null },
    id,
    input,
    file(name, text) {
      const file = path.join(input, name);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, text);
      return file;
    },
    async rows(sql = 'SELECT * FROM t ORDER BY ALL') {
      const table = await made.segments.table(id);
      const select = selectSegments(table.schema, await visible(), (f) => made.segments.pathOf(f));
      return made.duck.rows(`WITH t AS (${select}) ${sql}`);
    },
    visible,
    async addSegment(name, select, s = {}) {
      const table = await made.segments.table(id);
      const file = await made.segments.write(table, { name, select });
      const segment = {
        ...made.segments.segment(file!, { schemaVersion: table.schema.version, swap: s.swap ?? null }),
        ...(s.createdAt === undefined ? {} : { createdAt: s.createdAt }),
      };
      await made.resources.change(id, made.segments.changes({ put: [{ name, segment }] }));
    },
  };
}
