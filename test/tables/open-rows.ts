/** Rows of one REALTIME table, whose timers a test fires itself. */
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { Json } from '../../src/core/definition.ts';
import { RealtimeRows } from '../../src/tables/realtime-rows.ts';
import type { TableData } from '../../src/tables/segments.ts';
import { readSchema } from '../../src/tables/table-schema.ts';
import { openSegments, type TestSegments } from './open-duck.ts';

export const ID = 'trips_REALTIME';

export interface RowsFixture extends TestSegments {
  rows: RealtimeRows;
  data(): Promise<TableData>;
  /** Reads of items that gave some ('read 4'), and turns of the event loop that were asked for ('turn'). */
  steps: string[];
  /** Those that are armed. */
  timers: { ms: number; fn: () => void }[];
  /** Resolves when the next one is armed. */
  armed(): Promise<void>;
  /** Another process on the same store. */
  again(o?: { mostInWork?: number }): RealtimeRows;
  /** Keys of items, but for those of segments. */
  keys(): Promise<string[]>;
  /** Ids in the segments. */
  sealed(): Promise<number[]>;
}

export async function openRows(t: TestContext): Promise<RowsFixture> {
  const parts = openSegments(t);
  const { resources, segments, duck } = parts;
  const columns = [
    { name: 'id', type: 'BIGINT' },
    { name: 'note', type: 'VARCHAR' },
  ];
  await resources.create({ id: ID, kind: 'table', body: { type: 'REALTIME', schema: readSchema({ columns }), config: {} } as unknown as Json });
  const steps: string[] = [];
  const timers: RowsFixture['timers'] = [];
  let arm = Promise.withResolvers<void>();
  const timer = (ms: number, fn: () => void): (() => void) => {
    const one = { ms, fn };
    timers.push(one);
    arm.resolve();
    arm = Promise.withResolvers();
    return () => {
      if (timers.includes(one)) timers.splice(timers.indexOf(one), 1);
    };
  };
  const items = resources.items.bind(resources);
  resources.items = async (id, q) => {
    const found = await items(id, q);
    if (found.length > 0 && q?.prefix?.startsWith('rows') === true) steps.push(`read ${found.length}`);
    return found;
  };
  const again = (o: { mostInWork?: number } = {}): RealtimeRows =>
    new RealtimeRows({
      ...parts,
      ...o,
      tempFolder: path.join(parts.folder, 'work'),
      now: () => parts.clock.now,
      uuid: () => crypto.randomUUID(),
      timer,
      soon: (fn) => {
        steps.push('turn');
        setImmediate(fn);
      },
      log: () => {},
    });
  const sealed = async (): Promise<number[]> => {
    const ids: number[] = [];
    for (const s of await segments.all(ID))
      for (const row of await duck.rows(`SELECT id FROM read_parquet('${segments.pathOf(s.segment)}')`)) ids.push(row.id as number);
    return ids.toSorted((a, b) => a - b);
  };
  const keys = async (): Promise<string[]> => (await items(ID)).map((i) => i.key).filter((key) => !key.startsWith('segment/'));
  return Object.assign(parts, { rows: again(), timers, armed: () => arm.promise, again, data: () => segments.table(ID), steps, keys, sealed });
}

export const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
/** Rows of 100,000 characters each: two are one piece, and from seven on they are too many for one commit. */
export const large = (from: number, to: number): object[] => range(from, to).map((id) => ({ id, note: 'x'.repeat(100_000) }));
