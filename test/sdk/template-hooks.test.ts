import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTuttiError } from '../../src/core/errors.ts';
import { handler, template, Tutti } from '../../src/main.ts';

const quiet = (): void => undefined;

test('a step spawns parts, its finalizer gathers them, and what that gives is the result', async (t) => {
  const flow = template<{ parts: number }>('tests/hooks@1.0.0')
    .step(
      'upload',
      { maxConcurrentChildren: 2 },
      async ({ input, spawnAll }) => {
        await spawnAll(Array.from({ length: input.parts }, (_, n) => ({ handler: 'part', key: `part ${n}`, inputs: { n } })));
        return { id: 'u1' };
      },
      {
        finalize: async ({ own, children, input }) => {
          const tags: unknown[] = [];
          for await (const child of children) tags.push(child.state === 'complete' ? [child.key, child.value] : child.state);
          return { id: own.id, of: input.parts, tags };
        },
      },
    )
    .step('report', { after: ['upload'] }, ({ results }) => results.upload.tags.length);
  const tutti = await Tutti.open({ store: ':memory:', templates: [flow], handlers: [handler('part', ({ input }) => input.n * 10)], logger: quiet });
  t.after(() => tutti.close());
  const task = await tutti.submit(flow, { parts: 3 });
  assert.deepEqual(await task.result(), { report: 3 });
  assert.deepEqual((await task.step('upload')).result, {
    id: 'u1',
    of: 3,
    tags: [
      ['part 0', 0],
      ['part 1', 10],
      ['part 2', 20],
    ],
  });
});

test('a finalizer that gives nothing leaves what the function returned; without children it runs as well', async (t) => {
  const seen: unknown[] = [];
  const flow = template('tests/nothing@1.0.0').step('work', {}, () => ({ n: 1 }), { finalize: ({ own }) => void seen.push(own) });
  const tutti = await Tutti.open({ store: ':memory:', templates: [flow], logger: quiet });
  t.after(() => tutti.close());
  assert.deepEqual(await (await tutti.submit(flow, {})).result(), { work: { n: 1 } });
  assert.deepEqual(seen, [{ n: 1 }]);
});

test('onAbort runs when a child fails, in a branch too, with what the function returned and why', async (t) => {
  const seen: unknown[] = [];
  const flow = template('tests/abort@1.0.0')
    .decision(
      'choose',
      {},
      {
        many: (b) =>
          b.step(
            'upload',
            { retry: { maxAttempts: 1 } },
            async ({ spawn }) => {
              await spawn('part', {}, { retry: { maxAttempts: 1 } });
              return 'u1';
            },
            { onAbort: ({ own, reason }) => void seen.push([own, reason]) },
          ),
      },
      () => ({ type: 'create_steps', step_names: ['many'] }),
    )
    .step('end', { after: ['upload'] }, () => 1);
  const gate = Promise.withResolvers<void>();
  const tutti = await Tutti.open({
    store: ':memory:',
    templates: [flow],
    handlers: [
      handler('part', async () => {
        await gate.promise;
        throw new Error('broken');
      }),
    ],
    logger: quiet,
  });
  t.after(() => tutti.close());
  const task = await tutti.submit(flow, {});
  for await (const e of task.events()) if (e.type === 'step.state' && e.data.state === 'waiting_for_children') break;
  gate.resolve();
  assert.equal((await task.done()).state, 'error');
  await tutti.close();
  assert.deepEqual(seen, [['u1', 'failed']]);
});

test('what is no hook is refused when it is written', () => {
  const refused = (make: () => unknown, says: RegExp): void => {
    assert.throws(make, (e: unknown) => isTuttiError(e) && e.code === 'INVALID_TEMPLATE' && says.test(e.message));
  };
  const base = template('tests/bad@1.0.0').untyped();
  refused(() => base.step('a', {}, () => 1, { finalise: () => 1 } as never), /step "a": finalise: is no hook/);
  refused(() => base.step('a', {}, () => 1, { finalize: 3 } as never), /finalize: must be a function/);
  refused(() => base.step('a', {}, () => 1, null as never), /hooks: must be an object/);
  refused(() => base.step('a', { handler: 'x' }, undefined, { finalize: () => 1 }), /hooks: belong to a function/);
  refused(() => base.step('a', { finalize: () => 1 } as never, () => 1), /finalize: comes after the function/);
});
