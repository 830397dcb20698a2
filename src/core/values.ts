/**
 * What may be kept as a value and how it becomes text (design.md §5). A dependant sees `parseFrozen(serialise(x))`, in one process
 * as across a restart, so anything JSON would quietly change or drop is refused here, with the path to it.
 *
 * Hot path: a plain value is walked once without allocating and handed to JSON.stringify. Whatever the walk is not sure of goes
 * through `copyStorable`, which is slower, exact, and the only place that words errors.
 */
import { TuttiError } from './errors.ts';

/** Default limit of one value, in bytes of UTF-8. */
export const MAX_VALUE_BYTES = 1_048_576;
/** Deepest nesting that is kept; protects every recursive reader of a stored value. */
export const MAX_VALUE_DEPTH = 500;

export interface SerialiseOptions {
  /** Bytes of UTF-8. Default 1 MiB. */
  maxBytes?: number;
  /** What messages and `field` call the value. Default `value`. */
  name?: string;
}

/**
 * JSON text of a value. `undefined` becomes null (dropped in objects); Date and others with `toJSON` become what that gives.
 * Throws TuttiError UNSTORABLE_VALUE (field: the path) or VALUE_TOO_LARGE (details: `limit`, in bytes).
 */
export function serialise(value: unknown, { maxBytes = MAX_VALUE_BYTES, name = 'value' }: SerialiseOptions = {}): string {
  if (value === undefined || value === null) return 'null';
  let text = plainText(value, maxBytes);
  text ??= JSON.stringify(copyStorable(value, name, maxBytes)) ?? 'null';
  if (text.length * 3 > maxBytes && utf8Length(text) > maxBytes) throw tooLarge(name, maxBytes, utf8Length(text));
  return text;
}

/** Text of a value that needs no second look; undefined: it does. */
function plainText(value: unknown, maxBytes: number): string | undefined {
  try {
    if (walkPlain(value, 0, maxBytes) < 0) return undefined;
    const text = JSON.stringify(value) as string;
    // \u is how JSON.stringify writes control characters and lone surrogates: rare, and judged by the exact pass.
    return text.includes('\\u') || text.includes('__proto__') ? undefined : text;
  } catch {
    // A getter threw; the exact pass words it.
    return undefined;
  }
}

/** The value of a text that `serialise` wrote, frozen all the way down. */
export function parseFrozen(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (typeof value === 'object' && value !== null) freezeDeep(value);
  return value;
}

/** Freezes a tree of plain objects and arrays in place, as JSON.parse gives it. */
export function freezeDeep<T extends object>(value: T): T {
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null) freezeDeep(item);
  } else {
    for (const key in value) {
      const item = value[key];
      if (typeof item === 'object' && item !== null) freezeDeep(item);
    }
  }
  return Object.freeze(value);
}

/** Bytes of a string in UTF-8; a lone surrogate counts as the three bytes of its replacement. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    if (code < 0x800) bytes += 1;
    else if (code >= 0xd800 && code < 0xdc00 && isLowSurrogate(text.charCodeAt(i + 1))) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

const isLowSurrogate = (code: number): boolean => code >= 0xdc00 && code < 0xe000;

export interface ContextLimits {
  /** Bytes of UTF-8. Default 1 MiB. */
  maxBytes?: number;
  /** Objects and arrays inside one another, the outermost counted. Default 10. */
  maxDepth?: number;
  /** Keys of one object, items of one array. Default 1,000. */
  maxItems?: number;
  /** Characters of one string. Default 10,000. */
  maxString?: number;
  /** What messages and `field` call the value. Default `context`. */
  name?: string;
}

/**
 * Checks what a caller submits as a task's input and gives its JSON text. Throws TuttiError INVALID_INPUT (not an object, or above a
 * limit) or UNSTORABLE_VALUE; `field` is the path.
 */
export function checkContext(
  value: unknown,
  { maxBytes = MAX_VALUE_BYTES, maxDepth = 10, maxItems = 1000, maxString = 10_000, name = 'context' }: ContextLimits = {},
): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TuttiError('INVALID_INPUT', `${name} must be a JSON object, not ${nameOfKind(value)}`, { field: name });
  }
  const check = (node: unknown, at: Path | null, depth: number): void => {
    if (typeof node === 'string') {
      if (node.length > maxString) {
        throw refused(at, name, `is a string of ${node.length} characters; the limit is ${maxString}`, { limit: maxString });
      }
      return;
    }
    if (typeof node !== 'object' || node === null) return;
    if (depth > maxDepth) throw refused(at, name, `is nested deeper than ${maxDepth} levels`, { limit: maxDepth });
    const keys = Array.isArray(node) ? null : Object.keys(node);
    const count = keys === null ? (node as unknown[]).length : keys.length;
    if (count > maxItems) {
      throw refused(at, name, `has ${count} ${keys === null ? 'items' : 'keys'}; the limit is ${maxItems}`, { limit: maxItems });
    }
    if (keys === null) (node as unknown[]).forEach((item, i) => check(item, { up: at, key: i }, depth + 1));
    else for (const key of keys) check((node as Record<string, unknown>)[key], { up: at, key }, depth + 1);
  };
  // Serialised first: afterwards the value is known to be a tree of bounded size.
  let text: string;
  try {
    text = serialise(value, { maxBytes, name });
  } catch (e) {
    if (e instanceof TuttiError && e.code === 'VALUE_TOO_LARGE') throw new TuttiError('INVALID_INPUT', e.message, { field: name, details: e.details });
    throw e;
  }
  // A Date is an object too, until it is written down.
  if (!text.startsWith('{')) throw new TuttiError('INVALID_INPUT', `${name} must be a JSON object, not ${nameOfKind(JSON.parse(text))}`, { field: name });
  check(value, null, 1);
  return text;
}

/**
 * Walks a value that JSON.stringify gives back as it is. Returns what is left of the budget (one per node, one per character),
 * or -1: not sure. Strings are judged by the text they become.
 */
function walkPlain(value: unknown, depth: number, left: number): number {
  switch (typeof value) {
    case 'string':
      return left - value.length;
    case 'boolean':
    case 'undefined':
      return left - 1;
    case 'number':
      return Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value)) ? left - 1 : -1;
    case 'object': {
      if (value === null) return left - 1;
      if (depth > 32) return -1;
      const proto: unknown = Object.getPrototypeOf(value);
      if (proto === Object.prototype) {
        for (const key in value) {
          left = walkPlain((value as Record<string, unknown>)[key], depth + 1, left - 1);
          if (left < 0) return -1;
        }
        return left;
      }
      if (proto === Array.prototype) {
        const items = value as unknown[];
        for (let i = 0; i < items.length; i++) {
          left = walkPlain(items[i], depth + 1, left);
          if (left < 0) return -1;
        }
        return left;
      }
      return -1;
    }
    default:
      return -1;
  }
}

/** A step towards the root: paths are spelt only when an error needs one. */
interface Path {
  up: Path | null;
  key: string | number;
}

function spell(at: Path | null, name: string): string {
  const keys: (string | number)[] = [];
  for (let p = at; p !== null; p = p.up) keys.push(p.key);
  return keys.reverse().reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return /^[A-Za-z_$][\w$-]*$/.test(key) ? `${text}.${key}` : `${text}[${JSON.stringify(key.slice(0, 100))}]`;
  }, name);
}

const refused = (at: Path | null, name: string, what: string, details: Record<string, unknown>): TuttiError =>
  new TuttiError('INVALID_INPUT', `${spell(at, name)} ${what}`, { field: spell(at, name), details });

const unstorable = (at: Path | null, name: string, what: string, cause?: unknown): TuttiError =>
  new TuttiError('UNSTORABLE_VALUE', `${spell(at, name)} ${what}`, { field: spell(at, name), cause });

const tooLarge = (name: string, limit: number, bytes?: number): TuttiError =>
  new TuttiError('VALUE_TOO_LARGE', `${name} is ${bytes === undefined ? `above ${limit}` : bytes} bytes as JSON; the limit is ${limit} bytes`, {
    field: name,
    details: bytes === undefined ? { limit } : { limit, bytes },
  });

/** Kinds that JSON would turn into {} or into something that is not what was meant. */
const LOSSY: Record<string, string> = {
  Map: 'use Object.fromEntries(map)',
  Set: 'use [...set]',
  WeakMap: 'it cannot be read',
  WeakSet: 'it cannot be read',
  WeakRef: 'it cannot be read',
  Promise: 'await it',
  RegExp: 'use its source',
  Error: 'use its message',
  ArrayBuffer: 'encode it as base64',
  SharedArrayBuffer: 'encode it as base64',
  DataView: 'encode it as base64',
};

/** Tells kinds apart across realms, where instanceof does not. */
const tagOf = (value: object): string => Object.prototype.toString.call(value).slice(8, -1);

/** The exact pass: a plain copy with every `toJSON` applied, or the error that says what cannot be kept and where. */
function copyStorable(root: unknown, name: string, maxBytes: number): unknown {
  const above = new Set<object>();
  let left = maxBytes;
  const text = (value: string, at: Path | null, what: string): string => {
    left -= value.length;
    if (left < 0) throw tooLarge(name, maxBytes);
    if (value.includes('\u0000')) throw unstorable(at, name, `${what} the character U+0000, which cannot be kept`);
    if (!value.isWellFormed()) throw unstorable(at, name, `${what} half of a surrogate pair, which cannot be kept`);
    return value;
  };
  const copy = (value: unknown, at: Path | null, depth: number): unknown => {
    if (--left < 0) throw tooLarge(name, maxBytes);
    switch (typeof value) {
      case 'string':
        return text(value, at, 'contains');
      case 'boolean':
      case 'undefined':
        return value;
      case 'number':
        if (!Number.isFinite(value)) throw unstorable(at, name, `is ${value}, which JSON cannot express`);
        if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
          throw unstorable(at, name, `is ${value}, an integer beyond 2^53 - 1; keep it as a string`);
        }
        return value;
      case 'bigint':
        throw unstorable(at, name, 'is a BigInt; keep it as a string');
      case 'function':
      case 'symbol':
        throw unstorable(at, name, `is a ${typeof value}, which cannot be kept`);
      default:
        return value === null ? null : copyObject(value as object, at, depth);
    }
  };
  const copyObject = (value: object, at: Path | null, depth: number): unknown => {
    if (depth >= MAX_VALUE_DEPTH) throw unstorable(at, name, `is nested deeper than ${MAX_VALUE_DEPTH} levels`);
    if (above.has(value)) throw unstorable(at, name, 'is part of a cycle');
    above.add(value);
    let result: unknown;
    const toJSON: unknown = (value as { toJSON?: unknown }).toJSON;
    if (typeof toJSON === 'function') {
      if (tagOf(value) === 'Date' && Number.isNaN((value as { getTime(): number }).getTime())) throw unstorable(at, name, 'is an invalid date');
      // JSON.stringify tells toJSON the key it stands under, and does not ask its answer for a toJSON of its own.
      const plain: unknown = toJSON.call(value, at === null ? '' : String(at.key));
      result = typeof plain === 'object' && plain !== null ? copyFields(plain, at, depth) : copy(plain, at, depth);
    } else result = copyFields(value, at, depth);
    above.delete(value);
    return result;
  };
  const copyFields = (value: object, at: Path | null, depth: number): unknown => {
    if (value instanceof String || value instanceof Number || value instanceof Boolean) return copy(value.valueOf(), at, depth);
    const tag = tagOf(value);
    const hint = LOSSY[tag] ?? (ArrayBuffer.isView(value) ? LOSSY.ArrayBuffer : undefined);
    if (hint !== undefined) throw unstorable(at, name, `is a ${tag}, which JSON cannot express; ${hint}`);
    if (Array.isArray(value)) {
      const items: unknown[] = [];
      for (let i = 0; i < value.length; i++) items.push(copy(value[i], { up: at, key: i }, depth + 1));
      return items;
    }
    const fields: Record<string, unknown> = {};
    for (const key of Object.keys(value)) {
      const inside: Path = { up: at, key };
      if (key === '__proto__') throw unstorable(inside, name, 'uses the key __proto__, which cannot be kept');
      fields[text(key, inside, 'has a key that contains')] = copy((value as Record<string, unknown>)[key], inside, depth + 1);
    }
    return fields;
  };
  try {
    return copy(root, null, 0);
  } catch (e) {
    if (e instanceof TuttiError) throw e;
    throw unstorable(null, name, `cannot be read: ${e instanceof Error ? e.message : 'a getter or toJSON threw'}`, e);
  }
}

const nameOfKind = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'an array' : value === undefined ? 'nothing' : `a ${typeof value}`;
