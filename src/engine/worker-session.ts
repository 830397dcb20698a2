/**
 * What one worker says to the engine, in its own order.
 *
 * Everything that is to be decided goes to the inbox of results; a full inbox slows this worker and no other. An attempt is named by its
 * token, and whether it holds a slot is judged when the worker speaks, not when what it said is decided (I4).
 */
import type { StepError, TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { edgeRequired, edgeStep } from '../core/shape.ts';
import type { Active, Dispatcher } from './dispatcher.ts';
import type {
  AttemptOutcome,
  ChildResult,
  DependencyResult,
  ProgressReport,
  SpawnRequest,
  SpawnedChild,
  WorkerHello,
  WorkerSession,
  WorkerSink,
} from './worker-port.ts';

/** Characters of results read one after the other before others get the loop: a store that answers at once would never let go of it. */
const READ_BEFORE_PAUSE = 2 ** 17;

/** What a worker says, as the engine takes it. */
export interface WorkerInput {
  result(r: { task: number; no: number; token: number; outcome: AttemptOutcome; stray: boolean }): boolean;
  checkpoint(r: { task: number; no: number; token: number; body: string; done: (e: TuttiError | null) => void }): boolean;
  spawn(r: {
    task: number;
    no: number;
    token: number;
    children: readonly SpawnRequest[];
    done: (children: SpawnedChild[], e: TuttiError | null) => void;
  }): boolean;
  progress(a: Active): void;
  logLine(r: { task: number; no: number; token: number; level: 'debug' | 'info' | 'warn' | 'error'; message: string }): void;
  /** Slots or handlers came. */
  capacity(): void;
  resultRoom(): Promise<void>;
}

export class Session implements WorkerSession {
  readonly hello: WorkerHello;
  readonly sink: WorkerSink;
  readonly #d: Dispatcher;
  used = 0;
  closed = false;
  #backlog: (() => boolean)[] = [];
  #readSincePause = 0;

  constructor(d: Dispatcher, hello: WorkerHello, sink: WorkerSink) {
    this.#d = d;
    this.hello = hello;
    this.sink = sink;
  }

  get free(): number {
    return this.closed ? 0 : this.hello.slots - this.used;
  }

  result(r: { task: number; no: number; token: number; outcome: AttemptOutcome }): void {
    // Judged as it comes: while it waits to be decided, an attempt with that very token may begin.
    const stray = this.#d.active(r.task, r.no)?.token !== r.token;
    this.#offer(() => this.#d.o.input.result({ ...r, stray }));
  }

  checkpoint(r: { task: number; no: number; token: number; body: string }): Promise<void> {
    this.#d.signOfLife(r);
    return new Promise((resolve, reject) => {
      this.#offer(() => this.#d.o.input.checkpoint({ ...r, done: (e) => (e === null ? resolve() : reject(e)) }));
    });
  }

  progress(r: { task: number; no: number; token: number } & ProgressReport): void {
    const a = this.#d.signOfLife(r);
    if (a === undefined) return;
    const { done, total, unit } = r;
    const fraction = r.fraction ?? (done !== undefined && total !== undefined ? (total === 0 ? 1 : done / total) : (a.progress?.fraction ?? 0));
    a.progress = {
      fraction: Math.min(1, Math.max(0, fraction)),
      message: r.message ?? a.progress?.message ?? null,
      at: a.lastSign,
      ...(done === undefined ? {} : { done }),
      ...(total === undefined ? {} : { total }),
      ...(unit === undefined ? {} : { unit }),
    };
    this.#d.o.input.progress(a);
  }

  spawn(r: { task: number; no: number; token: number; children: readonly SpawnRequest[] }): Promise<SpawnedChild[]> {
    this.#d.signOfLife(r);
    return new Promise((resolve, reject) => {
      this.#offer(() => this.#d.o.input.spawn({ ...r, done: (children, e) => (e === null ? resolve(children) : reject(e)) }));
    });
  }

  async fetchChildren(r: { task: number; no: number; from: number; limit: number }): Promise<{ children: ChildResult[]; next: number | null }> {
    const g = this.#d.o.graph(r.task) ?? this.#d.active(r.task, r.no)?.graph;
    if (g === undefined) return { children: [], next: null };
    const page = await this.#d.values.children(g, r.no, r.from, r.limit);
    await this.#d.o.pause();
    return page;
  }

  heartbeat(r: { task: number; no: number; token: number }): void {
    this.#d.signOfLife(r);
  }

  log(r: { task: number; no: number; token: number; level: 'debug' | 'info' | 'warn' | 'error'; message: string }): void {
    this.#d.o.input.logLine(r);
  }

  async ancestor(r: { task: number; no: number; name: string }): Promise<DependencyResult | null> {
    const g = this.#d.o.graph(r.task) ?? this.#d.active(r.task, r.no)?.graph;
    const no = g?.shape.numberOf.get(r.name);
    if (g === undefined || no === undefined || !isAncestor(g, no, r.no)) return null;
    return (await this.#d.values.results(g, [no]))[0];
  }

  async fetchResults(r: { task: number; no: number; from: number; limit: number }): Promise<[string, boolean, DependencyResult][]> {
    const g = this.#d.o.graph(r.task) ?? this.#d.active(r.task, r.no)?.graph;
    if (g === undefined) return [];
    const { names } = g.shape;
    const edges = g.shape.deps[r.no].slice(r.from, r.from + r.limit);
    const nos = edges.map(edgeStep);
    const results = await this.#d.values.results(g, nos);
    for (const r of results) this.#readSincePause += r.state === 'complete' ? r.body.length + 64 : 64;
    if (this.#readSincePause > READ_BEFORE_PAUSE) {
      this.#readSincePause = 0;
      await this.#d.o.pause();
    }
    return nos.map((no, i) => [names[no], edgeRequired(edges[i]), results[i]]);
  }

  handlersChanged(): void {
    this.#d.o.input.capacity();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#d.remove(this);
    const error: StepError = { code: 'attempt_lost', message: 'The worker that ran this attempt has left.', retryable: true };
    for (const a of [...this.#d.allActive()]) if (a.session === this) this.result({ task: a.task, no: a.no, token: a.token, outcome: { ok: false, error } });
  }

  /** A full inbox slows the worker: what it says waits here, at most one result and one checkpoint per slot. */
  #offer(say: () => boolean): void {
    if (this.#backlog.length === 0 && say()) return;
    this.#backlog.push(say);
    if (this.#backlog.length === 1) void this.#d.o.input.resultRoom().then(() => this.#drain());
  }

  #drain(): void {
    while (this.#backlog.length > 0 && this.#backlog[0]()) this.#backlog.shift();
    if (this.#backlog.length > 0) void this.#d.o.input.resultRoom().then(() => this.#drain());
  }
}

function isAncestor(g: TaskGraph, candidate: number, no: number): boolean {
  const { deps } = g.shape;
  const seen = new Set<number>([no]);
  const stack = [no];
  while (stack.length > 0) {
    const at = stack.pop()!;
    for (const e of deps[at]) {
      const d = edgeStep(e);
      if (d === candidate) return true;
      if (!seen.has(d)) {
        seen.add(d);
        stack.push(d);
      }
    }
  }
  return false;
}
