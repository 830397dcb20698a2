/**
 * How graphs come into memory: read for a miss, after a refused commit, at start; taken up with what they hold (ready steps, timers,
 * attempts), so that what a commit made true and nobody was told of is told now.
 */
import type { Start } from '../core/decisions.ts';
import type { TaskGraph } from '../core/graph.ts';
import { ABORT_MS, Phase } from '../core/phases.ts';
import { Step } from '../core/step-states.ts';
import { isTaskTerminal } from '../core/task-states.ts';
import type { FinalizeCommand } from './commands.ts';
import type { Active } from './dispatcher.ts';
import type { EngineParts } from './engine-parts.ts';
import type { Inbox } from './inbox.ts';
import { HORIZON_MS } from './timers.ts';

export interface GraphIntakeOptions {
  parts: EngineParts;
  /** Of the finalizer. */
  inbox: () => Inbox<FinalizeCommand>;
  pause: () => Promise<void>;
  wake: () => void;
  /** The log of the task may have grown. */
  changed: (task: number) => void;
  /** Somebody waits for its end. */
  awaited: (task: number) => boolean;
  ended: (g: TaskGraph) => void;
  /** A verb waits for this graph though its task has ended. */
  wanted: (g: TaskGraph) => boolean;
}

/** Nothing of it is left to do or to wait for. */
export const isSettled = (g: TaskGraph): boolean =>
  isTaskTerminal(g.taskState) && g.live.size === 0 && g.debts.length === 0 && g.ready.size === 0 && g.retryAt.size === 0;

export class GraphIntake {
  readonly #o: GraphIntakeOptions;

  constructor(o: GraphIntakeOptions) {
    this.#o = o;
  }

  /** Reads graphs and takes them up; for misses, after a refused commit, at start. Tasks that have ended are left alone. */
  async load(ids: number[], waitForRoom = false): Promise<void> {
    const { graphs } = this.#o.parts;
    const wanted = ids.filter((id) => graphs.get(id) === undefined);
    if (wanted.length === 0) return;
    const stale: number[] = [];
    const { left, end } = graphs.watch();
    try {
      for (const g of await graphs.read(wanted, () => this.#o.pause())) {
        while (waitForRoom && this.#o.inbox().full) await this.#o.inbox().room();
        // Another read was quicker, and its graph has gone on since.
        if (graphs.get(g.id) !== undefined) continue;
        if (left.has(g.id)) {
          stale.push(g.id);
          continue;
        }
        this.#catchUp(g);
        this.adopt(g);
      }
    } finally {
      end();
    }
    if (stale.length > 0) await this.load(stale);
  }

  /** What a commit made true that was reported failed: its effects were never let out, so they are now. */
  #catchUp(g: TaskGraph): void {
    const { dispatcher, timers } = this.#o.parts;
    dispatcher.settle(g);
    for (const [no, a] of g.live) {
      if (dispatcher.active(g.id, no) === undefined) continue;
      if (a.phase === Phase.abort && !a.stopping) {
        // Whether a hook was told that its time is over is not in its row: it is told again.
        if (this.#o.parts.host.now() >= a.startedAt + ABORT_MS) a.stopping = true;
        else this.watch(g, no, a.token, a.startedAt);
      }
      if (!a.stopping) continue;
      const cancelled = a.phase !== Phase.abort && (g.state[no] === Step.cancelled || (g.state[no] === Step.error && (g.families.get(no)?.failed ?? 0) > 0));
      const { handler, cancelable } = g.shape.rules[no];
      if (cancelled && !(cancelable && dispatcher.traits(handler).cancelable)) continue;
      dispatcher.stop(g.id, no, a.token, cancelled ? 'cancelled' : 'timeout');
      timers.add({ at: this.#o.parts.host.now() + this.#o.parts.config.graceMs, kind: 'grace', task: g.id, no, token: a.token });
    }
    this.#o.changed(g.id);
    if (isTaskTerminal(g.taskState) && this.#o.awaited(g.id)) this.#o.ended(g);
  }

  /** Starts of a doubtful commit: those that are durable are dispatched, the others gave their slots back. */
  resume(doubts: readonly Active[]): void {
    const { dispatcher, graphs } = this.#o.parts;
    const starts: Start[] = [];
    for (const a of doubts) {
      const graph = graphs.get(a.task);
      const live = graph?.live.get(a.no);
      // Its worker has left meanwhile: the attempt is lost, as the graph was found when it was read.
      if (graph === undefined || live === undefined || live.token !== a.token || live.stopping || a.session.closed) continue;
      dispatcher.restore(a);
      starts.push({ graph, no: a.no, token: a.token, phase: live.phase });
      // Its handler begins only now, and has its whole time.
      live.startedAt = this.#o.parts.host.now();
      this.watch(graph, a.no, a.token, live.startedAt);
    }
    dispatcher.dispatch(starts);
  }

  adopt(g: TaskGraph): void {
    const { graphs, queue, timers, dispatcher } = this.#o.parts;
    if (graphs.get(g.id) !== undefined) return;
    const lost = [...g.live].some(([no, a]) => dispatcher.active(g.id, no)?.token !== a.token);
    if (!lost && isSettled(g) && !this.#o.wanted(g)) return;
    graphs.put(g);
    for (const [no, rank] of g.ready) queue.push({ graph: g, no, rank });
    const horizon = this.#o.parts.host.now() + HORIZON_MS;
    for (const [no, at] of g.retryAt) if (at <= horizon) timers.add({ at, kind: 'retry', task: g.id, no, token: 0 });
    if (g.deadlineAt !== null && g.deadlineAt <= horizon) timers.add({ at: g.deadlineAt, kind: 'deadline', task: g.id, no: -1, token: 0 });
    if (lost || g.debts.length > 0) {
      this.#o.inbox().force({ kind: 'adopt', graph: g });
      if (g.debts.length > 0) this.#o.inbox().force({ kind: 'debts', task: g.id });
    }
    if (g.backlog.length > 0) this.#o.inbox().force({ kind: 'backlog', task: g.id });
    if (g.reopening !== null) this.#o.inbox().force({ kind: 'reopen', task: g.id });
    this.#o.wake();
  }

  /** Arms timeout and heartbeat of an attempt that began at `from`. */
  watch(g: TaskGraph, no: number, token: number, from: number): void {
    const aborts = g.phaseOf(no) === Phase.abort;
    const { heartbeatMs } = g.shape.rules[no];
    const timeoutMs = aborts ? ABORT_MS : g.shape.rules[no].timeoutMs;
    const { timers } = this.#o.parts;
    if (timeoutMs > 0) timers.add({ at: from + timeoutMs, kind: 'timeout', task: g.id, no, token });
    if (heartbeatMs > 0 && !aborts) timers.add({ at: from + heartbeatMs, kind: 'heartbeat', task: g.id, no, token });
  }
}
