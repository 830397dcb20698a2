/** Plans as they are seen from outside, and the door to them. */
import type { PlanStatusName } from '../core/plan.ts';
import type { PlanSource, TaskTypeTraits } from './plan-port.ts';
import type { Caller, ResourceAction } from './resource-port.ts';

/** State of a batch's task under the names of spec/startree.md §3. Null: it is not there any more, and nobody saw it end. */
export type BatchStateName = 'NOT_STARTED' | 'IN_PROGRESS' | 'STOPPED' | 'COMPLETED' | 'FAILED' | 'ABORTED' | 'TIMED_OUT';

export interface BatchView {
  batchSequence: number;
  submittedAtMs: number;
  submittedTaskName: string;
  taskState: BatchStateName | null;
  /** UUID of its task. */
  taskId: string;
  finishedAtMs: number | null;
  /** Of a batch that runs: as far as it is. */
  subtasks: { total: number; complete: number; failed: number; running: number };
  inputs: number;
}

export interface PlanView {
  planId: string;
  resource: string;
  taskType: string;
  status: PlanStatusName;
  source: PlanSource;
  properties: Record<string, string>;
  /** In the order they were submitted. */
  batches: BatchView[];
  inputsToProcess: number;
  inputsBeingProcessed: number;
  inputsProcessed: number;
  inputUnit: string;
  statusMessage: string;
  customStats: Record<string, string> | null;
  triggeredBy: string | null;
  createdAtMs: number;
  updatedAtMs: number;
  endedAtMs: number | null;
  /** Why it does not go on at the moment (stopped queue, full disk, kill switch); null: it does. */
  blocked: string | null;
}

export interface TriggerRequest {
  /** Id or short name of the resource. */
  resource: string;
  taskType: string;
  /** Ad hoc settings; those that are absent come from the resource's settings for the type. */
  settings?: Readonly<Record<string, string>>;
  /**
   * execute: an ad hoc call, refused (PLAN_ACTIVE) while a plan is live. schedule: a call to run what the resource's config says.
   * cron: the same from a tick. Both are skipped, and counted, while a plan is live.
   */
  via: 'execute' | 'schedule' | 'cron';
  triggeredBy?: string | null;
  /** Of a cron tick: written in the same commit as the plan or the task. */
  tick?: { schedule: number; at: number };
  /** Another member of the same trigger has the force-legacy flag: no plans for this type (spec/startree.md §7). */
  forceLegacy?: boolean;
  /** Part of the names of the tasks that are made. ALREADY_EXISTS while something of the pair and name lives. Absent: none. */
  taskName?: string;
}

export interface TriggerRun {
  resource: string;
  /** Null: a one-shot run. */
  planId: string | null;
  /** Name and UUID of the first batch's task; null: there was nothing to do, or it is not generated yet. */
  taskName: string | null;
  taskId: string | null;
  /** No batch was made: what was said to that, if anything. Without `planId` there was nothing to do, with it the plan has ended. */
  nothing?: string;
}

export interface TriggerResult {
  runs: TriggerRun[];
  /** Live plans because of which nothing was begun. */
  skipped: { resource: string; planId: string }[];
  /** Why nothing was begun, though nobody erred: a stopped queue, a full disk. */
  blocked: string | null;
}

export interface ScheduleResult {
  taskType: string;
  runs: TriggerRun[];
  generationErrors: string[];
  schedulingErrors: string[];
}

export interface GenerationRun {
  atMs: number;
  ok: boolean;
  /** `startPlan`, `nextBatch`, … */
  call: string;
  message: string;
}

export interface PlanMetrics {
  /** Counters and gauges of one (resource, task type). Gauges are absent when no plan is live. */
  pairs: {
    resource: string;
    taskType: string;
    taskPlanAborted: number;
    orchestrationCycleFailure: number;
    scheduledTriggerActivePlanConflict: number;
    taskGenerationFailureCount: number;
    /** 0 or 1; absent when no plan is live. */
    taskPlanProgressionBlocked?: number;
    taskPlanInputsToProcess?: number;
    taskPlanInputsBeingProcessed?: number;
    taskPlanInputsProcessed?: number;
    /** Ticks of schedules that were acted on, and the milliseconds they took in all; absent before the first. */
    cronSchedulerJobs?: { count: number; ms: number };
  }[];
  activeTaskPlansCount: number;
  taskPlansAbortingCount: number;
  orchestrationTimeSinceLastPollMs: number;
}

/** Plan ids are given as they are shown. Throws of every verb: INVALID_INPUT, STORE_UNAVAILABLE, SHUTTING_DOWN. */
export interface Plans {
  readonly enabled: boolean;
  /**
   * Begins a plan, or a one-shot run, as the decision order of spec/startree.md §7 says, for every id the name stands for: all or none.
   * Resolves when the first batch is durable, or there is nothing to do, or the generator failed and is to be tried again.
   * Throws NOT_FOUND (resource, task type), PLAN_ACTIVE, INVALID_INPUT (settings, also where `startPlan` will not begin with them),
   * ORCHESTRATED_ONLY, ALREADY_EXISTS (taskName), GENERATION_FAILED.
   */
  trigger(r: TriggerRequest): Promise<TriggerResult>;
  /** What the configs of resources say, for one type and resource or for all: grouped by type. */
  schedule(q: {
    taskType?: string;
    resource?: string;
    triggeredBy?: string | null;
    allowed?: (resource: string) => Promise<boolean>;
  }): Promise<ScheduleResult[]>;
  /** Throws NOT_FOUND. */
  plan(planId: string): Promise<PlanView>;
  /** Who a plan belongs to. Throws NOT_FOUND. */
  owner(planId: string): Promise<{ resource: string; taskType: string }>;
  isActive(planId: string): Promise<boolean>;
  /** Resolves when the plan has ended. Throws NOT_FOUND, also when it is removed meanwhile. */
  ended(planId: string): Promise<PlanView>;
  /** Whether the caller may do this. A resource of no known kind: nobody may. */
  authorise(caller: Caller, resource: string, action: ResourceAction): Promise<boolean>;
  /** Ids that a name stands for, by the kinds that are registered. Throws NOT_FOUND. */
  expand(name: string): Promise<string[]>;
  /** Of every status, newest last. */
  planIds(q: { resource: string; taskType: string }): Promise<string[]>;
  /** `once`: one-shot runs, too. They are no plans for anybody else. */
  active(q?: { resource?: string; taskType?: string; once?: boolean }): Promise<PlanView[]>;
  /** The newest of every status, newest first. */
  recent(q?: { resource?: string; taskType?: string; limit?: number }): Promise<PlanView[]>;
  /** Nothing new is generated from here on; a running batch ends by itself. Throws NOT_FOUND, ILLEGAL_STATE (it has ended). */
  abort(planId: string, o?: { by?: string; reason?: string }): Promise<PlanView>;
  taskTypes(): TaskTypeTraits[];
  /** Throws NOT_FOUND for a type nobody has. */
  taskType(name: string): TaskTypeTraits;
  /** Problems of settings, for whoever stores them; none: they are fine. Throws NOT_FOUND for an unknown type. */
  checkSettings(type: string, settings: Readonly<Record<string, string>>, resource: string): Promise<string[]>;
  /** No new batch of the type begins until it is resumed; durable. Running ones end by themselves. */
  stopQueue(taskType: string): Promise<void>;
  resumeQueue(taskType: string): Promise<void>;
  queue(taskType: string): Promise<{ state: 'IN_PROGRESS' | 'STOPPED' }>;
  /** The last five good and bad calls of the generator for the pair, newest first. */
  generatorRuns(resource: string, taskType: string): GenerationRun[];
  metrics(): PlanMetrics;
  /** One sweep for plans whose resource is gone: how many were removed. */
  sweep(): Promise<number>;
  /** One look at every live plan, as the poll makes it. */
  poll(): Promise<void>;
}
