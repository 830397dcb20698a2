import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TaskEvent } from '../../src/engine/views.ts';
import { Tutti } from '../../src/main.ts';
import type { Hooks, StepOutcome } from '../../src/sdk/hooks.ts';
import { assignment } from './fake-worker-port.ts';
import { watchedWorker } from './watched-worker.ts';

describe('hooks around a step (spec/apflow.md §8.1, rows 52 and 53)', () => {
  test('row 52: sync or async, each once an attempt, in order of registration, around the handler', async () => {
    const w = watchedWorker();
    const seen: string[] = [];
    w.registry.register('h', () => void seen.push('handler'));
    w.hooks.add({
      beforeStep: async (ctx) => void (await Promise.resolve(), seen.push(`before 1 ${ctx.stepName} ${ctx.attempt}`)),
      afterStep: () => void seen.push('after 1'),
    });
    const off = w.hooks.add({ beforeStep: () => void seen.push('before 2'), afterStep: async () => void (await Promise.resolve(), seen.push('after 2')) });
    w.hooks.add({ beforeStep: () => void seen.push('before 3') });
    await w.run(assignment());
    assert.deepEqual(seen, ['before 1 work 1', 'before 2', 'before 3', 'handler', 'after 1', 'after 2']);
    off();
    seen.length = 0;
    await w.run(assignment({ token: 2, attempt: 2 }));
    assert.deepEqual(seen, ['before 1 work 2', 'before 3', 'handler', 'after 1']);
  });

  test('row 53: what a hook throws is told and counted, and changes no outcome', async () => {
    const w = watchedWorker();
    w.registry.register('h', () => 'fine');
    w.hooks.add({
      beforeStep: () => {
        throw new Error('one');
      },
      afterStep: async () => {
        throw new Error('two');
      },
    });
    assert.deepEqual(await w.run(assignment()), { ok: true, body: '"fine"' });
    assert.deepEqual(w.thrown, [
      ['beforeStep', 'one'],
      ['afterStep', 'two'],
    ]);
    assert.equal(w.hooks.errors, 2);
    assert.equal(w.port.hello.hookErrors?.(), 2);
  });

  test('afterStep sees results and failures, frozen, and cannot change them', async () => {
    const w = watchedWorker();
    const outcomes: StepOutcome[] = [];
    w.registry.register('h', (ctx) => {
      if (ctx.isRetry) throw new Error('broken');
      return { a: [1] };
    });
    w.hooks.add({
      afterStep: (_, outcome) => {
        outcomes.push(outcome);
        (outcome as { ok: boolean }).ok = false;
      },
    });
    assert.deepEqual(await w.run(assignment()), { ok: true, body: '{"a":[1]}' });
    assert.ok(!(await w.run(assignment({ token: 2, attempt: 2 }))).ok);
    await w.run(assignment({ token: 3, handler: 'nobody' }));
    assert.deepEqual(outcomes[0], { ok: true, value: { a: [1] } });
    assert.deepEqual(
      outcomes.slice(1).map((o) => !o.ok && [o.error.code, o.error.message]),
      [
        ['handler_error', 'broken'],
        ['handler_not_found', 'no handler "nobody" is registered here'],
      ],
    );
    assert.ok(Object.isFrozen((outcomes[0] as { value: { a: object } }).value.a));
  });

  test('an input that does not fit is seen by both hooks; a hook cannot change the stored input', async () => {
    const w = watchedWorker();
    const seen: unknown[] = [];
    w.registry.register('h', (ctx) => ctx.input as unknown, { inputSchema: { required: ['k'] } });
    w.hooks.add({
      beforeStep: (ctx) => {
        seen.push(ctx.stepName);
        (ctx.input as Record<string, unknown>).k = 'from the hook';
      },
      afterStep: (_, o) => void seen.push(o.ok || o.error.code),
    });
    assert.equal((await w.run(assignment())).ok, false);
    assert.deepEqual(seen, ['work', 'invalid_input']);
    assert.equal(w.thrown[0][0], 'beforeStep');
    assert.deepEqual(await w.run(assignment({ token: 2, input: '{"k":1}' })), { ok: true, body: '{"k":1}' });
  });

  test('a hook that hangs holds its slot until the attempt is stopped; the handler is not begun then', async () => {
    const w = watchedWorker();
    let called = false;
    w.registry.register('h', () => void (called = true));
    const entered = Promise.withResolvers<void>();
    w.hooks.add({
      beforeStep: () => {
        entered.resolve();
        return new Promise(() => {});
      },
    });
    w.port.sink.assign([assignment()]);
    await entered.promise;
    w.port.sink.stop({ task: 1, no: 0, token: 1, reason: 'timeout' });
    await w.port.answers(1);
    const { outcome } = w.port.results[0];
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'step_timeout');
    assert.equal(called, false);
  });

  test('a hanging afterStep hands the outcome over when the attempt is stopped', async () => {
    const w = watchedWorker();
    w.registry.register('h', () => 1);
    const entered = Promise.withResolvers<void>();
    w.hooks.add({
      afterStep: () => {
        entered.resolve();
        return new Promise(() => {});
      },
    });
    w.port.sink.assign([assignment()]);
    await entered.promise;
    assert.equal(w.port.results.length, 0);
    w.port.sink.stop({ task: 1, no: 0, token: 1, reason: 'shutdown' });
    await w.port.answers(1);
    assert.deepEqual(w.port.results[0].outcome, { ok: true, body: '1' });
  });

  test('finalizers and abort hooks are no steps of their own', async () => {
    const w = watchedWorker();
    const seen: string[] = [];
    w.registry.register('h', () => 1, { finalize: () => 2 });
    w.hooks.add({ beforeStep: () => void seen.push('before'), afterStep: () => void seen.push('after') });
    assert.deepEqual(await w.run(assignment({ phase: 'finalize' })), { ok: true, body: '2' });
    assert.deepEqual(seen, []);
  });

  test('names that are no hooks are refused', () => {
    const { hooks } = watchedWorker();
    assert.throws(() => hooks.add({ beforStep: () => 1 } as Hooks), /"beforStep" is no hook/);
    assert.throws(() => hooks.add({ beforeStep: 1 } as unknown as Hooks), /must be a function/);
    assert.equal(hooks.forSteps, false);
  });
});

describe('hooks of a task, from its events', () => {
  const rig = (): {
    told: string[];
    happen(state: string, via?: string[], more?: TaskEvent['data'], id?: string): Promise<void>;
    w: ReturnType<typeof watchedWorker>;
  } => {
    const w = watchedWorker();
    const told: string[] = [];
    w.hooks.add({
      onTreeCreated: (t) => void told.push(`${t.id} created`),
      onTreeStarted: async (t) => void (await Promise.resolve(), told.push(`${t.id} started`)),
      onTreeCompleted: (t, state) => void told.push(`${t.id} completed ${state}`),
      onTreeFailed: (t, message) => void told.push(`${t.id} failed ${message}`),
    });
    const happen = (state: string, via: string[] = [], more: TaskEvent['data'] = {}, id = 't'): Promise<void> =>
      w.hooks.taskEvent({ seq: 1, at: 0, type: 'task.state', taskId: id, data: { state, via, ...more } });
    return { told, happen, w };
  };
  const ADMITTED = ['pending', 'initializing', 'enqueuing_steps'];

  test('a run with a retry: created and started once, completed at its end', async () => {
    const { told, happen, w } = rig();
    await happen('steps_in_process', ADMITTED);
    await w.hooks.taskEvent({ seq: 2, at: 0, type: 'step.state', taskId: 't', data: { state: 'error' } });
    await happen('waiting_for_retry');
    await happen('steps_in_process', ['enqueuing_steps']);
    await happen('complete', ['evaluating_results']);
    assert.deepEqual(told, ['t created', 't started', 't completed complete']);
  });

  test('started only when admitted', async () => {
    const { told, happen } = rig();
    await happen('enqueuing_steps', ['pending', 'initializing']);
    assert.deepEqual(told, ['t created']);
    await happen('steps_in_process');
    assert.deepEqual(told, ['t created', 't started']);
    await happen('waiting_for_dependencies', ['evaluating_results']);
    await happen('steps_in_process', ['evaluating_results', 'enqueuing_steps']);
    await happen('cancelled', [], { error: { code: 'cancelled', message: 'enough', retryable: false } });
    assert.deepEqual(told, ['t created', 't started', 't failed enough']);
  });

  test('one that arrives in chunks, one that is stored and not run, one that waits first', async () => {
    const { told, happen } = rig();
    await happen('initializing', ['pending'], {}, 'chunks');
    await happen('steps_in_process', ['enqueuing_steps'], {}, 'chunks');
    await happen('pending', [], {}, 'held');
    await happen('steps_in_process', ['initializing', 'enqueuing_steps'], {}, 'held');
    await happen('waiting_for_dependencies', ['pending', 'initializing'], {}, 'waits');
    await happen('steps_in_process', ['evaluating_results', 'enqueuing_steps'], {}, 'waits');
    await happen('waiting_for_retry', [], {}, 'waits');
    await happen('steps_in_process', ['enqueuing_steps'], {}, 'waits');
    assert.deepEqual(told, ['chunks created', 'chunks started', 'held created', 'held started', 'waits created', 'waits started']);
  });

  test('one that ends in the commit that begins it; one that is cancelled before', async () => {
    const { told, happen } = rig();
    await happen('complete', ['pending', 'initializing'], {}, 'empty');
    await happen('complete', ['steps_in_process', 'evaluating_results'], {}, 'quick');
    await happen('pending', [], {}, 'held');
    await happen('cancelled', [], {}, 'held');
    assert.deepEqual(told, [
      'empty created',
      'empty started',
      'empty completed complete',
      'quick started',
      'quick completed complete',
      'held created',
      'held failed the task was cancelled',
    ]);
  });

  test('a reset is no creation; errors of the hooks are counted and reject nothing', async () => {
    const { told, happen, w } = rig();
    w.hooks.add({ onTreeStarted: () => Promise.reject(new Error('no')) });
    for (const type of ['task.reset', 'step.reset'] as const) {
      await w.hooks.taskEvent({ seq: 1, at: 0, type, taskId: 't', data: { steps: 2 } });
      await happen('steps_in_process', ADMITTED);
    }
    assert.deepEqual(told.splice(0), ['t started', 't started']);
    assert.deepEqual(w.thrown, [
      ['onTreeStarted', 'no'],
      ['onTreeStarted', 'no'],
    ]);
    await happen('resolved_manually', ['blocked_by_failures']);
    await happen('error', ['evaluating_results'], { error: { code: 'x', message: 'step a: broke', retryable: false } }, 'u');
    assert.deepEqual(told, ['t completed resolved_manually', 'u failed step a: broke']);
  });

  test('with a real engine: a task that is retried was created once', async (t) => {
    let broken = true;
    const tutti = await Tutti.open({
      store: ':memory:',
      tables: false,
      handlers: {
        mend: () => {
          if (broken) throw new Error('not yet');
        },
      },
    });
    t.after(() => tutti.close());
    const told: string[] = [];
    let ended = Promise.withResolvers<void>();
    const end = (word: string) => () => (told.push(word), ended.resolve());
    tutti.hooks({
      onTreeCreated: () => void told.push('created'),
      onTreeStarted: () => void told.push('started'),
      onTreeFailed: end('failed'),
      onTreeCompleted: end('completed'),
    });
    const task = await tutti.submitTree([{ name: 'mend', retry: { max_attempts: 1 } }]);
    await ended.promise;
    broken = false;
    ended = Promise.withResolvers();
    await tutti.retry(task.id);
    await ended.promise;
    assert.deepEqual(told, ['created', 'started', 'failed', 'started', 'completed']);
  });
});
