/** What the code of decisions and batches returns, and how later steps see what may not have come to be. */
import { type BatchCursor, cursorsFor as cursorsOf, type CursorOptions } from '../core/batches.ts';
import type { StepContext } from './step-types.ts';

/** A decision's result: the branches it chose. */
export interface Chosen<B extends string> {
  readonly type: 'create_steps';
  readonly step_names: readonly B[];
}
export interface NoneChosen {
  readonly type: 'no_branches';
}
export type Route<B extends string> = Chosen<B> | NoneChosen;

/** Chooses one branch or several: `return to('auto')`. */
export const to = <const B extends string>(...branches: [B, ...B[]]): Chosen<B> => ({ type: 'create_steps', step_names: branches });

/** Chooses the branches of a list; an empty one chooses none. */
export const route = <const B extends string>(branches: readonly B[]): Route<B> =>
  branches.length === 0 ? none() : { type: 'create_steps', step_names: [...branches] };

/** Chooses no branch: no step below the decision comes to be. */
export const none = (): NoneChosen => ({ type: 'no_branches' });

/** One batch, of positions of kind P. What more a cursor holds reaches its worker, too. */
export interface Cursor<P> {
  /** Letters, digits, `_`, `.` and `-`; not `000`. The worker is called `{name}_{batch_id}`. */
  readonly batch_id: string;
  /** The first item. */
  readonly start_cursor: P;
  /** The first item that is no longer in it. */
  readonly end_cursor: P;
  /** Items in it. */
  readonly batch_size: number;
}

/** A batchable step's result: the batches there are to do. */
export interface Batches<C extends Cursor<unknown>> {
  readonly type: 'create_batches';
  readonly worker_count: number;
  readonly cursor_configs: readonly C[];
  readonly total_items?: number;
}
export interface NoBatches {
  readonly type: 'no_batches';
}

/** One worker per cursor, 1 to 2,000 of them. `totalItems` is told to each worker. */
export const batches = <C extends Cursor<unknown>>(cursors: readonly C[], { totalItems }: { totalItems?: number } = {}): Batches<C> => ({
  type: 'create_batches',
  worker_count: cursors.length,
  cursor_configs: cursors,
  ...(totalItems === undefined ? {} : { total_items: totalItems }),
});

/** Nothing to do: what comes after the batches runs with no results of theirs. */
export const noBatches = (): NoBatches => ({ type: 'no_batches' });

/**
 * Divides items 0 to totalItems - 1 into batches `001`, `002`, … of `batchSize` (default 1000). With more than `maxWorkers` (default and
 * limit 2,000) of these, batches are larger instead. Throws INVALID_INPUT for a number out of range.
 */
export const cursorsFor = (totalItems: number, options?: CursorOptions): Cursor<number>[] => cursorsOf(totalItems, options) as (BatchCursor & Cursor<number>)[];

/** What a batch's worker is told about it. */
export interface BatchFacts {
  readonly batch_id: string;
  /** As the batchable step says. */
  readonly batch_size: number;
  /** null: the batchable step did not tell. */
  readonly total_items: number | null;
  readonly parallelism: number;
  readonly failure_strategy: string;
  readonly cursor_field: string;
}

/** What a batch's worker is called with. */
export interface BatchContext<I, C, S> extends StepContext<I, Readonly<Record<never, never>>, S> {
  /** Its share of the work. */
  readonly cursor: C;
  readonly batch: BatchFacts;
}

/** Cursors in the result T of a batchable step. */
export type CursorIn<T> = T extends { readonly cursor_configs: readonly (infer C)[] } ? C : T extends NoBatches ? never : Cursor<unknown>;
