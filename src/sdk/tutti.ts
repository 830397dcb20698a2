/** The embedded engine as a user holds it: typed submits, task handles, handlers and templates by name. */
import type { JsonObject } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import type { TreeElement } from '../core/tree-element.ts';
import type { EngineFacade, TemplateRegistration } from '../engine/facade.ts';
import type { Resources } from '../engine/resource-port.ts';
import type { CopyRequest, EventFilter, GlobalEvent, ListRequest, ListResult, SubmitRequest, TaskView, TemplateView, TreeRequest } from '../engine/views.ts';
import { type Duration, parseDuration } from './duration.ts';
import type { HandlerMeta } from './handler-meta.ts';
import type { HandlerCode, HandlerDefinition, HandlerRegistry } from './handler-registry.ts';
import { HookRegistry, type Hooks, TREE_HOOK_EVENTS } from './hooks.ts';
import { ScheduleManager } from './schedules.ts';
import type { LocalGeneratorHost } from './plans/local-generator-host.ts';
import { TaskPlans } from './plans/task-plans.ts';
import { TaskHandle } from './task-handle.ts';
import { checkCopyOptions, checkListRequest, checkSubmitOptions, checkTreeOptions } from './task-options.ts';
import type { AnyTemplate, Submittable } from './template.ts';
import { parseOpenTemplateId } from './template-id.ts';
import type { LocalWorker } from './worker/local-worker.ts';

export interface SubmitOptions extends Omit<SubmitRequest, 'namespace' | 'name' | 'version' | 'input'> {
  /** What to do when the engine's inbox is full: wait for room (default), or reject with BACKPRESSURE. */
  whenFull?: 'wait' | 'reject';
}

/** How a task is copied; see CopyRequest. */
export interface CopyOptions extends Omit<CopyRequest, 'mode' | 'link'> {
  /** false: nothing is stored. Default true. */
  save?: boolean;
}

export interface SubmitTreeOptions extends Omit<TreeRequest, 'elements'> {
  /** As for a submit. */
  whenFull?: 'wait' | 'reject';
}

export interface TuttiParts {
  engine: EngineFacade;
  registry: HandlerRegistry;
  /** What the worker runs around steps. Absent: one that nothing is told. */
  hooks?: HookRegistry;
  /** Absent: this process runs no handlers. */
  worker?: LocalWorker;
  /** Absent: this process runs no task types. */
  generators?: LocalGeneratorHost;
}

export class Tutti {
  /** Everything else the engine can do. */
  readonly engine: EngineFacade;
  /** What fires templates by the clock. */
  readonly schedules: ScheduleManager;
  /** Chains of batches, each from one trigger. */
  readonly plans: TaskPlans;
  readonly #registry: HandlerRegistry;
  readonly #hooks: HookRegistry;
  #unfollow: (() => void) | undefined;
  readonly #worker: LocalWorker | undefined;
  readonly #generators: LocalGeneratorHost | undefined;

  constructor({ engine, registry, hooks, worker, generators }: TuttiParts) {
    this.engine = engine;
    this.schedules = new ScheduleManager(engine.schedules);
    this.#registry = registry;
    this.#hooks = hooks ?? new HookRegistry({ taskOf: (id) => new TaskHandle(engine, id) });
    this.#worker = worker;
    this.#generators = generators;
    this.plans = new TaskPlans(engine.plans, generators);
  }

  /**
   * Stores a task and says so once it is durable. Throws INVALID_INPUT (each path named; also for an option that there is not),
   * TEMPLATE_NOT_FOUND, UNKNOWN_HANDLER.
   * A template may be named instead: `namespace/name@version`, or without version for the highest release.
   */
  submit<In, R>(template: Submittable<In, R>, input: NoInfer<In>, opts?: SubmitOptions): Promise<TaskHandle<R>>;
  submit(template: string, input: unknown, opts?: SubmitOptions): Promise<TaskHandle>;
  async submit(template: AnyTemplate | string, input: unknown, opts: SubmitOptions = {}): Promise<TaskHandle<never>> {
    checkSubmitOptions('submit', opts);
    const { whenFull, ...rest } = opts;
    const request: SubmitRequest = { ...rest, ...refOf(template), input };
    const view = await (whenFull === 'reject' ? this.engine.trySubmit(request) : this.engine.submit(request));
    return new TaskHandle(this.engine, view.id);
  }

  /** Many at once, all checked before the first is stored; handles in order. */
  submitMany<In, R>(template: Submittable<In, R>, inputs: Iterable<NoInfer<In>>, opts?: SubmitOptions): Promise<TaskHandle<R>[]>;
  submitMany(template: string, inputs: Iterable<unknown>, opts?: SubmitOptions): Promise<TaskHandle[]>;
  async submitMany(template: AnyTemplate | string, inputs: Iterable<unknown>, opts: SubmitOptions = {}): Promise<TaskHandle<never>[]> {
    checkSubmitOptions('submitMany', opts);
    if (typeof (inputs as Partial<Iterable<unknown>> | null | undefined)?.[Symbol.iterator] !== 'function')
      throw new TuttiError('INVALID_INPUT', 'submitMany: inputs must be a list', { field: 'inputs' });
    const { whenFull: _, ...rest } = opts;
    const ids = await this.engine.submitMany(requests({ ...rest, ...refOf(template) }, inputs));
    return ids.map((id) => new TaskHandle(this.engine, id));
  }

  /**
   * Stores a tree of elements (docs/trees.md) as one task. Elements may be any iterable or async iterable: they are taken one by one. Throws
   * INVALID_INPUT, UNSTORABLE_VALUE or UNKNOWN_HANDLER, naming the element (`[3].dependencies[0]`), and ALREADY_EXISTS for an id or key that
   * is taken; nothing is stored then.
   */
  async submitTree(elements: Iterable<TreeElement> | AsyncIterable<TreeElement>, opts: SubmitTreeOptions = {}): Promise<TaskHandle> {
    checkTreeOptions('submitTree', opts);
    const { whenFull, ...rest } = opts;
    const request = { ...rest, elements };
    const { task } = await (whenFull === 'reject' ? this.engine.trySubmitTree(request) : this.engine.submitTree(request));
    return new TaskHandle(this.engine, task.id);
  }

  /** A handle on a task that exists. Throws INVALID_ID, NOT_FOUND. With its template the result is typed. */
  async get<R = unknown>(id: string, _template?: Submittable<unknown, R>): Promise<TaskHandle<R>> {
    const view = await this.engine.task(id);
    return new TaskHandle(this.engine, view.id);
  }

  async list(filter: ListRequest = {}): Promise<ListResult> {
    checkListRequest('list', filter);
    return await this.engine.list(filter);
  }

  cancel(id: string, o: { reason?: string; by?: string } = {}): Promise<TaskView> {
    return this.engine.cancel(id, { errorMessage: o.reason, by: o.by });
  }

  /**
   * A new task made from one that exists, from the start; the original is not changed. It waits for `execute` unless `execute: true`. One step
   * with what stands below it: `element`. `save: false`: only the elements it would have, as submitTree takes them. Throws INVALID_INPUT,
   * NOT_FOUND, UNKNOWN_HANDLER, ILLEGAL_STATE (branches that are not decided).
   */
  copy(id: string, o: CopyOptions & { save: false }): Promise<JsonObject[]>;
  copy(id: string, o?: CopyOptions): Promise<TaskHandle>;
  copy(id: string, o: CopyOptions = {}): Promise<TaskHandle | JsonObject[]> {
    return this.#copy(id, 'copy', o);
  }

  /** A task that is complete at once, with the results of the original, which must be; that one cannot be removed meanwhile. */
  link(id: string, o: CopyOptions & { save: false }): Promise<JsonObject[]>;
  link(id: string, o?: CopyOptions): Promise<TaskHandle>;
  link(id: string, o: CopyOptions = {}): Promise<TaskHandle | JsonObject[]> {
    return this.#copy(id, 'link', o);
  }

  /** A task that keeps how everything of the original stands, in whatever state, and is never changed or removed. */
  archive(id: string, o: CopyOptions & { save: false }): Promise<JsonObject[]>;
  archive(id: string, o?: CopyOptions): Promise<TaskHandle>;
  archive(id: string, o: CopyOptions = {}): Promise<TaskHandle | JsonObject[]> {
    return this.#copy(id, 'archive', o);
  }

  /** A copy in which the steps in `link` (names or ids), with their tied children, are linked. */
  mixed(id: string, o: CopyOptions & { link: string[]; save: false }): Promise<JsonObject[]>;
  mixed(id: string, o: CopyOptions & { link: string[] }): Promise<TaskHandle>;
  mixed(id: string, o: CopyOptions & { link: string[] }): Promise<TaskHandle | JsonObject[]> {
    return this.#copy(id, 'mixed', o);
  }

  async #copy(id: string, mode: CopyRequest['mode'], o: CopyOptions & { link?: string[] }): Promise<TaskHandle | JsonObject[]> {
    checkCopyOptions(mode, o);
    const { save, ...rest } = o;
    const request = { ...rest, mode };
    if (save === false) return await this.engine.previewCopy(id, request);
    return new TaskHandle(this.engine, (await this.engine.copy(id, request)).id);
  }

  /** Runs again what failed of a task, and what depends on it; all else keeps its results. `step`: only that one, by name or id. */
  retry(id: string, o: { step?: string } = {}): Promise<TaskView> {
    return this.engine.reset(id, o.step);
  }

  /**
   * Events of all tasks from the durable log, in the order they were committed: behind the cursor `after` ('now': from this call on; absent:
   * all that is kept), then live ones, until `signal` or `close()`. Keep `event.cursor` to go on later: nothing is lost or told twice. Throws
   * with the first event: INVALID_INPUT, INVALID_CURSOR, NOT_FOUND (task), GONE (events behind the cursor were removed since).
   */
  events(filter: EventFilter & { after?: string; signal?: AbortSignal } = {}): AsyncIterable<GlobalEvent> {
    return this.engine.allEvents(filter);
  }

  /**
   * Calls `fn` with each event from now on (or behind `after`), one after the other and in order; gives the function that ends it, and
   * `close()` ends it too. An `fn` that throws or rejects is logged and counted (`tutti_event_callback_errors_total`), and goes on being called.
   */
  onEvent(filter: EventFilter & { after?: string }, fn: (event: GlobalEvent) => unknown): () => void {
    if (typeof fn !== 'function') throw new TuttiError('INVALID_INPUT', 'onEvent takes a filter, which may be {}, and a function', { field: 'fn' });
    return this.engine.onEvent(filter, fn);
  }

  /** What plans work on, and the items that belong to each: records in the engine's own store. */
  get resources(): Resources {
    return this.engine.resources;
  }

  /**
   * Makes a template known and its functions callable. Throws TEMPLATE_CONFLICT when another graph has this version
   * (`dev`: it becomes a revision instead); the code in use stays as it was then.
   */
  async register(template: AnyTemplate | TemplateRegistration, o?: { dev?: boolean }): Promise<TemplateView> {
    const view = await this.engine.register(registrationOf(template), o);
    if (isTemplate(template)) this.#registry.registerAll(handlersOf(template));
    return view;
  }

  /** Makes code known under a name; the newest registration of a name wins. */
  handler(name: string, code: HandlerCode, meta?: HandlerMeta): this {
    this.#registry.register(name, code, meta);
    return this;
  }

  /**
   * Hooks around every step that runs in this process, and on every task; the answer takes them away again. What they throw is logged
   * and counted (`tutti_hook_errors_total`) and changes no outcome. Throws TypeError for a name that is no hook.
   */
  hooks(hooks: Hooks): () => void {
    const remove = this.#hooks.add(hooks);
    this.#followTasks();
    return () => {
      remove();
      this.#followTasks();
    };
  }

  /** Tree hooks are told from the event log, from here on; each task's in order, and none waits for another task's. */
  #followTasks(): void {
    if (!this.#hooks.forTasks) {
      this.#unfollow?.();
      this.#unfollow = undefined;
      return;
    }
    const running = new Map<string, Promise<void>>();
    this.#unfollow ??= this.engine.onEvent({ types: TREE_HOOK_EVENTS }, (e) => {
      const next = (running.get(e.taskId) ?? Promise.resolve()).then(() => this.#hooks.taskEvent(e));
      running.set(e.taskId, next);
      void next.then(() => {
        if (running.get(e.taskId) === next) running.delete(e.taskId);
      });
    });
  }

  /** Takes no new work, lets running handlers finish, at most `drain` long (default 30 s), and closes the store. */
  async close(o: { drain?: Duration } = {}): Promise<void> {
    const drainMs = o.drain === undefined ? undefined : parseDuration(o.drain);
    if (drainMs === null) throw new TuttiError('INVALID_INPUT', 'drain must be milliseconds or text such as "30s"', { field: 'drain' });
    await this.engine.stop(drainMs === undefined ? {} : { drainMs });
    this.#worker?.close();
    this.#generators?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export const createTutti = (parts: TuttiParts): Tutti => new Tutti(parts);

/** What the engine is told of a template. */
export const registrationOf = (t: AnyTemplate | TemplateRegistration): TemplateRegistration => {
  if (isTemplate(t)) return { definition: t.definition(), validate: t.validator() };
  const { definition } = (t ?? {}) as Partial<TemplateRegistration>;
  if (typeof definition === 'object' && (definition as object | null) !== null) return t;
  throw new TuttiError('INVALID_TEMPLATE', 'a template is what template(…) begins, or an object with its definition', { field: 'template' });
};

/** What the registry is told of a template: the handlers it was given, its functions and their hooks. */
export function* handlersOf(template: AnyTemplate): Generator<HandlerDefinition> {
  for (const given of template.givenHandlers?.() ?? []) yield given;
  const hooks = template.hooks();
  for (const [name, code] of template.handlers()) yield { name, code, meta: { source: template.id, ...(hooks.get(name) as HandlerMeta | undefined) } };
}

export const isTemplate = (t: AnyTemplate | TemplateRegistration): t is AnyTemplate => typeof (t as AnyTemplate | null | undefined)?.handlers === 'function';

function* requests(rest: Omit<SubmitRequest, 'input'>, inputs: Iterable<unknown>): Generator<SubmitRequest> {
  for (const input of inputs) yield { ...rest, input };
}

const refs = new WeakMap<AnyTemplate, ReturnType<typeof parseOpenTemplateId>>();

/** Taken apart once per template: submits are many. */
function refOf(template: AnyTemplate | string): ReturnType<typeof parseOpenTemplateId> {
  // What is neither is refused as an id.
  if (typeof template !== 'object' || (template as AnyTemplate | null) === null) return parseOpenTemplateId(template as string);
  let ref = refs.get(template);
  if (ref === undefined) refs.set(template, (ref = parseOpenTemplateId(template.id)));
  return ref;
}
