/** The files of a folder, deep, in the order of their paths. Links are not followed; what begins with `.` or `_` is nobody's data. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { filePattern } from './file-pattern.ts';

/** Listings kept at once. */
const KEPT = 8;

/** Whether a file, by its path below the folder, is one of those that are meant. */
export function fileFilter(include: string, exclude: string | null): (file: string) => boolean {
  const wanted = filePattern(include);
  const unwanted = exclude === null ? null : filePattern(exclude);
  return (file) => wanted(file) && unwanted?.(file) !== true;
}

async function listFiles(folder: string, keep: (file: string) => boolean): Promise<string[]> {
  const files: string[] = [];
  const folders = [''];
  for (let at = folders.pop(); at !== undefined; at = folders.pop()) {
    for (const entry of await readdir(path.join(folder, at), { withFileTypes: true })) {
      if (entry.name.startsWith('.') || entry.name.startsWith('_')) continue;
      const file = at === '' ? entry.name : `${at}/${entry.name}`;
      if (entry.isDirectory()) folders.push(file);
      else if (entry.isFile() && keep(file)) files.push(file);
    }
  }
  return files.sort();
}

/**
 * A plan walks through a folder batch by batch. Its listing is kept between the calls, so that a folder of 100,000 files is not read anew
 * for every ten of them. Only a saving: after a restart the folder is listed again, and the plan goes on behind the last path it had.
 */
export class FolderListings {
  readonly #kept = new Map<string, Promise<string[]>>();

  /** `key` names plan and round: what is new in the folder is seen in the next one. */
  async files(key: string, o: { folder: string; include: string; exclude: string | null }): Promise<readonly string[]> {
    let listing = this.#kept.get(key);
    if (listing === undefined) {
      listing = listFiles(o.folder, fileFilter(o.include, o.exclude));
      this.#kept.set(key, listing);
      listing.catch(() => this.#kept.delete(key));
      for (const old of this.#kept.keys()) {
        if (this.#kept.size <= KEPT) break;
        this.#kept.delete(old);
      }
    }
    return listing;
  }

  forget(key: string): void {
    this.#kept.delete(key);
  }
}

/** Place of the first path after this one. */
export function placeAfter(files: readonly string[], after: string | null): number {
  if (after === null) return 0;
  let low = 0;
  let high = files.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (files[middle] <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
