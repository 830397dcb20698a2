/** An EngineFacade without an engine: a few tasks in memory, steps that tests move by hand. For tests of what lies in front of it. */
import { ERRORS, TuttiError } from '../../src/core/errors.ts';
import type { Json, JsonObject } from '../../src/core/definition.ts';
import type { EngineFacade, EngineHealth, EngineMetrics } from '../../src/engine/facade.ts';
import type { ScheduleFacade } from '../../src/engine/schedule-views.ts';
import type {
  AuditView,
  CopyRequest,
  EventFilter,
  EventPage,
  ExplainView,
  GlobalEvent,
  ListRequest,
  ListResult,
  StepView,
  SubmitRequest,
  TaskEvent,
  TaskOutcome,
  TaskView,
  TemplateView,
  TreeQuery,
  TreeRequest,
  TreeSubmitted,
  TreeView,
} from '../../src/engine/views.ts';
import type { HandlerView, WorkerPort } from '../../src/engine/worker-port.ts';
import { FakePlans } from './fake-plans.ts';

const START = Date.UTC(2026, 0, 1);
const TERMINAL = ['complete', 'error', 'cancelled', 'resolved_manually'];

interface FakeTask {
  view: TaskView;
  events: TaskEvent[];
  steps: StepView[];
}

export const fakeUuid = (n: number): string => `01900000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;

export class FakeEngine implements EngineFacade {
  readonly tasks = new Map<string, FakeTask>();
  readonly calls: { verb: string; args: unknown }[] = [];
  /** Thrown by the next verb of this name, once. */
  readonly failures = new Map<string, unknown>();
  status: EngineHealth['status'] = 'ready';
  readonly counts: EngineMetrics = emptyMetrics();
  /** Streams that wait for an event. */
  waiting = 0;
  /** Events handed out, whether or not anybody read them. */
  pulled = 0;
  readonly workers = {} as WorkerPort;
  /** Tests of schedules have the real engine. */
  readonly schedules = {} as ScheduleFacade;
  readonly plans = new FakePlans();
  /** Tests of resources and generators have the real engine. */
  readonly resources = {} as EngineFacade['resources'];
  readonly planWorkers = {} as EngineFacade['planWorkers'];
  addResourceKind(): void {
    throw new TuttiError('INTERNAL', 'the fake knows no resources');
  }
  readonly handlerViews: HandlerView[] = [
    {
      id: 'mail.send',
      aliases: ['mail'],
      description: 'Sends mail',
      tags: ['mail'],
      inputSchema: { type: 'object', required: ['to'] },
      outputSchema: null,
      cancelable: false,
      hasFinalize: false,
      hasOnAbort: true,
      source: null,
      methods: ['call'],
    },
  ];
  #last = 0;
  #changed: (() => void)[] = [];

  readonly templateViews: TemplateView[] = [
    {
      namespace: 'orders',
      name: 'order_fulfillment',
      version: '1.0.0',
      revision: 1,
      registered: true,
      createdAt: START,
      definition: {
        namespace: 'orders',
        name: 'order_fulfillment',
        version: '1.0.0',
        description: 'An order',
        policy: 'fail',
        inputSchema: { type: 'object', properties: { orderId: { type: 'string' } } },
        lifecycle: { maxDurationMinutes: 5 },
        steps: [
          {
            name: 'validate',
            type: 'standard',
            handler: 'orders/order_fulfillment@1.0.0:validate',
            dependencies: [],
            timeoutMs: 1500,
            retry: { retryable: true, maxAttempts: 3, backoff: 'exponential', baseMs: 1000, maxMs: 30_000, jitter: 0.1 },
          },
        ],
      },
    },
  ];

  #enter(verb: string, args?: unknown): void {
    this.calls.push({ verb, args });
    const failure = this.failures.get(verb);
    if (failure === undefined) return;
    this.failures.delete(verb);
    throw failure;
  }

  async register(): Promise<TemplateView> {
    throw new TuttiError('INTERNAL', 'the fake registers nothing');
  }
  templates(filter?: { namespace?: string }): TemplateView[] {
    return this.templateViews.filter((t) => filter?.namespace === undefined || t.namespace === filter.namespace);
  }
  template(ref: { namespace: string; name: string; version: string }): TemplateView | undefined {
    return this.templateViews.find((t) => t.namespace === ref.namespace && t.name === ref.name && t.version === ref.version);
  }

  async submit(r: SubmitRequest): Promise<TaskView> {
    this.#enter('submit', r);
    if (!this.templateViews.some((t) => t.namespace === r.namespace && t.name === r.name)) {
      throw new TuttiError('TEMPLATE_NOT_FOUND', `no template ${r.namespace}/${r.name} is registered`, { field: 'name' });
    }
    const id = fakeUuid(++this.#last);
    this.tasks.set(id, { view: taskView(id, r, this.#last), events: [], steps: [stepView(id)] });
    this.emit(id, 'task.state', { state: 'pending' });
    return this.#found(id).view;
  }
  async trySubmit(r: SubmitRequest): Promise<TaskView> {
    this.#enter('trySubmit', r);
    return this.submit(r);
  }
  async submitMany(rs: Iterable<SubmitRequest>): Promise<string[]> {
    this.#enter('submitMany');
    const all: SubmitRequest[] = [];
    for (const r of rs) {
      if (!this.templateViews.some((t) => t.name === r.name))
        throw new TuttiError('TEMPLATE_NOT_FOUND', `no template ${r.namespace}/${r.name}`, { field: 'name' });
      all.push(r);
    }
    const ids: string[] = [];
    for (const r of all) ids.push((await this.submit(r)).id);
    return ids;
  }

  /** One task of one step, whatever the elements are. */
  async submitTree(r: TreeRequest): Promise<TreeSubmitted> {
    const elements: unknown[] = [];
    for await (const e of r.elements) elements.push(e);
    this.#enter('submitTree', { ...r, elements });
    const id = fakeUuid(++this.#last);
    const view = taskView(id, { ...r, namespace: '', name: '', input: {} }, this.#last);
    this.tasks.set(id, { view, events: [], steps: [stepView(id)] });
    return { task: view, roots: [fakeUuid(0xabc000)], elements: {} };
  }
  async trySubmitTree(r: TreeRequest): Promise<TreeSubmitted> {
    return this.submitTree(r);
  }
  async executeTree(id: string): Promise<TaskView> {
    this.#enter('executeTree', id);
    return this.#found(id).view;
  }
  async addSteps(id: string, elements: TreeRequest['elements']): Promise<StepView[]> {
    this.#enter('addSteps', { id, elements });
    return this.#found(id).steps;
  }
  async findElement(id: string): Promise<StepView> {
    this.#enter('findElement', id);
    for (const t of this.tasks.values()) for (const s of t.steps) if (s.id === id) return s;
    throw new TuttiError('NOT_FOUND', `there is no element ${id}`);
  }
  async tree(id: string, q: TreeQuery = {}): Promise<TreeView> {
    this.#enter('tree', { id, ...q });
    const [step] = this.#found(id).steps;
    const leaf = { step, status: step.simpleStatus, progress: 1, childCount: 0, children: [], nextCursor: null };
    return { taskId: id, parent: null, status: step.simpleStatus, progress: 1, childCount: 1, children: [leaf], nextCursor: null };
  }
  async cancelStep(id: string, ref: string, o?: { errorMessage?: string }): Promise<StepView> {
    this.#enter('cancelStep', { id, ref, ...o });
    const step = await this.step(id, ref);
    if (step.state === 'cancelled') throw new TuttiError('ILLEGAL_STATE', 'The step has ended: cancelled.');
    return Object.assign(step, { state: 'cancelled', simpleStatus: 'cancelled', reason: 'by_request' });
  }

  async task(id: string): Promise<TaskView> {
    this.#enter('task', id);
    return this.#found(id).view;
  }
  async list(r: ListRequest): Promise<ListResult> {
    this.#enter('list', r);
    if (r.cursor !== undefined && !r.cursor.startsWith('c'))
      throw new TuttiError('INVALID_CURSOR', 'the cursor was not issued by this list', { field: 'cursor' });
    const all = [...this.tasks.values()]
      .map((t) => t.view)
      .filter((t) => !r.states || r.states.includes(t.state))
      .reverse();
    if (r.page !== undefined) {
      const from = (r.page - 1) * r.perPage!;
      const to = from + r.perPage!;
      return { tasks: all.slice(from, to), nextCursor: to < all.length ? `c${to}` : null, total: all.length, totalCapped: false };
    }
    const from = Number(r.cursor?.slice(1) ?? 0);
    const to = from + r.limit!;
    return { tasks: all.slice(from, to), nextCursor: to < all.length ? `c${to}` : null, total: null, totalCapped: false };
  }
  async steps(id: string, o: { results?: boolean } = {}): Promise<StepView[]> {
    this.#enter('steps', { id, ...o });
    return this.#found(id).steps.map(({ result, ...s }) => (o.results && result !== undefined ? { ...s, result } : s));
  }
  async step(id: string, ref: string): Promise<StepView> {
    const found = this.#found(id).steps.find((s) => s.name === ref || s.id === ref);
    if (!found) throw new TuttiError('NOT_FOUND', `the task has no step ${ref}`, { field: 'step' });
    return found;
  }
  async audit(id: string, ref?: string): Promise<AuditView[]> {
    const step = ref === undefined ? this.#found(id).steps[0] : await this.step(id, ref);
    return [
      {
        stepId: step.id,
        taskId: id,
        stepName: step.name,
        token: 1,
        attempt: 1,
        phase: 'run' as const,
        recordedAt: START + 20,
        startedAt: START,
        outcome: 'completed',
        success: true,
        executionTimeMs: 20,
        fromState: 'in_progress',
        toState: 'complete',
        error: null,
      },
    ];
  }
  async explain(id: string, ref?: string): Promise<ExplainView[]> {
    const steps = ref === undefined ? this.#found(id).steps : [await this.step(id, ref)];
    return steps.map((s) => ({
      stepId: s.id,
      name: s.name,
      state: s.state,
      runnable: true,
      gates: [{ kind: 'slots', message: 'all slots are taken', details: { used: 50 } }],
    }));
  }
  async attemptLog(id: string, ref: string): Promise<{ at: number; level: string; message: string; token: number }[]> {
    await this.step(id, ref);
    return [{ at: START, level: 'info', message: 'hello', token: 1 }];
  }

  async cancel(id: string, o?: { errorMessage?: string }): Promise<TaskView> {
    this.#enter('cancel', { id, ...o });
    const { view } = this.#found(id);
    if (TERMINAL.includes(view.state)) throw new TuttiError('ILLEGAL_STATE', `the task is ${view.state}`);
    this.end(id, 'cancelled');
    return view;
  }
  async patch(id: string, o: { priority?: number; tags?: string[] }): Promise<TaskView> {
    this.#enter('patch', { id, ...o });
    const { view } = this.#found(id);
    if (TERMINAL.includes(view.state)) throw new TuttiError('ILLEGAL_STATE', `the task is ${view.state}`);
    return Object.assign(view, o);
  }
  async reset(id: string, step?: string): Promise<TaskView> {
    this.#enter('reset', { id, step });
    const { view } = this.#found(id);
    if (view.state !== 'error') throw new TuttiError('ILLEGAL_STATE', `the task is ${view.state}`, { details: { state: view.state, legal: [] } });
    return Object.assign(view, { state: 'steps_in_process', completedAt: null });
  }
  async copy(id: string, o: CopyRequest): Promise<TaskView> {
    this.#enter('copy', { id, ...o });
    return this.#found(id).view;
  }
  async previewCopy(id: string, o: CopyRequest): Promise<JsonObject[]> {
    this.#enter('previewCopy', { id, ...o });
    return [{ name: this.#found(id).view.name }];
  }
  async purge(id: string): Promise<void> {
    this.#enter('purge', id);
    if (!TERMINAL.includes(this.#found(id).view.state)) throw new TuttiError('ILLEGAL_STATE', 'the task lives');
    this.tasks.delete(id);
  }

  async *events(id: string, o: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<TaskEvent> {
    this.#enter('events', { id, after: o.after });
    const { events } = this.#found(id);
    let at = o.after ?? 0;
    if (at > events.length) throw new TuttiError('INVALID_CURSOR', `event ${at} is beyond the log of the task`, { field: 'after' });
    while (!o.signal?.aborted) {
      for (; at < events.length; at++) {
        this.pulled++;
        yield events[at];
      }
      if (events.at(-1)?.last) return;
      await new Promise<void>((resolve) => {
        this.waiting++;
        this.#changed.push(resolve);
        o.signal?.addEventListener('abort', () => resolve(), { once: true });
      });
      this.waiting--;
    }
  }
  async *allEvents(o: EventFilter & { after?: string; signal?: AbortSignal; onPosition?: (cursor: string) => void } = {}): AsyncGenerator<GlobalEvent> {
    this.#enter('allEvents', o);
    let at = Number(o.after ?? 0);
    o.onPosition?.(String(at));
    while (!o.signal?.aborted) {
      const all = this.#log();
      for (; at < all.length; at++) yield all[at];
      await new Promise<void>((resolve) => {
        this.waiting++;
        this.#changed.push(resolve);
        o.signal?.addEventListener('abort', () => resolve(), { once: true });
      });
      this.waiting--;
    }
  }
  async eventPage(o: EventFilter & { after?: string; limit?: number } = {}): Promise<EventPage> {
    this.#enter('eventPage', o);
    const from = Number(o.after ?? 0);
    const events = this.#log().slice(from, from + (o.limit ?? 100));
    return { events, nextCursor: String(from + events.length), hasMore: from + events.length < this.#log().length };
  }
  onEvent(): () => void {
    throw new TuttiError('INTERNAL', 'not in the fake');
  }
  /** All tasks' events, task by task. Cursors are places in it. */
  #log(): GlobalEvent[] {
    return [...this.tasks.values()]
      .flatMap((t) => t.events.map(({ last: _, ...e }) => ({ ...e, namespace: t.view.namespace, name: t.view.name })))
      .map((e, i) => ({ ...e, cursor: String(i + 1) }));
  }
  async done(): Promise<TaskOutcome> {
    throw new TuttiError('INTERNAL', 'not in the fake');
  }
  async result(): Promise<Json> {
    throw new TuttiError('INTERNAL', 'not in the fake');
  }
  handlers(): HandlerView[] {
    return this.handlerViews;
  }
  metrics(): EngineMetrics {
    return this.counts;
  }
  health(): EngineHealth {
    return { status: this.status, checks: [{ name: 'store', ok: this.status === 'ready', message: 'writable' }] };
  }
  async stop(): Promise<void> {}

  emit(id: string, type: TaskEvent['type'], data: TaskEvent['data'], last?: boolean): void {
    const { events } = this.#found(id);
    events.push({ seq: events.length + 1, at: START + events.length, type, taskId: id, data, ...(last ? { last } : {}) });
    const changed = this.#changed;
    this.#changed = [];
    for (const wake of changed) wake();
  }
  end(id: string, state: TaskView['state']): void {
    const { view } = this.#found(id);
    Object.assign(view, { state, completedAt: START + 1000 });
    this.emit(id, 'task.state', { state }, true);
  }
  #found(id: string): FakeTask {
    const found = this.tasks.get(id);
    if (!found) throw new TuttiError('NOT_FOUND', `there is no task ${id}`, { field: 'id' });
    return found;
  }
}

function taskView(id: string, r: SubmitRequest, n: number): TaskView {
  return {
    id,
    namespace: r.namespace,
    name: r.name,
    version: r.version ?? '1.0.0',
    state: 'pending',
    priority: r.priority ?? 2,
    policy: 'fail',
    createdAt: START + n,
    updatedAt: START + n,
    completedAt: null,
    deadlineAt: null,
    input: r.input as Json,
    initiator: r.initiator ?? 'system',
    sourceSystem: r.sourceSystem ?? 'tutti',
    reason: r.reason ?? '',
    tags: r.tags ?? [],
    key: r.key ?? null,
    userId: null,
    origin: null,
    simpleStatus: 'pending',
    progress: 0,
    correlationId: r.correlationId ?? id,
    parentCorrelationId: r.parentCorrelationId ?? null,
    error: null,
    totalSteps: 1,
    pendingSteps: 1,
    inProgressSteps: 0,
    completedSteps: 0,
    failedSteps: 0,
    cancelledSteps: 0,
    readySteps: 1,
    failedStepNames: [],
    stopping: 0,
    executionStatus: 'has_ready_steps',
    recommendedAction: 'execute_ready_steps',
    completionPercentage: 0,
    healthStatus: 'healthy',
  };
}

export const stepView = (taskId: string, name = 'validate'): StepView => ({
  id: fakeUuid(0xabc000),
  taskId,
  elementId: null,
  parentId: null,
  name,
  state: 'complete',
  baseState: 'complete',
  simpleStatus: 'completed',
  type: 'standard',
  tied: false,
  hasChildren: false,
  key: null,
  userId: null,
  params: null,
  schemas: null,
  origin: null,
  reason: null,
  handler: `h:${name}`,
  createdAt: START,
  updatedAt: START + 1,
  startedAt: START,
  completedAt: START + 20,
  dependencies: [],
  dependenciesSatisfied: true,
  retryEligible: false,
  readyForExecution: false,
  totalParents: 0,
  completedParents: 0,
  attempts: 1,
  maxAttempts: 3,
  lastFailureAt: null,
  nextRetryAt: null,
  lastAttemptedAt: START,
  priority: 2,
  error: null,
  result: { ok: true },
  cancelable: true,
  stopping: false,
  needsReexecution: false,
  progress: { fraction: 1, message: null, at: START, done: null, total: null, unit: null, parts: { done: 0, total: 0 }, rate: null, etaMs: null },
});

function emptyMetrics(): EngineMetrics {
  const histogram = () => ({ bounds: [1, 10], counts: [0, 0, 0], sum: 0 });
  return {
    actors: (['task_request', 'step_enqueuer', 'result_processor', 'task_finalizer'] as const).map((name) => ({
      name,
      depth: 0,
      capacity: 1000,
      accepted: 0,
      refused: 0,
      handled: 0,
      timeMs: 0,
    })),
    turns: 0,
    turnRows: histogram(),
    turnSeconds: histogram(),
    commitSeconds: histogram(),
    commitFailures: 0,
    tasks: {},
    steps: {},
    submitted: 0,
    finished: {},
    attempts: { started: 0, completed: 0, failed: 0, retried: 0, timedOut: 0, lost: 0, late: 0 },
    slots: { total: 50, used: 0, stopping: 0 },
    cachedSteps: 0,
    reconcilerRepairs: 0,
    retentionRemoved: 0,
    callbackErrors: 0,
    ready: 0,
  };
}

/** All of the registry, for tests that try each. */
export const ERROR_CODES = Object.keys(ERRORS) as (keyof typeof ERRORS)[];
