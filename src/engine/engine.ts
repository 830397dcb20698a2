/** The engine: the facade that everything outside talks to (design.md §3). How its parts fit together is in assemble-engine.ts. */
import type { Json, JsonObject } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import { MAX_STEPS } from '../core/ids.ts';
import { isAbsent } from '../core/step-states.ts';
import { isTaskTerminal } from '../core/task-states.ts';
import { type AssembledEngine, type EngineOptions, assembleEngine } from './assemble-engine.ts';
import type { Dispatcher } from './dispatcher.ts';
import { engineHealth, engineMetrics } from './engine-metrics.ts';
import { explainSteps } from './explaining.ts';
import type { EngineFacade, EngineHealth, EngineMetrics, TemplateRegistration } from './facade.ts';
import { messageOf } from './operator-verbs.ts';
import { failureOf } from './outcomes.ts';
import type { PlanWorkerPort } from './plan-port.ts';
import type { PlanService } from './plans/plan-service.ts';
import type { ResourceKind, Resources } from './resource-port.ts';
import type { Schedules } from './schedules.ts';
import type { Scheduling } from './scheduling.ts';
import { listTasks } from './task-list.ts';
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

export class Engine implements EngineFacade {
  readonly #has: AssembledEngine;
  /** Unfinished tasks found at start. */
  resumed = 0;

  private constructor(assembled: AssembledEngine) {
    this.#has = assembled;
  }

  /** Opens the engine on a store and takes up what was unfinished. The store is closed with it. */
  static async open(o: EngineOptions): Promise<Engine> {
    const newest = await o.store.listTasks({ limit: 1, countCap: 0 });
    const e = new Engine(assembleEngine(o, newest.tasks[0]?.id ?? 0));
    e.resumed = await e.#has.lifecycle.open();
    return e;
  }

  /** Its `start` fires ticks from then on: call it when templates and handlers are there. */
  get scheduling(): Scheduling {
    return this.#has.scheduling;
  }

  get schedules(): Schedules {
    return this.scheduling.schedules;
  }

  get plans(): PlanService {
    return this.#has.plans;
  }

  get planWorkers(): PlanWorkerPort {
    return this.#has.plans.port;
  }

  get resources(): Resources {
    return this.#has.plans.port.resources;
  }

  addResourceKind(kind: ResourceKind): void {
    this.#has.plans.addKind(kind);
  }

  get workers(): Dispatcher {
    return this.#has.parts.dispatcher;
  }

  handlers(): HandlerView[] {
    return this.workers.handlers();
  }

  // Templates

  async register(r: TemplateRegistration, o: { dev?: boolean } = {}): Promise<TemplateView> {
    if (r.definition.steps.length > MAX_STEPS) throw new TuttiError('INVALID_TEMPLATE', `a template has at most ${MAX_STEPS} steps`, { field: 'steps' });
    return this.#has.templates.view(await this.#has.guard(() => this.#has.templates.register(r, o.dev ?? false)));
  }

  templates(filter: { namespace?: string } = {}): TemplateView[] {
    return this.#has.templates.all(filter.namespace).map((t) => this.#has.templates.view(t));
  }

  template(ref: { namespace: string; name: string; version: string }): TemplateView | undefined {
    const t = this.#has.templates.find(ref);
    return t === undefined ? undefined : this.#has.templates.view(t);
  }

  // Submissions

  submit(r: SubmitRequest): Promise<TaskView> {
    return this.#has.submissions.submit(r);
  }

  trySubmit(r: SubmitRequest): Promise<TaskView> {
    return this.#has.submissions.trySubmit(r);
  }

  submitMany(rs: Iterable<SubmitRequest>): Promise<string[]> {
    return this.#has.submissions.submitMany(rs);
  }

  async submitTree(r: TreeRequest): Promise<TreeSubmitted> {
    return await this.#has.guard(() => this.#has.trees.submit(r, 'wait'));
  }

  async trySubmitTree(r: TreeRequest): Promise<TreeSubmitted> {
    return await this.#has.guard(() => this.#has.trees.submit(r, 'refuse'));
  }

  // Reading

  task(id: string): Promise<TaskView> {
    return this.#has.view(id);
  }

  async list(r: ListRequest): Promise<ListResult> {
    return await this.#has.guard(() => listTasks(r, { store: this.#has.parts.store, templates: this.#has.templates, queries: this.#has.queries }));
  }

  async steps(taskId: string, o: { results?: boolean; inputs?: boolean; includeNotTaken?: boolean } = {}): Promise<StepView[]> {
    const row = await this.#has.lookup.row(taskId);
    return await this.#has.guard(() => this.#has.queries.steps(row, { results: o.results ?? true, inputs: o.inputs, absent: o.includeNotTaken }));
  }

  findElement(id: string): Promise<StepView> {
    return this.#has.guard(() => this.#has.trees.find(id));
  }

  tree(taskId: string, q: TreeQuery = {}): Promise<TreeView> {
    return this.#has.guard(() => this.#has.trees.view(taskId, q));
  }

  async step(taskId: string, ref: string): Promise<StepView> {
    const row = await this.#has.lookup.row(taskId);
    const nos = [await this.#has.lookup.stepNo(row, ref)];
    return (await this.#has.guard(() => this.#has.queries.steps(row, { nos, results: true, inputs: true, checkpoint: true })))[0];
  }

  async audit(taskId: string, stepRef?: string): Promise<AuditView[]> {
    const row = await this.#has.lookup.row(taskId);
    const no = stepRef === undefined ? undefined : await this.#has.lookup.stepNo(row, stepRef);
    return await this.#has.guard(() => this.#has.queries.audit(row, no));
  }

  async explain(taskId: string, stepRef?: string): Promise<ExplainView[]> {
    const row = await this.#has.lookup.row(taskId);
    const g = await this.#has.guard(() => this.#has.queries.graphOf(row));
    const nos = stepRef === undefined ? [...Array(g.size).keys()].filter((no) => !isAbsent(g.state[no])) : [await this.#has.lookup.stepNo(row, stepRef)];
    return await explainSteps(this.#has.parts, g, nos, {
      draining: () => this.#has.enqueuer.draining,
      storeWritable: () => this.#has.loop.writable,
      pause: () => this.#has.pause(),
    });
  }

  async attemptLog(taskId: string, stepRef: string): Promise<{ at: number; level: string; message: string; token: number }[]> {
    const row = await this.#has.lookup.row(taskId);
    await this.#has.log.flush();
    const no = await this.#has.lookup.stepNo(row, stepRef);
    return await this.#has.guard(() => this.#has.parts.store.attemptLines({ task: row.id, no, limit: 10_000 }));
  }

  async *events(taskId: string, o: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<TaskEvent> {
    yield* this.#has.events.ofTask(await this.#has.lookup.row(taskId), o);
  }

  allEvents(o: EventFilter & { after?: string; signal?: AbortSignal; onPosition?: (cursor: string) => void } = {}): AsyncIterable<GlobalEvent> {
    return this.#has.events.all.stream(o);
  }

  async eventPage(o: EventFilter & { after?: string; limit?: number } = {}): Promise<EventPage> {
    return await this.#has.events.all.page(o);
  }

  onEvent(o: EventFilter & { after?: string }, fn: (e: GlobalEvent) => unknown): () => void {
    return this.#has.events.callbacks.add(o, fn);
  }

  async done(taskId: string): Promise<TaskOutcome> {
    const id = this.#has.lookup.no(taskId);
    const g = this.#has.parts.graphs.get(id);
    if (g !== undefined && !isTaskTerminal(g.taskState)) return await this.#has.outcomes.wait(id);
    // Before its row is read: it may end while that is on its way.
    const { told, leave } = this.#has.outcomes.join(id);
    try {
      const row = await this.#has.lookup.row(taskId);
      if (!isTaskTerminal(row.state)) return await told;
      return await this.#has.guard(() => this.#has.outcomes.of(row));
    } finally {
      leave();
    }
  }

  async result(taskId: string): Promise<Json> {
    const outcome = await this.done(taskId);
    if (outcome.state !== 'complete') throw failureOf(outcome);
    const { parts, outcomes, queries, lookup, guard } = this.#has;
    const id = lookup.no(taskId);
    const inMemory = parts.graphs.get(id) ?? outcomes.justEnded(id);
    const g = inMemory ?? (await guard(async () => await queries.readGraph(await lookup.row(taskId))));
    return await guard(() => outcomes.resultOf(g));
  }

  // Verbs

  cancel(taskId: string, o: { errorMessage?: string; by?: string } = {}): Promise<TaskView> {
    return this.#has.verbs.cancel(taskId, o);
  }

  async cancelStep(taskId: string, stepRef: string, o: { errorMessage?: string } = {}): Promise<StepView> {
    return await this.#has.guard(() => this.#has.trees.cancelStep(taskId, stepRef, messageOf(o)));
  }

  async executeTree(taskId: string): Promise<TaskView> {
    return await this.#has.guard(() => this.#has.trees.execute(taskId));
  }

  addSteps(taskId: string, elements: TreeRequest['elements']): Promise<StepView[]> {
    return this.#has.guard(() => this.#has.trees.add(taskId, elements));
  }

  patch(taskId: string, o: { priority?: number; tags?: string[] }): Promise<TaskView> {
    return this.#has.verbs.patch(taskId, o);
  }

  reset(taskId: string, stepRef?: string): Promise<TaskView> {
    return this.#has.verbs.reset(taskId, stepRef);
  }

  async copy(taskId: string, o: CopyRequest, whenFull: 'wait' | 'refuse' = 'wait'): Promise<TaskView> {
    return await this.#has.guard(() => this.#has.copies.copy(taskId, o, whenFull));
  }

  async previewCopy(taskId: string, o: CopyRequest): Promise<JsonObject[]> {
    return await this.#has.guard(() => this.#has.copies.preview(taskId, o));
  }

  purge(taskId: string): Promise<void> {
    return this.#has.verbs.purge(taskId);
  }

  // Operation

  metrics(): EngineMetrics {
    const { counted, release, reconciler, retention, events } = this.#has;
    return engineMetrics(counted, {
      finished: { ...release.finished },
      reconcilerRepairs: reconciler.repairs,
      retentionRemoved: retention.removed,
      callbackErrors: events.callbacks.errors,
      schedules: this.schedules.metrics(),
    });
  }

  health(): EngineHealth {
    return engineHealth(this.#has.counted, this.#has.lifecycle.status);
  }

  /** For tests and tools: one retention sweep, one reconciler slice. */
  readonly maintenance = { sweep: (): Promise<number> => this.#has.retention.sweep(), reconcile: (): void => this.#has.reconciler.slice() };

  /** Takes nothing new from now on, as if it were stopping; `stop` follows. */
  refuseNew(): void {
    this.#has.lifecycle.refuseNew();
  }

  /** A second call waits for the first. */
  stop(o: { drainMs?: number } = {}): Promise<void> {
    return this.#has.lifecycle.stop(o);
  }
}
