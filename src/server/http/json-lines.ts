/** A body of one JSON value a line, as it comes: of a large one no more than a line is held. */
import type { Readable } from 'node:stream';
import { TuttiError } from '../../core/errors.ts';
import { NdjsonSplitter } from '../../core/ndjson.ts';

export interface JsonLinesOptions {
  maxBytes?: number;
  /** Told how many bytes there are by now; may throw. */
  arrived?: (bytes: number) => void;
}

/** The value of each line. Throws INVALID_JSON or VALUE_TOO_LARGE, naming the line, and BODY_TOO_LARGE; the stream stays open then, for the answer. */
export async function* jsonLines(body: Readable, { maxBytes = Infinity, arrived }: JsonLinesOptions = {}): AsyncGenerator<unknown> {
  const lines = new NdjsonSplitter();
  let bytes = 0;
  try {
    // Ended early it must not be destroyed: its socket is to carry the answer.
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      bytes += (chunk as Buffer).length;
      if (bytes > maxBytes)
        throw new TuttiError('BODY_TOO_LARGE', `the request body is larger than ${maxBytes} bytes`, { field: 'body', details: { limit: maxBytes } });
      arrived?.(bytes);
      for (const line of lines.push(chunk as Buffer)) yield valueOf(line);
    }
  } catch (e) {
    if (e instanceof TuttiError) throw e;
    throw new TuttiError('INVALID_INPUT', 'the body broke off', { field: 'body', cause: e });
  }
  for (const line of lines.end()) yield valueOf(line);
}

function valueOf({ no, text }: { no: number; text: string }): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (e) {
    throw new TuttiError('INVALID_JSON', `line ${no} is not JSON: ${(e as Error).message}`, { field: `line ${no}` });
  }
}
