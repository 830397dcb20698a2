/** What the handlers ask of the object store (object-server.ts). Each call throws ObjectStoreError, or what the network threw. */
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ObjectFacts, PartFacts, UploadFacts } from './object-files.ts';
import type { ObjectServerStats } from './object-server.ts';

export class ObjectStoreError extends Error {
  readonly status: number;
  /** `NoSuchUpload`, `InvalidPart`, … */
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface ObjectRef {
  bucket: string;
  key: string;
}

export class ObjectClient {
  readonly #url: string;

  /** `url`: `http://host:port`. */
  constructor(url: string) {
    this.#url = url;
  }

  /** `owner` tells uploads of one object apart. */
  begin(o: ObjectRef, owner: string): Promise<UploadFacts> {
    return this.#json('POST', `${pathOf(o)}?uploads`, { headers: { 'x-owner': owner } });
  }

  async uploads(o: ObjectRef): Promise<UploadFacts[]> {
    return (await this.#json<{ uploads: UploadFacts[] }>('GET', `${pathOf(o)}?uploads`)).uploads;
  }

  async parts(o: ObjectRef, uploadId: string): Promise<PartFacts[]> {
    return (await this.#json<{ parts: PartFacts[] }>('GET', `${pathOf(o)}?uploadId=${uploadId}`)).parts;
  }

  /** Sends `size` bytes; the answer has the store's SHA-256 of them. */
  async putPart(o: ObjectRef, uploadId: string, number: number, size: number, body: AsyncIterable<Buffer>, signal?: AbortSignal): Promise<PartFacts> {
    // `fetch` cannot announce the length of a stream, and only an announced length shows a body that was cut short.
    const req = request(`${this.#url}${pathOf(o)}?uploadId=${uploadId}&partNumber=${number}`, {
      method: 'PUT',
      headers: { 'content-length': size },
      signal,
    });
    const answered = new Promise<{ status: number; body: string }>((resolve, reject) => {
      req.once('error', reject);
      req.once('response', (res) => {
        text(res).then((t) => resolve({ status: res.statusCode ?? 0, body: t }), reject);
      });
    });
    // A refusal comes before all is sent: the answer says more than the broken pipe.
    const sent = pipeline(Readable.from(body, { objectMode: false }), req);
    const [answer, sending] = await Promise.allSettled([answered, sent]);
    if (answer.status === 'rejected') throw sending.status === 'rejected' ? sending.reason : answer.reason;
    return parsed<PartFacts>(answer.value.status, answer.value.body);
  }

  deletePart(o: ObjectRef, uploadId: string, number: number): Promise<void> {
    return this.#json('DELETE', `${pathOf(o)}?uploadId=${uploadId}&partNumber=${number}`);
  }

  complete(o: ObjectRef, uploadId: string, parts: readonly { part_number: number; etag: string }[]): Promise<ObjectFacts> {
    return this.#json('POST', `${pathOf(o)}?uploadId=${uploadId}`, { body: JSON.stringify({ parts }) });
  }

  abort(o: ObjectRef, uploadId: string): Promise<void> {
    return this.#json('DELETE', `${pathOf(o)}?uploadId=${uploadId}`);
  }

  /** SHA-256 and size of the object; null: there is none. */
  async head(o: ObjectRef): Promise<{ etag: string; size: number } | null> {
    const res = await fetch(`${this.#url}${pathOf(o)}`, { method: 'HEAD' });
    if (res.status === 404) return null;
    return { etag: (res.headers.get('etag') ?? '').replaceAll('"', ''), size: Number(res.headers.get('content-length')) };
  }

  /** The object itself. */
  async get(o: ObjectRef): Promise<AsyncIterable<Uint8Array>> {
    const res = await fetch(`${this.#url}${pathOf(o)}`);
    if (res.body === null || !res.ok) return parsed(res.status, await res.text());
    return res.body;
  }

  stats(): Promise<ObjectServerStats> {
    return this.#json('GET', '/?stats');
  }

  async #json<T>(method: string, path: string, o: { headers?: Record<string, string>; body?: string } = {}): Promise<T> {
    const res = await fetch(`${this.#url}${path}`, { method, ...o });
    return parsed<T>(res.status, await res.text());
  }
}

const pathOf = (o: ObjectRef): string => `/${encodeURIComponent(o.bucket)}/${o.key.split('/').map(encodeURIComponent).join('/')}`;

const parsed = <T>(status: number, body: string): T => {
  if (status === 204) return undefined as T;
  const value = JSON.parse(body) as T;
  if (status >= 200 && status < 300) return value;
  const { code = 'Unknown', message = body } = value as { code?: string; message?: string };
  throw new ObjectStoreError(status, code, message);
};
