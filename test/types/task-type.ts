/** What defineTaskType infers and refuses. Compiled, never run: each `@ts-expect-error` fails the compiler when its line is no error. */
import { type AnyTaskType, defineTaskType, type PlanContext, type SubtaskContext } from '../../src/sdk/plans/task-type.ts';
import type { Equal, Expect } from './expect.ts';

// --- types run from function to function, each value as JSON gives it back
export const backfill = defineTaskType({
  name: 'Backfill',
  startPlan: async (ctx) => {
    // @ts-expect-error there is no state before startPlan gave one
    void ctx.state.cursor;
    return { state: { cursor: '', since: new Date(ctx.createdAt), done: [1] }, inputsToProcess: 0 };
  },
  nextBatch(ctx) {
    const since: string = ctx.state.since;
    // @ts-expect-error the state was stored as JSON: a date is text now
    const date: Date = ctx.state.since;
    // @ts-expect-error the state is frozen
    ctx.state.cursor = since;
    // @ts-expect-error a list of it, too
    ctx.state.done.push(2);
    if (ctx.state.cursor === '') return { kind: 'wait', after: '1m' };
    return { kind: 'batch', subtasks: [{ input: { page: 1, since: date } }], state: { ...ctx.state, cursor: 'x' } };
  },
  subtask: async ({ input, progress }) => {
    const page: number = input.page;
    // @ts-expect-error there is no such field
    void input.pages;
    progress(1);
    return { rows: [page] };
  },
  async onBatchFinished(ctx, batch) {
    for await (const s of batch.subtasks) {
      // @ts-expect-error only a subtask that is complete has a result
      void s.result;
      if (s.state === 'complete') {
        const rows: readonly number[] = s.result.rows;
        void [rows, s.input.page];
      } else void s.error.message;
    }
    return { processed: 1, state: { ...ctx.state, done: [2] }, changes: { put: [{ key: 'a', body: { n: 1 }, expect: null }] } };
  },
  onPlanEnd: (ctx, status) => {
    const known: Equal<typeof status, 'COMPLETED' | 'CANCELLED' | 'FAILED'> = true;
    return known ? { message: ctx.state.cursor } : undefined;
  },
});
export type State = Expect<
  Equal<Parameters<typeof backfill.nextBatch>[0]['state'], { readonly cursor: string; readonly since: string; readonly done: readonly number[] }>
>;

// --- without startPlan there is nothing in the state
export const plain = defineTaskType({ name: 'Plain', nextBatch: () => ({ kind: 'batch', subtasks: [{ input: 'a' }] }), subtask: ({ input }) => input.length });

// --- types that are said, and functions that stand elsewhere
interface Cursor {
  pages: string[];
  n: number;
}
const next = (ctx: PlanContext<Cursor>) => ({
  kind: 'batch' as const,
  subtasks: ctx.state.pages.map((p) => ({ input: { files: [p] } })),
  state: { ...ctx.state, n: 2 },
});
export const said = defineTaskType<Cursor, { files: string[] }, number>({
  name: 'Said',
  nextBatch: next,
  subtask: ({ input }: SubtaskContext<{ files: string[] }>) => input.files.length,
});
export const all: AnyTaskType[] = [backfill, plain, said];

// --- what is refused
// @ts-expect-error subtask is missing
defineTaskType({ name: 'X', nextBatch: () => ({ kind: 'done' }) });
// @ts-expect-error a slip of the pen
defineTaskType({ name: 'X', nextBatch: () => ({ kind: 'done' }), subtask: () => 1, onPlanEnds: () => undefined });
// @ts-expect-error there is no such answer
defineTaskType({ name: 'X', nextBatch: () => ({ kind: 'finished' }), subtask: () => 1 });
// @ts-expect-error an abort has a reason
defineTaskType({ name: 'X', nextBatch: () => ({ kind: 'abort' }), subtask: () => 1 });
// @ts-expect-error a start says how much there is, or 0
defineTaskType({ name: 'X', startPlan: () => ({ state: 1 }), nextBatch: () => ({ kind: 'done' }), subtask: () => 1 });
defineTaskType({
  name: 'X',
  startPlan: () => ({ state: { n: 1 }, inputsToProcess: 0 }),
  // @ts-expect-error another state than startPlan gave
  nextBatch: () => ({ kind: 'done', state: { n: 'one' } }),
  subtask: () => 1,
});
