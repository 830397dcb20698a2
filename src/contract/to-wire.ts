/** From the engine's views to the wire: snake_case, RFC 3339 times, every optional field spelt out as null. */
import type {
  AuditView,
  EventPage,
  ExplainView,
  GlobalEvent,
  ListRequest,
  ListResult,
  StepView,
  TaskEvent,
  TaskView,
  TemplateView,
  TreeNode,
  TreeSubmitted,
  TreeView,
} from '../engine/views.ts';
import type { HandlerView } from '../engine/worker-port.ts';
import type {
  WireAuditRow,
  WireEventPage,
  WireGlobalEvent,
  WireHandler,
  WireLogLine,
  WireStep,
  WireStepExplanation,
  WireTask,
  WireTaskEvent,
  WireTaskList,
  WireTaskSummary,
  WireTemplateDetail,
  WireTemplateSummary,
  WireTree,
  WireTreeCreated,
  WireTreeNode,
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
  key: t.key,
  user_id: t.userId,
  origin: t.origin && { type: t.origin.type, task_uuid: t.origin.taskId },
  simple_status: t.simpleStatus,
  progress: t.progress,
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
    id: s.elementId ?? s.id,
    parent_id: s.parentId,
    name: s.name,
    type: s.type,
    handler: s.handler,
    current_state: s.state,
    base_state: s.baseState,
    status: s.simpleStatus,
    reason: s.reason,
    tied: s.tied,
    has_children: s.hasChildren,
    key: s.key,
    user_id: s.userId,
    params: s.params,
    schemas: s.schemas,
    origin: s.origin && { type: s.origin.type, task_uuid: s.origin.taskId, step_uuid: s.origin.stepId },
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
    progress: progressToWire(s.progress),
    stopping: s.stopping,
    cancelable: s.cancelable,
    needs_reexecution: s.needsReexecution,
  };
  if (o.results) wire.results = s.result ?? null;
  if (s.inputs !== undefined) wire.inputs = s.inputs;
  if (s.checkpoint !== undefined) wire.checkpoint = s.checkpoint;
  return wire;
}

export const treeSubmittedToWire = (t: TreeSubmitted): WireTreeCreated => ({ ...taskToWire(t.task), roots: t.roots, elements: t.elements });

export const treeToWire = (t: TreeView): WireTree => ({
  task_uuid: t.taskId,
  parent: t.parent && stepToWire(t.parent, { results: false }),
  ...branchToWire(t),
});

const branchToWire = (t: Omit<TreeNode, 'step'>): Omit<WireTree, 'task_uuid' | 'parent'> => ({
  tree_status: t.status,
  tree_progress: t.progress,
  child_count: t.childCount,
  next_cursor: t.nextCursor,
  children: t.children.map((c): WireTreeNode => ({ ...stepToWire(c.step, { results: false }), ...branchToWire(c) })),
});

const progressToWire = (p: StepView['progress']): WireStep['progress'] => {
  if (p === null) return null;
  const { etaMs, at, ...rest } = p;
  return { ...rest, at: time(at), eta_ms: etaMs };
};

export const auditToWire = (a: AuditView): WireAuditRow => ({
  audit_uuid: auditUuid(a.stepId, a.token, a.outcome),
  task_uuid: a.taskId,
  step_uuid: a.stepId,
  step_name: a.stepName,
  token: a.token,
  attempt: a.attempt,
  phase: a.phase,
  recorded_at: time(a.recordedAt),
  started_at: time(a.startedAt),
  outcome: a.outcome,
  success: a.success,
  execution_time_ms: a.executionTimeMs,
  ...(a.result === undefined ? {} : { result: a.result }),
  from_state: a.fromState,
  to_state: a.toState,
  error: a.error,
});

/** What may be recorded of an attempt whose step has ended without it: it then has a row for that already. */
const AFTERWARDS = ['returned', 'stopped', 'abandoned', 'lost', 'late'];

/** A UUIDv8 made of the step's UUID, the attempt's token and the outcome: the same row always has the same one, and nothing stores it. */
export function auditUuid(stepId: string, token: number, outcome: string): string {
  const head = (Number.parseInt(stepId.slice(0, 8), 16) ^ token) >>> 0;
  const middle = Number.parseInt(stepId.slice(15, 18), 16) ^ (AFTERWARDS.indexOf(outcome) + 1);
  return `${head.toString(16).padStart(8, '0')}${stepId.slice(8, 14)}8${middle.toString(16).padStart(3, '0')}${stepId.slice(18)}`;
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

export function globalEventToWire(e: GlobalEvent): WireGlobalEvent {
  const wire: WireGlobalEvent = { at: time(e.at), type: e.type, task_uuid: e.taskId, namespace: e.namespace, name: e.name, data: e.data };
  if (e.seq !== undefined) wire.seq = e.seq;
  if (e.cursor !== undefined) wire.cursor = e.cursor;
  return wire;
}

export const eventPageToWire = (p: EventPage): WireEventPage => ({
  events: p.events.map(globalEventToWire),
  next_cursor: p.nextCursor,
  has_more: p.hasMore,
});

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

export const handlerToWire = (h: HandlerView): WireHandler => ({
  id: h.id,
  aliases: h.aliases,
  description: h.description,
  tags: h.tags,
  input_schema: h.inputSchema,
  output_schema: h.outputSchema,
  cancelable: h.cancelable,
  has_finalize: h.hasFinalize,
  has_on_abort: h.hasOnAbort,
  source: h.source,
  methods: h.methods,
});

const snakeKeys = (o: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(o).map(([k, v]) => [k.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), v]));
