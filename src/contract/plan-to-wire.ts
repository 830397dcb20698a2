/** From the engine's views of plans to the wire. */
import type { TaskTypeTraits } from '../engine/plan-port.ts';
import type { BatchView, GenerationRun, PlanView, ScheduleResult, TriggerRun } from '../engine/plan-views.ts';
import type { WireGeneratorRuns, WirePlan, WirePlanBatch, WireScheduledTasks, WireStartedTasks, WireTaskType } from './plan-wire.ts';

export const batchToWire = (b: BatchView): WirePlanBatch => ({
  batchSequence: b.batchSequence,
  submittedAtMs: b.submittedAtMs,
  submittedTaskName: b.submittedTaskName,
  taskState: b.taskState,
  taskId: b.taskId,
  finishedAtMs: b.finishedAtMs,
  subtasks: { total: b.subtasks.total, complete: b.subtasks.complete, failed: b.subtasks.failed, running: b.subtasks.running },
  inputs: b.inputs,
});

/** `lastBatches`: no more than so many of its batches, the last ones. */
export const planToWire = (p: PlanView, lastBatches = Infinity): WirePlan => ({
  planId: p.planId,
  tableNameWithType: p.resource,
  resource: p.resource,
  taskType: p.taskType,
  status: p.status,
  source: p.source,
  properties: p.properties,
  batches: p.batches.slice(Math.max(0, p.batches.length - lastBatches)).map(batchToWire),
  inputsToProcess: p.inputsToProcess,
  inputsBeingProcessed: p.inputsBeingProcessed,
  inputsProcessed: p.inputsProcessed,
  inputUnit: p.inputUnit,
  statusMessage: p.statusMessage,
  customStats: p.customStats,
  triggeredBy: p.triggeredBy,
  createdAtMs: p.createdAtMs,
  updatedAtMs: p.updatedAtMs,
  endedAtMs: p.endedAtMs,
  blocked: p.blocked,
});

export const startedToWire = (runs: readonly TriggerRun[]): WireStartedTasks =>
  Object.fromEntries(runs.flatMap((r) => (r.taskName === null ? [] : [[r.resource, r.taskName]])));

/** `asked`: a type that is named in the answer even where nothing of it ran. */
export const scheduledToWire = (results: readonly ScheduleResult[], asked?: string): WireScheduledTasks => ({
  ...(asked === undefined ? {} : { [asked]: null }),
  ...Object.fromEntries(
    results.map((r) => {
      const names = r.runs.flatMap((run) => run.taskName ?? []);
      return [r.taskType, names.length === 0 ? null : names.join(',')];
    }),
  ),
  generationErrors: results.flatMap((r) => r.generationErrors).join('; '),
  schedulingErrors: results.flatMap((r) => r.schedulingErrors).join('; '),
});

export const taskTypeToWire = (t: TaskTypeTraits): WireTaskType => ({
  name: t.name,
  supportsOrchestration: t.supportsOrchestration,
  orchestratedOnly: t.orchestratedOnly,
  description: t.description,
  aliases: [...t.aliases],
  inputUnit: t.inputUnit,
});

export const generatorRunsToWire = (resource: string, taskType: string, runs: readonly GenerationRun[]): WireGeneratorRuns => {
  const at = (r: GenerationRun): string => new Date(r.atMs).toISOString();
  const inOrder = runs.toReversed();
  return {
    tableNameWithType: resource,
    taskType,
    mostRecentSuccessRunTS: inOrder.filter((r) => r.ok).map(at),
    mostRecentErrorRunMessages: Object.fromEntries(inOrder.filter((r) => !r.ok).map((r) => [at(r), r.message])),
    runs: runs.map((r) => ({ atMs: r.atMs, ok: r.ok, call: r.call, message: r.message })),
  };
};
