/** `[[orchestration.schedules]]` of a TOML file. What a schedule may be is checked when it is declared; here, that it is written as one. */
import { TuttiError } from '../core/errors.ts';
import type { ScheduleRequest } from '../core/schedule.ts';
import { scheduleOfFields } from '../core/schedule-fields.ts';

/** `name` is how messages call the file. Throws INVALID_CONFIG, naming schedule and field. */
export function declaredSchedules(value: unknown, name: string): ReadonlyMap<string, ScheduleRequest> {
  const path = 'orchestration.schedules';
  if (!Array.isArray(value) || value.some((v) => typeof v !== 'object' || v === null || Array.isArray(v)))
    throw new TuttiError('INVALID_CONFIG', `${name}: ${path} must be a list of tables, each written as [[${path}]]`, { field: path });
  const found = new Map<string, ScheduleRequest>();
  for (const [i, raw] of (value as Record<string, unknown>[]).entries()) {
    const { key } = raw;
    const called = typeof key === 'string' ? `${path} ${JSON.stringify(key)}` : `${path}[${i}]`;
    const refuse = (message: string, cause?: unknown): never => {
      throw new TuttiError('INVALID_CONFIG', `${name}: ${called}: ${message}`, { field: path, cause });
    };
    if (typeof key !== 'string') return refuse('key is missing');
    if (found.has(key)) refuse('is declared twice');
    try {
      found.set(key, scheduleOfFields(plain(raw) as Record<string, unknown>, Date.parse));
    } catch (e) {
      if (!(e instanceof TuttiError)) throw e;
      refuse(e.message, e);
    }
  }
  return found;
}

/** TOML has times of its own. */
const plain = (v: unknown): unknown => {
  if (v instanceof Date) return v.toISOString();
  if (Array.isArray(v)) return v.map(plain);
  return typeof v === 'object' && v !== null ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, plain(x)])) : v;
};
