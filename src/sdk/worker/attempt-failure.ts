/** What a handler threw, as the outcome of its attempt. Whatever it was, this gives an answer and throws nothing itself. */
import { isTuttiError, type StepError } from '../../core/errors.ts';
import type { AttemptOutcome, StopReason } from '../../engine/worker-port.ts';
import { isPermanent, isRetryable } from '../handler-errors.ts';
import { retryAfterMs } from './retry-after.ts';
import { shownStack } from './shown-stack.ts';

const MAX_MESSAGE = 4_000;
const MAX_STACK = 2_000;
const MAX_CAUSES = 3;

/** The reason of a step's AbortSignal. `code` is what the attempt ends with when the handler throws it on. */
export class StepStopped extends Error {
  readonly code: string;
  readonly stop: StopReason;
  constructor(stop: StopReason) {
    super(STOPS[stop].message);
    // The name by which fetch, timers and streams know an abort.
    this.name = 'AbortError';
    this.code = STOPS[stop].code;
    this.stop = stop;
  }
}

const STOPS: Record<StopReason, { code: string; message: string }> = {
  cancelled: { code: 'cancelled', message: 'the step was cancelled' },
  timeout: { code: 'step_timeout', message: 'the attempt ran into its timeout' },
  lost: { code: 'attempt_lost', message: "the attempt is no longer this worker's" },
  shutdown: { code: 'attempt_lost', message: 'the worker is shutting down' },
};

export function failureOf(thrown: unknown, now: number): AttemptOutcome {
  try {
    return describe(thrown, now);
  } catch {
    return { ok: false, error: { code: 'handler_error', message: 'the handler threw something that cannot be read', retryable: true } };
  }
}

/** A failure that no further attempt can mend. */
export const finalFailure = (code: string, message: string): AttemptOutcome => ({
  ok: false,
  error: { code, message: clean(message, MAX_MESSAGE), retryable: false },
});

function describe(thrown: unknown, now: number): AttemptOutcome {
  const error: StepError = { code: 'handler_error', message: clean(messageOf(thrown), MAX_MESSAGE), retryable: true };
  const stack = thrown instanceof Error || hasStack(thrown) ? (thrown as Error).stack : undefined;
  if (typeof stack === 'string') error.stack = clean(shownStack(stack, workingFolder()), MAX_STACK);
  if (isPermanent(thrown)) {
    error.code = codeOf(thrown.code, 'permanent_error');
    error.retryable = false;
  } else if (isRetryable(thrown)) {
    error.code = codeOf(thrown.code, 'retryable_error');
    const wait = retryAfterMs(thrown.after, now);
    if (wait !== undefined) return { ok: false, error, retryAfterMs: wait };
  } else if (thrown instanceof StepStopped) error.code = thrown.code;
  else if (isTuttiError(thrown) && (thrown.code === 'UNSTORABLE_VALUE' || thrown.code === 'VALUE_TOO_LARGE')) {
    // A value that cannot be kept will not fit better the next time.
    error.code = thrown.code === 'VALUE_TOO_LARGE' ? 'value_too_large' : 'unstorable_value';
    error.retryable = false;
  }
  return { ok: false, error };
}

/** It may have been removed. */
function workingFolder(): string {
  try {
    return process.cwd();
  } catch {
    return '/';
  }
}

const hasStack = (thrown: unknown): boolean => typeof thrown === 'object' && thrown !== null && typeof (thrown as Error).stack === 'string';
const codeOf = (code: unknown, fallback: string): string => (typeof code === 'string' && code !== '' ? clean(code, 100) : fallback);

/** Its message, and those of its causes: `fetch failed` alone helps nobody. */
function messageOf(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown === '' ? 'the handler threw an empty string' : thrown;
  if (typeof thrown !== 'object' || thrown === null) return `the handler threw ${String(thrown)}`;
  const own = (thrown as { message?: unknown }).message;
  let text = typeof own === 'string' && own !== '' ? own : `the handler threw ${nameOf(thrown)}`;
  let cause = (thrown as { cause?: unknown }).cause;
  for (let i = 0; i < MAX_CAUSES && typeof cause === 'object' && cause !== null; i++) {
    const message = (cause as { message?: unknown }).message;
    if (typeof message === 'string' && message !== '' && !text.includes(message)) text += `: ${message}`;
    cause = (cause as { cause?: unknown }).cause;
  }
  return text;
}

function nameOf(thrown: object): string {
  const name = (thrown as { name?: unknown }).name;
  if (typeof name === 'string' && name !== '') return name;
  return Array.isArray(thrown) ? 'an array' : 'an object without a message';
}

/** Cut, and free of what cannot be kept (design.md §5). */
function clean(text: string, max: number): string {
  const cut = text.length > max ? `${text.slice(0, max - 1)}…` : text;
  return cut.toWellFormed().replaceAll('\u0000', '\uFFFD');
}
