import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readEventStream, type ServerEvent } from '../../src/sdk/client/event-stream.ts';

const read = async (chunks: Uint8Array[]): Promise<ServerEvent[]> => {
  const all: ServerEvent[] = [];
  for await (const e of readEventStream(
    (async function* () {
      yield* chunks;
    })(),
  ))
    all.push(e);
  return all;
};
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('ids, types, data of several lines, comments, and what is unfinished', async () => {
  const text = ': hello\n\nid: 1\nevent: step.state\ndata: {"a":1}\n\ndata: x\ndata:y\n\nid: 2\r\nevent: t\r\ndata: ü😀\r\n\r\nid: 3\ndata: never ends';
  assert.deepEqual(await read([bytes(text)]), [
    { id: '1', type: 'step.state', data: '{"a":1}' },
    { id: '1', type: 'message', data: 'x\ny' },
    { id: '2', type: 't', data: 'ü😀' },
  ]);
});

test('where the chunks are cut makes no difference, not even inside a character or between CR and LF', async () => {
  const event = fc.record({
    id: fc.integer({ min: 1 }).map(String),
    type: fc.constantFrom('a', 'step.state'),
    data: fc.string({ unit: 'grapheme', minLength: 1 }).map((s) => s.replace(/[\r\n\0]/g, '_')),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { minLength: 1, maxLength: 5 }),
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.array(fc.nat(), { maxLength: 12 }),
      async (events, eol, cuts) => {
        const all = bytes(`${events.map((e) => `id: ${e.id}${eol}event: ${e.type}${eol}data: ${e.data}${eol}${eol}`).join('')}`);
        const at = [...new Set(cuts.map((c) => c % (all.length + 1)))].sort((a, b) => a - b);
        const chunks = [0, ...at].map((from, i) => all.subarray(from, at[i] ?? all.length));
        // A lone CR at the very end may be half of a CRLF, so the last event of a CR-only stream needs one byte more.
        const got = await read(eol === '\r' ? [...chunks, bytes(':')] : chunks);
        assert.deepEqual(
          got,
          events.map((e) => ({ ...e })),
        );
      },
    ),
    { numRuns: 200 },
  );
});
