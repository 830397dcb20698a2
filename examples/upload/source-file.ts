/** The file that is uploaded: 10 GiB that take 10 MiB on disk, because all but the beginning of each part is a hole. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';

/** Bytes handed on at a time. */
const SLICE = 64 * 1024;

/** Makes the file. Every `stride` bytes it has `filled` bytes that no other place has. */
export const makeSparseFile = async (path: string, o: { bytes: number; stride: number; filled: number }): Promise<void> => {
  const file = await open(path, 'w');
  try {
    await file.truncate(o.bytes);
    const block = Buffer.alloc(Math.min(o.filled, o.stride));
    for (let at = 0; at < o.bytes; at += o.stride) {
      // Xorshift from a start that depends on the place.
      let x = at / o.stride + 0x9e3779b9;
      for (let i = 0; i + 4 <= block.length; i += 4) {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        block.writeInt32LE(x | 0, i);
      }
      await file.write(block, 0, Math.min(block.length, o.bytes - at), at);
    }
  } finally {
    await file.close();
  }
};

/** `length` bytes from `offset` on, in slices. Throws where the file ends before. */
export async function* slicesOf(path: string, offset: number, length: number): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  try {
    for (let sent = 0; sent < length; ) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(SLICE, length - sent)), 0, undefined, offset + sent);
      if (bytesRead === 0) throw new Error(`${path} ends before byte ${offset + length}: it was changed since the upload was planned`);
      sent += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** SHA-256 of some ranges of a file, one after the other. */
export const hashOfRanges = async (path: string, ranges: readonly { offset: number; length: number }[]): Promise<{ etag: string; size: number }> => {
  const hash = createHash('sha256');
  let size = 0;
  for (const r of ranges) {
    for await (const slice of slicesOf(path, r.offset, r.length)) {
      hash.update(slice);
      size += slice.length;
    }
  }
  return { etag: hash.digest('hex'), size };
};
