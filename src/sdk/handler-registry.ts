/** Code by name: what steps name in `handler`. The newest registration of a name wins; attempts already running keep what they began with. */
import { TuttiError } from '../core/errors.ts';
import type { StepFunction } from './step-types.ts';

/** An object whose methods are entry points; a step names one with `method`, `call` by default. */
export type HandlerObject = object;
export type HandlerCode = StepFunction | HandlerObject;

export interface HandlerMeta {
  description?: string;
  /** Where the code comes from: a template's id, a file. */
  source?: string;
}

export interface HandlerDefinition {
  readonly name: string;
  readonly code: HandlerCode;
  readonly meta: HandlerMeta;
}

/** A handler and its name as one value, for `Tutti.open({ handlers: [handler('mail.send', async (ctx) => …)] })`. */
export const handler = (name: string, code: HandlerCode, meta: HandlerMeta = {}): HandlerDefinition => ({ name, code, meta });

interface Entry {
  readonly code: HandlerCode;
  readonly meta: HandlerMeta;
  /** Entry points asked for so far, bound to their object. */
  readonly methods: Map<string, StepFunction | null>;
}

export class HandlerRegistry {
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<() => void>();

  /** Throws INVALID_INPUT for a name that is not 1 to 500 characters, and for code that cannot be called. */
  register(name: string, code: HandlerCode, meta: HandlerMeta = {}): void {
    this.#put(name, code, meta);
    this.#tell();
  }

  /** Many at once; listeners hear of it once. */
  registerAll(definitions: Iterable<HandlerDefinition>): void {
    for (const { name, code, meta } of definitions) this.#put(name, code, meta);
    this.#tell();
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** The function to call; null: there is no such handler, or it has no such method. */
  resolve(name: string, method: string | undefined): StepFunction | null {
    const entry = this.#entries.get(name);
    if (entry === undefined) return null;
    if (typeof entry.code === 'function' && (method === undefined || method === 'call')) return entry.code as StepFunction;
    const wanted = method ?? 'call';
    let found = entry.methods.get(wanted);
    if (found === undefined) entry.methods.set(wanted, (found = bind(entry.code, wanted)));
    return found;
  }

  list(): { name: string; meta: HandlerMeta }[] {
    return [...this.#entries].map(([name, { meta }]) => ({ name, meta }));
  }

  /** Calls back after every registration; the answer ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #put(name: string, code: HandlerCode, meta: HandlerMeta): void {
    if (typeof name !== 'string' || name.length < 1 || name.length > 500) {
      throw new TuttiError('INVALID_INPUT', 'the name of a handler must have 1 to 500 characters', { field: 'name' });
    }
    const wrong = (what: string): TuttiError => new TuttiError('INVALID_INPUT', `handler ${JSON.stringify(name)}: ${what}`, { field: 'handler' });
    if (typeof code === 'function') {
      if (Function.prototype.toString.call(code).startsWith('class')) throw wrong('is a class; register an instance of it');
    } else if (typeof code !== 'object' || code === null) throw wrong('must be a function, or an object with methods');
    this.#entries.set(name, { code, meta, methods: new Map() });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Methods every object inherits are no entry points: a template must not be able to call `constructor`. */
function bind(code: HandlerCode, method: string): StepFunction | null {
  if (method in Object.prototype || (typeof code === 'function' && method in Function.prototype)) return null;
  const found: unknown = (code as Record<string, unknown>)[method];
  return typeof found === 'function' ? (found.bind(code) as StepFunction) : null;
}
