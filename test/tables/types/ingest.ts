/** Plans of FileIngestionTask on a test's table. */
import { utimesSync } from 'node:fs';
import { fileIngestion } from '../../../src/tables/types/file-ingestion.ts';
import { type DrivenPlan, type RunOptions, drivePlan } from './plan-driver.ts';
import type { TaskTable } from './task-table.ts';

export const COLUMNS = { id: 'BIGINT', name: 'VARCHAR' };

export const ingest = (t: TaskTable, settings: Record<string, string> = {}, run: RunOptions = {}): Promise<DrivenPlan> =>
  drivePlan({ resources: t.resources, type: fileIngestion(t.x), resource: t.id, settings: { inputDirURI: t.input, ...settings }, createdAt: t.clock.now }, run);

export const two = { tableMaxNumTasks: '2' };
export const names = (plan: DrivenPlan): string[][] =>
  plan.batches.map((b) => b.inputs.map((i) => showInput(i as { files: { path: string }[]; kind: string })));
const showInput = (i: { files: { path: string }[]; kind: string }): string => (i.kind === 'remove' ? 'removal' : i.files.map((f) => f.path).join('+'));
export const touch = (file: string, seconds: number): void => utimesSync(file, seconds, seconds);

export const ids = async (t: TaskTable): Promise<unknown[]> => (await t.rows('SELECT id FROM t ORDER BY id')).map((r) => r.id);
