/**
 * What one turn decides, collected: the rows to write and what is to be let out once they are durable (I1). Decisions are made
 * through the functions here and in decide-*.ts only (I2).
 */
import { ChangeSet, type StepWrite } from './changes.ts';
import type { TaskGraph } from './graph.ts';
import { type HandlerTraits, NO_TRAITS } from './phases.ts';

export type StopCause = 'cancelled' | 'timeout';

export interface Start {
  graph: TaskGraph;
  no: number;
  token: number;
  phase: number;
}

export class Decisions {
  readonly now: number;
  /** Owner written on live attempts. */
  readonly boot: number;
  readonly changes = new ChangeSet();
  readonly touched: TaskGraph[] = [];
  /** Steps that became ready, in the order they did; the enqueuer takes from here. */
  readonly ready: { graph: TaskGraph; no: number; rank: number }[] = [];
  /** Steps made ready in this turn; beyond READY_AT_ONCE they wait in their graph's backlog. */
  madeReady = 0;
  readonly starts: Start[] = [];
  readonly stops: { graph: TaskGraph; no: number; token: number; cause: StopCause }[] = [];
  /** Attempts that ended in this turn: their slots are free once it is durable. */
  readonly freed: { graph: TaskGraph; no: number; token: number }[] = [];
  readonly timers: { graph: TaskGraph; no: number; at: number }[] = [];
  readonly ended: TaskGraph[] = [];

  /** What the handler of that name can do beside running; asked when a step ends or its run returns. */
  readonly traits: (handler: string) => HandlerTraits;

  constructor(now: number, boot: number, traits: (handler: string) => HandlerTraits = () => NO_TRAITS) {
    this.now = now;
    this.boot = boot;
    this.traits = traits;
  }

  /** Rows this turn will write, counted as they come; the turn's budget looks at it. */
  weight = 0;

  touch(g: TaskGraph): void {
    if (g.writes !== null) return;
    this.weight++;
    g.writes = new Map();
    g.stateBefore = g.taskState;
    this.touched.push(g);
  }

  /** The write of this step in this turn, begun with what is stored now. Call it before changing the step. */
  step(g: TaskGraph, no: number): StepWrite {
    this.touch(g);
    const fresh = g.inserted === null ? undefined : g.inserted[no - g.insertedFrom];
    if (fresh !== undefined) return fresh;
    let w = g.writes!.get(no);
    if (w === undefined) {
      const live = g.live.get(no);
      w = {
        insert: false,
        task: g.id,
        no,
        fromToken: g.token[no],
        fromState: g.state[no],
        state: g.state[no],
        token: g.token[no],
        attempts: g.attempts[no],
        phase: live?.phase ?? g.phaseOf(no),
        phaseAttempts: g.phaseAttempts.get(no) ?? 0,
        owner: live === undefined ? null : this.boot,
        rank: null,
        wakeAt: null,
        startedAt: live?.startedAt ?? g.lastStart.get(no) ?? null,
        firstStartedAt: g.firstStart.get(no) ?? null,
        finishedAt: null,
        reason: null,
        error: null,
        resultToken: g.results.get(no) ?? 0,
        ranked: false,
      };
      g.writes!.set(no, w);
      this.weight++;
    }
    return w;
  }

  event(g: TaskGraph, text: string): void {
    this.touch(g);
    g.events = g.eventCount === 0 ? text : `${g.events},${text}`;
    g.eventCount++;
  }

  /** Moves what the graphs noted into the ChangeSet. After this the turn decides nothing more. */
  seal(): ChangeSet {
    const { changes } = this;
    for (const g of this.touched) {
      if (g.insertedTask !== null) changes.tasks.push(g.insertedTask);
      else if (g.grown) changes.taskPatches.push({ id: g.id, totalSteps: g.created });
      g.grown = false;
      if (g.inserted !== null) for (const w of g.inserted) if (w !== undefined) changes.steps.push(w);
      for (const w of g.writes!.values()) changes.steps.push(w);
      if (g.eventCount > 0) changes.log.push({ task: g.id, seq: g.nextSeq, count: g.eventCount, at: this.now, body: `[${g.events}]` });
      g.nextSeq += g.eventCount;
      g.updatedAt = this.now;
      g.writes = null;
      g.inserted = null;
      g.insertedTask = null;
      g.events = '';
      g.eventCount = 0;
    }
    return changes;
  }
}
