/**
 * What a generator answered, field by field. Every reader throws INVALID_INPUT, UNSTORABLE_VALUE or VALUE_TOO_LARGE with the path of what
 * cannot be used, and knows absent from wrong: undefined is absent, all else must be right.
 */
import { TuttiError } from '../../core/errors.ts';
import { nearestName } from '../../core/nearest-name.ts';
import { showValue } from '../../core/show-value.ts';
import { MAX_VALUE_BYTES, serialise } from '../../core/values.ts';

/** Bytes of one map of texts, as JSON: it is written with every change of a plan. */
const MAX_TEXTS_BYTES = 65_536;
const MAX_MESSAGE = 4_000;

export const unusable = (path: string, message: string): TuttiError => new TuttiError('INVALID_INPUT', `${path} ${message}`, { field: path });

export const isWhole = (value: unknown, least: number, most: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;

export class AnswerFields {
  readonly #fields: Record<string, unknown>;
  /** What stands before the name of a field: empty for the answer itself. */
  readonly #at: string;

  /** `what` is what a person calls it: `a batch`. */
  constructor(value: unknown, { at = '', what, known }: { at?: string; what: string; known: readonly string[] }) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw unusable(at === '' ? 'the answer' : at, `must be an object, not ${showValue(value)}`);
    this.#fields = value as Record<string, unknown>;
    this.#at = at === '' ? '' : `${at}.`;
    for (const field of Object.keys(value)) {
      if (known.includes(field) || this.#fields[field] === undefined) continue;
      const near = nearestName(field, known);
      throw unusable(`${this.#at}${field}`, `is nothing that ${what} has${near === null ? '' : `; did you mean ${near}?`}`);
    }
  }

  get(field: string): unknown {
    return this.#fields[field];
  }

  path(field: string): string {
    return `${this.#at}${field}`;
  }

  /** JSON text of any value; undefined: it is absent. */
  json(field: string, maxBytes = MAX_VALUE_BYTES): string | undefined {
    const value = this.#fields[field];
    return value === undefined ? undefined : serialise(value, { name: this.path(field), maxBytes });
  }

  count(field: string): number | undefined {
    const value = this.#fields[field];
    if (value === undefined || isWhole(value, 0, Number.MAX_SAFE_INTEGER)) return value as number | undefined;
    throw unusable(this.path(field), `must be a whole number of 0 or more, not ${showValue(value)}`);
  }

  flag(field: string): boolean | undefined {
    const value = this.#fields[field];
    if (value === undefined || typeof value === 'boolean') return value;
    throw unusable(this.path(field), `must be true or false, not ${showValue(value)}`);
  }

  /** For people: what is too long is cut, what cannot be kept is replaced. */
  message(field: string): string | undefined {
    const value = this.#fields[field];
    if (value === undefined) return undefined;
    if (typeof value !== 'string') throw unusable(this.path(field), `must be text, not ${showValue(value)}`);
    const cut = value.length > MAX_MESSAGE ? `${value.slice(0, MAX_MESSAGE - 1)}…` : value;
    return cut.toWellFormed().replaceAll('\u0000', '\uFFFD');
  }

  /** A short text that is kept as it is. */
  text(field: string, most: number): string | undefined {
    const value = this.#fields[field];
    if (value === undefined) return undefined;
    if (typeof value !== 'string' || value.length < 1 || value.length > most)
      throw unusable(this.path(field), `must be text of 1 to ${most} characters, not ${showValue(value)}`);
    if (/\p{Cc}/u.test(value) || !value.isWellFormed())
      throw unusable(this.path(field), `must have no control characters and no half of a surrogate pair, not ${showValue(value)}`);
    return value;
  }

  /** Texts by name. Numbers and booleans become text. */
  texts(field: string): Record<string, string> | undefined {
    const value = this.#fields[field];
    if (value === undefined) return undefined;
    const path = this.path(field);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unusable(path, `must be an object of texts, not ${showValue(value)}`);
    const texts: Record<string, string> = {};
    for (const [key, given] of Object.entries(value)) {
      if (given === undefined) continue;
      const shown = `${path}[${showValue(key)}]`;
      if (key === '' || key === '__proto__') throw unusable(shown, 'is no name that a text can have');
      if (typeof given === 'string') texts[key] = given;
      else if (typeof given === 'boolean' || (typeof given === 'number' && Number.isFinite(given))) texts[key] = String(given);
      else throw unusable(shown, `must be text, a number, true or false, not ${showValue(given)}`);
    }
    serialise(texts, { name: path, maxBytes: MAX_TEXTS_BYTES });
    return texts;
  }

  list(field: string): readonly unknown[] | undefined {
    const value = this.#fields[field];
    if (value === undefined || Array.isArray(value)) return value as readonly unknown[] | undefined;
    throw unusable(this.path(field), `must be a list, not ${showValue(value)}`);
  }
}
