/**
 * A large file goes to an object store in parts. One step makes the plan and spawns a child for each part; its `finalize` puts the object
 * together when all children have ended, its `onAbort` gives the upload up. Every piece may run twice and does no harm by it.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { stat } from 'node:fs/promises';
import {
  type AbortContext,
  type ChildResult,
  type FinalizeContext,
  handler,
  type HandlerDefinition,
  PermanentError,
  RetryableError,
  template,
  type UntypedStepContext,
} from 'tutti';
import { z } from 'zod';
import { type ObjectClient, ObjectStoreError } from './object-client.ts';
import { hashOfRanges, slicesOf } from './source-file.ts';

const MOST_PARTS = 10_000;

export const uploadInput = z.strictObject({
  file: z.string().describe('Path of the source'),
  bucket: z.string(),
  key: z.string(),
  part_bytes: z
    .int()
    .min(1)
    .default(1024 ** 3),
  sent_bytes: z.int().min(1).nullable().default(null).describe('Of each part only so many bytes, from its beginning, are really sent; null: all'),
  pace_ms: z.int().min(0).default(0).describe('Pause after each 64 KiB, so that there is something to watch'),
});
export type UploadInput = z.infer<typeof uploadInput>;

export const uploadFile = template('files/upload@1.0.0', {
  description: 'Sends a large file to an object store, in parts made at run time.',
  input: uploadInput,
}).step('upload', {
  handler: 'upload.file',
  retry: { maxAttempts: 5, baseMs: 100 },
  maxConcurrentChildren: 3,
  description: 'Plans the parts, then completes the upload',
});

export interface PartInput {
  file: string;
  bucket: string;
  key: string;
  upload_id: string;
  part_number: number;
  /** The part's place in the file. */
  offset: number;
  length: number;
  /** Really sent, from `offset` on. */
  sent: number;
  pace_ms: number;
}

export interface SentPart {
  part_number: number;
  etag: string;
}

type With<Ctx, In> = Omit<Ctx, 'input'> & { readonly input: In };
interface Planned {
  upload_id: string;
  parts: number;
}

/** The parts of a file: where each begins, how long it is, how much of it is sent. */
export const planParts = (
  size: number,
  o: { part_bytes: number; sent_bytes: number | null },
): { part_number: number; offset: number; length: number; sent: number }[] => {
  const count = Math.max(1, Math.ceil(size / o.part_bytes));
  if (count > MOST_PARTS) throw new PermanentError(`${size} bytes in parts of ${o.part_bytes} are ${count} parts; an upload has at most ${MOST_PARTS}`);
  return Array.from({ length: count }, (_, i) => {
    const offset = i * o.part_bytes;
    const length = Math.min(o.part_bytes, size - offset);
    return { part_number: i + 1, offset, length, sent: Math.min(length, o.sent_bytes ?? length) };
  });
};

/** A refusal is for good, but for those that say the server is at fault; what the network threw may be tried again. */
const translate = (e: unknown): never => {
  if (e instanceof ObjectStoreError && e.status < 500) throw new PermanentError(`${e.code}: ${e.message}`, { code: 'object_store_refused' });
  throw e;
};
/** To give up what is not there any more is to have given it up. */
const ifThere = (e: unknown): void => {
  if (!(e instanceof ObjectStoreError && e.code === 'NoSuchUpload')) throw e;
};

const sizeOf = async (file: string): Promise<number> => {
  try {
    return (await stat(file)).size;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') throw new PermanentError(`there is no file ${file}`, { code: 'no_such_file' });
    throw e;
  }
};

export const uploadHandlers = (store: ObjectClient): HandlerDefinition[] => {
  /** The upload that this step began, in whichever attempt: a crash between beginning it and noting it must not leave a second one. */
  const ours = async (input: UploadInput, stepId: string): Promise<string | undefined> =>
    (await store.uploads(input)).find((u) => u.owner === stepId)?.upload_id;

  const file = {
    async call(ctx: With<UntypedStepContext, UploadInput>): Promise<Planned> {
      const { input } = ctx;
      const parts = planParts(await sizeOf(input.file), input);
      const upload_id = (await ours(input, ctx.stepId)) ?? (await store.begin(input, ctx.stepId).catch(translate)).upload_id;
      await ctx.spawnAll(
        parts.map((p) => ({
          handler: 'upload.part',
          name: `part ${p.part_number}`,
          key: `part-${p.part_number}`,
          expectedBytes: p.length,
          inputs: { file: input.file, bucket: input.bucket, key: input.key, upload_id, pace_ms: input.pace_ms, ...p } satisfies PartInput,
          retry: { maxAttempts: 5, baseMs: 100 },
          timeout: '1h',
        })),
      );
      return { upload_id, parts: parts.length };
    },

    async finalize(ctx: With<FinalizeContext, UploadInput>, children: AsyncIterable<ChildResult>) {
      const own = ctx.own as Planned;
      const sent: SentPart[] = [];
      for await (const child of children) {
        if (child.state !== 'complete') throw new PermanentError(`${child.name} is ${child.state}: the object would have a hole`, { code: 'part_missing' });
        sent.push(child.value as SentPart);
      }
      if (sent.length !== own.parts) throw new PermanentError(`${sent.length} of ${own.parts} parts are here`, { code: 'part_missing' });
      sent.sort((a, b) => a.part_number - b.part_number);
      const made = await store.complete(ctx.input, own.upload_id, sent).catch(translate);
      return { object: made.object, etag: made.etag, size: made.size, parts: sent.length };
    },

    /** Takes the parts that were sent with it. */
    async onAbort(ctx: With<AbortContext, UploadInput>): Promise<void> {
      const id = (ctx.own as Planned | undefined)?.upload_id ?? (await ours(ctx.input, ctx.stepId));
      if (id !== undefined) await store.abort(ctx.input, id).catch(ifThere);
    },
  };

  const part = {
    async call(ctx: With<UntypedStepContext, PartInput>): Promise<SentPart> {
      const { input, signal } = ctx;
      if (ctx.isRetry) {
        // The attempt before may have sent it all and not lived to say so.
        const there = (await store.parts(input, input.upload_id).catch(translate)).find((p) => p.part_number === input.part_number);
        if (there?.size === input.sent && there.etag === (await hashOfRanges(input.file, [{ offset: input.offset, length: input.sent }])).etag) return there;
      }
      let sent = 0;
      const body = async function* (): AsyncGenerator<Buffer> {
        for await (const slice of slicesOf(input.file, input.offset, input.sent)) {
          yield slice;
          sent += slice.length;
          // Of a part of which only some is sent, that some stands for all of it.
          ctx.progress({ bytes: Math.floor((sent / input.sent) * input.length), total: input.length });
          if (input.pace_ms > 0 && sent < input.sent) await wait(input.pace_ms, undefined, { signal });
        }
      };
      const kept = await store.putPart(input, input.upload_id, input.part_number, input.sent, body(), signal).catch(translate);
      if (kept.size !== input.sent) throw new RetryableError(`the store has ${kept.size} bytes of ${input.sent}`);
      return { part_number: kept.part_number, etag: kept.etag };
    },

    async onAbort({ input }: With<AbortContext, PartInput>): Promise<void> {
      await store.deletePart(input, input.upload_id, input.part_number).catch(ifThere);
    },
  };

  return [
    handler('upload.file', file, { description: 'Uploads a file in parts that it spawns' }),
    handler('upload.part', part, { description: 'Sends one part of a multipart upload' }),
  ];
};
