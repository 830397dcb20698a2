/** From a trigger to a plan or a one-shot run: the resource, its settings, the decision, the first batch. */
import { TuttiError, isTuttiError } from '../../core/errors.ts';
import { PLAN_SOURCES, type Plan, type PlanPolicy, PlanPhase, Status, batchName } from '../../core/plan.ts';
import { decideTrigger, isTrue } from '../../core/plan-trigger.ts';
import type { EngineParts } from '../engine-parts.ts';
import type { TaskTypeTraits } from '../plan-port.ts';
import type { ScheduleResult, TriggerRequest, TriggerResult, TriggerRun } from '../plan-views.ts';
import type { PlanBook } from './plan-book.ts';
import type { Done, PlanCommand } from './plan-command.ts';
import { planActive } from './plan-keeper.ts';
import type { PlanWaiters } from './plan-waiters.ts';
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

interface Target {
  id: string;
  verdict: 'plan' | 'once';
  settings: Record<string, string>;
  policy: PlanPolicy;
  force: boolean;
}

export class PlanTriggers {
  readonly #o: PlanTriggersOptions;

  constructor(o: PlanTriggersOptions) {
    this.#o = o;
  }

  async trigger(r: TriggerRequest): Promise<TriggerResult> {
    this.#o.admit();
    const type = this.#o.taskType(r.taskType);
    const adhoc = checkedSettings(r.settings ?? {});
    const ids = await this.#o.kinds.expand(r.resource);
    const targets: Target[] = [];
    const skipped: TriggerResult['skipped'] = [];
    // All are looked at before the first is begun: a conflict of one refuses the whole call.
    for (const id of ids) {
      const target = await this.#judge(r, type, id, adhoc, skipped);
      if (target !== null) targets.push(target);
    }
    const blocked = this.#o.blocked(type.name);
    if (blocked !== null && targets.length > 0) return { runs: [], skipped, blocked };
    const runs: TriggerRun[] = [];
    for (const t of targets) {
      try {
        runs.push(await this.#begin(r, type, t));
      } catch (e) {
        if (!(isTuttiError(e) && e.code === 'PLAN_ACTIVE') || r.via === 'execute') throw e;
        this.#o.book.count(t.id, type.name, 'scheduledTriggerActivePlanConflict');
        skipped.push({ resource: t.id, planId: String(e.details?.plan_id) });
      }
    }
    return { runs, skipped, blocked: null };
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

  async #begin(r: TriggerRequest, type: TaskTypeTraits, t: Target): Promise<TriggerRun> {
    const { parts, waiters } = this.#o;
    const plan = this.#plan(r, type, t);
    const first = waiters.first(plan.id);
    try {
      await this.#o.resources.locked(t.id, async () => {
        plan.kind = (await this.#o.kinds.kindOf(t.id))?.name ?? '';
        if (plan.kind === '') throw new TuttiError('NOT_FOUND', `there is no resource ${t.id}`, { field: 'tableName' });
        const passes = t.force || !parts.config.plans.enabled;
        await this.#o.post((done) => ({ kind: 'create', plan, passes, tick: r.tick ?? null, done }));
      });
    } catch (e) {
      waiters.forget(plan.id);
      throw e;
    }
    const planId = t.verdict === 'plan' ? plan.planId : null;
    const run = { resource: t.id, planId, taskName: batchName(plan, 0), taskId: null };
    // A tick is one of many and must not wait for a generator.
    if (r.via === 'cron') {
      waiters.forget(plan.id);
      return run;
    }
    const outcome = await first;
    switch (outcome.kind) {
      case 'batch':
        return { ...run, taskName: outcome.name, taskId: outcome.task < 0 ? null : this.#o.taskUuid(outcome.task) };
      case 'nothing':
        return { ...run, planId: null, taskName: null, ...(outcome.message === '' ? {} : { nothing: outcome.message }) };
      case 'ended':
        return { ...run, taskName: null };
      case 'failed':
        throw new TuttiError('GENERATION_FAILED', `${type.name} on ${t.id}: ${outcome.message}`);
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
    for (const resource of members) {
      try {
        const done = await this.trigger({ resource, taskType: type.name, via: 'schedule', triggeredBy, forceLegacy });
        result.runs.push(...done.runs.filter((run) => run.taskName !== null));
        for (const s of done.skipped) result.schedulingErrors.push(`${s.resource}: the plan ${s.planId} is live`);
        if (done.blocked !== null) result.schedulingErrors.push(`${resource}: ${done.blocked}`);
      } catch (e) {
        if (!isTuttiError(e)) throw e;
        (e.code === 'GENERATION_FAILED' || e.code === 'ORCHESTRATED_ONLY' ? result.generationErrors : result.schedulingErrors).push(
          `${resource}: ${e.message}`,
        );
      }
    }
    return result;
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
  const number = (key: string, fallback: number, min: number, max: number): number => {
    const text = settings[key];
    if (text === undefined) return fallback;
    const n = Number(text);
    if (text.trim() === '' || !Number.isFinite(n) || n < min || n > max)
      throw new TuttiError('INVALID_INPUT', `${key} must be a number from ${min} to ${max}, not ${JSON.stringify(text)}`, { field: `taskConfigs.${key}` });
    return n;
  };
  const { thresholdPercent, maxFailedBatches, maxBarrenBatches } = type.failurePolicy;
  // Read when a batch is made; what is wrong is said to whoever can mend it.
  number('taskBatchTimeoutSeconds', 0, 0, 1_000_000_000);
  return {
    thresholdPercent: number('taskPlanFailureThresholdPercent', thresholdPercent, 0, 100),
    maxFailedBatches: number('maxConsecutiveFailedBatches', maxFailedBatches, 1, 1_000_000),
    maxBarrenBatches,
  };
}
