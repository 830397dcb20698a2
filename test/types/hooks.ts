/** What the typed builder infers of hooks, of yields and of children. Compiled, never run. */
import type { Json } from '../../src/core/definition.ts';
import type { ChildResult } from '../../src/sdk/handler-meta.ts';
import type { ChildRef } from '../../src/sdk/step-types.ts';
import { type AnyTemplate, type Submittable, template } from '../../src/sdk/template.ts';
import type { Equal, Expect } from './expect.ts';

type ResultIn<T> = T extends Submittable<infer _In, infer R> ? R : never;

const base = template<{ file: string }>('a/hooks@1.0.0').step('plan', () => ({ parts: 3, at: new Date(0) }));

// --- finalize: its return type is the step's, and `own` is what the function returned, as JSON gives it back
const upload = base.step(
  'upload',
  { after: ['plan'], onChildFailure: 'wait_all', maxConcurrentChildren: 3 },
  async ({ input, results, spawnAll }) => {
    await spawnAll(Array.from({ length: results.plan.parts }, (_, n) => ({ handler: 'part', key: String(n), inputs: { file: input.file, n } })));
    return { id: input.file, begun: new Date(0) };
  },
  {
    finalize: async ({ own, children, results, input, log }, again) => {
      const id: string = own.id;
      const begun: string = own.begun;
      const parts: number = results.plan.parts;
      // @ts-expect-error a date is text by now
      const wrong: Date = own.begun;
      // @ts-expect-error the function gave no such thing
      log.info(own.nothing);
      const etags: string[] = [];
      for await (const child of children) if (child.state === 'complete') etags.push(String(child.value));
      const same: AsyncIterable<ChildResult> = again;
      return { id, begun, parts, file: input.file, etags, done: true as const, wrong, same: typeof same };
    },
    onAbort: async ({ own, reason, input }) => {
      const why: string = reason;
      // @ts-expect-error the function may never have returned
      const sure: string = own.id;
      return [why, own?.id, input.file, sure];
    },
  },
);
upload.step('after', { after: ['upload'] }, ({ results }) => {
  const etags: readonly string[] = results.upload.etags;
  const done: true = results.upload.done;
  // @ts-expect-error that is what the function returned, not the finalizer
  void results.upload.missing;
  return [etags.length, done, results.upload.id] as const;
});

const onlyAbort = base.step('work', {}, async () => ({ n: 1 }), { onAbort: ({ own }) => own?.n });
export type OnlyAbort = Expect<Equal<ResultIn<typeof onlyAbort>['work'], { readonly n: number }>>;
const nothing = base.step('work', {}, () => ({ n: 1 }), { finalize: ({ own }) => void own.n });
export type Nothing = Expect<Equal<ResultIn<typeof nothing>['work'], { readonly n: number }>>;
const sometimes = base.step('work', {}, () => ({ n: 1 }), { finalize: async ({ own }) => (own.n > 1 ? 'many' : undefined) });
export type Sometimes = Expect<Equal<ResultIn<typeof sometimes>['work'], { readonly n: number } | 'many'>>;
const another = base.step('work', { mergedInputs: true }, ({ inputs }) => String(inputs.file), {
  finalize: ({ own, inputs }) => [own.length, Object.keys(inputs).length],
});
export type Another = Expect<Equal<ResultIn<typeof another>['work'], readonly number[]>>;
export const known: AnyTemplate[] = [upload, onlyAbort, nothing, sometimes, another];

// @ts-expect-error hooks come after the function
base.step('work', { finalize: () => 1 }, () => 1);
// @ts-expect-error no such hook
base.step('work', {}, () => 1, { finalise: () => 1 });
// @ts-expect-error a registered handler has hooks of its own
base.step('work', { handler: 'x' }, { finalize: () => 1 });
// @ts-expect-error what a finalizer gives is stored
base.step('work', {}, () => 1, { finalize: () => new Map() });
// @ts-expect-error what it is given was stored
base.step('work', {}, () => new Map(), { finalize: () => 1 });

// --- a child is durable when `spawn` resolves, and cannot be awaited: its handler might need the slot
base.step('spawns', async ({ spawn, spawnAll }) => {
  const child: ChildRef = await spawn('part', { n: 1 });
  const children: ChildRef[] = await spawnAll([{ handler: 'part' }]);
  // @ts-expect-error what it gave is seen in finalize
  void child.result;
  // @ts-expect-error it is no promise
  void child.then((x: unknown) => x);
  return [child.stepId, child.name, child.key, children.length] as const;
});

export type Unawaited = Expect<Equal<Awaited<ChildRef>, ChildRef>>;

// --- a yield is no result
const yields = base.step('walk', ({ checkpointYield, lastCheckpoint }) =>
  lastCheckpoint === undefined ? checkpointYield({ cursor: 1, itemsProcessed: 1 }) : { n: 1 },
);
export type Yields = Expect<Equal<ResultIn<typeof yields>['walk'], { readonly n: number }>>;
base.step('walk', async (ctx) => {
  // @ts-expect-error how far it is must be said
  if (ctx.isRetry) return ctx.checkpointYield({ cursor: 1 });
  return 1;
});

// --- without types
const loop = template('a/u@1.0.0')
  .untyped()
  .step('s', {}, () => 1, { finalize: async ({ own, children }) => [own, children] });
export type Loop = Expect<Equal<ResultIn<typeof loop>, Json>>;
