/** Code by name: what steps name in `handler`. The newest registration of a name wins; attempts already running keep what they began with. */
import type { JsonObject, RetryPolicy } from '../core/definition.ts';
import { TuttiError, isTuttiError } from '../core/errors.ts';
import type { StepDefaults } from '../core/node.ts';
import type { InputValidator } from '../engine/facade.ts';
import { type HandlerTraits, NO_TRAITS } from '../core/phases.ts';
import type { HandlerView } from '../engine/worker-port.ts';
import { type AbortFunction, checkHandlerMeta, type FinalizeFunction, type HandlerMeta, type HandlerSchema, isStandardSchema } from './handler-meta.ts';
import { parseDuration } from './duration.ts';
import { schemaValidator } from './input-schema.ts';
import { type RetryOptions, retryPolicyOf } from './step-options.ts';
import { inputJsonSchemaOf, inputValidatorOf } from './standard-schema.ts';
import type { StepFunction } from './step-types.ts';

/**
 * An object whose methods are entry points; a step names one with `method`, `call` by default. Its methods `finalize` and `onAbort` are
 * its hooks.
 */
export type HandlerObject = object;
export type HandlerCode = StepFunction | HandlerObject;

export interface HandlerDefinition {
  readonly name: string;
  readonly code: HandlerCode;
  readonly meta: HandlerMeta;
}

/** A handler and its name as one value, for `Tutti.open({ handlers: [handler('mail.send', async (ctx) => …)] })`. */
export const handler = (name: string, code: HandlerCode, meta: HandlerMeta = {}): HandlerDefinition => ({ name, code, meta });

type Hook = 'finalize' | 'onAbort';

interface Entry {
  readonly name: string;
  readonly code: HandlerCode;
  readonly meta: HandlerMeta;
  readonly finalize: FinalizeFunction | null;
  readonly onAbort: AbortFunction | null;
  readonly traits: HandlerTraits;
  readonly defaults: StepDefaults | undefined;
  readonly validator: InputValidator | null;
  /** Entry points asked for so far, bound to their object. */
  readonly methods: Map<string, StepFunction | null>;
}

export class HandlerRegistry {
  readonly #entries = new Map<string, Entry>();
  /** Other name -> name. */
  readonly #aliases = new Map<string, string>();
  readonly #listeners = new Set<() => void>();

  /** Throws INVALID_INPUT for a name that is not 1 to 500 characters, for code that cannot be called, and for meta that makes no sense. */
  register(name: string, code: HandlerCode, meta: HandlerMeta = {}): void {
    this.#put(entryOf(name, code, meta));
    this.#tell();
  }

  /** Many at once, all or none; listeners hear of it once. */
  registerAll(definitions: Iterable<HandlerDefinition>): void {
    const entries: Entry[] = [];
    for (const given of definitions) {
      if (typeof given !== 'object' || (given as HandlerDefinition | null) === null)
        throw new TuttiError('INVALID_INPUT', 'handlers: a handler is what handler(…) gives', { field: 'handlers' });
      entries.push(entryOf(given.name, given.code, given.meta));
    }
    for (const entry of entries) this.#put(entry);
    this.#tell();
  }

  /** `other` finds what `name` does, whatever is registered there later. A registration of `other` itself goes before it. */
  alias(other: string, name: string): void {
    checkName(other);
    const target = this.#find(name)?.name;
    if (target === undefined) throw new TuttiError('INVALID_INPUT', `no handler ${JSON.stringify(name)} is registered`, { field: 'name' });
    if (target === other) throw new TuttiError('INVALID_INPUT', `handler ${JSON.stringify(other)} cannot be an alias of itself`, { field: 'alias' });
    this.#aliases.set(other, target);
    this.#tell();
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** The function to call; null: there is no such handler, or it has no such method. */
  resolve(name: string, method: string | undefined): StepFunction | null {
    const entry = this.#find(name);
    if (entry === undefined) return null;
    if (typeof entry.code === 'function' && (method === undefined || method === 'call')) return entry.code as StepFunction;
    const wanted = method ?? 'call';
    let found = entry.methods.get(wanted);
    if (found === undefined) entry.methods.set(wanted, (found = bind(entry.code, wanted)));
    return found;
  }

  /** The handler's hook, bound to its object; null: there is none. */
  hook(name: string, which: 'finalize'): FinalizeFunction | null;
  hook(name: string, which: 'onAbort'): AbortFunction | null;
  hook(name: string, which: Hook): FinalizeFunction | AbortFunction | null {
    return this.#find(name)?.[which] ?? null;
  }

  traits(name: string): HandlerTraits {
    return this.#find(name)?.traits ?? NO_TRAITS;
  }

  /** What steps have of it that leave it out; undefined: nothing. */
  defaults(name: string): StepDefaults | undefined {
    return this.#find(name)?.defaults;
  }

  /** What was registered with it; undefined: there is no such handler. */
  meta(name: string): HandlerMeta | undefined {
    return this.#find(name)?.meta;
  }

  /** Holds inputs against the handler's schema; null: it has none. */
  inputValidator(name: string): InputValidator | null {
    return this.#find(name)?.validator ?? null;
  }

  list(): { name: string; meta: HandlerMeta }[] {
    return [...this.#entries.values()].map(({ name, meta }) => ({ name, meta }));
  }

  /** Every handler once, aliases beside it, in order of name. */
  describe(): HandlerView[] {
    const aliases = new Map<string, string[]>();
    for (const [other, name] of this.#aliases) {
      if (!this.#entries.has(other)) aliases.set(name, [...(aliases.get(name) ?? []), other]);
    }
    return [...this.#entries.values()].map((entry) => viewOf(entry, aliases.get(entry.name) ?? [])).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Calls back after every registration; the answer ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #find(name: string): Entry | undefined {
    const entry = this.#entries.get(name);
    if (entry !== undefined || this.#aliases.size === 0) return entry;
    const target = this.#aliases.get(name);
    return target === undefined ? undefined : this.#entries.get(target);
  }

  #put(entry: Entry): void {
    this.#entries.set(entry.name, entry);
    for (const other of entry.meta.aliases ?? []) if (other !== entry.name) this.#aliases.set(other, entry.name);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function checkName(name: string): void {
  if (typeof name !== 'string' || name.length < 1 || name.length > 500) {
    throw new TuttiError('INVALID_INPUT', 'the name of a handler must have 1 to 500 characters', { field: 'name' });
  }
}

function entryOf(name: string, code: HandlerCode, meta: HandlerMeta): Entry {
  checkName(name);
  const wrong = (what: string): TuttiError => new TuttiError('INVALID_INPUT', `handler ${JSON.stringify(name)}: ${what}`, { field: 'handler' });
  if (typeof code === 'function') {
    if (Function.prototype.toString.call(code).startsWith('class')) throw wrong('is a class; register an instance of it');
  } else if (typeof code !== 'object' || code === null) throw wrong('must be a function, or an object with methods');
  checkHandlerMeta(name, meta);
  const finalize = meta.finalize ?? (methodHook(code, 'finalize') as FinalizeFunction | null);
  const onAbort = meta.onAbort ?? (methodHook(code, 'onAbort') as AbortFunction | null);
  const traits = Object.freeze({ finalize: finalize !== null, abort: onAbort !== null, cancelable: meta.cancelable ?? true });
  return { name, code, meta, finalize, onAbort, traits, defaults: defaultsOf(name, meta), validator: validatorOf(meta.inputSchema), methods: new Map() };
}

function defaultsOf(name: string, meta: HandlerMeta): StepDefaults | undefined {
  const { retry, timeout, onChildFailure: bears, maxConcurrentChildren: most } = meta;
  const defaults: StepDefaults = {};
  if (retry !== undefined) defaults.retry = retryOf(name, retry);
  const timeoutMs = timeout === undefined ? 0 : (parseDuration(timeout) ?? 0);
  if (timeoutMs > 0) defaults.timeoutMs = timeoutMs;
  if (bears !== undefined && bears !== 'fail_fast') defaults.onChildFailure = typeof bears === 'object' ? bears.tolerate : bears;
  if (most !== undefined) defaults.maxChildren = most;
  return Object.keys(defaults).length === 0 ? undefined : Object.freeze(defaults);
}

function retryOf(name: string, retry: RetryOptions): RetryPolicy {
  try {
    return Object.freeze(retryPolicyOf(retry));
  } catch (e) {
    if (!isTuttiError(e)) throw e;
    throw new TuttiError(e.code, `handler ${JSON.stringify(name)}: ${e.message}`, { field: e.field });
  }
}

/** A function's own properties are nobody's hooks: only objects have methods on purpose. */
const methodHook = (code: HandlerCode, which: Hook): StepFunction | null => (typeof code === 'function' ? null : bind(code, which));

function validatorOf(schema: HandlerSchema | undefined): InputValidator | null {
  if (schema === undefined) return null;
  return isStandardSchema(schema) ? inputValidatorOf(schema) : schemaValidator(schema);
}

/** Methods every object inherits are no entry points: a template must not be able to call `constructor`. */
function bind(code: HandlerCode, method: string): StepFunction | null {
  if (method in Object.prototype || (typeof code === 'function' && method in Function.prototype)) return null;
  const found: unknown = (code as Record<string, unknown>)[method];
  return typeof found === 'function' ? (found.bind(code) as StepFunction) : null;
}

const viewOf = ({ name, code, meta, traits }: Entry, aliases: string[]): HandlerView => ({
  id: name,
  aliases: aliases.sort(),
  description: meta.description ?? null,
  tags: [...(meta.tags ?? [])],
  inputSchema: jsonSchemaOf(meta.inputSchema),
  outputSchema: jsonSchemaOf(meta.outputSchema),
  cancelable: traits.cancelable,
  hasFinalize: traits.finalize,
  hasOnAbort: traits.abort,
  source: meta.source ?? null,
  methods: methodsOf(code),
});

const jsonSchemaOf = (schema: HandlerSchema | undefined): JsonObject | null =>
  schema === undefined ? null : isStandardSchema(schema) ? (inputJsonSchemaOf(schema) ?? null) : schema;

/** Entry points by name, those of its class included. Getters are not touched: looking must not run anything. */
function methodsOf(code: HandlerCode): string[] {
  if (typeof code === 'function') return ['call'];
  const found = new Set<string>();
  for (let at: object | null = code; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at) as object | null) {
    for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === 'function' && !(key in Object.prototype)) found.add(key);
    }
  }
  for (const hook of ['finalize', 'onAbort']) found.delete(hook);
  return [...found].sort();
}
