/** Long answers as a stream of pieces of their text, so that none holds up the event loop, however many batches or rows it has. */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';

/** Arrays up to so many items are no long ones. */
const FEW = 20;
/** Characters of one piece, after which others have the loop: a socket that takes everything at once would never give it up. */
const PIECE_CHARS = 65_536;

/** An object, one member of which is an array of many items: `[items, how one becomes JSON]` stands for it. */
export type LongMember<V> = readonly [items: readonly V[], toWire: (item: V) => unknown];

/** `key`: which member is the long one. Its place among the others is kept. */
export function* objectPieces<V>(o: Readonly<Record<string, unknown>>, key: string, [items, toWire]: LongMember<V>): Generator<string> {
  let before = '{';
  for (const [name, value] of Object.entries(o)) {
    if (name !== key && value === undefined) continue;
    yield `${before}${JSON.stringify(name)}:${name === key ? '' : JSON.stringify(value)}`;
    if (name === key) yield* arrayPieces(items, toWire);
    before = ',';
  }
  yield '}';
}

function* arrayPieces<V>(items: readonly V[], toWire: (item: V) => unknown): Generator<string> {
  let text = '[';
  for (const [i, item] of items.entries()) {
    text += `${i === 0 ? '' : ','}${JSON.stringify(toWire(item))}`;
    if (text.length < PIECE_CHARS) continue;
    yield text;
    text = '';
  }
  yield `${text}]`;
}

/** An array of what is itself long. */
export function* listPieces(of: Iterable<Iterable<string>>): Generator<string> {
  let before = '[';
  for (const pieces of of) {
    yield before;
    yield* pieces;
    before = ',';
  }
  yield before === '[' ? '[]' : ']';
}

export const isLong = (items: number): boolean => items > FEW;

export const sendPieces = (reply: FastifyReply, pieces: Iterable<string>, pause: () => Promise<void>): FastifyReply =>
  reply.type('application/json; charset=utf-8').send(Readable.from(paced(pieces, pause), { objectMode: false, highWaterMark: PIECE_CHARS }));

async function* paced(pieces: Iterable<string>, pause: () => Promise<void>): AsyncGenerator<string> {
  let chars = 0;
  for (const piece of pieces) {
    yield piece;
    chars += piece.length;
    if (chars < PIECE_CHARS) continue;
    chars = 0;
    await pause();
  }
}
