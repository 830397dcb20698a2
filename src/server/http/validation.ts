/** Checks a part of a request with the schema of its route and says what is wrong in the words of the error registry. */
import { Readable } from 'node:stream';
import type { FastifyServerOptions } from 'fastify';
import type { z } from 'zod';
import { type ErrorCode, TuttiError } from '../../core/errors.ts';

export type RequestPart = 'params' | 'querystring' | 'body';

const neverAsked = (): never => {
  throw new TuttiError('INTERNAL', 'a schema came from elsewhere than the route table');
};

/**
 * For fastify's schemaController. Where it is not told that the route table brings its own compilers it loads Ajv and a compiler of
 * serializers when it is made: a hundred modules for nothing.
 */
export const NO_COMPILERS: NonNullable<FastifyServerOptions['schemaController']> = {
  compilersFactory: { buildValidator: neverAsked, buildSerializer: neverAsked },
};

/** For fastify's validatorCompiler: `{ value }`, or `{ error }` that reaches the error handler as it is. */
export const compileValidator =
  (schema: z.ZodType, part: RequestPart) =>
  (data: unknown): { value: unknown } | { error: TuttiError } => {
    // Lines that are still coming: whoever takes them checks them.
    if (data instanceof Readable) return { value: data };
    const result = schema.safeParse(data, undefined);
    return result.success ? { value: result.data } : { error: inputError(result.error.issues, data, part) };
  };

const ISSUES_SHOWN = 20;

function inputError(issues: readonly z.core.$ZodIssue[], data: unknown, part: RequestPart): TuttiError {
  const found = issues.map(part === 'querystring' ? atTop : same).flatMap((i) => describe(i, data));
  const first = found[0];
  return new TuttiError(codeOf(part, first.field), textOf(first), {
    field: first.field || part,
    ...(found.length > 1 ? { details: { issues: found.slice(0, ISSUES_SHOWN) } } : {}),
  });
}

interface Problem {
  field: string;
  message: string;
}

const textOf = ({ field, message }: Problem): string => (field === '' ? message : `${field} ${message}`);

const same = (issue: z.core.$ZodIssue): z.core.$ZodIssue => issue;
/** A query parameter that was given several times is still one parameter. */
const atTop = (issue: z.core.$ZodIssue): z.core.$ZodIssue => ({ ...issue, path: issue.path.slice(0, 1) });

/** The only parameter with a rule of its own is a task's id. */
const codeOf = (part: RequestPart, field: string): ErrorCode => (part === 'params' && field === 'id' ? 'INVALID_ID' : 'INVALID_INPUT');

function describe(issue: z.core.$ZodIssue, data: unknown): Problem[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ field: pathOf([...issue.path, key]), message: 'is not a known field' }));
  const field = pathOf(issue.path);
  if (issue.code === 'invalid_type' && issue.path.length > 0 && valueAt(data, issue.path) === undefined) return [{ field, message: 'is required' }];
  return [{ field, message: issue.message.replace(/^Invalid input: /, 'is invalid: ') }];
}

const valueAt = (data: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((v, key) => (v as Record<PropertyKey, unknown> | null)?.[key], data);

/** `tasks[3].context.items[0]` */
export const pathOf = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((text, key) => (typeof key === 'number' ? `${text}[${key}]` : text === '' ? String(key) : `${text}.${String(key)}`), '');
