/**
 * A place in the log of all tasks, as text that callers keep and give back. It names the last row that was passed, how far into that
 * row, and how far removals had gone when it was given; a check ties it to the store, so that a cursor of another one is refused.
 */
import { TuttiError } from '../core/errors.ts';

export interface LogPlace {
  /** Id of the last row of which something was passed; 0: the beginning. */
  row: number;
  /** Events of that row that were passed; 0: all of them. */
  part: number;
  /** Highest id of a removed row at that time. */
  removed: number;
}

const MODULUS = 46_649;

function check(p: LogPlace, tag: number): string {
  let h = tag % MODULUS;
  for (const n of [p.row, p.part, p.removed]) h = (h * 31 + (n % MODULUS) + 1) % MODULUS;
  return h.toString(36);
}

export const writeCursor = (p: LogPlace, tag: number): string => `e${p.row.toString(36)}.${p.part.toString(36)}.${p.removed.toString(36)}.${check(p, tag)}`;

/** Throws INVALID_CURSOR for text that `writeCursor` did not give for this store. */
export function readCursor(text: string, tag: number): LogPlace {
  const m = /^e([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.[0-9a-z]{1,4}$/.exec(text);
  const [row, part, removed] = m === null ? [Number.NaN, 0, 0] : m.slice(1, 4).map((d) => Number.parseInt(d, 36));
  const place = { row, part, removed };
  // What is spelt otherwise than we would spell it is not ours.
  if (!(Number.isSafeInteger(row) && Number.isSafeInteger(removed)) || writeCursor(place, tag) !== text)
    throw new TuttiError('INVALID_CURSOR', 'the cursor was not issued by this log', { field: 'after' });
  return place;
}
