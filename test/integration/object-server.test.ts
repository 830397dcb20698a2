import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { ObjectClient, type ObjectStoreError } from '../../examples/upload/object-client.ts';
import { startObjectServer } from '../../examples/upload/object-server.ts';

const FILE = { bucket: 'bucket', key: 'a folder/large-file.tar.gz' };
const sha = (b: Buffer): string => createHash('sha256').update(b).digest('hex');
const bytes = (n: number, seed: number): Buffer => Buffer.from(Array.from({ length: n }, (_, i) => (i * 31 + seed * 17) % 256));
async function* slices(b: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < b.length; at += 1000) yield b.subarray(at, at + 1000);
}

const setUp = async (t: TestContext): Promise<{ client: ObjectClient; folder: string; url: string; close: () => Promise<void> }> => {
  const folder = mkdtempSync(join(tmpdir(), 'tutti-objects-'));
  const server = await startObjectServer({ folder });
  let open = true;
  const close = async (): Promise<void> => {
    if (open) await server.close();
    open = false;
  };
  t.after(async () => {
    await close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { client: new ObjectClient(server.url), folder, url: server.url, close };
};
const send = (client: ObjectClient, id: string, number: number, body: Buffer) => client.putPart(FILE, id, number, body.length, slices(body));
const refused = (code: string) => (e: ObjectStoreError) => e.code === code;

test('an object is its parts in order, whatever order they came in; its etag is its hash', async (t) => {
  const { client } = await setUp(t);
  const { upload_id: id } = await client.begin(FILE, 'me');
  const parts = [1, 2, 3].map((n) => bytes(5000 + n, n));
  for (const n of [3, 1, 2]) assert.equal((await send(client, id, n, parts[n - 1])).etag, sha(parts[n - 1]));
  assert.deepEqual(
    (await client.parts(FILE, id)).map((p) => [p.part_number, p.size]),
    [
      [1, 5001],
      [2, 5002],
      [3, 5003],
    ],
  );
  assert.equal(await client.head(FILE), null);
  const made = await client.complete(FILE, id, await client.parts(FILE, id));
  const whole = Buffer.concat(parts);
  assert.deepEqual([made.etag, made.size], [sha(whole), whole.length]);
  assert.deepEqual(await client.head(FILE), { etag: sha(whole), size: whole.length });
  assert.deepEqual(await buffer(await client.get(FILE)), whole);
  assert.deepEqual(await client.uploads(FILE), []);
});

test('to complete twice is to complete once; to go on with a finished upload is refused', async (t) => {
  const { client } = await setUp(t);
  const { upload_id: id } = await client.begin(FILE, 'me');
  const part = await send(client, id, 1, bytes(10, 1));
  const first = await client.complete(FILE, id, [part]);
  assert.deepEqual(await client.complete(FILE, id, [part]), first);
  await assert.rejects(send(client, id, 2, bytes(10, 2)), refused('NoSuchUpload'));
  await assert.rejects(client.abort(FILE, id), refused('NoSuchUpload'));
});

test('a part sent again replaces the one before, and is counted', async (t) => {
  const { client } = await setUp(t);
  const { upload_id: id } = await client.begin(FILE, 'me');
  const old = await send(client, id, 1, bytes(10, 1));
  const part = await send(client, id, 1, bytes(20, 2));
  await assert.rejects(client.complete(FILE, id, [old]), refused('InvalidPart'));
  assert.deepEqual(await client.parts(FILE, id), [part]);
  const stats = await client.stats();
  assert.deepEqual(stats.puts['bucket/a folder/large-file.tar.gz'], { '1': { begun: 2, finished: 2, bytes: 30 } });
  assert.deepEqual([stats.open_uploads, stats.open_parts], [1, 1]);
});

test('abort removes the upload and its parts; deleting a part removes the part', async (t) => {
  const { client, folder } = await setUp(t);
  const { upload_id: id } = await client.begin(FILE, 'me');
  await send(client, id, 1, bytes(10, 1));
  await send(client, id, 2, bytes(10, 2));
  await client.deletePart(FILE, id, 1);
  assert.deepEqual(
    (await client.parts(FILE, id)).map((p) => p.part_number),
    [2],
  );
  await client.abort(FILE, id);
  await assert.rejects(client.parts(FILE, id), refused('NoSuchUpload'));
  await assert.rejects(client.deletePart(FILE, id, 2), refused('NoSuchUpload'));
  for (const sub of ['uploads', 'incoming', 'objects']) assert.deepEqual(readdirSync(join(folder, sub)), [], sub);
  const stats = await client.stats();
  assert.deepEqual(
    [stats.aborts, stats.part_deletes].map((c) => Object.values(c)),
    [[1], [2]],
  );
});

test('a part that is cut off in the middle is no part, and leaves nothing', async (t) => {
  const { client, folder, url } = await setUp(t);
  const { upload_id: id } = await client.begin(FILE, 'me');
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(
    `PUT /bucket/${encodeURIComponent('a folder')}/large-file.tar.gz?uploadId=${id}&partNumber=1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf`,
  );
  const count = async (): Promise<number> => readdirSync(join(folder, 'incoming')).length;
  while ((await count()) === 0) await client.stats();
  socket.destroy();
  while ((await count()) > 0) await client.stats();
  assert.deepEqual(await client.parts(FILE, id), []);
  assert.deepEqual(Object.values((await client.stats()).puts), [{ '1': { begun: 1, finished: 0, bytes: 0 } }]);
});

test('a part that ends after its upload was aborted is refused and not kept', async (t) => {
  const { client, folder } = await setUp(t);
  const { upload_id: id } = await client.begin(FILE, 'me');
  const aborted = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  async function* slow(): AsyncGenerator<Buffer> {
    yield Buffer.from('ab');
    begun.resolve();
    await aborted.promise;
    yield Buffer.from('cd');
  }
  const sending = client.putPart(FILE, id, 1, 4, slow());
  await begun.promise;
  while ((await client.stats()).puts['bucket/a folder/large-file.tar.gz']?.['1'] === undefined);
  await client.abort(FILE, id);
  aborted.resolve();
  await assert.rejects(sending, refused('NoSuchUpload'));
  assert.deepEqual(readdirSync(join(folder, 'incoming')), []);
});

test('an aborted signal ends a PUT', async (t) => {
  const { client } = await setUp(t);
  const { upload_id: id } = await client.begin(FILE, 'me');
  const stop = new AbortController();
  async function* slow(): AsyncGenerator<Buffer> {
    yield Buffer.from('ab');
    stop.abort();
    yield Buffer.from('cd');
  }
  await assert.rejects(client.putPart(FILE, id, 1, 4, slow(), stop.signal), { name: 'AbortError' });
});

test('another process goes on with the folder', async (t) => {
  const { client, folder, close } = await setUp(t);
  const { upload_id: id } = await client.begin(FILE, 'step 7');
  const first = await send(client, id, 1, bytes(10, 1));
  await close();
  const again = await startObjectServer({ folder });
  t.after(() => again.close());
  const other = new ObjectClient(again.url);
  assert.deepEqual(await other.uploads(FILE), [{ upload_id: id, object: 'bucket/a folder/large-file.tar.gz', owner: 'step 7' }]);
  const second = await send(other, id, 2, bytes(10, 2));
  await other.complete(FILE, id, [first, second]);
  assert.equal((await other.head(FILE))?.size, 20);
});

test('what makes no sense is refused, by name', async (t) => {
  const { client, url } = await setUp(t);
  const { upload_id: id } = await client.begin(FILE, 'me');
  await assert.rejects(client.complete(FILE, id, []), refused('InvalidRequest'));
  await assert.rejects(client.parts(FILE, '../../etc'), refused('NoSuchUpload'));
  await assert.rejects(client.parts({ bucket: 'bucket', key: 'other' }, id), refused('NoSuchUpload'));
  await assert.rejects(client.get({ bucket: 'bucket', key: 'other' }), refused('NoSuchKey'));
  await assert.rejects(send(client, id, 10_001, bytes(1, 1)), refused('InvalidRequest'));
  const a = await send(client, id, 1, bytes(1, 1));
  const b = await send(client, id, 2, bytes(1, 1));
  await assert.rejects(client.complete(FILE, id, [b, a]), refused('InvalidPartOrder'));
  assert.equal((await fetch(`${url}/bucket`)).status, 400);
  assert.equal((await fetch(`${url}/bucket/key`, { method: 'PATCH' })).status, 405);
  assert.equal((await fetch(`${url}/bucket/key?uploadId=${id}`, { method: 'POST', body: 'no json' })).status, 400);
});
