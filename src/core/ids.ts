/**
 * Integer keys inside, UUIDv7 at the edge (design.md §6; ADR 0004). A task's id is the millisecond of its submission and a counter;
 * the UUIDs of the task and of its steps are computed from it, so no row and no index holds one.
 *
 *   id   = (ms since 2025-01-01) × 4096 + counter, below 2^53 until 2094
 *   uuid = 48 bits ms · version 7 · 12 bits counter · variant · 38 bits store tag · 24 bits (0 = the task, no + 1 = a step)
 *
 * The last 62 bits are mixed with a hash of the id, so that neighbours do not look alike. A UUID of another store does not parse.
 */
const EPOCH = 1_735_689_600_000;
export const TAG_LIMIT = 2 ** 38;
/** Largest step number + 1 that fits. */
export const MAX_STEPS = 2 ** 24 - 2;

/** The next id at `now`, above `last` whatever the clock does. */
export const nextTaskId = (last: number, now: number): number => Math.max(last + 1, (now - EPOCH) * 4096);

export const taskUuid = (id: number, tag: number): string => compose(id, 0, tag);
export const stepUuid = (id: number, no: number, tag: number): string => compose(id, no + 1, tag);

const DIGITS = Array.from('0123456789abcdef', (c) => c.charCodeAt(0));
/** Value of a hexadecimal digit by character code, both cases; -1: it is none. */
const VALUES = Array.from({ length: 128 }, (_, code) => '0123456789abcdef'.indexOf(String.fromCharCode(code).toLowerCase()));
const DASH = 45;
const isDash = (i: number): boolean => i === 8 || i === 13 || i === 18 || i === 23;
const VERSION_AT = 14;

/** Any UUID, in either case. */
export function isUuid(text: string): boolean {
  if (text.length !== 36) return false;
  for (let i = 0; i < 36; i++) {
    const code = text.charCodeAt(i);
    if (isDash(i) ? code !== DASH : !(VALUES[code] >= 0)) return false;
  }
  return true;
}

/** The key a UUID stands for (no = -1: the task itself), or null when it is none of this store. */
export function parseUuid(text: string, tag: number): { task: number; no: number } | null {
  if (!isUuid(text) || text.charCodeAt(VERSION_AT) !== 55) return null;
  const ms = number(text, 0, 8) * 65_536 + number(text, 9, 13);
  const id = (ms - EPOCH) * 4096 + number(text, 15, 18);
  if (id < 0 || id > Number.MAX_SAFE_INTEGER) return null;
  const h = mix(id);
  const code = number(text, 30, 36) ^ (h & 0xffffff);
  const mine = number(text, 19, 23) === high(h, tag) && number(text, 24, 30) === low(h, tag);
  return mine ? { task: id, no: code - 1 } : null;
}

/** What the hexadecimal digits from `from` to before `to` say. */
function number(text: string, from: number, to: number): number {
  let n = 0;
  for (let i = from; i < to; i++) n = n * 16 + VALUES[text.charCodeAt(i)];
  return n;
}

/** Filled anew for each UUID: pieces joined by `+` would stay a tree of eight strings for as long as somebody keeps the id. */
const CODES = new Array<number>(36).fill(DASH);

function compose(id: number, code: number, tag: number): string {
  const counter = id % 4096;
  const ms = (id - counter) / 4096 + EPOCH;
  const h = mix(id);
  put(0, 8, Math.floor(ms / 65_536));
  put(9, 13, ms % 65_536);
  CODES[VERSION_AT] = 55;
  put(15, 18, counter);
  put(19, 23, high(h, tag));
  put(24, 30, low(h, tag));
  put(30, 36, code ^ (h & 0xffffff));
  return String.fromCharCode.apply(null, CODES);
}

function put(from: number, to: number, n: number): void {
  for (let i = to - 1; i >= from; i--) {
    CODES[i] = DIGITS[n & 15];
    n >>>= 4;
  }
}

/** The two places of the store's tag, each mixed with the hash of the id; the first carries the variant's bits. */
const high = (h: number, tag: number): number => 0x8000 | ((Math.floor(tag / 0x1000000) ^ (h >>> 18)) & 0x3fff);
const low = (h: number, tag: number): number => ((tag % 0x1000000) ^ (h >>> 4)) & 0xffffff;

/** A 32-bit integer hash of a 53-bit id. */
function mix(id: number): number {
  let h = ((id % 4294967296) | 0) ^ Math.imul(Math.floor(id / 4294967296), 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
