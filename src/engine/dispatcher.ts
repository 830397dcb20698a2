/**
 * Between the turn and the workers: who has a free slot, which attempts run where, what an assignment carries.
 * A slot is taken when a start is decided and given back when the attempt's end is durable (I8), or when the commit is refused.
 * Assignments and stops leave only after the commit that made them true (I1).
 */
import type { Start } from '../core/decisions.ts';
import type { StepError, TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import type { StepDefaults } from '../core/node.ts';
import { hasOwnInput } from '../core/nodes.ts';
import { type HandlerTraits, NO_TRAITS, UNKNOWN_TRAITS } from '../core/phases.ts';
import { edgeRequired, edgeStep } from '../core/shape.ts';
import { Step, isAbsent } from '../core/step-states.ts';
import type { Store } from '../store/store.ts';
import { LocalAssignment, type TemplateName } from './local-assignment.ts';
import type { PayloadCache } from './payload-cache.ts';
import { StepValues } from './step-values.ts';
import {
  type Assignment,
  type AttemptOutcome,
  type ChildResult,
  type DependencyResult,
  type HandlerView,
  type ProgressReport,
  type SpawnRequest,
  type SpawnedChild,
  type StopReason,
  type WorkerHello,
  type WorkerPort,
  type WorkerSession,
  type WorkerSink,
} from './worker-port.ts';

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
  progress: StepProgress | null;
  /** It was told to stop. */
  stop?: StopReason;
}

export interface StepProgress {
  /** 0..1. */
  fraction: number;
  message: string | null;
  at: number;
  done?: number;
  total?: number;
  unit?: 'bytes' | 'items';
}

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

export class Dispatcher implements WorkerPort {
  readonly o: DispatcherOptions;
  #sessions: Session[] = [];
  readonly #active = new Map<number, Map<number, Active>>();
  /** Of handlers that were run here. */
  readonly #knownTraits = new Map<string, HandlerTraits>();

  readonly values: StepValues;

  constructor(o: DispatcherOptions) {
    this.o = o;
    this.values = new StepValues(o);
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

  /**
   * Those of the first worker that has the handler; where it has left, those it had. Of a handler that nobody has told us of (what was
   * lost is decided before the workers of a new process are there) we assume that it can abort: who runs it will know.
   */
  /** Of the first worker that has the handler. */
  defaults(handler: string): StepDefaults | undefined {
    return this.#sessions.find(({ hello }) => hello.hasHandler(handler))?.hello.defaults?.(handler);
  }

  traits(handler: string): HandlerTraits {
    for (const { hello } of this.#sessions) if (hello.hasHandler(handler)) return hello.traits?.(handler) ?? NO_TRAITS;
    return this.#knownTraits.get(handler) ?? UNKNOWN_TRAITS;
  }

  /** Each once, as the first worker that has it describes it, in order of id. */
  handlers(): HandlerView[] {
    const found = new Map<string, HandlerView>();
    for (const { hello } of this.#sessions) for (const h of hello.handlers?.() ?? []) if (!found.has(h.id)) found.set(h.id, h);
    return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Errors of users' hooks in the workers that are connected. */
  get hookErrors(): number {
    return this.#sessions.reduce((sum, { hello }) => sum + (hello.hookErrors?.() ?? 0), 0);
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
    const { handler } = start.graph.shape.rules[start.no];
    this.#knownTraits.set(handler, session.hello.traits?.(handler) ?? NO_TRAITS);
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
    if (a === undefined || a.token !== token) return;
    a.stop = reason;
    a.session.sink.stop({ task, no, token, reason });
  }

  /** Sends what has been started and committed. Whatever needs the store goes a little later than what does not. */
  dispatch(starts: readonly Start[]): void {
    if (starts.length === 0) return;
    const batches = new Map<Session, Assignment[]>();
    const late: { a: Active; s: Start }[] = [];
    for (const s of starts) {
      const a = this.active(s.graph.id, s.no);
      if (a === undefined || a.token !== s.token) continue;
      const ready = this.#assignment(s);
      if (ready === null) {
        if (this.#wantsInput(s)) late.push({ a, s });
        else void this.#assignSlowly(a, s);
        continue;
      }
      const batch = batches.get(a.session);
      if (batch === undefined) batches.set(a.session, [ready]);
      else batch.push(ready);
    }
    for (const [session, batch] of batches) session.sink.assign(batch);
    if (late.length > 0) void this.#assignTogether(late);
  }

  /** Of many children or elements the inputs do not stay in memory: nothing but they may be missing here. */
  #wantsInput({ graph: g, no, phase }: Start): boolean {
    return phase === 0 && g.attempts[no] === 1 && hasOwnInput(g, no) && this.o.payloads.result(g.id, no, 0) === undefined;
  }

  /** One read for the inputs of all that started together, instead of one each. */
  async #assignTogether(late: readonly { a: Active; s: Start }[]): Promise<void> {
    try {
      const bodies = await this.o.store.payloads(late.map(({ s }) => ({ task: s.graph.id, no: s.no, token: 0 })));
      bodies.forEach((body, i) => this.o.payloads.putResult(late[i].s.graph.id, late[i].s.no, 0, body ?? '{}'));
    } catch {
      // Each by itself asks again, for as long as it takes.
    }
    for (const { a, s } of late) {
      if (this.active(s.graph.id, s.no) !== a) continue;
      const ready = this.#assignment(s);
      if (ready === null) {
        void this.#assignSlowly(a, s);
        continue;
      }
      a.session.sink.assign([ready]);
      if (a.stop !== undefined) a.session.sink.stop({ task: s.graph.id, no: s.no, token: s.token, reason: a.stop });
    }
  }

  /** Everything from memory, or null. */
  #assignment(s: Start): Assignment | null {
    const { graph: g, no } = s;
    if (g.attempts[no] > 1 || s.phase !== 0) return null;
    const input = hasOwnInput(g, no) ? this.o.payloads.result(g.id, no, 0) : this.o.payloads.input(g.id);
    if (input === undefined) return null;
    const { deps, names } = g.shape;
    const results: [string, boolean, DependencyResult][] = [];
    let bytes = 0;
    if (deps[no].length > RESULTS_PAGE) return null;
    for (const e of deps[no]) {
      const dep = edgeStep(e);
      if (isAbsent(g.state[dep])) {
        results.push([names[dep], edgeRequired(e), { state: 'not_taken' }]);
        continue;
      }
      if (g.state[dep] !== Step.complete || g.shape.facts(dep)?.link != null) return null;
      const body = this.o.payloads.result(g.id, dep, g.resultToken(dep));
      if (body === undefined) return null;
      bytes += body.length;
      if (bytes > RESULTS_INLINE_BYTES) return null;
      results.push([names[dep], edgeRequired(e), { state: 'complete', body }]);
    }
    return this.#compose(s, { input, results, checkpoint: null, own: null });
  }

  async #assignSlowly(a: Active, s: Start, reads = 1): Promise<void> {
    const { graph: g, no } = s;
    try {
      const { names } = g.shape;
      const deps = g.shape.deps[no];
      const input = await this.values.inputOf(g, no);
      let results: [string, boolean, DependencyResult][] | null = [];
      let bytes = 0;
      for (let from = 0; from < deps.length && results !== null; from += RESULTS_PAGE) {
        const page = deps.slice(from, from + RESULTS_PAGE);
        const values = await this.values.results(g, page.map(edgeStep));
        for (let i = 0; i < page.length; i++) {
          const r = values[i];
          bytes += r.state === 'complete' ? r.body.length : 64;
          results.push([names[edgeStep(page[i])], edgeRequired(page[i]), r]);
        }
        if (bytes > RESULTS_INLINE_BYTES) results = null;
        // A store that answers at once would hold the loop for a page of reads after the other.
        else if (from + RESULTS_PAGE < deps.length) await this.o.pause();
      }
      const { phase } = s;
      const checkpoint = g.attempts[no] > 1 || phase !== 0 ? ((await this.o.store.checkpoint({ task: g.id, no }))?.body ?? null) : null;
      const result = g.results.get(no);
      const own = phase === 0 || result === undefined ? null : (await this.o.store.payloads([{ task: g.id, no, token: result }]))[0];
      if (this.active(g.id, no) !== a) return;
      a.session.sink.assign([this.#compose(s, { input, results, checkpoint, own })]);
      // Told to stop while its inputs were read: the worker did not know the attempt then.
      if (a.stop !== undefined) a.session.sink.stop({ task: g.id, no, token: s.token, reason: a.stop });
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

  #compose(s: Start, values: { input: string; results: Assignment['results']; checkpoint: string | null; own: string | null }): Assignment {
    return new LocalAssignment(this.o, s, values);
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
