/**
 * What a durable turn lets out (I1): stops, timers, replies, assignments, ends, events, in this order; then memory that is not needed any more
 * is given back.
 *
 * - It is called once a turn, between two turns, and reads nothing: whatever was decided is in the turn.
 * - Replies come before assignments: they put the inputs and results into memory that assignments are made of.
 * - A void turn never comes here. What it would have let out is decided again, or told when its graphs are read again (graph-intake.ts).
 */
import type { TaskGraph } from '../core/graph.ts';
import { TASK_STATES } from '../core/task-states.ts';
import type { StepEnqueuer } from './actors/step-enqueuer.ts';
import type { ColdReady } from './cold-ready.ts';
import type { EngineParts } from './engine-parts.ts';
import type { Events } from './events.ts';
import { type GraphIntake, isSettled } from './graph-intake.ts';
import type { Outcomes } from './outcomes.ts';
import type { Scheduling } from './scheduling.ts';
import type { TaskProgress } from './task-progress.ts';
import { type DueTimer, HORIZON_MS } from './timers.ts';
import type { Turn } from './turn.ts';

export interface TurnReleaseOptions {
  parts: EngineParts;
  enqueuer: StepEnqueuer;
  intake: GraphIntake;
  cold: ColdReady;
  progress: TaskProgress;
  events: Events;
  outcomes: Outcomes;
  scheduling: Scheduling;
}

export class TurnRelease {
  readonly #parts: EngineParts;
  readonly #enqueuer: StepEnqueuer;
  readonly #intake: GraphIntake;
  readonly #cold: ColdReady;
  readonly #progress: TaskProgress;
  readonly #events: Events;
  readonly #outcomes: Outcomes;
  readonly #scheduling: Scheduling;
  /** Tasks that have ended, by how. */
  readonly finished: Record<string, number> = { complete: 0, error: 0, cancelled: 0, resolved_manually: 0 };
  /** Called after a turn that leaves no slot in use: who stops the engine waits for that. */
  onIdle: (() => void) | null = null;
  /** Graphs dropped since the queue was cleared of what they left in it. */
  #dropped = 0;

  constructor(o: TurnReleaseOptions) {
    this.#parts = o.parts;
    this.#enqueuer = o.enqueuer;
    this.#intake = o.intake;
    this.#cold = o.cold;
    this.#progress = o.progress;
    this.#events = o.events;
    this.#outcomes = o.outcomes;
    this.#scheduling = o.scheduling;
  }

  run(turn: Turn): void {
    const { config, dispatcher, timers, graphs } = this.#parts;
    const { out } = turn;
    turn.reap();
    for (const s of out.stops) {
      dispatcher.stop(s.graph.id, s.no, s.token, s.cause);
      timers.add({ at: out.now + config.graceMs, kind: 'grace', task: s.graph.id, no: s.no, token: s.token });
    }
    for (const t of out.timers) {
      if (t.at - out.now <= HORIZON_MS) timers.add({ at: t.at, kind: t.no < 0 ? 'deadline' : 'retry', task: t.graph.id, no: t.no, token: 0 });
    }
    for (const reply of turn.replies) reply();
    this.#progress.turn(out.changes);
    for (const s of out.starts) this.#intake.watch(s.graph, s.no, s.token, out.now);
    dispatcher.dispatch(out.starts);
    for (const g of out.ended) this.ended(g);
    for (const g of out.touched) {
      this.#events.changed(g.id);
      if (g.counted !== g.size) graphs.grew(g);
      if (isSettled(g)) {
        graphs.drop(g);
        this.#progress.drop(g.id);
      }
    }
    // Here, where no turn is in hand: a void one gives back attempts that it had ended.
    timers.sweep(this.#isWanted);
    if (graphs.over) this.#shrink(turn);
    if (!this.#enqueuer.draining) this.#cold.topUp();
    if (this.onIdle !== null && dispatcher.slots.used === 0) this.onIdle();
  }

  /** Retries and deadlines belong to rows. The others belong to an attempt, and go with it. */
  readonly #isWanted = (t: DueTimer): boolean => t.kind === 'retry' || t.kind === 'deadline' || this.#parts.dispatcher.active(t.task, t.no)?.token === t.token;

  /** The task's end is durable. Told here, or by the graph that was read again after a doubtful commit. */
  ended(g: TaskGraph): void {
    this.finished[TASK_STATES[g.taskState]]++;
    this.#outcomes.ended(g);
    this.#scheduling.taskEnded(g.id);
  }

  /** Above the cache limit: what has just arrived stays in the store first, since it is last in order; then whatever may leave. */
  #shrink(turn: Turn): void {
    const { graphs, queue, dispatcher } = this.#parts;
    const left = (g: TaskGraph, no: number, rank: number): void => {
      // A step that nobody can run is not fetched again until workers change.
      if (dispatcher.hasHandler(g.shape.rules[no].handler)) this.#cold.left(rank);
    };
    for (const g of turn.out.touched) if (graphs.over && graphs.evict(g, left)) this.#dropped++;
    this.#dropped += graphs.shrink(left);
    if (this.#dropped * 2 < queue.size + 1000) return;
    this.#dropped = 0;
    queue.compact();
    this.#enqueuer.compact();
  }
}
