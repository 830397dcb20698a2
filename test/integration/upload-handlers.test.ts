/** The handlers of `npm run example upload` by themselves, against the sample's object server. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ObjectClient } from '../../examples/upload/object-client.ts';
import { startObjectServer } from '../../examples/upload/object-server.ts';
import { hashOfRanges, makeSparseFile } from '../../examples/upload/source-file.ts';
import { type PartInput, planParts, type SentPart, type UploadInput, uploadHandlers } from '../../examples/upload/upload.ts';

const SIZE = 100_000;
const PART = 30_000;

interface Asked {
  handler: string;
  key: string;
  name: string;
  expectedBytes: number;
  inputs: PartInput;
}
interface FakeContext {
  input: unknown;
  stepId?: string;
  isRetry?: boolean;
  own?: unknown;
  signal?: AbortSignal;
}

const setUp = async (t: TestContext, sent: number | null = null) => {
  const folder = mkdtempSync(join(tmpdir(), 'tutti-upload-'));
  const server = await startObjectServer({ folder: join(folder, 'objects') });
  t.after(async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const file = join(folder, 'source');
  await makeSparseFile(file, { bytes: SIZE, stride: PART, filled: 20_000 });
  const store = new ObjectClient(server.url);
  const handlers = new Map(uploadHandlers(store).map((h) => [h.name, h.code as Record<string, (ctx: object, more?: unknown) => Promise<unknown>>]));
  const input: UploadInput = { file, bucket: 'bucket', key: 'key', part_bytes: PART, sent_bytes: sent, pace_ms: 0 };
  const asked: Asked[] = [];
  const progress: { bytes: number; total: number }[] = [];
  const call = (handler: string, method: string, o: FakeContext, more?: unknown): Promise<unknown> => {
    const code = handlers.get(handler);
    assert.ok(code, handler);
    const ctx = {
      stepId: 'step',
      isRetry: false,
      signal: new AbortController().signal,
      spawnAll: async (list: Asked[]) => void asked.push(...list),
      progress: (p: { bytes: number; total: number }) => void progress.push(p),
      ...o,
    };
    return code[method](ctx, more);
  };
  const upload = () => call('upload.file', 'call', { input }) as Promise<{ upload_id: string; parts: number }>;
  const part = (a: Asked, o: Partial<FakeContext> = {}) => call('upload.part', 'call', { input: a.inputs, ...o }) as Promise<SentPart>;
  return { store, file, input, asked, progress, call, upload, part };
};
async function* ended(parts: readonly SentPart[]): AsyncGenerator<object> {
  for (const value of parts) yield { name: `part ${value.part_number}`, state: 'complete', value };
}

test('a plan covers the file, in order, without a gap', () => {
  assert.deepEqual(planParts(100, { part_bytes: 30, sent_bytes: 20 }), [
    { part_number: 1, offset: 0, length: 30, sent: 20 },
    { part_number: 2, offset: 30, length: 30, sent: 20 },
    { part_number: 3, offset: 60, length: 30, sent: 20 },
    { part_number: 4, offset: 90, length: 10, sent: 10 },
  ]);
  assert.deepEqual(planParts(0, { part_bytes: 30, sent_bytes: null }), [{ part_number: 1, offset: 0, length: 0, sent: 0 }]);
  assert.throws(() => planParts(100_000_000, { part_bytes: 1, sent_bytes: null }), /at most 10000/);
});

for (const sent of [null, 1000]) {
  test(`the object equals the ${sent === null ? '' : 'scaled '}source`, async (t) => {
    const { store, file, input, asked, progress, call, upload, part } = await setUp(t, sent);
    const own = await upload();
    assert.deepEqual(
      asked.map((a) => [a.handler, a.key, a.name, a.expectedBytes]),
      [1, 2, 3, 4].map((n) => ['upload.part', `part-${n}`, `part ${n}`, n === 4 ? 10_000 : PART]),
    );
    const parts: SentPart[] = [];
    for (const a of asked.toReversed()) {
      progress.length = 0;
      parts.push(await part(a));
      assert.deepEqual(progress.at(-1), { bytes: a.inputs.length, total: a.inputs.length });
    }
    const made = (await call('upload.file', 'finalize', { input, own }, ended(parts))) as { etag: string };
    const source = await hashOfRanges(
      file,
      asked.map((a) => ({ offset: a.inputs.offset, length: a.inputs.sent })),
    );
    assert.equal(made.etag, source.etag);
    assert.deepEqual(await store.head(input), source);
    // A crash before its result was durable lets finalize run again.
    assert.deepEqual(await call('upload.file', 'finalize', { input, own }, ended(parts)), made);
  });
}

test('planned again after a crash: the same upload, the same children', async (t) => {
  const { store, input, asked, upload } = await setUp(t);
  const first = await upload();
  const before = asked.splice(0);
  assert.deepEqual(await upload(), first);
  assert.deepEqual(asked, before);
  assert.equal((await store.uploads(input)).length, 1);
});

test('a retried part sends nothing when all of it is there, and all of it when something else is', async (t) => {
  const { store, asked, upload, part } = await setUp(t);
  await upload();
  const sent = await part(asked[0]);
  const puts = async (): Promise<number> => (await store.stats()).puts['bucket/key']['1'].finished;
  assert.equal((await part(asked[0], { isRetry: true })).etag, sent.etag);
  assert.equal(await puts(), 1);
  async function* other(): AsyncGenerator<Buffer> {
    yield Buffer.from('other');
  }
  await store.putPart(asked[0].inputs, asked[0].inputs.upload_id, 1, 5, other());
  assert.equal((await part(asked[0], { isRetry: true })).etag, sent.etag);
  assert.equal(await puts(), 3);
});

test('the abort hooks leave nothing, whether or not the plan was told, and say nothing of what is gone', async (t) => {
  const { store, input, asked, call, upload, part } = await setUp(t);
  const others = await store.begin(input, 'another step');
  await upload();
  await part(asked[0]);
  await part(asked[1]);
  await call('upload.part', 'onAbort', { input: asked[0].inputs });
  assert.equal((await store.stats()).open_parts, 1);
  await call('upload.file', 'onAbort', { input, own: undefined });
  assert.deepEqual(
    (await store.uploads(input)).map((u) => u.upload_id),
    [others.upload_id],
  );
  await call('upload.file', 'onAbort', { input, own: undefined });
  await call('upload.part', 'onAbort', { input: asked[1].inputs });
  await assert.rejects(part(asked[2]), { name: 'PermanentError', code: 'object_store_refused' });
});

test('a cancel in the middle of a part ends its PUT', async (t) => {
  const { store, asked, upload, part } = await setUp(t);
  await upload();
  const stop = new AbortController();
  const sending = part({ ...asked[0], inputs: { ...asked[0].inputs, sent: SIZE, pace_ms: 60_000 } }, { signal: stop.signal });
  while (((await store.stats()).puts['bucket/key']?.['1']?.begun ?? 0) === 0);
  stop.abort();
  await assert.rejects(sending, { name: 'AbortError' });
  assert.equal((await store.stats()).open_parts, 0);
});

test('no object with a hole: a child that is not complete, or is missing, fails the upload', async (t) => {
  const { store, input, asked, call, upload, part } = await setUp(t);
  const own = await upload();
  const sent = await part(asked[0]);
  const cancelled = async function* (): AsyncGenerator<object> {
    yield* ended([sent]);
    yield { name: 'part 2', state: 'cancelled', reason: 'by_request' };
  };
  await assert.rejects(call('upload.file', 'finalize', { input, own }, cancelled()), { name: 'PermanentError', code: 'part_missing', message: /part 2/ });
  await assert.rejects(call('upload.file', 'finalize', { input, own }, ended([sent])), { code: 'part_missing' });
  assert.equal(await store.head(input), null);
});

test('a file that is not there is a failure for good', async (t) => {
  const { input, call } = await setUp(t);
  await assert.rejects(call('upload.file', 'call', { input: { ...input, file: '/no/such/file' } }), { name: 'PermanentError', code: 'no_such_file' });
});
