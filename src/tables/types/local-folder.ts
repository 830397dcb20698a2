/** Folders of this machine that settings name: as a path, or as a `file://` address. */
import { access, constants, lstat, mkdir, realpath, stat } from 'node:fs/promises';
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

/** Settings that name a folder, and what the configuration bounds them by. */
const BOUNDS = { inputDirURI: { option: 'input_roots', done: 'read' }, outputDirURI: { option: 'output_roots', done: 'written' } } as const;
export type FolderSetting = keyof typeof BOUNDS;

/** Why a folder may not be used, by its name alone; null: it may. */
export function folderProblem(key: FolderSetting, folder: string, roots: readonly string[] | null): string | null {
  if (isAllowed(folder, roots)) return null;
  const { option, done } = BOUNDS[key];
  if (roots?.length === 0)
    return `${key} names ${folder}, and orchestration.tables.${option} names no folder that may be ${done}: a server that other machines can reach needs one`;
  return `${key} names ${folder}, which lies below none of the folders that may be ${done}`;
}

const forbidden = (key: FolderSetting, folder: string, real: string): PermanentError =>
  new PermanentError(`${key}: ${folder} leads to ${real}, which lies below none of the folders that may be used`, { code: 'folder_forbidden' });
const unusable = (key: FolderSetting, problem: string, cause?: unknown): PermanentError =>
  new PermanentError(`${key}: ${problem}`, { code: 'folder_unreadable', cause });
const codeOf = (e: unknown): string => String((e as NodeJS.ErrnoException).code);

/** A root may be reached by a link, too, and need not be there yet. */
const realRoots = async (roots: readonly string[] | null): Promise<readonly string[] | null> =>
  roots === null ? null : await Promise.all(roots.map(async (r) => (await placeOf(r).catch(() => null))?.real ?? r));

/** The folder itself, whatever links lead to it, which must lie below one of the roots. One that is not there is never taken for an empty one. */
export async function existingFolder(key: FolderSetting, folder: string, roots: readonly string[] | null): Promise<string> {
  try {
    const real = await realpath(folder);
    if (!isAllowed(real, await realRoots(roots))) throw forbidden(key, folder, real);
    if ((await stat(real)).isDirectory()) return real;
  } catch (e) {
    if (isPermanent(e)) throw e;
    throw unusable(key, `the folder ${folder} cannot be read (${codeOf(e)})`, e);
  }
  throw unusable(key, `${folder} is no folder`);
}

/** Where a folder lies or would lie, whatever links lead there, and the deepest one on the way that is there. */
async function placeOf(folder: string): Promise<{ real: string; there: string }> {
  try {
    const real = await realpath(folder);
    return { real, there: real };
  } catch (e) {
    if (codeOf(e) !== 'ENOENT') throw e;
    const found = await lstat(folder).catch(() => null);
    // A link to nothing: what would be made there is not below this folder.
    if (found?.isSymbolicLink() === true) throw e;
    // Somebody has made it meanwhile.
    if (found !== null) return placeOf(folder);
    const above = path.dirname(folder);
    if (above === folder) throw e;
    const { real, there } = await placeOf(above);
    return { real: path.join(real, path.basename(folder)), there };
  }
}

/** Makes nothing. Throws a PermanentError where the folder is not there and could not be made, or lies, by whatever links, below none of the roots. */
export async function checkTarget(key: FolderSetting, folder: string, roots: readonly string[] | null): Promise<void> {
  let there: string;
  try {
    const place = await placeOf(folder);
    if (!isAllowed(place.real, await realRoots(roots))) throw forbidden(key, folder, place.real);
    ({ there } = place);
    if ((await stat(there)).isDirectory()) {
      await access(there, constants.W_OK | constants.X_OK);
      return;
    }
  } catch (e) {
    if (isPermanent(e)) throw e;
    throw unusable(key, `the folder ${folder} cannot be written (${codeOf(e)})`, e);
  }
  throw unusable(key, `${folder} cannot be written: ${there} is no folder`);
}

/** Makes a folder that lies below one of the roots; where it would not, nothing is made. */
export async function makeTarget(key: FolderSetting, folder: string, roots: readonly string[] | null): Promise<void> {
  await checkTarget(key, folder, roots);
  await makeFolder(folder);
  // A link may have come in its way since.
  await existingFolder(key, folder, roots);
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
