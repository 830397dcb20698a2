/** `Plans` without an engine: what tests put there, and a record of what was asked. For tests of what lies in front of it. */
import { TuttiError } from '../../src/core/errors.ts';
import type { TaskTypeTraits } from '../../src/engine/plan-port.ts';
import type { GenerationRun, PlanMetrics, Plans, PlanView, ScheduleResult, TriggerRequest, TriggerResult } from '../../src/engine/plan-views.ts';
import type { Caller, ResourceAction } from '../../src/engine/resource-port.ts';

export const UUID = '01900000-0000-7000-8000-00000000000';

export const traits = (name: string, o: Partial<TaskTypeTraits> = {}): TaskTypeTraits => ({
  name,
  aliases: [],
  description: null,
  supportsOrchestration: true,
  orchestratedOnly: false,
  inputUnit: 'segments',
  hasStart: true,
  hasFinish: true,
  hasEnd: true,
  failurePolicy: { thresholdPercent: 100, maxFailedBatches: 3, maxBarrenBatches: 3 },
  callTimeoutMs: 60_000,
  ...o,
});

export const planView = (n: number, o: Partial<PlanView> = {}): PlanView => {
  const resource = o.resource ?? 'myTable_OFFLINE';
  const taskType = o.taskType ?? 'SegmentPurgeTask';
  return {
    planId: `${resource}__${taskType}__${UUID}${n}`,
    resource,
    taskType,
    status: 'ACTIVE',
    source: 'ADHOC_CONFIG',
    properties: { enableTaskOrchestration: 'true' },
    batches: [
      {
        batchSequence: 0,
        submittedAtMs: 1_767_225_600_000,
        submittedTaskName: `Task_${taskType}_${UUID}${n}_0`,
        taskState: 'COMPLETED',
        taskId: `${UUID}a`,
        finishedAtMs: 1_767_225_601_000,
        subtasks: { total: 10, complete: 10, failed: 0, running: 0 },
        inputs: 10,
      },
      {
        batchSequence: 1,
        submittedAtMs: 1_767_225_601_000,
        submittedTaskName: `Task_${taskType}_${UUID}${n}_1`,
        taskState: 'IN_PROGRESS',
        taskId: `${UUID}b`,
        finishedAtMs: null,
        subtasks: { total: 10, complete: 3, failed: 1, running: 6 },
        inputs: 10,
      },
    ],
    inputsToProcess: 25,
    inputsBeingProcessed: 10,
    inputsProcessed: 10,
    inputUnit: 'segments',
    statusMessage: 'Batch 1 runs: 10 subtasks.',
    customStats: null,
    triggeredBy: null,
    createdAtMs: 1_767_225_600_000,
    updatedAtMs: 1_767_225_601_000,
    endedAtMs: null,
    blocked: null,
    ...o,
  };
};

const LIVE = ['ACTIVE', 'ABORTING'];

export class FakePlans implements Plans {
  enabled = true;
  readonly calls: { verb: string; args: unknown }[] = [];
  /** Oldest first. */
  views: PlanView[] = [];
  types: TaskTypeTraits[] = [
    traits('SegmentPurgeTask', { description: 'Rewrites segments without some of their rows' }),
    traits('StarTreeAlterTableTask', { aliases: ['AlterTableTask'], orchestratedOnly: true }),
  ];
  /** Short name → ids. */
  readonly names = new Map<string, string[]>([['myTable_OFFLINE', ['myTable_OFFLINE']]]);
  may: (caller: Caller, resource: string, action: ResourceAction) => boolean = () => true;
  result: TriggerResult = { runs: [], skipped: [], blocked: null };
  scheduled: ScheduleResult[] = [];
  runs: GenerationRun[] = [];
  stopped = new Set<string>();
  /** Thrown by the next verb of this name, once. */
  readonly failures = new Map<string, unknown>();
  counts: PlanMetrics = { pairs: [], activeTaskPlansCount: 0, taskPlansAbortingCount: 0, orchestrationTimeSinceLastPollMs: 0 };
  readonly #ends: (() => void)[] = [];

  #enter(verb: string, args?: unknown): void {
    this.calls.push({ verb, args });
    const failure = this.failures.get(verb);
    if (failure === undefined) return;
    this.failures.delete(verb);
    throw failure;
  }

  async trigger(r: TriggerRequest): Promise<TriggerResult> {
    this.#enter('trigger', r);
    this.taskType(r.taskType);
    return this.result;
  }
  async schedule(q: Parameters<Plans['schedule']>[0] = {}): Promise<ScheduleResult[]> {
    this.#enter('schedule', q);
    const allowed = q.allowed ?? (async () => true);
    return Promise.all(
      this.scheduled.map(async (s) => {
        const may = await Promise.all(s.runs.map((r) => allowed(r.resource)));
        return { ...s, runs: s.runs.filter((_, i) => may[i]) };
      }),
    );
  }
  async plan(planId: string): Promise<PlanView> {
    this.#enter('plan', planId);
    return this.#found(planId);
  }
  async owner(planId: string): Promise<{ resource: string; taskType: string }> {
    return this.#found(planId);
  }
  async isActive(planId: string): Promise<boolean> {
    return LIVE.includes(this.#found(planId).status);
  }
  async ended(planId: string): Promise<PlanView> {
    while (LIVE.includes(this.#found(planId).status)) await new Promise<void>((resolve) => this.#ends.push(resolve));
    return this.#found(planId);
  }
  async authorise(caller: Caller, resource: string, action: ResourceAction): Promise<boolean> {
    return this.may(caller, resource, action);
  }
  async expand(name: string): Promise<string[]> {
    const ids = this.names.get(name);
    if (ids === undefined) throw new TuttiError('NOT_FOUND', `there is no table ${name}`, { field: 'tableName' });
    return ids;
  }
  async planIds(q: { resource: string; taskType: string }): Promise<string[]> {
    this.#enter('planIds', q);
    return this.#matching(q).map((v) => v.planId);
  }
  async active(q: { resource?: string; taskType?: string } = {}): Promise<PlanView[]> {
    this.#enter('active', q);
    return this.#matching(q).filter((v) => LIVE.includes(v.status));
  }
  async recent(q: { resource?: string; taskType?: string; limit?: number } = {}): Promise<PlanView[]> {
    this.#enter('recent', q);
    return this.#matching(q).toReversed().slice(0, q.limit);
  }
  async abort(planId: string, o?: { by?: string; reason?: string }): Promise<PlanView> {
    this.#enter('abort', { planId, ...o });
    const v = this.#found(planId);
    if (!LIVE.includes(v.status)) throw new TuttiError('ILLEGAL_STATE', `the plan ${planId} is ${v.status}`);
    return this.change(planId, { status: 'ABORTING', statusMessage: o?.reason ?? 'Aborted by request.' });
  }
  taskTypes(): TaskTypeTraits[] {
    return this.types;
  }
  taskType(name: string): TaskTypeTraits {
    const found = this.types.find((t) => t.name === name || t.aliases.includes(name));
    if (found === undefined) throw new TuttiError('NOT_FOUND', `there is no task type ${name}`, { field: 'taskType' });
    return found;
  }
  async checkSettings(): Promise<string[]> {
    return [];
  }
  async stopQueue(taskType: string): Promise<void> {
    this.#enter('stopQueue', taskType);
    this.stopped.add(taskType);
  }
  async resumeQueue(taskType: string): Promise<void> {
    this.#enter('resumeQueue', taskType);
    this.stopped.delete(taskType);
  }
  async queue(taskType: string): Promise<{ state: 'IN_PROGRESS' | 'STOPPED' }> {
    return { state: this.stopped.has(taskType) ? 'STOPPED' : 'IN_PROGRESS' };
  }
  generatorRuns(): GenerationRun[] {
    return this.runs;
  }
  metrics(): PlanMetrics {
    return this.counts;
  }
  async sweep(): Promise<number> {
    return 0;
  }
  async poll(): Promise<void> {}

  /** What happens to a plan meanwhile. */
  change(planId: string, o: Partial<PlanView>): PlanView {
    const changed = { ...this.#found(planId), ...o };
    this.views = this.views.map((v) => (v.planId === planId ? changed : v));
    for (const end of this.#ends.splice(0)) end();
    return changed;
  }

  #found(planId: string): PlanView {
    const found = this.views.find((v) => v.planId === planId);
    if (found === undefined) throw new TuttiError('NOT_FOUND', `there is no task plan ${planId}`);
    return found;
  }
  #matching(q: { resource?: string; taskType?: string }): PlanView[] {
    return this.views.filter((v) => (q.resource === undefined || v.resource === q.resource) && (q.taskType === undefined || v.taskType === q.taskType));
  }
}
