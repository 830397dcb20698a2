/** The task types that come with tables. */
import type { AnyTaskType } from '../../sdk/plans/task-type.ts';
import { alterTable } from './alter-table.ts';
import { dataExport } from './data-export.ts';
import { fileIngestion } from './file-ingestion.ts';
import { segmentPurge } from './segment-purge.ts';
import type { TableTaskContext } from './table-task-context.ts';

export const builtInTaskTypes = (x: TableTaskContext): AnyTaskType[] => [fileIngestion(x), segmentPurge(x), dataExport(x), alterTable(x)];
