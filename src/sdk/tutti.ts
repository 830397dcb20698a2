/** The embedded engine as a user holds it: typed submits, task handles, handlers and templates by name. */
import { TuttiError } from '../core/errors.ts';
import type { EngineFacade, TemplateRegistration } from '../engine/facade.ts';
import type { ListRequest, ListResult, SubmitRequest, TaskView, TemplateView } from '../engine/views.ts';
import { type Duration, parseDuration } from './duration.ts';
import type { HandlerCode, HandlerDefinition, HandlerMeta, HandlerRegistry } from './handler-registry.ts';
import { TaskHandle } from './task-handle.ts';
import type { AnyTemplate, Submittable } from './template.ts';
import { parseOpenTemplateId } from './template-id.ts';
import type { LocalWorker } from './worker/local-worker.ts';

export interface SubmitOptions extends Omit<SubmitRequest, 'namespace' | 'name' | 'version' | 'input'> {
  /** What to do when the engine's inbox is full: wait for room (default), or reject with BACKPRESSURE. */
  whenFull?: 'wait' | 'reject';
}

export interface TuttiParts {
  engine: EngineFacade;
  registry: HandlerRegistry;
  /** Absent: this process runs no handlers. */
  worker?: LocalWorker;
}

export class Tutti {
  /** Everything else the engine can do. */
  readonly engine: EngineFacade;
  readonly #registry: HandlerRegistry;
  readonly #worker: LocalWorker | undefined;

  constructor({ engine, registry, worker }: TuttiParts) {
    this.engine = engine;
    this.#registry = registry;
    this.#worker = worker;
  }

  /**
   * Stores a task and says so once it is durable. Throws INVALID_INPUT (each path named), TEMPLATE_NOT_FOUND, UNKNOWN_HANDLER.
   * A template may be named instead: `namespace/name@version`, or without version for the highest one.
   */
  submit<In, R>(template: Submittable<In, R>, input: NoInfer<In>, opts?: SubmitOptions): Promise<TaskHandle<R>>;
  submit(template: string, input: unknown, opts?: SubmitOptions): Promise<TaskHandle>;
  async submit(template: AnyTemplate | string, input: unknown, opts: SubmitOptions = {}): Promise<TaskHandle<never>> {
    const { whenFull, ...rest } = opts;
    const request: SubmitRequest = { ...rest, ...refOf(template), input };
    const view = await (whenFull === 'reject' ? this.engine.trySubmit(request) : this.engine.submit(request));
    return new TaskHandle(this.engine, view.id);
  }

  /** Many at once, all checked before the first is stored; handles in order. */
  submitMany<In, R>(template: Submittable<In, R>, inputs: Iterable<NoInfer<In>>, opts?: SubmitOptions): Promise<TaskHandle<R>[]>;
  submitMany(template: string, inputs: Iterable<unknown>, opts?: SubmitOptions): Promise<TaskHandle[]>;
  async submitMany(template: AnyTemplate | string, inputs: Iterable<unknown>, opts: SubmitOptions = {}): Promise<TaskHandle<never>[]> {
    const { whenFull: _, ...rest } = opts;
    const ids = await this.engine.submitMany(requests({ ...rest, ...refOf(template) }, inputs));
    return ids.map((id) => new TaskHandle(this.engine, id));
  }

  /** A handle on a task that exists. Throws INVALID_ID, NOT_FOUND. With its template the result is typed. */
  async get<R = unknown>(id: string, _template?: Submittable<unknown, R>): Promise<TaskHandle<R>> {
    const view = await this.engine.task(id);
    return new TaskHandle(this.engine, view.id);
  }

  list(filter: ListRequest = {}): Promise<ListResult> {
    return this.engine.list(filter);
  }

  cancel(id: string, o: { reason?: string; by?: string } = {}): Promise<TaskView> {
    return this.engine.cancel(id, { errorMessage: o.reason, by: o.by });
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

  /** Takes no new work, lets running handlers finish, at most `drain` long (default 30 s), and closes the store. */
  async close(o: { drain?: Duration } = {}): Promise<void> {
    const drainMs = o.drain === undefined ? undefined : parseDuration(o.drain);
    if (drainMs === null) throw new TuttiError('INVALID_INPUT', 'drain must be milliseconds or text such as "30s"', { field: 'drain' });
    await this.engine.stop(drainMs === undefined ? {} : { drainMs });
    this.#worker?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export const createTutti = (parts: TuttiParts): Tutti => new Tutti(parts);

/** What the engine is told of a template. */
export const registrationOf = (t: AnyTemplate | TemplateRegistration): TemplateRegistration =>
  isTemplate(t) ? { definition: t.definition(), validate: t.validator() } : t;

/** What the registry is told of a template: its functions. */
export function* handlersOf(template: AnyTemplate): Generator<HandlerDefinition> {
  for (const [name, code] of template.handlers()) yield { name, code, meta: { source: template.id } };
}

export const isTemplate = (t: AnyTemplate | TemplateRegistration): t is AnyTemplate => typeof (t as AnyTemplate).handlers === 'function';

function* requests(rest: Omit<SubmitRequest, 'input'>, inputs: Iterable<unknown>): Generator<SubmitRequest> {
  for (const input of inputs) yield { ...rest, input };
}

const refs = new WeakMap<AnyTemplate, ReturnType<typeof parseOpenTemplateId>>();

/** Taken apart once per template: submits are many. */
function refOf(template: AnyTemplate | string): ReturnType<typeof parseOpenTemplateId> {
  if (typeof template === 'string') return parseOpenTemplateId(template);
  let ref = refs.get(template);
  if (ref === undefined) refs.set(template, (ref = parseOpenTemplateId(template.id)));
  return ref;
}
