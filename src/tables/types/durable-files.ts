/** Files that are on disk for good before anybody is told of them. */
import { open, readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder } from '../segments.ts';

/** There is the old text or the new one, never a part. The temporary name is the same every time: whoever writes it writes the same. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const folder = path.dirname(file);
  const temporary = path.join(folder, `_${path.basename(file)}.tmp`);
  const handle = await open(temporary, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncFolder(folder);
}

/** Files below a folder, with slashes, in order. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((e) => e.isFile())
    .map((e) => path.relative(folder, path.join(e.parentPath, e.name)).split(path.sep).join('/'))
    .toSorted();
}
