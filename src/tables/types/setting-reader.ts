/** Settings of a task type: texts that people write into a table's config. Reads what is right and gathers what is wrong. */
import { editDistance } from '../../core/nearest-name.ts';
import { showValue } from '../../core/show-value.ts';
import { parseDuration } from '../../sdk/duration.ts';

export type Settings = Readonly<Record<string, string>>;

/** What the engine, the scheduler and whoever triggers read: known everywhere. */
const GENERAL = [
  'schedule',
  'timezone',
  'enableTaskOrchestration',
  'forceLegacyTaskFlow',
  'tableMaxNumTasks',
  'minionInstanceTag',
  'taskPlanFailureThresholdPercent',
  'maxConsecutiveFailedBatches',
];

export class SettingReader {
  readonly problems: string[] = [];
  readonly #settings: Settings;
  readonly #known: string[] = [...GENERAL];

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Trimmed; undefined where it is absent or empty. */
  text(key: string): string | undefined {
    this.#known.push(key);
    const value = this.#settings[key]?.trim();
    return value === undefined || value === '' ? undefined : value;
  }

  required(key: string, what: string): string {
    const value = this.text(key);
    if (value === undefined) this.problems.push(`${key} is missing: ${what}`);
    return value ?? '';
  }

  whole(key: string, otherwise: number, least: number, most: number): number {
    const value = this.text(key);
    if (value === undefined) return otherwise;
    const n = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
    if (n >= least && n <= most) return n;
    this.problems.push(`${key} must be a whole number from ${least} to ${most}, not ${showValue(value)}`);
    return otherwise;
  }

  /** Anything but "true" and "false" is refused, so that "yes" is no silent no. */
  flag(key: string, otherwise = false): boolean {
    const value = this.text(key)?.toLowerCase();
    if (value === undefined || value === 'true' || value === 'false') return value === undefined ? otherwise : value === 'true';
    this.problems.push(`${key} must be "true" or "false", not ${showValue(value)}`);
    return otherwise;
  }

  /** Without regard to case. */
  choice<T extends string>(key: string, choices: readonly T[], otherwise: T): T {
    const value = this.text(key);
    if (value === undefined) return otherwise;
    const found = choices.find((c) => c === value.toLowerCase());
    if (found === undefined) this.problems.push(`${key} must be one of ${choices.join(', ')}, not ${showValue(value)}`);
    return found ?? otherwise;
  }

  /** Milliseconds of `30s`, `2h`, `7d`. */
  duration(key: string, otherwise: number): number {
    const value = this.text(key);
    if (value === undefined) return otherwise;
    const ms = parseDuration(value);
    if (ms === null) this.problems.push(`${key} must be a length of time such as "7d" or "12h", not ${showValue(value)}`);
    return ms ?? otherwise;
  }

  /** Subtasks of one batch. */
  batchSize(): number {
    return this.whole('tableMaxNumTasks', 10, 1, 1_000_000);
  }

  refuse(message: string): void {
    this.problems.push(message);
  }

  /** Settings of others are left alone; one that is nearly ours is a typing error, which would change silently what a plan does. Last. */
  refuseMisspelt(): void {
    for (const key of Object.keys(this.#settings)) {
      if (this.#known.includes(key)) continue;
      const near = this.#known.find((k) => Math.abs(k.length - key.length) <= 2 && editDistance(k.toLowerCase(), key.toLowerCase()) <= 2);
      if (near !== undefined) this.problems.push(`${key} is no setting of this type; did you mean ${near}?`);
    }
  }
}
