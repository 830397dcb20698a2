import { type Duration, parseDuration } from '../duration.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const HTTP_DATE = /^[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/;

/**
 * Milliseconds to wait, from what a handler was told: milliseconds as a number, a duration ('7s'), or a Retry-After header: bare digits
 * are seconds, an HTTP date is measured from `now`. Undefined: it cannot be read.
 */
export function retryAfterMs(after: Duration | undefined, now: number): number | undefined {
  if (after === undefined) return undefined;
  if (typeof after === 'string') {
    const text = after.trim();
    if (/^\d+$/.test(text)) return Number(text) * 1000;
    const date = HTTP_DATE.exec(text);
    if (date !== null) {
      const month = MONTHS.indexOf(date[2]);
      if (month < 0) return undefined;
      const days = daysSince1970(Number(date[3]), month + 1, Number(date[1]));
      return Math.max(0, days * 86_400_000 + (Number(date[4]) * 3600 + Number(date[5]) * 60 + Number(date[6])) * 1000 - now);
    }
  }
  return parseDuration(after) ?? undefined;
}

/** Proleptic Gregorian days; March-based years put the leap day last. Written out because clocks and Date stay outside (I12). */
function daysSince1970(year: number, month: number, day: number): number {
  const y = month > 2 ? year : year - 1;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468;
}
