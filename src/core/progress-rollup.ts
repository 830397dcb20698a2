/**
 * How far each step of a task is, and the task: what handlers report, rolled up through parents by difference, so that an update costs
 * its depth and not the size of the task. Rules, of one step:
 * - What a step reports only grows within an attempt. A retry falls back to what was committed: the fraction at the last checkpoint.
 * - A step with children is as far as they are: their mean, weighted by size (child-shares.ts). Its own report no longer counts.
 * - A cancelled child is taken out, as if never asked for. But where the parent itself failed or was cancelled, its cancelled children
 *   stay in: a failed upload with 7 of 10 parts sent stands at 70 %, not at 100 %.
 * - A step that ended well, and whose children have all ended, is at 1. A child that failed keeps its place and how far it came.
 * - The size of a step is what it reported as total, else what was expected of it, else the sum of its children's if all have one.
 */
import { ChildShares, Unit, type UnitCode } from './child-shares.ts';
import { isStepSuccessful, Step, type StepState } from './step-states.ts';
import { Throughput } from './throughput.ts';

/** Stands for the task: the parent of steps that have none. */
export const TASK = -1;
const NOWHERE = -2;

export type ProgressUnit = 'bytes' | 'items';

export interface ProgressReport {
  /** 0..1; not looked at when `total` is given. */
  fraction?: number;
  done?: number;
  total?: number;
  /** Default: that of the step's expected size, else bytes. */
  unit?: ProgressUnit;
  message?: string | null;
}

export interface ProgressFacts {
  /** 0..1. */
  fraction: number;
  /** In `unit`; null where no size is known. */
  done: number | null;
  total: number | null;
  unit: ProgressUnit | null;
  message: string | null;
  /** Direct children (of the task: steps without a parent) that ended well, of how many. */
  parts: { done: number; total: number };
  /** Units per second, recent ones weighing most; null where no size is known or nothing was measured yet. */
  rate: number | null;
  /** Milliseconds to the end at this speed; null where it cannot be told, and after the end. */
  etaMs: number | null;
}

/** What a step is to the tree. Absent: only its number is known, from a child that came first. */
const Phase = { absent: 0, open: 1, done: 2, failed: 3, cancelled: 4 } as const;

const unitCode = (unit: ProgressUnit | undefined): UnitCode => (unit === 'items' ? Unit.items : Unit.bytes);
const isSize = (n: number | undefined): n is number => n !== undefined && n >= 0 && n < Infinity;

interface Family {
  readonly live: ChildShares;
  readonly cancelled: ChildShares;
  /** Children that have not ended, or have such a child. */
  unsettled: number;
}

export class ProgressTree {
  // Columns by step number + 1: the task is at 0. A step without children and reports costs no object.
  readonly #parent: number[] = [];
  readonly #phase: number[] = [];
  readonly #own: number[] = [];
  readonly #committed: number[] = [];
  readonly #ownSize: number[] = [];
  readonly #ownUnit: UnitCode[] = [];
  /** What was last handed to the parent. */
  readonly #fraction: number[] = [];
  readonly #size: number[] = [];
  readonly #unit: UnitCode[] = [];
  readonly #handedAs: number[] = [];
  readonly #settled: boolean[] = [];
  readonly #families = new Map<number, Family>();
  /** In units where the size is known, else in fractions. */
  readonly #speeds = new Map<number, Throughput>();
  readonly #messages = new Map<number, string>();
  #changed = new Set<number>();

  /** `expected` and `unit`: the task's own size, from its submission. */
  constructor(expected?: number, unit?: ProgressUnit) {
    this.#reserve(TASK);
    this.#begin(TASK, NOWHERE, expected, unit);
  }

  /** A step without parent is a child of TASK. Parent and child may come in either order; a step that is known already stays as it is. */
  childAdded(parent: number, no: number, expected?: number, unit?: ProgressUnit): void {
    this.#reserve(parent);
    this.#reserve(no);
    if (this.#phase[no + 1] !== Phase.absent) return;
    this.#begin(no, parent, expected, unit);
    this.#refresh(no);
  }

  /** An attempt begins: speeds are measured from here. Optional: without it they begin with the first report. */
  started(no: number, now: number): void {
    if (this.#isOpen(no)) this.#measureFrom(no, now);
  }

  /** What a running step says of itself. Of a step that has ended, or is not known: ignored. */
  set(no: number, report: ProgressReport, now: number): void {
    if (!this.#isOpen(no)) return;
    const at = no + 1;
    this.#measureFrom(no, now);
    if (isSize(report.total)) {
      const unit = report.unit === undefined && this.#ownUnit[at] !== Unit.none ? this.#ownUnit[at] : unitCode(report.unit);
      if (this.#ownSize[at] !== report.total || this.#ownUnit[at] !== unit) {
        this.#ownSize[at] = report.total;
        this.#ownUnit[at] = unit;
        // By itself, so that a new size is not taken for speed.
        this.#refresh(no);
      }
    }
    if (report.message !== undefined && report.message !== (this.#messages.get(no) ?? null)) {
      if (report.message === null) this.#messages.delete(no);
      else this.#messages.set(no, report.message);
      this.#changed.add(no);
    }
    const size = this.#ownSize[at];
    const fraction = report.done !== undefined && this.#ownUnit[at] !== Unit.none && size > 0 ? report.done / size : report.fraction;
    if (fraction === undefined || !(fraction > this.#own[at])) return;
    this.#own[at] = Math.min(1, fraction);
    this.#refresh(no, now);
  }

  /** What the running attempt did so far is kept: no later attempt falls below it. */
  checkpointed(no: number): void {
    if (this.#isOpen(no)) this.#committed[no + 1] = this.#own[no + 1];
  }

  /** An attempt failed and another will follow. */
  retried(no: number): void {
    if (!this.#isOpen(no)) return;
    this.#own[no + 1] = this.#committed[no + 1];
    this.#messages.delete(no);
    // Its children go on meanwhile, and so does their speed.
    if (!this.#families.has(no)) this.#speeds.delete(no);
    this.#changed.add(no);
    this.#refresh(no);
  }

  /** The step is terminal, `no` TASK: the task. Without `now` (when loaded from the store) it says nothing about speed. */
  ended(no: number, state: StepState, now?: number): void {
    this.#reserve(no);
    const at = no + 1;
    const phase = isStepSuccessful(state) ? Phase.done : state === Step.cancelled ? Phase.cancelled : Phase.failed;
    if (this.#phase[at] === phase || this.#phase[at] === Phase.absent) return;
    this.#phase[at] = phase;
    if (phase === Phase.done) {
      this.#own[at] = this.#committed[at] = 1;
      this.#messages.delete(no);
    }
    if (now !== undefined) this.#measureFrom(this.#parent[at], now);
    this.#speeds.delete(no);
    this.#changed.add(no);
    this.#refresh(no, phase === Phase.done ? now : undefined);
  }

  /** A terminal step (or the task) goes on: a step that had failed from what was committed, one that was complete from the beginning. */
  reopened(no: number): void {
    const at = no + 1;
    if (this.#isOpen(no) || (this.#phase[at] ?? Phase.absent) === Phase.absent) return;
    if (this.#phase[at] === Phase.done) this.#committed[at] = 0;
    this.#own[at] = this.#committed[at];
    this.#phase[at] = Phase.open;
    this.#messages.delete(no);
    this.#changed.add(no);
    this.#refresh(no);
  }

  /** How far a step is, or the task (TASK). With `now` its speed takes silence into account. An unknown one is at 0. */
  of(no: number, now?: number): ProgressFacts {
    const at = no + 1;
    const fraction = this.#fraction[at] ?? 0;
    const code = this.#unit[at] ?? Unit.none;
    const total = code === Unit.none ? null : this.#size[at];
    const shares = this.#sharesOf(no);
    const perMs = this.#isOpen(no) ? (this.#speeds.get(no)?.perMs(now) ?? 0) : 0;
    return {
      fraction,
      done: total === null ? null : Math.round(fraction * total),
      total,
      unit: code === Unit.none ? null : code === Unit.bytes ? 'bytes' : 'items',
      message: this.#messages.get(no) ?? null,
      parts: { done: shares?.done ?? 0, total: shares?.count ?? 0 },
      rate: total === null || perMs === 0 ? null : perMs * 1000,
      etaMs: perMs === 0 ? null : ((1 - fraction) * (total ?? 1)) / perMs,
    };
  }

  /** The step's parent, that one's parent, and so on; TASK is the last. */
  ancestors(no: number): number[] {
    const found: number[] = [];
    for (let up = this.#parent[no + 1] ?? NOWHERE; up !== NOWHERE; up = this.#parent[up + 1]) found.push(up);
    return found;
  }

  /** What `of` gives something new for since this was last asked: steps and each ancestor that moved with them, TASK included. */
  changed(): number[] {
    const all = [...this.#changed];
    if (all.length > 0) this.#changed = new Set();
    return all;
  }

  #isOpen(no: number): boolean {
    return this.#phase[no + 1] === Phase.open;
  }

  #reserve(no: number): void {
    while (this.#parent.length <= no + 1) {
      this.#parent.push(NOWHERE);
      this.#phase.push(Phase.absent);
      this.#own.push(0);
      this.#committed.push(0);
      this.#ownSize.push(0);
      this.#ownUnit.push(Unit.none);
      this.#fraction.push(0);
      this.#size.push(0);
      this.#unit.push(Unit.none);
      this.#handedAs.push(Phase.absent);
      this.#settled.push(false);
    }
  }

  #begin(no: number, parent: number, expected: number | undefined, unit: ProgressUnit | undefined): void {
    const at = no + 1;
    this.#parent[at] = parent;
    this.#phase[at] = Phase.open;
    if (isSize(expected)) {
      this.#ownSize[at] = this.#size[at] = expected;
      this.#ownUnit[at] = this.#unit[at] = unitCode(unit);
    }
    this.#changed.add(no);
  }

  /** The children that count for a step: without the cancelled ones, unless it ended badly itself. */
  #sharesOf(no: number): ChildShares | undefined {
    const family = this.#families.get(no);
    if (family === undefined) return undefined;
    const endedBadly = this.#phase[no + 1] >= Phase.failed;
    return endedBadly && family.cancelled.count > 0 ? family.live.with(family.cancelled) : family.live;
  }

  /** Hands on what has become of a step, upwards until nothing is new. With `now`, what was gained counts for the speeds. */
  #refresh(from: number, now?: number): void {
    for (let no = from; no !== NOWHERE; no = this.#parent[no + 1]) {
      const at = no + 1;
      const phase = this.#phase[at];
      const shares = this.#sharesOf(no);
      const settled = phase >= Phase.done && (this.#families.get(no)?.unsettled ?? 0) === 0;
      const counted = shares !== undefined && shares.count > 0;
      const fraction = phase === Phase.done && settled ? 1 : counted ? shares.fraction() : this.#own[at];
      const unit = this.#ownUnit[at] !== Unit.none || shares === undefined ? this.#ownUnit[at] : shares.unit();
      const size = this.#ownUnit[at] !== Unit.none ? this.#ownSize[at] : unit === Unit.none ? 0 : (shares as ChildShares).size();
      const before = this.#fraction[at];
      // What was measured in one unit says nothing about another.
      if (unit !== this.#unit[at]) this.#speeds.get(no)?.forget();
      const same = fraction === before && size === this.#size[at] && unit === this.#unit[at] && phase === this.#handedAs[at] && settled === this.#settled[at];
      if (same) return;
      const family = this.#parent[at] === NOWHERE ? null : this.#familyOf(this.#parent[at]);
      if (family !== null) this.#hand(family, -1, at);
      this.#fraction[at] = fraction;
      this.#size[at] = size;
      this.#unit[at] = unit;
      this.#handedAs[at] = phase;
      this.#settled[at] = settled;
      if (family !== null) {
        this.#hand(family, 1, at);
        this.#changed.add(this.#parent[at]);
      }
      this.#changed.add(no);
      if (now !== undefined && fraction > before) this.#speeds.get(no)?.add((fraction - before) * (unit === Unit.none ? 1 : size), now);
    }
  }

  #hand(family: Family, sign: 1 | -1, at: number): void {
    const phase = this.#handedAs[at];
    if (phase === Phase.absent) return;
    const shares = phase === Phase.cancelled ? family.cancelled : family.live;
    shares.put(sign, this.#fraction[at], this.#size[at], this.#unit[at], phase === Phase.done);
    if (!this.#settled[at]) family.unsettled += sign;
  }

  #familyOf(no: number): Family {
    let family = this.#families.get(no);
    if (family === undefined) this.#families.set(no, (family = { live: new ChildShares(), cancelled: new ChildShares(), unsettled: 0 }));
    return family;
  }

  /** Speeds of a step and of what is above it, where they are not measured yet. */
  #measureFrom(from: number, now: number): void {
    if (this.#speeds.has(from)) return;
    for (let no = from; no !== NOWHERE; no = this.#parent[no + 1]) if (!this.#speeds.has(no)) this.#speeds.set(no, new Throughput(now));
  }
}
