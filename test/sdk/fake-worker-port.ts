/** The engine's side of a worker, played by a test: assignments are pushed by hand, answers are kept and can be waited for. */
import type { Assignment, AttemptOutcome, DependencyResult, WorkerHello, WorkerPort, WorkerSession, WorkerSink } from '../../src/engine/worker-port.ts';
import { HandlerRegistry } from '../../src/sdk/handler-registry.ts';
import type { HandlerCode } from '../../src/sdk/handler-registry.ts';
import { LocalWorker } from '../../src/sdk/worker/local-worker.ts';

export class FakeWorkerPort implements WorkerPort {
  hello!: WorkerHello;
  sink!: WorkerSink;
  closed = false;
  changes = 0;
  readonly results: { task: number; no: number; token: number; outcome: AttemptOutcome }[] = [];
  readonly checkpoints: string[] = [];
  readonly progress: { fraction: number; message: string | undefined }[] = [];
  readonly lines: { level: string; message: string }[] = [];
  heartbeats = 0;
  /** Thrown by the next checkpoint. */
  checkpointError: unknown;
  readonly ancestors = new Map<string, DependencyResult>();
  /** What fetchResults pages through. */
  stored: [string, boolean, DependencyResult][] = [];
  readonly pages: number[] = [];
  #waiting: { count: number; done: () => void }[] = [];

  connect(hello: WorkerHello, sink: WorkerSink): WorkerSession {
    this.hello = hello;
    this.sink = sink;
    return {
      result: (r) => {
        this.results.push(r);
        this.#waiting = this.#waiting.filter((w) => this.results.length < w.count || (w.done(), false));
      },
      checkpoint: async ({ body }) => {
        if (this.checkpointError !== undefined) throw this.checkpointError;
        this.checkpoints.push(body);
      },
      progress: ({ fraction, message }) => void this.progress.push({ fraction: fraction ?? 0, message }),
      spawn: async () => [],
      fetchChildren: async () => ({ children: [], next: null }),
      heartbeat: () => void this.heartbeats++,
      log: ({ level, message }) => void this.lines.push({ level, message }),
      ancestor: async ({ name }) => this.ancestors.get(name) ?? null,
      fetchResults: async ({ from, limit }) => {
        this.pages.push(from);
        return this.stored.slice(from, from + limit);
      },
      handlersChanged: () => void this.changes++,
      close: () => void (this.closed = true),
    };
  }

  /** Resolves when this many answers have come. */
  answers(count: number): Promise<void> {
    return this.results.length >= count ? Promise.resolve() : new Promise((done) => void this.#waiting.push({ count, done }));
  }
}

export const assignment = (more: Partial<Assignment> = {}): Assignment => ({
  task: 1,
  no: 0,
  token: 1,
  phase: 'run',
  taskId: 'task-1',
  stepId: 'step-1',
  stepName: 'work',
  template: { namespace: 'n', name: 't', version: '1.0.0' },
  correlationId: 'corr',
  handler: 'h',
  method: undefined,
  config: undefined,
  attempt: 1,
  maxAttempts: 3,
  createdAt: 0,
  deadlineAt: null,
  input: '{"n":1}',
  results: [],
  dependencies: [],
  dependencyCount: more.dependencies?.length ?? 0,
  mergedInputs: false,
  checkpoint: null,
  own: null,
  reason: null,
  key: null,
  childCount: 0,
  ...more,
});

/** An assignment whose dependencies gave these results. */
export const withResults = (given: [name: string, required: boolean, result: DependencyResult][], more: Partial<Assignment> = {}): Assignment =>
  assignment({ results: given, dependencies: given.map(([name, required]) => ({ name, required })), ...more });

export interface Rig {
  port: FakeWorkerPort;
  worker: LocalWorker;
  registry: HandlerRegistry;
  faults: unknown[];
  /** Runs one attempt to its end. */
  run(a: Assignment): Promise<AttemptOutcome>;
}

/** A worker with one handler, `h`. */
export function rig(code: HandlerCode, now = 0): Rig {
  const port = new FakeWorkerPort();
  const registry = new HandlerRegistry();
  registry.register('h', code);
  const faults: unknown[] = [];
  const worker = new LocalWorker({ port, registry, now: () => now, onFault: (e) => void faults.push(e) });
  return {
    port,
    worker,
    registry,
    faults,
    run: async (a) => {
      const count = port.results.length + 1;
      port.sink.assign([a]);
      await port.answers(count);
      return port.results[count - 1].outcome;
    },
  };
}
