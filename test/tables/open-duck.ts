/** DuckDB and segments in a folder that goes with the test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { Duck } from '../../src/tables/duckdb.ts';
import { QueryProcesses } from '../../src/tables/query-processes.ts';
import { Segments } from '../../src/tables/segments.ts';
import { MemoryResources } from './memory-resources.ts';

export function realTimer(ms: number, fn: () => void): () => void {
  const timer = setTimeout(fn, ms);
  timer.unref();
  return () => clearTimeout(timer);
}

export const realSoon = (fn: () => void): void => void setImmediate(fn);

export function testFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'tutti-tables-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function openDuck(t: TestContext, folder = testFolder(t), o: { memory?: string; mostWaiting?: number } = {}): Duck {
  const duck = new Duck({ tempFolder: path.join(folder, 'tmp'), memory: o.memory ?? '256MB', threads: 2, timer: realTimer, mostWaiting: o.mostWaiting });
  t.after(() => duck.close());
  return duck;
}

export function openQueries(t: TestContext, folder: string, timeMs?: number, soon = realSoon): QueryProcesses {
  const queries = new QueryProcesses({ tempFolder: path.join(folder, 'queries'), memory: '256MB', threads: 2, timer: realTimer, soon, timeMs });
  t.after(() => queries.close());
  return queries;
}

export interface TestSegments {
  folder: string;
  duck: Duck;
  segments: Segments;
  queries: QueryProcesses;
  resources: MemoryResources;
  clock: { now: number };
}

export function openSegments(t: TestContext, soon = realSoon): TestSegments {
  const folder = testFolder(t);
  const duck = openDuck(t, folder);
  const resources = new MemoryResources();
  const clock = { now: Date.now() };
  let uuids = 0;
  const segments = new Segments({ folder: path.join(folder, 'tables'), duck, resources, now: () => clock.now, uuid: () => `u${++uuids}`, soon });
  return { folder, duck, segments, queries: openQueries(t, folder), resources, clock };
}
