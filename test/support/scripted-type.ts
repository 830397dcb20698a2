/** Task types for tests of plans: one that counts through inputs, one whose every answer the test gives. */
import { type AnyTaskType, defineTaskType, type NextAnswer, type TaskTypeDefinition } from '../../src/sdk/plans/task-type.ts';

/** `inputs` things, at most `limit` a batch; those that failed come again. */
export const counting = (name: string, inputs: number, limit: number): AnyTaskType =>
  defineTaskType({
    name,
    inputUnit: 'things',
    startPlan: () => ({ state: { next: 0, again: [] as number[] }, inputsToProcess: inputs }),
    nextBatch: (ctx) => {
      const { next, again } = ctx.state;
      const fresh = Array.from({ length: Math.max(0, Math.min(limit - again.length, inputs - next)) }, (_, i) => next + i);
      const take = [...again.slice(0, limit), ...fresh];
      if (take.length === 0) return { kind: 'done' };
      return { kind: 'batch', subtasks: take.map((n) => ({ input: n })), state: { next: next + fresh.length, again: again.slice(limit) } };
    },
    onBatchFinished: async (ctx, batch) => {
      const failed: number[] = [];
      for await (const s of batch.subtasks) if (s.state !== 'complete') failed.push(s.input);
      return { state: { ...ctx.state, again: [...ctx.state.again, ...failed] } };
    },
    subtask: () => null,
  });

/** Batches of one subtask, `count` of them, each with the number of its batch as input; what else there is, `more` says. */
export const batches = (name: string, count: number, more: Partial<TaskTypeDefinition> = {}): AnyTaskType => ({
  name,
  nextBatch: (ctx): NextAnswer<unknown, unknown> => (ctx.batches < count ? { kind: 'batch', subtasks: [{ input: ctx.batches }] } : { kind: 'done' }),
  subtask: () => null,
  ...more,
});

/** A signal that a test gives. */
export function gate<T = void>(): { open: (value: T) => void; opened: Promise<T> } {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { open: resolve, opened: promise };
}
