/** What `handler(…)` says of retries, time and children holds for steps that leave it out, from when they were written down. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_RETRY, type StepDefinition } from '../../src/core/definition.ts';
import type { TreeElement } from '../../src/core/tree-element.ts';
import { handler, type HandlerDefinition, noBatches, route, template, Tutti, type UntypedStepContext } from '../../src/main.ts';

const send = handler('send', () => 1, { retry: { maxAttempts: 7 }, timeout: '5s', onChildFailure: { tolerate: 2 }, maxConcurrentChildren: 4 });
const open = (o: Partial<Parameters<typeof Tutti.open>[0]> = {}): Promise<Tutti> => Tutti.open({ store: ':memory:', logger: () => {}, ...o });
const rulesOf = (s: StepDefinition): unknown[] => [s.handler, s.retry.maxAttempts, s.timeoutMs, s.onChildFailure, s.maxChildren];

describe('a step of a template that is given the handler itself', () => {
  test('has its defaults, and its own options win', () => {
    const t = template('t/defaults@1.0.0')
      .step('plain', { handler: send })
      .step('own', { handler: send, retry: { backoff: 'none' }, timeout: 0, onChildFailure: 'fail_fast', maxConcurrentChildren: 1 })
      .step('named', { handler: 'send' })
      .step('undefined', { handler: send, timeout: undefined });
    assert.deepEqual(t.definition().steps.map(rulesOf), [
      ['send', 7, 5000, 2, 4],
      ['send', 3, 0, undefined, 1],
      ['send', DEFAULT_RETRY.maxAttempts, undefined, undefined, undefined],
      ['send', 7, 5000, 2, 4],
    ]);
  });

  test('decisions and batches have those that are not about children; workers have all', () => {
    const t = template('t/kinds@1.0.0')
      .decision('choose', { handler: handler('choose', () => route([]), { ...send.meta }) }, { a: (b) => b.step('inner', { handler: send }) })
      .untyped()
      .batchable('divide', { handler: handler('divide', () => noBatches(), { ...send.meta }) })
      .batchWorker('work', { of: 'divide', handler: send });
    const steps = new Map(t.definition().steps.map((s) => [s.name, rulesOf(s)]));
    assert.deepEqual(steps.get('choose'), ['choose', 7, 5000, undefined, undefined]);
    assert.deepEqual(steps.get('divide'), ['divide', 7, 5000, undefined, undefined]);
    assert.deepEqual(steps.get('work'), ['send', 7, 5000, 2, 4]);
    assert.deepEqual(steps.get('inner'), ['send', 7, 5000, 2, 4]);
    assert.deepEqual(
      t.givenHandlers?.().map((h) => h.name),
      ['choose', 'send', 'divide'],
    );
  });

  test('needs no registration of its own', async () => {
    const tutti = await open({ templates: [template('t/along@1.0.0').step('a', { handler: send })] });
    const task = await tutti.submit('t/along', {});
    assert.deepEqual(await task.result(), { a: 1 });
    assert.equal((await task.step('a')).maxAttempts, 7);
    await tutti.close();
  });

  test('two handlers of one name, and what is no handler, are refused', async () => {
    const twice = template('t/twice@1.0.0')
      .step('a', { handler: send })
      .step('b', { handler: handler('send', () => 2) });
    await assert.rejects(open({ templates: [twice] }), { code: 'INVALID_TEMPLATE', field: 'handler', message: /step "b": .* another handler called "send"$/ });
    for (const wrong of [7, {}, { name: 'x' }, () => 1])
      assert.throws(() => template('t/wrong@1.0.0').step('a', { handler: wrong as never }), { code: 'INVALID_TEMPLATE', field: 'handler' });
    assert.throws(() => template('t/wrong@1.0.0').step('a', { handler: handler('x', () => 1, { retry: { maxAttemps: 1 } as never }) }), {
      code: 'INVALID_TEMPLATE',
    });
  });
});

test('what a handler says does not change a template that names it by text: with others, or none, it is the same template', async () => {
  const t = template('t/text@1.0.0').step('a', { handler: 'send' });
  const tutti = await open({ templates: [t], handlers: [send] });
  tutti.handler('send', () => 1, { retry: { maxAttempts: 1 } });
  assert.equal((await tutti.register(t)).revision, 1);
  assert.equal((await (await tutti.submit('t/text', {})).step('a')).maxAttempts, DEFAULT_RETRY.maxAttempts);
  // Given as it is, it is part of the template: other defaults are another graph, which is said and not done.
  await tutti.register(template('t/value@1.0.0').step('a', { handler: send }));
  const changed = template('t/value@1.0.0').step('a', { handler: handler('send', () => 1, { ...send.meta, retry: { maxAttempts: 8 } }) });
  await assert.rejects(tutti.register(changed), { code: 'TEMPLATE_CONFLICT' });
  await tutti.close();
});

test('an element of a tree has the defaults of its handler as they are when it is submitted, and its own fields win', async () => {
  const running: string[] = [];
  let most = 0;
  const gate = Promise.withResolvers<void>();
  const child = handler('child', async ({ stepName }) => {
    running.push(stepName);
    most = Math.max(most, running.length);
    await gate.promise;
    running.splice(running.indexOf(stepName), 1);
  });
  const group = handler('group', () => null, { maxConcurrentChildren: 2, onChildFailure: 'wait_all', retry: { maxAttempts: 5 } });
  const tutti = await open({ handlers: [send, child, group] });
  const begun = Promise.withResolvers<void>();
  const off = tutti.hooks({ beforeStep: () => void (running.length >= 1 && begun.resolve()) });
  const elements: TreeElement[] = [
    { name: 'group', children: Array.from({ length: 6 }, (_, i) => ({ name: `c${i}`, handler: 'child' })) },
    { name: 'mine', parent_id: 'group', handler: 'group', retry: { max_attempts: 2 }, max_concurrent_children: 9, on_child_failure: 'fail_fast' },
    { name: 'sent', parent_id: 'group', params: { executor_id: 'send' } },
    { name: 'forever', parent_id: 'group', handler: 'send', timeout_seconds: 0 },
    { name: 'folder', parent_id: 'group', children: [{ name: 'in folder', handler: 'send' }] },
  ];
  const task = await tutti.submitTree(elements);
  const kept = async (): Promise<Record<string, number>> => Object.fromEntries((await task.steps()).map((s) => [s.name, s.maxAttempts]));
  const expected = { group: 5, mine: 2, sent: 7, forever: 7, folder: 3, 'in folder': 7, c0: 3, c1: 3, c2: 3, c3: 3, c4: 3, c5: 3 };
  assert.deepEqual(await kept(), expected);
  await begun.promise;
  // What the handler says from now on is for what comes from now on.
  tutti.handler('send', () => 1, { retry: { maxAttempts: 1 } });
  const [added] = await task.addSteps([{ name: 'late', handler: 'send' }]);
  assert.equal(added.maxAttempts, 1);
  assert.deepEqual(await kept(), { ...expected, late: 1 });
  gate.resolve();
  assert.equal((await task.done()).state, 'complete');
  assert.equal(most, 2, 'children of the group at once');
  off();
  await tutti.close();
});

test('defaults that make no sense are refused when the handler is registered', async () => {
  await assert.rejects(open({ handlers: [handler('h', () => 1, { retry: { maxAttemps: 1 } as never })] }), {
    code: 'INVALID_INPUT',
    message: /^handler "h": retry\.maxAttemps is no retry option/,
  });
  const BAD: [field: string, retry: object][] = [
    ['maxAttempts', { maxAttempts: 101 }],
    ['maxAttempts', { maxAttempts: -1 }],
    ['maxAttempts', { maxAttempts: 1.5 }],
    ['backoff', { backoff: 'x' }],
    ['jitter', { jitter: 2 }],
    ['retryable', { retryable: 'no' }],
    ['baseMs', { baseMs: -1 }],
  ];
  for (const [field, retry] of BAD)
    await assert.rejects(open({ handlers: [handler('h', () => 1, { retry })] }), { code: 'INVALID_INPUT', field: `retry.${field}` }, JSON.stringify(retry));
  await assert.rejects(open({ handlers: [handler('h', () => 1, { retry: [] as never })] }), { code: 'INVALID_INPUT', field: 'retry' });
});

test('a spawn is held to the same rules, and what they refuse fails the step for good', async (t) => {
  const asked = (name: string, ask: (ctx: UntypedStepContext) => Promise<unknown>): HandlerDefinition => handler(name, ask);
  const tutti = await open({
    handlers: [
      send,
      asked('attempts', ({ spawn }) => spawn('send', {}, { retry: { maxAttempts: 101 } })),
      asked('backoff', ({ spawn }) => spawn('send', {}, { retry: { backoff: 'x' as never } })),
      asked('list', ({ spawn }) => spawn('send', [])),
      asked('date', ({ spawn }) => spawn('send', new Date(0))),
    ],
  });
  t.after(() => tutti.close());
  for (const [name, field] of [
    ['attempts', 'retry.maxAttempts'],
    ['backoff', 'retry.backoff'],
    ['list', 'inputs'],
    ['date', 'inputs'],
  ]) {
    const [failed] = (await (await tutti.submitTree([{ name, handler: name }])).done()).failedSteps;
    assert.deepEqual([failed.error?.code, failed.error?.retryable], ['invalid_input', false], name);
    assert.ok(failed.error?.message.includes(field), failed.error?.message);
  }
});
