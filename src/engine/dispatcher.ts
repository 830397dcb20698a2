/**
 * Which workers there are, who has a free slot, and which attempt runs where. What a worker says is in worker-session.ts, what it is sent
 * in assignment-sender.ts.
 *
 * - A slot is taken when a start is decided and given back when the attempt's end is durable (I8), or when the commit is refused: `reserve`
 *   and `release` are called while a turn is decided, `restore` when it turns out to be void.
 * - Of a step at most one attempt holds a slot. Whoever names an attempt names its token; another token's slot is never touched (I4).
 * - Assignments and stops leave only after the commit that made them true (I1): `dispatch` and `stop` are called when a turn is durable.
 * - A worker that has left keeps the slots of its attempts until their loss is decided; it is given nothing more.
 */
import type { Start } from '../core/decisions.ts';
import type { JsonObject } from '../core/definition.ts';
import type { TaskGraph } from '../core/graph.ts';
import type { StepDefaults } from '../core/node.ts';
import { type HandlerTraits, NO_TRAITS, UNKNOWN_TRAITS } from '../core/phases.ts';
import type { Store } from '../store/store.ts';
import { AssignmentSender } from './assignment-sender.ts';
import type { TemplateName } from './local-assignment.ts';
import type { PayloadCache } from './payload-cache.ts';
import { StepValues } from './step-values.ts';
import type { HandlerView, StopReason, WorkerHello, WorkerPort, WorkerSession, WorkerSink } from './worker-port.ts';
import { Session, type WorkerInput } from './worker-session.ts';

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

export class Dispatcher implements WorkerPort {
  readonly o: DispatcherOptions;
  #sessions: Session[] = [];
  readonly #active = new Map<number, Map<number, Active>>();
  /** Of handlers that were run here. */
  readonly #knownTraits = new Map<string, HandlerTraits>();
  readonly #sender: AssignmentSender;
  readonly values: StepValues;

  constructor(o: DispatcherOptions) {
    this.o = o;
    this.values = new StepValues(o);
    this.#sender = new AssignmentSender(this);
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

  /** Of the first worker that has the handler. */
  defaults(handler: string): StepDefaults | undefined {
    return this.#sessions.find(({ hello }) => hello.hasHandler(handler))?.hello.defaults?.(handler);
  }

  /** By the first worker that can tell; null: nothing, or nobody can. */
  schemaProblem(schema: JsonObject): string | null {
    return this.#sessions.find(({ hello }) => hello.schemaProblem !== undefined)?.hello.schemaProblem?.(schema) ?? null;
  }

  /**
   * Those of the first worker that has the handler; where it has left, those it had. Of a handler that nobody has told us of (what was
   * lost is decided before the workers of a new process are there) we assume that it can abort: who runs it will know.
   */
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

  /** Sends what has been started and committed. */
  dispatch(starts: readonly Start[]): void {
    this.#sender.send(starts);
  }
}
