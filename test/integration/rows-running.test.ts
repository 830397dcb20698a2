/** Rows of the behaviour list about handlers, restarts, doubled messages and shutdown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tutti, template } from '../../src/main.ts';
import { isTaskOver } from '../support/committed-mirror.ts';
import { SimulatedWorld } from '../support/simulated-world.ts';
import { QUICK_RETRY, diamond, fanOut, graph, linear, mixedDag, step } from '../support/template-fixtures.ts';

test('row 100: one handler, four methods: each step runs its own, `call` where none is named', async () => {
  const ran: string[] = [];
  const note = (method: string) => async (): Promise<string> => {
    ran.push(method);
    return method;
  };
  const definition = graph('method_dispatch', [{ name: 'a' }, { name: 'b', after: ['a'] }, { name: 'c', after: ['b'] }, { name: 'd', after: ['c'] }]);
  const methods = ['validate', 'process', 'refund', undefined];
  definition.steps = definition.steps.map((s, i) => ({ ...s, handler: 'payments', ...(methods[i] === undefined ? {} : { method: methods[i] }) }));
  const tutti = await Tutti.open({
    store: ':memory:',
    templates: [{ definition }],
    handlers: { payments: { validate: note('validate'), process: note('process'), refund: note('refund'), call: note('call') } },
  });
  try {
    const task = await tutti.submit('fixtures/method_dispatch@1.0.0', {});
    await task.done();
    assert.deepEqual(ran, ['validate', 'process', 'refund', 'call']);
    assert.deepEqual(
      (await task.steps()).map((s) => s.state),
      ['complete', 'complete', 'complete', 'complete'],
    );
  } finally {
    await tutti.close();
  }
});

test('row 109: a step has the results that `after` names, and any other ancestor on demand', async () => {
  const chain = template('fixtures/chain@1.0.0')
    .step('one', async () => 1)
    .step('two', { after: ['one'] }, async () => 2)
    .step('three', { after: ['two'] }, async () => 3)
    .step('four', { after: ['three'] }, async (ctx) => ({
      named: Object.keys(ctx.results),
      three: ctx.results.three,
      two: await ctx.ancestor('two'),
      one: await ctx.ancestor('one'),
    }));
  const tutti = await Tutti.open({ store: ':memory:', templates: [chain] });
  try {
    const task = await tutti.submit(chain, {});
    const { four } = await task.result();
    assert.deepEqual(four, { named: ['three'], three: 3, two: { state: 'complete', value: 2 }, one: { state: 'complete', value: 1 } });
  } finally {
    await tutti.close();
  }
});

test('row 112: killed after any commit, in whatever state the task was, it goes on by itself', async (t) => {
  const slow = graph('slow', [
    { name: 'a', retry: { maxAttempts: 9, backoff: 'linear', baseMs: 500 } },
    { name: 'b', after: ['a'] },
    { name: 'c', after: ['a?'] },
    { name: 'd', after: ['b', 'c'] },
  ]);
  slow.steps = slow.steps.map((s) => ({ ...s, retry: { ...s.retry, maxAttempts: 9 } }));
  const arriving = fanOut(600);
  arriving.steps = arriving.steps.map((s) => step({ ...s, after: s.dependencies.map((d) => d.name), retry: { ...QUICK_RETRY, maxAttempts: 9 } }));
  const seen = new Set<string>();
  for (const definition of [slow, mixedDag(), arriving]) {
    const step = definition === arriving ? 97 : 1;
    for (let killAfter = 1; ; killAfter += step) {
      const world = new SimulatedWorld({
        seed: killAfter,
        slots: 3,
        templates: [definition],
        script: (a) => ({ what: a.stepName === 'a' && a.attempt < 3 ? 'retryable' : 'ok', delayMs: 5, onStop: 'obey' }),
      });
      try {
        await world.boot();
        void world.submit(definition.name);
        let killed = false;
        for (let i = 0; i < 10_000 && !killed; i++) {
          if (!(await world.machine.stepOnce()) && !world.machine.fireNext(world.machine.now() + 60_000)) break;
          if (world.mirror.commits < killAfter) continue;
          killed = true;
          for (const task of world.mirror.tasks.values()) if (!isTaskOver(task.state)) seen.add(task.state);
          world.kill();
        }
        if (!killed) break;
        await world.boot();
        await world.finish();
        world.check();
        for (const task of world.mirror.tasks.values()) assert.equal(task.state, 'complete', `${definition.name} killed after commit ${killAfter}`);
        // What was acknowledged is there; what was still arriving was never acknowledged and may be gone.
        assert.ok(world.mirror.tasks.size >= world.acknowledged.length);
      } finally {
        world.close();
      }
    }
  }
  t.diagnostic([...seen].join(' '));
  for (const state of ['initializing', 'steps_in_process', 'waiting_for_retry']) assert.ok(seen.has(state), `killed in ${state}`);
});

test('row 113: a result delivered twice counts once and starts its dependants once', async () => {
  const world = new SimulatedWorld({ seed: 1, slots: 5, templates: [diamond()], script: () => ({ what: 'ok', delayMs: 5, onStop: 'obey', againMs: 0 }) });
  try {
    await world.boot();
    await world.complete(world.submit('diamond_pattern'), 'submit');
    await world.finish();
    world.check();
    assert.deepEqual(world.dispatches.map((a) => a.stepName).sort(), ['branch_b', 'branch_c', 'end', 'start']);
    const [task] = world.mirror.tasks.values();
    assert.equal(task.payloads.size, 5, 'the input and four results');
    assert.ok(world.engine.metrics().attempts.late >= 3, 'the second answers were noted as late');
  } finally {
    world.close();
  }
});

test('row 115: told to stop, the engine lets running handlers finish and report, and starts nothing new', async () => {
  const world = new SimulatedWorld({ seed: 1, slots: 5, templates: [linear()], script: () => ({ what: 'ok', delayMs: 5_000, onStop: 'obey' }) });
  try {
    await world.boot();
    await world.complete(world.submit('mathematical_sequence'), 'submit');
    await world.machine.settle();
    assert.equal(world.dispatches.length, 1);
    await world.complete(world.engine.stop({ drainMs: 30_000 }), 'stop');
    const [task] = world.mirror.tasks.values();
    assert.deepEqual(
      task.steps.map((s) => s.state),
      ['complete', 'pending', 'pending', 'pending'],
    );
    assert.equal(world.dispatches.length, 1, 'nothing new was started');
    assert.equal(world.journal.order[0].stopReason, null, 'the handler was not told to stop');
    await assert.rejects(world.engine.submit({ namespace: 'fixtures', name: 'mathematical_sequence', input: {} }), { code: 'SHUTTING_DOWN' });
    world.kill();
    await world.boot();
    await world.finish();
    world.check();
    assert.equal(task.state, 'complete');
    assert.equal(task.steps[0].attempts, 1, 'nothing was run again');
  } finally {
    world.close();
  }
});
