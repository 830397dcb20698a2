/** What the typed builder infers of decisions and batches, and what it refuses. Compiled, never run. */
import { z } from 'zod';
import type { Json } from '../../src/core/definition.ts';
import { batches, cursorsFor, type NoBatches, none, noBatches, type Batches, type Cursor, route, to } from '../../src/sdk/branches.ts';
import type { NotTaken, Settled } from '../../src/sdk/step-types.ts';
import { type AnyTemplate, type Submittable, template } from '../../src/sdk/template.ts';
import type { Equal, Expect } from './expect.ts';

type ResultIn<T> = T extends Submittable<infer _In, infer R> ? R : never;

const base = template('a/b@1.0.0', { input: z.object({ amount: z.number() }) }).step('validate', ({ input }) => ({ ok: input.amount > 0 }));

// --- decisions
const approval = base.decision(
  'route',
  { after: ['validate'] },
  {
    auto: (b) => b.step('auto_approve', { after: ['validate'] }, ({ results, input }) => ({ by: 'rule', ok: results.validate.ok && input.amount > 0 })),
    manager: (b) =>
      b
        .step('manager_approval', () => ({ by: 'manager', level: 1 }))
        .step('notify', { after: ['manager_approval'] }, ({ results }) => results.manager_approval.level),
    skip: (b) => b,
  },
  ({ input, results }) => (input.amount < 1000 && results.validate.ok ? to('auto') : input.amount < 5000 ? route(['manager', 'auto']) : none()),
);
const final = approval
  .step('final', { after: { auto_approve: 'required', manager_approval: 'optional' } }, ({ results }) => {
    type AutoApprove = Expect<Equal<typeof results.auto_approve, { readonly by: string; readonly ok: boolean } | undefined>>;
    type Manager = Expect<Equal<typeof results.manager_approval, Settled<{ readonly by: string; readonly level: number }> | NotTaken>>;
    // @ts-expect-error it may not be taken
    void results.auto_approve.by;
    // @ts-expect-error the state comes first
    void results.manager_approval.value;
    const by: string = results.auto_approve?.by ?? (results.manager_approval.state === 'not_taken' ? 'nobody' : 'the manager');
    return [by, [true, true] satisfies [AutoApprove, Manager]] as const;
  })
  .step('after', { after: ['final'] }, ({ results }) => results.final?.[0] ?? null)
  .step('apart', { after: ['validate'] }, ({ results }) => results.validate.ok);
export type FinalResult = Expect<
  Equal<ResultIn<typeof final>, { readonly notify: number | undefined; readonly after: string | null | undefined; readonly apart: boolean }>
>;
const returned = final.returns('after');
export type Returned = Expect<Equal<ResultIn<typeof returned>, string | null | undefined>>;
const returnedTwo = final.returns(['auto_approve', 'validate']);
export type ReturnedTwo = Expect<
  Equal<
    ResultIn<typeof returnedTwo>,
    { readonly auto_approve: { readonly by: string; readonly ok: boolean } | undefined; readonly validate: { readonly ok: boolean } }
  >
>;
final.step('look', { after: ['after'] }, async ({ ancestor }) => {
  const taken: Settled<{ readonly by: string; readonly ok: boolean }> | NotTaken = await ancestor('auto_approve');
  const surely: Settled<{ readonly ok: boolean }> = await ancestor('validate');
  // @ts-expect-error it may not have been taken
  const wrong: Settled<{ readonly by: string; readonly ok: boolean }> = await ancestor('auto_approve');
  return [taken.state, surely.state, wrong.state];
});
export const known: AnyTemplate[] = [approval, final];

// @ts-expect-error there is no branch atuo
base.decision('route', {}, { auto: (b) => b.step('x', () => 1) }, () => to('atuo'));
// @ts-expect-error there is no branch of this name in the list
base.decision('route', {}, { auto: (b) => b.step('x', () => 1) }, async () => route(['auto', 'other']));
// @ts-expect-error a decision returns a route
base.decision('route', {}, { auto: (b) => b.step('x', () => 1) }, () => 'auto');
// @ts-expect-error a branch gives back its builder
base.decision('route', {}, { auto: () => 3 }, () => to('auto'));
// @ts-expect-error there is a step validate already
base.decision('validate', {}, { auto: (b) => b.step('x', () => 1) }, () => to('auto'));
// @ts-expect-error no such step
base.decision('route', { after: ['nope'] }, { auto: (b) => b.step('x', () => 1) }, () => to('auto'));
// @ts-expect-error one branch does not see the steps of another
base.decision('route', {}, { auto: (b) => b.step('x', () => 1), other: (b) => b.step('y', { after: ['x'] }, () => 1) }, () => to('auto'));
// @ts-expect-error there is a step of a branch of this name
approval.step('auto_approve', () => 1);
base.decision('route', {}, { auto: (b) => b.step('x', { after: ['route'] }, ({ results }) => results.route.type) }, () => to('auto'));
const named = base.decision('route', { handler: 'approvals.route' }, { auto: (b) => b.step('x', () => 1) });
export type Named = Expect<Equal<ResultIn<typeof named>, { readonly validate: { readonly ok: boolean }; readonly x: number | undefined }>>;

// --- decisions within branches
const nested = base.decision(
  'outer',
  {},
  {
    deep: (b) =>
      b
        .step('first', () => 1)
        .decision(
          'inner',
          { after: ['first'] },
          { p: (c) => c.step('p1', { after: ['first'] }, ({ results }) => results.first + 1), q: (c) => c.step('q1', () => 'q') },
          () => to('p'),
        )
        .step('joined', { after: ['p1', 'q1'] }, ({ results }): number | string | undefined => results.p1 ?? results.q1),
    flat: (b) => b.step('only', () => true),
  },
  () => to('deep', 'flat'),
);
nested.step('end', { after: ['joined', 'only', 'first'] }, ({ results }) => {
  const first: number | undefined = results.first;
  // @ts-expect-error the whole branch may not be taken
  const sure: number = results.first;
  const joined: number | string | null | undefined = results.joined;
  return [first, sure, joined, results.only ?? null];
});

// --- batches
const sum = base
  .batchable('analyse', { after: ['validate'], batchSize: 200, parallelism: 5, onFailure: 'fail_fast', cursorField: 'row' }, ({ results }) =>
    results.validate.ok ? batches(cursorsFor(1000, { batchSize: 200 }), { totalItems: 1000 }) : noBatches(),
  )
  .batchWorker('work', { of: 'analyse', retry: { maxAttempts: 1 } }, ({ cursor, batch, input }) => {
    const from: number = cursor.start_cursor;
    return { rows: cursor.end_cursor - from, of: batch.total_items, amount: input.amount };
  })
  .step('sum', { after: ['work'] }, ({ results }) => results.work.reduce((rows, w) => rows + w.rows, 0));
export type Sum = Expect<Equal<ResultIn<typeof sum>, { readonly sum: number }>>;
sum.step('settled', { after: { work: 'optional' } }, ({ results }) => {
  const work: readonly Settled<{ readonly rows: number; readonly of: number | null; readonly amount: number }>[] = results.work;
  return work.filter((w) => w.state === 'complete').length;
});
base
  .batchable('analyse', {}, async () => batches([{ batch_id: '1', start_cursor: 'a@x', end_cursor: 'b@x', batch_size: 3, only: ['eu'] }]))
  .batchWorker('work', { of: 'analyse' }, ({ cursor }) => [cursor.start_cursor.length, cursor.only[0]] as const);
const byName = base.batchable('analyse', { handler: 'csv.analyse' }).batchWorker('work', { of: 'analyse', handler: 'csv.work' });
export type ByName = Expect<Equal<ResultIn<typeof byName>, { readonly validate: { readonly ok: boolean }; readonly work: readonly Json[] }>>;
byName.step('look', { after: ['analyse'] }, ({ results }) => {
  const outcome: Batches<Cursor<Json>> | NoBatches = results.analyse;
  return outcome.type;
});
// @ts-expect-error no such strategy
base.batchable('analyse', { onFailure: 'shrug' }, () => noBatches());
// @ts-expect-error a batchable step returns batches
base.batchable('analyse', {}, () => [1, 2]);
// @ts-expect-error no such step
base.batchWorker('work', { of: 'nope' }, () => 1);
// @ts-expect-error a cursor's fields are known
base.batchable('analyse', {}, () => batches(cursorsFor(10))).batchWorker('work', { of: 'analyse' }, ({ cursor }) => cursor.begin);
// @ts-expect-error not storable
base.batchable('analyse', {}, () => batches(cursorsFor(10))).batchWorker('work', { of: 'analyse' }, () => new Map());
// @ts-expect-error a standard step is not divided
base.step('plain', { batchSize: 3 }, () => 1);

// --- a batch within a branch
base
  .decision(
    'route',
    {},
    { many: (b) => b.batchable('split', {}, () => batches(cursorsFor(10))).batchWorker('each', { of: 'split' }, ({ cursor }) => cursor.batch_size) },
    () => to('many'),
  )
  .step('total', { after: ['each'] }, ({ results }) => {
    const each: readonly number[] | undefined = results.each;
    // @ts-expect-error the branch may not be taken
    void results.each.length;
    return each?.length ?? 0;
  });

// --- without types
const loop = template('a/f@1.0.0')
  .untyped()
  .step('s', () => 1)
  .decision('d', { after: ['s'] }, { x: (b) => b.step('t', () => 1) }, () => to('x'))
  .batchable('split', {}, () => noBatches())
  .batchWorker('each', { of: 'split' }, ({ config }) => config.cursor);
export const registered: AnyTemplate = loop;
