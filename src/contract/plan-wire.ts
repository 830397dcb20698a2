/** What the routes of task plans answer with. Names are those that clients of a Pinot controller know, so they are camelCase here. */
import { z } from 'zod';
import { PLAN_SOURCES, PLAN_STATUSES } from '../core/plan.ts';
import { components } from './wire.ts';

const count = z.int().nonnegative();
const text = z.string();
const texts = z.record(z.string(), z.string());
const epochMs = z.int().describe('Milliseconds since 1970');

export const BATCH_STATES = ['NOT_STARTED', 'IN_PROGRESS', 'STOPPED', 'COMPLETED', 'FAILED', 'ABORTED', 'TIMED_OUT'] as const;

export const planBatch = z
  .object({
    batchSequence: count.describe('From 0'),
    submittedAtMs: epochMs,
    submittedTaskName: text,
    taskState: z.enum(BATCH_STATES).nullable().describe("State of the batch's task. Null: it is not there any more, and nobody saw it end"),
    taskId: z.guid().describe('Its task, as GET /v1/tasks/{id} shows it'),
    finishedAtMs: epochMs.nullable(),
    subtasks: z.object({ total: count, complete: count, failed: count, running: count }),
    inputs: count.describe('Input units it was given'),
  })
  .register(components, { id: 'TaskPlanBatch' });

export const plan = z
  .object({
    planId: text.describe('`<tableNameWithType>__<taskType>__<uuid>`'),
    tableNameWithType: text.describe('What it works on'),
    resource: text.describe('The same, for what is no table'),
    taskType: text,
    status: z.enum(PLAN_STATUSES),
    source: z.enum(PLAN_SOURCES),
    properties: texts.describe('Settings as they were when the plan was made; every batch is generated from them'),
    batches: z.array(planBatch).describe('In the order they were submitted'),
    inputsToProcess: count,
    inputsBeingProcessed: count,
    inputsProcessed: count,
    inputUnit: text.describe('What the counts above count'),
    statusMessage: text,
    customStats: texts.nullable(),
    triggeredBy: text.nullable(),
    createdAtMs: epochMs,
    updatedAtMs: epochMs,
    endedAtMs: epochMs.nullable(),
    blocked: text.nullable().describe('Why it does not go on at the moment: a stopped queue, a full disk, the kill switch'),
  })
  .register(components, { id: 'TaskPlan' });

export const planEnding = z.object({ status: z.enum(PLAN_STATUSES), planId: text, statusMessage: text }).register(components, { id: 'TaskPlanEnding' });

export const startedTasks = z
  .record(z.string(), z.string())
  .register(components, { id: 'StartedTasks', description: "Table with type → name of the first batch's task. Empty: nothing was begun." });

export const scheduledTasks = z.record(z.string(), z.string().nullable()).register(components, {
  id: 'ScheduledTasks',
  description:
    'Task type → names of the tasks that were begun, separated by commas; null: none. `generationErrors` and `schedulingErrors` say why, empty where there is nothing to say.',
});

export const taskType = z
  .object({
    name: text,
    supportsOrchestration: z.boolean().describe('Runs as a plan where it is asked to'),
    orchestratedOnly: z.boolean().describe('Runs as a plan only'),
    description: text.nullable(),
    aliases: z.array(text),
    inputUnit: text,
  })
  .register(components, { id: 'TaskType' });

export const queueChanged = z.object({ status: text }).register(components, { id: 'QueueChanged' });
export const queueState = z.enum(['IN_PROGRESS', 'STOPPED']);

export const generatorRuns = z
  .object({
    tableNameWithType: text,
    taskType: text,
    mostRecentSuccessRunTS: z.array(z.iso.datetime()).describe('The last five'),
    mostRecentErrorRunMessages: texts.describe('Time → message, of the last five'),
    runs: z.array(z.object({ atMs: epochMs, ok: z.boolean(), call: text, message: text })).describe('All of these, newest first'),
  })
  .register(components, { id: 'GeneratorRuns' });

export type WirePlan = z.output<typeof plan>;
export type WirePlanBatch = z.output<typeof planBatch>;
export type WirePlanEnding = z.output<typeof planEnding>;
export type WireStartedTasks = z.output<typeof startedTasks>;
export type WireScheduledTasks = z.output<typeof scheduledTasks>;
export type WireTaskType = z.output<typeof taskType>;
export type WireQueueChanged = z.output<typeof queueChanged>;
export type WireQueueState = z.output<typeof queueState>;
export type WireGeneratorRuns = z.output<typeof generatorRuns>;
