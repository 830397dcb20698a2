/** Plans as the engine offers them: the parts of this folder put together, and the verbs of `Plans`. */
import type { ChangeSet } from '../../core/changes.ts';
import type { PlanDecision, PlanWorld } from '../../core/decide-plan.ts';
import { TuttiError, isTuttiError } from '../../core/errors.ts';
import { PLAN_STATUSES, type Plan, isPlanLive } from '../../core/plan.ts';
import type { EngineParts } from '../engine-parts.ts';
import type { GeneratorHost, PlanAnswer, PlanWorkerPort, SubtaskRow, TaskTypeTraits } from '../plan-port.ts';
import type { GenerationRun, PlanMetrics, PlanView, Plans, ScheduleResult, TriggerRequest, TriggerResult } from '../plan-views.ts';
import type { Caller, ResourceAction, ResourceKind } from '../resource-port.ts';
import type { PlanFiring, PlanTarget } from '../scheduler.ts';
import { batchSubmission } from './plan-batches.ts';
import { PlanBook } from './plan-book.ts';
import { PlanCalls } from './plan-calls.ts';
import type { Done, PlanCommand } from './plan-command.ts';
import { PlanKeeper } from './plan-keeper.ts';
import { PlanReads } from './plan-reads.ts';
import { PlanRuns } from './plan-runs.ts';
import { PlanTriggers, policyProblems } from './plan-triggers.ts';
import { PlanUpkeep } from './plan-upkeep.ts';
import { PlanWaiters } from './plan-waiters.ts';
import { ResourceKinds } from './resource-kinds.ts';
import { ResourceService } from './resource-service.ts';

export interface PlanServiceOptions {
  parts: EngineParts;
  wake: () => void;
  /** An id for a task. */
  nextTaskId: () => number;
  taskUuid: (task: number) => string;
  admit: () => void;
  guard: <T>(ask: () => T | Promise<T>) => Promise<T>;
  /** 0..1, of the fullest inbox. */
  saturation: () => number;
  subtasks: (q: { task: number; from: number; limit: number }) => Promise<SubtaskRow[]>;
  cancelTask: (task: number, message: string) => Promise<void>;
  commit: (changes: ChangeSet) => Promise<boolean>;
}

export class PlanService implements Plans {
  readonly keeper: PlanKeeper;
  readonly resources: ResourceService;
  readonly #o: PlanServiceOptions;
  readonly #book = new PlanBook();
  readonly #calls: PlanCalls;
  readonly #waiters = new PlanWaiters();
  readonly #kinds: ResourceKinds;
  readonly #triggers: PlanTriggers;
  readonly #upkeep: PlanUpkeep;
  readonly #reads: PlanReads;
  readonly #runs = new PlanRuns();
  readonly #hosts: GeneratorHost[] = [];
  /** Batches of plans that were removed, on their way to be cancelled. */
  readonly #cancelling = new Set<Promise<void>>();
  #highs = { plan: 0, resource: 0 };

  constructor(o: PlanServiceOptions) {
    this.#o = o;
    const { parts } = o;
    const generators: GeneratorHost = {
      taskType: (name) => this.#traits(name),
      taskTypes: () => this.taskTypes(),
      checkSettings: (type, settings, resource) => this.#hostOf(type)?.checkSettings(type, settings, resource) ?? [],
      call: async (call, signal) =>
        (await this.#hostOf(call.taskType)?.call(call, signal)) ?? { kind: 'failed', message: `nobody here has the task type ${call.taskType}` },
    };
    this.#calls = new PlanCalls({
      host: parts.host,
      generators: () => generators,
      answered: (plan, token, answer) => this.#answered(plan, token, answer),
      batchOf: (plan) => this.#book.openBatch(plan),
      ran: (plan, kind, answer) => this.#runs.add(plan, kind, answer, parts.host.now()),
    });
    this.resources = new ResourceService({
      store: parts.store,
      host: parts.host,
      highest: () => this.#highs.resource,
      post: (make) => this.#post(make),
      guard: o.guard,
      again: (c) => this.#force(c),
    });
    this.#kinds = new ResourceKinds(
      () => this.resources,
      (kind, e) => parts.host.log('error', `resources of the kind ${kind} cannot be looked up`, { message: e instanceof Error ? e.message : String(e) }),
    );
    this.keeper = new PlanKeeper({
      parts,
      book: this.#book,
      calls: this.#calls,
      world: (p) => this.#world(p),
      decided: (d) => this.#decided(d),
      prepare: (c) => {
        if (c.kind === 'answer') void this.#prepare(c.plan, c.token, c.answer);
        else this.resources.look(c);
      },
      revisions: this.resources.revisions,
    });
    this.#triggers = new PlanTriggers({
      parts,
      book: this.#book,
      waiters: this.#waiters,
      kinds: this.#kinds,
      resources: this.resources,
      taskType: (name) => this.taskType(name),
      checkSettings: (type, settings, resource) => this.checkSettings(type, settings, resource),
      post: (make) => this.#post(make),
      admit: o.admit,
      blocked: (type) => this.#blocked(type),
      taskUuid: o.taskUuid,
      nextId: () => ++this.#highs.plan,
    });
    this.#upkeep = new PlanUpkeep({
      parts,
      book: this.#book,
      kinds: this.#kinds,
      force: (c) => this.#force(c),
      poke: (plan) => {
        this.keeper.poke(plan);
        this.#o.wake();
      },
      drop: (resource, gone) =>
        this.resources.locked(resource, async () => {
          if (!(await gone())) return false;
          await this.#post((done) => ({ kind: 'drop', resource, incarnation: null, done }));
          return true;
        }),
      commit: o.commit,
    });
    this.#reads = new PlanReads({
      parts,
      book: this.#book,
      waiters: this.#waiters,
      taskUuid: o.taskUuid,
      admit: o.admit,
      guard: o.guard,
      polledAt: () => this.#upkeep.polledAt,
    });
  }

  /** Takes up what the last process left. Before anything else is decided. */
  async load(): Promise<void> {
    const { store } = this.#o.parts;
    await this.#upkeep.measure();
    this.#highs = { ...(await store.planHighs()) };
    for (const type of await store.stoppedQueues()) this.#book.stopped.add(type);
    // The calls of a process that is gone are lost: the first poke of each plan says so, and makes them again.
    for (const p of await store.livePlans()) await this.keeper.load(p);
  }

  /** From here on the poll runs. */
  start(): void {
    this.#upkeep.start();
  }

  stop(): void {
    this.#upkeep.stop();
    this.#calls.close();
  }

  /** Whoever waits is told. */
  close(): void {
    this.#waiters.close();
  }

  // What workers see

  readonly port: PlanWorkerPort = {
    connect: (host) => {
      this.#hosts.push(host);
      const changed = (): void => this.#upkeep.pokeAll();
      changed();
      return {
        typesChanged: changed,
        close: () => {
          const at = this.#hosts.indexOf(host);
          if (at >= 0) this.#hosts.splice(at, 1);
        },
      };
    },
    subtasks: (q) => this.#o.subtasks(q),
    resources: {
      create: (r) => this.resources.create(r),
      get: (id) => this.resources.get(id),
      list: (q) => this.resources.list(q),
      update: (id, o) => this.resources.update(id, o),
      remove: (id) => this.dropResource(id),
      items: (id, q) => this.resources.items(id, q),
      item: (id, key) => this.resources.item(id, key),
      change: (id, c) => this.resources.change(id, c),
    },
    settings: async (resource, taskType) => await this.#kinds.settings(resource, this.taskType(taskType)),
    body: async (resource) => (await this.resources.get(resource))?.body ?? null,
  };

  addKind(kind: ResourceKind): void {
    this.#kinds.add(kind);
  }

  /** With its plans; their running batches are cancelled. Then its kind is told. */
  async dropResource(id: string): Promise<void> {
    const kind = await this.#kinds.kindOf(id);
    await this.resources.remove(id);
    await Promise.all(this.#cancelling);
    await kind?.onDrop?.(id);
  }

  // Plans

  get enabled(): boolean {
    return this.#o.parts.config.plans.enabled;
  }

  trigger(r: TriggerRequest): Promise<TriggerResult> {
    return this.#o.guard(() => this.#triggers.trigger(r));
  }

  /** A tick of the scheduler: marked in the commit that makes the plan. */
  async fireTick(target: PlanTarget, tick: { schedule: number; at: number }): Promise<PlanFiring> {
    const { resource, taskType } = target;
    const { runs, skipped, blocked } = await this.trigger({ resource, taskType, via: 'cron', triggeredBy: 'schedule', tick });
    if (blocked !== null) return { state: 'failed', message: blocked };
    if (runs.length > 0) return { state: 'fired', plan: runs[0].planId ?? undefined };
    return { state: 'skipped', message: `the plan ${skipped[0]?.planId} is live` };
  }

  schedule(q: Parameters<Plans['schedule']>[0]): Promise<ScheduleResult[]> {
    return this.#o.guard(() => this.#triggers.schedule(q));
  }

  async plan(planId: string): Promise<PlanView> {
    return await this.#reads.view(await this.#reads.plan(planId));
  }

  async owner(planId: string): Promise<{ resource: string; taskType: string }> {
    const { resource, taskType } = await this.#reads.plan(planId);
    return { resource, taskType };
  }

  async isActive(planId: string): Promise<boolean> {
    return isPlanLive((await this.#reads.plan(planId)).status);
  }

  ended(planId: string): Promise<PlanView> {
    return this.#reads.ended(planId);
  }

  planIds(q: { resource: string; taskType: string }): Promise<string[]> {
    return this.#o.guard(() => this.#o.parts.store.planIds({ resource: q.resource, taskType: this.#canonical(q.taskType) }));
  }

  active(q: { resource?: string; taskType?: string; once?: boolean } = {}): Promise<PlanView[]> {
    return this.#reads.active(this.#named(q));
  }

  recent(q: { resource?: string; taskType?: string; limit?: number } = {}): Promise<PlanView[]> {
    return this.#reads.recent(this.#named(q));
  }

  async abort(planId: string, o: { by?: string; reason?: string } = {}): Promise<PlanView> {
    const plan = await this.#reads.plan(planId);
    if (!isPlanLive(plan.status)) throw ended(plan);
    const message = `Aborted${o.by === undefined ? '' : ` by ${o.by}`}: ${o.reason ?? 'by request'}. What runs may finish; nothing new is generated.`;
    await this.#post((done) => ({ kind: 'abort', plan: plan.id, message, done }));
    return await this.plan(planId);
  }

  taskTypes(): TaskTypeTraits[] {
    return this.#hosts.flatMap((h) => h.taskTypes()).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  taskType(name: string): TaskTypeTraits {
    const t = typeof name === 'string' ? this.#traits(name) : null;
    if (t === null) throw new TuttiError('NOT_FOUND', `there is no task type ${JSON.stringify(name)}`, { field: 'taskType' });
    return t;
  }

  async checkSettings(type: string, settings: Readonly<Record<string, string>>, resource: string): Promise<string[]> {
    const t = this.taskType(type);
    const said = (await this.#hostOf(t.name)?.checkSettings(t.name, settings, resource)) ?? [];
    return [...policyProblems(settings, t), ...said];
  }

  async stopQueue(taskType: string): Promise<void> {
    const { name } = this.taskType(taskType);
    await this.#post((done) => ({ kind: 'queue', taskType: name, stopped: true, done }));
    this.#upkeep.pokeAll(name);
  }

  async resumeQueue(taskType: string): Promise<void> {
    const { name } = this.taskType(taskType);
    await this.#post((done) => ({ kind: 'queue', taskType: name, stopped: false, done }));
    this.#upkeep.pokeAll(name);
  }

  async queue(taskType: string): Promise<{ state: 'IN_PROGRESS' | 'STOPPED' }> {
    return { state: this.#book.stopped.has(this.taskType(taskType).name) ? 'STOPPED' : 'IN_PROGRESS' };
  }

  generatorRuns(resource: string, taskType: string): GenerationRun[] {
    return this.#runs.of(resource, this.#canonical(taskType));
  }

  authorise(caller: Caller, resource: string, action: ResourceAction): Promise<boolean> {
    return this.#o.guard(() => this.#kinds.authorise(caller, resource, action));
  }

  expand(name: string): Promise<string[]> {
    return this.#o.guard(() => this.#kinds.expand(name));
  }

  metrics(): PlanMetrics {
    return this.#reads.metrics();
  }

  sweep(): Promise<number> {
    return this.#upkeep.sweep();
  }

  poll(): Promise<void> {
    return this.#upkeep.poll();
  }

  /** Whether a task is a batch of a plan: such a one is not reset. */
  async isBatch(task: number): Promise<boolean> {
    return (await this.#o.guard(() => this.#o.parts.store.batchOfTask(task))) !== null;
  }

  /** Throws ILLEGAL_STATE for a batch of a plan that has not ended: it is not removed. */
  async refuseHeld(task: number): Promise<void> {
    const batch = await this.#o.guard(() => this.#o.parts.store.batchOfTask(task));
    if (batch !== null && this.#book.get(batch.plan) !== undefined)
      throw new TuttiError('ILLEGAL_STATE', `The task is batch ${batch.seq} of a plan that is live.`, { details: { batch: batch.name } });
  }

  // Inside

  #world(p: Plan): PlanWorld {
    const { host, boot, config } = this.#o.parts;
    return {
      now: host.now(),
      boot,
      enabled: config.plans.enabled,
      blocked: this.#blocked(p.taskType),
      traits: this.#traits(p.taskType),
      pollMs: config.plans.pollMs,
    };
  }

  #blocked(taskType: string): string | null {
    if (this.#book.stopped.has(taskType)) return `The queue of ${taskType} is stopped.`;
    const full = this.#upkeep.pressure;
    if (full !== null) return full;
    const { maxInboxSaturation } = this.#o.parts.config.plans;
    const saturation = this.#o.saturation();
    return saturation > maxInboxSaturation
      ? `An inbox is ${Math.round(saturation * 100)} % full; the limit is ${Math.round(maxInboxSaturation * 100)} %.`
      : null;
  }

  #decided(d: PlanDecision): void {
    this.#waiters.decided(d);
    const { plan } = d;
    if (d.removed) {
      if (plan.batchTask !== null) this.#cancel(plan.batchTask, `The resource ${plan.resource} was removed.`);
    } else if (plan.wakeAt !== null && isPlanLive(plan.status)) this.#upkeep.wakeAt(plan.id, plan.wakeAt);
  }

  #cancel(task: number, message: string): void {
    const done = this.#o.cancelTask(task, message).catch(() => undefined);
    this.#cancelling.add(done);
    void done.finally(() => this.#cancelling.delete(done));
  }

  #answered(plan: Plan, token: number, answer: PlanAnswer): void {
    void this.#prepare(plan.id, token, answer);
  }

  /** Everything that deciding the answer needs and that takes reading or making. */
  async #prepare(id: number, token: number, given: PlanAnswer): Promise<void> {
    const plan = this.#book.get(id);
    if (plan === undefined || plan.token !== token) {
      this.#calls.finished(id, token);
      return;
    }
    let answer = given;
    const changes = answer.kind === 'finished' || answer.kind === 'ended' ? answer.changes : undefined;
    let items: Extract<PlanCommand, { kind: 'answer' }>['items'] = null;
    try {
      if (changes !== undefined) items = await this.resources.prepare(plan.resource, changes);
    } catch (e) {
      answer = { kind: 'failed', message: isTuttiError(e) ? e.message : String(e) };
    }
    const submission = answer.kind === 'batch' ? batchSubmission(this.#o.nextTaskId(), plan, answer.subtasks, this.#traits(plan.taskType)) : null;
    this.#force({ kind: 'answer', plan: id, token, answer, submission, items });
  }

  #post(make: (done: Done) => PlanCommand): Promise<void> {
    return new Promise((resolve, reject) => {
      const c = make((e) => (e === null ? resolve() : reject(e)));
      if (this.keeper.inbox.offer(c)) this.#o.wake();
      else reject(new TuttiError('BACKPRESSURE', 'Too many commands about plans are waiting.', { retryAfter: 1, details: { inbox: 'plan_keeper' } }));
    });
  }

  #force(c: PlanCommand): void {
    this.keeper.inbox.force(c);
    this.#o.wake();
  }

  #traits(name: string): TaskTypeTraits | null {
    for (const h of this.#hosts) {
      const t = h.taskType(name);
      if (t !== null) return t;
    }
    return null;
  }

  #hostOf(name: string): GeneratorHost | undefined {
    return this.#hosts.find((h) => h.taskType(name) !== null);
  }

  #named<Q extends { taskType?: string }>(q: Q): Q {
    return q.taskType === undefined ? q : { ...q, taskType: this.#canonical(q.taskType) };
  }

  /** An alias stands for its type; an unknown name for itself. */
  #canonical(name: string): string {
    return this.#traits(name)?.name ?? name;
  }
}

const ended = (p: Plan): TuttiError => new TuttiError('ILLEGAL_STATE', `The plan has ended: ${p.message}`, { details: { status: PLAN_STATUSES[p.status] } });
