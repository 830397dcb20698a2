/** From a trigger to a plan or a one-shot run: the resource, its settings, the decision, the first batch. */
import { TuttiError, isTuttiError } from '../../core/errors.ts';
import { PLAN_SOURCES, type Plan, type PlanPolicy, PlanPhase, Status, batchName } from '../../core/plan.ts';
import { decideTrigger, isTrue } from '../../core/plan-trigger.ts';
import type { EngineParts } from '../engine-parts.ts';
import type { TaskTypeTraits } from '../plan-port.ts';
import type { ScheduleResult, TriggerRequest, TriggerResult, TriggerRun } from '../plan-views.ts';
import type { PlanBook } from './plan-book.ts';
import type { Done, PlanCommand } from './plan-command.ts';
import { nameTaken, planActive } from './plan-keeper.ts';
import type { FirstOutcome, PlanWaiters } from './plan-waiters.ts';
import type { ResourceKinds } from './resource-kinds.ts';
import type { ResourceService } from './resource-service.ts';

export interface PlanTriggersOptions {
  parts: EngineParts;
  book: PlanBook;
  waiters: PlanWaiters;
  kinds: ResourceKinds;
  resources: ResourceService;
  /** Throws NOT_FOUND. */
  taskType: (name: string) => TaskTypeTraits;
  checkSettings: (type: string, settings: Readonly<Record<string, string>>, resource: string) => Promise<string[]>;
  post: (make: (done: Done) => PlanCommand) => Promise<void>;
  admit: () => void;
  /** Why no batch of the type may begin. */
  blocked: (taskType: string) => string | null;
  taskUuid: (task: number) => string;
  nextId: () => number;
}

const KEYS = { force: 'forceLegacyTaskFlow', flag: 'enableTaskOrchestration' } as const;
/** Settings that say when, not what. */
const NOT_PROPERTIES = new Set(['schedule', 'timezone']);

/** Plans of one trigger whose first generation is asked for at once. */
const AT_ONCE = 16;

interface Target {
  id: string;
  verdict: 'plan' | 'once';
  settings: Record<string, string>;
  policy: PlanPolicy;
  force: boolean;
}

/** `first` null: nobody waits for it. */
interface Begun {
  plan: Plan;
  first: Promise<FirstOutcome> | null;
}

export class PlanTriggers {
  readonly #o: PlanTriggersOptions;

  constructor(o: PlanTriggersOptions) {
    this.#o = o;
  }

  async trigger(r: TriggerRequest): Promise<TriggerResult> {
    const { host } = this.#o.parts;
    const begun = host.ticks();
    this.#o.admit();
    const type = this.#o.taskType(r.taskType);
    const adhoc = checkedSettings(r.settings ?? {});
    const ids = await this.#o.kinds.expand(r.resource);
    try {
      return await this.#all(r, type, ids, adhoc);
    } finally {
      if (r.via === 'cron') for (const id of ids) this.#o.book.ticked(id, type.name, host.ticks() - begun);
    }
  }

  async #all(r: TriggerRequest, type: TaskTypeTraits, ids: readonly string[], adhoc: Record<string, string>): Promise<TriggerResult> {
    const targets: Target[] = [];
    const skipped: TriggerResult['skipped'] = [];
    // All are looked at before the first is begun: a conflict of one refuses the whole call.
    for (const id of ids) {
      const target = await this.#judge(r, type, id, adhoc, skipped);
      if (target !== null) targets.push(target);
    }
    const blocked = this.#o.blocked(type.name);
    if (blocked !== null && targets.length > 0) return { runs: [], skipped, blocked };
    let begun: Begun[] = [];
    for (let left = targets; left.length > 0; ) {
      try {
        begun = await this.#create(r, type, left);
        break;
      } catch (e) {
        // Somebody was faster with one of them: a call by hand is refused as a whole, all others go on without it.
        const lost = isTuttiError(e) && e.code === 'PLAN_ACTIVE' && r.via !== 'execute' ? left.find((t) => t.id === e.details?.resource) : undefined;
        if (lost === undefined) throw e;
        this.#o.book.count(lost.id, type.name, 'scheduledTriggerActivePlanConflict');
        skipped.push({ resource: lost.id, planId: String((e as TuttiError).details?.plan_id) });
        left = left.filter((t) => t !== lost);
      }
    }
    return { runs: await this.#firstOf(type, begun), skipped, blocked: null };
  }

  /** Null: it is skipped. */
  async #judge(r: TriggerRequest, type: TaskTypeTraits, id: string, adhoc: Record<string, string>, skipped: TriggerResult['skipped']): Promise<Target | null> {
    const kept = (await this.#o.kinds.settings(id, type)) ?? {};
    const force = r.forceLegacy === true || isTrue(adhoc[KEYS.force] ?? kept[KEYS.force]);
    const live = this.#o.book.ofPair(id, type.name);
    const verdict = decideTrigger({
      enabled: this.#o.parts.config.plans.enabled,
      force,
      // An ad hoc call opts in itself (seed 000, "Enabling for an ad hoc trigger"); all other settings may come from the resource.
      flag: isTrue(r.via === 'execute' ? adhoc[KEYS.flag] : kept[KEYS.flag]),
      supportsOrchestration: type.supportsOrchestration,
      orchestratedOnly: type.orchestratedOnly,
      live: live !== undefined,
      via: r.via,
    });
    switch (verdict) {
      case 'reject':
        throw planActive(live!);
      case 'skip':
        this.#o.book.count(id, type.name, 'scheduledTriggerActivePlanConflict');
        skipped.push({ resource: id, planId: live!.planId });
        return null;
      case 'refuse':
        this.#o.book.count(id, type.name, 'taskGenerationFailureCount');
        if (!this.#o.parts.config.plans.enabled)
          throw new TuttiError('ORCHESTRATED_ONLY', `${type.name} runs as a plan only, and plans are switched off (orchestration.plans.enabled)`);
        throw new TuttiError('ORCHESTRATED_ONLY', `${type.name} runs as a plan only: set ${KEYS.flag} to "true"${force ? `, and not ${KEYS.force}` : ''}`, {
          field: `taskConfigs.${KEYS.flag}`,
        });
      case 'plan':
      case 'once': {
        const twin = this.#o.book.twinOf({ resource: id, taskType: type.name, label: r.taskName });
        if (twin !== undefined) throw nameTaken(twin);
        const settings: Record<string, string> = {};
        for (const [k, v] of [...Object.entries(kept), ...Object.entries(adhoc)]) if (!NOT_PROPERTIES.has(k)) settings[k] = v;
        const policy = policyOf(settings, type);
        const problems = await this.#o.checkSettings(type.name, settings, id);
        if (problems.length > 0)
          throw new TuttiError('INVALID_INPUT', `${type.name} on ${id}: ${problems.join('; ')}`, { field: 'taskConfigs', details: { problems } });
        return { id, verdict, settings, policy, force };
      }
      default:
        return verdict satisfies never;
    }
  }

  /** In one commit: all of them or, if one cannot be, none. */
  async #create(r: TriggerRequest, type: TaskTypeTraits, targets: readonly Target[]): Promise<Begun[]> {
    const { parts, waiters } = this.#o;
    const plans = targets.map((t) => ({ plan: this.#plan(r, type, t), passes: t.force || !parts.config.plans.enabled }));
    // A tick is one of many and must not wait for a generator.
    const begun = plans.map(({ plan }): Begun => ({ plan, first: r.via === 'cron' ? null : waiters.first(plan.id) }));
    try {
      await this.#locked(targets.map((t) => t.id).sort(), async () => {
        for (const { plan } of plans) {
          plan.kind = (await this.#o.kinds.kindOf(plan.resource))?.name ?? '';
          if (plan.kind === '') throw new TuttiError('NOT_FOUND', `there is no resource ${plan.resource}`, { field: 'tableName' });
        }
        await this.#o.post((done) => ({ kind: 'create', plans, tick: r.tick ?? null, done }));
      });
    } catch (e) {
      for (const { plan } of plans) waiters.forget(plan.id);
      throw e;
    }
    return begun;
  }

  /** In one order for all, so that two that want the same wait for each other once. */
  #locked(ids: readonly string[], work: () => Promise<void>): Promise<void> {
    const [first, ...others] = ids;
    return this.#o.resources.locked(first, () => (others.length === 0 ? work() : this.#locked(others, work)));
  }

  /** What came of each first generation. Where one failed the call does, and says what has begun nevertheless. */
  async #firstOf(type: TaskTypeTraits, begun: readonly Begun[]): Promise<TriggerRun[]> {
    const found = await Promise.allSettled(begun.map(async (b) => this.#runOf(type, b.plan, b.first === null ? null : await b.first)));
    const runs = found.flatMap((f) => (f.status === 'fulfilled' ? [f.value] : []));
    const failed = found.find((f) => f.status === 'rejected');
    if (failed === undefined) return runs;
    const e: unknown = failed.reason;
    const others = runs.filter((run) => run.taskName !== null);
    if (!isTuttiError(e) || others.length === 0) throw e;
    throw new TuttiError(e.code, `${e.message} (begun nevertheless: ${others.map((run) => `${run.resource}, ${run.taskName}`).join('; ')})`, {
      field: e.field,
      details: { ...e.details, runs: others },
    });
  }

  #runOf(type: TaskTypeTraits, plan: Plan, outcome: FirstOutcome | null): TriggerRun {
    const planId = plan.once ? null : plan.planId;
    const run = { resource: plan.resource, planId, taskName: batchName(plan, 0), taskId: null };
    if (outcome === null) return run;
    const problem = (code: 'GENERATION_FAILED' | 'INVALID_INPUT', message: string, extra: { field?: string; details?: Record<string, unknown> }): TuttiError =>
      new TuttiError(code, `${type.name} on ${plan.resource}: ${message}`, extra);
    switch (outcome.kind) {
      case 'batch':
        return { ...run, taskName: outcome.name, taskId: outcome.task < 0 ? null : this.#o.taskUuid(outcome.task) };
      case 'nothing':
        return { ...run, planId: null, taskName: null, ...(outcome.message === '' ? {} : { nothing: outcome.message }) };
      case 'ended':
        return { ...run, taskName: null, nothing: outcome.message };
      case 'failed':
        throw problem('GENERATION_FAILED', outcome.message, planId === null ? {} : { details: { plan_id: planId } });
      case 'refused':
        throw problem('INVALID_INPUT', outcome.message, { field: 'taskConfigs', details: { call: 'startPlan' } });
      case 'later':
        return run;
      default:
        return outcome satisfies never;
    }
  }

  #plan(r: TriggerRequest, type: TaskTypeTraits, t: Target): Plan {
    const now = this.#o.parts.host.now();
    const source = r.via === 'execute' ? PLAN_SOURCES[0] : PLAN_SOURCES[1];
    return {
      id: this.#o.nextId(),
      planId: `${t.id}__${type.name}__${this.#o.parts.host.uuid()}`,
      resource: t.id,
      kind: '',
      taskType: type.name,
      status: Status.active,
      source: PLAN_SOURCES.indexOf(source),
      once: t.verdict === 'once',
      version: 1,
      phase: PlanPhase.start,
      token: 0,
      owner: null,
      attempts: 0,
      wakeAt: null,
      batches: 0,
      batchTask: null,
      total: 0,
      inFlight: 0,
      processed: 0,
      lastProcessed: 0,
      inputUnit: type.inputUnit,
      ...(r.taskName === undefined ? {} : { label: r.taskName }),
      failedInARow: 0,
      barrenInARow: 0,
      print: 0,
      countFailures: true,
      policy: t.policy,
      outcome: null,
      properties: t.settings,
      customStats: null,
      state: null,
      message: 'The plan begins.',
      triggeredBy: r.triggeredBy ?? null,
      createdAt: now,
      updatedAt: now,
      endedAt: null,
    };
  }

  /** What the configs of resources say, grouped by type: one that is forced to the legacy flow takes its whole group with it. */
  async schedule(q: {
    taskType?: string;
    resource?: string;
    triggeredBy?: string | null;
    allowed?: (resource: string) => Promise<boolean>;
  }): Promise<ScheduleResult[]> {
    const only = q.taskType === undefined ? null : this.#o.taskType(q.taskType);
    const groups = new Map<string, string[]>();
    const ids = q.resource === undefined ? await this.#o.kinds.all() : await this.#o.kinds.expand(q.resource);
    for (const id of ids) {
      if (q.allowed !== undefined && !(await q.allowed(id))) continue;
      for (const name of await this.#o.kinds.configuredTypes(id)) {
        const type = this.#known(name);
        if (type === null || (only !== null && type.name !== only.name)) continue;
        groups.set(type.name, [...(groups.get(type.name) ?? []), id]);
      }
    }
    const results: ScheduleResult[] = [];
    for (const [taskType, members] of groups) {
      const type = this.#o.taskType(taskType);
      let forceLegacy = false;
      for (const id of members) forceLegacy ||= isTrue((await this.#o.kinds.settings(id, type))?.[KEYS.force]);
      results.push(await this.#group(type, members, forceLegacy, q.triggeredBy ?? null));
    }
    if (only !== null && results.length === 0) results.push({ taskType: only.name, runs: [], generationErrors: [], schedulingErrors: [] });
    return results;
  }

  async #group(type: TaskTypeTraits, members: string[], forceLegacy: boolean, triggeredBy: string | null): Promise<ScheduleResult> {
    const result: ScheduleResult = { taskType: type.name, runs: [], generationErrors: [], schedulingErrors: [] };
    // Side by side: a generator that takes long holds up no other, and the answers stay in their order.
    for (let at = 0; at < members.length; at += AT_ONCE) {
      const some = members.slice(at, at + AT_ONCE);
      const found = await Promise.allSettled(
        some.map((resource) => this.trigger({ resource, taskType: type.name, via: 'schedule', triggeredBy, forceLegacy })),
      );
      found.forEach((f, i) => this.#add(result, some[i], f));
    }
    return result;
  }

  #add(result: ScheduleResult, resource: string, f: PromiseSettledResult<TriggerResult>): void {
    if (f.status === 'fulfilled') {
      const { runs, skipped, blocked } = f.value;
      result.runs.push(...runs.filter((run) => run.taskName !== null));
      for (const run of runs)
        if (run.planId !== null && run.taskName === null) result.generationErrors.push(`${resource}: ${run.nothing ?? 'the plan has ended'}`);
      for (const s of skipped) result.schedulingErrors.push(`${s.resource}: the plan ${s.planId} is live`);
      if (blocked !== null) result.schedulingErrors.push(`${resource}: ${blocked}`);
      return;
    }
    const e: unknown = f.reason;
    if (!isTuttiError(e)) throw e;
    const generating = e.code === 'GENERATION_FAILED' || e.code === 'ORCHESTRATED_ONLY' || e.details?.call === 'startPlan';
    (generating ? result.generationErrors : result.schedulingErrors).push(`${resource}: ${e.message}`);
  }

  #known(name: string): TaskTypeTraits | null {
    try {
      return this.#o.taskType(name);
    } catch {
      return null;
    }
  }
}

function checkedSettings(given: unknown): Record<string, string> {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new TuttiError('INVALID_INPUT', 'taskConfigs must be an object of texts', { field: 'taskConfigs' });
  const out: Record<string, string> = {};
  const entries = Object.entries(given);
  if (entries.length > 1000) throw new TuttiError('INVALID_INPUT', 'taskConfigs has at most 1,000 settings', { field: 'taskConfigs' });
  for (const [key, value] of entries) {
    if (key.length > 200)
      throw new TuttiError('INVALID_INPUT', `taskConfigs has a key of ${key.length} characters; 200 is the limit`, { field: 'taskConfigs' });
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
      throw new TuttiError('INVALID_INPUT', `taskConfigs.${key} must be text`, { field: `taskConfigs.${key}` });
    if (String(value).length > 100_000)
      throw new TuttiError('INVALID_INPUT', `taskConfigs.${key} is longer than 100,000 characters`, { field: `taskConfigs.${key}` });
    // Neither a path nor SQL can have it, and no plan could keep it.
    for (const text of [key, String(value)])
      if (text.includes('\0') || !text.isWellFormed())
        throw new TuttiError('INVALID_INPUT', `taskConfigs.${key} has a character that no setting may have: U+0000 or half of a surrogate pair`, {
          field: `taskConfigs.${key}`,
        });
    out[key] = String(value);
  }
  return out;
}

/** What is wrong with the properties that every plan has; those of the type it says itself. */
export function policyProblems(settings: Readonly<Record<string, string>>, type: TaskTypeTraits): string[] {
  try {
    policyOf(settings, type);
    return [];
  } catch (e) {
    if (isTuttiError(e)) return [e.message];
    throw e;
  }
}

/** The type's policy, and what the plan's own properties say instead. */
function policyOf(settings: Readonly<Record<string, string>>, type: TaskTypeTraits): PlanPolicy {
  const number = (key: string, fallback: number, min: number, max: number, whole = true): number => {
    const text = settings[key]?.trim();
    if (text === undefined) return fallback;
    const n = (whole ? /^\d{1,15}$/ : /^\d{1,15}(?:\.\d{1,15})?$/).test(text) ? Number(text) : Number.NaN;
    if (n >= min && n <= max) return n;
    throw new TuttiError('INVALID_INPUT', `${key} must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}, not ${JSON.stringify(settings[key])}`, {
      field: `taskConfigs.${key}`,
    });
  };
  const { thresholdPercent, maxFailedBatches, maxBarrenBatches } = type.failurePolicy;
  // Read when a batch is made; what is wrong is said to whoever can mend it.
  number('taskBatchTimeoutSeconds', 0, 0, 1_000_000_000);
  return {
    thresholdPercent: number('taskPlanFailureThresholdPercent', thresholdPercent, 0, 100, false),
    maxFailedBatches: number('maxConsecutiveFailedBatches', maxFailedBatches, 1, 1_000_000),
    maxBarrenBatches,
  };
}
