/**
 * The fifth actor: plans and the resources they work on. It decides in two stages of a turn: commands before steps are started, so that a
 * batch and the starts of its subtasks are one commit; and the ends of batches last, so that the turn that finalises a batch asks for the
 * next one. Invariants: I9 (one live plan per pair, one open batch per plan) is kept here and by the store's unique index; an answer counts
 * only for the live call's token (I4); what a void turn decided is read anew before anything else is decided (`reload`).
 */
import { batchEndOf } from '../../core/batch-end.ts';
import type { ItemWrite } from '../../core/changes.ts';
import { type PlanDecision, type PlanWorld, abortPlan, advancePlan, answerPlan, endBatch, loseCall } from '../../core/decide-plan.ts';
import { createTask } from '../../core/decide-task.ts';
import { TuttiError } from '../../core/errors.ts';
import { type Plan, type PlanBatch, PlanPhase, Status, batchName, isPlanLive } from '../../core/plan.ts';
import { Tick } from '../../core/schedule.ts';
import type { EngineParts } from '../engine-parts.ts';
import { Inbox } from '../inbox.ts';
import type { Actor, Turn } from '../turn.ts';
import type { ItemRevisions } from './item-revisions.ts';
import type { PlanBook } from './plan-book.ts';
import type { PlanCalls } from './plan-calls.ts';
import type { PlanCommand, PreparedItems } from './plan-command.ts';

const CAPACITY = 1000;

export interface PlanKeeperOptions {
  parts: EngineParts;
  book: PlanBook;
  calls: PlanCalls;
  world: (p: Plan) => PlanWorld;
  /** A decision is durable. */
  decided: (d: PlanDecision) => void;
  /** Versions of these items have to be looked up again; the command comes back. */
  prepare: (c: Extract<PlanCommand, { kind: 'answer' | 'items' | 'resource' }>) => void;
  revisions: ItemRevisions;
}

export class PlanKeeper implements Actor {
  readonly inbox = new Inbox<PlanCommand>('plan_keeper', CAPACITY);
  readonly #o: PlanKeeperOptions;
  #taken: PlanCommand[] = [];
  /** Plans that the turn in hand has decided about, as they were before it; and resources of which it writes items. */
  readonly #touched = new Map<number, { resource: string; plan: Plan | undefined; batch: PlanBatch | undefined }>();
  /** Resources whose items it has written, with the keys; null: removed. */
  readonly #written = new Map<number, string[] | null>();
  /** Plans that a poke waits for: one is enough, however long nothing can be written (I11). */
  readonly #poked = new Set<number>();
  /** To be read anew. */
  readonly #stale = new Set<number>();
  /** Plans that this turn removes, and what was said to that. */
  readonly #removed = new Map<number, PlanDecision>();
  /** The same of turns whose outcome is not known: whoever waits is told it, should the plan turn out to be gone. */
  readonly #doubted = new Map<number, PlanDecision>();

  constructor(o: PlanKeeperOptions) {
    this.#o = o;
  }

  get waiting(): boolean {
    return this.inbox.depth > 0;
  }

  /** Begins what is due of this plan, in a turn to come. */
  poke(plan: number): void {
    if (this.#poked.has(plan)) return;
    this.#poked.add(plan);
    this.inbox.force({ kind: 'poke', plan });
  }

  fill(turn: Turn): void {
    if (this.inbox.depth === 0) return;
    const begun = this.#o.parts.host.ticks();
    while (this.inbox.depth > 0 && turn.room) {
      const c = this.inbox.take()!;
      if (c.kind === 'drop' && this.#decidedAbout(c.resource)) {
        // A store clears before it writes: what this turn decided about the resource's plans comes in a commit before that.
        this.inbox.putBack([c]);
        break;
      }
      if (!this.#decide(turn, c)) continue;
      this.#taken.push(c);
      this.inbox.handled++;
    }
    this.inbox.timeMs += this.#o.parts.host.ticks() - begun;
  }

  /** Last stage: batches that ended in this turn. */
  conclude(turn: Turn): void {
    const { book } = this.#o;
    if (book.size === 0) return;
    for (const g of turn.out.ended) {
      const plan = book.ofTask(g.id);
      const record = plan === undefined ? undefined : book.openBatch(plan.id);
      if (plan === undefined || record === undefined) continue;
      const d = endBatch(plan, batchEndOf(g), this.#o.world(plan), record);
      if (d !== null) this.#apply(turn, plan, d);
    }
  }

  settle(): void {
    // Whoever looked versions up between the decision and its commit has seen the old ones.
    for (const [resource, keys] of this.#written) this.#changed(resource, keys);
    this.#clear();
  }

  undo(doubtful: boolean): void {
    for (const c of this.#taken) {
      if (doubtful) c.doubtful = true;
      if (c.kind === 'poke') this.#poked.add(c.plan);
    }
    if (doubtful) for (const [id, d] of this.#removed) this.#doubted.set(id, d);
    this.inbox.handled -= this.#taken.length;
    this.inbox.putBack(this.#taken);
    this.#takeBack();
    this.#clear();
  }

  abandon(e: TuttiError): void {
    this.#takeBack();
    for (const c of this.#taken) {
      if (c.kind === 'answer') this.inbox.force({ ...c, answer: { kind: 'failed', message: e.message }, submission: null, items: null });
      else if ('done' in c) c.done(e);
    }
    this.#clear();
  }

  /** Answers and ends are kept until they can be written. */
  refuse(e: TuttiError): void {
    const keep: PlanCommand[] = [];
    for (let c = this.inbox.take(); c !== undefined; c = this.inbox.take()) {
      if ('done' in c) c.done(e);
      else keep.push(c);
    }
    this.inbox.putBack(keep);
  }

  /** Until they are read anew, plans are what they were: nobody is shown what is not durable (I1). */
  #takeBack(): void {
    const { book } = this.#o;
    for (const [id, { plan, batch }] of this.#touched) {
      this.#stale.add(id);
      if (plan === undefined) {
        book.drop(id);
        continue;
      }
      book.put(plan);
      if (batch !== undefined) book.putBatch(batch);
    }
  }

  #touch(plan: Plan): void {
    const { book } = this.#o;
    if (!this.#touched.has(plan.id)) this.#touched.set(plan.id, { resource: plan.resource, plan: book.get(plan.id), batch: book.openBatch(plan.id) });
  }

  #decidedAbout(resource: string): boolean {
    for (const t of this.#touched.values()) if (t.resource === resource) return true;
    return false;
  }

  #clear(): void {
    this.#taken = [];
    this.#touched.clear();
    this.#removed.clear();
    this.#written.clear();
  }

  /** What a void turn touched, as the store has it. Before the next turn. */
  async reload(): Promise<void> {
    const { book, parts } = this.#o;
    for (const id of [...this.#stale]) {
      const p = await parts.store.planByNumber(id);
      if (p === null || p.phase === PlanPhase.over) {
        const was = book.get(id);
        book.drop(id);
        this.#o.calls.drop(id);
        const doubted = p === null ? this.#doubted.get(id) : undefined;
        if (doubted !== undefined) this.#o.decided(doubted);
        else if (p !== null || was !== undefined) this.#o.decided({ ...nothing(p ?? was!), changed: true, removed: p === null });
      } else await this.load(p);
      this.#doubted.delete(id);
      this.#stale.delete(id);
    }
  }

  /** Takes up a plan that was read: at start, and after a commit of unknown outcome, whose calls begin now if they were counted. */
  async load(p: Plan): Promise<void> {
    const { book, calls, parts } = this.#o;
    book.put(p);
    if (p.batchTask !== null) {
      const [record] = await parts.store.planBatches({ plan: p.id, from: p.batches - 1, limit: 1 });
      if (record !== undefined) book.putBatch(record);
    }
    if (p.owner === parts.boot) calls.start(p);
    this.#o.decided({ ...nothing(p), changed: true });
  }

  /** False: it is looked into first, and comes back. */
  #decide(turn: Turn, c: PlanCommand): boolean {
    const { book, calls } = this.#o;
    const { changes, now } = turn.out;
    switch (c.kind) {
      case 'create': {
        if (c.plans.some(({ plan }) => book.get(plan.id) !== undefined)) {
          turn.replies.push(() => c.done(null));
          return true;
        }
        for (const { plan, passes } of c.plans) {
          const live = book.ofPair(plan.resource, plan.taskType);
          const twin = book.twinOf(plan);
          const e = live !== undefined && !passes ? planActive(live) : twin === undefined ? null : nameTaken(twin);
          if (e === null) continue;
          turn.replies.push(() => c.done(e));
          return true;
        }
        if (c.tick !== null) {
          const [{ plan: first }] = c.plans;
          const plan = first.once ? null : first.planId;
          const { schedule, at } = c.tick;
          const mark = { manual: false, task: null, plan, reason: null, message: null, doneAt: now };
          changes.ticks.push({ insert: false, schedule, at, fromState: Tick.pending, state: Tick.fired, ...mark });
        }
        for (const { plan } of c.plans) this.#apply(turn, null, advancePlan(plan, this.#o.world(plan)));
        turn.replies.push(() => c.done(null));
        return true;
      }
      case 'answer':
        return this.#answer(turn, c);
      case 'abort': {
        const plan = book.get(c.plan);
        const d = plan === undefined ? null : abortPlan(plan, this.#o.world(plan), c.message);
        if (plan !== undefined && d !== null) {
          this.#apply(turn, plan, d);
          turn.replies.push(() => c.done(null));
        } else if (c.doubtful === true) turn.replies.push(() => c.done(null));
        else turn.replies.push(() => c.done(new TuttiError('ILLEGAL_STATE', 'The plan has ended.')));
        return true;
      }
      case 'poke': {
        this.#poked.delete(c.plan);
        const plan = book.get(c.plan);
        if (plan === undefined) return true;
        const world = this.#o.world(plan);
        // The lease of a call is its process: of any other one it is lost.
        const gone = plan.owner !== null && plan.owner !== world.boot;
        this.#apply(turn, plan, gone ? loseCall(plan, world) : advancePlan(plan, world));
        return true;
      }
      case 'end_batch': {
        const plan = book.get(c.plan);
        const record = book.openBatch(c.plan);
        const d = plan === undefined || record === undefined ? null : endBatch(plan, c.end, this.#o.world(plan), record);
        if (d !== null) this.#apply(turn, plan!, d);
        return true;
      }
      case 'queue': {
        changes.planQueues.push({ taskType: c.taskType, stoppedAt: c.stopped ? now : null });
        turn.out.weight++;
        turn.replies.push(() => {
          if (c.stopped) book.stopped.add(c.taskType);
          else book.stopped.delete(c.taskType);
          c.done(null);
        });
        return true;
      }
      case 'resource': {
        if (c.doubtful === true) {
          this.#o.prepare(c);
          return false;
        }
        changes.resources.push(c.write);
        turn.out.weight++;
        turn.replies.push(() => c.done(null));
        return true;
      }
      case 'drop': {
        changes.planClearings.push(c.resource);
        if (c.incarnation !== null) {
          changes.resourceRemovals.push(c.incarnation);
          // Whoever wants to write its items has to look again, and finds it gone.
          this.#changed(c.incarnation, null);
          this.#written.set(c.incarnation, null);
        }
        turn.out.weight += 8;
        const gone = book.all().filter((p) => p.resource === c.resource);
        for (const p of gone) {
          this.#touch(p);
          book.drop(p.id);
        }
        turn.replies.push(() => {
          for (const p of gone) {
            calls.drop(p.id);
            this.#o.decided({ ...nothing(p), changed: true, removed: true });
          }
          book.forget(c.resource);
          c.done(null);
        });
        return true;
      }
      case 'items': {
        if (!this.#fresh(c.items)) {
          this.#o.prepare(c);
          return false;
        }
        this.#write(turn, c.items.writes, c.items.resource);
        turn.replies.push(() => c.done(null));
        return true;
      }
      default:
        return c satisfies never;
    }
  }

  #answer(turn: Turn, c: Extract<PlanCommand, { kind: 'answer' }>): boolean {
    const { book, calls, parts } = this.#o;
    const plan = book.get(c.plan);
    if (plan !== undefined && plan.token === c.token && c.items !== null && !this.#fresh(c.items)) {
      this.#o.prepare(c);
      return false;
    }
    const d = plan === undefined ? null : answerPlan(plan, c.token, c.answer, this.#o.world(plan), c.submission?.id ?? -1);
    if (plan === undefined || d === null) {
      calls.finished(c.plan, c.token);
      return true;
    }
    turn.replies.push(() => calls.finished(c.plan, c.token));
    if (d.batch !== null && c.submission !== null) {
      const { submission } = c;
      const g = createTask(turn.out, submission);
      parts.graphs.put(g);
      turn.replies.push(() => {
        submission.nodes?.forEach((n, no) => n.inputs !== null && parts.payloads.putResult(g.id, no, 0, n.inputs));
      });
    }
    if (c.items !== null) this.#write(turn, c.items.writes, c.items.resource);
    this.#apply(turn, plan, d, d.batch !== null && c.submission !== null);
    return true;
  }

  #fresh(items: PreparedItems): boolean {
    return this.#o.revisions.fresh(items);
  }

  /** `keys` null: all there are. */
  #changed(resource: number, keys: readonly string[] | null): void {
    if (keys === null) this.#o.revisions.dropped(resource);
    else this.#o.revisions.changed(resource, keys);
  }

  #write(turn: Turn, writes: readonly ItemWrite[], resource: number): void {
    for (const w of writes) turn.out.changes.items.push(w);
    turn.out.weight += writes.length;
    const keys = writes.map((w) => w.key);
    this.#changed(resource, keys);
    const before = this.#written.get(resource);
    if (before === undefined) this.#written.set(resource, keys);
    else if (before !== null) for (const key of keys) before.push(key);
  }

  #apply(turn: Turn, before: Plan | null, d: PlanDecision, newBatch = false): void {
    const { book, calls } = this.#o;
    const { changes, now } = turn.out;
    const { plan } = d;
    if (d.blocked === null) book.blocked.delete(plan.id);
    else if (!plan.once || d.changed || before === null) book.blocked.set(plan.id, d.blocked);
    if (before !== null && !d.changed) return;
    this.#touch(plan);
    turn.out.weight += 2;
    if (d.removed) {
      this.#removed.set(plan.id, d);
      if (before !== null) changes.planRemovals.push({ plan: plan.id, fromVersion: before.version });
      book.drop(plan.id);
    } else {
      changes.plans.push({ fromVersion: before?.version ?? null, plan });
      if (d.batch !== null) changes.planBatches.push({ insert: newBatch, batch: d.batch });
      if (isPlanLive(plan.status) && plan.phase !== PlanPhase.over) {
        book.put(plan);
        if (d.batch !== null && plan.batchTask !== null) book.putBatch(d.batch);
      } else book.drop(plan.id);
      if (plan.status === Status.failed) {
        changes.deadLetters.push({
          task: -plan.id,
          at: now,
          reason: 'plan_failed',
          snapshot: JSON.stringify({ plan_id: plan.planId, resource: plan.resource, task_type: plan.taskType, message: plan.message, batches: plan.batches }),
        });
      }
    }
    turn.replies.push(() => {
      for (const m of d.meters) book.count(plan.resource, plan.taskType, m);
      if (d.stop) calls.stop(plan.id, plan.token);
      if (d.call) calls.start(plan);
      this.#o.decided(d);
    });
  }
}

const nothing = (plan: Plan): PlanDecision => ({ plan, changed: false, call: false, stop: false, batch: null, removed: false, blocked: null, meters: [] });

export const planActive = (live: Plan): TuttiError =>
  new TuttiError('PLAN_ACTIVE', `the plan ${live.planId} is live for ${live.resource} and ${live.taskType}: wait for its end, or abort it`, {
    field: 'taskType',
    details: { plan_id: live.planId, resource: live.resource },
    retryAfter: 10,
  });

/** Asked a second time, perhaps because the first answer was lost: it is not done twice beside itself. */
export const nameTaken = (twin: Plan): TuttiError =>
  new TuttiError('ALREADY_EXISTS', `taskName ${twin.label} is that of ${batchName(twin, 0)}, which lives: wait for its end, or give another name`, {
    field: 'taskName',
  });
