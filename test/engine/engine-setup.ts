/** A real engine on an in-memory store, driven by a worker whose handlers see assignments as they are. */
import type { RetryPolicy, StepDefinition, TemplateDefinition } from '../../src/core/definition.ts';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { EngineConfig, Host } from '../../src/engine/host.ts';
import type { Assignment, StopReason, WorkerSession } from '../../src/engine/worker-port.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { DEFAULT_ENGINE_CONFIG } from '../../src/engine/host.ts';

export type Handler = (a: Assignment, w: TestWorker) => Promise<string>;

/** Runs handlers that return JSON text. Keeps every assignment and stop it was sent. */
export class TestWorker {
  readonly assigned: Assignment[] = [];
  readonly stops: { task: number; no: number; token: number; reason: StopReason }[] = [];
  readonly #handlers = new Map<string, Handler>();
  #waiting: { n: number; go: () => void }[] = [];
  session!: WorkerSession;

  connect(engine: Engine, slots: number): void {
    this.session = engine.workers.connect(
      { name: 'test', slots, hasHandler: (h) => this.#handlers.has(h) },
      {
        assign: (batch) => {
          for (const a of batch) {
            this.assigned.push(a);
            this.#run(a);
          }
          for (const w of this.#waiting) if (this.assigned.length >= w.n) w.go();
        },
        stop: (s) => void this.stops.push(s),
      },
    );
  }

  handle(name: string, run: Handler): void {
    this.#handlers.set(name, run);
    this.session.handlersChanged();
  }

  /** Resolves when n assignments have arrived in all. */
  arrived(n: number): Promise<void> {
    return this.assigned.length >= n ? Promise.resolve() : new Promise((go) => this.#waiting.push({ n, go }));
  }

  #run(a: Assignment): void {
    const key = { task: a.task, no: a.no, token: a.token };
    this.#handlers.get(a.handler)!(a, this).then(
      (body) => this.session.result({ ...key, outcome: { ok: true, body } }),
      (e: Error & { code?: string; retryable?: boolean; retryAfterMs?: number }) =>
        this.session.result({
          ...key,
          outcome: { ok: false, error: { code: e.code ?? 'handler_error', message: e.message, retryable: e.retryable ?? true }, retryAfterMs: e.retryAfterMs },
        }),
    );
  }
}

export interface Opened {
  engine: Engine;
  worker: TestWorker;
  store: SqliteStore;
  logged: string[];
  close(): Promise<void>;
  /** As after a crash: the old engine decides nothing more, a new one opens on the same rows. */
  reopen(o: OpenOptions): Promise<Opened>;
}

export interface OpenOptions {
  slots?: number;
  config?: Partial<EngineConfig>;
}

const realHost = (logged: string[], dead: { value: boolean; timers: Set<NodeJS.Timeout> }): Host => ({
  now: () => Date.now(),
  ticks: () => performance.now(),
  soon: (fn) => void setImmediate(() => dead.value || fn()),
  timer: (ms, fn) => {
    const t = setTimeout(() => {
      dead.timers.delete(t);
      if (!dead.value) fn();
    }, ms);
    dead.timers.add(t);
    return () => {
      dead.timers.delete(t);
      clearTimeout(t);
    };
  },
  random: () => Math.random(),
  uuid: () => crypto.randomUUID(),
  log: (level, message, details) => void logged.push(`${level}: ${message} ${JSON.stringify(details ?? {})}`),
});

export async function openEngine(
  o: OpenOptions = {},
  store: SqliteStore = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 }),
): Promise<Opened> {
  const logged: string[] = [];
  const dead = { value: false, timers: new Set<NodeJS.Timeout>() };
  const bury = (): void => {
    dead.value = true;
    for (const t of dead.timers) clearTimeout(t);
  };
  const engine = await Engine.open({ store, host: realHost(logged, dead), config: { ...DEFAULT_ENGINE_CONFIG, ...o.config } });
  const worker = new TestWorker();
  worker.connect(engine, o.slots ?? 10);
  return {
    engine,
    worker,
    store,
    logged,
    close: async () => {
      await engine.stop({ drainMs: 0 });
      bury();
    },
    reopen: (again) => {
      bury();
      return openEngine(again, store);
    },
  };
}

export const step = (name: string, after: string[] = [], o: Partial<StepDefinition> = {}): StepDefinition => ({
  name,
  type: 'standard',
  handler: name,
  dependencies: after.map((n) => (n.endsWith('?') ? { name: n.slice(0, -1), required: false } : { name: n, required: true })),
  retry: { ...DEFAULT_RETRY, ...o.retry } as RetryPolicy,
  ...o,
});

export const graph = (name: string, steps: StepDefinition[], o: Partial<TemplateDefinition> = {}): { definition: TemplateDefinition } => ({
  definition: { namespace: 't', name, version: '1.0.0', policy: 'fail', steps, ...o },
});

export const oneStep = (name: string, o: Partial<StepDefinition> = {}): { definition: TemplateDefinition } => graph(name, [step(name, [], o)]);
