/** What callers, declarations and tables may do with schedules. Changes go one after the other, each repeats the version it was decided on (I3). */
import { ChangeSet, type ScheduleUpdate } from '../core/changes.ts';
import type { Json } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import {
  MAX_SCHEDULES,
  MAX_WAITING,
  type ScheduleDefinition,
  type ScheduleOwner,
  type ScheduleRequest,
  TABLE_PREFIX,
  TICK_STATES,
  Tick,
} from '../core/schedule.ts';
import { checkFalls, checkSchedule, checkScheduleKey } from '../core/schedule-rules.ts';
import { admitted, type Cron, occurrencesOf, upcoming } from '../core/schedule-ticks.ts';
import type { Store, StoredTick } from '../store/store.ts';
import type { ScheduleBook, ScheduleEntry } from './schedule-book.ts';
import type { ScheduleFacade, ScheduleMetrics, ScheduleView, TickCounts, TickView } from './schedule-views.ts';
import type { Scheduler } from './scheduler.ts';
import type { SubmitRequest } from './views.ts';

export interface SchedulesOptions {
  book: ScheduleBook;
  scheduler: Scheduler;
  store: Store;
  cron: Cron;
  now: () => number;
  /** An id above all that were given before. */
  nextId: () => number;
  taskUuid: (task: number) => string;
  commit: (changes: ChangeSet) => Promise<boolean>;
  /** JSON text of the input, where such a task, with the time in that member, could be submitted but for its handlers; throws what a submit would. */
  checkTask: (r: SubmitRequest, tickField: string | null) => Promise<string>;
  /** Throws when the engine takes nothing new. */
  admit: () => void;
  warn: (message: string) => void;
}

/** New schedules in one commit. */
const INSERTS = 100;

interface Checked {
  key: string;
  definition: ScheduleDefinition;
  input: string | null;
  paused: boolean | undefined;
}

export class Schedules implements ScheduleFacade {
  readonly #o: SchedulesOptions;

  constructor(o: SchedulesOptions) {
    this.#o = o;
  }

  async put(r: ScheduleRequest, { create = false }: { create?: boolean } = {}): Promise<ScheduleView> {
    return await this.#put(r, 'caller', create);
  }

  /** As `put`, of a key that begins with `table/` and is no caller's to change. */
  async putOwned(r: ScheduleRequest): Promise<ScheduleView> {
    return await this.#put(r, 'table', false);
  }

  /** Removes what `putOwned` made under keys that begin so. */
  async removeOwned(prefix: string): Promise<void> {
    for (const e of this.#o.book.sorted().filter((s) => s.definition.owner === 'table' && s.key.startsWith(prefix))) await this.#remove(e.key, 'table');
  }

  async declare(all: readonly ScheduleRequest[]): Promise<void> {
    const checked: Checked[] = [];
    const keys = new Set<string>();
    for (const r of all) {
      try {
        const one = await this.#check(r, 'declared');
        if (keys.has(one.key)) throw new TuttiError('INVALID_INPUT', 'key is declared twice', { field: 'key' });
        keys.add(one.key);
        checked.push(one);
      } catch (e) {
        if (!(e instanceof TuttiError)) throw e;
        throw new TuttiError(e.code, `schedule ${JSON.stringify(r.key)}: ${e.message}`, { field: e.field, details: e.details, cause: e });
      }
    }
    const { book } = this.#o;
    for (let at = 0; at < checked.length; at += INSERTS) {
      const some = checked.slice(at, at + INSERTS);
      await book.exclusively(() => this.#insert(some.filter((one) => book.byKey(one.key) === undefined)));
      for (const one of some) {
        const e = await this.#store(one, 'declared', false);
        if (e.nextAt === null && !e.paused) this.#o.warn(`the schedule ${e.key} will not fall again: its time has passed`);
      }
    }
    for (const e of [...this.#o.book.sorted()]) if (e.definition.owner === 'declared' && !keys.has(e.key)) await this.#remove(e.key, 'declared');
  }

  async get(key: string): Promise<ScheduleView> {
    const e = this.#find(key);
    const row = await this.#o.store.loadSchedule(e.id);
    const view = await this.#view(e);
    return row === null || row.input === null ? view : { ...view, input: JSON.parse(row.input) as Json };
  }

  async list({ after, limit = 100 }: { after?: string; limit?: number } = {}): Promise<{ schedules: ScheduleView[]; nextAfter: string | null }> {
    whole('limit', limit, 1, 1000);
    const all = this.#o.book.sorted();
    const from = after === undefined ? 0 : all.findIndex((e) => e.key > after);
    const page = from < 0 ? [] : all.slice(from, from + limit);
    const schedules = [];
    for (const e of page) schedules.push(await this.#view(e));
    return { schedules, nextAfter: from >= 0 && from + limit < all.length ? page[page.length - 1].key : null };
  }

  async remove(key: string): Promise<void> {
    await this.#remove(key, 'caller');
  }

  async pause(key: string): Promise<ScheduleView> {
    return await this.#pause(key, true);
  }

  async resume(key: string): Promise<ScheduleView> {
    return await this.#pause(key, false);
  }

  async fire(key: string): Promise<TickView> {
    this.#o.admit();
    const { e, at } = await this.#o.book.exclusively(async () => {
      const found = this.#find(key);
      if (found.definition.owner === 'table') throw notYours(found);
      if (admitted([0], found.waiting.length) === 0)
        throw new TuttiError('ILLEGAL_STATE', `${found.waiting.length} ticks of the schedule ${key} wait already`, { details: { limit: MAX_WAITING } });
      // A time of its own, at which no tick of the trigger falls.
      const { next } = occurrencesOf(found.definition.trigger, this.#o.cron);
      let time = this.#o.now();
      while (next(time - 1) === time || (await this.#o.store.loadTick({ schedule: found.id, at: time })) !== null) time++;
      const changes = new ChangeSet();
      const nothing = { task: null, plan: null, reason: null, message: null, doneAt: null };
      changes.ticks.push({ insert: true, schedule: found.id, at: time, manual: true, fromState: Tick.pending, state: Tick.pending, ...nothing });
      if (!(await this.#o.commit(changes)) && (await this.#o.store.loadTick({ schedule: found.id, at: time })) === null) throw this.#refused();
      found.waiting.push({ at: time, manual: true });
      found.waiting.sort((a, b) => a.at - b.at);
      return { e: found, at: time };
    });
    await this.#o.scheduler.drain(e);
    const row = await this.#o.store.loadTick({ schedule: e.id, at });
    if (row === null) throw new TuttiError('NOT_FOUND', `the schedule ${key} was removed before this tick was fired`);
    return this.#tick(row);
  }

  preview(key: string, n = 10): number[] {
    whole('n', n, 1, 100);
    const { trigger } = this.#find(key).definition;
    return upcoming(occurrencesOf(trigger, this.#o.cron), this.#o.now(), n);
  }

  async ticks(key: string, { before, limit = 100 }: { before?: number; limit?: number } = {}): Promise<TickView[]> {
    whole('limit', limit, 1, 1000);
    return (await this.#o.store.ticks({ schedule: this.#find(key).id, before, limit })).map((t) => this.#tick(t));
  }

  /** What became of the ticks of one schedule since this process started; undefined: there is none. */
  counts(key: string): Readonly<TickCounts> | undefined {
    return this.#o.book.byKey(key)?.counts;
  }

  metrics(): ScheduleMetrics {
    let scheduled = 0;
    let paused = 0;
    const owned: NonNullable<ScheduleMetrics['owned']> = [];
    for (const e of this.#o.book.all()) {
      if (e.paused) paused++;
      else if (e.nextAt !== null) scheduled++;
      const { owner, target } = e.definition;
      if (owner === 'table' && target.kind === 'plan')
        owned.push({ resource: target.resource, taskType: target.taskType, scheduled: !e.paused && e.nextAt !== null, ticks: { ...e.counts } });
    }
    return { scheduled, paused, ticks: { ...this.#o.scheduler.counts }, owned };
  }

  // Changing

  async #put(r: ScheduleRequest, owner: ScheduleOwner, create: boolean): Promise<ScheduleView> {
    this.#o.admit();
    const checked = await this.#check(r, owner);
    const e = await this.#store(checked, owner, create);
    return await this.get(e.key);
  }

  async #check(r: ScheduleRequest, owner: ScheduleOwner): Promise<Checked> {
    checkScheduleKey(r.key);
    const known = this.#o.book.byKey(r.key);
    if (known !== undefined && owner === 'caller' && known.definition.owner !== owner) throw notYours(known);
    if (r.key.startsWith(TABLE_PREFIX) !== (owner === 'table'))
      throw new TuttiError('ILLEGAL_STATE', `keys that begin with ${TABLE_PREFIX} are those of tables' configurations`, { field: 'key' });
    const definition = checkSchedule(r, { cron: this.#o.cron, owner });
    // What is said again at every start, or once more, may have fallen since it was said first.
    const again = known !== undefined && JSON.stringify(known.definition.trigger) === JSON.stringify(definition.trigger);
    checkFalls(definition.trigger, { cron: this.#o.cron, now: this.#o.now(), past: again || owner !== 'caller' });
    const { target } = definition;
    if (target.kind === 'plan') {
      if (r.input !== undefined)
        throw new TuttiError('INVALID_INPUT', 'context belongs to a template; a plan takes its settings from its table', { field: 'context' });
      return { key: r.key, definition, input: null, paused: r.paused };
    }
    const { kind: _, ...template } = target;
    const input = await this.#o.checkTask({ ...template, input: r.input ?? {} }, definition.tickField);
    return { key: r.key, definition, input, paused: r.paused };
  }

  #store(c: Checked, owner: ScheduleOwner, create: boolean): Promise<ScheduleEntry> {
    return this.#o.book.exclusively(async () => {
      const e = this.#o.book.byKey(c.key);
      if (e === undefined) return (await this.#insert([c]))[0];
      if (create) throw new TuttiError('ALREADY_EXISTS', `there is a schedule ${c.key} already`, { field: 'key' });
      if (owner === 'caller' && e.definition.owner !== owner) throw notYours(e);
      return await this.#update(e, c);
    });
  }

  async #insert(all: readonly Checked[]): Promise<ScheduleEntry[]> {
    const { book, store, now, scheduler } = this.#o;
    if (all.length === 0) return [];
    if (book.size + all.length > MAX_SCHEDULES)
      throw new TuttiError('ILLEGAL_STATE', `a store keeps ${MAX_SCHEDULES} schedules at most, and has ${book.size}`, { details: { limit: MAX_SCHEDULES } });
    const createdAt = now();
    const changes = new ChangeSet();
    for (const { key, definition, input, paused = false } of all) {
      const nextAt = occurrencesOf(definition.trigger, this.#o.cron).next(createdAt);
      changes.schedules.push({ id: this.#o.nextId(), key, definition: JSON.stringify(definition), input, paused, nextAt, createdAt });
    }
    const written = await this.#o.commit(changes);
    // A commit that was reported failed may have been carried out.
    if (!written && (await store.loadSchedule(changes.schedules[0].id)) === null) throw this.#refused();
    return changes.schedules.map((row) => {
      const e = book.put({ ...row, version: 1, updatedAt: createdAt });
      scheduler.moved(e);
      return e;
    });
  }

  async #update(e: ScheduleEntry, c: Checked): Promise<ScheduleEntry> {
    const { store } = this.#o;
    const row = await store.loadSchedule(e.id);
    const definition = JSON.stringify(c.definition);
    const paused = c.paused ?? e.paused;
    if (row !== null && row.definition === definition && row.input === c.input && paused === e.paused) return e;
    let { nextAt } = e;
    if (JSON.stringify(c.definition.trigger) !== JSON.stringify(e.definition.trigger)) {
      // Beyond every tick it has had: one time has one tick.
      const [newest] = await store.ticks({ schedule: e.id, limit: 1 });
      nextAt = occurrencesOf(c.definition.trigger, this.#o.cron).next(Math.max(this.#o.now(), newest?.at ?? 0));
    }
    const update = { id: e.id, fromVersion: e.version, paused, nextAt, definition: { definition, input: c.input, updatedAt: this.#o.now() } };
    return await this.#change(e, update, c.definition);
  }

  async #pause(key: string, paused: boolean): Promise<ScheduleView> {
    this.#o.admit();
    const e = await this.#o.book.exclusively(async () => {
      const found = this.#find(key);
      if (found.definition.owner === 'table') throw notYours(found);
      if (found.paused === paused) return found;
      return await this.#change(found, { id: found.id, fromVersion: found.version, paused, nextAt: found.nextAt }, found.definition);
    });
    // A tick that is being fired is fired; when this resolves, none is.
    if (paused) await e.draining;
    return await this.#view(e);
  }

  /** With a schedule that goes on come the ticks that it missed, in the same commit. */
  async #change(e: ScheduleEntry, update: ScheduleUpdate, definition: ScheduleDefinition): Promise<ScheduleEntry> {
    const { scheduler, book, now } = this.#o;
    const changes = new ChangeSet();
    const goesOn = e.paused && !update.paused && update.nextAt !== null;
    const decided = goesOn ? scheduler.decide(changes, { ...e, definition }, { now: now(), since: now(), nextAt: update.nextAt! }) : null;
    const nextAt = decided === null ? update.nextAt : decided.due.nextAt;
    changes.scheduleUpdates.push({ ...update, nextAt });
    if (!(await this.#o.commit(changes))) {
      await book.refresh(e);
      if (e.removed || e.version !== update.fromVersion + 1) throw this.#refused();
    } else {
      e.version++;
      e.definition = definition;
      e.paused = update.paused;
      e.nextAt = nextAt;
      e.updatedAt = update.definition?.updatedAt ?? e.updatedAt;
      if (decided !== null) scheduler.decided(e, decided);
    }
    scheduler.moved(e);
    return e;
  }

  #remove(key: string, as: ScheduleOwner): Promise<void> {
    this.#o.admit();
    return this.#o.book.exclusively(async () => {
      const e = this.#find(key);
      if (e.definition.owner !== as) throw notYours(e);
      e.removed = true;
      // A tick that is being fired is fired: its task's commit names the row.
      await e.draining;
      const changes = new ChangeSet();
      changes.scheduleRemovals.push({ id: e.id, fromVersion: e.version });
      if (!(await this.#o.commit(changes)) && (await this.#o.store.loadSchedule(e.id)) !== null) {
        e.removed = false;
        this.#o.scheduler.doubt(e);
        throw this.#refused();
      }
      this.#o.book.drop(e);
    });
  }

  #refused(): TuttiError {
    return new TuttiError('STORE_UNAVAILABLE', 'The store did not take the change; try again.', { retryAfter: 1 });
  }

  // Showing

  #find(key: string): ScheduleEntry {
    const e = this.#o.book.byKey(key);
    if (e === undefined || e.removed) throw new TuttiError('NOT_FOUND', `there is no schedule ${JSON.stringify(key)}`, { field: 'key' });
    return e;
  }

  async #view(e: ScheduleEntry): Promise<ScheduleView> {
    const [last] = await this.#o.store.ticks({ schedule: e.id, limit: 1 });
    const { trigger, target, overlap, catchUp, maxCatchUp, lateAfterMs, tickField, description, owner } = e.definition;
    return {
      key: e.key,
      owner,
      description,
      trigger,
      target,
      overlap,
      catchUp,
      maxCatchUp,
      tickField,
      lateAfterSeconds: lateAfterMs === null ? null : lateAfterMs / 1000,
      paused: e.paused,
      nextAt: e.paused ? null : e.nextAt,
      lastTick: last === undefined ? null : this.#tick(last),
      waiting: e.waiting.length,
      counts: { ...e.counts },
      createdAt: e.createdAt,
      updatedAt: e.updatedAt,
    };
  }

  #tick(t: StoredTick): TickView {
    const { at, manual, task, plan, reason, message, doneAt } = t;
    return { at, state: TICK_STATES[t.state], manual, taskId: task === null ? null : this.#o.taskUuid(task), planId: plan, reason, message, doneAt };
  }
}

function notYours(e: ScheduleEntry): TuttiError {
  const where = e.definition.owner === 'declared' ? 'declared in the configuration that this process was started with' : 'part of the configuration of a table';
  return new TuttiError('ILLEGAL_STATE', `the schedule ${e.key} is ${where}: change it there`, { field: 'key', details: { owner: e.definition.owner } });
}

function whole(field: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new TuttiError('INVALID_INPUT', `${field} must be a whole number from ${min} to ${max}`, { field, details: { min, max } });
}
