/** Which files a table was made from: an item for each, under the full swap that loaded it, so that a switch changes the registry too. */
import { createHash } from 'node:crypto';
import type { Json } from '../../core/definition.ts';
import type { ResourceItem } from '../../engine/resource-port.ts';
import type { ItemReader } from './table-task-context.ts';

/** Body of an item `file/<swap or base>/<path>`. */
export interface LoadedFile {
  path: string;
  size: number;
  mtimeMs: number;
  /** Of those that share their segments, the rows of each are not counted: null. */
  rows: number | null;
  /** Names of the segments made from it. One may be gone since: purged until nothing was left. */
  segments: string[];
  /** Files whose rows are in the same segments, itself among them; absent: it has them alone. */
  sharedBy?: number;
  /** When it was loaded. */
  at: number;
}

/** Why a mirror cannot take it out again. */
export const SHARED =
  'It was loaded with filesPerTask, so its rows cannot be told from those of the files it shares segments with: load the folder anew with consistentPushSwapEnabled, and without filesPerTask if it is to be mirrored after.';

/** Longest key of an item. */
const MAX_KEY = 500;

export const filePrefix = (swap: string | null): string => `file/${swap ?? 'base'}/`;

export function fileKey(swap: string | null, path: string): string {
  const key = filePrefix(swap) + path;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they may be in names of files, and not in keys; nor may the last character there is.
  if (key.length <= MAX_KEY && !/[\u0000-\u001f\u007f-\u009f\u{10ffff}]/u.test(key) && key.isWellFormed()) return key;
  return `${filePrefix(swap)}#${createHash('sha256').update(path).digest('hex')}`;
}

/** Entries of other swaps than these. Those of these are jumped over, however many there are. */
export async function* foreignFiles(ctx: ItemReader, own: readonly (string | null)[]): AsyncGenerator<ResourceItem> {
  const prefixes = own.map(filePrefix);
  for (let after: string | undefined; ; ) {
    const [item] = await ctx.items({ prefix: 'file/', ...(after === undefined ? {} : { after }), limit: 1 });
    if (item === undefined) return;
    const mine = prefixes.find((p) => item.key.startsWith(p));
    if (mine === undefined) yield item;
    // No key has this character, the last there is: fileKey sees to it.
    after = mine === undefined ? item.key : `${mine}\u{10ffff}`;
  }
}

export const loadedFile = (i: ResourceItem): LoadedFile => i.body as unknown as LoadedFile;
export const fileBody = (f: LoadedFile): Json => f as unknown as Json;
