/**
 * The typed builder. Each call gives a new template that knows one step more, so `results` is inferred along the edges and a step can
 * only name steps before it: a cycle or a typo is a compile error. Inside, a template is a link to the one before it, so a loop that
 * adds 100,000 steps is linear, and two templates may grow from the same beginning.
 */
import type { FailurePolicy, Json, JsonObject, StepDefinition, TemplateDefinition } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import { checkTemplate, describeProblem } from '../core/template-rules.ts';
import type { InputValidator } from '../engine/facade.ts';
import { type Duration, parseDuration } from './duration.ts';
import { type InputOf, inputJsonSchemaOf, inputValidatorOf, type OutputOf, type StandardSchema } from './standard-schema.ts';
import { defineStep, type StepOptions } from './step-options.ts';
import type { After, Fresh, Known, MergedInputs, NamesIn, Requirement, Results, StepContext, StepFunction, UntypedStepContext } from './step-types.ts';
import { formatTemplateId, parseTemplateId, type TemplateRef } from './template-id.ts';
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

/** A template whose steps the compiler does not know: what registration takes. */
export interface AnyTemplate {
  /** `namespace/name@version`. */
  readonly id: string;
  /** The graph as data. Throws INVALID_TEMPLATE with every problem found. */
  definition(): TemplateDefinition;
  /** Code by handler name; steps that name a handler registered elsewhere are not in it. */
  handlers(): ReadonlyMap<string, StepFunction>;
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

type ResultOf<S, U, R> = R extends Leaves ? { readonly [K in Exclude<keyof S, U>]: S[K] } : R;

type Opts<A, M> = StepOptions<M> & { after?: A };

/** A template built without types, in a loop or from data: any names, checked when it is registered. */
export interface UntypedTemplate extends Submittable<unknown, Json> {
  step(name: string, fn: (ctx: UntypedStepContext) => unknown): UntypedTemplate;
  step(
    name: string,
    opts: Opts<readonly string[] | Readonly<Record<string, Requirement>>, boolean>,
    fn?: (ctx: UntypedStepContext) => unknown,
  ): UntypedTemplate;
  returns(names: string | readonly string[]): UntypedTemplate;
}

interface Head {
  readonly ref: TemplateRef;
  readonly schema: StandardSchema | undefined;
  readonly options: TemplateOptions;
}

/** A template as a link, whatever its types. */
type Link = Template<unknown, unknown, unknown, string, unknown>;

/** In: what is submitted. I: what handlers see of it. S: results by step name. U: names some step depends on. R: what `.returns()` chose. */
export class Template<In, I, S, U extends string = never, R = Leaves> implements Submittable<In, ResultOf<S, U, R>> {
  declare readonly '~types'?: { readonly input: In; readonly result: ResultOf<S, U, R> };
  readonly id: string;
  readonly #head: Head;
  readonly #before: Link | null;
  readonly #step: StepDefinition | null;
  readonly #fn: StepFunction | null;
  readonly #returns: string | readonly string[] | undefined;
  #definition: TemplateDefinition | undefined;

  /** Use `template(id, options)`. */
  constructor(head: Head, before: unknown = null, step: StepDefinition | null = null, fn: StepFunction | null = null, returns?: string | readonly string[]) {
    this.id = before === null ? formatTemplateId(head.ref) : (before as AnyTemplate).id;
    this.#head = head;
    this.#before = before as Link | null;
    this.#step = step;
    this.#fn = fn;
    this.#returns = returns;
  }

  /** Adds a step that waits for nothing. */
  step<const N extends string, O>(
    name: Fresh<N, S>,
    fn: (ctx: StepContext<I, Results<S, []>, S>) => O | Promise<O>,
    ...bad: [O] extends [Storable<O>] ? [] : [thisResultCannotBeStoredAsJson: never]
  ): Template<In, I, S & { readonly [K in N]: Wire<Awaited<O>> }, U, R>;
  /** Adds a step; `after` names the earlier steps it waits for. */
  step<const N extends string, O, const A extends After<S> = [], const M extends boolean = false>(
    name: Fresh<N, S>,
    opts: Opts<A & Known<A, S>, M> & { handler?: undefined },
    fn: (ctx: StepContext<I, Results<S, A>, S> & (M extends true ? MergedInputs : unknown)) => O | Promise<O>,
    ...bad: [O] extends [Storable<O>] ? [] : [thisResultCannotBeStoredAsJson: never]
  ): Template<In, I, S & { readonly [K in N]: Wire<Awaited<O>> }, U | NamesIn<A>, R>;
  /** Adds a step run by a handler that is registered under a name. */
  step<const N extends string, const A extends After<S> = []>(
    name: Fresh<N, S>,
    opts: Opts<A & Known<A, S>, boolean> & { handler: string },
  ): Template<In, I, S & { readonly [K in N]: Json }, U | NamesIn<A>, R>;
  step(name: string, optsOrFn: object, fn?: unknown): never {
    const opts = (typeof optsOrFn === 'function' ? {} : optsOrFn) as Opts<After<Record<string, unknown>>, boolean>;
    const code = (typeof optsOrFn === 'function' ? optsOrFn : fn) as StepFunction | undefined;
    const step = defineStep(this.id, name, opts, code);
    return new Template(this.#head, this, step, code ?? null, this.#returns) as never;
  }

  /** The task's result: that of one step, or an object of several by name. Without it: all steps nobody depends on, by name. */
  returns<const K extends keyof S & string>(name: K): Template<In, I, S, U, S[K]>;
  returns<const K extends keyof S & string>(names: readonly K[]): Template<In, I, S, U, { readonly [P in K]: S[P] }>;
  returns(names: string | readonly string[]): never {
    return new Template(this.#head, this, null, null, names) as never;
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
    const map = new Map<string, StepFunction>();
    for (const link of this.#links()) if (link.#fn !== null && link.#step !== null) map.set(link.#step.handler, link.#fn);
    return map;
  }

  validator(): InputValidator | undefined {
    return this.#head.schema === undefined ? undefined : inputValidatorOf(this.#head.schema);
  }

  /** This template and those it grew from, first one first. */
  #links(): Link[] {
    const links: Link[] = [];
    for (let link: Link | null = this as unknown as Link; link !== null; link = link.#before) links.push(link);
    return links.reverse();
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
    for (const link of this.#links()) if (link.#step !== null) def.steps.push(link.#step);
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
 * JSON Schema that the API shows. Throws INVALID_TEMPLATE for a malformed id.
 */
export function template<Schema extends StandardSchema>(
  id: string,
  options: TemplateOptions & { input: Schema },
): Template<InputOf<Schema>, Wire<OutputOf<Schema>>, {}>;
/** Without a schema nothing is checked but that the input is a JSON object; its type may be claimed: `template<{ n: number }>(id)`. */
export function template<In extends object = JsonObject>(id: string, options?: TemplateOptions & { input?: undefined }): Template<In, Wire<In>, {}>;
export function template(id: string, options: TemplateOptions & { input?: unknown } = {}): never {
  const { input, ...rest } = options;
  return new Template({ ref: parseTemplateId(id), schema: input as StandardSchema | undefined, options: rest }) as never;
}
