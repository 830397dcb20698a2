/**
 * A small object store on 127.0.0.1 that speaks multipart uploads as S3 does, in JSON. It counts what it is asked, so that a sample or a
 * test can tell what was sent how often.
 *
 *     POST   /{bucket}/{key}?uploads                          begin; header `x-owner` is shown in the list
 *     GET    /{bucket}/{key}?uploads                          unfinished uploads of the object
 *     PUT    /{bucket}/{key}?uploadId=…&partNumber=1..10000   a part; ETag is the SHA-256 of its bytes
 *     DELETE /{bucket}/{key}?uploadId=…&partNumber=…          delete the part (S3 cannot; it forgets parts with the upload)
 *     GET    /{bucket}/{key}?uploadId=…                       parts
 *     POST   /{bucket}/{key}?uploadId=…                       complete: { parts: [{ part_number, etag }] }
 *     DELETE /{bucket}/{key}?uploadId=…                       abort
 *     GET, HEAD /{bucket}/{key}                               the object
 *     GET    /?stats                                          counts
 *
 * By itself: `node object-server.ts <folder> [port]`; tells its parent process `{ ready: url }`.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { ObjectError, ObjectFiles } from './object-files.ts';

/** PUTs of one part. */
export interface PutCount {
  begun: number;
  finished: number;
  /** Of those that finished. */
  bytes: number;
}

export interface ObjectServerStats {
  /** By object (`bucket/key`), then by number of part. Since the server was started. */
  puts: Record<string, Record<string, PutCount>>;
  /** By object: requests to abort, to delete a part, to complete; also those that found nothing. */
  aborts: Record<string, number>;
  part_deletes: Record<string, number>;
  completes: Record<string, number>;
  /** Unfinished uploads, and parts of theirs, that are on disk now. */
  open_uploads: number;
  open_parts: number;
}

export interface ObjectServer {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  close(): Promise<void>;
}

const MOST_PARTS = 10_000;
const MOST_JSON_BYTES = 4 * 1024 * 1024;

export const startObjectServer = async (o: { folder: string; port?: number }): Promise<ObjectServer> => {
  const files = await ObjectFiles.open(o.folder);
  const counts = { puts: {} as ObjectServerStats['puts'], aborts: {}, part_deletes: {}, completes: {} };
  const server = createServer((req, res) => {
    answer(files, counts, req, res).catch((e: unknown) => fail(req, res, e));
  });
  server.listen(o.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
};

type Counts = Pick<ObjectServerStats, 'puts' | 'aborts' | 'part_deletes' | 'completes'>;

const answer = async (files: ObjectFiles, counts: Counts, req: IncomingMessage, res: ServerResponse): Promise<void> => {
  const url = new URL(req.url ?? '/', 'http://127.0.0.1');
  if (url.pathname === '/') return json(res, 200, await statsOf(files, counts));
  const object = decodeURIComponent(url.pathname.slice(1));
  if (!/^[^/]+\/./.test(object)) throw new ObjectError(400, 'InvalidRequest', 'the path must be /{bucket}/{key}');
  const id = url.searchParams.get('uploadId');
  const number = partNumber(url.searchParams.get('partNumber'));
  const what = `${req.method} ${url.searchParams.has('uploads') ? 'uploads' : id === null ? 'object' : number === null ? 'upload' : 'part'}`;
  switch (what) {
    case 'POST uploads': {
      const owner = req.headers['x-owner'];
      return json(res, 200, await files.begin(object, typeof owner === 'string' ? owner : null));
    }
    case 'GET uploads':
      return json(res, 200, { uploads: await files.uploads(object) });
    case 'PUT part': {
      const count = ((counts.puts[object] ??= {})[String(number)] ??= { begun: 0, finished: 0, bytes: 0 });
      count.begun++;
      const part = await files.putPart(id as string, object, number as number, req as AsyncIterable<Buffer>);
      count.finished++;
      count.bytes += part.size;
      res.setHeader('etag', `"${part.etag}"`);
      return json(res, 200, part);
    }
    case 'DELETE part':
      add(counts.part_deletes, object);
      await files.deletePart(id as string, object, number as number);
      return json(res, 204, null);
    case 'GET upload':
      return json(res, 200, { parts: await files.parts(id as string, object) });
    case 'POST upload':
      add(counts.completes, object);
      return json(res, 200, await files.complete(id as string, object, await wantedParts(req)));
    case 'DELETE upload':
      add(counts.aborts, object);
      await files.abort(id as string, object);
      return json(res, 204, null);
    case 'GET object':
    case 'HEAD object': {
      const facts = await files.object(object);
      if (facts === null) throw new ObjectError(404, 'NoSuchKey', `there is no object ${object}`);
      res.writeHead(200, { 'content-length': facts.size, etag: `"${facts.etag}"`, 'content-type': 'application/octet-stream' });
      if (req.method === 'HEAD') return void res.end();
      return pipeline(files.read(object), res);
    }
    default:
      throw new ObjectError(405, 'MethodNotAllowed', `${req.method} is nothing that can be done here`);
  }
};

const add = (to: Record<string, number>, object: string): void => void (to[object] = (to[object] ?? 0) + 1);

const partNumber = (text: string | null): number | null => {
  if (text === null) return null;
  const n = Number(text);
  if (Number.isInteger(n) && n >= 1 && n <= MOST_PARTS) return n;
  throw new ObjectError(400, 'InvalidRequest', `partNumber must be a whole number from 1 to ${MOST_PARTS}`);
};

const wantedParts = async (req: IncomingMessage): Promise<{ part_number: number; etag: string }[]> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_JSON_BYTES) throw new ObjectError(400, 'InvalidRequest', `the list of parts is longer than ${MOST_JSON_BYTES} bytes`);
    chunks.push(chunk);
  }
  const wrong = new ObjectError(400, 'InvalidRequest', 'the body must be { "parts": [{ "part_number", "etag" }] }');
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw wrong;
  }
  const parts = (body as { parts?: unknown } | null)?.parts;
  if (!Array.isArray(parts)) throw wrong;
  return parts.map((p: { part_number?: unknown; etag?: unknown } | null) => {
    if (typeof p?.part_number !== 'number' || typeof p.etag !== 'string') throw wrong;
    return { part_number: p.part_number, etag: p.etag };
  });
};

const statsOf = async (files: ObjectFiles, counts: Counts): Promise<ObjectServerStats> => {
  const open = await files.uploads();
  let parts = 0;
  // One that ends meanwhile has no parts any more.
  for (const u of open)
    parts += await files.parts(u.upload_id, u.object).then(
      (p) => p.length,
      () => 0,
    );
  return { ...counts, open_uploads: open.length, open_parts: parts };
};

const json = (res: ServerResponse, status: number, body: unknown): void => {
  if (status === 204) return void res.writeHead(204).end();
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

const fail = (req: IncomingMessage, res: ServerResponse, e: unknown): void => {
  if (res.headersSent || res.destroyed) return void res.destroy();
  const known = e instanceof ObjectError ? e : new ObjectError(500, 'InternalError', e instanceof Error ? e.message : String(e));
  // Whatever is still coming of the body is let through, so that whoever sends it gets to read the answer.
  req.resume();
  json(res, known.status, { code: known.code, message: known.message });
};

if (process.argv[1] === import.meta.filename) {
  const server = await startObjectServer({ folder: process.argv[2], port: Number(process.argv[3] ?? 0) });
  process.send?.({ ready: server.url });
  process.on('disconnect', () => process.exit(0));
}
