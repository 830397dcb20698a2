/**
 * Between the turn and the workers: who has a free slot, which attempts run where, what an assignment carries.
 * A slot is taken when a start is decided and given back when the attempt's end is durable (I8), or when the commit is refused.
 * Assignments and stops leave only after the commit that made them true (I1).
 */
import type { Start } from '../core/decisions.ts';
import type { StepError, TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { Step, isStepTerminal } from '../core/step-states.ts';
import type { PayloadKey, Store } from '../store/store.ts';
import { LocalAssignment, type TemplateName } from './local-assignment.ts';
import type { PayloadCache } from './payload-cache.ts';
import type { Assignment, AttemptOutcome, DependencyResult, StopReason, WorkerHello, WorkerPort, WorkerSession, WorkerSink } from './worker-port.ts';

/** Results of a step's dependencies above this many bytes in all are streamed (design.md §5). */
export const RESULTS_INLINE_BYTES = 2 ** 20;
const RESULTS_PAGE = 500;
/** How often, and how long apart, the inputs of a started attempt are read before it is given up. */
const READS = 60;
const READ_AGAIN_MS = 500;
/** Characters of results read one after the other before others get the loop: a store that answers at once would never let go of it. */
const READ_BEFORE_PAUSE = 2 ** 17;

export interface Active {
  session: Session;
  task: number;
  /** As it was at the start. What the step depends on has ended and does not change, so this may be read though it left the cache. */
  graph: TaskGraph;
  no: number;
  token: number;
  /** Last sign of life: start, progress, heartbeat, checkpoint. */
  lastSign: number;
  progress: { fraction: number; message: string | null; at: number } | null;
}

/** What a worker says, as the engine takes it. */
export interface WorkerInput {
  result(r: { task: number; no: number; token: number; outcome: AttemptOutcome }): boolean;
  checkpoint(r: { task: number; no: number; token: number; body: string; done: (e: TuttiError | null) => void }): boolean;
  progress(a: Active): void;
  logLine(r: { task: number; no: number; token: number; level: 'debug' | 'info' | 'warn' | 'error'; message: string }): void;
  /** Slots or handlers came. */
  capacity(): void;
  resultRoom(): Promise<void>;
}

export interface DispatcherOptions {
  store: Store;
  payloads: PayloadCache;
  now: () => number;
  later: (ms: number, fn: () => void) => void;
  taskUuid: (task: number) => string;
  stepUuid: (task: number, no: number) => string;
  templateName: (g: TaskGraph) => TemplateName;
  graph: (task: number) => TaskGraph | undefined;
  /** Lets what else waits on the loop go first. */
  pause: () => Promise<void>;
  input: WorkerInput;
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
    this.#offer(() => this.#d.o.input.result(r));
  }

  checkpoint(r: { task: number; no: number; token: number; body: string }): Promise<void> {
    this.#d.signOfLife(r);
    return new Promise((resolve, reject) => {
      this.#offer(() => this.#d.o.input.checkpoint({ ...r, done: (e) => (e === null ? resolve() : reject(e)) }));
    });
  }

  progress(r: { task: number; no: number; token: number; fraction: number; message: string | undefined }): void {
    const a = this.#d.signOfLife(r);
    if (a === undefined) return;
    a.progress = { fraction: Math.min(1, Math.max(0, r.fraction)), message: r.message ?? null, at: a.lastSign };
    this.#d.o.input.progress(a);
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
    return (await this.#d.results(g, [no]))[0];
  }

  async fetchResults(r: { task: number; no: number; from: number; limit: number }): Promise<[string, boolean, DependencyResult][]> {
    const g = this.#d.o.graph(r.task) ?? this.#d.active(r.task, r.no)?.graph;
    if (g === undefined) return [];
    const { depStart, deps, depRequired, names } = g.shape;
    const from = depStart[r.no] + r.from;
    const nos = [...deps.subarray(from, Math.min(depStart[r.no + 1], from + r.limit))];
    const results = await this.#d.results(g, nos);
    for (const r of results) this.#readSincePause += r.state === 'complete' ? r.body.length + 64 : 64;
    if (this.#readSincePause > READ_BEFORE_PAUSE) {
      this.#readSincePause = 0;
      await this.#d.o.pause();
    }
    return nos.map((no, i) => [names[no], depRequired[from + i] === 1, results[i]]);
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

export class Dispatcher implements WorkerPort {
  readonly o: DispatcherOptions;
  #sessions: Session[] = [];
  readonly #active = new Map<number, Map<number, Active>>();

  constructor(o: DispatcherOptions) {
    this.o = o;
  }

  connect(hello: WorkerHello, sink: WorkerSink): WorkerSession {
    const s = new Session(this, hello, sink);
    this.#sessions.push(s);
    this.o.input.capacity();
    return s;
  }

  remove(s: Session): void {
    this.#sessions = this.#sessions.filter((x) => x !== s);
    this.o.input.capacity();
  }

  get slots(): { total: number; used: number } {
    let total = 0;
    let used = 0;
    for (const s of this.#sessions) {
      total += s.hello.slots;
      used += s.used;
    }
    return { total, used };
  }

  /** Slots of the workers that have the handler. */
  slotsFor(handler: string): { total: number; used: number } {
    let total = 0;
    let used = 0;
    for (const s of this.#sessions) {
      if (!s.hello.hasHandler(handler)) continue;
      total += s.hello.slots;
      used += s.used;
    }
    return { total, used };
  }

  get anyFree(): boolean {
    for (const s of this.#sessions) if (s.free > 0) return true;
    return false;
  }

  hasHandler(handler: string): boolean {
    return this.#sessions.some((s) => s.hello.hasHandler(handler));
  }

  /** A worker with the handler and a free slot; null: all of them are busy; undefined: nobody has the handler. */
  pick(handler: string): Session | null | undefined {
    let found: null | undefined = undefined;
    for (const s of this.#sessions) {
      if (!s.hello.hasHandler(handler)) continue;
      if (s.free > 0) return s;
      found = null;
    }
    return found;
  }

  reserve(session: Session, start: Start): void {
    session.used++;
    this.#put({ session, task: start.graph.id, graph: start.graph, no: start.no, token: start.token, lastSign: this.o.now(), progress: null });
  }

  /**
   * The attempt is over, or was never begun: its slot is free, for a start in the same turn already, since its handler has returned.
   * Gives what `restore` takes should the commit be refused.
   */
  release(task: number, no: number, token: number): Active | undefined {
    const steps = this.#active.get(task);
    const a = steps?.get(no);
    if (steps === undefined || a === undefined || a.token !== token) return undefined;
    a.session.used--;
    steps.delete(no);
    if (steps.size === 0) this.#active.delete(task);
    return a;
  }

  /** A graph was read again after a doubtful commit: attempts whose end turned out to be durable give their slots back. */
  settle(g: TaskGraph): void {
    for (const a of [...(this.#active.get(g.id)?.values() ?? [])]) if (g.live.get(a.no)?.token !== a.token) this.release(a.task, a.no, a.token);
  }

  restore(a: Active): void {
    this.#put(a);
    a.session.used++;
  }

  #put(a: Active): void {
    let steps = this.#active.get(a.task);
    if (steps === undefined) this.#active.set(a.task, (steps = new Map()));
    steps.set(a.no, a);
  }

  active(task: number, no: number): Active | undefined {
    return this.#active.get(task)?.get(no);
  }

  *allActive(): IterableIterator<Active> {
    for (const steps of this.#active.values()) yield* steps.values();
  }

  signOfLife(r: { task: number; no: number; token: number }): Active | undefined {
    const a = this.active(r.task, r.no);
    if (a === undefined || a.token !== r.token) return undefined;
    a.lastSign = this.o.now();
    return a;
  }

  stop(task: number, no: number, token: number, reason: StopReason): void {
    const a = this.active(task, no);
    if (a !== undefined && a.token === token) a.session.sink.stop({ task, no, token, reason });
  }

  /** Sends what has been started and committed. Whatever needs the store goes a little later than what does not. */
  dispatch(starts: readonly Start[]): void {
    if (starts.length === 0) return;
    const batches = new Map<Session, Assignment[]>();
    for (const s of starts) {
      const a = this.active(s.graph.id, s.no);
      if (a === undefined || a.token !== s.token) continue;
      const ready = this.#assignment(s);
      if (ready === null) {
        void this.#assignSlowly(a, s);
        continue;
      }
      const batch = batches.get(a.session);
      if (batch === undefined) batches.set(a.session, [ready]);
      else batch.push(ready);
    }
    for (const [session, batch] of batches) session.sink.assign(batch);
  }

  /** Everything from memory, or null. */
  #assignment(s: Start): Assignment | null {
    const { graph: g, no } = s;
    if (g.attempts[no] > 1) return null;
    const input = this.o.payloads.input(g.id);
    if (input === undefined) return null;
    const { depStart, deps, depRequired, names } = g.shape;
    const results: [string, boolean, DependencyResult][] = [];
    let bytes = 0;
    for (let e = depStart[no]; e < depStart[no + 1]; e++) {
      const dep = deps[e];
      if (g.state[dep] !== Step.complete) return null;
      const body = this.o.payloads.result(g.id, dep, g.token[dep]);
      if (body === undefined || results.length > RESULTS_PAGE) return null;
      bytes += body.length;
      if (bytes > RESULTS_INLINE_BYTES) return null;
      results.push([names[dep], depRequired[e] === 1, { state: 'complete', body }]);
    }
    return this.#compose(s, input, results, null);
  }

  async #assignSlowly(a: Active, s: Start, reads = 1): Promise<void> {
    const { graph: g, no } = s;
    try {
      const { depStart, deps, depRequired, names } = g.shape;
      let input = this.o.payloads.input(g.id);
      if (input === undefined) {
        input = (await this.o.store.payloads([{ task: g.id, no: -1, token: 0 }]))[0] ?? '{}';
        this.o.payloads.putInput(g.id, input);
      }
      let results: [string, boolean, DependencyResult][] | null = [];
      let bytes = 0;
      for (let from = depStart[no]; from < depStart[no + 1] && results !== null; from += RESULTS_PAGE) {
        const to = Math.min(depStart[no + 1], from + RESULTS_PAGE);
        const page = await this.results(g, [...deps.subarray(from, to)]);
        for (let i = 0; i < page.length; i++) {
          const r = page[i];
          bytes += r.state === 'complete' ? r.body.length : 64;
          results.push([names[deps[from + i]], depRequired[from + i] === 1, r]);
        }
        if (bytes > RESULTS_INLINE_BYTES) results = null;
        // A store that answers at once would hold the loop for a page of reads after the other.
        else if (to < depStart[no + 1]) await this.o.pause();
      }
      const checkpoint = g.attempts[no] > 1 ? ((await this.o.store.checkpoint({ task: g.id, no }))?.body ?? null) : null;
      if (this.active(g.id, no) !== a) return;
      a.session.sink.assign([this.#compose(s, input, results, checkpoint)]);
    } catch (e) {
      if (this.active(g.id, no) !== a) return;
      if (reads < READS) {
        this.o.later(READ_AGAIN_MS, () => void this.#assignSlowly(a, s, reads + 1));
        return;
      }
      // The store cannot be read for long: the attempt fails like any other and is retried by its policy.
      const error: StepError = {
        code: 'inputs_unavailable',
        message: `The inputs could not be read: ${e instanceof Error ? e.message : 'unknown'}`,
        retryable: true,
      };
      a.session.result({ task: g.id, no, token: s.token, outcome: { ok: false, error } });
    }
  }

  #compose(s: Start, input: string, results: Assignment['results'], checkpoint: string | null): Assignment {
    return new LocalAssignment(this.o, s, { input, results, checkpoint });
  }

  /** What these steps gave, in their order. */
  async results(g: TaskGraph, nos: readonly number[]): Promise<DependencyResult[]> {
    const out = new Array<DependencyResult | undefined>(nos.length);
    const missing: PayloadKey[] = [];
    const places: number[] = [];
    for (let i = 0; i < nos.length; i++) {
      const no = nos[i];
      switch (g.state[no]) {
        case Step.complete: {
          const body = this.o.payloads.result(g.id, no, g.token[no]);
          if (body !== undefined) out[i] = { state: 'complete', body };
          else {
            missing.push({ task: g.id, no, token: g.token[no] });
            places.push(i);
          }
          break;
        }
        case Step.resolvedManually:
          out[i] = { state: 'resolved_manually' };
          break;
        case Step.error:
          out[i] = { state: 'error', error: await this.#errorOf(g.id, no) };
          break;
        default:
          out[i] = { state: 'cancelled', reason: g.reasonOf(no) ?? (isStepTerminal(g.state[no]) ? 'cancelled' : 'not_ended') };
      }
    }
    if (missing.length > 0) {
      const bodies = await this.o.store.payloads(missing);
      places.forEach((i, k) => (out[i] = { state: 'complete', body: bodies[k] ?? 'null' }));
    }
    return out as DependencyResult[];
  }

  async #errorOf(task: number, no: number): Promise<StepError> {
    const [row] = await this.o.store.loadSteps({ task, after: no - 1, limit: 1 });
    return row?.error == null ? { code: 'unknown', message: 'The step failed.', retryable: false } : (JSON.parse(row.error) as StepError);
  }
}

function isAncestor(g: TaskGraph, candidate: number, no: number): boolean {
  const { depStart, deps } = g.shape;
  const seen = new Set<number>([no]);
  const stack = [no];
  while (stack.length > 0) {
    const at = stack.pop()!;
    for (let e = depStart[at]; e < depStart[at + 1]; e++) {
      const d = deps[e];
      if (d === candidate) return true;
      if (!seen.has(d)) {
        seen.add(d);
        stack.push(d);
      }
    }
  }
  return false;
}
