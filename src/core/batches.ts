/** What a batchable step returned, and the workers that come of it (spec/tasker.md §4.4). */
import type { BatchConfig, Json, JsonObject } from './definition.ts';
import { TuttiError } from './errors.ts';
import { STEP_NAME } from './template-rules.ts';

/** One batch: from `start_cursor` up to and without `end_cursor`. Anything more that is in it reaches its worker as well. */
export type BatchCursor = JsonObject & { batch_id: string; start_cursor: Json; end_cursor: Json; batch_size: number };

export interface BatchPlan {
  /** Empty: there is nothing to do. */
  cursors: BatchCursor[];
  /** null: not told. */
  totalItems: number | null;
}

export interface BatchWorker {
  name: string;
  batchId: string;
  isNoOp: boolean;
  /** What the worker's step sees as its config. */
  inputs: JsonObject;
}

/** All come into being in one turn, and a turn must not hold the loop (design.md §9). */
export const MAX_BATCH_WORKERS = 2_000;
/** Id of the batch that stands for no batches, so that what comes after has something to wait for. */
export const NO_BATCH = '000';

/**
 * Reads a batchable step's result: `{ type: 'no_batches' }` or `{ type: 'create_batches', cursor_configs: [{ batch_id, start_cursor,
 * end_cursor, batch_size }], worker_template_name?, worker_count?, total_items? }`, either of them also as `batch_processing_outcome` of
 * an object with more in it. `error`: it is none of these, or does not fit the step.
 */
export function parseBatches(body: unknown, config: BatchConfig): BatchPlan | { error: string } {
  const outcome = fieldsOf(fieldsOf(body)?.batch_processing_outcome ?? body);
  if (outcome?.type === 'no_batches') return { cursors: [], totalItems: 0 };
  if (outcome?.type !== 'create_batches')
    return { error: 'a batchable step returns { type: "create_batches", cursor_configs: [...] } or { type: "no_batches" }' };
  const { worker_template_name: worker, worker_count: count, cursor_configs: given, total_items: total } = outcome;
  if (worker !== undefined && worker !== config.workerTemplate) {
    return { error: `worker_template_name must be ${JSON.stringify(config.workerTemplate)}, as the step's batch says` };
  }
  if (!Array.isArray(given) || given.length === 0)
    return { error: 'cursor_configs must be a list of at least one cursor; for none return { type: "no_batches" }' };
  if (given.length > MAX_BATCH_WORKERS) return { error: `cursor_configs has ${given.length} cursors; at most ${MAX_BATCH_WORKERS} are allowed` };
  if (count !== undefined && count !== given.length) return { error: `worker_count must be ${given.length}, the number of cursors in cursor_configs` };
  if (total !== undefined && total !== null && !isCount(total)) return { error: 'total_items must be a whole number, 0 or more' };
  const ids = new Set<string>();
  for (const [i, entry] of given.entries()) {
    const wrong = problemOfCursor(fieldsOf(entry), config, ids);
    if (wrong !== null) return { error: `cursor_configs[${i}]${wrong}` };
  }
  return { cursors: given as BatchCursor[], totalItems: (total as number | null | undefined) ?? null };
}

/** What is wrong with a cursor, beginning with the field; null: nothing. Adds its id to those seen. */
function problemOfCursor(cursor: Record<string, unknown> | undefined, config: BatchConfig, ids: Set<string>): string | null {
  if (cursor === undefined) return ' must be an object';
  const { batch_id: id } = cursor;
  if (typeof id !== 'string' || id === '') return '.batch_id must be text';
  if (!STEP_NAME.test(workerName(config, id))) {
    return `.batch_id must be letters, digits, "_", "." or "-", and at most 128 characters with the worker's name before it, not ${JSON.stringify(id.slice(0, 60))}`;
  }
  if (id === NO_BATCH) return `.batch_id ${JSON.stringify(NO_BATCH)} stands for no batches; begin with 001`;
  if (ids.has(id)) return `.batch_id ${JSON.stringify(id)} is there twice`;
  ids.add(id);
  if (cursor.start_cursor === undefined) return '.start_cursor is missing';
  if (cursor.end_cursor === undefined) return '.end_cursor is missing';
  return isCount(cursor.batch_size) ? null : '.batch_size must be a whole number, 0 or more';
}

/**
 * The workers of a plan, in its order; of an empty one a single placeholder. `initialization` is that of the worker's template;
 * `isTaken` tells names that other steps of the task have. `error`: a worker would be called like one of them.
 */
export function planBatches(
  plan: BatchPlan,
  config: BatchConfig,
  initialization: JsonObject | undefined,
  isTaken: (name: string) => boolean,
): { workers: BatchWorker[] } | { error: string } {
  const isNoOp = plan.cursors.length === 0;
  const cursors = isNoOp ? [{ batch_id: NO_BATCH, start_cursor: 0, end_cursor: 0, batch_size: 0 }] : plan.cursors;
  const workers: BatchWorker[] = [];
  for (const cursor of cursors) {
    const name = workerName(config, cursor.batch_id);
    if (isTaken(name)) return { error: `there is a step ${JSON.stringify(name)} already: batch ${JSON.stringify(cursor.batch_id)} needs another id` };
    const metadata = {
      batch_id: cursor.batch_id,
      batch_size: config.batchSize,
      total_items: plan.totalItems,
      parallelism: config.parallelism,
      failure_strategy: config.failureStrategy,
      cursor_field: config.cursorField,
    };
    workers.push({
      name,
      batchId: cursor.batch_id,
      isNoOp,
      inputs: { ...initialization, cursor, batch_metadata: metadata, is_no_op: isNoOp, worker_template: config.workerTemplate },
    });
  }
  return { workers };
}

const workerName = (config: BatchConfig, batchId: string): string => `${config.workerTemplate}_${batchId}`;

export interface CursorOptions {
  /** Items of one batch, 1 or more. Default 1000. */
  batchSize?: number;
  /** With more items than this many batches hold, batches grow instead. 1 to 2,000, the default. */
  maxWorkers?: number;
}

/**
 * Divides items 0 to totalItems - 1 into batches `001`, `002`, … of equal size, the last one perhaps smaller. No items: no cursors.
 * Throws INVALID_INPUT for a number out of range.
 */
export function cursorsFor(totalItems: number, { batchSize = 1000, maxWorkers = MAX_BATCH_WORKERS }: CursorOptions = {}): BatchCursor[] {
  within('totalItems', totalItems, 0, Number.MAX_SAFE_INTEGER);
  within('batchSize', batchSize, 1, Number.MAX_SAFE_INTEGER);
  within('maxWorkers', maxWorkers, 1, MAX_BATCH_WORKERS);
  const size = Math.max(batchSize, Math.ceil(totalItems / maxWorkers));
  const count = Math.ceil(totalItems / size);
  return Array.from({ length: count }, (_, i) => {
    const start = i * size;
    const end = Math.min(totalItems, start + size);
    return { batch_id: String(i + 1).padStart(3, '0'), start_cursor: start, end_cursor: end, batch_size: end - start };
  });
}

function within(field: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new TuttiError('INVALID_INPUT', `${field} must be a whole number from ${low} to ${high}, not ${String(value)}`, { field });
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

const fieldsOf = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
