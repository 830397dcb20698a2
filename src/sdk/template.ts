/**
 * The typed builder. Each call gives a new template that knows one step more, so `results` is inferred along the edges and a step can
 * only name steps before it: a cycle or a typo is a compile error. Inside, a template is a link to the one before it, so a loop that
 * adds 100,000 steps is linear, and two templates may grow from the same beginning.
 */
import type { FailurePolicy, Json, JsonObject, TemplateDefinition } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import { checkTemplate, describeProblem } from '../core/template-rules.ts';
import type { InputValidator } from '../engine/facade.ts';
import { type Duration, parseDuration } from './duration.ts';
import { type InputOf, inputJsonSchemaOf, inputValidatorOf, type OutputOf, type StandardSchema } from './standard-schema.ts';
import type { BatchContext, Batches, Cursor, CursorIn, NoBatches, Route } from './branches.ts';
import type { StepHooks } from './handler-meta.ts';
import { type BatchOptions, checkHooks, defineStep, type GivenHandler, handlerGiven, type StepOptions } from './step-options.ts';
import type {
  After,
  Fresh,
  Known,
  MergedInputs,
  NamesIn,
  Needed,
  Perhaps,
  Requirement,
  Results,
  StepContext,
  StepFunction,
  UntypedStepContext,
} from './step-types.ts';
import { collectGiven, collectHandlers, collectHooks, type Link, linksAfter, placeSteps } from './template-graph.ts';
import { formatTemplateId, parseTemplateId, type TemplateRef } from './template-id.ts';
import { unknownOption } from './unknown-options.ts';
import type { Storable, Wire } from './wire.ts';

export interface TemplateOptions {
  /** What becomes of the task when a step fails for good and nothing handles it. Default `fail`. */
  onFailure?: FailurePolicy;
  /** A task older than this ends in error. Milliseconds or text such as '2h'. Default: none. */
  deadline?: Duration;
  /** Default of its tasks: 0 (urgent) to 3. Default 2. */
  priority?: number;
  description?: string;
  metadata?: JsonObject;
}

/** All there are, and the compiler sees to it. */
const ALL_OPTIONS: Record<keyof TemplateOptions | 'input', true> = {
  onFailure: true,
  deadline: true,
  priority: true,
  description: true,
  metadata: true,
  input: true,
};
const OPTION_NAMES = Object.keys(ALL_OPTIONS);

/** A template whose steps the compiler does not know: what registration takes. */
export interface AnyTemplate {
  /** `namespace/name@version`. */
  readonly id: string;
  /** The graph as data. Throws INVALID_TEMPLATE with every problem found. */
  definition(): TemplateDefinition;
  /** Code by handler name; steps that name a handler registered elsewhere are not in it. */
  handlers(): ReadonlyMap<string, StepFunction>;
  /** Hooks of that code by handler name, where it has any. */
  hooks(): ReadonlyMap<string, StepHooks>;
  /** Handlers that were given to steps as they are, to be registered along. Throws INVALID_TEMPLATE for two of one name. */
  givenHandlers?(): readonly GivenHandler[];
  /** Checks and completes an input; undefined: any JSON object will do. */
  validator(): InputValidator | undefined;
}

/** What `submit` takes: a template that says what goes in and what comes out. */
export interface Submittable<In, R> extends AnyTemplate {
  readonly '~types'?: { readonly input: In; readonly result: R };
}

/** Marks a template that has no `.returns()`: its result is made of the steps nobody depends on. */
export interface Leaves {
  readonly leaves: true;
}

type ResultOf<S, U, R, Q, W> = R extends Leaves ? { readonly [K in Exclude<keyof S, U>]: Needed<S[K], K, Q, W> } : R;

/** Stands for the result of a finalizer that there is none of. */
interface Unfinalized {
  readonly unfinalized: true;
}

/** A step's result: what its finalizer gave, else what its function returned. */
type ResultAfter<O, F> = [F] extends [Unfinalized]
  ? Awaited<O>
  : [Awaited<F>] extends [void | undefined]
    ? Awaited<O>
    : Exclude<Awaited<F>, void | undefined> | (undefined extends Awaited<F> ? Awaited<O> : never);

type Opts<A, M> = StepOptions<M> & { after?: A };

/** What a branch gives back: the builder it was given, with its steps added. */
interface Grown<S, U extends string, Q extends string, W extends string> {
  readonly '~grown'?: { readonly steps: S; readonly used: U; readonly perhaps: Q; readonly workers: W };
}
type AnyGrown = Grown<unknown, string, string, string>;
type GrownIn<B> = { [K in keyof B]: B[K] extends (b: never) => infer G ? G : never }[keyof B];
type Part<G, P extends 'steps' | 'used' | 'perhaps' | 'workers'> = G extends { readonly '~grown'?: infer T } ? NonNullable<T>[P & keyof NonNullable<T>] : never;
type All<T> = (T extends unknown ? (x: T) => void : never) extends (x: infer X) => void ? X : never;
/** Results of the steps in all branches. */
type BranchSteps<B> = All<Part<GrownIn<B>, 'steps'>>;

type UntypedOpts = Opts<readonly string[] | Readonly<Record<string, Requirement>>, boolean>;
type UntypedFunction = (ctx: UntypedStepContext) => unknown;

/** A template built without types, in a loop or from data: any names, checked when it is registered. */
export interface UntypedTemplate extends Submittable<unknown, Json> {
  step(name: string, fn: UntypedFunction): UntypedTemplate;
  step(name: string, opts: UntypedOpts, fn?: UntypedFunction, hooks?: StepHooks): UntypedTemplate;
  decision(name: string, opts: UntypedOpts, branches: Readonly<Record<string, (b: UntypedTemplate) => UntypedTemplate>>, fn?: UntypedFunction): UntypedTemplate;
  batchable(name: string, opts: UntypedOpts & BatchOptions, fn?: UntypedFunction): UntypedTemplate;
  batchWorker(name: string, opts: StepOptions & { of: string }, fn?: UntypedFunction): UntypedTemplate;
  returns(names: string | readonly string[]): UntypedTemplate;
}

interface Head {
  readonly ref: TemplateRef;
  readonly schema: StandardSchema | undefined;
  readonly options: TemplateOptions;
}

/**
 * In: what is submitted. I: what handlers see of it. S: results by step name. U: names some step depends on. R: what `.returns()` chose.
 * Q: names of steps that may not come to be. W: names of batch workers.
 */
export class Template<In, I, S, U extends string = never, R = Leaves, Q extends string = never, W extends string = never>
  implements Submittable<In, ResultOf<S, U, R, Q, W>>, Grown<S, U, Q, W>
{
  declare readonly '~types'?: { readonly input: In; readonly result: ResultOf<S, U, R, Q, W> };
  declare readonly '~grown'?: { readonly steps: S; readonly used: U; readonly perhaps: Q; readonly workers: W };
  readonly id: string;
  readonly #head: Head;
  readonly #last: Link | null;
  readonly #returns: string | readonly string[] | undefined;
  #definition: TemplateDefinition | undefined;

  /** Use `template(id, options)`. */
  constructor(head: Head, id = formatTemplateId(head.ref), last: Link | null = null, returns?: string | readonly string[]) {
    this.id = id;
    this.#head = head;
    this.#last = last;
    this.#returns = returns;
  }

  /** Adds a step that waits for nothing. */
  step<const N extends string, O>(
    name: Fresh<N, S>,
    fn: (ctx: StepContext<I, Results<S, []>, S, Q>) => O | Promise<O>,
    ...bad: [O] extends [Storable<O>] ? [] : [thisResultCannotBeStoredAsJson: never]
  ): Template<In, I, S & { readonly [K in N]: Wire<Awaited<O>> }, U, R, Q, W>;
  /** Adds a step; `after` names the earlier steps it waits for. */
  step<const N extends string, O, const A extends After<S> = [], const M extends boolean = false>(
    name: Fresh<N, S>,
    opts: Opts<A & Known<A, S>, M> & { handler?: undefined },
    fn: (ctx: StepContext<I, Results<S, A, Q, W>, S, Q> & (M extends true ? MergedInputs : unknown)) => O | Promise<O>,
    ...bad: [O] extends [Storable<O>] ? [] : [thisResultCannotBeStoredAsJson: never]
  ): Template<In, I, S & { readonly [K in N]: Wire<Awaited<O>> }, U | NamesIn<A>, R, Q | Perhaps<N, A, Q>, W>;
  /**
   * Adds a step whose function has hooks: `finalize` runs once the children it spawned have ended, and what it returns is the step's
   * result; `onAbort` runs when the step is cancelled. They come last so that `own`, what the function returned, has its type.
   */
  step<const N extends string, O, const A extends After<S> = [], const M extends boolean = false, F = Unfinalized>(
    name: Fresh<N, S>,
    opts: Opts<A & Known<A, S>, M> & { handler?: undefined },
    fn: (ctx: StepContext<I, Results<S, A, Q, W>, S, Q> & (M extends true ? MergedInputs : unknown)) => O | Promise<O>,
    hooks: StepHooks<StepContext<I, Results<S, A, Q, W>, S, Q> & (M extends true ? MergedInputs : unknown), Wire<Awaited<O>>, F>,
    ...bad: [O | ResultAfter<O, F>] extends [Storable<O | ResultAfter<O, F>>] ? [] : [thisResultCannotBeStoredAsJson: never]
  ): Template<In, I, S & { readonly [K in N]: Wire<ResultAfter<O, F>> }, U | NamesIn<A>, R, Q | Perhaps<N, A, Q>, W>;
  /** Adds a step run by a handler that is registered under a name. */
  step<const N extends string, const A extends After<S> = []>(
    name: Fresh<N, S>,
    opts: Opts<A & Known<A, S>, boolean> & { handler: string | GivenHandler },
  ): Template<In, I, S & { readonly [K in N]: Json }, U | NamesIn<A>, R, Q | Perhaps<N, A, Q>, W>;
  step(name: string, optsOrFn: object, fn?: unknown, hooks?: StepHooks): never {
    const opts = (typeof optsOrFn === 'function' ? {} : optsOrFn) as Opts<After<Record<string, unknown>>, boolean>;
    const code = (typeof optsOrFn === 'function' ? optsOrFn : fn) as StepFunction | undefined;
    const step = defineStep(this.id, name, opts, code);
    const given = handlerGiven(opts.handler);
    if (hooks === undefined) return this.#add({ step, fn: code ?? null, given });
    checkHooks(this.id, name, code, hooks);
    return this.#add({ step, fn: code ?? null, hooks });
  }

  /**
   * Adds a step that chooses which branches come to be: `fn` returns `to('auto')`, `route([…])` or `none()`. Each branch adds its steps to
   * the builder it is given; those that follow no other step of the branch follow the decision. Later steps see what was not chosen as
   * undefined, or `{ state: 'not_taken' }` where they take it as optional, and come to be only if something they follow does.
   */
  decision<
    const N extends string,
    B extends Readonly<Record<string, (b: Template<In, I, S & { readonly [K in N]: Route<string> }, never, Leaves, Q, W>) => AnyGrown>>,
    const A extends After<S> = [],
  >(
    name: Fresh<N, S>,
    opts: Opts<A & Known<A, S>, false> & { handler?: undefined },
    branches: B,
    fn: (ctx: StepContext<I, Results<S, A, Q, W>, S, Q>) => Route<keyof B & string> | Promise<Route<keyof B & string>>,
  ): Template<
    In,
    I,
    S & { readonly [K in N]: Route<keyof B & string> } & BranchSteps<B>,
    U | NamesIn<A> | N | Part<GrownIn<B>, 'used'>,
    R,
    Q | Perhaps<N, A, Q> | Part<GrownIn<B>, 'perhaps'> | (Exclude<keyof BranchSteps<B>, keyof S | N> & string),
    W | Part<GrownIn<B>, 'workers'>
  >;
  /** Adds a decision made by a handler that is registered under a name. */
  decision<
    const N extends string,
    B extends Readonly<Record<string, (b: Template<In, I, S & { readonly [K in N]: Route<string> }, never, Leaves, Q, W>) => AnyGrown>>,
    const A extends After<S> = [],
  >(
    name: Fresh<N, S>,
    opts: Opts<A & Known<A, S>, boolean> & { handler: string | GivenHandler },
    branches: B,
  ): Template<
    In,
    I,
    S & { readonly [K in N]: Json } & BranchSteps<B>,
    U | NamesIn<A> | N | Part<GrownIn<B>, 'used'>,
    R,
    Q | Perhaps<N, A, Q> | Part<GrownIn<B>, 'perhaps'> | (Exclude<keyof BranchSteps<B>, keyof S | N> & string),
    W | Part<GrownIn<B>, 'workers'>
  >;
  decision(name: string, opts: { handler?: unknown }, branches: Readonly<Record<string, (b: never) => unknown>>, fn?: StepFunction): never {
    const step = defineStep(this.id, name, opts as StepOptions, fn, 'decision');
    const given = handlerGiven(opts.handler);
    const link: Link = { before: this.#last, step, fn: fn ?? null, given };
    const grown = Object.entries(branches).map(([branch, build]) => {
      const end: unknown = build(new Template(this.#head, this.id, link) as never);
      const links = end instanceof Template ? linksAfter(link, end.#last) : undefined;
      if (links === undefined) throw this.#wrong(name, `branches.${branch}`, 'must return the builder it is given, with its steps added');
      return { name: branch, links };
    });
    return this.#add({ step, fn: fn ?? null, given, branches: grown });
  }

  /** Adds a step that divides work: `fn` returns `batches(cursors)` or `noBatches()`. Its workers are added with `batchWorker`. */
  batchable<const N extends string, O extends Batches<Cursor<unknown>> | NoBatches, const A extends After<S> = []>(
    name: Fresh<N, S>,
    opts: Opts<A & Known<A, S>, false> & BatchOptions & { handler?: undefined },
    fn: (ctx: StepContext<I, Results<S, A, Q, W>, S, Q>) => O | Promise<O>,
    ...bad: [O] extends [Storable<O>] ? [] : [thisResultCannotBeStoredAsJson: never]
  ): Template<In, I, S & { readonly [K in N]: Wire<Awaited<O>> }, U | NamesIn<A>, R, Q | Perhaps<N, A, Q>, W>;
  /** Adds one whose work is divided by a handler that is registered under a name. */
  batchable<const N extends string, const A extends After<S> = []>(
    name: Fresh<N, S>,
    opts: Opts<A & Known<A, S>, boolean> & BatchOptions & { handler: string | GivenHandler },
  ): Template<In, I, S & { readonly [K in N]: Batches<Cursor<Json>> | NoBatches }, U | NamesIn<A>, R, Q | Perhaps<N, A, Q>, W>;
  batchable(name: string, opts: { handler?: unknown }, fn?: StepFunction): never {
    return this.#add({ step: defineStep(this.id, name, opts as StepOptions, fn, 'batchable'), fn: fn ?? null, given: handlerGiven(opts.handler) });
  }

  /**
   * Adds what is done for each batch of the batchable step `of`. A later step that names it sees a list of results, one for each batch, in
   * their order; of no batches, an empty one.
   */
  batchWorker<const N extends string, O, const K extends keyof S & string>(
    name: Fresh<N, S>,
    opts: StepOptions<false> & { of: K; handler?: undefined },
    fn: (ctx: BatchContext<I, CursorIn<S[K]>, S>) => O | Promise<O>,
    ...bad: [O] extends [Storable<O>] ? [] : [thisResultCannotBeStoredAsJson: never]
  ): Template<In, I, S & { readonly [P in N]: Wire<Awaited<O>> }, U | K, R, Q | Perhaps<N, [K], Q>, W | N>;
  /** The same, done by a handler that is registered under a name; it finds its cursor in `ctx.config`. */
  batchWorker<const N extends string, const K extends keyof S & string>(
    name: Fresh<N, S>,
    opts: StepOptions & { of: K; handler: string | GivenHandler },
  ): Template<In, I, S & { readonly [P in N]: Json }, U | K, R, Q | Perhaps<N, [K], Q>, W | N>;
  batchWorker(name: string, { of, ...opts }: { of: string; handler?: unknown }, fn?: unknown): never {
    const step = defineStep(this.id, name, { ...(opts as StepOptions), after: [of] }, fn, 'batch_worker');
    return this.#add({ step, fn: fn === undefined ? null : workerFunction(fn as StepFunction), given: handlerGiven(opts.handler), of });
  }

  /** The task's result: that of one step, or an object of several by name. Without it: all steps nobody depends on, by name. */
  returns<const K extends keyof S & string>(name: K): Template<In, I, S, U, Needed<S[K], K, Q, W>, Q, W>;
  returns<const K extends keyof S & string>(names: readonly K[]): Template<In, I, S, U, { readonly [P in K]: Needed<S[P], P, Q, W> }, Q, W>;
  returns(names: string | readonly string[]): never {
    return new Template(this.#head, this.id, this.#last, names) as never;
  }

  /** The same template, to which steps are added without types. */
  untyped(): UntypedTemplate {
    return this as unknown as UntypedTemplate;
  }

  definition(): TemplateDefinition {
    this.#definition ??= this.#build();
    return this.#definition;
  }

  handlers(): ReadonlyMap<string, StepFunction> {
    return collectHandlers(linksAfter(null, this.#last) as Link[], new Map());
  }

  hooks(): ReadonlyMap<string, StepHooks> {
    return collectHooks(linksAfter(null, this.#last) as Link[], new Map());
  }

  givenHandlers(): readonly GivenHandler[] {
    const found = collectGiven(linksAfter(null, this.#last) as Link[], new Map());
    for (const [name, handlers] of found) {
      if (handlers.size > 1) throw this.#wrong([...handlers.values()][1], 'handler', `another step is given another handler called ${JSON.stringify(name)}`);
    }
    return [...found.values()].map((handlers) => [...handlers.keys()][0]);
  }

  validator(): InputValidator | undefined {
    return this.#head.schema === undefined ? undefined : inputValidatorOf(this.#head.schema);
  }

  #add(link: Omit<Link, 'before'>): never {
    return new Template(this.#head, this.id, { before: this.#last, ...link }, this.#returns) as never;
  }

  #wrong(step: string, field: string, message: string): TuttiError {
    return new TuttiError('INVALID_TEMPLATE', `template ${this.id}: step ${JSON.stringify(step)}: ${field}: ${message}`, { field, details: { step } });
  }

  #build(): TemplateDefinition {
    const { ref, schema, options } = this.#head;
    const inputSchema = schema === undefined ? undefined : inputJsonSchemaOf(schema);
    const def: TemplateDefinition = { ...ref, steps: [], policy: options.onFailure ?? 'fail' };
    if (options.description !== undefined) def.description = options.description;
    if (options.metadata !== undefined) def.metadata = options.metadata;
    if (inputSchema !== undefined) def.inputSchema = inputSchema;
    if (this.#returns !== undefined) def.returns = typeof this.#returns === 'string' ? this.#returns : [...this.#returns];
    if (options.priority !== undefined) def.priority = options.priority;
    if (options.deadline !== undefined) def.deadlineMs = deadlineOf(this.id, options.deadline);
    def.steps = placeSteps(this.id, linksAfter(null, this.#last) as Link[]);
    const problems = checkTemplate(def);
    if (problems.length > 0) {
      throw new TuttiError('INVALID_TEMPLATE', `template ${this.id}: ${problems.map(describeProblem).join('; ')}`, {
        field: problems[0].path,
        details: { problems },
      });
    }
    return def;
  }
}

/** A worker is not called for the placeholder that stands for no batches, and finds its share beside its config. */
const workerFunction =
  (fn: StepFunction): StepFunction =>
  (ctx) => {
    const { cursor, batch_metadata: batch, is_no_op: isNoOp } = ctx.config;
    if (isNoOp === true) return null;
    return fn(Object.defineProperties(ctx, { cursor: { value: cursor, configurable: true }, batch: { value: batch, configurable: true } }));
  };

function deadlineOf(id: string, deadline: Duration): number {
  const ms = parseDuration(deadline);
  if (ms === null) {
    throw new TuttiError('INVALID_TEMPLATE', `template ${id}: deadline: must be milliseconds or text such as "30s", not ${JSON.stringify(deadline)}`, {
      field: 'deadline',
    });
  }
  return ms;
}

/**
 * Begins a template. `id` is `namespace/name@version`; `input` any Standard Schema: it types `ctx.input`, checks at submit, and is the
 * JSON Schema that the API shows. Throws INVALID_TEMPLATE for a malformed id and for an option that there is not.
 */
export function template<Schema extends StandardSchema>(
  id: string,
  options: TemplateOptions & { input: Schema },
): Template<InputOf<Schema>, Wire<OutputOf<Schema>>, {}>;
/** Without a schema nothing is checked but that the input is a JSON object; its type may be claimed: `template<{ n: number }>(id)`. */
export function template<In extends object = JsonObject>(id: string, options?: TemplateOptions & { input?: undefined }): Template<In, Wire<In>, {}>;
export function template(id: string, options: TemplateOptions & { input?: unknown } = {}): never {
  const ref = parseTemplateId(id);
  const wrong = unknownOption(options, OPTION_NAMES);
  if (wrong !== null) throw new TuttiError('INVALID_TEMPLATE', `template ${id}: ${wrong.message}`, { field: wrong.field });
  const { input, ...rest } = options;
  return new Template({ ref, schema: input as StandardSchema | undefined, options: rest }) as never;
}
