/**
 * When a failed step may try again and how long it waits first. Pure: the same task, step and attempt always wait the same time,
 * so that a turn decided twice, a replayed simulation and `explain` agree.
 */
import type { RetryPolicy } from './definition.ts';

/** A server's Retry-After is obeyed up to this long, or up to the policy's own cap where that is higher. One hour. */
export const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * May another attempt follow? `attempts` are those begun since the last reset, the failed one included (I6).
 * The first try is always allowed, so `maxAttempts` 0 acts as 1.
 */
export const mayRetry = (policy: RetryPolicy, attempts: number, errorRetryable: boolean): boolean =>
  policy.retryable && errorRetryable && attempts < Math.max(1, policy.maxAttempts);

/**
 * Milliseconds to wait after attempt number `failures` (1 for the first) failed; an integer, 0 or more.
 * `retryAfterMs`, what the failure itself asked for, replaces the backoff and is not jittered.
 */
export function retryDelay(policy: RetryPolicy, failures: number, seed: number, retryAfterMs?: number): number {
  if (retryAfterMs !== undefined && !Number.isNaN(retryAfterMs)) {
    return Math.ceil(clamp(retryAfterMs, Math.max(MAX_RETRY_AFTER_MS, policy.maxMs)));
  }
  const wait = clamp(backoff(policy, Math.max(1, failures)), policy.maxMs);
  const factor = 1 - policy.jitter + 2 * policy.jitter * unit(seed);
  return Math.floor(clamp(wait * factor, policy.maxMs));
}

/** A 32-bit seed of one attempt: equal for equal arguments, unrelated for neighbouring ones. */
export function seedOf(task: number, no: number, attempt: number): number {
  let h = mix(0x9e3779b9 ^ (task >>> 0));
  h = mix(h ^ Math.floor(task / 0x1_0000_0000));
  h = mix(h ^ no);
  return mix(h ^ attempt) >>> 0;
}

function backoff(policy: RetryPolicy, failures: number): number {
  if (policy.baseMs <= 0) return 0;
  switch (policy.backoff) {
    case 'none':
      return 0;
    case 'linear':
      return policy.baseMs * failures;
    case 'exponential':
      return policy.baseMs * 2 ** (failures - 1);
    case 'fibonacci':
      return policy.baseMs * fibonacci(failures, policy.maxMs / policy.baseMs);
    default:
      return policy.backoff satisfies never;
  }
}

/** 1, 1, 2, 3, 5, ... and no further than the first number above `enough`: a huge n costs no more than the cap is worth. */
function fibonacci(n: number, enough: number): number {
  let previous = 0;
  let current = 1;
  for (let i = 1; i < n && current <= enough; i++) [previous, current] = [current, previous + current];
  return current;
}

/** Infinity ends at the top, and so does nothing else. */
const clamp = (ms: number, max: number): number => Math.min(Math.max(0, ms), Math.max(0, max));

/** Murmur3's finaliser: every bit of the input moves every bit of the output. */
function mix(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** [0, 1) from a seed; mixed once more, so that a caller's small seeds 0, 1, 2 differ too. */
const unit = (seed: number): number => (mix(seed ^ 0x5bd1e995) >>> 0) / 0x1_0000_0000;
