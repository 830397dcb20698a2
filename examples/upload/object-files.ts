/**
 * Objects and unfinished multipart uploads as files of a folder. A file gets its name when it is whole, so a kill at any instant leaves
 * what was there before, and another process can go on with the folder.
 *
 *     uploads/<upload id>/upload.json        what it is for
 *     uploads/<upload id>/<number>.<sha256>  a part
 *     objects/<sha256 of its name>[.json]    an object, and what is known of it
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, type ReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

export interface PartFacts {
  part_number: number;
  /** SHA-256 of its bytes, hex. */
  etag: string;
  size: number;
}

export interface UploadFacts {
  upload_id: string;
  /** `bucket/key`. */
  object: string;
  /** As given by whoever began it; null: not given. */
  owner: string | null;
}

export interface ObjectFacts {
  object: string;
  upload_id: string;
  etag: string;
  size: number;
}

/** What S3 would answer: a status and a code. */
export class ObjectError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const nameOf = (object: string): string => createHash('sha256').update(object).digest('hex');
const noSuchUpload = (id: string): ObjectError => new ObjectError(404, 'NoSuchUpload', `there is no upload ${JSON.stringify(id)}`);
const isMissing = (e: unknown): boolean => (e as NodeJS.ErrnoException).code === 'ENOENT';

export class ObjectFiles {
  readonly #folder: string;
  /** Changes of one upload, one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<ObjectFiles> {
    for (const part of ['uploads', 'objects', 'incoming']) await mkdir(join(folder, part), { recursive: true });
    return new ObjectFiles(folder);
  }

  async begin(object: string, owner: string | null): Promise<UploadFacts> {
    const facts: UploadFacts = { upload_id: randomUUID(), object, owner };
    const made = join(this.#folder, 'incoming', facts.upload_id);
    await mkdir(made);
    await writeFile(join(made, 'upload.json'), JSON.stringify(facts));
    await rename(made, this.#upload(facts.upload_id));
    return facts;
  }

  /** Unfinished uploads, of one object or of all. */
  async uploads(object?: string): Promise<UploadFacts[]> {
    const found: UploadFacts[] = [];
    for (const id of await readdir(join(this.#folder, 'uploads'))) {
      const facts = await this.#read<UploadFacts>(join(this.#upload(id), 'upload.json'));
      if (facts !== null && (object === undefined || facts.object === object)) found.push(facts);
    }
    return found;
  }

  /** Keeps a part once all of it has come; one that was there under the number is replaced. */
  async putPart(id: string, object: string, number: number, body: AsyncIterable<Buffer>): Promise<PartFacts> {
    await this.#check(id, object);
    const incoming = join(this.#folder, 'incoming', randomUUID());
    const hash = createHash('sha256');
    let size = 0;
    const measured = async function* (): AsyncGenerator<Buffer> {
      for await (const chunk of body) {
        hash.update(chunk);
        size += chunk.length;
        yield chunk;
      }
    };
    try {
      await pipeline(measured, createWriteStream(incoming));
      const etag = hash.digest('hex');
      await this.#inTurn(id, async () => {
        // It may have been aborted or completed meanwhile.
        await this.#check(id, object);
        await this.#dropPart(id, number);
        await rename(incoming, join(this.#upload(id), `${number}.${etag}`));
      });
      return { part_number: number, etag, size };
    } finally {
      await rm(incoming, { force: true });
    }
  }

  async deletePart(id: string, object: string, number: number): Promise<void> {
    await this.#inTurn(id, async () => {
      await this.#check(id, object);
      await this.#dropPart(id, number);
    });
  }

  async parts(id: string, object: string): Promise<PartFacts[]> {
    await this.#check(id, object);
    const found: PartFacts[] = [];
    for (const [number, etag] of await this.#partNames(id)) {
      const { size } = await stat(join(this.#upload(id), `${number}.${etag}`));
      found.push({ part_number: number, etag, size });
    }
    return found.sort((a, b) => a.part_number - b.part_number);
  }

  /** Puts the named parts together, in order. Said again of an upload that made the object it answers the same. */
  complete(id: string, object: string, wanted: readonly { part_number: number; etag: string }[]): Promise<ObjectFacts> {
    return this.#inTurn(id, async () => {
      const made = await this.object(object);
      if (made?.upload_id === id) return made;
      await this.#check(id, object);
      const there = new Map(await this.#partNames(id));
      wanted.forEach((p, i) => {
        if (there.get(p.part_number) !== p.etag) throw new ObjectError(400, 'InvalidPart', `part ${p.part_number} is not here with this etag`);
        if (i > 0 && wanted[i - 1].part_number >= p.part_number) throw new ObjectError(400, 'InvalidPartOrder', 'parts must be in ascending order');
      });
      if (wanted.length === 0) throw new ObjectError(400, 'InvalidRequest', 'an object has one part or more');
      const hash = createHash('sha256');
      let size = 0;
      const folder = this.#upload(id);
      const joined = async function* (): AsyncGenerator<Buffer> {
        for (const p of wanted) {
          for await (const chunk of createReadStream(join(folder, `${p.part_number}.${p.etag}`)) as AsyncIterable<Buffer>) {
            hash.update(chunk);
            size += chunk.length;
            yield chunk;
          }
        }
      };
      const incoming = join(this.#folder, 'incoming', randomUUID());
      await pipeline(joined, createWriteStream(incoming));
      const facts: ObjectFacts = { object, upload_id: id, etag: hash.digest('hex'), size };
      await writeFile(`${incoming}.json`, JSON.stringify(facts));
      await rename(incoming, this.#object(object));
      await rename(`${incoming}.json`, `${this.#object(object)}.json`);
      await rm(folder, { recursive: true });
      return facts;
    });
  }

  /** Removes an unfinished upload and all its parts. */
  async abort(id: string, object: string): Promise<void> {
    await this.#inTurn(id, async () => {
      await this.#check(id, object);
      await rm(this.#upload(id), { recursive: true });
    });
  }

  object(object: string): Promise<ObjectFacts | null> {
    return this.#read<ObjectFacts>(`${this.#object(object)}.json`);
  }

  read(object: string): ReadStream {
    return createReadStream(this.#object(object));
  }

  #upload(id: string): string {
    // Ids come from outside: one that is none of ours must not name another place.
    if (!/^[0-9a-f-]{36}$/.test(id)) throw noSuchUpload(id);
    return join(this.#folder, 'uploads', id);
  }

  #object(object: string): string {
    return join(this.#folder, 'objects', nameOf(object));
  }

  async #check(id: string, object: string): Promise<void> {
    const facts = await this.#read<UploadFacts>(join(this.#upload(id), 'upload.json'));
    if (facts?.object !== object) throw noSuchUpload(id);
  }

  async #partNames(id: string): Promise<[number: number, etag: string][]> {
    const names = await readdir(this.#upload(id));
    return names.filter((n) => n !== 'upload.json').map((n): [number, string] => [Number(n.slice(0, n.indexOf('.'))), n.slice(n.indexOf('.') + 1)]);
  }

  async #dropPart(id: string, number: number): Promise<void> {
    for (const [n, etag] of await this.#partNames(id)) if (n === number) await rm(join(this.#upload(id), `${n}.${etag}`));
  }

  async #read<T>(path: string): Promise<T | null> {
    try {
      return JSON.parse(await readFile(path, 'utf8')) as T;
    } catch (e) {
      if (isMissing(e)) return null;
      throw e;
    }
  }

  async #inTurn<T>(id: string, fn: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const mine = before.then(fn, fn);
    this.#turns.set(id, mine);
    try {
      return await mine;
    } finally {
      if (this.#turns.get(id) === mine) this.#turns.delete(id);
    }
  }
}
