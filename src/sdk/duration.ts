/** A length of time as people write it: milliseconds as a number, or text such as `250ms`, `30s`, `1.5m`, `2h`, `7d`, `1h30m`. */
export type Duration = number | string;

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const PART = /(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*/y;

/** Milliseconds, a whole number of 0 or more; null when it is no duration. */
export function parseDuration(value: Duration): number | null {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? Math.round(value) : null;
  if (typeof value !== 'string') return null;
  const text = value.trim();
  let total = 0;
  PART.lastIndex = 0;
  do {
    const part = PART.exec(text);
    if (part === null) return null;
    total += Number(part[1]) * UNIT_MS[part[2]];
  } while (PART.lastIndex < text.length);
  return Math.round(total);
}
