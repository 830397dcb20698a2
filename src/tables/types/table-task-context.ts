/** What the built-in task types work with, and what they have in common. */
import type { Json } from '../../core/definition.ts';
import type { ResourceItem, Resources } from '../../engine/resource-port.ts';
import type { PlanContext } from '../../sdk/plans/task-type.ts';
import type { Duck } from '../duckdb.ts';
import { GARBAGE_PREFIX, SEGMENT_PREFIX, SWAP_KEY, type Segment, type Segments, type StoredSegment, swapOf } from '../segments.ts';

export interface TableTaskContext {
  duck: Duck;
  segments: Segments;
  resources: Pick<Resources, 'item'>;
  /** Milliseconds since 1970. */
  now(): number;
  /** Folders below which tasks may read files that people name; null: all. */
  inputRoots: readonly string[] | null;
  /** The same for writing. */
  outputRoots: readonly string[] | null;
}

/** Items of a resource: of a generator's context, or of the resource itself. */
export type ItemReader = Pick<PlanContext, 'items' | 'item'>;

/** Writes of one commit, as they are gathered. */
export interface ItemWrites {
  put: { key: string; body: Json; expect?: number | null }[];
  remove: { key: string; expect?: number }[];
}

/** Of the 10,000 that a commit may have; the rest is for what belongs to them. */
export const MAX_WRITES = 9_000;

const PAGE = 1_000;

export const countOf = (w: ItemWrites): number => w.put.length + w.remove.length;

/** All items of a prefix, page by page: what comes and goes meanwhile may be among them or not. */
export async function* itemsOf(ctx: ItemReader, prefix: string, after?: string): AsyncGenerator<ResourceItem> {
  for (let from = after; ; ) {
    const page = await ctx.items({ prefix, ...(from === undefined ? {} : { after: from }), limit: PAGE });
    yield* page;
    if (page.length < PAGE) return;
    from = page.at(-1)!.key;
  }
}

export const storedSegment = (i: ResourceItem): StoredSegment => ({
  name: i.key.slice(SEGMENT_PREFIX.length),
  version: i.version,
  segment: i.body as unknown as Segment,
});

/** In the order of their names, from the one after this. */
export async function* segmentsOf(ctx: ItemReader, after: string | null = null): AsyncGenerator<StoredSegment> {
  for await (const item of itemsOf(ctx, SEGMENT_PREFIX, after === null ? undefined : SEGMENT_PREFIX + after)) yield storedSegment(item);
}

export async function segmentNow(ctx: ItemReader, name: string): Promise<StoredSegment | null> {
  const item = await ctx.item(SEGMENT_PREFIX + name);
  return item === null ? null : storedSegment(item);
}

export const currentSwap = async (ctx: ItemReader): Promise<string | null> => swapOf(await ctx.item(SWAP_KEY));

/** The file is swept once nobody can be reading it any more. */
function addGarbage(w: ItemWrites, file: string, at: number): void {
  w.put.push({ key: GARBAGE_PREFIX + file.slice(file.lastIndexOf('/') + 1), body: { file, at } });
}

export function addSegment(w: ItemWrites, name: string, segment: Segment): void {
  w.put.push({ key: SEGMENT_PREFIX + name, body: segment as unknown as Json, expect: null });
}

/** The segment goes on under its name with another file, or with more known about it: whoever has noted the name still finds it. */
export function replaceSegment(w: ItemWrites, old: StoredSegment, segment: Segment, at: number): void {
  w.put.push({ key: SEGMENT_PREFIX + old.name, body: segment as unknown as Json, expect: old.version });
  if (segment.file !== old.segment.file) addGarbage(w, old.segment.file, at);
}

export function removeSegment(w: ItemWrites, old: StoredSegment, at: number): void {
  w.remove.push({ key: SEGMENT_PREFIX + old.name, expect: old.version });
  addGarbage(w, old.segment.file, at);
}

/** Part of a plan's id that no other plan has. */
export const planUuid = (planId: string): string => planId.slice(planId.lastIndexOf('__') + 2);

/** Text for `customStats`, which are kept with every change of the plan. */
export const cutText = (text: string, most = 2_000): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

export const counted = (n: number, one: string): string => `${n.toLocaleString('en')} ${one}${n === 1 ? '' : 's'}`;
