/** Rows of the behaviour list about linear, diamond, tree and mixed graphs and the order fulfilment. Where a row leaves work pending behind a failure it holds under policy `block`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../src/core/definition.ts';
import { type Staged, type Staging, staged } from '../support/staged-task.ts';
import { diamond, linear, mixedDag, orderFulfilment, tree } from '../support/template-fixtures.ts';
import type { TemplateDefinition } from '../../src/core/definition.ts';

const on = (definition: TemplateDefinition, o: Staging, check: (s: Staged) => void | Promise<void>) => async () => {
  const s = await staged(definition, o);
  try {
    await check(s);
    s.world.machine.throwReported();
  } finally {
    s.close();
  }
};

const THRICE = ['retryable', 'retryable', 'retryable'] as const;
const states = (s: Staged): Record<string, string> => Object.fromEntries(Object.values(s.steps).map((x) => [x.name, x.state]));
const ready = (s: Staged): string[] =>
  Object.values(s.steps)
    .filter((x) => x.readyForExecution)
    .map((x) => x.name);
const counts = (names: readonly string[], s: Staged): (readonly [number, number])[] =>
  names.map((n) => [s.steps[n].completedParents, s.steps[n].totalParents] as const);

/** Squares the input or the product of what came before; exact at any size, a string once numbers cannot hold it. */
const square = (_: string, input: Json, results: Record<string, Json>): Json => {
  const values = Object.values(results);
  const from = values.length === 0 ? [(input as { even_number: number }).even_number] : values;
  const product = from.reduce((p, v) => p * BigInt(v as number | string), 1n) ** 2n;
  return product <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(product) : String(product);
};
const six = { input: { even_number: 6 }, compute: square };

test(
  'row 1: the linear sequence squares four times',
  on(linear(), six, (s) => {
    assert.deepEqual(
      Object.values(s.steps).map((x) => [x.name, x.state, x.result]),
      [
        ['step_1', 'complete', 36],
        ['step_2', 'complete', 1296],
        ['step_3', 'complete', 1_679_616],
        ['step_4', 'complete', 2_821_109_907_456],
      ],
    );
    assert.deepEqual(
      s.world.dispatches.map((a) => a.stepName),
      ['step_1', 'step_2', 'step_3', 'step_4'],
    );
    assert.equal(s.task.state, 'complete');
    assert.equal(s.task.executionStatus, 'all_complete');
    assert.equal(s.task.completionPercentage, 100);
  }),
);

test(
  'row 2: every step of a finished linear task has its audit',
  on(linear(), six, async (s) => {
    for (const name of ['step_1', 'step_2', 'step_3', 'step_4']) {
      const rows = await s.world.complete(s.world.engine.audit(s.id, name), 'audit');
      assert.ok(rows.length >= 1, name);
      assert.deepEqual(rows.map((r) => [r.success, r.toState, r.stepName, r.taskId]).at(-1), [true, 'enqueued_for_orchestration', name, s.id]);
    }
  }),
);

test(
  'row 4: after step 1, step 2 is ready with 1 of 1 and step 3 is not',
  on(linear(), { hold: ['step_2'] }, (s) => {
    assert.equal(s.steps.step_1.state, 'complete');
    assert.deepEqual(ready(s), ['step_2']);
    assert.deepEqual(counts(['step_2', 'step_3'], s), [
      [1, 1],
      [0, 1],
    ]);
    assert.equal(s.task.readySteps, 1);
  }),
);

test(
  'row 5: step 1 fails three times and everything behind it stays pending',
  on(linear({ policy: 'block' }), { attempts: { step_1: THRICE } }, (s) => {
    assert.deepEqual(states(s), { step_1: 'error', step_2: 'pending', step_3: 'pending', step_4: 'pending' });
    assert.equal(s.steps.step_1.attempts, 3);
    assert.equal(s.steps.step_1.retryEligible, false);
    for (const n of ['step_2', 'step_3', 'step_4']) assert.equal(s.steps[n].dependenciesSatisfied, false, n);
    assert.equal(s.task.readySteps, 0);
    assert.equal(s.task.completedSteps, 0);
  }),
);

test(
  'row 7: three complete, the fourth fails three times, the task is blocked',
  on(linear({ policy: 'block' }), { attempts: { step_4: THRICE } }, (s) => {
    assert.equal(s.task.completedSteps, 3);
    assert.equal(s.task.readySteps, 0);
    assert.equal(s.task.state, 'blocked_by_failures');
    assert.equal(s.task.executionStatus, 'blocked_by_failures');
  }),
);

const slow = (d: TemplateDefinition, ...names: string[]): TemplateDefinition => ({
  ...d,
  steps: d.steps.map((s) => (names.includes(s.name) ? { ...s, retry: { ...s.retry, backoff: 'linear' as const, baseMs: 20_000 } } : s)),
});

test(
  'row 8: step 2 failed once and may try again; step 3 has 0 of 1',
  on(slow(linear(), 'step_2'), { attempts: { step_2: ['retryable', 'ok'] } }, (s) => {
    assert.equal(s.steps.step_2.attempts, 1);
    assert.equal(s.steps.step_2.retryEligible, true);
    assert.equal(s.steps.step_3.state, 'pending');
    assert.deepEqual(counts(['step_3'], s), [[0, 1]]);
  }),
);

test(
  'row 10: before its retry is due a step has a time in the future and is not ready',
  on(slow(linear(), 'step_2'), { attempts: { step_2: ['retryable', 'ok'] } }, async (s) => {
    assert.ok(s.steps.step_2.nextRetryAt! > s.world.machine.now());
    assert.equal(s.steps.step_2.state, 'waiting_for_retry');
    assert.equal(s.task.state, 'waiting_for_retry');
    assert.equal(s.task.readySteps, 0);
    await s.world.machine.advanceTo(s.steps.step_2.nextRetryAt! - 1);
    await s.look();
    assert.equal(s.steps.step_2.state, 'waiting_for_retry');
    await s.world.machine.advanceBy(100);
    await s.look();
    assert.equal(s.task.state, 'complete');
  }),
);

test(
  'row 11: after start both branches are ready, end has 0 of 2',
  on(diamond(), { hold: ['branch_b', 'branch_c'] }, (s) => {
    assert.deepEqual(ready(s), ['branch_b', 'branch_c']);
    assert.equal(s.task.readySteps, 2);
    assert.deepEqual(counts(['end'], s), [[0, 2]]);
  }),
);

test('row 13: end is ready with 2 of 2 and gives 6^16', async () => {
  await on(diamond(), { ...six, hold: ['end'] }, (s) => {
    assert.deepEqual(ready(s), ['end']);
    assert.deepEqual(counts(['end'], s), [[2, 2]]);
  })();
  await on(diamond(), six, (s) => assert.equal(s.steps.end.result, 6 ** 16))();
});

test(
  'row 14: start fails three times and nothing else is ever ready',
  on(diamond({ policy: 'block' }), { attempts: { start: THRICE } }, (s) => {
    assert.deepEqual(
      s.world.dispatches.map((a) => a.stepName),
      ['start', 'start', 'start'],
    );
    assert.equal(s.task.readySteps, 0);
  }),
);

test(
  'row 14, policy fail: nothing else ever runs and the task ends',
  on(diamond(), { attempts: { start: THRICE } }, (s) => {
    assert.deepEqual(
      s.world.dispatches.map((a) => a.stepName),
      ['start', 'start', 'start'],
    );
    assert.equal(s.task.state, 'error');
    assert.deepEqual(states(s), { start: 'error', branch_b: 'cancelled', branch_c: 'cancelled', end: 'cancelled' });
  }),
);

test(
  'row 16: both branches fail three times',
  on(diamond({ policy: 'block' }), { attempts: { branch_b: THRICE, branch_c: THRICE } }, (s) => {
    assert.equal(s.task.completedSteps, 1);
    assert.equal(s.task.failedSteps, 2);
    assert.deepEqual(counts(['end'], s), [[0, 2]]);
    assert.equal(s.task.readySteps, 0);
  }),
);

test(
  'row 17: end becomes ready only when b has recovered',
  on(slow(diamond(), 'branch_b'), { attempts: { branch_b: ['retryable', 'ok'] } }, async (s) => {
    assert.equal(s.steps.branch_c.state, 'complete');
    assert.equal(s.steps.end.readyForExecution, false);
    assert.deepEqual(counts(['end'], s), [[1, 2]]);
    await s.world.machine.advanceBy(60_000);
    await s.look();
    assert.equal(s.task.completedSteps, 4);
    assert.equal(s.world.dispatches.at(-1)!.stepName, 'end');
  }),
);

test(
  'row 19: the root of the tree fails three times',
  on(tree({ policy: 'block' }), { attempts: { root: THRICE } }, (s) => {
    assert.equal(Object.values(s.steps).filter((x) => x.state === 'pending').length, 7);
    assert.equal(s.task.readySteps, 0);
    assert.equal(s.task.totalSteps, 8);
  }),
);

test(
  'row 20: left fails three times; the leaves on the right are ready beside it',
  on(tree({ policy: 'block' }), { attempts: { left: THRICE }, hold: ['leaf_f', 'leaf_g'] }, (s) => {
    assert.deepEqual(ready(s), ['leaf_f', 'leaf_g']);
    for (const n of ['leaf_d', 'leaf_e']) assert.equal(s.steps[n].dependenciesSatisfied, false, n);
    assert.deepEqual([s.task.totalSteps, s.task.completedSteps, s.task.readySteps], [8, 2, 2]);
  }),
);

test(
  'row 22: the tree completes, four leaves of 1679616',
  on(tree(), six, (s) => {
    assert.equal(s.task.completedSteps, 8);
    for (const n of ['leaf_d', 'leaf_e', 'leaf_f', 'leaf_g']) assert.equal(s.steps[n].result, 1_679_616, n);
    assert.equal(s.steps.convergence.result, String(6n ** 64n));
  }),
);

test(
  'row 23: left fails three times; analyze is ready, validate, transform and finalize are not',
  on(mixedDag({ policy: 'block' }), { attempts: { left: THRICE }, hold: ['analyze'] }, (s) => {
    assert.deepEqual(ready(s), ['analyze']);
    for (const n of ['validate', 'transform', 'finalize']) assert.equal(s.steps[n].dependenciesSatisfied, false, n);
  }),
);

test(
  'row 25: the mixed graph completes, finalize last',
  on(mixedDag(), six, (s) => {
    assert.equal(s.task.completedSteps, 7);
    assert.equal(s.world.dispatches.at(-1)!.stepName, 'finalize');
    assert.equal(s.steps.finalize.result, String(6n ** 64n));
  }),
);

test(
  'row 26: an order is fulfilled in order, every result has something in it',
  on(
    orderFulfilment(),
    {
      input: { customer: { id: 1 }, items: [{ sku: 'a', quantity: 1 }], payment: { method: 'card' }, shipping: { address: 'here' } },
      compute: (name, _, results) => ({ done: name, after: Object.keys(results) }),
    },
    (s) => {
      assert.equal(s.task.completedSteps, 4);
      for (const x of Object.values(s.steps)) assert.ok(Object.keys(x.result as object).length > 0, x.name);
      assert.equal(s.world.dispatches.at(-1)!.stepName, 'ship_order');
      assert.deepEqual((s.steps.ship_order.result as { after: string[] }).after, ['validate_order', 'reserve_inventory', 'process_payment']);
    },
  ),
);
