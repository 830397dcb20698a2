/** The processes of the sample as their supervisor holds them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { FromWorker, ToWorker } from './worker.ts';

export type Snapshot = Extract<FromWorker, { steps: unknown }>;

const start = (file: string, args: string[]): ChildProcess =>
  fork(new URL(file, import.meta.url).pathname, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });

const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

const kill = async (child: ChildProcess): Promise<void> => {
  if (!isRunning(child)) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
};

export class ObjectServerProcess {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start(folder: string): Promise<ObjectServerProcess> {
    const child = start('./object-server.ts', [folder]);
    const [message] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => {
        throw new Error('the object server did not start');
      }),
    ])) as [{ ready: string }];
    return new ObjectServerProcess(child, message.ready);
  }

  kill(): Promise<void> {
    return kill(this.#child);
  }
}

export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #said: FromWorker[] = [];
  readonly #listeners = new Set<() => void>();
  #failure: Error | null = null;
  /** Called with every look at the steps. */
  onSnapshot: (s: Snapshot) => void = () => {};
  /** The last look at the steps of a task: what was durable then. */
  snapshot: Snapshot | null = null;

  constructor(store: string, url: string) {
    this.#child = start('./worker.ts', [store, url]);
    this.#child.on('message', (m) => {
      this.#hear(m as FromWorker);
      for (const listener of this.#listeners) listener();
    });
    this.#child.once('exit', (code, signal) => {
      this.#failure ??= new Error(`the worker ended: ${signal ?? `code ${code}`}`);
      for (const listener of this.#listeners) listener();
    });
  }

  tell(message: ToWorker): void {
    this.#child.send(message);
  }

  /** What `find` finds in what was said, now or later. Rejects when the worker failed or is gone. */
  until<T>(find: (said: FromWorker) => T | undefined): Promise<T> {
    return this.#when(() => {
      for (const m of this.#said) {
        const found = find(m);
        if (found !== undefined) return found;
      }
      return undefined;
    });
  }

  /** The first look at the steps that is as wanted. */
  untilSnapshot(wanted: (s: Snapshot) => boolean): Promise<Snapshot> {
    return this.#when(() => (this.snapshot !== null && wanted(this.snapshot) ? this.snapshot : undefined));
  }

  kill(): Promise<void> {
    return kill(this.#child);
  }

  async stop(): Promise<void> {
    if (!isRunning(this.#child)) return;
    const gone = once(this.#child, 'exit');
    this.tell({ stop: true });
    await gone;
  }

  #hear(m: FromWorker): void {
    if ('failed' in m) this.#failure ??= new Error(`the worker failed: ${m.failed}`);
    else if ('steps' in m) {
      this.snapshot = m;
      this.onSnapshot(m);
    } else this.#said.push(m);
  }

  #when<T>(find: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = find();
        if (found === undefined && this.#failure === null) return;
        this.#listeners.delete(look);
        if (found === undefined) reject(this.#failure as Error);
        else resolve(found);
      };
      this.#listeners.add(look);
      look();
    });
  }
}
