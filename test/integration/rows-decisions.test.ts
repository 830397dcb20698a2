/** Rows of the behaviour list about decisions, each on the real engine and in three forms: typed builder, builder without types, YAML. */
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { describe, type TestContext, test } from 'node:test';
import {
  loadTemplateFile,
  none,
  route,
  template,
  to,
  Tutti,
  type AnyTemplate,
  type FailurePolicy,
  type TaskHandle,
  type TemplateRegistration,
} from '../../src/main.ts';
import { Hold, opened, quiet, shown, stepIs, storeFile, whole, type Work } from '../support/live-task.ts';

const chosenFor = (amount: number): string[] =>
  amount < 1000 ? ['auto_approve'] : amount < 5000 ? ['manager_approval'] : ['manager_approval', 'finance_review'];
const taken = (results: Record<string, unknown>): string[] => Object.keys(results).filter((name) => results[name] !== undefined);

/** approval_routing of the specification; `gates` holds back the steps it names. */
const code = (gates: Record<string, Hold> = {}): Record<string, Work> => {
  const gated =
    (name: string, fn: Work): Work =>
    async (ctx) => {
      await gates[name]?.wait();
      return fn(ctx);
    };
  return {
    validate_request: gated('validate_request', ({ input }) => ({ amount: input.amount })),
    routing_decision: gated('routing_decision', ({ input }) => ({ decision_point_outcome: { type: 'create_steps', step_names: chosenFor(input.amount) } })),
    auto_approve: gated('auto_approve', () => 'auto'),
    manager_approval: gated('manager_approval', () => 'manager'),
    finance_review: gated('finance_review', () => 'finance'),
    finalize_approval: gated('finalize_approval', ({ results }) => taken(results)),
  };
};

const ID = 'approvals/approval_routing@1.0.0';
const typed = (c: Record<string, Work>): AnyTemplate =>
  template<{ amount: number }>(ID)
    .step('validate_request', async (ctx) => (await c.validate_request(ctx as never)) as { amount: number })
    .decision(
      'routing_decision',
      { after: ['validate_request'] },
      {
        auto_approve: (b) => b.step('auto_approve', async (ctx) => (await c.auto_approve(ctx as never)) as string),
        manager_approval: (b) => b.step('manager_approval', async (ctx) => (await c.manager_approval(ctx as never)) as string),
        finance_review: (b) => b.step('finance_review', async (ctx) => (await c.finance_review(ctx as never)) as string),
      },
      async (ctx) => {
        await c.routing_decision(ctx as never);
        return route(chosenFor(ctx.input.amount) as 'auto_approve'[]);
      },
    )
    .step(
      'finalize_approval',
      { after: ['auto_approve', 'manager_approval', 'finance_review'] },
      async (ctx) => (await c.finalize_approval(ctx as never)) as string[],
    );

const untyped = (c: Record<string, Work>): AnyTemplate =>
  template(ID)
    .untyped()
    .step('validate_request', c.validate_request)
    .decision(
      'routing_decision',
      { after: ['validate_request'] },
      Object.fromEntries(['auto_approve', 'manager_approval', 'finance_review'].map((name) => [name, (b) => b.step(name, c[name])])),
      c.routing_decision,
    )
    .step('finalize_approval', { after: ['auto_approve', 'manager_approval', 'finance_review'] }, c.finalize_approval);

const YAML = `
name: approval_routing
namespace_name: approvals
version: "1.0.0"
steps:
  - { name: validate_request, handler: { callable: validate_request } }
  - { name: routing_decision, type: decision, dependencies: [validate_request], handler: { callable: routing_decision } }
  - { name: auto_approve, dependencies: [routing_decision], handler: { callable: auto_approve } }
  - { name: manager_approval, dependencies: [routing_decision], handler: { callable: manager_approval } }
  - { name: finance_review, dependencies: [routing_decision], handler: { callable: finance_review } }
  - name: finalize_approval
    type: deferred_convergence
    dependencies: [auto_approve, manager_approval, finance_review]
    handler: { callable: finalize_approval }
`;

const FORMS: Record<string, (c: Record<string, Work>) => [AnyTemplate | TemplateRegistration, Record<string, Work>]> = {
  'typed builder': (c) => [typed(c), {}],
  'builder without types': (c) => [untyped(c), {}],
  YAML: (c) => [loadTemplateFile(YAML, 'approval_routing.yaml'), c],
};

for (const [form, make] of Object.entries(FORMS)) {
  describe(`approval routing, ${form}`, () => {
    const start = async (t: TestContext, amount: number, gates: Record<string, Hold> = {}): Promise<{ tutti: Tutti; task: TaskHandle }> => {
      const [definition, handlers] = make(code(gates));
      const tutti = await opened(t, [definition], { handlers });
      return { tutti, task: await tutti.submit('approvals/approval_routing@1.0.0', { amount }) };
    };

    test('row 28: on creation exactly 2 steps exist: validate_request, routing_decision', async (t) => {
      const gate = new Hold();
      const { tutti, task } = await start(t, 500, { validate_request: gate });
      await gate.until(1);
      assert.deepEqual(await shown(task), { validate_request: 'in_progress', routing_decision: 'pending' });
      assert.equal((await task.view()).totalSteps, 2);
      const all = await whole(tutti, task);
      assert.deepEqual(
        ['auto_approve', 'manager_approval', 'finance_review', 'finalize_approval'].map((name) => all[name]),
        ['undecided', 'undecided', 'undecided', 'undecided'],
      );
      gate.open();
      assert.equal((await task.done()).state, 'complete');
    });

    test('row 29: 500 goes to auto_approve and finalize_approval, no manager, no finance, 4 steps in all', async (t) => {
      const { tutti, task } = await start(t, 500);
      assert.deepEqual(await task.result(), { finalize_approval: ['auto_approve'] });
      assert.deepEqual(await shown(task), {
        validate_request: 'complete',
        routing_decision: 'complete',
        auto_approve: 'complete',
        finalize_approval: 'complete',
      });
      const view = await task.view();
      assert.deepEqual([view.totalSteps, view.completedSteps, view.completionPercentage], [4, 4, 100]);
      const all = await whole(tutti, task);
      assert.deepEqual([all.manager_approval, all.finance_review], ['not_taken', 'not_taken']);
    });

    test('row 30: 3000 goes to manager_approval alone, 4 steps in all', async (t) => {
      const { task } = await start(t, 3000);
      assert.deepEqual(await task.result(), { finalize_approval: ['manager_approval'] });
      assert.equal((await task.view()).totalSteps, 4);
    });

    test('row 31: 10000 goes to manager and finance in parallel, finalize waits for both, 5 steps in all', async (t) => {
      const both = new Hold();
      const { task } = await start(t, 10_000, { manager_approval: both, finance_review: both });
      await both.until(2);
      const before = await shown(task);
      assert.deepEqual([before.manager_approval, before.finance_review, before.finalize_approval], ['in_progress', 'in_progress', 'pending']);
      both.open();
      assert.deepEqual(await task.result(), { finalize_approval: ['manager_approval', 'finance_review'] });
      assert.equal((await task.view()).totalSteps, 5);
    });
  });
}

/** One decision over three branches a, b, c and a convergence over them, with what decides given. */
const three = (decide: Work, more: { policy?: FailurePolicy; maxAttempts?: number } = {}): AnyTemplate =>
  template('rows/three@1.0.0', { onFailure: more.policy ?? 'fail' })
    .untyped()
    .step('first', () => 1)
    .decision(
      'choose',
      { after: ['first'], retry: { maxAttempts: more.maxAttempts ?? 3, baseMs: 0, jitter: 0 } },
      { a: (b) => b.step('a', () => 'a'), b: (b) => b.step('b', () => 'b'), c: (b) => b.step('c', () => 'c') },
      decide,
    )
    .step('join', { after: ['a', 'b', 'c'] }, ({ results }) => taken(results));
const THREE = 'rows/three@1.0.0';

test('row 32: no_branches creates nothing, the task completes with what it had', async (t) => {
  const tutti = await opened(t, [three(() => none())]);
  const task = await tutti.submit(THREE, {});
  assert.deepEqual((await task.done()).state, 'complete');
  assert.deepEqual(await shown(task), { first: 'complete', choose: 'complete' });
  assert.deepEqual(await whole(tutti, task), { first: 'complete', choose: 'complete', a: 'not_taken', b: 'not_taken', c: 'not_taken', join: 'not_taken' });
  assert.equal((await task.view()).totalSteps, 2);
});

test('row 33: an unchosen step is explained, asked for or not, before and after', async (t) => {
  const gate = new Hold();
  const tutti = await opened(t, [three(async () => (await gate.wait(), to('a')))]);
  const task = await tutti.submit(THREE, {});
  await gate.until(1);
  assert.deepEqual(
    (await task.explain()).map((e) => e.name),
    ['first', 'choose'],
  );
  const [b] = await task.explain('b');
  assert.deepEqual(
    [b.state, b.runnable, b.gates.map((g) => [g.kind, g.message])],
    ['undecided', false, [['undecided', 'It does not exist yet: choose has not chosen.']]],
  );
  const [join] = await task.explain('join');
  assert.deepEqual(
    join.gates.map((g) => [g.kind, g.message]),
    [['undecided', 'It does not exist yet: a, b, c have not been chosen.']],
  );
  gate.open();
  await task.done();
  const [gone] = await task.explain('b');
  assert.deepEqual(
    [gone.state, gone.runnable, gone.gates.map((g) => [g.kind, g.message])],
    ['not_taken', false, [['not_taken', 'It was not taken: nothing chose it.']]],
  );
});

test('row 34: a decision that names two steps creates both and the convergence; edges lead from the decision to each', async (t) => {
  const tutti = await opened(t, [three(() => to('a', 'c'))]);
  const task = await tutti.submit(THREE, {});
  assert.deepEqual(await task.result(), { join: ['a', 'c'] });
  const steps = await task.steps();
  assert.deepEqual(
    steps.map((s) => [s.name, s.dependencies.map((d) => d.name)]),
    [
      ['first', []],
      ['choose', ['first']],
      ['a', ['choose']],
      ['c', ['choose']],
      ['join', ['a', 'b', 'c']],
    ],
  );
  assert.equal((await task.step('join')).completedParents, 2);
});

test('row 35: a convergence over a, b and c of which only a is chosen runs after a alone', async (t) => {
  const gate = new Hold();
  const t3 = template('rows/one@1.0.0')
    .decision(
      'choose',
      {},
      { a: (b) => b.step('a', async () => (await gate.wait(), 'a')), b: (b) => b.step('b', () => 'b'), c: (b) => b.step('c', () => 'c') },
      () => to('a'),
    )
    .step('join', { after: ['a', 'b', 'c'] }, ({ results }) => [results.a ?? null, results.b ?? null, results.c ?? null]);
  const tutti = await opened(t, [t3]);
  const task = await tutti.submit(t3, {});
  await gate.until(1);
  assert.equal((await task.step('join')).state, 'pending');
  assert.deepEqual(
    (await task.explain('join'))[0].gates.map((g) => g.message),
    ['It waits for a (required), which is in_progress.'],
  );
  gate.open();
  assert.deepEqual(await task.result(), { join: ['a', null, null] });
});

test('row 36: a decision that names what it may not fails for good, with the name, its branch does not come to be, and a dead letter is written', async (t) => {
  const cases: [says: RegExp, body: unknown][] = [
    [/names "nowhere", which is neither a branch nor a step/, to('nowhere')],
    [/names "first", which does not depend on this decision/, to('first')],
    [/a decision returns/, { amount: 3 }],
    [/step_names must be a list of at least one name/, { type: 'create_steps', step_names: [] }],
    [/step_names\[1\] must be the name/, { decision_point_outcome: { type: 'create_steps', step_names: ['a', 3] } }],
    [/a decision returns/, undefined],
  ];
  let body: unknown;
  let calls = 0;
  const store = storeFile(t);
  const tutti = await Tutti.open({ store, templates: [three(() => (calls++, body))], logger: quiet });
  t.after(() => tutti.close());
  for (const [says, wrong] of cases) {
    body = wrong;
    calls = 0;
    const task = await tutti.submit(THREE, {});
    const end = await task.done();
    assert.equal(end.state, 'error');
    assert.deepEqual(
      end.failedSteps.map((s) => [s.name, s.error?.code]),
      [['choose', 'invalid_decision']],
    );
    assert.match(end.failedSteps[0].error?.message ?? '', says);
    assert.equal(calls, 1);
    assert.deepEqual(await shown(task), { first: 'complete', choose: 'error' });
    assert.deepEqual((await whole(tutti, task)).a, 'not_taken');
  }
  const db = new DatabaseSync(store, { readOnly: true });
  const letters = db.prepare('select reason, count(*) as n from dead_letters where resolved_at is null group by reason').all();
  db.close();
  assert.deepEqual(
    letters.map((l) => ({ ...l })),
    [{ reason: 'permanent_failure', n: cases.length }],
  );
});

test('row 37: an unknown task is NOT_FOUND', async (t) => {
  const tutti = await opened(t, [three(() => none())]);
  await assert.rejects(tutti.get('019400000000-7000-8000-000000000000'.replace('019400000000', '01940000-0000')), { code: 'NOT_FOUND' });
});

test('a task that is begun anew after its process has gone decides as it would have, and nothing is there twice', async (t) => {
  const store = storeFile(t);
  const gate = new Hold();
  const flow = (hold: boolean): AnyTemplate => typed(code(hold ? { manager_approval: gate } : {}));
  const first = await Tutti.open({ store, templates: [flow(true)], logger: quiet });
  const task = await first.submit('approvals/approval_routing@1.0.0', { amount: 7000 });
  await gate.until(1);
  await stepIs(task, 'finance_review', 'complete');
  const before = (await task.steps()).map((s) => s.id);
  await first.close({ drain: 0 });
  gate.open();
  const second = await Tutti.open({ store, templates: [flow(false)], logger: quiet });
  t.after(() => second.close());
  const again = await second.get(task.id);
  assert.deepEqual(await again.result(), { finalize_approval: ['manager_approval', 'finance_review'] });
  assert.deepEqual(
    (await again.steps()).map((s) => s.id),
    before,
  );
  assert.deepEqual(
    (await again.steps()).map((s) => [s.name, s.attempts]),
    [
      ['validate_request', 1],
      ['routing_decision', 1],
      ['manager_approval', 2],
      ['finance_review', 1],
      ['finalize_approval', 1],
    ],
  );
  assert.deepEqual((await whole(second, again)).auto_approve, 'not_taken');
});
