/**
 * What a handler throws to say more than "failed". Anything else it throws is tried again as the step's retry policy allows.
 * Recognised by a brand, not by instanceof, so that two copies of this package in one process understand each other.
 */
import type { Duration } from './duration.ts';

export interface HandlerErrorOptions {
  /** A stable word for the error, kept as its `code`. Default `permanent_error` or `retryable_error`. */
  code?: string;
  cause?: unknown;
}

export interface RetryableErrorOptions extends HandlerErrorOptions {
  /**
   * When to try again, instead of the backoff: milliseconds, a duration ('7s'), or the text of a Retry-After header (whole seconds
   * or an HTTP date). What cannot be read is ignored.
   */
  after?: Duration | null;
}

export const PERMANENT: unique symbol = Symbol.for('tutti.PermanentError') as never;
export const RETRYABLE: unique symbol = Symbol.for('tutti.RetryableError') as never;

/** The step fails for good, whatever its policy says. */
export class PermanentError extends Error {
  readonly [PERMANENT] = true;
  readonly code: string;
  constructor(message: string, options: HandlerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PermanentError';
    this.code = options.code ?? 'permanent_error';
  }
}

/** The attempt failed; another one may follow, at the time that `after` names. `new RetryableError({ after: '7s' })` will do. */
export class RetryableError extends Error {
  readonly [RETRYABLE] = true;
  readonly code: string;
  readonly after: Duration | undefined;
  constructor(message: string | RetryableErrorOptions, options: RetryableErrorOptions = {}) {
    const given = typeof message === 'string' ? options : message;
    super(typeof message === 'string' ? message : 'try again later', given.cause === undefined ? undefined : { cause: given.cause });
    this.name = 'RetryableError';
    this.code = given.code ?? 'retryable_error';
    this.after = given.after ?? undefined;
  }
}

export const isPermanent = (e: unknown): e is PermanentError => typeof e === 'object' && e !== null && PERMANENT in e;
export const isRetryable = (e: unknown): e is RetryableError => typeof e === 'object' && e !== null && RETRYABLE in e;
