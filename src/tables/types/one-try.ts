/**
 * Subtasks of the built-in types fail for good with their first error: what failed comes again in a later batch, where its tries are counted.
 * A try that was lost with its process is no error of the input, and is made again at once.
 */
import { PermanentError } from '../../sdk/handler-errors.ts';
import type { SubtaskContext } from '../../sdk/plans/task-type.ts';
import type { RetryOptions } from '../../sdk/step-options.ts';

/** A subtask that takes ten processes along is given up like any other. */
export const LOST_TRIES: RetryOptions = { maxAttempts: 10, backoff: 'none', jitter: 0 };

export const oneTry =
  <I, R>(run: (ctx: SubtaskContext<I>) => Promise<R>) =>
  async (ctx: SubtaskContext<I>): Promise<R> => {
    try {
      return await run(ctx);
    } catch (e) {
      // The process is on its way down, or the attempt is: that says nothing about the input.
      if (ctx.signal.aborted) throw e;
      throw new PermanentError(e instanceof Error ? e.message : String(e), { code: 'subtask_failed' });
    }
  };
