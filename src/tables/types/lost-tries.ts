import type { RetryOptions } from '../../sdk/step-options.ts';

/** For attempts that are lost with their process: a subtask that takes ten along is given up like any other. Its own errors are final (oneTry). */
export const LOST_TRIES: RetryOptions = { maxAttempts: 10, backoff: 'none', jitter: 0 };
