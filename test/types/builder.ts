/** What the typed builder infers and refuses. Compiled, never run: each `@ts-expect-error` fails the compiler when its line is no error. */
import * as v from 'valibot';
import { z } from 'zod';
import type { Json, JsonObject } from '../../src/core/definition.ts';
import type { StepError } from '../../src/core/errors.ts';
import type { Settled } from '../../src/sdk/step-types.ts';
import { type AnyTemplate, type Submittable, template } from '../../src/sdk/template.ts';
import type { Tutti } from '../../src/sdk/tutti.ts';
import type { Equal, Expect } from './expect.ts';

type ResultIn<T> = T extends Submittable<infer _In, infer R> ? R : never;
type InputIn<T> = T extends Submittable<infer In, infer _R> ? In : never;
declare const tutti: Tutti;

const base = template('a/b@1.0.0', { input: z.object({ n: z.number(), when: z.date(), note: z.string().default('') }) })
  .step('one', ({ input }) => {
    const seen: { readonly n: number; readonly when: string; readonly note: string } = input;
    // @ts-expect-error the input was stored as JSON: a date is text now
    const date: Date = input.when;
    return { n: seen.n, at: date };
  })
  .step('two', { after: ['one'] }, ({ results }) => {
    const one: { readonly n: number; readonly at: string } = results.one;
    // @ts-expect-error results are frozen
    results.one.n = 3;
    // @ts-expect-error two is not in after, nor is it an earlier step
    void results.two;
    return [one.n, 'x'] as [number, string];
  })
  .step('three', () => undefined);

// --- what goes in and what comes out
export type Inputs = Expect<Equal<InputIn<typeof base>, { n: number; when: Date; note?: string | undefined }>>;
export type LeafResults = Expect<Equal<ResultIn<typeof base>, { readonly two: readonly [number, string]; readonly three: null }>>;
const one = base.returns('one');
export type OneResult = Expect<Equal<ResultIn<typeof one>, { readonly n: number; readonly at: string }>>;
const some = base.returns(['two']);
export type SomeResults = Expect<Equal<ResultIn<typeof some>, { readonly two: readonly [number, string] }>>;
// @ts-expect-error the first step has nothing to come after
template('t/first@1.0.0').step('a', { after: ['zz'] }, () => 1);

// @ts-expect-error there is no such step
base.returns('four');
// @ts-expect-error there is no such step
base.returns(['two', 'four']);
const handle = await tutti.submit(one, { n: 1, when: new Date() });
export type HandleResult = Expect<Equal<Awaited<ReturnType<typeof handle.result>>, { readonly n: number; readonly at: string }>>;
// @ts-expect-error n is missing
await tutti.submit(one, { when: new Date() });
await tutti.submitMany(one, [{ n: 1, when: new Date() }]);
// @ts-expect-error n must be a number
await tutti.submitMany(one, [{ n: 'x', when: new Date() }]);
const found = await tutti.get('id', one);
export type FoundResult = Expect<Equal<Awaited<ReturnType<typeof found.result>>, { readonly n: number; readonly at: string }>>;
export const known: AnyTemplate[] = [base, one, some];

// --- names
// @ts-expect-error there is a step one already
base.step('one', () => 1);
// @ts-expect-error there is a step one already
base.step('one', { after: ['two'] }, () => 1);
// @ts-expect-error not an earlier step
base.step('four', { after: ['nope'] }, () => 1);
// @ts-expect-error a step cannot wait for itself
base.step('four', { after: ['four'] }, () => 1);
// @ts-expect-error not an earlier step, in the object form
base.step('four', { after: { one: 'required', nope: 'required' } }, () => 1);
// @ts-expect-error not an earlier step, alone in the object form
base.step('four', { after: { nope: 'optional' } }, () => 1);
// @ts-expect-error neither required nor optional
base.step('four', { after: { one: 'maybe' } }, () => 1);
// @ts-expect-error a later step: five is added after four
base.step('four', { after: ['five'] }, () => 1).step('five', () => 1);
// @ts-expect-error timeout is misspelt
base.step('four', { timeOut: 3 }, () => 1);
// @ts-expect-error no such backoff
base.step('four', { retry: { backoff: 'quadratic' } }, () => 1);

// --- required and optional
base.step('four', { after: { one: 'required', two: 'optional' } }, ({ results }) => {
  const n: number = results.one.n;
  const two: Settled<readonly [number, string]> = results.two;
  // @ts-expect-error an optional result must be looked at before it is used
  void results.two[0];
  if (results.two.state === 'complete') return { n, x: results.two.value[1] };
  if (results.two.state === 'error') {
    const error: StepError = results.two.error;
    return { n, x: error.message };
  }
  if (results.two.state === 'cancelled') return { n, x: results.two.reason };
  const rest: 'resolved_manually' = results.two.state;
  return { n, x: rest, again: two.state };
});

// --- exactly the steps in `after`
base.step('four', { after: ['two'] }, ({ results }) => {
  // @ts-expect-error one is an ancestor, not a dependency
  void results.one;
  return 0;
});
base.step('four', { after: ['two'] }, async ({ results, ancestor }) => {
  const first: Settled<{ readonly n: number; readonly at: string }> = await ancestor('one');
  // @ts-expect-error not an earlier step
  await ancestor('nope');
  for await (const [name, value] of results) void [name satisfies string, value];
  return first.state;
});

// --- results that cannot be stored
const plain = template('a/c@1.0.0');
// @ts-expect-error a function
plain.step('f', () => ({ f: () => 1 }));
// @ts-expect-error a BigInt is no JSON
plain.step('f', () => 10n);
// @ts-expect-error a Map, deep inside
plain.step('f', async () => ({ a: [{ m: new Map<string, number>() }] }));
// @ts-expect-error a Set would become {}
plain.step('f', {}, () => new Set([1]));
// @ts-expect-error a symbol is no JSON
plain.step('f', {}, async () => ({ s: Symbol('s') }));
// @ts-expect-error a promise that was not awaited
plain.step('f', () => ({ later: Promise.resolve(1) }));
// @ts-expect-error one branch returns what cannot be stored
plain.step('f', ({ attempt }) => (attempt > 1 ? { ok: true } : new Map<string, string>()));

// --- what JSON makes of a result
interface Tree {
  name: string;
  children: Tree[];
}
type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };
const wired = plain
  .step('json', (): JsonValue => null)
  .step('object', ({ input }) => input)
  .step('date', () => ({ at: new Date() }))
  .step('tree', (): Tree => ({ name: '', children: [] }))
  .step('maybe', (): { a?: number; b: string | undefined; c: number | null } => ({ b: undefined, c: null }))
  .step('list', () => [1, undefined])
  .step('any', (): unknown => 1)
  .step('fails', (): never => {
    throw new Error('x');
  })
  .step('nothing', async () => {});
export type Objects = Expect<Equal<Wired['object'], JsonObject>>;
type Wired = ResultIn<typeof wired>;
export type Dates = Expect<Equal<Wired['date'], { readonly at: string }>>;
export type Optionals = Expect<Equal<Wired['maybe'], { readonly c: number | null; readonly a?: number; readonly b?: string }>>;
export type Lists = Expect<Equal<Wired['list'], readonly (number | null)[]>>;
export type Nothing = Expect<Equal<Wired['nothing'], null>>;
export type Unknowns = Expect<Equal<Wired['any'], unknown>>;
wired.step('walk', { after: ['tree'] }, ({ results }) => results.tree.children[0].children[0].name);

// --- merged inputs, handlers by name, no schema, other libraries
plain.step('merged', { mergedInputs: true }, ({ inputs }) => Object.keys(inputs).length);
// @ts-expect-error this step did not ask for the merged view
plain.step('merged', {}, ({ inputs }) => Object.keys(inputs).length);
const named = plain.step('named', { handler: 'mail.send', config: { from: 'x' } });
export type NamedResult = Expect<Equal<ResultIn<typeof named>, { readonly named: Json }>>;
// @ts-expect-error a handler's name or a function, not both
plain.step('named', { handler: 'mail.send' }, () => 1);
// @ts-expect-error a function is missing
plain.step('named', { timeout: '3s' });
export type NoSchema = Expect<Equal<InputIn<typeof plain>, JsonObject>>;
const claimed = template<{ n: number }>('a/d@1.0.0').step('s', ({ input }) => input.n + 1);
export type Claimed = Expect<Equal<InputIn<typeof claimed>, { n: number }>>;
const fromValibot = template('a/e@1.0.0', { input: v.object({ n: v.pipe(v.string(), v.transform(Number)) }) }).step('s', ({ input }) => input.n.toFixed(2));
export type FromValibot = Expect<Equal<InputIn<typeof fromValibot>, { n: string }>>;

// --- without types
let loop = template('a/f@1.0.0').untyped();
for (let i = 0; i < 3; i++) loop = loop.step(`s${i}`, { after: i === 0 ? [] : [`s${i - 1}`] }, ({ results }) => results.anything.at.all);
export const registered: AnyTemplate = loop;
