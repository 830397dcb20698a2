/** What `Tutti.open({ plans })` takes, checked and completed. */
import { TuttiError } from '../../core/errors.ts';
import type { PlanConfig } from '../../engine/plan-port.ts';
import { type Duration, parseDuration } from '../duration.ts';
import { refuseUnknownOptions } from '../unknown-options.ts';

export interface PlanOptions {
  /** Kill switch. False: no plan is made and none goes on; opened with true again, all go on. Default true. */
  enabled?: boolean;
  /** Between two looks at all live plans; the end of a batch does not wait for it. Default 10 s. */
  poll?: Duration;
  /** Between two sweeps for plans whose resource is gone. Default 8 h. */
  orphanCleanup?: Duration;
  /** Removal of ended plans. Default: after 30 days, and beyond the newest 10,000. False: never. */
  retention?: false | { maxAge?: Duration; maxCount?: number };
  /** No batch begins while one of these is exceeded. Default 90 % of the disk, 90 % of the memory, 0.8 of an inbox. */
  maxDiskPercent?: number;
  maxMemoryPercent?: number;
  maxInboxSaturation?: number;
}

const NAMES: Record<keyof PlanOptions, true> = {
  enabled: true,
  poll: true,
  orphanCleanup: true,
  retention: true,
  maxDiskPercent: true,
  maxMemoryPercent: true,
  maxInboxSaturation: true,
};

/** Throws INVALID_INPUT, naming the option. */
export function planSettings(o: PlanOptions | undefined, defaults: PlanConfig): PlanConfig {
  if (o === undefined) return defaults;
  refuseUnknownOptions('Tutti.open', o, Object.keys(NAMES), 'plans');
  const { retention } = o;
  if (retention !== undefined && retention !== false) refuseUnknownOptions('Tutti.open', retention, ['maxAge', 'maxCount'], 'plans.retention');
  if (o.enabled !== undefined && typeof o.enabled !== 'boolean') throw wrong('enabled', 'must be true or false', o.enabled);
  const kept = retention === false ? { maxAge: Number.MAX_SAFE_INTEGER, maxCount: Number.MAX_SAFE_INTEGER } : retention;
  return {
    enabled: o.enabled ?? defaults.enabled,
    pollMs: time('poll', o.poll, defaults.pollMs, 1),
    orphanMs: time('orphanCleanup', o.orphanCleanup, defaults.orphanMs, 1),
    retentionMs: time('retention.maxAge', kept?.maxAge, defaults.retentionMs, 0),
    retentionCount: amount('retention.maxCount', kept?.maxCount, defaults.retentionCount, 0, Number.MAX_SAFE_INTEGER),
    maxDiskPercent: amount('maxDiskPercent', o.maxDiskPercent, defaults.maxDiskPercent, 1, 100),
    maxMemoryPercent: amount('maxMemoryPercent', o.maxMemoryPercent, defaults.maxMemoryPercent, 1, 100),
    maxInboxSaturation: amount('maxInboxSaturation', o.maxInboxSaturation, defaults.maxInboxSaturation, 0, 1),
  };
}

function time(name: string, value: Duration | undefined, otherwise: number, least: number): number {
  if (value === undefined) return otherwise;
  const ms = parseDuration(value);
  if (ms === null || ms < least) throw wrong(name, `must be ${least > 0 ? 'more than 0 ' : ''}milliseconds, or text such as "30s"`, value);
  return ms;
}

function amount(name: string, value: number | undefined, otherwise: number, min: number, max: number): number {
  if (value === undefined) return otherwise;
  if (typeof value !== 'number' || !(value >= min && value <= max)) throw wrong(name, `must be a number from ${min} to ${max}`, value);
  return value;
}

const wrong = (name: string, rule: string, value: unknown): TuttiError =>
  new TuttiError('INVALID_INPUT', `plans.${name} ${rule}, not ${JSON.stringify(value)}`, { field: `plans.${name}` });
