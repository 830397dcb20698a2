/** Task plans as users of the SDK begin and follow them. Everything else that can be done with them: `tutti.engine.plans`. */
import { TuttiError } from '../../core/errors.ts';
import { showValue } from '../../core/show-value.ts';
import type { TaskTypeTraits } from '../../engine/plan-port.ts';
import type { Plans, PlanView, TriggerRun } from '../../engine/plan-views.ts';
import type { LocalGeneratorHost } from './local-generator-host.ts';
import { PlanHandle } from './plan-handle.ts';
import type { AnyTaskType } from './task-type.ts';

/** Numbers, true and false become text. */
export type RunSettings = Readonly<Record<string, string | number | boolean>>;

export interface RunOptions {
  /** Kept with the plan, for people. */
  triggeredBy?: string;
}

export class TaskPlans {
  readonly #plans: Plans;
  readonly #host: LocalGeneratorHost | undefined;

  constructor(plans: Plans, host: LocalGeneratorHost | undefined) {
    this.#plans = plans;
    this.#host = host;
  }

  /**
   * Begins a plan for one resource and resolves when its first batch is durable; null: there was nothing to do, and nothing is kept. Settings
   * that are absent come from the resource's own for the type. Throws NOT_FOUND (resource, task type), PLAN_ACTIVE, INVALID_INPUT (settings;
   * a name that stands for several resources), and ILLEGAL_STATE where no plan can begin now: plans are switched off, the type runs without
   * them, its queue is stopped, the disk is full.
   */
  async run(type: string | AnyTaskType, resource: string, settings: RunSettings = {}, o: RunOptions = {}): Promise<PlanHandle | null> {
    const plans = this.#plans;
    const { name, supportsOrchestration } = plans.taskType(nameOf(type));
    if (!supportsOrchestration) throw new TuttiError('ILLEGAL_STATE', `the task type ${name} runs in single batches: begin one with plans.runOnce`);
    if (!plans.enabled) throw new TuttiError('ILLEGAL_STATE', 'task plans are switched off: nothing begins until they are on again');
    const run = await this.#trigger(name, resource, { ...settings, enableTaskOrchestration: 'true' }, o);
    if (run === null) return null;
    if (run.planId === null)
      throw new TuttiError('ILLEGAL_STATE', `the settings of ${resource} for ${name} say forceLegacyTaskFlow: one batch began, and no plan`);
    return new PlanHandle(plans, run.planId);
  }

  /** One batch and no plan: the UUID of its task, as `tutti.get` takes it; null: there was nothing to do. Throws as `run`, and ORCHESTRATED_ONLY. */
  async runOnce(type: string | AnyTaskType, resource: string, settings: RunSettings = {}, o: RunOptions = {}): Promise<string | null> {
    const { name } = this.#plans.taskType(nameOf(type));
    return (await this.#trigger(name, resource, { ...settings, enableTaskOrchestration: 'false' }, o))?.taskId ?? null;
  }

  /** A plan that exists, live or ended. Throws NOT_FOUND. */
  async get(planId: string): Promise<PlanHandle> {
    const view = await this.#plans.plan(planId);
    return new PlanHandle(this.#plans, view.planId);
  }

  /** The newest of every status, newest first. */
  list(q: { resource?: string; type?: string | AnyTaskType; limit?: number } = {}): Promise<PlanView[]> {
    return this.#plans.recent({ ...filterOf(q), ...(q.limit === undefined ? {} : { limit: q.limit }) });
  }

  /** Those that have not ended. */
  active(q: { resource?: string; type?: string | AnyTaskType } = {}): Promise<PlanView[]> {
    return this.#plans.active(filterOf(q));
  }

  /** What can be run here. */
  types(): TaskTypeTraits[] {
    return this.#plans.taskTypes();
  }

  /** Makes a task type known. Throws INVALID_INPUT that names the field. `replace`: one of this name gives way; running calls keep their code. */
  register(type: AnyTaskType, o: { replace?: boolean } = {}): this {
    if (this.#host === undefined) throw new TuttiError('ILLEGAL_STATE', 'this process runs no task types');
    this.#host.register([type], o);
    return this;
  }

  async #trigger(taskType: string, resource: string, settings: RunSettings, { triggeredBy }: RunOptions): Promise<TriggerRun | null> {
    const plans = this.#plans;
    const texts = textsOf(settings);
    const ids = await plans.expand(resource);
    if (ids.length > 1)
      throw new TuttiError('INVALID_INPUT', `resource: ${showValue(resource)} stands for ${ids.join(', ')}: name one of them`, { field: 'resource' });
    const { runs, blocked } = await plans.trigger({
      resource,
      taskType,
      settings: texts,
      via: 'execute',
      ...(triggeredBy === undefined ? {} : { triggeredBy }),
    });
    if (blocked !== null) throw new TuttiError('ILLEGAL_STATE', `no batch of ${taskType} can begin now: ${blocked}`);
    const run = runs.at(0);
    return run === undefined || (run.planId === null && run.taskId === null) ? null : run;
  }
}

const nameOf = (type: string | AnyTaskType): string => (typeof type === 'string' ? type : type.name);

const filterOf = (q: { resource?: string; type?: string | AnyTaskType }): { resource?: string; taskType?: string } => ({
  ...(q.resource === undefined ? {} : { resource: q.resource }),
  ...(q.type === undefined ? {} : { taskType: nameOf(q.type) }),
});

function textsOf(settings: RunSettings): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [key, value] of Object.entries(settings)) {
    const kind = typeof value;
    if (kind !== 'string' && kind !== 'boolean' && !(kind === 'number' && Number.isFinite(value))) {
      throw new TuttiError('INVALID_INPUT', `settings.${key} must be text, a number, true or false, not ${showValue(value)}`, { field: `settings.${key}` });
    }
    texts[key] = String(value);
  }
  return texts;
}
