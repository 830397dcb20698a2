/**
 * What the REST API answers with, as schemas: the source of the OpenAPI components and of the types that to-wire.ts must produce.
 * Nothing is validated with them on the way out. They live in a registry of their own, because the global one of zod belongs to the
 * program that embeds us.
 */
import { z } from 'zod';
import { baseState, executionStatus, healthStatus, recommendedAction, stepState, taskStatus } from './status.ts';

/** Schemas that become `#/components/schemas/<id>`. */
export const components = z.registry<{ id: string; description?: string }>();

const time = z.iso.datetime().describe('RFC 3339, UTC, milliseconds');
const uuid = z.guid();
const count = z.int().nonnegative();
const json = z.unknown();
const object = z.record(z.string(), z.unknown());

export const stepError = z
  .object({
    code: z.string().describe('Stable word, such as handler_error, step_timeout, attempt_lost, unstorable_result, cancelled'),
    message: z.string(),
    retryable: z.boolean(),
    stack: z.string().optional(),
  })
  .register(components, { id: 'StepError', description: 'What a failed attempt left behind.' });

export const progress = z.object({ fraction: z.number().min(0).max(1), message: z.string().nullable(), at: time }).register(components, { id: 'Progress' });

export const step = z
  .object({
    step_uuid: uuid,
    task_uuid: uuid,
    name: z.string(),
    handler: z.string(),
    current_state: stepState,
    base_state: baseState.describe('current_state with waiting_for_retry shown as pending and waiting_for_children as in_progress'),
    reason: z.string().nullable().describe('Why a cancelled step was cancelled'),
    created_at: time,
    updated_at: time,
    started_at: time.nullable(),
    completed_at: time.nullable(),
    dependencies: z.array(z.object({ name: z.string(), required: z.boolean() })),
    dependencies_satisfied: z.boolean(),
    retry_eligible: z.boolean(),
    ready_for_execution: z.boolean(),
    total_parents: count,
    completed_parents: count,
    attempts: count,
    max_attempts: count,
    last_failure_at: time.nullable(),
    next_retry_at: time.nullable(),
    last_attempted_at: time.nullable(),
    priority: z.int().min(0).max(3),
    error: stepError.nullable(),
    results: json.optional().describe('What the handler returned; null until the step is complete; absent when not asked for'),
    checkpoint: json.optional(),
    progress: progress.nullable(),
    stopping: z.boolean().describe('The handler was told to stop and has not returned yet'),
  })
  .register(components, { id: 'StepResponse' });

const taskFields = {
  task_uuid: uuid,
  name: z.string(),
  namespace: z.string(),
  version: z.string(),
  status: taskStatus,
  priority: z.int().min(0).max(3).describe('0 is urgent and goes first'),
  policy: z.string().describe('What an unhandled failure does: fail, fail_fast, block or record'),
  created_at: time,
  updated_at: time,
  completed_at: time.nullable(),
  deadline_at: time.nullable(),
  initiator: z.string(),
  source_system: z.string(),
  reason: z.string(),
  tags: z.array(z.string()),
  correlation_id: z.string(),
  parent_correlation_id: z.string().nullable(),
  error: stepError.nullable(),
  total_steps: count,
  pending_steps: count,
  in_progress_steps: count,
  completed_steps: count,
  failed_steps_count: count,
  cancelled_steps: count,
  ready_steps: count,
  stopping: count.describe('Attempts told to stop whose handlers have not returned yet'),
  execution_status: executionStatus,
  recommended_action: recommendedAction,
  completion_percentage: z.number().min(0).max(100),
  health_status: healthStatus,
};

export const taskSummary = z.object(taskFields).register(components, { id: 'TaskSummary', description: 'A task as lists show it.' });

export const task = z
  .object({
    ...taskFields,
    context: json.optional().describe('The submitted input'),
    failed_steps: z.array(z.string()).describe('Names of the steps that ended in error, handled failures included'),
    steps: z.array(step).nullable().optional().describe('Without their results; null for a task of more than 1,000 steps'),
  })
  .register(components, { id: 'TaskResponse' });

export const pagination = z
  .object({
    page: count,
    per_page: count,
    total_count: count.describe('At most 10,000'),
    total_count_capped: z.boolean().describe('There are more than total_count says'),
    total_pages: count,
    has_next: z.boolean(),
    has_previous: z.boolean(),
  })
  .register(components, { id: 'Pagination' });

export const taskList = z
  .object({
    tasks: z.array(taskSummary),
    next_cursor: z.string().nullable().describe('Give it as `cursor` for the next page; null on the last'),
    pagination: pagination.nullable().describe('Present when page or per_page was given'),
  })
  .register(components, { id: 'TaskListResponse' });

export const auditRow = z
  .object({
    audit_uuid: uuid,
    task_uuid: uuid,
    step_uuid: uuid,
    step_name: z.string(),
    token: count.describe('The attempt: grows with every attempt of the step, across resets too'),
    attempt: count,
    recorded_at: time,
    started_at: time,
    outcome: z.string().describe('completed, failed, cancelled, timeout, lost, late or stopping'),
    success: z.boolean(),
    execution_time_ms: z.number().nonnegative(),
    from_state: z.string(),
    to_state: z.string(),
    error: stepError.nullable(),
  })
  .register(components, { id: 'AuditRow', description: 'The recorded outcome of one attempt.' });

export const stepExplanation = z
  .object({
    step_uuid: uuid,
    name: z.string(),
    current_state: stepState,
    runnable: z.boolean().describe('Nothing but its turn keeps it from running'),
    gates: z.array(z.object({ kind: z.string(), message: z.string(), details: object })),
  })
  .register(components, { id: 'StepExplanation' });

export const logLine = z
  .object({ at: time, level: z.string(), message: z.string(), token: count })
  .register(components, { id: 'LogLine', description: 'A line that a handler logged.' });

export const taskEvent = z
  .object({
    seq: count.optional().describe('Place in the log of the task; absent on progress, which is not replayed'),
    at: time,
    type: z.string().describe('task.state, step.state, step.attempt, steps.ended, step.progress or task.patched'),
    task_uuid: uuid,
    data: object,
    last: z.literal(true).optional().describe('The stream closes after this one'),
  })
  .register(components, { id: 'TaskEvent', description: 'The `data` line of one event.' });

export const bulkResult = z.object({ task_uuids: z.array(uuid), count }).register(components, { id: 'BulkCreateResponse' });

export const templateSummary = z
  .object({
    namespace: z.string(),
    name: z.string(),
    version: z.string(),
    revision: count,
    description: z.string().nullable(),
    registered: z.boolean().describe('False: known from the store only, its code is not loaded'),
    step_count: count,
    created_at: time,
  })
  .register(components, { id: 'TemplateSummary' });

export const templateStep = z
  .object({
    name: z.string(),
    description: z.string().nullable(),
    type: z.string(),
    handler: z.object({ callable: z.string(), method: z.string().nullable(), initialization: object }),
    dependencies: z.array(z.object({ name: z.string(), required: z.boolean() })),
    retry: z.object({
      retryable: z.boolean(),
      max_attempts: count,
      backoff: z.string(),
      backoff_base_ms: z.number(),
      max_backoff_ms: z.number(),
      jitter: z.number(),
    }),
    timeout_seconds: z.number().nullable(),
    heartbeat_seconds: z.number().nullable(),
    priority: z.int().nullable(),
    allow_failure: z.boolean(),
    cancelable: z.boolean(),
  })
  .register(components, { id: 'TemplateStep' });

export const templateDetail = z
  .object({
    ...templateSummary.shape,
    metadata: object,
    input_schema: object.nullable().describe('JSON Schema of the context that its tasks take'),
    steps: z.array(templateStep),
    returns: z.union([z.string(), z.array(z.string())]).nullable(),
    policy: z.string(),
    priority: z.int().nullable(),
    deadline_seconds: z.number().nullable(),
    lifecycle: object.nullable(),
  })
  .register(components, { id: 'TemplateDetail' });

export const templateVersions = z
  .object({ namespace: z.string(), name: z.string(), versions: z.array(templateSummary) })
  .register(components, { id: 'TemplateVersions' });

export const templateList = z
  .object({ namespaces: z.array(z.string()), templates: z.array(templateSummary), total_count: count })
  .register(components, { id: 'TemplateListResponse' });

const healthWord = z.enum(['starting', 'ready', 'degraded', 'draining', 'stopped']);
export const health = z.object({ status: healthWord, timestamp: time }).register(components, { id: 'Health' });
export const liveness = z.object({ status: z.literal('alive'), timestamp: time }).register(components, { id: 'Liveness' });
export const readiness = z
  .object({
    status: healthWord,
    ready: z.boolean(),
    timestamp: time,
    checks: z.array(z.object({ name: z.string(), ok: z.boolean(), message: z.string() })),
  })
  .register(components, { id: 'Readiness' });
export const healthDetail = z
  .object({
    ...readiness.shape,
    uptime_seconds: z.number(),
    actors: z.array(z.object({ name: z.string(), depth: count, capacity: count, saturation: z.number(), accepted: count, refused: count })),
    slots: z.object({ total: count, used: count, stopping: count }),
  })
  .register(components, { id: 'HealthDetail' });

export const errorBody = z
  .object({
    error: z.object({
      code: z.string().describe('Match on this, never on the message; docs/errors.md lists all'),
      message: z.string(),
      field: z.string().optional().describe('Path of what was wrong, such as priority or tasks[3].context'),
      details: object.optional(),
      request_id: z.string(),
      retry_after_seconds: z.number().optional(),
    }),
  })
  .register(components, { id: 'ErrorResponse' });

export type WireStepError = z.output<typeof stepError>;
export type WireStep = z.output<typeof step>;
export type WireTask = z.output<typeof task>;
export type WireTaskSummary = z.output<typeof taskSummary>;
export type WireTaskList = z.output<typeof taskList>;
export type WireAuditRow = z.output<typeof auditRow>;
export type WireStepExplanation = z.output<typeof stepExplanation>;
export type WireLogLine = z.output<typeof logLine>;
export type WireTaskEvent = z.output<typeof taskEvent>;
export type WireBulkResult = z.output<typeof bulkResult>;
export type WireTemplateSummary = z.output<typeof templateSummary>;
export type WireTemplateDetail = z.output<typeof templateDetail>;
export type WireTemplateVersions = z.output<typeof templateVersions>;
export type WireTemplateList = z.output<typeof templateList>;
export type WireReadiness = z.output<typeof readiness>;
export type WireHealthDetail = z.output<typeof healthDetail>;
export type WireErrorBody = z.output<typeof errorBody>;
