/** The files of a folder, deep, in the order of their paths. Links are not followed; what begins with `.` or `_` is nobody's data. */
import { opendir } from 'node:fs/promises';
import path from 'node:path';
import { PermanentError } from '../../sdk/handler-errors.ts';
import { filePattern } from './file-pattern.ts';

/** Listings kept at once. */
const KEPT = 8;
/** Files of one listing: it is held in memory, and a plan keeps a record of each. */
const MAX_FILES = 1_000_000;
/** Entries of a folder that are asked for together. */
const ENTRIES = 4_096;

export interface Listed {
  folder: string;
  include: string;
  exclude: string | null;
}

/** Whether a file, by its path below the folder, is one of those that are meant. */
export function fileFilter(include: string, exclude: string | null): (file: string) => boolean {
  const wanted = filePattern(include);
  const unwanted = exclude === null ? null : filePattern(exclude);
  return (file) => wanted(file) && unwanted?.(file) !== true;
}

async function listFiles(o: Listed, maxFiles: number, signal: AbortSignal): Promise<string[]> {
  const keep = fileFilter(o.include, o.exclude);
  const files: string[] = [];
  const folders = [''];
  for (let at = folders.pop(); at !== undefined; at = folders.pop()) {
    signal.throwIfAborted();
    for await (const entry of await opendir(path.join(o.folder, at), { bufferSize: ENTRIES })) {
      // One folder may have millions of them.
      signal.throwIfAborted();
      if (entry.name.startsWith('.') || entry.name.startsWith('_')) continue;
      const file = at === '' ? entry.name : `${at}/${entry.name}`;
      if (entry.isDirectory()) folders.push(file);
      else if (entry.isFile() && keep(file) && files.push(file) > maxFiles) throw tooMany(o, maxFiles);
    }
  }
  return files.sort();
}

function tooMany(o: Listed, maxFiles: number): PermanentError {
  const but = o.exclude === null ? '' : ` but not ${JSON.stringify(o.exclude)}`;
  return new PermanentError(
    `inputDirURI: more than ${maxFiles.toLocaleString('en')} files below ${o.folder} match ${JSON.stringify(o.include)}${but}, and that is the limit: ` +
      'name a folder below it, or fewer files by includeFileNamePattern',
    { code: 'folder_too_large' },
  );
}

interface Listing {
  files: Promise<string[]>;
  /** Told when nobody waits for it any more. */
  stop: AbortController;
  waiting: number;
}

/**
 * A plan walks through a folder batch by batch. Its listing is kept between the calls, so that a folder of 100,000 files is not read anew
 * for every ten of them. Only a saving: after a restart the folder is listed again, and the plan goes on behind the last path it had.
 */
export class FolderListings {
  readonly #maxFiles: number;
  readonly #kept = new Map<string, Listing>();

  constructor(o: { maxFiles?: number } = {}) {
    this.#maxFiles = o.maxFiles ?? MAX_FILES;
  }

  /**
   * `key` names plan and round: what is new in the folder is seen in the next one. Whoever's `signal` is aborted waits no longer, and fails
   * with its reason; reading the folder stops with the last of those who wait. Throws a PermanentError where there are too many files.
   */
  async files(key: string, o: Listed, signal?: AbortSignal): Promise<readonly string[]> {
    signal?.throwIfAborted();
    const listing = this.#kept.get(key) ?? this.#begin(key, o);
    if (signal === undefined) {
      // Such a one waits to the end.
      listing.waiting = Infinity;
      return listing.files;
    }
    listing.waiting++;
    const { promise: left, reject } = Promise.withResolvers<never>();
    const leave = (): void => {
      reject(signal.reason as Error);
      if (--listing.waiting > 0) return;
      // Whoever comes next must not be handed a listing that stops.
      this.#drop(key, listing);
      listing.stop.abort(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    try {
      const files = await Promise.race([listing.files, left]);
      listing.waiting--;
      return files;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  forget(key: string): void {
    this.#kept.delete(key);
  }

  #begin(key: string, o: Listed): Listing {
    const stop = new AbortController();
    const listing: Listing = { files: listFiles(o, this.#maxFiles, stop.signal), stop, waiting: 0 };
    this.#kept.set(key, listing);
    listing.files.catch(() => this.#drop(key, listing));
    for (const old of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(old);
    }
    return listing;
  }

  #drop(key: string, listing: Listing): void {
    if (this.#kept.get(key) === listing) this.#kept.delete(key);
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
