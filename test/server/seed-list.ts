/** What the text of issue 4 names: endpoints, properties, fields, metrics, snippets. Tests read it from here, so that nothing is left out. */

/** As written there; the handler that answers. */
export const SEED_ENDPOINTS = [
  ['GET', '/tasks/taskPlans/isActive/{taskPlanId}', 'isPlanActive'],
  ['GET', '/tasks/taskPlans/{planId}', 'getPlan'],
  ['GET', '/tasks/taskPlans', 'listPlanIds'],
  ['GET', '/tasks/taskPlans/active', 'activePlans'],
  ['GET', '/tasks/taskPlans/active/ids', 'activePlanIds'],
  ['DELETE', '/tasks/taskPlans/{planId}', 'abortPlan'],
] as const;

/** Others that spec/startree.md §8 and the issue ask for. */
export const OTHER_ENDPOINTS = [
  ['POST', '/tasks/execute', 'executeTaskType'],
  ['POST', '/tasks/schedule', 'scheduleTaskTypes'],
  ['GET', '/tasks/tasktypes', 'listTaskTypes'],
  ['PUT', '/tasks/{taskType}/stop', 'stopQueue'],
  ['PUT', '/tasks/{taskType}/resume', 'resumeQueue'],
  ['GET', '/tasks/{taskType}/state', 'queueState'],
  ['GET', '/tasks/generator/{tableNameWithType}/{taskType}/debug', 'generatorDebug'],
] as const;

/** Property of the controller → our key and what it is there by default. */
export const SEED_PROPERTIES = [
  ['controller.startree.task.manager.enableTaskOrchestration', 'orchestration.plans.enabled', true],
  ['controller.startree.task.manager.orphanedTaskPlanCleanupIntervalInSeconds', 'orchestration.plans.orphan_cleanup_interval_seconds', 28_800],
] as const;

type FieldType = 'String' | 'Enum' | 'Map<String, String>' | 'List' | 'Long' | 'Integer';

export const SEED_PLAN_FIELDS: readonly (readonly [string, FieldType])[] = [
  ['planId', 'String'],
  ['tableNameWithType', 'String'],
  ['taskType', 'String'],
  ['status', 'Enum'],
  ['source', 'String'],
  ['properties', 'Map<String, String>'],
  ['batches', 'List'],
  ['inputsToProcess', 'Long'],
  ['inputsBeingProcessed', 'Long'],
  ['inputUnit', 'String'],
  ['statusMessage', 'String'],
  ['customStats', 'Map<String, String>'],
];

export const SEED_STATUSES = ['ACTIVE', 'COMPLETED', 'CANCELLED', 'ABORTING', 'FAILED'] as const;
export const SEED_SOURCES = ['ADHOC_CONFIG', 'TABLE_CONFIG'] as const;

export const SEED_BATCH_FIELDS: readonly (readonly [string, FieldType])[] = [
  ['batchSequence', 'Integer'],
  ['submittedAtMs', 'Long'],
  ['submittedTaskName', 'String'],
  ['taskState', 'Enum'],
];

/** Of a table and task type. */
export const SEED_METERS = [
  'taskPlanAborted',
  'orchestrationCycleFailure',
  'taskPlanProgressionBlocked',
  'scheduledTriggerActivePlanConflict',
  'taskGenerationFailureCount',
] as const;
export const SEED_GAUGES = ['taskPlanInputsToProcess', 'taskPlanInputsBeingProcessed', 'taskPlanInputsProcessed'] as const;
/** Of the process. */
export const SEED_GLOBAL_GAUGES = ['activeTaskPlansCount', 'taskPlansAbortingCount', 'orchestrationTimeSinceLastPollMs'] as const;

export const SEED_TASK_TYPES = ['FileIngestionTask', 'SegmentPurgeTask', 'DataExportTask'] as const;

export const SEED_EXECUTE = `{
"taskType": "SegmentPurgeTask",
"tableName": "myTable_OFFLINE",
"taskConfigs": {
"enableTaskOrchestration": "true"
}
}`;

export const SEED_TABLE_CONFIG = `{
"task": {
"taskTypeConfigsMap": {
"SegmentPurgeTask": {
"schedule": "0 0 2 * * ?",
"enableTaskOrchestration": "true"
}
}
}
}`;

export const SEED_LEGACY_CONFIG = `{
"task": {
"taskTypeConfigsMap": {
"SegmentPurgeTask": {
"schedule": "0 0 2 * * ?",
"forceLegacyTaskFlow": "true"
}
}
}
}`;
