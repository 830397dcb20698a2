/** Configs of tables, in the shape that Pinot's have: what is kept, what is refused, and what follows from it. Keys that nobody here knows are kept. */
import type { JsonObject } from '../core/definition.ts';
import { TuttiError, isTuttiError } from '../core/errors.ts';
import { showValue } from '../core/show-value.ts';
import { serialise } from '../core/values.ts';
import type { TableSchema } from './tables.ts';

export type TaskSettings = Readonly<Record<string, string>>;

export interface TableSchedule {
  taskType: string;
  cron: string;
  zone: string;
}

export interface ConfigChecks {
  /** What is wrong with a cron text in Quartz dialect, or its zone; null: nothing. */
  checkCron(text: string, zone: string): { field: 'cron' | 'time_zone'; message: string } | null;
  /** Its name, which may be another than the one asked for. Throws NOT_FOUND. */
  taskType(name: string): { name: string };
  checkSettings(type: string, settings: TaskSettings, table: string): Promise<string[]>;
}

export interface RealtimeSettings {
  flushRows: number;
  flushSeconds: number;
}

export const REALTIME_DEFAULTS: RealtimeSettings = { flushRows: 10_000, flushSeconds: 60 };
const REALTIME_LIMITS: Record<keyof RealtimeSettings, [number, number]> = { flushRows: [1, 1_000_000], flushSeconds: [1, 86_400] };

const TIME_UNITS = { MILLISECONDS: 1, SECONDS: 1000, MINUTES: 60_000, HOURS: 3_600_000, DAYS: 86_400_000 } as const;

const invalid = (problems: string[]): TuttiError =>
  new TuttiError('INVALID_INPUT', problems.length === 1 ? problems[0] : `${problems.length} things are wrong with the config: ${problems.join('; ')}`, {
    field: 'config',
    details: { problems },
  });

const isObject = (v: unknown): v is JsonObject => typeof v === 'object' && v !== null && !Array.isArray(v);

/** The config as it is kept: settings of task types are texts. Throws INVALID_INPUT with all that is wrong. What only task types know is not looked at. */
export function readConfig(config: unknown, schema: TableSchema, checks: Pick<ConfigChecks, 'checkCron' | 'taskType'>): JsonObject {
  const problems: string[] = [];
  if (!isObject(config)) throw invalid([`config must be an object, not ${showValue(config)}`]);
  // What could not be kept anyway, nested too deeply for one, is refused by name.
  const kept = JSON.parse(serialise(config, { name: 'config' })) as JsonObject;
  checkSegments(kept, schema, problems);
  checkRealtime(kept, problems);
  const { task } = kept;
  if (task !== undefined && task !== null) {
    const map = isObject(task) ? task.taskTypeConfigsMap : undefined;
    if (!isObject(task)) problems.push(`task must be an object, not ${showValue(task)}`);
    else if (map !== undefined && map !== null && !isObject(map)) problems.push(`task.taskTypeConfigsMap must be an object, not ${showValue(map)}`);
    else if (isObject(map)) checkTypes(map, checks, problems);
  }
  if (problems.length > 0) throw invalid(problems);
  return kept;
}

/** What the task types themselves say of their settings. The table is there by now: some of them look at its schema. */
export async function checkSettings(config: JsonObject, table: string, checks: ConfigChecks): Promise<void> {
  const problems: string[] = [];
  for (const type of configuredTypes(config)) {
    const said = await checks.checkSettings(type, settingsOf(config, type) ?? {}, table);
    for (const problem of said) problems.push(`task.taskTypeConfigsMap.${type}: ${problem}`);
  }
  if (problems.length > 0) throw invalid(problems);
}

const typesMap = (config: JsonObject): JsonObject => {
  const map = isObject(config.task) ? config.task.taskTypeConfigsMap : undefined;
  return isObject(map) ? map : {};
};

export const configuredTypes = (config: JsonObject): string[] => Object.keys(typesMap(config));

/** Null: the config says nothing about the type. */
export function settingsOf(config: JsonObject, type: string): TaskSettings | null {
  const map = typesMap(config);
  return Object.hasOwn(map, type) ? (map[type] as Record<string, string>) : null;
}

export function schedulesOf(config: JsonObject): TableSchedule[] {
  const found: TableSchedule[] = [];
  for (const taskType of configuredTypes(config)) {
    const { schedule, timezone } = settingsOf(config, taskType) ?? {};
    if (schedule !== undefined && schedule.trim() !== '') found.push({ taskType, cron: schedule.trim(), zone: zoneOf(timezone) });
  }
  return found;
}

/** When a REALTIME table's rows are made into a segment. */
export function realtimeOf(config: JsonObject): RealtimeSettings {
  const given = isObject(config.realtime) ? config.realtime : {};
  return { flushRows: numberOf(given.flushRows) ?? REALTIME_DEFAULTS.flushRows, flushSeconds: numberOf(given.flushSeconds) ?? REALTIME_DEFAULTS.flushSeconds };
}

/** Milliseconds that rows are kept, by `segmentsConfig`; null: for ever. */
export function retentionOf(config: JsonObject): number | null {
  const given = isObject(config.segmentsConfig) ? config.segmentsConfig : {};
  const ms = numberOf(given.retention_ms);
  if (ms !== null) return ms;
  const value = numberOf(given.retentionTimeValue);
  const unit = timeUnit(given.retentionTimeUnit);
  return value === null || unit === null ? null : value * unit;
}

const zoneOf = (timezone: string | undefined): string => (timezone === undefined || timezone.trim() === '' ? 'UTC' : timezone.trim());

function numberOf(value: unknown): number | null {
  const n = typeof value === 'number' ? value : typeof value === 'string' && /^\s*\d{1,15}\s*$/.test(value) ? Number(value) : Number.NaN;
  return Number.isSafeInteger(n) && n >= 0 ? n : null;
}

const timeUnit = (value: unknown): number | null => {
  const name = typeof value === 'string' ? value.trim().toUpperCase() : '';
  return name in TIME_UNITS ? TIME_UNITS[name as keyof typeof TIME_UNITS] : null;
};

function checkSegments(config: JsonObject, schema: TableSchema, problems: string[]): void {
  const { segmentsConfig } = config;
  if (segmentsConfig === undefined || segmentsConfig === null) return;
  if (!isObject(segmentsConfig)) {
    problems.push(`segmentsConfig must be an object, not ${showValue(segmentsConfig)}`);
    return;
  }
  const { retentionTimeUnit: unit, retentionTimeValue: value, retention_ms: ms, timeColumnName } = segmentsConfig;
  const said = (v: unknown): boolean => v !== undefined && v !== null && v !== '';
  if (said(unit) && timeUnit(unit) === null)
    problems.push(`segmentsConfig.retentionTimeUnit must be one of ${Object.keys(TIME_UNITS).join(', ')}, not ${showValue(unit)}`);
  if (said(value) && !((numberOf(value) ?? 0) > 0)) problems.push(`segmentsConfig.retentionTimeValue must be a whole number above 0, not ${showValue(value)}`);
  if (said(unit) !== said(value)) problems.push('segmentsConfig.retentionTimeUnit and retentionTimeValue go together');
  if (said(ms) && !((numberOf(ms) ?? 0) > 0)) problems.push(`segmentsConfig.retention_ms must be a whole number above 0, not ${showValue(ms)}`);
  if (said(timeColumnName) && timeColumnName !== schema.timeColumn) {
    problems.push(
      `segmentsConfig.timeColumnName is ${showValue(timeColumnName)}; the schema's timeColumn is ${schema.timeColumn === null ? 'none' : showValue(schema.timeColumn)}`,
    );
  }
}

function checkRealtime(config: JsonObject, problems: string[]): void {
  const { realtime } = config;
  if (realtime === undefined || realtime === null) return;
  if (!isObject(realtime)) {
    problems.push(`realtime must be an object, not ${showValue(realtime)}`);
    return;
  }
  for (const [key, [low, high]] of Object.entries(REALTIME_LIMITS)) {
    if (!(key in realtime)) continue;
    const n = numberOf(realtime[key]);
    if (n === null || n < low || n > high) problems.push(`realtime.${key} must be a whole number from ${low} to ${high}, not ${showValue(realtime[key])}`);
  }
}

function checkTypes(map: JsonObject, checks: Pick<ConfigChecks, 'checkCron' | 'taskType'>, problems: string[]): void {
  const seen = new Map<string, string>();
  for (const [type, settings] of Object.entries(map)) {
    const at = `task.taskTypeConfigsMap.${type}`;
    const name = nameOf(type, at, checks, problems);
    if (name === null) continue;
    const other = seen.get(name);
    if (other !== undefined) problems.push(`${at} and task.taskTypeConfigsMap.${other} are the same task type, ${name}`);
    seen.set(name, type);
    if (settings === null) map[type] = {};
    else if (isObject(settings)) checkOne(settings, at, checks, problems);
    else problems.push(`${at} must be an object, not ${showValue(settings)}`);
  }
}

function nameOf(type: string, at: string, checks: Pick<ConfigChecks, 'taskType'>, problems: string[]): string | null {
  try {
    return checks.taskType(type).name;
  } catch (e) {
    if (!isTuttiError(e) || e.code !== 'NOT_FOUND') throw e;
    problems.push(`${at}: ${e.message}`);
    return null;
  }
}

function checkOne(settings: JsonObject, at: string, { checkCron }: Pick<ConfigChecks, 'checkCron'>, problems: string[]): void {
  for (const [key, value] of Object.entries(settings)) {
    if (typeof value === 'number' || typeof value === 'boolean') settings[key] = String(value);
    else if (value === null) delete settings[key];
    else if (typeof value !== 'string') problems.push(`${at}.${key} must be a text, a number or a boolean, not ${showValue(value)}`);
  }
  const { schedule, timezone } = settings;
  if (typeof schedule !== 'string' || schedule.trim() === '') return;
  const problem = checkCron(schedule.trim(), zoneOf(typeof timezone === 'string' ? timezone : undefined));
  if (problem !== null) problems.push(`${at}.${problem.field === 'cron' ? 'schedule' : 'timezone'}: ${problem.message}`);
}
