/** Backfill: the pages of an HTTP API, each into a file. The folder belongs to the feed; which pages are there, the feed's items say. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defineTaskType, PermanentError, RetryableError } from 'tutti';

export const PAGE_ROWS = 50;

interface Feed {
  url: string;
  folder: string;
}

const ask = async <T>(url: string, signal: AbortSignal): Promise<T> => {
  const answer = await fetch(url, { signal });
  if (answer.ok) return (await answer.json()) as T;
  const message = `${url} answers ${answer.status}`;
  if (answer.status === 429 || answer.status >= 500) throw new RetryableError(message, { after: answer.headers.get('retry-after') });
  throw new PermanentError(message);
};

export const backfill = defineTaskType({
  name: 'Backfill',
  description: 'Fetches the pages of a feed that are not there yet',
  inputUnit: 'pages',
  retry: { maxAttempts: 2 },
  validate: ({ pagesPerBatch = '5' }) => (/^[1-9]\d?$/.test(pagesPerBatch) ? [] : ['pagesPerBatch must be a number from 1 to 99']),

  // What there is to do is fixed here: orders that come in later are for the next plan.
  async startPlan(ctx) {
    const feed = (await ctx.resourceBody()) as Feed;
    const { rows } = await ask<{ rows: number }>(`${feed.url}/count`, ctx.signal);
    const items = await ctx.items({ prefix: 'page/', limit: 10_000 });
    const full = new Set(items.filter((item) => (item.body as { rows: number }).rows === PAGE_ROWS).map((item) => Number(item.key.slice(5))));
    const missing = Array.from({ length: Math.ceil(rows / PAGE_ROWS) }, (_, page) => page).filter((page) => !full.has(page));
    return { state: { feed, missing }, inputsToProcess: missing.length };
  },

  // Called again with the same state it gives the same pages.
  nextBatch({ state: { feed, missing }, properties }) {
    const size = Number(properties.pagesPerBatch ?? 5);
    if (missing.length === 0) return { kind: 'done', message: 'Every page is there.' };
    const subtasks = missing.slice(0, size).map((page) => ({ name: `page ${page}`, input: { feed, page } }));
    return { kind: 'batch', subtasks, state: { feed, missing: missing.slice(size) } };
  },

  // May run twice: the same page lands in the same file, in one move.
  async subtask({ input: { feed, page }, signal }) {
    const orders = await ask<unknown[]>(`${feed.url}/orders?from=${page * PAGE_ROWS}&limit=${PAGE_ROWS}`, signal);
    const file = `page-${String(page).padStart(5, '0')}.jsonl`;
    await mkdir(feed.folder, { recursive: true });
    await writeFile(join(feed.folder, `${file}.part`), orders.map((order) => `${JSON.stringify(order)}\n`).join(''));
    await rename(join(feed.folder, `${file}.part`), join(feed.folder, file));
    return { file, rows: orders.length };
  },

  // One commit: the batch has ended, its pages are in the register, and what failed is to come again.
  async onBatchFinished({ state }, batch) {
    const put: { key: string; body: unknown }[] = [];
    const failed: number[] = [];
    for await (const s of batch.subtasks) {
      if (s.state === 'complete') put.push({ key: `page/${String(s.input.page).padStart(5, '0')}`, body: s.result });
      else failed.push(s.input.page);
    }
    return { state: { ...state, missing: [...state.missing, ...failed] }, changes: { put } };
  },
});
