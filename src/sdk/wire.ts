/**
 * What a value becomes when it is kept: `Wire<T>` is the type of `JSON.parse(JSON.stringify(t))`, frozen; `Storable<T>` is T itself
 * where every part of it can be kept and something T does not extend where a part cannot (design.md §5).
 */

import type { JsonObject } from '../core/definition.ts';

type Primitive = string | number | boolean | null;

/** Kinds whose content JSON would drop. Promise: the handler forgot an await. */
type Lossy =
  | bigint
  | symbol
  | ((...args: never[]) => unknown)
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | WeakMap<WeakKey, unknown>
  | WeakSet<WeakKey>
  | PromiseLike<unknown>
  | RegExp
  | Error
  | ArrayBuffer;

type IsAny<T> = 0 extends 1 & T ? true : false;
/** JSON as such, or anything wider (unknown, any): nothing to map. */
type IsJson<T> = [JsonObject] extends [T] ? true : false;
type IsUnknown<T> = unknown extends T ? true : false;

/**
 * Date -> string, undefined -> null (optional in objects), arrays readonly; functions and other unstorable parts never.
 * Arrays are written as array types, which the compiler resolves late: recursive types such as a JSON value would not end otherwise.
 */
export type Wire<T> =
  IsJson<T> extends true
    ? T
    : T extends Primitive
      ? T
      : T extends undefined | void
        ? null
        : T extends { toJSON(...args: never[]): infer J }
          ? Wire<J>
          : T extends Lossy
            ? never
            : T extends readonly (infer E)[]
              ? number extends T['length']
                ? readonly Wire<E>[]
                : { readonly [K in keyof T]: Wire<T[K]> }
              : T extends object
                ? WireObject<T>
                : never;

type WireObject<T> = {
  readonly [K in keyof T as K extends symbol ? never : undefined extends T[K] ? never : K]: Wire<T[K]>;
} & {
  readonly [K in keyof T as K extends symbol ? never : undefined extends T[K] ? K : never]?: Wire<Exclude<T[K], undefined>>;
} extends infer O
  ? { [K in keyof O]: O[K] }
  : never;

/** `O extends Storable<O>` holds exactly when every part of O can be kept. */
export type Storable<T> =
  IsAny<T> extends true
    ? T
    : IsUnknown<T> extends true
      ? T
      : T extends Primitive | undefined | void
        ? T
        : T extends { toJSON(...args: never[]): unknown }
          ? T
          : T extends Lossy
            ? never
            : T extends readonly (infer E)[]
              ? number extends T['length']
                ? readonly Storable<E>[]
                : { readonly [K in keyof T]: Storable<T[K]> }
              : T extends object
                ? { [K in keyof T]: Storable<T[K]> }
                : never;
