/** The engine's side of the reader thread. The thread starts with the first list query and never keeps the process alive by itself. */
import { Worker } from 'node:worker_threads';
import { StoreFailure } from '../store.ts';
import { toStoreFailure } from './failure.ts';
import type { ListAnswer, ListArgs, ListVerb } from './list-queries.ts';
import type { ReaderAnswer, ReaderRequest } from './reader-thread.ts';

interface Waiter {
  resolve(value: unknown): void;
  reject(e: StoreFailure): void;
}

/** One thread and what it was asked. */
interface Thread {
  worker: Worker;
  waiting: Map<number, Waiter>;
  closing: boolean;
}

const spawn = (path: string): Thread => {
  // The file beside this one: .ts as long as Node runs the sources, .js in the built package.
  const body = import.meta.url.endsWith('.ts') ? './reader-thread.ts' : './reader-thread.js';
  const worker = new Worker(new URL(body, import.meta.url), {
    workerData: { path },
    name: 'tutti-reader',
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  const thread: Thread = { worker, waiting: new Map(), closing: false };
  worker.on('message', (answer: ReaderAnswer) => {
    const waiter = thread.waiting.get(answer.id);
    thread.waiting.delete(answer.id);
    if (thread.waiting.size === 0 && !thread.closing) worker.unref();
    if ('value' in answer) waiter?.resolve(answer.value);
    else waiter?.reject(toStoreFailure(Object.assign(new Error(answer.message), { errcode: answer.errcode }), false));
  });
  return thread;
};

export class Reader {
  readonly #path: string;
  #thread: Thread | undefined;
  #lastId = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Rejects with StoreFailure. */
  ask<V extends ListVerb>(verb: V, q: ListArgs<V>): Promise<ListAnswer<V>> {
    const thread = (this.#thread ??= this.#start());
    return new Promise<ListAnswer<V>>((resolve, reject) => {
      const id = ++this.#lastId;
      thread.worker.ref();
      thread.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      thread.worker.postMessage({ id, verb, q } satisfies ReaderRequest);
    });
  }

  /** Answers what was asked, then ends the thread. A later question starts a new one. */
  async close(): Promise<void> {
    const thread = this.#thread;
    if (thread === undefined) return;
    this.#thread = undefined;
    thread.closing = true;
    thread.worker.ref();
    const gone = new Promise<void>((resolve) => thread.worker.once('exit', () => resolve()));
    thread.worker.postMessage({ close: true } satisfies ReaderRequest);
    await gone;
  }

  #start(): Thread {
    const thread = spawn(this.#path);
    // A thread that dies takes its questions with it; the next question starts another.
    const lost = (why: string, cause?: unknown): void => {
      if (this.#thread === thread) this.#thread = undefined;
      const waiting = [...thread.waiting.values()];
      thread.waiting.clear();
      for (const w of waiting) w.reject(new StoreFailure('io', false, `the list query was not answered: ${why}`, cause));
    };
    thread.worker.on('error', (e) => lost(e instanceof Error ? e.message : String(e), e));
    thread.worker.on('exit', () => lost('the reader thread ended'));
    return thread;
  }
}
