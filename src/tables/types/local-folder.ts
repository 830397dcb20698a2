/** Folders of this machine that settings name: as a path, or as a `file://` address. */
import { mkdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PermanentError, isPermanent } from '../../sdk/handler-errors.ts';

/** An absolute path; null: it is the address of something else. */
export function localPath(uri: string): string | null {
  if (/^file:/i.test(uri)) {
    try {
      return fileURLToPath(uri);
    } catch {
      return null;
    }
  }
  // Two letters at least: `C:\data` is a path.
  if (/^[a-z][a-z0-9+.-]+:/i.test(uri)) return null;
  return path.resolve(uri);
}

export const NOT_LOCAL = 'must be a folder of this machine, as a path or file:// address';

/** The folder itself, whatever links lead to it, which must lie below one of the roots. One that is not there is never taken for an empty one. */
export async function existingFolder(key: string, folder: string, roots: readonly string[] | null): Promise<string> {
  try {
    const real = await realpath(folder);
    // A root may be reached by a link, too; one that is not there has nothing below it.
    const own = roots === null ? null : await Promise.all(roots.map(async (r) => realpath(r).catch(() => r)));
    if (!isAllowed(real, own))
      throw new PermanentError(`${key}: ${folder} leads to ${real}, which lies below none of the folders that may be used`, { code: 'folder_forbidden' });
    if ((await stat(real)).isDirectory()) return real;
  } catch (e) {
    if (isPermanent(e)) throw e;
    throw new PermanentError(`${key}: the folder ${folder} cannot be read (${String((e as NodeJS.ErrnoException).code)})`, {
      code: 'folder_unreadable',
      cause: e,
    });
  }
  throw new PermanentError(`${key}: ${folder} is no folder`, { code: 'folder_unreadable' });
}

/** Makes a folder and those above it. One by one: Node's own way asks for ever where none can be made, as in `/proc`. */
export async function makeFolder(folder: string): Promise<void> {
  const made = async (): Promise<boolean> => {
    try {
      await mkdir(folder);
      return true;
    } catch (e) {
      const { code } = e as NodeJS.ErrnoException;
      if (code === 'EEXIST') return true;
      if (code === 'ENOENT') return false;
      throw e;
    }
  };
  if (await made()) return;
  const above = path.dirname(folder);
  if (above !== folder) await makeFolder(above);
  if (!(await made())) throw new Error(`the folder ${folder} cannot be made`);
}

export const isInside = (folder: string, file: string): boolean => {
  const way = path.relative(folder, file);
  return way !== '' && way !== '..' && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way);
};

/** Null: every folder may be used. */
export const isAllowed = (folder: string, roots: readonly string[] | null): boolean =>
  roots === null || roots.some((root) => path.resolve(root) === path.resolve(folder) || isInside(path.resolve(root), path.resolve(folder)));
