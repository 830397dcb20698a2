/** The subtask of FileIngestionTask that makes sure that files are gone before a table that mirrors their folder loses them. */
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { fileFilter } from './folder-listings.ts';
import type { RemoveInput } from './ingestion-state.ts';
import { existingFolder } from './local-folder.ts';
import type { TableTaskContext } from './table-task-context.ts';

/** Keys of those that are not there, or not what the table is made from any more. */
export async function missingFiles(x: TableTaskContext, i: RemoveInput): Promise<string[]> {
  await existingFolder('inputDirURI', i.folder, x.inputRoots);
  const wanted = fileFilter(i.include, i.exclude);
  const gone: string[] = [];
  for (const { key, path: file } of i.files) {
    let there = wanted(file);
    try {
      there &&= (await lstat(path.join(i.folder, file))).isFile();
    } catch (e) {
      const { code } = e as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw e;
      there = false;
    }
    if (!there) gone.push(key);
  }
  return gone;
}
