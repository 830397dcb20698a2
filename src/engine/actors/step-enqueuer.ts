import { endStopping, startStep, timeoutAttempt, wakeStep } from '../../core/decide-attempt.ts';
import { expireTask } from '../../core/decide-task.ts';
import { mayBeTold } from '../../core/failure.ts';
import { holdForParent, limitingParent, nextHeld } from '../../core/family.ts';
import { ABORT_MS, Phase, forgoAbort } from '../../core/phases.ts';
import type { TaskGraph } from '../../core/graph.ts';
import { Task } from '../../core/task-states.ts';
import type { EnqueueCommand } from '../commands.ts';
import type { EngineParts } from '../engine-parts.ts';
import { Inbox } from '../inbox.ts';
import type { ReadyEntry } from '../ready-queue.ts';
import type { DueTimer } from '../timers.ts';
import type { Actor, Turn } from '../turn.ts';

/** Takes due timers, ready steps and free slots: what goes to a slot in this commit (`in_progress`), in the order of rank. */
export class StepEnqueuer implements Actor {
  readonly inbox: Inbox<EnqueueCommand>;
  readonly #p: EngineParts;
  #taken: EnqueueCommand[] = [];
  #draining = false;
  /** Ready steps whose handler nobody has, by handler (explain says so). */
  readonly #parked = new Map<string, ReadyEntry[]>();
  /** Ready steps whose workers are all busy while others are not, by handler. */
  readonly #held = new Map<string, ReadyEntry[]>();
  started = 0;
  timedOut = 0;

  constructor(parts: EngineParts) {
    this.#p = parts;
    this.inbox = new Inbox('step_enqueuer', parts.config.channels.stepEnqueuer);
  }

  get waiting(): boolean {
    return this.inbox.depth > 0 || this.#p.timers.anyDue || (!this.#draining && this.#p.dispatcher.anyFree && this.#p.queue.peek() !== undefined);
  }

  drain(): void {
    this.#draining = true;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Workers came or learnt handlers: what waited for a handler is looked at again. */
  unpark(): void {
    for (const aside of [this.#parked, this.#held]) {
      for (const entries of aside.values()) for (const e of entries) this.#p.queue.push(e);
      aside.clear();
    }
  }

  /** Forgets void entries, and with them the graphs they hold. */
  compact(): void {
    for (const aside of [this.#parked, this.#held]) {
      for (const [handler, entries] of aside) {
        const valid = entries.filter((e) => e.graph.ready.get(e.no) === e.rank);
        if (valid.length === 0) aside.delete(handler);
        else aside.set(handler, valid);
      }
    }
  }

  /** Stage 2: what is due. */
  fill(turn: Turn): void {
    const begun = this.#p.host.ticks();
    const { timers } = this.#p;
    let timer: DueTimer | undefined;
    while (!this.inbox.full && (timer = timers.takeDue(turn.out.now)) !== undefined) this.inbox.offer({ kind: 'timer', timer });
    timers.rearm();
    const waiting: EnqueueCommand[] = [];
    while (this.inbox.depth > 0 && turn.room) {
      const c = this.inbox.take()!;
      if (this.#due(turn, c.timer)) {
        this.#taken.push(c);
        this.inbox.handled++;
      } else waiting.push(c);
    }
    this.inbox.putBack(waiting);
    this.inbox.timeMs += this.#p.host.ticks() - begun;
  }

  /** Stage 5: free slots, and slots freed in this turn, go to ready steps in the order of rank. */
  start(turn: Turn): void {
    const begun = this.#p.host.ticks();
    turn.reap();
    for (const e of turn.out.ready) this.#p.queue.push(e);
    if (!this.#draining) this.#start(turn);
    this.inbox.timeMs += this.#p.host.ticks() - begun;
  }

  settle(): void {
    this.#taken = [];
  }

  undo(): void {
    this.inbox.handled -= this.#taken.length;
    this.inbox.putBack(this.#taken);
    this.#taken = [];
  }

  abandon(): void {
    this.#taken = [];
  }

  refuse(): void {
    // Timers and ready steps wait: nobody asked for them.
  }

  #start(turn: Turn): void {
    const { queue, dispatcher } = this.#p;
    const { out } = turn;
    for (const [handler, entries] of this.#held) {
      if (dispatcher.pick(handler) === null) continue;
      for (const e of entries) queue.push(e);
      this.#held.delete(handler);
    }
    while (turn.room && dispatcher.anyFree) {
      const e = queue.peek();
      if (e === undefined) break;
      const limit = limitingParent(e.graph, e.no);
      if (limit >= 0) {
        queue.pop();
        holdForParent(e.graph, limit, e.no);
        continue;
      }
      const { handler } = e.graph.shape.rules[e.no];
      const session = dispatcher.pick(handler);
      queue.pop();
      if (session === undefined || session === null) {
        const aside = session === null ? this.#held : this.#parked;
        const entries = aside.get(handler);
        if (entries === undefined) aside.set(handler, [e]);
        else entries.push(e);
        this.#passOn(e);
        continue;
      }
      // It was asked for while nobody was there to say whether there is a hook.
      if (e.graph.phaseOf(e.no) === Phase.abort && !dispatcher.traits(handler).abort) {
        forgoAbort(out, e.graph, e.no);
        this.#passOn(e);
        continue;
      }
      startStep(out, e.graph, e.no);
      dispatcher.reserve(session, out.starts[out.starts.length - 1]);
      turn.replies.push(() => this.started++);
    }
  }

  /** It does not take the place among its siblings that it was let go for. */
  #passOn({ graph, no }: ReadyEntry): void {
    const next = nextHeld(graph, no);
    if (next !== undefined) this.#p.queue.push({ graph, ...next });
  }

  /** False: the graph has to be read first, or a large reset of it to be written. A stale timer does nothing. */
  #due(turn: Turn, t: DueTimer): boolean {
    const { graphs, dispatcher, timers, host } = this.#p;
    const { out } = turn;
    const g = graphs.get(t.task);
    if (g === undefined) {
      if (t.kind !== 'retry' && t.kind !== 'deadline') return true;
      if (this.#p.absent.delete(t.task)) return true;
      turn.missing.add(t.task);
      return false;
    }
    if (g.reopening !== null) return false;
    switch (t.kind) {
      case 'retry':
        wakeStep(out, g, t.no);
        return true;
      case 'deadline':
        if (g.taskState !== Task.initializing) expireTask(out, g);
        else timers.add({ ...t, at: out.now + 1000 });
        return true;
      case 'timeout': {
        if (this.#endUncancelable(turn, g, t)) return true;
        const ms = g.phaseOf(t.no) === Phase.abort ? ABORT_MS : g.shape.rules[t.no].timeoutMs;
        if (timeoutAttempt(out, g, t.no, t.token, { code: 'step_timeout', message: `The attempt did not end within ${ms} ms.`, retryable: true }))
          turn.replies.push(() => this.timedOut++);
        return true;
      }
      case 'heartbeat': {
        const a = dispatcher.active(t.task, t.no);
        if (a === undefined || a.token !== t.token) return true;
        const ms = g.shape.rules[t.no].heartbeatMs;
        if (a.lastSign + ms > host.now()) timers.add({ ...t, at: a.lastSign + ms });
        else if (this.#endUncancelable(turn, g, t)) return true;
        else if (timeoutAttempt(out, g, t.no, t.token, { code: 'heartbeat_lost', message: `The handler gave no sign of life for ${ms} ms.`, retryable: true }))
          turn.replies.push(() => this.timedOut++);
        return true;
      }
      case 'grace': {
        const live = g.live.get(t.no);
        if (live === undefined || live.token !== t.token || !live.stopping) return true;
        endStopping(out, g, t.no, 'abandoned');
        return true;
      }
      default:
        return t.kind satisfies never;
    }
  }

  /** A handler that may not be told of a cancel keeps its slot, but no longer than its own time: then it is told, and its grace begins. */
  #endUncancelable(turn: Turn, g: TaskGraph, t: DueTimer): boolean {
    const live = g.live.get(t.no);
    if (live === undefined || live.token !== t.token || !live.stopping || live.phase === Phase.abort || mayBeTold(turn.out, g, t.no)) return false;
    turn.out.stops.push({ graph: g, no: t.no, token: t.token, cause: 'timeout' });
    return true;
  }
}
