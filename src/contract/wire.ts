/**
 * What the REST API answers with, as schemas: the source of the OpenAPI components and of the types that to-wire.ts must produce.
 * Nothing is validated with them on the way out. They live in a registry of their own, because the global one of zod belongs to the
 * program that embeds us.
 */
import { z } from 'zod';
import { EVENT_TYPES } from '../engine/views.ts';
import { baseState, executionStatus, healthStatus, recommendedAction, shownStepState, simpleStatus, taskStatus } from './status.ts';

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
    stack: z.string().optional().describe('Files by their place in the working folder of the worker; its other folders are left out'),
  })
  .register(components, { id: 'StepError', description: 'What a failed attempt left behind.' });

export const progress = z
  .object({
    fraction: z.number().min(0).max(1).describe('Of a step with children the mean of theirs, weighted by size where sizes are known'),
    message: z.string().nullable(),
    at: time,
    done: z.number().nullable(),
    total: z.number().nullable(),
    unit: z.enum(['bytes', 'items']).nullable(),
    parts: z.object({ done: count, total: count }).describe('Children that ended well, of how many'),
    rate: z.number().nullable().describe('Units per second'),
    eta_ms: z.number().nullable().describe('To the end, at this speed'),
  })
  .register(components, { id: 'Progress' });

export const step = z
  .object({
    step_uuid: uuid,
    task_uuid: uuid,
    id: z.string().describe('What it goes by: the id it was submitted with, else step_uuid'),
    parent_id: uuid.nullable().describe('step_uuid of the step it is filed under'),
    name: z.string(),
    type: z.string().describe('standard, decision, deferred_convergence, batchable or batch_worker'),
    handler: z.string().describe('Empty for a folder, which runs nothing'),
    current_state: shownStepState,
    base_state: baseState.describe('current_state with waiting_for_retry shown as pending and waiting_for_children as in_progress'),
    status: simpleStatus.describe('The five words by which trees are spoken of'),
    reason: z.string().nullable().describe('Why a cancelled step was cancelled'),
    tied: z.boolean().describe("Shares its parent's fate"),
    has_children: z.boolean(),
    key: z.string().nullable().describe("What identifies it among its parent's tied children"),
    user_id: z.string().nullable(),
    params: object.nullable(),
    schemas: object.nullable(),
    origin: z.object({ type: z.string(), task_uuid: uuid, step_uuid: uuid }).nullable().describe('What it is a copy, link or archive of'),
    inputs: json.optional().describe('As submitted; absent when not asked for, or where the step has none of its own'),
    created_at: time,
    updated_at: time,
    started_at: time.nullable().describe('When its first attempt since the last reset began'),
    completed_at: time.nullable(),
    dependencies: z.array(
      z.object({
        id: z.string().describe('`id` of the step that is waited for'),
        name: z.string().describe('Its name, which children that were spawned may share'),
        required: z.boolean(),
        type: z.string().describe('As submitted; `result` where nothing was said. Kept, and not read by the engine'),
      }),
    ),
    dependencies_satisfied: z.boolean(),
    retry_eligible: z.boolean(),
    ready_for_execution: z.boolean(),
    total_parents: count,
    completed_parents: count,
    attempts: count,
    max_attempts: count,
    last_failure_at: time.nullable(),
    next_retry_at: time.nullable(),
    last_attempted_at: time.nullable().describe('When its last attempt began; of a parent that may be its finalize'),
    priority: z.int().min(0).max(3),
    error: stepError.nullable(),
    results: json.optional().describe('What the handler returned; null until the step is complete; absent when not asked for'),
    checkpoint: json.optional(),
    progress: progress.nullable(),
    stopping: z.boolean().describe('The step has ended and its handler has not returned yet: it was told to stop, unless the step is not cancelable'),
    cancelable: z
      .boolean()
      .describe('False: a running handler gets no signal when the step is cancelled, and may end; what it returns is kept in the audit only'),
    needs_reexecution: z.boolean().describe('It failed, or was cancelled by a failure, or was reset, and has not begun anew'),
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
  key: z.string().nullable().describe('Unique among the live tasks of the template'),
  user_id: z.string().nullable().describe('Owner of an ad hoc task'),
  origin: z
    .object({ type: z.enum(['copy', 'link', 'archive', 'mixed']), task_uuid: uuid })
    .nullable()
    .describe(
      'How it was made of another task, and of which. An archive has not run: it keeps how that task stood, and an error with the code `archived` says so where it had not ended',
    ),
  simple_status: simpleStatus,
  progress: z.number().min(0).max(1),
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
    steps: z
      .array(step)
      .nullable()
      .optional()
      .describe('Without their results; null for a task of more than 1,000 steps; absent where they were not asked for'),
  })
  .register(components, { id: 'TaskResponse' });

export const treeCreated = z
  .object({
    ...task.shape,
    roots: z.array(uuid).describe('step_uuid of the elements without parent_id; at most 1,000'),
    elements: z.record(z.string(), uuid).nullable().describe('step_uuid by the id of each element, or by its name where it has none; null for more than 1,000'),
  })
  .register(components, { id: 'TreeCreateResponse' });

const treeFields = {
  tree_status: simpleStatus.describe('By what stands below it; its own where it failed, or has no children'),
  tree_progress: z.number().min(0).max(1).describe('The mean of its children; without children its own'),
  child_count: count,
  next_cursor: z.string().nullable().describe('Give it as `cursor`, with this step as `parent`, for the children that follow; null: there are none'),
};

const treeStep = z.object({ ...step.shape, ...treeFields });
export type WireTreeNode = z.output<typeof treeStep> & { children: WireTreeNode[] };

export const treeNode: z.ZodType<WireTreeNode> = z
  .object({ ...treeStep.shape, children: z.lazy(() => z.array(treeNode)) })
  .register(components, { id: 'TreeNode', description: 'A step with what is filed under it.' });

export const tree = z
  .object({ task_uuid: uuid, parent: step.nullable().describe('Null: the task'), ...treeFields, children: z.array(treeNode) })
  .register(components, { id: 'TreeResponse', description: 'A part of the tree of a task: at most 1,000 steps.' });

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
    pagination: pagination.nullable().describe('Null where a cursor was given'),
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
    phase: z.enum(['run', 'finalize', 'abort']).describe('What the attempt was to do; each phase counts its own attempts'),
    recorded_at: time,
    started_at: time,
    outcome: z
      .string()
      .describe(
        'completed, failed, cancelled, timeout, lost, late, returned, stopped or abandoned; of phase abort: aborted, abort_retry, abort_failed or abort_timeout',
      ),
    success: z.boolean(),
    execution_time_ms: z.number().nonnegative(),
    result: json.optional().describe('What an attempt gave that returned after its step had ended; it counts for nothing'),
    from_state: z.string(),
    to_state: z.string(),
    error: stepError.nullable(),
  })
  .register(components, { id: 'AuditRow', description: 'The recorded outcome of one attempt.' });

export const stepExplanation = z
  .object({
    step_uuid: uuid,
    name: z.string(),
    current_state: shownStepState,
    runnable: z.boolean().describe('Nothing but its turn keeps it from running'),
    gates: z.array(z.object({ kind: z.string(), message: z.string(), details: object })),
  })
  .register(components, { id: 'StepExplanation' });

export const logLine = z
  .object({ at: time, level: z.string(), message: z.string(), token: count })
  .register(components, { id: 'LogLine', description: 'A line that a handler logged.' });

const EVENT_WORDS = EVENT_TYPES.join(', ');

export const taskEvent = z
  .object({
    seq: count.optional().describe('Place in the log of the task; absent on progress, which is not replayed'),
    at: time,
    type: z.string().describe(EVENT_WORDS),
    task_uuid: uuid,
    data: object,
    last: z.literal(true).optional().describe('The stream closes after this one'),
  })
  .register(components, { id: 'TaskEvent', description: 'The `data` line of one event.' });

const { last: _last, ...eventFields } = taskEvent.shape;
export const globalEvent = z
  .object({
    cursor: z.string().optional().describe('Place in the log of all tasks: give it as `after`; absent on progress, which is not replayed'),
    namespace: z.string().describe("Of the task's template; empty for a task without one"),
    name: z.string(),
    ...eventFields,
  })
  .register(components, { id: 'GlobalEvent', description: 'An event with the task it is of: what a page lists and the `data` line of a stream.' });

export const eventPage = z
  .object({
    events: z.array(globalEvent),
    next_cursor: z.string().describe('Give it as `after` for what follows, also when nothing does yet'),
    has_more: z.boolean().describe('There is more to read now, even if this page is empty'),
  })
  .register(components, { id: 'EventPage' });

export const copyPreview = z
  .array(object)
  .register(components, { id: 'CopyPreview', description: 'The elements that a copy would be made of, as POST /v1/trees takes them.' });

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

export const handler = z
  .object({
    id: z.string().describe('What steps name as their handler'),
    aliases: z.array(z.string()),
    description: z.string().nullable(),
    tags: z.array(z.string()),
    input_schema: object.nullable().describe('JSON Schema that inputs must fit before the handler runs'),
    output_schema: object.nullable(),
    cancelable: z.boolean().describe('False: it gets no signal on cancel while it runs'),
    has_finalize: z.boolean(),
    has_on_abort: z.boolean(),
    source: z.string().nullable().describe('Where the code comes from: a template, a file, built-in'),
    methods: z.array(z.string()),
  })
  .register(components, { id: 'Handler' });

export const handlerList = z.object({ handlers: z.array(handler), total_count: count }).register(components, { id: 'HandlerListResponse' });

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
export type WireTreeCreated = z.output<typeof treeCreated>;
export type WireTree = z.output<typeof tree>;
export type WireTaskSummary = z.output<typeof taskSummary>;
export type WireTaskList = z.output<typeof taskList>;
export type WireAuditRow = z.output<typeof auditRow>;
export type WireStepExplanation = z.output<typeof stepExplanation>;
export type WireLogLine = z.output<typeof logLine>;
export type WireTaskEvent = z.output<typeof taskEvent>;
export type WireGlobalEvent = z.output<typeof globalEvent>;
export type WireEventPage = z.output<typeof eventPage>;
export type WireCopyPreview = z.output<typeof copyPreview>;
export type WireBulkResult = z.output<typeof bulkResult>;
export type WireTemplateSummary = z.output<typeof templateSummary>;
export type WireTemplateDetail = z.output<typeof templateDetail>;
export type WireTemplateVersions = z.output<typeof templateVersions>;
export type WireTemplateList = z.output<typeof templateList>;
export type WireHandler = z.output<typeof handler>;
export type WireHandlerList = z.output<typeof handlerList>;
export type WireReadiness = z.output<typeof readiness>;
export type WireHealthDetail = z.output<typeof healthDetail>;
export type WireErrorBody = z.output<typeof errorBody>;
