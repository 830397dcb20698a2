/**
 * `npm run example upload`: a 10 GiB file goes to an object store in ten parts that are made at run time. In the middle the process
 * that sends them is killed and started again; then a second upload is cancelled. Exits with 0 only if all that is claimed held.
 *
 *     --full   send every byte, not the first MiB of each part: some minutes, and up to 21 GiB of disk
 *     --keep   leave the folder of the run where it is
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { LiveRegion } from '../../src/cli/live-region.ts';
import { drawProgressBars } from '../../src/cli/progress-bars.ts';
import { terminalOf } from '../../src/cli/terminal.ts';
import { terminalEnvironment } from '../../src/config.ts';
import { ObjectClient, type ObjectRef } from './object-client.ts';
import type { PutCount } from './object-server.ts';
import { hashOfRanges, makeSparseFile } from './source-file.ts';
import { barsOf } from './step-bars.ts';
import { planParts, type UploadInput } from './upload.ts';
import { ObjectServerProcess, type Snapshot, WorkerProcess } from './worker-process.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const PARTS = 10;
const SIZE = PARTS * GIB;
/** The engine gives an abort hook 30 s. */
const ABORT_LIMIT_MS = 40_000;

const inState = (s: Snapshot, state: string): string[] => s.steps.filter((x) => x.handler === 'upload.part' && x.state === state).map((x) => x.name);
/** Some parts are sent, and some are being sent. */
const inTheMiddle = (s: Snapshot): boolean =>
  inState(s, 'complete').length >= 3 && s.steps.some((x) => x.handler === 'upload.part' && x.state === 'in_progress' && (x.progress?.fraction ?? 0) > 0);
const numberOf = (part: string): string => part.replace(/^part /, '');
const urlOf = (o: ObjectRef): string => `s3://${o.bucket}/${o.key}`;

class Supervisor {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tutti-upload-'));
  readonly #out = terminalOf(process.stdout, terminalEnvironment().noColor);
  readonly #region = new LiveRegion(this.#out);
  readonly #full: boolean;
  readonly #seen = new Set<string>();
  #server: ObjectServerProcess | null = null;
  #worker: WorkerProcess | null = null;
  #unmet = 0;

  constructor(full: boolean) {
    this.#full = full;
  }

  async run(): Promise<number> {
    const file = join(this.#folder, 'large-file.tar.gz');
    await makeSparseFile(file, { bytes: SIZE, stride: GIB, filled: MIB });
    this.#server = await ObjectServerProcess.start(join(this.#folder, 'objects'));
    const store = new ObjectClient(this.#server.url);
    const input = (key: string): UploadInput => ({
      file,
      bucket: 'bucket',
      key,
      part_bytes: GIB,
      sent_bytes: this.#full ? null : MIB,
      pace_ms: this.#full ? 0 : 40,
    });
    await this.#killAndResume(store, input('large-file.tar.gz'));
    await this.#cancel(store, input('unwanted-file.tar.gz'));
    this.#say(this.#unmet === 0 ? '\nall of it held' : `\n${this.#unmet} of the above did not hold`);
    return this.#unmet === 0 ? 0 : 1;
  }

  async #killAndResume(store: ObjectClient, input: UploadInput): Promise<void> {
    const url = urlOf(input);
    this.#say(`${url}: 10 GiB in ${PARTS} parts, ${this.#full ? 'every byte is sent' : '1 MiB of each is really sent'}\n`);
    const first = await this.#start();
    first.tell({ submit: input, key: url });
    const id = await first.until((m) => ('submitted' in m ? m.submitted : undefined));
    await first.untilSnapshot(inTheMiddle);
    await first.kill();
    // What the engine told before it died is durable (I1).
    const sent = inState(first.snapshot as Snapshot, 'complete');
    const putsThen = (await store.stats()).puts[`${input.bucket}/${input.key}`];
    this.#above(`the worker was killed (SIGKILL) when ${sent.length} parts were complete; it is started again`);

    const second = await this.#start();
    const resumed = await second.until((m) => ('ready' in m ? m.resumed : undefined));
    second.tell({ watch: id });
    const { ended, result } = await second.until((m) => ('ended' in m ? m : undefined));
    this.#region.keep();
    const puts = (await store.stats()).puts[`${input.bucket}/${input.key}`] ?? {};
    const begun = (part: string, of: Record<string, PutCount> = puts): number => of[part]?.begun ?? 0;
    const again = Object.keys(puts).filter((n) => begun(n) > 1);
    const inFlight = Object.keys(putsThen ?? {}).filter((n) => !sent.some((p) => numberOf(p) === n));

    this.#say('');
    this.#check(resumed === 1, 'the new worker found the unfinished task and went on with it');
    this.#check(ended.state === 'complete', `the task ended complete (${ended.state}${ended.error === null ? '' : `: ${ended.error.message}`})`);
    this.#check(Object.keys(puts).length === PARTS, `${PARTS} parts were sent to the store`);
    this.#check(
      sent.length > 0 && sent.every((p) => begun(numberOf(p)) === 1),
      `none of the ${sent.length} parts that were complete at the kill was sent again`,
    );
    this.#check(
      again.every((n) => inFlight.includes(n) && begun(n) === 2),
      again.length === 0 ? 'no part was sent twice' : `only parts that were in flight at the kill were sent again: ${again.join(', ')}`,
    );
    const ranges = planParts(SIZE, input).map((p) => ({ offset: p.offset, length: p.sent }));
    const source = await hashOfRanges(input.file, ranges);
    const head = await store.head(input);
    this.#check(head?.etag === source.etag && head.size === source.size, `the object equals the source: ${source.size} bytes, SHA-256 ${source.etag}`);
    if (head !== null) this.#check((await hashOf(await store.get(input))) === source.etag, 'and so it reads back');
    this.#check((result as { upload?: { etag?: string } } | null)?.upload?.etag === source.etag, "the task's result names that hash");
    await second.stop();
  }

  async #cancel(store: ObjectClient, input: UploadInput): Promise<void> {
    const url = urlOf(input);
    const object = `${input.bucket}/${input.key}`;
    this.#say(`\n${url}: cancelled in the middle\n`);
    const worker = await this.#start();
    worker.tell({ submit: input, key: url });
    const id = await worker.until((m) => ('submitted' in m ? m.submitted : undefined));
    const then = await worker.untilSnapshot(inTheMiddle);
    const before = await store.stats();
    worker.tell({ cancel: id, reason: 'nobody wants it any more' });
    const { ended } = await worker.until((m) => ('ended' in m ? m : undefined));
    this.#region.keep();
    const limit = Date.now() + ABORT_LIMIT_MS;
    let stats = await store.stats();
    // Hooks run after the cancel is durable; there is no event that is their last.
    while ((stats.open_uploads > 0 || (stats.part_deletes[object] ?? 0) === 0) && Date.now() < limit) {
      await wait(50);
      stats = await store.stats();
    }
    this.#say('');
    const states = new Set(worker.snapshot?.steps.map((s) => s.state));
    this.#check(ended.state === 'cancelled', `the task ended cancelled (${ended.state})`);
    this.#check(
      [...states].every((s) => s === 'cancelled' || s === 'complete'),
      'each of its steps is cancelled or was complete',
    );
    this.#check(before.open_parts >= 3, `the store had ${before.open_parts} parts before, with ${inState(then, 'in_progress').length} more on their way`);
    this.#check((stats.aborts[object] ?? 0) >= 1, 'the abort hook of the upload ran');
    this.#check((stats.part_deletes[object] ?? 0) >= 1, `so did those of ${stats.part_deletes[object] ?? 0} parts`);
    this.#check(stats.open_uploads === 0 && stats.open_parts === 0, 'the store has no parts left');
    this.#check((await store.head(input)) === null, 'there is no object');
    await worker.stop();
  }

  async #start(): Promise<WorkerProcess> {
    const worker = new WorkerProcess(join(this.#folder, 'tasks.db'), (this.#server as ObjectServerProcess).url);
    this.#worker = worker;
    worker.onSnapshot = (s) => this.#show(s);
    await worker.until((m) => ('ready' in m ? m : undefined));
    return worker;
  }

  /** Bars where a person looks, else a line for each part that is done. */
  #show(s: Snapshot): void {
    const bars = barsOf(s.steps);
    if (this.#out.live) {
      this.#region.draw(drawProgressBars(bars, { width: this.#out.columns, maxLines: Math.max(4, this.#out.rows - 4), paint: this.#out.paint }));
      return;
    }
    const fresh = s.steps.filter((x) => x.state === 'complete' && !this.#seen.has(x.id));
    for (const x of fresh) this.#seen.add(x.id);
    const total = bars.filter((b) => b.parentId === null);
    if (fresh.length > 0) this.#say(drawProgressBars(total, { width: 100 }).join('\n'));
  }

  #say(text: string): void {
    this.#out.write(`${text}\n`);
  }

  #above(text: string): void {
    if (this.#out.live) this.#region.above([text, '']);
    else this.#say(text);
  }

  #check(held: boolean, text: string): void {
    if (!held) this.#unmet++;
    this.#say(`  ${held ? this.#out.paint('green', '✔') : this.#out.paint('red', '✘')} ${text}`);
  }

  async close(o: { keep: boolean }): Promise<void> {
    await this.#worker?.kill();
    await this.#server?.kill();
    if (o.keep) this.#say(`\n${this.#folder}`);
    else rmSync(this.#folder, { recursive: true, force: true });
  }
}

const hashOf = async (bytes: AsyncIterable<Uint8Array>): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of bytes) hash.update(chunk);
  return hash.digest('hex');
};

/** Gives the exit code. */
export const run = async (args: string[]): Promise<number> => {
  const { values } = parseArgs({ args, options: { full: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false } } });
  const supervisor = new Supervisor(values.full);
  const over = new AbortController();
  const limit = (values.full ? 60 : 3) * 60_000;
  const tooLong = wait(limit, undefined, { signal: over.signal, ref: false }).then(() => {
    throw new Error(`not over after ${limit / 60_000} minutes`);
  });
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => reject(new Error('interrupted')));
  });
  try {
    return await Promise.race([supervisor.run(), tooLong, interrupted]);
  } catch (e) {
    process.stderr.write(`error: ${e instanceof Error ? e.message : String(e)}\n`);
    return 1;
  } finally {
    over.abort();
    tooLong.catch(() => undefined);
    await supervisor.close(values);
  }
};
