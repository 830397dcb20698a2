/** Small files that share a segment (`filesPerTask`): a segment of its own for each of thousands costs more than the rows in it. */
import type { InputFile } from './load-file.ts';

/** Bytes up to which a file is no work for several threads: the files of a batch are read side by side instead. */
export const SMALL_FILE = 8 * 2 ** 20;
/** Bytes of one group: what a lost attempt, or one bad file among them, makes to be read again. */
const GROUP_BYTES = 64 * 2 ** 20;

/** Neighbours together, in their order: at most `most` files and 64 MiB; a file above 8 MiB stays alone. */
export function groupFiles(files: readonly InputFile[], most: number): InputFile[][] {
  const groups: InputFile[][] = [];
  let open: InputFile[] | null = null;
  let bytes = 0;
  for (const f of files) {
    const small = f.size <= SMALL_FILE;
    if (open !== null && small && open.length < most && bytes + f.size <= GROUP_BYTES) {
      open.push(f);
      bytes += f.size;
      continue;
    }
    const group = [f];
    groups.push(group);
    open = small ? group : null;
    bytes = f.size;
  }
  return groups;
}

/** What messages call a group. */
export const showFiles = (files: readonly { path: string }[]): string =>
  files.length === 1 ? files[0].path : `${files[0].path} and ${files.length - 1} more beside it`;
