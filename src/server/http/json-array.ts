/** Long arrays as a stream of chunks, so that no answer holds up the event loop, however many steps a task has. */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';

const CHUNK = 250;

export function sendArray<V, W>(reply: FastifyReply, items: readonly V[], toWire: (v: V) => W): W[] | FastifyReply {
  if (items.length <= CHUNK) return items.map(toWire);
  return reply.type('application/json; charset=utf-8').send(Readable.from(chunks(items, toWire), { objectMode: false, highWaterMark: 65_536 }));
}

function* chunks<V, W>(items: readonly V[], toWire: (v: V) => W): Generator<string> {
  for (let at = 0; at < items.length; at += CHUNK) {
    const text = items
      .slice(at, at + CHUNK)
      .map((v) => JSON.stringify(toWire(v)))
      .join(',');
    yield `${at === 0 ? '[' : ','}${text}${at + CHUNK >= items.length ? ']' : ''}`;
  }
}
