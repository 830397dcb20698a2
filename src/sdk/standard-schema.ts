/**
 * Any validator that follows Standard Schema v1 (zod, valibot, arktype, …): its types, and what the engine needs of it.
 * The interface is written out here so that nobody has to install a package for it.
 */
import { createRequire } from 'node:module';
import type { JsonObject } from '../core/definition.ts';
import type { InputValidator } from '../engine/facade.ts';

export interface StandardSchema<In = unknown, Out = In> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Out> | Promise<StandardResult<Out>>;
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
    /** Standard JSON Schema, where the library offers it. */
    readonly jsonSchema?: { readonly input: (o: { target: string; libraryOptions?: Record<string, unknown> }) => Record<string, unknown> } | undefined;
  };
}

type StandardResult<Out> = { readonly value: Out; readonly issues?: undefined } | { readonly issues: readonly StandardIssue[] };
interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

type Types<S> = S extends { readonly '~standard': { readonly types?: infer T } } ? NonNullable<T> : never;
/** What a caller submits. */
export type InputOf<S> = Types<S> extends { readonly input: infer In } ? In : unknown;
/** What the validator makes of it. */
export type OutputOf<S> = Types<S> extends { readonly output: infer Out } ? Out : unknown;

/** Problems shown for one input; further ones say nothing new. */
const MAX_ISSUES = 20;

export function inputValidatorOf(schema: StandardSchema): InputValidator {
  const judge = (r: StandardResult<unknown>): ReturnType<InputValidator> =>
    r.issues === undefined
      ? { ok: true, value: r.value }
      : { ok: false, issues: r.issues.slice(0, MAX_ISSUES).map((issue) => ({ path: pathOf(issue), message: issue.message })) };
  return (input) => {
    const answer = schema['~standard'].validate(input);
    return answer instanceof Promise ? answer.then((r) => judge(r) as Awaited<ReturnType<InputValidator>>) : judge(answer);
  };
}

/** JSON Schema of what a caller may submit; undefined where the library offers none or the schema has no JSON form. */
export function inputJsonSchemaOf(schema: StandardSchema): JsonObject | undefined {
  const { jsonSchema, vendor } = schema['~standard'];
  try {
    // Parts without a JSON form (a transform's source, a bigint) are shown as "anything" rather than costing the whole schema.
    const isZod = vendor === 'zod' && '_zod' in schema;
    const target = 'draft-2020-12';
    if (jsonSchema !== undefined) return plain(jsonSchema.input(isZod ? { target, libraryOptions: { unrepresentable: 'any' } } : { target }));
    // Early releases of zod 4 have none themselves. Loaded here: whoever has no such schema needs no zod.
    if (isZod) {
      const { toJSONSchema } = createRequire(import.meta.url)('zod') as typeof import('zod');
      return plain(toJSONSchema(schema as never, { io: 'input', unrepresentable: 'any' }));
    }
  } catch {
    return undefined;
  }
  return undefined;
}

/** Only what JSON keeps, so that equal schemas have equal text. */
const plain = (value: object): JsonObject => JSON.parse(JSON.stringify(value)) as JsonObject;

function pathOf(issue: StandardIssue): string {
  let text = '';
  for (const part of issue.path ?? []) {
    const key = typeof part === 'object' ? part.key : part;
    if (typeof key === 'number') text += `[${key}]`;
    else text += text === '' ? String(key) : `.${String(key)}`;
  }
  return text;
}
