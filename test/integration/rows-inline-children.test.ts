/** Rows of the behaviour list about children that come with a submission, what people and handlers see of children, and shutting down. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AbortContext, type ChildResult, type FinalizeContext, RetryableError, Tutti, type UntypedStepContext } from '../../src/main.ts';
import { ONCE, StagedFamily, TWICE, family } from '../support/staged-family.ts';
import { graph } from '../support/template-fixtures.ts';

const FINALIZING = { p: { finalize: true } };
const ABORTING = { p: { abort: true }, child: { abort: true } };
const keys = (n: number): string[] => Array.from({ length: n }, (_, i) => `c${i}`);

test('S1, §15: a submission carries its children: all or nothing, ready at once beside the parent, which ends after both', async () => {
  const f = new StagedFamily({ traits: { work: { finalize: true } }, doing: { upload: { delayMs: 50 }, part: { delayMs: 500 } }, slots: 3 });
  try {
    await f.world.boot();
    const part = (name: string) => ({ name, handler: 'work', parent_id: 'upload', tied: true });
    const wrong = f.world.engine.submitTree({ elements: [{ name: 'upload', handler: 'work' }, part('one'), { ...part('two'), priority: 9 }] });
    await assert.rejects(f.world.complete(wrong, 'submit'), /priority/);
    assert.equal(f.world.mirror.tasks.size, 0);
    f.id = (await f.world.complete(
      f.world.submitTree([
        {
          name: 'upload',
          handler: 'work',
          children: [
            { name: 'part', handler: 'work' },
            { name: 'last', handler: 'work' },
          ],
        },
      ]),
      'submit',
    ))!;
    await f.until(() => f.state('upload') === 'in_progress', 'they run');
    assert.deepEqual(f.states('part', 'last'), ['in_progress', 'in_progress']);
    await f.until(() => f.state('upload') === 'waiting_for_children', 'the parent has returned');
    await f.end();
    assert.deepEqual([f.times('upload'), f.times('upload finalize'), f.taskState], [1, 1, 'complete']);
  } finally {
    f.world.close();
  }
});

test('S1: a folder with tied children runs nothing and ends as they do; a child that waits for another comes after it', async () => {
  const f = new StagedFamily({ lacks: (handler) => handler === 'folder', doing: { bad: { what: 'permanent' } } });
  try {
    await f.world.boot();
    f.id = (await f.world.complete(
      f.world.submitTree([
        {
          name: 'folder',
          children: [
            { name: 'bad', handler: 'work', retry: { max_attempts: 1 } },
            { name: 'next', handler: 'work', dependencies: ['bad'] },
          ],
        },
      ]),
      'submit',
    ))!;
    await f.end();
    assert.deepEqual([f.state('folder'), f.state('bad'), f.ran], ['error', 'error', ['bad']]);
    assert.match(f.state('next'), /^cancelled: (dependency_failed|sibling_failed)$/);
  } finally {
    f.world.close();
  }
});

test('explain says what keeps children and parents: the limit of the parent, the children, the hook', async () => {
  const gates = async (f: StagedFamily, name: string): Promise<string[]> =>
    (await f.world.complete(f.world.engine.explain(f.id, name), 'explain'))[0].gates.map((g) => `${g.kind}: ${g.message}`);
  await family(
    {
      steps: [{ name: 'p', maxChildren: 1 }],
      traits: ABORTING,
      doing: { p: { spawn: keys(2) }, '*': { delayMs: 50 }, '* abort': { delayMs: 5_000 }, 'p abort': { delayMs: 5_000 } },
    },
    async (f) => {
      await f.until(() => f.state('p') === 'waiting_for_children', 'the parent waits');
      assert.deepEqual(await gates(f, 'p'), ['waiting_for_children: Its own handler has returned; it waits for 2 of its 2 children.']);
      assert.deepEqual(await gates(f, 'p.c1'), ['parent_limit: p lets 1 of its children run at once, and so many do.']);
      assert.ok(await f.cancelStep('p'));
      await f.until(() => f.aborts('p').length > 0, 'the hook runs');
      const [terminal, aborting] = await gates(f, 'p');
      assert.match(terminal, /^terminal: It has ended: cancelled/);
      assert.match(aborting, /^aborting: Its abort hook has been running for \d+ ms/);
    },
  );
});

test('a child that nobody can run does not keep its siblings from running, where their parent allows but one', async () => {
  let gone = true;
  await family(
    {
      steps: [{ name: 'p', maxChildren: 1 }],
      config: { openToWorkers: true },
      lacks: (h) => gone && h === 'gone',
      doing: { p: { spawn: ['a', { key: 'gone', handler: 'gone' }, 'b', 'c'] }, '*': { delayMs: 10 } },
    },
    async (f) => {
      await f.until(() => f.state('p.c') === 'complete', 'the others have run');
      assert.deepEqual(f.states('p', 'p.gone', 'p.b'), ['waiting_for_children', 'pending', 'complete']);
      gone = false;
      f.world.handlersChanged();
      await f.end();
      assert.equal(f.state('p.gone'), 'complete');
    },
  );
});

test('told to stop, the engine waits for hooks that run; one that takes too long is tried again by the next process', async () => {
  await family(
    {
      traits: ABORTING,
      doing: { p: { spawn: [{ key: 'a', retry: TWICE }] }, '*': { delayMs: 60_000 }, 'p.a abort': [{ delayMs: 20_000, onStop: 'ignore' }, {}] },
    },
    async (f) => {
      await f.until(() => f.state('p.a') === 'in_progress', 'the child runs');
      assert.ok(await f.cancelStep('p'));
      await f.until(() => f.aborts('p.a').length > 0, 'the hook runs');
      await f.world.complete(f.world.engine.stop({ drainMs: 1_000 }), 'stop');
      f.world.kill();
      await f.world.boot();
      await f.end();
      assert.deepEqual(f.aborts('p.a'), ['aborting', 'abort_retry', 'aborting', 'aborted']);
    },
  );
});

test('what is cancelled while its inputs are read is told to stop as soon as its worker knows it', async () => {
  const f = await StagedFamily.open({ traits: FINALIZING, doing: { p: { spawn: ['a'] }, 'p finalize': { delayMs: 600_000 } } });
  try {
    for (let i = 0; i < 10_000 && f.world.mirror.tasks.size > 0 && f.world.task(f.id).rows[0].phaseAttempts === 0; i++)
      if (!(await f.world.machine.stepOnce())) f.world.machine.fireNext();
    const begun = f.world.machine.now();
    await f.cancelStep('p');
    await f.end();
    assert.ok(f.world.order.every((r) => r.phase !== 'finalize' || (r.stoppedAt !== null && r.stoppedAt - begun < 1_000)));
  } finally {
    f.world.close();
  }
});

test('S2, S4, row 20 through ctx: spawn, spawnAll, finalize with own and children, in one process', async () => {
  const seen: unknown[] = [];
  const tutti = await Tutti.open({
    store: ':memory:',
    templates: [{ definition: graph('upload', [{ name: 'upload' }]) }],
    handlers: {
      upload: {
        call: async (ctx: UntypedStepContext) => {
          const first = await ctx.spawn('part', { n: 1 }, { key: 'first', priority: 1 });
          const more = await ctx.spawnAll([2, 3].map((n) => ({ handler: 'part', inputs: { n }, retry: { maxAttempts: 1 } })));
          seen.push([first.key, more.length]);
          if (ctx.attempt === 1) throw new RetryableError('once more');
          return { plan: 3 };
        },
        finalize: async (ctx: FinalizeContext, children: AsyncIterable<ChildResult>) => {
          let sum = 0;
          for await (const c of children) if (c.state === 'complete') sum += c.value as number;
          return { own: ctx.own, sum };
        },
      },
      part: (ctx: UntypedStepContext) => (ctx.inputs as { n: number }).n * 10,
    },
  });
  try {
    const task = await tutti.submit('fixtures/upload@1.0.0', {});
    assert.deepEqual(await task.result(), { upload: { own: { plan: 3 }, sum: 60 } });
    assert.deepEqual(seen, [
      ['first', 2],
      ['first', 2],
    ]);
    const steps = await task.steps();
    assert.deepEqual(
      steps.map((s) => [s.state, s.attempts]),
      [
        ['complete', 2],
        ['complete', 1],
        ['complete', 1],
        ['complete', 1],
      ],
    );
  } finally {
    await tutti.close();
  }
});

test('S10 through ctx: onAbort has what run returned and why; what it throws is in the audit and nowhere else', async () => {
  const told: unknown[] = [];
  let running = (): void => undefined;
  const runs = new Promise<void>((resolve) => (running = resolve));
  const tutti = await Tutti.open({
    store: ':memory:',
    templates: [{ definition: graph('upload', [{ name: 'upload' }]) }],
    handlers: {
      upload: {
        call: async (ctx: UntypedStepContext) => {
          await ctx.spawn('part', {}, { key: 'a', retry: { maxAttempts: 1 } });
          return { id: 7 };
        },
        onAbort: (ctx: AbortContext) => void told.push(['upload', ctx.own, ctx.reason]),
      },
      part: {
        call: async (ctx: UntypedStepContext) => {
          running();
          await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
          throw new Error('stopped');
        },
        onAbort: (ctx: AbortContext) => {
          told.push(['part', ctx.own, ctx.reason]);
          throw new Error('nothing to undo');
        },
      },
    },
  });
  try {
    const task = await tutti.submit('fixtures/upload@1.0.0', {});
    const aborted = new Promise<void>((resolve) => {
      const off = tutti.engine.onEvent({}, (e) => {
        if (!JSON.stringify(e).includes('abort_failed')) return;
        off();
        resolve();
      });
    });
    await runs;
    await tutti.engine.cancelStep(task.id, 'upload');
    await aborted;
    assert.deepEqual(
      told.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
      [
        ['part', undefined, 'parent_cancelled'],
        ['upload', { id: 7 }, 'by_request'],
      ],
    );
    assert.deepEqual(
      (await task.steps()).map((s) => s.state),
      ['cancelled', 'cancelled'],
    );
  } finally {
    await tutti.close();
  }
});

test('hundreds of children of a parent that failed end, with their hooks, while their task goes on', async () => {
  await family(
    {
      steps: [{ name: 'p', retry: ONCE }, { name: 'other' }],
      traits: { child: { abort: true } },
      doing: { p: { spawn: keys(400), what: 'permanent' }, '*': { delayMs: 5_000 }, '* abort': { delayMs: 1 }, other: { delayMs: 60_000 } },
    },
    async (f) => {
      await f.until(() => f.state('p') === 'error', 'the parent fails');
      const { rows, aborting } = f.world.task(f.id);
      await f.until(() => rows.length > 400 && rows.slice(2).every((r) => r.state === 8) && aborting.size === 0, 'all its children have ended');
      assert.equal(f.state('other'), 'in_progress');
    },
  );
});

test('children of a parent that a crash took for good: their hooks run, though it was decided before any worker was there', async () => {
  await family(
    { steps: [{ name: 'p', retry: ONCE }], traits: ABORTING, doing: { p: { spawn: ['a', 'b'], delayMs: 60_000 }, '*': { delayMs: 60_000 } } },
    async (f) => {
      await f.until(() => f.state('p.b') === 'in_progress', 'the children run');
      await f.crash();
      await f.end();
      assert.equal(f.state('p'), 'error');
      for (const c of ['p', 'p.a', 'p.b']) assert.equal(f.aborts(c).at(-1), f.state(c) === 'error' && c !== 'p' ? undefined : 'aborted', c);
    },
  );
});

test('a step without a hook, ended before any worker was there to say so, is left alone', async () => {
  await family({ steps: [{ name: 'p', retry: ONCE }], doing: { p: { spawn: ['a', 'b'], delayMs: 60_000 }, '*': { delayMs: 60_000 } } }, async (f) => {
    await f.until(() => f.state('p.b') === 'in_progress', 'the children run');
    await f.crash();
    await f.end();
    assert.ok(f.world.order.every((r) => r.phase === 'run'));
  });
});
