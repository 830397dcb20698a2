/** The engine: the four actors around one loop of turns, and the facade that everything outside talks to (design.md §3). */
import type { ChangeSet } from '../core/changes.ts';
import type { Json, JsonObject } from '../core/definition.ts';
import { TuttiError, isTuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { isUuid, parseUuid, stepUuid, taskUuid, MAX_STEPS } from '../core/ids.ts';
import type { Cron } from '../core/schedule-ticks.ts';
import { isAbsent } from '../core/step-states.ts';
import { TASK_STATES, Task, isTaskTerminal } from '../core/task-states.ts';
import type { Store, StoredTask } from '../store/store.ts';
import { ResultProcessor } from './actors/result-processor.ts';
import { StepEnqueuer } from './actors/step-enqueuer.ts';
import { TaskFinalizer } from './actors/task-finalizer.ts';
import { TaskRequest } from './actors/task-request.ts';
import { AttemptLog } from './attempt-log.ts';
import { ColdReady } from './cold-ready.ts';
import type { FinalizeCommand, ResultCommand } from './commands.ts';
import { Copies } from './copies.ts';
import { Dispatcher } from './dispatcher.ts';
import { type Counted, engineHealth, engineMetrics } from './engine-metrics.ts';
import type { EngineParts } from './engine-parts.ts';
import { ElementIds } from './element-ids.ts';
import { endTask } from './end-task.ts';
import { Events } from './events.ts';
import { explainSteps } from './explaining.ts';
import type { EngineFacade, EngineHealth, EngineMetrics, TemplateRegistration } from './facade.ts';
import { GraphCache } from './graph-cache.ts';
import { GraphIntake, isSettled } from './graph-intake.ts';
import { DEFAULT_ENGINE_CONFIG, type EngineConfig, type Host } from './host.ts';
import { Outcomes, failureOf } from './outcomes.ts';
import { PayloadCache } from './payload-cache.ts';
import { PlanService } from './plans/plan-service.ts';
import { subtasksOf } from './plans/plan-subtasks.ts';
import { Queries } from './queries.ts';
import type { PlanWorkerPort } from './plan-port.ts';
import type { ResourceKind, Resources } from './resource-port.ts';
import { ReadGate } from './read-gate.ts';
import { ReadyQueue } from './ready-queue.ts';
import { Reconciler } from './reconciler.ts';
import { TimerScan, removeArrivals, resumeAborts, resumeBegun } from './recovery.ts';
import { TaskGuard } from './task-guard.ts';
import { listTasks } from './task-list.ts';
import { Resets, refuseArchive } from './resets.ts';
import type { Schedules } from './schedules.ts';
import { Scheduling } from './scheduling.ts';
import { purge } from './purge.ts';
import { Retention } from './retention.ts';
import { checkSpawn } from './spawns.ts';
import { StepRefs } from './step-refs.ts';
import { Submissions, checkPriority, checkTags } from './submissions.ts';
import { TaskKeys } from './task-keys.ts';
import { TaskProgress } from './task-progress.ts';
import { TemplateRegistry } from './template-registry.ts';
import { HORIZON_MS, Timers } from './timers.ts';
import { Trees } from './trees.ts';
import { TurnLoop, type Turn } from './turn.ts';
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
} from './views.ts';
import type { HandlerView } from './worker-port.ts';

export interface EngineOptions {
  store: Store;
  host: Host;
  config?: Partial<EngineConfig>;
  /** Absent: schedules have no cron expressions. */
  cron?: Cron;
}

/** What a person says of a cancel. */
function messageOf({ errorMessage = 'Cancelled by user' }: { errorMessage?: string }): string {
  if (typeof errorMessage !== 'string') throw new TuttiError('INVALID_INPUT', 'error_message must be text', { field: 'error_message' });
  if (errorMessage.length > 10_000) throw new TuttiError('INVALID_INPUT', 'error_message has at most 10,000 characters', { field: 'error_message' });
  return errorMessage;
}

export class Engine implements EngineFacade {
  readonly #host: Host;
  readonly #store: Store;
  readonly #config: EngineConfig;
  readonly #parts: EngineParts;
  readonly #templates: TemplateRegistry;
  readonly #loop: TurnLoop;
  readonly #requests: TaskRequest;
  readonly #results: ResultProcessor;
  readonly #enqueuer: StepEnqueuer;
  readonly #finalizer: TaskFinalizer;
  readonly #plans: PlanService;
  readonly #events: Events;
  readonly #progress: TaskProgress;
  readonly #intake: GraphIntake;
  readonly #queries: Queries;
  readonly #submissions: Submissions;
  readonly #trees: Trees;
  readonly #refs: StepRefs;
  readonly #cold: ColdReady;
  readonly #scan: TimerScan;
  readonly #log: AttemptLog;
  readonly #retention: Retention;
  readonly #reconciler: Reconciler;
  readonly #outcomes: Outcomes;
  readonly #resets: Resets;
  readonly #copies: Copies;
  readonly #taskGuard: TaskGuard;
  readonly #gate: ReadGate;
  /** Its `start` fires ticks from then on: call it when templates and handlers are there. */
  readonly scheduling: Scheduling;
  readonly #finished: Record<string, number> = { complete: 0, error: 0, cancelled: 0, resolved_manually: 0 };
  #status: EngineHealth['status'] = 'starting';
  #drained: (() => void) | null = null;
  #stopping: Promise<void> | null = null;
  /** Unfinished tasks found at start. */
  resumed = 0;

  private constructor(o: EngineOptions, lastId: number) {
    this.#host = o.host;
    this.#gate = new ReadGate({ limit: 64, soon: (fn) => o.host.soon(fn) });
    this.#store = o.store;
    this.#config = { ...DEFAULT_ENGINE_CONFIG, ...o.config };
    const now = (): number => this.#host.now();
    this.#templates = new TemplateRegistry({ store: o.store, now });
    const graphs = new GraphCache({ store: o.store, shapeOf: (t) => this.#templates.shape(t), maxSteps: this.#config.cache.maxSteps });
    const payloads = new PayloadCache(this.#config.cache.payloadBytes);
    const wake = (): void => this.#loop.wake();
    const { tag } = o.store;
    const dispatcher = new Dispatcher({
      store: o.store,
      payloads,
      now,
      later: (ms, fn) => void o.host.timer(ms, fn),
      taskUuid: (task) => taskUuid(task, tag),
      stepUuid: (task, no) => stepUuid(task, no, tag),
      graph: (task) => graphs.get(task),
      pause: () => this.#pause(),
      templateName: (g) => this.#templates.row(g.template ?? -1)?.definition ?? { namespace: '', name: '', version: '' },
      input: {
        result: (r) => this.#offer({ kind: 'result', ...r }),
        checkpoint: (r) => this.#offer({ kind: 'checkpoint', ...r }),
        spawn: (r) => {
          try {
            checkSpawn(r.children, (h) => dispatcher.hasHandler(h), this.#config.openToWorkers);
          } catch (e) {
            r.done([], e as TuttiError);
            return true;
          }
          return this.#offer({ kind: 'spawn', ...r });
        },
        progress: (a) => {
          this.#progress.reported(a);
          this.#events.progress(a);
        },
        logLine: (r) => this.#log.add(r),
        capacity: () => {
          this.#submissions.handlersChanged();
          this.#enqueuer.unpark();
          this.#cold.reset();
          this.#cold.topUp();
          wake();
        },
        resultRoom: () => this.#results.inbox.room(),
      },
    });
    const parts: EngineParts = {
      host: o.host,
      config: this.#config,
      store: o.store,
      boot: 1 + Math.floor(o.host.random() * (2 ** 31 - 2)),
      graphs,
      payloads,
      dispatcher,
      timers: new Timers(o.host, wake),
      queue: new ReadyQueue(),
      absent: new Set(),
    };
    this.#parts = parts;
    const followUp = (c: FinalizeCommand): void => {
      this.#finalizer.inbox.force(c);
      wake();
    };
    this.#intake = new GraphIntake({
      parts,
      inbox: () => this.#finalizer.inbox,
      pause: () => this.#pause(),
      wake,
      changed: (task) => this.#events.changed(task),
      awaited: (task) => this.#outcomes.awaited(task) || this.scheduling.awaits(task),
      ended: (g) => this.#ended(g),
      wanted: (g) => this.#resets.wants(g) || this.#results.wants(g),
    });
    this.#requests = new TaskRequest({ parts, followUp, adopt: (g) => this.#intake.adopt(g), wake });
    this.#results = new ResultProcessor(parts);
    this.#enqueuer = new StepEnqueuer(parts);
    this.#finalizer = new TaskFinalizer({ parts, followUp, commit: (changes) => this.#loop.commitLater(changes) });
    this.#plans = new PlanService({
      parts,
      wake,
      nextTaskId: () => this.#submissions.nextId(),
      taskUuid: (task) => taskUuid(task, tag),
      admit: () => this.#admit(),
      guard: (ask) => this.#guard(ask),
      saturation: () => Math.max(...[this.#requests, this.#results, this.#enqueuer, this.#finalizer].map((a) => a.inbox.depth / a.inbox.capacity)),
      subtasks: (q) => subtasksOf(q, { store: o.store, graphOf: (row) => this.#queries.graphOf(row), results: (g, nos) => dispatcher.values.results(g, nos) }),
      cancelTask: (task, message) => endTask(this, task, tag, message),
      commit: (changes) => this.#loop.commitLater(changes),
    });
    this.#loop = new TurnLoop({
      parts,
      actors: [this.#results, this.#enqueuer, this.#requests, this.#plans.keeper, this.#finalizer],
      stages: [
        (t) => this.#results.fill(t),
        (t) => this.#enqueuer.fill(t),
        (t) => this.#requests.fill(t),
        (t) => this.#plans.keeper.fill(t),
        (t) => this.#finalizer.fill(t),
        (t) => this.#enqueuer.start(t),
        (t) => this.#finalizer.conclude(t),
        (t) => this.#plans.keeper.conclude(t),
      ],
      release: (turn) => this.#release(turn),
      reload: async (ids) => {
        await this.#plans.keeper.reload();
        await this.#intake.load(ids);
      },
      resume: (doubts) => this.#intake.resume(doubts),
    });
    const commit = (changes: ChangeSet): Promise<boolean> => this.#loop.commitLater(changes);
    this.#cold = new ColdReady({ parts, adopt: (ids) => this.#intake.load(ids), wake, started: () => this.#enqueuer.started });
    this.#scan = new TimerScan(parts);
    this.#log = new AttemptLog({ host: o.host, commit });
    this.#taskGuard = new TaskGuard(o.store);
    this.#retention = new Retention({ parts, commit, guard: this.#taskGuard });
    this.#reconciler = new Reconciler({ parts, wake });
    this.#progress = new TaskProgress({ graph: (t) => graphs.get(t), now, stepUuid: (t, no) => stepUuid(t, no, tag), pause: () => this.#pause() });
    this.#events = new Events({
      progress: this.#progress,
      store: o.store,
      host: o.host,
      graphs,
      templates: this.#templates,
      taskOf: async (id) => (await this.#row(id)).id,
      pause: () => this.#pause(),
      stopped: () => this.#status === 'stopped',
    });
    this.#queries = new Queries({
      progress: this.#progress,
      store: o.store,
      graphs,
      templates: this.#templates,
      dispatcher,
      taskUuid: (t) => taskUuid(t, tag),
      stepUuid: (t, no) => stepUuid(t, no, tag),
      pause: () => this.#pause(),
    });
    this.#outcomes = new Outcomes({
      store: o.store,
      queries: this.#queries,
      payloads,
      results: (g, nos) => dispatcher.values.results(g, nos),
      soon: (fn) => this.#host.soon(fn),
      tag,
    });
    this.#resets = new Resets({
      guard: this.#taskGuard,
      row: (id) => this.#row(id),
      stepNo: (row, ref) => this.#stepNo(row, ref),
      post: (c) => this.#post(c),
      view: (id) => this.task(id),
      letGo: (task) => {
        const g = graphs.get(task);
        if (g !== undefined && g.writes === null && isSettled(g)) graphs.drop(g);
      },
    });
    const keys = new TaskKeys({ store: o.store, taskUuid: (t) => taskUuid(t, tag) });
    this.#submissions = new Submissions({
      keys,
      inbox: this.#requests.inbox,
      templates: this.#templates,
      config: this.#config,
      tag,
      lastId,
      now,
      wake,
      hasHandler: (h) => dispatcher.hasHandler(h),
      viewOf: (g, row) => this.#queries.viewOf(g, row),
      admit: () => this.#admit(),
      pause: () => this.#pause(),
    });
    this.#refs = new StepRefs({
      store: o.store,
      graph: (task) => graphs.get(task),
      readGraph: (row) => this.#queries.readGraph(row),
      shapeOf: (t) => this.#templates.shape(t),
    });
    this.#copies = new Copies({
      store: o.store,
      host: o.host,
      config: this.#config,
      graphs,
      guard: this.#taskGuard,
      submissions: this.#submissions,
      hasHandler: (h) => dispatcher.hasHandler(h),
      row: (id) => this.#row(id),
      stepNo: (row, ref) => this.#stepNo(row, ref),
      stepUuid: (t, no) => stepUuid(t, no, tag),
      admit: () => this.#admit(),
    });
    this.#trees = new Trees({
      host: o.host,
      config: this.#config,
      store: o.store,
      workers: dispatcher,
      submissions: this.#submissions,
      queries: this.#queries,
      refs: this.#refs,
      keys,
      ids: new ElementIds({ store: o.store, pause: () => this.#pause() }),
      admit: () => this.#admit(),
      row: (id) => this.#row(id),
      live: (id) => this.#writable(id),
      offer: (c) => this.#offer(c),
    });
    const [admit, pause, cancel] = [() => this.#admit(), () => this.#pause(), (task: number, why: string) => endTask(this, task, tag, why)];
    this.scheduling = new Scheduling({ ...o, submissions: this.#submissions, commit, cancel, admit, pause });
    this.scheduling.onPlanTick((target, tick) => this.#plans.fireTick(target, tick));
  }

  /** Opens the engine on a store and takes up what was unfinished. The store is closed with it. */
  static async open(o: EngineOptions): Promise<Engine> {
    const newest = await o.store.listTasks({ limit: 1, countCap: 0 });
    const e = new Engine(o, newest.tasks[0]?.id ?? 0);
    await e.#templates.load();
    await e.#plans.load();
    await e.scheduling.load();
    await removeArrivals(e.#parts);
    const waiting = await o.store.taskIds({ states: [Task.enqueuingSteps], after: 0, limit: 1000 });
    e.resumed = waiting.length + (await resumeBegun(e.#parts, { adopt: (ids) => e.#intake.load(ids, true), stopped: () => e.#status === 'stopped' }));
    await resumeAborts(e.#parts, (ids) => e.#intake.load(ids, true));
    await e.#scan.run();
    e.#retention.start();
    e.#plans.start();
    e.#reconciler.start();
    e.#status = 'ready';
    e.#loop.wake();
    return e;
  }

  get schedules(): Schedules {
    return this.scheduling.schedules;
  }

  get plans(): PlanService {
    return this.#plans;
  }

  get planWorkers(): PlanWorkerPort {
    return this.#plans.port;
  }

  get resources(): Resources {
    return this.#plans.port.resources;
  }

  addResourceKind(kind: ResourceKind): void {
    this.#plans.addKind(kind);
  }

  get workers(): Dispatcher {
    return this.#parts.dispatcher;
  }

  handlers(): HandlerView[] {
    return this.workers.handlers();
  }

  #admit(): void {
    if (this.#status === 'draining' || this.#status === 'stopped')
      throw new TuttiError('SHUTTING_DOWN', 'This process is shutting down and takes no new tasks.', { retryAfter: 5 });
    if (!this.#loop.writable)
      throw new TuttiError('STORE_UNAVAILABLE', `The store cannot be written: ${this.#loop.lastFailure ?? 'unknown'}`, { retryAfter: 5 });
  }

  // Templates

  async register(r: TemplateRegistration, o: { dev?: boolean } = {}): Promise<TemplateView> {
    if (r.definition.steps.length > MAX_STEPS) throw new TuttiError('INVALID_TEMPLATE', `a template has at most ${MAX_STEPS} steps`, { field: 'steps' });
    return this.#templates.view(await this.#guard(() => this.#templates.register(r, o.dev ?? false)));
  }

  templates(filter: { namespace?: string } = {}): TemplateView[] {
    return this.#templates.all(filter.namespace).map((t) => this.#templates.view(t));
  }

  template(ref: { namespace: string; name: string; version: string }): TemplateView | undefined {
    const t = this.#templates.find(ref);
    return t === undefined ? undefined : this.#templates.view(t);
  }

  // Submissions

  submit(r: SubmitRequest): Promise<TaskView> {
    return this.#submissions.submit(r);
  }

  trySubmit(r: SubmitRequest): Promise<TaskView> {
    return this.#submissions.trySubmit(r);
  }

  submitMany(rs: Iterable<SubmitRequest>): Promise<string[]> {
    return this.#submissions.submitMany(rs);
  }

  async submitTree(r: TreeRequest): Promise<TreeSubmitted> {
    return await this.#guard(() => this.#trees.submit(r, 'wait'));
  }

  async trySubmitTree(r: TreeRequest): Promise<TreeSubmitted> {
    return await this.#guard(() => this.#trees.submit(r, 'refuse'));
  }

  // Reading

  async task(id: string): Promise<TaskView> {
    return await this.#queries.task(await this.#row(id));
  }

  async list(r: ListRequest): Promise<ListResult> {
    return await this.#guard(() => listTasks(r, { store: this.#store, templates: this.#templates, queries: this.#queries }));
  }

  async steps(taskId: string, o: { results?: boolean; inputs?: boolean; includeNotTaken?: boolean } = {}): Promise<StepView[]> {
    return await this.#queries.steps(await this.#row(taskId), { results: o.results ?? true, inputs: o.inputs, absent: o.includeNotTaken });
  }

  findElement(id: string): Promise<StepView> {
    return this.#guard(() => this.#trees.find(id));
  }

  tree(taskId: string, q: TreeQuery = {}): Promise<TreeView> {
    return this.#guard(() => this.#trees.view(taskId, q));
  }

  async step(taskId: string, ref: string): Promise<StepView> {
    const row = await this.#row(taskId);
    return (await this.#queries.steps(row, { nos: [await this.#stepNo(row, ref)], results: true, inputs: true, checkpoint: true }))[0];
  }

  async audit(taskId: string, stepRef?: string): Promise<AuditView[]> {
    const row = await this.#row(taskId);
    return await this.#queries.audit(row, stepRef === undefined ? undefined : await this.#stepNo(row, stepRef));
  }

  async explain(taskId: string, stepRef?: string): Promise<ExplainView[]> {
    const row = await this.#row(taskId);
    const g = await this.#queries.graphOf(row);
    const nos = stepRef === undefined ? [...Array(g.size).keys()].filter((no) => !isAbsent(g.state[no])) : [await this.#stepNo(row, stepRef)];
    return await explainSteps(this.#parts, g, nos, {
      draining: () => this.#enqueuer.draining,
      storeWritable: () => this.#loop.writable,
      pause: () => this.#pause(),
    });
  }

  async attemptLog(taskId: string, stepRef: string): Promise<{ at: number; level: string; message: string; token: number }[]> {
    const row = await this.#row(taskId);
    await this.#log.flush();
    const no = await this.#stepNo(row, stepRef);
    return await this.#guard(() => this.#store.attemptLines({ task: row.id, no, limit: 10_000 }));
  }

  async *events(taskId: string, o: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<TaskEvent> {
    yield* this.#events.ofTask(await this.#row(taskId), o);
  }

  allEvents(o: EventFilter & { after?: string; signal?: AbortSignal; onPosition?: (cursor: string) => void } = {}): AsyncIterable<GlobalEvent> {
    return this.#events.all.stream(o);
  }

  async eventPage(o: EventFilter & { after?: string; limit?: number } = {}): Promise<EventPage> {
    return await this.#events.all.page(o);
  }

  onEvent(o: EventFilter & { after?: string }, fn: (e: GlobalEvent) => unknown): () => void {
    return this.#events.callbacks.add(o, fn);
  }

  async done(taskId: string): Promise<TaskOutcome> {
    const id = this.#taskId(taskId);
    const g = this.#parts.graphs.get(id);
    if (g !== undefined && !isTaskTerminal(g.taskState)) return await this.#outcomes.wait(id);
    const row = await this.#row(taskId);
    const again = this.#parts.graphs.get(id);
    if (again !== undefined && !isTaskTerminal(again.taskState)) return await this.#outcomes.wait(id);
    return isTaskTerminal(row.state) ? await this.#guard(() => this.#outcomes.of(row)) : await this.#outcomes.wait(id);
  }

  async result(taskId: string): Promise<Json> {
    const outcome = await this.done(taskId);
    if (outcome.state !== 'complete') throw failureOf(outcome);
    const id = this.#taskId(taskId);
    const g = this.#parts.graphs.get(id) ?? this.#outcomes.justEnded(id) ?? (await this.#queries.readGraph(await this.#row(taskId)));
    return await this.#guard(() => this.#outcomes.resultOf(g));
  }

  // Verbs

  async cancel(taskId: string, o: { errorMessage?: string; by?: string } = {}): Promise<TaskView> {
    const message = messageOf(o);
    return await this.#verb(taskId, (task, done) => ({ kind: 'cancel', task, message, done }));
  }

  async cancelStep(taskId: string, stepRef: string, o: { errorMessage?: string } = {}): Promise<StepView> {
    return await this.#trees.cancelStep(taskId, stepRef, messageOf(o));
  }

  async executeTree(taskId: string): Promise<TaskView> {
    return await this.#trees.execute(taskId);
  }

  addSteps(taskId: string, elements: TreeRequest['elements']): Promise<StepView[]> {
    return this.#guard(() => this.#trees.add(taskId, elements));
  }

  async patch(taskId: string, o: { priority?: number; tags?: string[] }): Promise<TaskView> {
    if (o.priority !== undefined) checkPriority(o.priority);
    if (o.tags !== undefined) checkTags(o.tags);
    const patch = { ...(o.priority === undefined ? {} : { priority: o.priority }), ...(o.tags === undefined ? {} : { tags: o.tags }) };
    return await this.#verb(taskId, (task, done) => ({ kind: 'patch', task, patch, done }));
  }

  async reset(taskId: string, stepRef?: string): Promise<TaskView> {
    this.#admit();
    if (await this.#plans.isBatch(this.#taskId(taskId)))
      throw new TuttiError('ILLEGAL_STATE', 'The task is a batch of a plan: what failed comes again in a later batch.', { details: { legal: ['cancel'] } });
    return await this.#resets.reset(taskId, stepRef);
  }

  async copy(taskId: string, o: CopyRequest, whenFull: 'wait' | 'refuse' = 'wait'): Promise<TaskView> {
    return await this.#guard(() => this.#copies.copy(taskId, o, whenFull));
  }

  async previewCopy(taskId: string, o: CopyRequest): Promise<JsonObject[]> {
    return await this.#guard(() => this.#copies.preview(taskId, o));
  }

  async purge(taskId: string): Promise<void> {
    const row = await this.#row(taskId);
    await this.#plans.refuseHeld(row.id);
    await this.#guard(() =>
      purge(row, {
        store: this.#store,
        host: this.#host,
        graphs: this.#parts.graphs,
        guard: this.#taskGuard,
        commit: (c) => this.#loop.commitLater(c),
        remove: (task) => this.#post({ kind: 'remove', task, done: () => undefined }),
      }),
    );
  }

  /** A task that has not ended, in a store that can be written. */
  async #writable(taskId: string): Promise<StoredTask> {
    const row = await this.#row(taskId);
    refuseArchive(row);
    if (isTaskTerminal(row.state))
      throw new TuttiError('ILLEGAL_STATE', `The task has ended: ${TASK_STATES[row.state]}.`, { details: { state: TASK_STATES[row.state] } });
    if (!this.#loop.writable) throw new TuttiError('STORE_UNAVAILABLE', 'The store cannot be written.', { retryAfter: 5 });
    return row;
  }

  async #verb(taskId: string, make: (task: number, done: (g: TaskGraph | null, e: TuttiError | null) => void) => ResultCommand): Promise<TaskView> {
    const row = await this.#writable(taskId);
    await this.#post(make(row.id, () => undefined));
    return await this.task(taskId);
  }

  #post(c: ResultCommand): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (_g: unknown, e: TuttiError | null): void => (e === null ? resolve() : reject(e));
      if (!this.#offer({ ...c, done } as ResultCommand))
        reject(new TuttiError('BACKPRESSURE', 'Too many commands are waiting.', { retryAfter: 1, details: { inbox: 'result_processor' } }));
    });
  }

  #offer(c: ResultCommand): boolean {
    if (!this.#results.inbox.offer(c)) return false;
    this.#loop.wake();
    return true;
  }

  // What a durable turn lets out (I1)

  #release(turn: Turn): void {
    const { dispatcher, timers, graphs } = this.#parts;
    const { out } = turn;
    turn.reap();
    for (const s of out.stops) {
      dispatcher.stop(s.graph.id, s.no, s.token, s.cause);
      timers.add({ at: out.now + this.#config.graceMs, kind: 'grace', task: s.graph.id, no: s.no, token: s.token });
    }
    for (const t of out.timers) {
      if (t.at - out.now <= HORIZON_MS) timers.add({ at: t.at, kind: t.no < 0 ? 'deadline' : 'retry', task: t.graph.id, no: t.no, token: 0 });
    }
    for (const reply of turn.replies) reply();
    this.#progress.turn(out.changes);
    for (const s of out.starts) this.#intake.watch(s.graph, s.no, s.token, out.now);
    dispatcher.dispatch(out.starts);
    for (const g of out.ended) this.#ended(g);
    for (const g of out.touched) {
      this.#events.changed(g.id);
      if (g.counted !== g.size) graphs.grew(g);
      if (isSettled(g)) {
        graphs.drop(g);
        this.#progress.drop(g.id);
      }
    }
    if (graphs.over) this.#shrink(turn);
    if (!this.#enqueuer.draining) this.#cold.topUp();
    if (this.#drained !== null && dispatcher.slots.used === 0) this.#drained();
  }

  /** Above the cache limit: what has just arrived stays in the store first, since it is last in order; then whatever may leave. */
  #shrink(turn: Turn): void {
    const { graphs, queue } = this.#parts;
    const left = (g: TaskGraph, no: number, rank: number): void => {
      // A step that nobody can run is not fetched again until workers change.
      if (this.workers.hasHandler(g.shape.rules[no].handler)) this.#cold.left(rank);
    };
    for (const g of turn.out.touched) if (graphs.over && graphs.evict(g, left)) this.#dropped++;
    this.#dropped += graphs.shrink(left);
    if (this.#dropped * 2 < queue.size + 1000) return;
    this.#dropped = 0;
    queue.compact();
    this.#enqueuer.compact();
  }

  /** Graphs dropped since the queue was cleared of what they left in it. */
  #dropped = 0;

  #ended(g: TaskGraph): void {
    this.#finished[TASK_STATES[g.taskState]]++;
    this.#outcomes.ended(g);
    this.scheduling.taskEnded(g.id);
  }

  // Names and ids

  #taskId(id: string): number {
    if (typeof id !== 'string' || !isUuid(id)) throw new TuttiError('INVALID_ID', `${JSON.stringify(id)} is not a UUID`, { field: 'task_id' });
    const key = parseUuid(id, this.#store.tag);
    if (key === null || key.no >= 0) throw new TuttiError('NOT_FOUND', `there is no task ${id}`);
    return key.task;
  }

  async #row(id: string): Promise<StoredTask> {
    const task = this.#taskId(id);
    const wait = this.#gate.pass();
    if (wait !== undefined) await wait;
    const row = await this.#guard(() => this.#store.loadTask(task));
    if (row === null) throw new TuttiError('NOT_FOUND', `there is no task ${id}`);
    return row;
  }

  /** A step by its name, by its id, or by the id it was submitted with. */
  #stepNo(row: StoredTask, ref: string): Promise<number> {
    return this.#guard(() => this.#refs.resolve(row, ref));
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#host.soon(resolve));
  }

  /** Whatever a store throws becomes an error of the registry. */
  async #guard<T>(ask: () => T | Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (e) {
      if (isTuttiError(e)) throw e;
      this.#host.log('error', 'the store failed a read', { message: e instanceof Error ? e.message : String(e) });
      throw new TuttiError('STORE_UNAVAILABLE', 'The store cannot be read at the moment.', { retryAfter: 5, cause: e });
    }
  }

  // Operation

  get #counted(): Counted {
    return {
      parts: this.#parts,
      loop: this.#loop,
      requests: this.#requests,
      results: this.#results,
      enqueuer: this.#enqueuer,
      finalizer: this.#finalizer,
      plans: this.#plans.keeper,
    };
  }

  metrics(): EngineMetrics {
    return engineMetrics(this.#counted, {
      finished: { ...this.#finished },
      reconcilerRepairs: this.#reconciler.repairs,
      retentionRemoved: this.#retention.removed,
      callbackErrors: this.#events.callbacks.errors,
      schedules: this.schedules.metrics(),
    });
  }

  health(): EngineHealth {
    return engineHealth(this.#counted, this.#status);
  }

  /** For tests and tools: one retention sweep, one reconciler slice. */
  readonly maintenance = { sweep: (): Promise<number> => this.#retention.sweep(), reconcile: (): void => this.#reconciler.slice() };

  /** A second call waits for the first. */
  stop(o: { drainMs?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop(o);
    return this.#stopping;
  }

  async #stop(o: { drainMs?: number }): Promise<void> {
    this.#status = 'draining';
    this.#enqueuer.drain();
    this.#retention.stop();
    this.#plans.stop();
    this.#reconciler.stop();
    this.#scan.stop();
    this.scheduling.stop();
    const { dispatcher, timers } = this.#parts;
    if (dispatcher.slots.used > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#host.timer(o.drainMs ?? 30_000, resolve);
        this.#drained = () => {
          cancel();
          resolve();
        };
      });
      for (const a of dispatcher.allActive()) a.session.sink.stop({ task: a.task, no: a.no, token: a.token, reason: 'shutdown' });
    }
    await Promise.race([this.#log.flush(), new Promise<void>((resolve) => void this.#host.timer(2000, resolve))]);
    await this.#loop.stop();
    const closed = new TuttiError('SHUTTING_DOWN', 'The engine was closed before this was stored.', { retryAfter: 5 });
    for (const actor of [this.#requests, this.#results, this.#plans.keeper, this.#finalizer]) actor.refuse(closed);
    this.#status = 'stopped';
    timers.stop();
    this.#plans.close();
    this.#events.close();
    this.#outcomes.close();
    await this.#store.close();
  }
}
