/**
 * Fires schedules. That a tick is due and that the schedule has moved on is one commit; that its task exists and that it has been fired
 * is another (Submission.tick). A process killed between the two finds the pending tick at its next start: none is lost, none is
 * doubled. Whether an earlier task lives is asked of the store each time, since tasks end, are removed and are reset.
 */
import { ChangeSet, type TickWrite } from '../core/changes.ts';
import { type ErrorCode, TuttiError, isTuttiError } from '../core/errors.ts';
import { KEPT_TICKS, type ScheduleTarget, type SkipReason, Tick } from '../core/schedule.ts';
import { type Cron, admitTick, admitted, type Due, dueTicks, occurrencesOf } from '../core/schedule-ticks.ts';
import type { Store } from '../store/store.ts';
import { DueQueue } from './due-queue.ts';
import type { Host } from './host.ts';
import { noCounts, type ScheduleBook, type ScheduleEntry, type WaitingTick } from './schedule-book.ts';
import { TickMarks } from './tick-marks.ts';
import type { SubmitRequest } from './views.ts';

export type PlanTarget = Extract<ScheduleTarget, { kind: 'plan' }>;

export interface PlanFiring {
  state: 'fired' | 'skipped' | 'failed';
  plan?: string;
  task?: number;
  message?: string;
}

/** Triggers a plan for a tick. It may mark the tick in the commit that makes the plan; what it leaves pending is marked as it says. */
export type FirePlan = (target: PlanTarget, tick: { schedule: number; at: number; manual: boolean }) => Promise<PlanFiring>;

export interface SchedulerOptions {
  book: ScheduleBook;
  store: Store;
  host: Host;
  cron: Cron;
  commit: (changes: ChangeSet) => Promise<boolean>;
  /** Stores a task and marks its tick in one commit; gives the task. */
  submit: (r: SubmitRequest, tick: { schedule: number; at: number }) => Promise<number>;
  /** Resolves when it has ended. */
  cancel: (task: number, message: string) => Promise<void>;
  pause: () => Promise<void>;
}

/** The clock is looked at no less often. */
const LOOK_MS = 60_000;
/** Two looks further apart than this: the machine slept, or its clock was set; what fell in between was missed. */
const GAP_MS = 2 * LOOK_MS;
const RETRY_MS = 1000;
/** Of these a tick that could not be fired waits on. */
const LATER = new Set<ErrorCode>(['BACKPRESSURE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN']);
/** Schedules that one commit moves on, and how long deciding them may take. */
const BATCH = 100;
const BATCH_MS = 8;
/** Ticks fired at a time: submissions of callers want room, too. */
const AT_ONCE = 100;

/** An input with the time of the tick in that member. */
export const withTick = (input: unknown, field: string, at: number): unknown => ({ ...(input as object), [field]: new Date(at).toISOString() });

export class Scheduler {
  readonly #o: SchedulerOptions;
  readonly #due = new DueQueue();
  readonly #marks: TickMarks;
  /** Schedules of which a commit was refused: read again before anything is decided. */
  readonly #stale = new Set<ScheduleEntry>();
  /** Tasks whose end a waiting tick is waiting for. */
  readonly #awaited = new Map<number, ScheduleEntry>();
  readonly counts = noCounts();
  firePlan: FirePlan = () => Promise.reject(new TuttiError('INVALID_INPUT', 'Nothing here makes task plans.'));
  #running = false;
  #looking = false;
  #again = false;
  #since = 0;
  #lookedAt = 0;
  #askedAt = 0;
  #disarm: (() => void) | null = null;
  #armedFor = Number.POSITIVE_INFINITY;
  #firing = 0;
  readonly #queue: (() => void)[] = [];

  constructor(o: SchedulerOptions) {
    this.#o = o;
    this.#marks = new TickMarks(o);
  }

  /** Ticks are fired from here on. Call it when there are templates and handlers. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#since = this.#lookedAt = this.#o.host.now();
    for (const e of this.#o.book.all()) this.moved(e);
    this.look();
  }

  stop(): void {
    this.#running = false;
    this.#disarm?.();
    for (const go of this.#queue.splice(0)) go();
  }

  /** It is new, or was changed. */
  moved(e: ScheduleEntry): void {
    if (!this.#running) return;
    if (e.nextAt !== null && !e.paused) this.#due.add(e.nextAt, e.id);
    if (e.waiting.length > 0) void this.drain(e);
    this.#arm();
  }

  /** Of the entry the store may know more than memory. */
  doubt(e: ScheduleEntry): void {
    this.#stale.add(e);
    this.#arm(RETRY_MS);
  }

  taskEnded(task: number): void {
    const e = this.#awaited.get(task);
    if (e === undefined) return;
    this.#awaited.delete(task);
    void this.drain(e);
  }

  /** Somebody here is told by `taskEnded`. */
  awaits(task: number): boolean {
    return this.#awaited.has(task);
  }

  /** The ticks of a schedule up to now, as rows: what `resume` and every look write. Gives those that are to be fired. */
  decide(changes: ChangeSet, e: ScheduleEntry, o: { now: number; since: number; nextAt: number }): { due: Due; waiting: WaitingTick[] } {
    const { trigger, catchUp, maxCatchUp } = e.definition;
    const due = dueTicks({ ...o, catchUp, maxCatchUp, occurrences: occurrencesOf(trigger, this.#o.cron) });
    const { missed, ticks } = due;
    const row = (at: number, over: Partial<TickWrite>): TickWrite => ({
      insert: true,
      schedule: e.id,
      at,
      manual: false,
      fromState: Tick.pending,
      state: Tick.pending,
      task: null,
      plan: null,
      reason: null,
      message: null,
      doneAt: null,
      ...over,
    });
    const skipped = (reason: SkipReason, message: string): Partial<TickWrite> => ({ state: Tick.skipped, reason, message, doneAt: o.now });
    if (missed !== null) {
      const ticksMissed = missed.count === 1 && !missed.more ? 'it was' : `it and ${missed.more ? 'more than ' : ''}${missed.count - 1} before it were`;
      changes.ticks.push(row(missed.at, skipped('missed', `${ticksMissed} missed, and catch_up is ${e.definition.catchUp}`)));
    }
    const room = admitted(ticks, e.waiting.length);
    for (const [i, at] of ticks.entries())
      changes.ticks.push(row(at, i < room ? {} : skipped('overlap', `${e.waiting.length + room} ticks of this schedule wait already`)));
    if (missed !== null || ticks.length > 0) changes.tickPrunes.push({ schedule: e.id, keep: KEPT_TICKS });
    return { due, waiting: ticks.slice(0, room).map((at) => ({ at, manual: false })) };
  }

  /** What `decide` said is durable. */
  decided(e: ScheduleEntry, d: { due: Due; waiting: WaitingTick[] }): void {
    e.nextAt = d.due.nextAt;
    e.waiting.push(...d.waiting);
    e.waiting.sort((a, b) => a.at - b.at);
    if (d.due.missed !== null) this.#count(e, 'missed', d.due.missed.count);
    this.#count(e, 'overlap', d.due.ticks.length - d.waiting.length);
  }

  // Looking at the clock

  look(): void {
    if (!this.#running) return;
    this.#again = true;
    if (this.#looking) return;
    this.#looking = true;
    const rounds = async (): Promise<void> => {
      while (this.#again && this.#running) {
        this.#again = false;
        await this.#o.book.exclusively(() => this.#round());
      }
    };
    rounds()
      .catch((e: unknown) => {
        if (!this.#running) return;
        this.#o.host.log('warn', 'schedules could not be moved on', { message: e instanceof Error ? e.message : String(e) });
        this.#arm(RETRY_MS);
      })
      .finally(() => {
        this.#looking = false;
        if (this.#again) this.look();
        else this.#arm();
      });
  }

  async #round(): Promise<void> {
    const { host, book } = this.#o;
    const now = host.now();
    if (now - this.#lookedAt > GAP_MS) this.#since = now;
    this.#lookedAt = now;
    for (const e of this.#stale) {
      await book.refresh(e);
      this.#stale.delete(e);
      if (!e.removed) this.moved(e);
    }
    // Hints may be lost (I13): who waits for the end of a task asks again, once a minute.
    if (now - this.#askedAt >= LOOK_MS || now < this.#askedAt) {
      this.#askedAt = now;
      for (const e of new Set(this.#awaited.values())) void this.drain(e);
    }
    while (this.#running) {
      const batch = this.#takeDue(now);
      if (batch.length === 0) return;
      const changes = new ChangeSet();
      const decisions: { e: ScheduleEntry; d: ReturnType<Scheduler['decide']> }[] = [];
      const begun = host.ticks();
      for (const e of batch) {
        if (decisions.length > 0 && host.ticks() - begun > BATCH_MS) {
          this.#due.add(e.nextAt!, e.id);
          continue;
        }
        const d = this.decide(changes, e, { now, since: this.#since, nextAt: e.nextAt! });
        changes.scheduleUpdates.push({ id: e.id, fromVersion: e.version, paused: e.paused, nextAt: d.due.nextAt });
        decisions.push({ e, d });
      }
      if (!(await this.#o.commit(changes))) {
        for (const { e } of decisions) this.#stale.add(e);
        this.#arm(RETRY_MS);
        return;
      }
      for (const { e, d } of decisions) {
        e.version++;
        this.decided(e, d);
        this.moved(e);
      }
      await this.#o.pause();
    }
  }

  #takeDue(now: number): ScheduleEntry[] {
    const batch = new Set<ScheduleEntry>();
    while (batch.size < BATCH) {
      const due = this.#due.take(now);
      if (due === undefined) break;
      const e = this.#o.book.byId(due.id);
      if (e !== undefined && e.nextAt === due.at && !e.paused && !e.removed) batch.add(e);
    }
    return [...batch];
  }

  /** At most a minute ahead, so that a clock that jumps is noticed. */
  #arm(within = LOOK_MS): void {
    if (!this.#running) return;
    const next = this.#due.first;
    if (next === null && this.#awaited.size === 0 && this.#stale.size === 0 && within === LOOK_MS) return;
    const now = this.#o.host.now();
    const at = now + Math.min(within, next === null ? within : Math.max(0, Math.ceil(next - now)));
    if (this.#disarm !== null && this.#armedFor <= at && this.#armedFor >= now) return;
    this.#disarm?.();
    this.#armedFor = at;
    this.#disarm = this.#o.host.timer(at - now, () => {
      this.#disarm = null;
      this.look();
    });
  }

  // Firing what waits

  /** Fires what waits, as far as its overlap rule allows. Resolves when it has come so far. */
  drain(e: ScheduleEntry): Promise<void> {
    e.wanted = true;
    e.draining ??= this.#drainAll(e);
    return e.draining;
  }

  async #drainAll(e: ScheduleEntry): Promise<void> {
    try {
      while (e.wanted) {
        e.wanted = false;
        await this.#slot();
        try {
          while (this.#running && !e.removed && (await this.#next(e)));
        } finally {
          this.#firing--;
          this.#queue.shift()?.();
        }
      }
    } catch (error) {
      if (this.#running) {
        this.#o.host.log('warn', `the ticks of schedule ${e.key} could not be fired`, { message: error instanceof Error ? error.message : String(error) });
        this.doubt(e);
      }
    } finally {
      e.draining = null;
    }
  }

  async #slot(): Promise<void> {
    while (this.#firing >= AT_ONCE && this.#running) await new Promise<void>((go) => this.#queue.push(go));
    this.#firing++;
  }

  /** Decides the oldest tick that waits. False: nothing more can be done now. */
  async #next(e: ScheduleEntry): Promise<boolean> {
    const tick = e.paused ? e.waiting.find((w) => w.manual) : e.waiting[0];
    if (tick === undefined) return false;
    const { overlap, lateAfterMs, target } = e.definition;
    const rule = target.kind === 'plan' ? 'allow' : overlap;
    const live = rule === 'allow' ? [] : await this.#o.store.liveTickTasks(e.id);
    const verdict = admitTick({ ...tick, now: this.#o.host.now(), lateAfterMs, overlap: rule, live: live.length });
    switch (verdict) {
      case 'fire':
        return await this.#fire(e, tick);
      case 'wait':
        for (const task of live) this.#awaited.set(task, e);
        this.#arm();
        return false;
      case 'cancel':
        for (const task of live) await this.#o.cancel(task, `The next tick of the schedule ${e.key} has come.`);
        return true;
      default:
        return await this.#mark(e, tick, Tick.skipped, { reason: verdict, message: verdict === 'late' ? 'more than late_after_seconds late' : null });
    }
  }

  async #fire(e: ScheduleEntry, tick: WaitingTick): Promise<boolean> {
    const { target, tickField } = e.definition;
    try {
      if (target.kind === 'plan') return await this.#plan(e, tick, target);
      const row = await this.#o.store.loadSchedule(e.id);
      if (row === null) return false;
      const { kind: _, ...template } = target;
      const given: unknown = JSON.parse(row.input ?? '{}');
      await this.#o.submit(
        {
          ...template,
          input: tickField === null ? given : withTick(given, tickField, tick.at),
          initiator: `schedule/${e.key}`,
          reason: `tick of ${new Date(tick.at).toISOString()}`,
        },
        { schedule: e.id, at: tick.at },
      );
      this.#settled(e, tick, 'fired');
      return true;
    } catch (error) {
      if (!isTuttiError(error)) throw error;
      if (error.code === 'PLAN_ACTIVE') return await this.#mark(e, tick, Tick.skipped, { reason: 'conflict', message: error.message });
      if (!LATER.has(error.code)) return await this.#mark(e, tick, Tick.failed, { reason: error.code, message: error.message });
      this.doubt(e);
      return false;
    }
  }

  async #plan(e: ScheduleEntry, tick: WaitingTick, target: PlanTarget): Promise<boolean> {
    const made = await this.firePlan(target, { schedule: e.id, at: tick.at, manual: tick.manual });
    const row = await this.#o.store.loadTick({ schedule: e.id, at: tick.at });
    if (row === null || row.state === Tick.pending) {
      const reason = made.state === 'fired' ? null : made.state === 'skipped' ? 'conflict' : 'GENERATION_FAILED';
      return await this.#mark(e, tick, Tick[made.state], { reason, task: made.task ?? null, plan: made.plan ?? null, message: made.message ?? null });
    }
    this.#settled(e, tick, row.state === Tick.skipped ? 'conflict' : row.state === Tick.failed ? 'failed' : 'fired');
    return true;
  }

  async #mark(e: ScheduleEntry, tick: WaitingTick, state: number, over: Partial<TickWrite>): Promise<boolean> {
    const { at, manual } = tick;
    const outcome = { task: null, plan: null, reason: null, message: null, ...over };
    const write = { insert: false, schedule: e.id, at, manual, fromState: Tick.pending, state, ...outcome, doneAt: this.#o.host.now() };
    if (!(await this.#marks.write(write))) {
      this.doubt(e);
      return false;
    }
    this.#settled(e, tick, state === Tick.fired ? 'fired' : state === Tick.failed ? 'failed' : (outcome.reason as SkipReason));
    return true;
  }

  #settled(e: ScheduleEntry, tick: WaitingTick, as: keyof typeof this.counts): void {
    e.waiting = e.waiting.filter((w) => w.at !== tick.at);
    this.#count(e, as, 1);
  }

  #count(e: ScheduleEntry, as: keyof typeof this.counts, n: number): void {
    e.counts[as] += n;
    this.counts[as] += n;
  }
}
