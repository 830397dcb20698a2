import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import type { TaskOutcome } from '../../src/engine/views.ts';
import { template, Tutti } from '../../src/main.ts';
import { PermanentError } from '../../src/sdk/handler-errors.ts';
import { TaskError } from '../../src/sdk/task-error.ts';
import { loadTemplateFile } from '../../src/sdk/template-file.ts';

let smtpWorks = true;
const order = template('orders/order_fulfillment@1.0.0', { input: z.object({ orderId: z.string(), amount: z.number().default(12) }) })
  .step('validate', async ({ input }) => ({ ok: input.amount > 0, at: new Date(0) }))
  .step('reserve', { after: ['validate'] }, async ({ results }) => ({ hold: results.validate.ok, at: results.validate.at }))
  .step('notify', { after: ['validate'], retry: { maxAttempts: 1 } }, async () => {
    if (!smtpWorks) throw new Error('smtp is down');
    return 'sent';
  })
  .step('ship', { after: { reserve: 'required', notify: 'optional' } }, async ({ results }) => ({ notified: results.notify.state, at: results.reserve.at }));

const failing = template('orders/failing@1.0.0')
  .step('charge', () => {
    throw new PermanentError('card declined', { code: 'declined' });
  })
  .step('ship', { after: ['charge'] }, () => 'shipped');

let running: (() => void) | undefined;
const hanging = template('orders/hanging@1.0.0').step('wait', ({ signal }) => {
  running?.();
  return new Promise<string>((done) => signal.addEventListener('abort', () => done('stopped')));
});

describe('the embedded handle', () => {
  let tutti: Tutti;
  before(async () => void (tutti = await Tutti.open({ store: ':memory:', templates: [order, failing, hanging] })));
  after(() => tutti.close());

  test('the sample: submit, result, steps', async () => {
    const task = await tutti.submit(order, { orderId: 'A1' });
    assert.deepEqual(await task.result(), { ship: { notified: 'complete', at: '1970-01-01T00:00:00.000Z' } });
    const steps = await task.steps();
    assert.deepEqual(
      steps.map((s) => [s.name, s.state, s.attempts]),
      [
        ['validate', 'complete', 1],
        ['reserve', 'complete', 1],
        ['notify', 'complete', 1],
        ['ship', 'complete', 1],
      ],
    );
    assert.equal((await task.step('notify')).result, 'sent');
    assert.deepEqual(await task.step(steps[2].id), await task.step('notify'));
    assert.deepEqual((await task.view()).input, { orderId: 'A1', amount: 12 });
  });

  test('what is no template, and no options, is an error of the registry', async () => {
    for (const wrong of [null, undefined, 5, {}]) {
      await assert.rejects(tutti.submit(wrong as never, {}), { code: 'INVALID_TEMPLATE', field: 'id' });
      await assert.rejects(tutti.submitMany(wrong as never, [{}]), { code: 'INVALID_TEMPLATE', field: 'id' });
      await assert.rejects(tutti.register(wrong as never), { code: 'INVALID_TEMPLATE', field: 'template' });
    }
    await assert.rejects(tutti.submit(order, { orderId: 'A1' }, null as never), { code: 'INVALID_INPUT' });
    await assert.rejects(tutti.submitMany(order, 5 as never), { code: 'INVALID_INPUT', field: 'inputs' });
  });

  test('a failed step that is handled is listed, and the task completes', async () => {
    smtpWorks = false;
    try {
      const task = await tutti.submit(order, { orderId: 'A1', amount: 1 });
      assert.equal((await task.result()).ship.notified, 'error');
      const outcome = await task.done();
      assert.deepEqual([outcome.state, outcome.failedSteps.map((s) => [s.name, s.error?.message])], ['complete', [['notify', 'smtp is down']]]);
    } finally {
      smtpWorks = true;
    }
  });

  test('result throws TaskError with the failed step; done resolves', async () => {
    const task = await tutti.submit(failing, {});
    await assert.rejects(task.result(), (e: unknown) => {
      assert.ok(e instanceof TaskError);
      assert.equal(e.code, 'TASK_FAILED');
      assert.match(e.message, /ended in error: step "charge": card declined$/);
      assert.deepEqual([e.taskId, e.state, e.failedSteps.map((s) => [s.name, s.error?.code])], [task.id, 'error', [['charge', 'declined']]]);
      return true;
    });
    const outcome: TaskOutcome = await task.done();
    assert.equal(outcome.state, 'error');
  });

  test('cancel keeps its reason and the running handler hears of it', async () => {
    const begun = new Promise<void>((done) => void (running = done));
    const task = await tutti.submit(hanging, {});
    await begun;
    const ends = task.events();
    await task.cancel({ reason: 'customer called' });
    await assert.rejects(task.result(), { name: 'TaskError', state: 'cancelled', message: /was cancelled: customer called/ });
    let last: string | undefined;
    for await (const event of ends) last = event.type;
    assert.ok(last !== undefined);
  });

  test('a bad input is refused with its paths, and nothing is stored', async () => {
    const count = async (): Promise<number | null> => (await tutti.list({ page: 1 })).total;
    const stored = await count();
    await assert.rejects(tutti.submit(order, { orderId: 7 as never }), { code: 'INVALID_INPUT', field: 'context.orderId' });
    await assert.rejects(tutti.submit('orders/unknown@1.0.0', {}), { code: 'TEMPLATE_NOT_FOUND' });
    await assert.rejects(tutti.submit('orders', {}), { field: 'namespace' });
    await assert.rejects(tutti.submitMany(order, [{ orderId: 'a' }, { orderId: 7 as never }]), { code: 'INVALID_INPUT' });
    assert.equal(await count(), stored);
  });

  test('many at once, by name, found again by id', async () => {
    const tasks = await tutti.submitMany(
      order,
      ['a', 'b', 'c'].map((orderId) => ({ orderId })),
    );
    assert.equal(new Set(tasks.map((t) => t.id)).size, 3);
    for (const task of tasks) assert.equal((await task.result()).ship.notified, 'complete');
    const named = await tutti.submit('orders/order_fulfillment', { orderId: 'x' }, { tags: ['t'], priority: 0, whenFull: 'reject' });
    assert.deepEqual((await named.view()).tags, ['t']);
    const again = await tutti.get(named.id, order);
    assert.equal((await again.result()).ship.notified, 'complete');
    await assert.rejects(tutti.get('nonsense'), { code: 'INVALID_ID' });
    await assert.rejects(tutti.get('01900000-0000-7000-8000-000000000001'), { code: /NOT_FOUND|INVALID_ID/ });
  });

  test('templates and handlers are registered while it runs', async () => {
    const file = loadTemplateFile(
      'name: mail\nnamespace: m\nversion: "1.0.0"\nsteps: [{ name: send, handler: { callable: mail.send, method: now, initialization: { from: me } } }]',
      'mail.yaml',
    );
    await tutti.register(file);
    await assert.rejects(tutti.submit('m/mail@1.0.0', {}), { code: 'UNKNOWN_HANDLER' });
    tutti.handler('mail.send', { from: 'x', now: (ctx: { config: { from: string } }) => ({ from: ctx.config.from }) });
    assert.deepEqual(await (await tutti.submit('m/mail@1.0.0', {})).result(), { send: { from: 'me' } });
    await tutti.register(
      template('m/chosen@1.0.0')
        .step('a', () => 1)
        .step('b', { after: ['a'] }, () => 2)
        .returns('a'),
    );
    assert.equal(await (await tutti.submit('m/chosen@1.0.0', {})).result(), 1);
    await assert.rejects(tutti.register(template('m/chosen@1.0.0').step('c', () => 1)), { code: 'TEMPLATE_CONFLICT' });
  });

  test('a result that cannot be stored fails its step for good and says why', async () => {
    const bad = template('m/bad@1.0.0')
      .untyped()
      .step('s', () => ({ deep: { n: 1n } }));
    await tutti.register(bad);
    const task = await tutti.submit(bad, {});
    await assert.rejects(task.result(), { message: /result\.deep\.n is a BigInt/ });
    assert.equal((await task.step('s')).attempts, 1);
  });
});

test('close lets a running handler finish', async () => {
  let begun!: () => void;
  let finish!: () => void;
  const started = new Promise<void>((done) => void (begun = done));
  const gate = new Promise<void>((done) => void (finish = done));
  let finished = false;
  const slow = template('m/slow@1.0.0').step('s', async () => {
    begun();
    await gate;
    finished = true;
  });
  const tutti = await Tutti.open({ store: ':memory:', templates: [slow] });
  await tutti.submit(slow, {});
  await started;
  await assert.rejects(tutti.close({ drain: 'soon' }), { field: 'drain' });
  const closed = tutti.close();
  finish();
  await closed;
  assert.equal(finished, true);
});
