/** A body of values, one a line, made as it is sent. */

/** In pieces of some size: one line a piece would be mostly overhead. */
const PIECE = 65_536;

/** `onBreak` is told what broke the making of it. */
export const linesOf = (values: Iterable<unknown> | AsyncIterable<unknown>, onBreak: (e: unknown) => void): ReadableStream<Uint8Array> => {
  const encoder = new TextEncoder();
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    let piece = '';
    try {
      for await (const value of values) {
        piece += `${JSON.stringify(value)}\n`;
        if (piece.length < PIECE) continue;
        yield encoder.encode(piece);
        piece = '';
      }
    } catch (e) {
      onBreak(e);
      throw e;
    }
    if (piece !== '') yield encoder.encode(piece);
  };
  return ReadableStream.from(pieces());
};
