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

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
export const isUuid = (text: string): boolean => UUID.test(text.toLowerCase());

/** The key a UUID stands for (no = -1: the task itself), or null when it is none of this store. */
export function parseUuid(text: string, tag: number): { task: number; no: number } | null {
  const t = text.toLowerCase();
  if (!UUID.test(t) || t[14] !== '7') return null;
  const ms = Number.parseInt(t.slice(0, 8) + t.slice(9, 13), 16);
  const id = (ms - EPOCH) * 4096 + Number.parseInt(t.slice(15, 18), 16);
  if (id < 0 || id > Number.MAX_SAFE_INTEGER) return null;
  const code = Number.parseInt(t.slice(30, 36), 16) ^ (mix(id) & 0xffffff);
  return compose(id, code, tag) === t ? { task: id, no: code - 1 } : null;
}

function compose(id: number, code: number, tag: number): string {
  const counter = id % 4096;
  const ms = hex((id - counter) / 4096 + EPOCH, 12);
  const h = mix(id);
  const high = (Math.floor(tag / 0x1000000) ^ (h >>> 18)) & 0x3fff;
  const low = ((tag % 0x1000000) ^ (h >>> 4)) & 0xffffff;
  return `${ms.slice(0, 8)}-${ms.slice(8)}-7${hex(counter, 3)}-${hex(0x8000 | high, 4)}-${hex(low, 6)}${hex(code ^ (h & 0xffffff), 6)}`;
}

const hex = (n: number, width: number): string => n.toString(16).padStart(width, '0');

/** A 32-bit integer hash of a 53-bit id. */
function mix(id: number): number {
  let h = ((id % 4294967296) | 0) ^ Math.imul(Math.floor(id / 4294967296), 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
