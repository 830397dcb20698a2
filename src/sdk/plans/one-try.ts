/**
 * Subtasks of a type that says nothing of retries fail for good with their first error: what failed comes again in a later batch, where the
 * generator counts its tries. A try that was lost with its process is no error of the input, and is made again at once.
 */
import { DEFAULT_RETRY, type RetryPolicy } from '../../core/definition.ts';
import { PermanentError } from '../handler-errors.ts';

/** Attempts that processes take along before the subtask is given up like any other. */
export const LOST_TRIES: RetryPolicy = { ...DEFAULT_RETRY, maxAttempts: 3, backoff: 'none', jitter: 0 };

export const oneTry =
  <C extends { readonly signal: AbortSignal }, R>(run: (ctx: C) => R) =>
  (ctx: C): R => {
    const final = (e: unknown): never => {
      // The process is on its way down, or the attempt is: that says nothing about the input.
      if (ctx.signal.aborted || e instanceof PermanentError) throw e;
      throw new PermanentError(e instanceof Error ? e.message : String(e), { code: 'subtask_failed', cause: e });
    };
    try {
      const result = run(ctx);
      return result instanceof Promise ? (result.catch(final) as R) : result;
    } catch (e) {
      return final(e);
    }
  };
