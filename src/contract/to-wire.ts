/** From the engine's views to the wire: snake_case, RFC 3339 times, every optional field spelt out as null. */
import type { AuditView, ExplainView, ListRequest, ListResult, StepView, TaskEvent, TaskView, TemplateView } from '../engine/views.ts';
import type {
  WireAuditRow,
  WireLogLine,
  WireStep,
  WireStepExplanation,
  WireTask,
  WireTaskEvent,
  WireTaskList,
  WireTaskSummary,
  WireTemplateDetail,
  WireTemplateSummary,
} from './wire.ts';

const time = (ms: number): string => new Date(ms).toISOString();
const timeOrNull = (ms: number | null): string | null => (ms === null ? null : time(ms));
const seconds = (ms: number | undefined): number | null => (ms === undefined ? null : ms / 1000);

export const taskSummaryToWire = (t: TaskView): WireTaskSummary => ({
  task_uuid: t.id,
  name: t.name,
  namespace: t.namespace,
  version: t.version,
  status: t.state,
  priority: t.priority,
  policy: t.policy,
  created_at: time(t.createdAt),
  updated_at: time(t.updatedAt),
  completed_at: timeOrNull(t.completedAt),
  deadline_at: timeOrNull(t.deadlineAt),
  initiator: t.initiator,
  source_system: t.sourceSystem,
  reason: t.reason,
  tags: t.tags,
  correlation_id: t.correlationId,
  parent_correlation_id: t.parentCorrelationId,
  error: t.error,
  total_steps: t.totalSteps,
  pending_steps: t.pendingSteps,
  in_progress_steps: t.inProgressSteps,
  completed_steps: t.completedSteps,
  failed_steps_count: t.failedSteps,
  cancelled_steps: t.cancelledSteps,
  ready_steps: t.readySteps,
  stopping: t.stopping,
  execution_status: t.executionStatus,
  recommended_action: t.recommendedAction,
  completion_percentage: t.completionPercentage,
  health_status: t.healthStatus,
});

export function taskToWire(t: TaskView): WireTask {
  const wire: WireTask = { ...taskSummaryToWire(t), failed_steps: t.failedStepNames ?? [] };
  if (t.input !== undefined) wire.context = t.input;
  return wire;
}

/** `results`: give the field, null until the step is complete. */
export function stepToWire(s: StepView, o: { results: boolean }): WireStep {
  const wire: WireStep = {
    step_uuid: s.id,
    task_uuid: s.taskId,
    name: s.name,
    handler: s.handler,
    current_state: s.state,
    base_state: s.baseState,
    reason: s.reason,
    created_at: time(s.createdAt),
    updated_at: time(s.updatedAt),
    started_at: timeOrNull(s.startedAt),
    completed_at: timeOrNull(s.completedAt),
    dependencies: s.dependencies,
    dependencies_satisfied: s.dependenciesSatisfied,
    retry_eligible: s.retryEligible,
    ready_for_execution: s.readyForExecution,
    total_parents: s.totalParents,
    completed_parents: s.completedParents,
    attempts: s.attempts,
    max_attempts: s.maxAttempts,
    last_failure_at: timeOrNull(s.lastFailureAt),
    next_retry_at: timeOrNull(s.nextRetryAt),
    last_attempted_at: timeOrNull(s.lastAttemptedAt),
    priority: s.priority,
    error: s.error,
    progress: s.progress && { fraction: s.progress.fraction, message: s.progress.message, at: time(s.progress.at) },
    stopping: s.stopping,
  };
  if (o.results) wire.results = s.result ?? null;
  if (s.checkpoint !== undefined) wire.checkpoint = s.checkpoint;
  return wire;
}

export const auditToWire = (a: AuditView): WireAuditRow => ({
  audit_uuid: auditUuid(a.stepId, a.token),
  task_uuid: a.taskId,
  step_uuid: a.stepId,
  step_name: a.stepName,
  token: a.token,
  attempt: a.attempt,
  recorded_at: time(a.recordedAt),
  started_at: time(a.startedAt),
  outcome: a.outcome,
  success: a.success,
  execution_time_ms: a.executionTimeMs,
  from_state: a.fromState,
  to_state: a.toState,
  error: a.error,
});

/** A UUIDv8 made of the step's UUID and the attempt's token: the same row always has the same one, and nothing stores it. */
export function auditUuid(stepId: string, token: number): string {
  const head = (Number.parseInt(stepId.slice(0, 8), 16) ^ token) >>> 0;
  return `${head.toString(16).padStart(8, '0')}${stepId.slice(8, 14)}8${stepId.slice(15)}`;
}

export const explainToWire = (e: ExplainView): WireStepExplanation => ({
  step_uuid: e.stepId,
  name: e.name,
  current_state: e.state,
  runnable: e.runnable,
  gates: e.gates.map((g) => ({ kind: g.kind, message: g.message, details: g.details })),
});

export const logLineToWire = (l: { at: number; level: string; message: string; token: number }): WireLogLine => ({
  at: time(l.at),
  level: l.level,
  message: l.message,
  token: l.token,
});

export function eventToWire(e: TaskEvent): WireTaskEvent {
  const wire: WireTaskEvent = { at: time(e.at), type: e.type, task_uuid: e.taskId, data: e.data };
  if (e.seq !== undefined) wire.seq = e.seq;
  if (e.last) wire.last = true;
  return wire;
}

export function taskListToWire(r: ListResult, asked: ListRequest): WireTaskList {
  return { tasks: r.tasks.map(taskSummaryToWire), next_cursor: r.nextCursor, pagination: paginationOf(r, asked) };
}

function paginationOf(r: ListResult, asked: ListRequest): WireTaskList['pagination'] {
  if (asked.page === undefined || asked.perPage === undefined) return null;
  const total = r.total ?? r.tasks.length;
  const pages = Math.ceil(total / asked.perPage);
  return {
    page: asked.page,
    per_page: asked.perPage,
    total_count: total,
    total_count_capped: r.totalCapped,
    total_pages: pages,
    has_next: asked.page < pages,
    has_previous: asked.page > 1,
  };
}

export const templateSummaryToWire = (t: TemplateView): WireTemplateSummary => ({
  namespace: t.namespace,
  name: t.name,
  version: t.version,
  revision: t.revision,
  description: t.definition.description ?? null,
  registered: t.registered,
  step_count: t.definition.steps.length,
  created_at: time(t.createdAt),
});

export function templateToWire(t: TemplateView): WireTemplateDetail {
  const d = t.definition;
  return {
    ...templateSummaryToWire(t),
    metadata: d.metadata ?? {},
    input_schema: d.inputSchema ?? null,
    steps: d.steps.map((s) => ({
      name: s.name,
      description: s.description ?? null,
      type: s.type,
      handler: { callable: s.handler, method: s.method ?? null, initialization: s.initialization ?? {} },
      dependencies: s.dependencies.map((x) => ({ name: x.name, required: x.required })),
      retry: {
        retryable: s.retry.retryable,
        max_attempts: s.retry.maxAttempts,
        backoff: s.retry.backoff,
        backoff_base_ms: s.retry.baseMs,
        max_backoff_ms: s.retry.maxMs,
        jitter: s.retry.jitter,
      },
      timeout_seconds: seconds(s.timeoutMs),
      heartbeat_seconds: seconds(s.heartbeatMs),
      priority: s.priority ?? null,
      allow_failure: s.allowFailure ?? false,
      cancelable: s.cancelable ?? true,
    })),
    returns: d.returns ?? null,
    policy: d.policy,
    priority: d.priority ?? null,
    deadline_seconds: seconds(d.deadlineMs),
    lifecycle: d.lifecycle === undefined ? null : snakeKeys(d.lifecycle),
  };
}

const snakeKeys = (o: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(o).map(([k, v]) => [k.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), v]));
